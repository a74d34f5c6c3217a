//! Segment order: a filter must read what the server reads, or open nothing.

use ftp_common::counter::Counter;
use std::net::Ipv4Addr;

use super::StreamCase;
use super::connection::{Connection, Hang};
use crate::packets::ip::{Ipv4, MORE_FRAGMENTS};
use crate::packets::segment::{Segment, flag};
use crate::packets::tcp_peer::{Odd, Peer};

pub(super) const ANNOUNCES: &str = "227 Entering Passive Mode (10,0,0,1,58,152).";
/// No stack takes it.
pub const BAD_CHECKSUM: Odd = Odd { urgent: None, bad_checksum: true, old: false, hops: None };
const OLD: Odd = Odd { urgent: None, bad_checksum: false, old: true, hops: None };

/// One case.
#[derive(Debug)]
pub struct Case {
    /// What is tried.
    pub(super) name: &'static str,
    /// What is sent until the server has heard a command, which it answers by [`ANNOUNCES`].
    play: fn(&mut Connection<'_>) -> Result<(), Hang>,
    /// Whether [`crate::INSIDE`] should be open then.
    pub(super) opens: bool,
    /// Raised by one or more.
    counter: Counter,
}

/// Sends `only_seen`, which the server doesn't take, and then `real` at the same place.
pub fn instead(peer: &mut Peer<'_>, only_seen: &str, odd: Odd, real: &str) {
    let ghost = peer.segment(only_seen);
    peer.put_odd(&ghost, odd);
    peer.say(real);
}

/// A line of this many bytes.
#[must_use]
pub fn line(length: usize) -> String {
    format!("NOOP {}\r\n", "x".repeat(length - 7))
}

/// All of them.
#[rustfmt::skip]
pub const CASES: &[Case] = &[
    Case { name: "a PASV that the server drops for its checksum, a NOOP in its place", opens: false, counter: Counter::OverlapsDiffer,
        play: |connection| { instead(&mut connection.peer, "PASV\r\n", BAD_CHECKSUM, "NOOP\r\n"); connection.hears("NOOP") } },
    Case { name: "a PASV that the server drops for its age, a NOOP in its place", opens: false, counter: Counter::OverlapsDiffer,
        play: |connection| { instead(&mut connection.peer, "PASV\r\n", OLD, "NOOP\r\n"); connection.hears("NOOP") } },
    Case { name: "a PASV without the ACK flag, a NOOP in its place", opens: false, counter: Counter::RefusedUnsolicited,
        play: |connection| {
            let bare = Segment { flags: flag::PSH, ..connection.peer.segment("PASV\r\n") };
            connection.peer.put(&bare);
            connection.peer.say("NOOP\r\n");
            connection.hears("NOOP")
        } },
    Case { name: "only the end of the line is another", opens: false, counter: Counter::OverlapsDiffer,
        play: |connection| { instead(&mut connection.peer, "PASV\r\n", BAD_CHECKSUM, "PASVX\r\n"); connection.hears("PASVX") } },
    Case { name: "the real one a byte at a time", opens: false, counter: Counter::OverlapsDiffer,
        play: |connection| {
            let ghost = connection.peer.segment("PASV\r\n");
            connection.peer.put_odd(&ghost, BAD_CHECKSUM);
            "PASS\r\n".bytes().for_each(|byte| connection.peer.say([byte]));
            connection.hears("PASS")
        } },
    Case { name: "the difference lies farther back than what is kept", opens: false, counter: Counter::OverlapsDiffer,
        play: |connection| {
            let real = line(300);
            let ghost = format!("PASV\r\n{}", line(294));
            instead(&mut connection.peer, &ghost, BAD_CHECKSUM, &real);
            connection.hears(real.trim_end())
        } },
    Case { name: "the real one goes on behind it", opens: false, counter: Counter::OverlapsDiffer,
        play: |connection| {
            instead(&mut connection.peer, "PASV\r\n", BAD_CHECKSUM, "NOOP\r\nNOOP\r\n");
            connection.hears("NOOP")?;
            connection.hears("NOOP")
        } },
    Case { name: "an early end that the real one replaces", opens: false, counter: Counter::SegmentsDeferred,
        play: |connection| {
            let early = Segment { seq: connection.peer.next.wrapping_add(2), ..connection.peer.segment("SV\r\n") };
            connection.peer.put(&early);
            connection.peer.say("NOOP\r\n");
            connection.hears("NOOP")
        } },
    Case { name: "a PASV in fragments, which are not read", opens: false, counter: Counter::Desyncs,
        play: |connection| {
            let text = format!("{}PASV\r\n", line(90));
            let segment = connection.peer.segment(&text);
            for packet in in_fragments(&connection.peer.tcp(&segment, Odd::default()), 64) {
                connection.peer.put_packet(&packet);
            }
            connection.peer.next = segment.next();
            connection.hears(line(90).trim_end())?;
            connection.hears("PASV")
        } },
    Case { name: "an acknowledgement of what the server has not sent", opens: false, counter: Counter::RefusedUnsolicited,
        play: |connection| {
            let ahead = Segment { ack: connection.peer.heard.wrapping_add(1000), ..connection.peer.segment("PASV\r\n") };
            connection.peer.put(&ahead);
            connection.peer.say("NOOP\r\n");
            connection.hears("NOOP")
        } },
    Case { name: "what the server took is repeated as something else", opens: false, counter: Counter::RefusedUnsolicited,
        play: |connection| {
            let noop = connection.peer.segment("NOOP\r\n");
            connection.peer.say("NOOP\r\n");
            connection.hears("NOOP")?;
            connection.peer.put(&Segment { payload: b"PASV\r\n".to_vec(), ..noop });
            Ok(())
        } },
    Case { name: "what the server took is repeated with a command behind it", opens: true, counter: Counter::ExpectationsPassive,
        play: |connection| {
            let noop = connection.peer.segment("NOOP\r\n");
            connection.exchange("NOOP", "200 ok")?;
            let longer = Segment { payload: b"NOOP\r\nPASV\r\n".to_vec(), ack: connection.peer.heard, ..noop };
            connection.peer.put(&longer);
            connection.peer.next = longer.next();
            connection.hears("PASV")
        } },
    Case { name: "the same again, cut elsewhere", opens: true, counter: Counter::ExpectationsPassive,
        play: |connection| {
            let ghost = connection.peer.segment("PASV\r");
            connection.peer.put_odd(&ghost, BAD_CHECKSUM);
            let start = connection.peer.next;
            for (from, to) in [(0, 3), (1, 2), (0, 5), (2, 6), (5, 6)] {
                let again = Segment { seq: start.wrapping_add(from), ..connection.peer.segment(&"PASV\r\n"[from as usize..to]) };
                connection.peer.put(&again);
            }
            connection.peer.next = start.wrapping_add(6);
            connection.hears("PASV")
        } },
    Case { name: "an early end, and again once the beginning has passed", opens: true, counter: Counter::SegmentsDeferred,
        play: |connection| {
            let early = Segment { seq: connection.peer.next.wrapping_add(2), ..connection.peer.segment("SV\r\n") };
            connection.peer.put(&early);
            connection.peer.say("PA");
            connection.peer.say("SV\r\n");
            connection.hears("PASV")
        } },
];

fn in_fragments(tcp: &[u8], cut: usize) -> [Vec<u8>; 2] {
    let (front, back) = tcp.split_at(cut);
    let (source, destination) = (Ipv4Addr::new(10, 0, 0, 77), Ipv4Addr::new(10, 0, 0, 1));
    let piece =
        |fragment, bytes| Ipv4 { identification: 77, fragment, ..Ipv4::default() }.packet(source, destination, bytes);
    [piece(MORE_FRAGMENTS, front), piece(u16::try_from(cut / 8).expect("a small number"), back)]
}

impl StreamCase for Case {
    fn name(&self) -> &'static str {
        self.name
    }

    fn opens(&self) -> bool {
        self.opens
    }

    fn counter(&self) -> Counter {
        self.counter
    }

    #[track_caller]
    fn play(&self, connection: &mut Connection<'_>) -> Result<(), Hang> {
        (self.play)(connection)?;
        connection.answer(ANNOUNCES)
    }
}
