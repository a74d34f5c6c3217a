//! Gaps of a capture: bytes that one end has acknowledged and that are not in it, and the beginnings and
//! ends of control connections.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::net::SocketAddr;

use ftp_common::flow::tcp::{FIN, RST, SYN};
use ftp_common::sequence::{after, before};

use super::packet::{Tcp, acknowledged};

/// Early segments of one direction that are remembered.
const MOST_EARLY: usize = 256;

/// Bytes that are not in the capture.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Missing {
    /// Who sent them.
    pub sender: SocketAddr,
    /// How many.
    pub bytes: u64,
}

/// What is missing of one connection.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Sum {
    /// Bytes.
    pub bytes: u64,
    /// In how many places.
    pub places: u64,
}

/// Follows connections by their sequence numbers.
#[derive(Debug, Default)]
pub struct Gaps {
    connections: HashMap<[SocketAddr; 2], Connection>,
    /// By sender and receiver: data connections too.
    pub missing: BTreeMap<[SocketAddr; 2], Sum>,
}

#[derive(Debug, Default)]
struct Connection {
    /// Of the lower and of the higher end.
    streams: [Stream; 2],
}

#[derive(Debug, Default)]
struct Stream {
    /// Position behind all that was seen without a hole.
    next: Option<u32>,
    /// What was seen behind holes: first position, and the one behind.
    early: Vec<(u32, u32)>,
}

impl Gaps {
    /// Follows a segment; what it shows to be missing.
    pub fn see(&mut self, segment: &Tcp) -> Option<Missing> {
        let [source, destination] = segment.ends();
        let from_lower = source < destination;
        let ends = if from_lower { [source, destination] } else { [destination, source] };
        // The tuple is used again.
        if segment.has(SYN) && acknowledged(segment).is_none() {
            self.connections.remove(&ends);
        }
        let connection = self.connections.entry(ends).or_default();
        let [lower, higher] = &mut connection.streams;
        let (own, other) = if from_lower { (lower, higher) } else { (higher, lower) };
        if !segment.has(RST) {
            own.take(segment);
        }
        let bytes = u64::from(other.acknowledge(acknowledged(segment)?)?);
        let sum = self.missing.entry([destination, source]).or_default();
        sum.bytes += bytes;
        sum.places += 1;
        Some(Missing { sender: destination, bytes })
    }
}

impl Stream {
    fn take(&mut self, segment: &Tcp) {
        let marks = u32::from(segment.has(SYN)) + u32::from(segment.has(FIN));
        let length = u32::try_from(segment.length()).unwrap_or(0).wrapping_add(marks);
        let (from, to) = (segment.seq, segment.seq.wrapping_add(length));
        match self.next {
            None => self.next = Some(to),
            Some(next) if after(from, next) => {
                if length != 0 && self.early.len() < MOST_EARLY {
                    self.early.push((from, to));
                }
            }
            Some(next) => {
                if after(to, next) {
                    self.next = Some(to);
                    self.absorb();
                }
            }
        }
    }

    /// Early segments that the position has reached.
    fn absorb(&mut self) {
        while let Some(next) = self.next
            && let Some(index) = self.early.iter().position(|(from, _)| !after(*from, next))
        {
            let (_, to) = self.early.swap_remove(index);
            if after(to, next) {
                self.next = Some(to);
            }
        }
    }

    /// The receiver has all up to here: how much of that was not seen.
    fn acknowledge(&mut self, ack: u32) -> Option<u32> {
        let next = self.next?;
        if !after(ack, next) {
            return None;
        }
        let mut missing = ack.wrapping_sub(next);
        // Of what lies behind the hole, the part that was seen.
        for (from, to) in &self.early {
            let to = if after(*to, ack) { ack } else { *to };
            if before(*from, ack) && after(to, *from) {
                missing = missing.saturating_sub(to.wrapping_sub(*from));
            }
        }
        self.next = Some(ack);
        self.absorb();
        (missing != 0).then_some(missing)
    }
}

#[cfg(test)]
#[path = "gaps_tests.rs"]
mod tests;
