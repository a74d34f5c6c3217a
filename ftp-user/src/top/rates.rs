//! Bytes a second of transfers, from what the maps count.

use std::collections::BTreeMap;
use std::mem;

use crate::endpoint::BothWays;
use crate::query::rows::FlowRow;
use crate::sys::clock;

/// How long a transfer that has ended is still shown, in seconds.
const LINGERS: f64 = 5.0;

/// A transfer, as it is shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Transfer {
    /// What the map says.
    pub flow: FlowRow,
    /// Who, if the session is known and its user has said so.
    pub user: Option<String>,
    /// Bytes a second each way; none until there are two counts.
    pub rate: Option<BothWays>,
}

/// A transfer as it was seen last.
#[derive(Clone, Debug)]
struct Known {
    transfer: Transfer,
    /// When; nanoseconds.
    time: u64,
    /// When it was found to be over.
    ended: Option<u64>,
}

/// All flows that were seen under way.
#[derive(Clone, Debug, Default)]
pub struct Rates(BTreeMap<(String, String), Known>);

impl Rates {
    /// The transfers among the flows of a moment, and those that were under way until a moment ago: the map has them no
    /// longer. `time`: nanoseconds.
    pub fn transfers(&mut self, flows: &[FlowRow], time: u64) -> Vec<Transfer> {
        let mut known = BTreeMap::new();
        for flow in flows.iter().filter(|flow| !matches!(flow.state, "ended" | "denied")) {
            let key = (flow.client.clone(), flow.server.clone());
            let before = self.0.remove(&key).filter(|before| before.ended.is_none() && !is_less(flow, before));
            let rate = before.and_then(|before| {
                if before.time == time { before.transfer.rate } else { Some(before.rate(flow.bytes, time)) }
            });
            let transfer = Transfer { flow: flow.clone(), user: None, rate };
            known.insert(key, Known { transfer, time, ended: None });
        }
        for (key, mut before) in mem::take(&mut self.0) {
            let ended = *before.ended.get_or_insert(time);
            if clock::seconds_since(ended, time) <= LINGERS {
                before.transfer.flow.state = "ended";
                before.transfer.rate = Some(BothWays::default());
                known.insert(key, before);
            }
        }
        self.0 = known;
        self.0.values().map(|known| known.transfer.clone()).collect()
    }
}

/// A tuple may be used again: then it begins anew.
const fn is_less(now: &FlowRow, before: &Known) -> bool {
    let before = before.transfer.flow.bytes;
    now.bytes.client < before.client || now.bytes.server < before.server
}

impl Known {
    /// Bytes a second until then.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "bytes a second are positive and below 2^52"
    )]
    fn rate(&self, now: BothWays, time: u64) -> BothWays {
        let (before, seconds) = (self.transfer.flow.bytes, clock::seconds_since(self.time, time));
        let one = |before: u64, now: u64| if seconds > 0.0 { ((now - before) as f64 / seconds) as u64 } else { 0 };
        BothWays { client: one(before.client, now.client), server: one(before.server, now.server) }
    }
}

impl Transfer {
    /// `down`: from the server; `up`: from the client; by what has come so far, else unknown.
    #[must_use]
    pub const fn direction(&self) -> &'static str {
        let BothWays { client, server } = self.flow.bytes;
        if client > server {
            "up"
        } else if server > client {
            "down"
        } else {
            "-"
        }
    }

    /// Bytes a second of the direction that it has.
    #[must_use]
    pub fn bytes_a_second(&self) -> Option<u64> {
        self.rate.map(|rate| rate.client.max(rate.server))
    }

    /// Bytes of both directions.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.flow.bytes.client + self.flow.bytes.server
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn flow(state: &'static str, client: u64, server: u64) -> FlowRow {
        FlowRow {
            client: "10.0.0.2:40000".to_owned(),
            server: "10.0.0.1:10241".to_owned(),
            mode: "passive",
            state,
            at_least: false,
            bytes: BothWays { client, server },
            age_seconds: 1.0,
            control: "10.0.0.2:39999-10.0.0.1:21".to_owned(),
        }
    }

    #[test]
    fn a_rate_takes_two_counts_and_their_distance() {
        let mut rates = Rates::default();
        let first = rates.transfers(&[flow("established", 0, 1000)], SECOND);
        assert_eq!((first[0].rate, first[0].direction()), (None, "down"));
        let second = rates.transfers(&[flow("established", 0, 5000)], 3 * SECOND);
        assert_eq!(second[0].bytes_a_second(), Some(2000));
        // Read twice at one moment, it stays.
        let third = rates.transfers(&[flow("established", 0, 5000)], 3 * SECOND);
        assert_eq!(third[0].bytes_a_second(), Some(2000));
    }

    #[test]
    fn what_has_ended_is_shown_for_a_moment_and_what_ended_before_never() {
        let mut rates = Rates::default();
        assert_eq!(rates.transfers(&[flow("ended", 9, 9)], SECOND), []);
        rates.transfers(&[flow("established", 5, 0)], 2 * SECOND);
        for time in [3 * SECOND, 8 * SECOND] {
            let shown = rates.transfers(&[], time);
            assert_eq!((shown.len(), shown[0].bytes(), shown[0].flow.state), (1, 5, "ended"), "{time}");
            assert_eq!((shown[0].bytes_a_second(), shown[0].direction()), (Some(0), "up"));
        }
        assert_eq!(rates.transfers(&[], 9 * SECOND), []);
        assert_eq!(rates.transfers(&[], 10 * SECOND), []);
    }

    #[test]
    fn a_transfer_on_the_tuple_of_one_that_ended_is_another() {
        let mut rates = Rates::default();
        rates.transfers(&[flow("established", 0, 10)], SECOND);
        rates.transfers(&[], 2 * SECOND);
        let again = rates.transfers(&[flow("established", 0, 1000)], 3 * SECOND);
        assert_eq!((again.len(), again[0].rate), (1, None));
    }

    #[test]
    fn a_tuple_that_is_used_again_begins_anew() {
        let mut rates = Rates::default();
        rates.transfers(&[flow("established", 0, 1000)], SECOND);
        assert_eq!(rates.transfers(&[flow("established", 0, 10)], 2 * SECOND)[0].rate, None);
    }
}
