//! Bytes a second of transfers, from what the maps count.

use std::collections::HashMap;

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

/// What a flow's counts were.
#[derive(Clone, Copy, Debug)]
struct Known {
    time: u64,
    bytes: BothWays,
    rate: Option<BothWays>,
    ended: Option<u64>,
}

/// The counts of all flows that were seen under way.
#[derive(Clone, Debug, Default)]
pub struct Rates(HashMap<(String, String), Known>);

impl Rates {
    /// The transfers among the flows of a moment: those under way, and those that were until a moment ago.
    /// `time`: nanoseconds.
    pub fn transfers(&mut self, flows: &[FlowRow], time: u64) -> Vec<Transfer> {
        let mut known = HashMap::new();
        let mut transfers = Vec::new();
        for flow in flows {
            let key = (flow.client.clone(), flow.server.clone());
            let before = self.0.get(&key).filter(|before| !is_less(flow.bytes, before.bytes)).copied();
            let has_ended = matches!(flow.state, "ended" | "denied");
            // The map keeps them until it needs the room.
            if has_ended && before.is_none() {
                continue;
            }
            let mut now = Known { time, bytes: flow.bytes, rate: None, ended: has_ended.then_some(time) };
            if let Some(before) = before {
                now.ended = before.ended.or(now.ended);
                if now.ended.is_some_and(|ended| clock::seconds_since(ended, time) > LINGERS) {
                    continue;
                }
                now.rate = match before.ended {
                    Some(_) => Some(BothWays::default()),
                    None if before.time == time => before.rate,
                    None => Some(rate(before.bytes, flow.bytes, clock::seconds_since(before.time, time))),
                };
            }
            known.insert(key, now);
            transfers.push(Transfer { flow: flow.clone(), user: None, rate: now.rate });
        }
        self.0 = known;
        transfers
    }
}

/// A tuple may be used again: then it begins anew.
const fn is_less(now: BothWays, before: BothWays) -> bool {
    now.client < before.client || now.server < before.server
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "bytes a second are positive and below 2^52"
)]
fn rate(before: BothWays, now: BothWays, seconds: f64) -> BothWays {
    let one = |before: u64, now: u64| if seconds > 0.0 { ((now - before) as f64 / seconds) as u64 } else { 0 };
    BothWays { client: one(before.client, now.client), server: one(before.server, now.server) }
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
        assert_eq!(rates.transfers(&[flow("ended", 9, 0)], 3 * SECOND).len(), 1);
        let idle = rates.transfers(&[flow("ended", 9, 0)], 4 * SECOND);
        assert_eq!((idle[0].bytes_a_second(), idle[0].direction()), (Some(0), "up"));
        assert_eq!(rates.transfers(&[flow("ended", 9, 0)], 9 * SECOND), []);
        assert_eq!(rates.transfers(&[flow("ended", 9, 0)], 10 * SECOND), []);
    }

    #[test]
    fn a_tuple_that_is_used_again_begins_anew() {
        let mut rates = Rates::default();
        rates.transfers(&[flow("established", 0, 1000)], SECOND);
        assert_eq!(rates.transfers(&[flow("established", 0, 10)], 2 * SECOND)[0].rate, None);
    }
}
