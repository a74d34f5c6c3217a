//! What data connections have carried: no counter of the kernel's. Those under way say it in their map, those that have
//! ended said it in their last event. So it is known where this process reads the events, from its beginning on, and
//! lacks what was lost of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ftp_common::event::{Event, EventKind};
use ftp_common::flow::Flow;
use ftp_common::keys::{ConnectionKey, Mode};

use crate::ebpf::pod::AsPod;

/// An entry of the FLOWS map.
pub(crate) type Entry = (AsPod<ConnectionKey>, AsPod<Flow>);
/// TCP payload bytes, from the client and from the server: passive, active.
type Bytes = [[u64; 2]; 2];

/// Those that have ended: counted by who reads the events.
#[derive(Debug, Default)]
pub struct EndedBytes([[AtomicU64; 2]; 2]);

impl EndedBytes {
    /// An event was read.
    pub fn see(&self, event: &Event) {
        if event.kind == EventKind::FlowEnded.number() {
            for (total, bytes) in self.0[place(event.mode)].iter().zip(event.bytes) {
                total.fetch_add(bytes, Ordering::Relaxed);
            }
        }
    }
}

const fn place(mode: u8) -> usize {
    (mode == Mode::Active.number()) as usize
}

/// All of them together.
#[derive(Debug)]
pub(crate) struct Totals {
    ended: Arc<EndedBytes>,
    /// What those under way had carried at the beginning.
    before: Bytes,
    reported: Bytes,
}

impl Totals {
    /// From now on, with these flows under way.
    pub(crate) fn since(ended: Arc<EndedBytes>, flows: &[Entry]) -> Self {
        Self { ended, before: under_way(flows), reported: Bytes::default() }
    }

    /// With these under way. It never falls: one that has just ended may be in neither.
    pub(crate) fn with(&mut self, flows: &[Entry]) -> [(Mode, [u64; 2]); 2] {
        let now = under_way(flows);
        for (mode, reported) in self.reported.iter_mut().enumerate() {
            for (sender, reported) in reported.iter_mut().enumerate() {
                let ended = self.ended.0[mode][sender].load(Ordering::Relaxed);
                *reported = (*reported).max((ended + now[mode][sender]).saturating_sub(self.before[mode][sender]));
            }
        }
        let [passive, active] = self.reported;
        [(Mode::Passive, passive), (Mode::Active, active)]
    }
}

fn under_way(flows: &[Entry]) -> Bytes {
    let mut sum = Bytes::default();
    for (_, AsPod(flow)) in flows {
        sum[place(flow.mode)].iter_mut().zip(flow.bytes).for_each(|(sum, bytes)| *sum += bytes);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(bytes: [u64; 2]) -> Entry {
        (AsPod::default(), AsPod(Flow { bytes, mode: Mode::Passive.number(), ..Flow::default() }))
    }

    #[test]
    fn each_byte_is_counted_once_whether_its_flow_is_under_way_or_has_ended() {
        let ended_bytes = Arc::new(EndedBytes::default());
        let mut totals = Totals::since(Arc::clone(&ended_bytes), &[flow([5, 100])]);
        let mut reported = |flows: &[Entry]| totals.with(flows).map(|(_, bytes)| bytes);
        assert_eq!(reported(&[flow([5, 100])]), [[0, 0], [0, 0]], "that was before");
        assert_eq!(reported(&[flow([5, 130]), flow([7, 0])]), [[7, 30], [0, 0]]);
        assert_eq!(reported(&[flow([7, 0])]), [[7, 30], [0, 0]], "gone from the map, its event not yet read");
        let ended = Event { kind: EventKind::FlowEnded.number(), bytes: [5, 140], ..Event::default() };
        ended_bytes.see(&Event { mode: Mode::Passive.number(), ..ended });
        ended_bytes.see(&Event { mode: Mode::Active.number(), ..ended });
        ended_bytes.see(&Event { kind: EventKind::FlowStarted.number(), ..ended });
        assert_eq!(reported(&[flow([7, 0])]), [[7, 40], [5, 140]]);
    }
}
