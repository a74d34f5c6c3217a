//! The bodies of the fuzz targets. Any bytes may come; what doesn't hold panics.
//!
//! They also run as ordinary tests over the corpus that is kept beside the fuzz targets.

use ftp_common::command::CommandParser;
use ftp_common::host_port::HostPort;
use ftp_common::keys::Mode;
use ftp_common::plain::others;
use ftp_common::reply::{Reply, ReplyParser};

use super::orderly;
use super::script::Script;
use super::{attack, differential, reference};

/// Whether a byte may be skipped, by what says it of eight.
const fn is_plain(byte: u8) -> bool {
    others(u64::from_ne_bytes([byte, 0, 0, 0, 0, 0, 0, 0]), 0) == 0
}

/// A client's stream: the parser comes to the same commands as a reading line by line, whether it skips
/// what can be skipped or not.
pub fn command_parser(stream: &[u8]) {
    let read: Vec<_> = reference::lines(stream).iter().map(|line| reference::command(line)).collect();
    for skips in [false, true] {
        let mut parser = CommandParser::default();
        let mut parsed = Vec::new();
        for byte in stream {
            if skips && parser.skips() && is_plain(*byte) {
                parser.skip(1);
            } else if parser.push(*byte) {
                let mut named = HostPort::default();
                parsed.push((parser.end_line(&mut named), named));
                assert!(parser.at_line_start(), "a line end leaves nothing behind");
            }
        }
        assert_eq!(parsed, read, "skips: {skips}, {}", stream.escape_ascii());
    }
}

/// A server's stream: the parser comes to the same replies as a reading line by line, whether it skips
/// what can be skipped or not.
pub fn reply_parser(stream: &[u8]) {
    let read = reference::replies(&reference::reply_lines(stream));
    for skips in [false, true] {
        let mut parser = ReplyParser::default();
        let mut parsed = Vec::new();
        for byte in stream {
            let mut reply = Reply::default();
            let skipped = skips && parser.skips() && is_plain(*byte);
            if !skipped && parser.push(*byte) && parser.end_line(&mut reply) {
                parsed.push(reply);
                assert!(parser.at_reply_start(), "a reply leaves nothing behind");
            }
        }
        assert_eq!(parsed, read, "skips: {skips}, {}", stream.escape_ascii());
    }
}

/// A dialogue in good order: however it is cut and repeated, exactly that is expected which a
/// reading line by line says; see [`orderly`].
pub fn dialogue(bytes: &[u8]) {
    if let Err(wrong) = orderly::check(bytes) {
        panic!("{wrong}");
    }
}

/// A story of attack, of either mode: what the server's TCP accepts or opens was negotiated.
pub fn flow_machine(bytes: &[u8]) {
    for mode in [Mode::Passive, Mode::Active] {
        if let Err(wrong) = attack::alone(mode, &Script::from_bytes(bytes)) {
            panic!("{mode:?}: {wrong}");
        }
    }
}

/// Packets of all kinds, good and bad: what the [`super::judge`] asks holds.
pub fn packet_path(bytes: &[u8]) {
    if let Err(wrong) = differential::alone(&Script::from_bytes(bytes)) {
        panic!("{wrong}");
    }
}
