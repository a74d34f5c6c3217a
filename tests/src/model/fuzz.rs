//! The bodies of the fuzz targets. Any bytes may come; what doesn't hold panics.
//!
//! They also run as ordinary tests over the corpus that is kept beside the fuzz targets.

use ftp_common::command::{CommandParser, Verb};
use ftp_common::reply::{Reply, ReplyParser};

use super::orderly;
use super::script::Script;
use super::{duel, reference};

/// A client's stream: the parser comes to the same commands as a reading line by line.
pub fn command_parser(stream: &[u8]) {
    let mut parser = CommandParser::default();
    let mut parsed: Vec<Verb> = Vec::new();
    for byte in stream {
        if parser.push(*byte) {
            parsed.extend(parser.end_line());
            assert!(parser.at_line_start(), "a line end leaves nothing behind");
        }
    }
    let read: Vec<_> = reference::lines(stream).iter().filter_map(|line| reference::command(line)).collect();
    assert_eq!(parsed, read, "{}", stream.escape_ascii());
}

/// A server's stream: the parser comes to the same replies as a reading line by line.
pub fn reply_parser(stream: &[u8]) {
    let mut parser = ReplyParser::default();
    let mut parsed = Vec::new();
    for byte in stream {
        let mut reply = Reply::default();
        if parser.push(*byte) && parser.end_line(&mut reply) {
            parsed.push(reply);
            assert!(parser.at_reply_start(), "a reply leaves nothing behind");
        }
    }
    assert_eq!(parsed, reference::replies(&reference::lines(stream)), "{}", stream.escape_ascii());
}

/// A dialogue in good order: however it is cut and repeated, exactly that is expected which a
/// reading line by line says; see [`orderly`].
pub fn dialogue(bytes: &[u8]) {
    if let Err(wrong) = orderly::check(bytes) {
        panic!("{wrong}");
    }
}

/// Packets of all kinds, good and bad: what the [`super::judge`] asks holds.
pub fn packet_path(bytes: &[u8]) {
    if let Err(wrong) = duel::alone(&Script::from_bytes(bytes)) {
        panic!("{wrong}");
    }
}
