extern crate std;
use super::*;
use crate::plain::plain_in_front;
use core::net::IpAddr;
use proptest::prelude::*;
use std::{format, vec, vec::Vec};

fn lines_of(parser: &mut CommandParser, bytes: &[u8]) -> Vec<(Verb, HostPort)> {
    let mut lines = Vec::new();
    for byte in bytes {
        if parser.push(*byte) {
            let mut named = HostPort::default();
            let verb = parser.end_line(&mut named);
            lines.extend((verb != Verb::Nothing).then_some((verb, named)));
        }
    }
    lines
}

fn lines(bytes: &[u8]) -> Vec<Verb> {
    lines_of(&mut CommandParser::default(), bytes).into_iter().map(|(verb, _)| verb).collect()
}

#[test]
fn golden_session() {
    let verbs = lines(
        b"USER anonymous\r\nPASS a@b\r\nEPSV\r\nLIST\r\npasv\r\nRetr x\r\nPORT 10,0,0,2,4,1\r\n\
          EPRT |2|::1|1025|\r\nP@SW\r\nREIN\r\nHOST a.b\r\nQUIT\r\n",
    );
    assert_eq!(
        verbs,
        [
            Verb::Other,
            Verb::Other,
            Verb::Epsv,
            Verb::Transfer,
            Verb::Pasv,
            Verb::Transfer,
            Verb::Port,
            Verb::Port,
            Verb::Pasv,
            Verb::Rein,
            Verb::Other,
            Verb::Other,
        ]
    );
}

#[test]
fn a_port_names_an_address_and_a_port() {
    let named = |line: &[u8]| lines_of(&mut CommandParser::default(), line)[0].1;
    let at = |address: &str| HostPort { address: address.parse::<IpAddr>().unwrap().into(), port: 1025 };
    assert_eq!(named(b"PORT 10,0,0,2,4,1\r\n"), at("10.0.0.2"));
    assert_eq!(named(b"EPRT |2|::1|1025|\r\n"), at("::1"));
    assert_eq!(named(b"PASV 10,0,0,2,4,1\r\n"), HostPort::default());
}

#[test]
fn the_last_user_name_stays_and_is_cut_to_what_is_kept() {
    let mut parser = CommandParser::default();
    let mut user = |bytes: &[u8]| {
        lines_of(&mut parser, bytes);
        parser.user().to_vec()
    };
    assert_eq!(user(b"USER alice\r\n"), b"alice");
    assert_eq!(user(b"PASS USER bob\r\nUSERX c\r\nNOOP\r\n"), b"alice");
    assert_eq!(user(b"user b o\n"), b"b o");
    assert_eq!(user(&[b"USER ", &[b'x'; 50][..], b"\r\n"].concat()), [b'x'; USER_NAME]);
    parser.skip_to_line_end();
    assert_eq!(parser.user(), [b'x'; USER_NAME]);
}

#[test]
fn verbs_are_whole_and_begin_the_line() {
    for line in [
        "PORTX 10,0,0,2,4,1",
        "POR T",
        "PORT\t10,0,0,2,4,1",
        "XPASV",
        "PASVX",
        "PAS",
        "EPRT|1|10.0.0.2|1025|",
        "PASV\r\rX",
        "PORT,10,0,0,2,4,1",
    ] {
        assert_eq!(lines(format!("{line}\r\n").as_bytes()), [Verb::Other], "{line:?}");
    }
}

#[test]
fn a_line_that_begins_with_a_blank_is_no_command_that_we_know() {
    assert_eq!(lines(b" PORT 10,0,0,2,4,1\r\n\tPASV\r\n \r\n"), [Verb::Blank; 3]);
}

#[test]
fn an_argument_that_is_not_one_is_malformed() {
    for line in ["PORT 10,0,0,2,4", "PORT  10,0,0,2,4,1", "PORT 10,0,0,2,4,1 x", "PORT 10,0,0,2,4,1\r"] {
        assert_eq!(lines(format!("{line}\r\n").as_bytes()), [Verb::MalformedPort], "{line:?}");
    }
    assert_eq!(lines(b"PORT\r\nEPRT\r\n"), [Verb::Other, Verb::Other]);
}

#[test]
fn a_bare_line_feed_ends_a_line_and_an_empty_line_is_no_command() {
    assert_eq!(lines(b"PASV\n\n\r\nNOOP\n"), [Verb::Pasv, Verb::Other]);
}

#[test]
fn telnet_bytes_before_abor_are_skipped() {
    assert_eq!(lines(b"\xff\xf4\xff\xf2ABOR\r\nPASV\r\n"), [Verb::Abor, Verb::Pasv]);
    assert_eq!(lines(b"PA\xff\xf1SV\r\n"), [Verb::Pasv]);
}

#[test]
fn a_line_ends_in_a_bare_line_feed_unless_a_carriage_return_stands_right_before_it() {
    let bare = |bytes: &[u8]| {
        let mut parser = CommandParser::default();
        bytes.iter().filter(|byte| parser.push(**byte)).count();
        parser.ends_in_bare_line_feed()
    };
    assert!(!bare(b"NOOP\r\n") && !bare(b"\r\n") && !bare(b"NOOP\r\r\n"));
    assert!(bare(b"NOOP\n") && bare(b"\n") && bare(b"NO\rOP\n"));
    // Telnet bytes between them: a server that doesn't speak it sees no CRLF (pyftpdlib).
    assert!(bare(b"NOOP\r\xff\xf1\n") && bare(b"NOOP\r\xff\n") && bare(b"\r\xff\xf1\xff\xf1\n"));
    assert!(!bare(b"NOOP\xff\xf1\r\n"));
    assert_eq!(lines(b"\r\xff\xf1\n"), [], "an empty line all the same");
    let mut skipping = CommandParser::default();
    skipping.skip_to_line_end();
    skipping.push(b'\n');
    assert!(!skipping.ends_in_bare_line_feed(), "its beginning was not seen");
}

#[test]
fn a_line_over_the_limit_is_skipped_to_its_end() {
    let mut bytes = vec![b'A'; usize::from(LONGEST_LINE)];
    bytes.splice(..5, *b"RETR ");
    bytes.push(b'\n');
    assert_eq!(lines(&bytes), [Verb::Transfer]);
    bytes.insert(5, b'A');
    bytes.extend(b"PASV\r\n");
    assert_eq!(lines(&bytes), [Verb::TooLong, Verb::Pasv]);
    // Longer than any counter of ours.
    let mut bytes = vec![b'P'; 70_000];
    bytes.extend(b"PASV\r\n");
    assert_eq!(lines(&bytes), [Verb::TooLong]);
}

/// A parser that has read these bytes.
fn after(bytes: &[u8]) -> CommandParser {
    let mut parser = CommandParser::default();
    lines_of(&mut parser, bytes);
    parser
}

#[test]
fn plain_bytes_are_skipped_where_they_change_nothing() {
    for (bytes, skips) in [
        (&b""[..], false),
        (b"RETR", false),
        (b"RETR ", true),
        (b"RETR a\r", true),
        (b"PORT 1", false),
        (b"EPRT |", false),
        (b"USER a", false),
        (b"RETR a\xff", false),
        (b"RETR a\xff\xf1", true),
        (b"RETR a\r\n", false),
    ] {
        assert_eq!(after(bytes).skips(), skips, "{bytes:?}");
    }
    let mut parser = CommandParser::default();
    parser.skip_to_line_end();
    assert!(parser.skips());
}

#[test]
fn skipped_bytes_count_as_pushed_ones_do() {
    for begin in [&b"RETR "[..], b"RETR a\r", b"RETR a\r\xff\xf1"] {
        for count in [0, 1, 7, 4088, 4096, 65535] {
            let (mut pushed, mut skipped) = (after(begin), after(begin));
            for _ in 0..count {
                pushed.push(b'x');
            }
            skipped.skip(count);
            assert_eq!(skipped, pushed, "{count} behind {begin:?}");
        }
    }
    let mut skipping = CommandParser::default();
    skipping.skip_to_line_end();
    let before = skipping;
    skipping.skip(9);
    assert_eq!(skipping, before);
}

#[test]
fn a_line_begins_with_its_first_byte_and_an_argument_with_the_blank() {
    assert!(after(b"").at_line_start() && after(b"NOOP\r\n").at_line_start());
    assert!(!after(b"N").at_line_start() && !after(b"\r").at_line_start() && !after(b"RETR a").at_line_start());
    let mut skipping = CommandParser::default();
    skipping.skip_to_line_end();
    assert!(!skipping.at_line_start());
    assert!(after(b"PORT ").in_argument() && after(b"EPRT |").in_argument());
    assert!(!after(b"PORT").in_argument() && !after(b"RETR ").in_argument() && !after(b"USER ").in_argument());
}

#[test]
fn a_live_view_gets_the_verb_and_nothing_else_of_a_line() {
    for (bytes, verb) in [
        (&b"RETR"[..], *b"RETR"),
        (b"retr secret", *b"RETR"),
        (b"USER a", *b"USER"),
        (b"CWD a", *b"\0CWD"),
        (b"x", *b"\0\0\0X"),
        (b"", [0; 4]),
        (b"SECRET", [0; 4]),
        (b" RETR", [0; 4]),
    ] {
        assert_eq!(after(bytes).viewed_verb(), u32::from_be_bytes(verb), "{bytes:?}");
    }
    let mut skipping = after(b"RETR");
    skipping.skip_to_line_end();
    skipping.push(b'x');
    assert_eq!(skipping.viewed_verb(), 0);
}

#[test]
fn in_mid_line_it_waits_for_the_line_end() {
    let mut parser = CommandParser::default();
    parser.skip_to_line_end();
    assert_eq!(lines_of(&mut parser, b"PASV\r\nPASV\r\n"), [(Verb::Pasv, HostPort::default())]);
}

fn stream() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"PASV\r\n".to_vec()),
        Just(b"PORT 10,0,0,2,4,1\r\n".to_vec()),
        Just(b"EPRT |1|10.0.0.2|99|\n".to_vec()),
        Just(b"\xff\xf4\xff\xf2ABOR\r\n".to_vec()),
        Just(b"\r\n".to_vec()),
        prop::collection::vec(any::<u8>(), 0..12),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

/// A parser behind these bytes, taken as the kernel program takes them: heads, skipped bytes and line ends at a time.
fn read_at_a_time(parser: &mut CommandParser, bytes: &[u8]) -> Vec<(Verb, HostPort)> {
    let mut lines = Vec::new();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let rest = &bytes[at..];
        let mut ends = false;
        let mut count = 0;
        if parser.skips() {
            count = plain_in_front(rest);
            parser.skip(u16::try_from(count).unwrap());
            if rest[count..].starts_with(b"\r\n") {
                parser.push_crlf();
                (count, ends) = (count + 2, true);
            }
        } else if let Some(head) = rest.first_chunk::<5>() {
            let [a, b, c, d, e] = *head;
            count = parser.push_head(u64::from_le_bytes([a, b, c, d, e, b'#', b'\r', 255])) as usize;
        }
        if count == 0 {
            ends = parser.push(byte);
            count = 1;
        }
        at += count;
        if ends {
            let mut named = HostPort::default();
            let verb = parser.end_line(&mut named);
            lines.extend((verb != Verb::Nothing).then_some((verb, named)));
        }
    }
    lines
}

#[test]
fn a_line_end_behind_what_could_be_skipped_is_taken_at_once() {
    let mut skipping = CommandParser::default();
    skipping.skip_to_line_end();
    for begun in [after(b"RETR "), after(b"RETR a"), after(b"RETR a\r"), skipping] {
        let (mut at_once, mut pushed) = (begun, begun);
        assert!(begun.skips());
        at_once.push_crlf();
        assert!(!pushed.push(b'\r'));
        assert_eq!(at_once, pushed);
    }
}

#[test]
fn a_head_is_four_letters_and_what_ends_them() {
    let all = |byte: u8| (0..5).map(move |place| (byte, place));
    for (byte, place) in (0..=255).flat_map(all) {
        let mut head = *b"sToR ";
        head[place] = byte;
        let [a, b, c, d, e] = head;
        let (mut at_once, mut pushed) = (CommandParser::default(), CommandParser::default());
        let count = at_once.push_head(u64::from_le_bytes([a, b, c, d, e, 0, 0, 0]));
        let is_head = head[..4].iter().all(u8::is_ascii_alphabetic) && matches!(head[4], b' ' | b'\r');
        assert_eq!(count, if is_head { 5 } else { 0 }, "{head:?}");
        head[..count as usize].iter().for_each(|byte| assert!(!pushed.push(*byte)));
        assert_eq!(at_once, pushed, "{head:?}");
    }
    for begun in [&b"A"[..], b"RETR a", b" ", b"\r", b"\xff"] {
        let mut parser = after(begun);
        assert_eq!(parser.push_head(u64::from_le_bytes(*b"STOR a\r\n")), 0, "{begun:?}");
        assert_eq!(parser, after(begun));
    }
}

proptest! {
    #[test]
    fn bytes_taken_at_a_time_are_as_good_as_one_by_one(bytes in stream(), cut in 0usize..100) {
        let (mut at_a_time, mut pushed) = (CommandParser::default(), CommandParser::default());
        let (first, second) = bytes.split_at(cut.min(bytes.len()));
        for piece in [first, second] {
            prop_assert_eq!(read_at_a_time(&mut at_a_time, piece), lines_of(&mut pushed, piece));
            prop_assert_eq!(at_a_time, pushed);
        }
    }

    #[test]
    fn cutting_the_stream_changes_nothing(bytes in stream(), cuts in prop::collection::vec(0usize..100, 0..9)) {
        let whole = lines_of(&mut CommandParser::default(), &bytes);
        let mut parser = CommandParser::default();
        let mut pieces = Vec::new();
        let mut rest = &bytes[..];
        for cut in cuts {
            let (piece, tail) = rest.split_at(cut.min(rest.len()));
            pieces.extend(lines_of(&mut parser, piece));
            rest = tail;
        }
        pieces.extend(lines_of(&mut parser, rest));
        prop_assert_eq!(pieces, whole);
    }
}
