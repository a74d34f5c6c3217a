//! Games with TCP's order: what the server reads and what a guard reads must be the same, or nothing
//! opens. Each game ends with the server saying by a 227 that [`crate::INSIDE`] listens.

use ftp_common::counter::Counter;
use std::net::Ipv4Addr;

use super::connection::{Bout, Stuck};
use crate::packets::ip::{Ipv4, MORE_FRAGMENTS};
use crate::packets::segment::{Segment, flag};
use crate::packets::tcp_peer::{Odd, Peer};

pub(super) const ANNOUNCES: &str = "227 Entering Passive Mode (10,0,0,1,58,152).";
/// No stack takes it.
pub const BAD_CHECKSUM: Odd = Odd { urgent: None, bad_checksum: true, old: false, hops: None };
const OLD: Odd = Odd { urgent: None, bad_checksum: false, old: true, hops: None };

/// One game.
#[derive(Debug)]
pub struct Game {
    /// What is played.
    pub name: &'static str,
    /// What is sent until the server has heard a command, which it answers by [`ANNOUNCES`].
    play: fn(&mut Bout<'_>) -> Result<(), Stuck>,
    /// Whether [`crate::INSIDE`] must be open then.
    pub opens: bool,
    /// Raised by one or more.
    pub counter: Counter,
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
pub const GAMES: &[Game] = &[
    Game { name: "a PASV that the server drops for its checksum, a NOOP in its place", opens: false, counter: Counter::OverlapsDiffer,
        play: |bout| { instead(&mut bout.peer, "PASV\r\n", BAD_CHECKSUM, "NOOP\r\n"); bout.hears("NOOP") } },
    Game { name: "a PASV that the server drops for its age, a NOOP in its place", opens: false, counter: Counter::OverlapsDiffer,
        play: |bout| { instead(&mut bout.peer, "PASV\r\n", OLD, "NOOP\r\n"); bout.hears("NOOP") } },
    Game { name: "a PASV without the ACK flag, a NOOP in its place", opens: false, counter: Counter::RefusedUnsolicited,
        play: |bout| {
            let bare = Segment { flags: flag::PSH, ..bout.peer.segment("PASV\r\n") };
            bout.peer.put(&bare);
            bout.peer.say("NOOP\r\n");
            bout.hears("NOOP")
        } },
    Game { name: "only the end of the line is another", opens: false, counter: Counter::OverlapsDiffer,
        play: |bout| { instead(&mut bout.peer, "PASV\r\n", BAD_CHECKSUM, "PASVX\r\n"); bout.hears("PASVX") } },
    Game { name: "the real one a byte at a time", opens: false, counter: Counter::OverlapsDiffer,
        play: |bout| {
            let ghost = bout.peer.segment("PASV\r\n");
            bout.peer.put_odd(&ghost, BAD_CHECKSUM);
            "PASS\r\n".bytes().for_each(|byte| bout.peer.say([byte]));
            bout.hears("PASS")
        } },
    Game { name: "the difference lies farther back than what is kept", opens: false, counter: Counter::OverlapsDiffer,
        play: |bout| {
            let real = line(300);
            let ghost = format!("PASV\r\n{}", line(294));
            instead(&mut bout.peer, &ghost, BAD_CHECKSUM, &real);
            bout.hears(real.trim_end())
        } },
    Game { name: "the real one goes on behind it", opens: false, counter: Counter::OverlapsDiffer,
        play: |bout| {
            instead(&mut bout.peer, "PASV\r\n", BAD_CHECKSUM, "NOOP\r\nNOOP\r\n");
            bout.hears("NOOP")?;
            bout.hears("NOOP")
        } },
    Game { name: "an early end that the real one replaces", opens: false, counter: Counter::SegmentsDeferred,
        play: |bout| {
            let early = Segment { seq: bout.peer.next.wrapping_add(2), ..bout.peer.segment("SV\r\n") };
            bout.peer.put(&early);
            bout.peer.say("NOOP\r\n");
            bout.hears("NOOP")
        } },
    Game { name: "a PASV in fragments, which are not read", opens: false, counter: Counter::Desyncs,
        play: |bout| {
            let text = format!("{}PASV\r\n", line(90));
            let segment = bout.peer.segment(&text);
            for packet in in_fragments(&bout.peer.tcp(&segment, Odd::default()), 64) {
                bout.peer.put_packet(&packet);
            }
            bout.peer.next = segment.next();
            bout.hears(line(90).trim_end())?;
            bout.hears("PASV")
        } },
    Game { name: "an acknowledgement of what the server has not said", opens: false, counter: Counter::RefusedUnsolicited,
        play: |bout| {
            let ahead = Segment { ack: bout.peer.heard.wrapping_add(1000), ..bout.peer.segment("PASV\r\n") };
            bout.peer.put(&ahead);
            bout.peer.say("NOOP\r\n");
            bout.hears("NOOP")
        } },
    Game { name: "what the server took is repeated as something else", opens: false, counter: Counter::RefusedUnsolicited,
        play: |bout| {
            let noop = bout.peer.segment("NOOP\r\n");
            bout.peer.say("NOOP\r\n");
            bout.hears("NOOP")?;
            bout.peer.put(&Segment { payload: b"PASV\r\n".to_vec(), ..noop });
            Ok(())
        } },
    Game { name: "what the server took is repeated with a command behind it", opens: true, counter: Counter::ExpectationsPassive,
        play: |bout| {
            let noop = bout.peer.segment("NOOP\r\n");
            bout.exchange("NOOP", "200 ok")?;
            let longer = Segment { payload: b"NOOP\r\nPASV\r\n".to_vec(), ack: bout.peer.heard, ..noop };
            bout.peer.put(&longer);
            bout.peer.next = longer.next();
            bout.hears("PASV")
        } },
    Game { name: "the same again, cut elsewhere", opens: true, counter: Counter::ExpectationsPassive,
        play: |bout| {
            let ghost = bout.peer.segment("PASV\r");
            bout.peer.put_odd(&ghost, BAD_CHECKSUM);
            let start = bout.peer.next;
            for (from, to) in [(0, 3), (1, 2), (0, 5), (2, 6), (5, 6)] {
                let again = Segment { seq: start.wrapping_add(from), ..bout.peer.segment(&"PASV\r\n"[from as usize..to]) };
                bout.peer.put(&again);
            }
            bout.peer.next = start.wrapping_add(6);
            bout.hears("PASV")
        } },
    Game { name: "an early end, and again once the beginning has passed", opens: true, counter: Counter::SegmentsDeferred,
        play: |bout| {
            let early = Segment { seq: bout.peer.next.wrapping_add(2), ..bout.peer.segment("SV\r\n") };
            bout.peer.put(&early);
            bout.peer.say("PA");
            bout.peer.say("SV\r\n");
            bout.hears("PASV")
        } },
];

fn in_fragments(tcp: &[u8], cut: usize) -> [Vec<u8>; 2] {
    let (front, back) = tcp.split_at(cut);
    let (source, destination) = (Ipv4Addr::new(10, 0, 0, 77), Ipv4Addr::new(10, 0, 0, 1));
    let piece =
        |fragment, bytes| Ipv4 { identification: 77, fragment, ..Ipv4::default() }.packet(source, destination, bytes);
    [piece(MORE_FRAGMENTS, front), piece(u16::try_from(cut / 8).expect("a small number"), back)]
}

impl Game {
    /// Plays it to the server's answer, as far as words arrive.
    ///
    /// # Errors
    ///
    /// Words that must arrive did not.
    #[track_caller]
    pub fn play(&self, bout: &mut Bout<'_>) -> Result<(), Stuck> {
        (self.play)(bout)?;
        bout.answer(ANNOUNCES)
    }
}
