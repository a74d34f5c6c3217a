extern crate std;
use super::*;
use crate::plain::plain_in_front;
use proptest::prelude::*;
use std::{format, vec, vec::Vec};

fn replies_of(parser: &mut ReplyParser, bytes: &[u8]) -> Vec<Reply> {
    let mut replies = Vec::new();
    for byte in bytes {
        let mut reply = Reply::default();
        if parser.push(*byte) && parser.end_line(&mut reply) {
            replies.push(reply);
        }
    }
    replies
}

fn replies(bytes: &[u8]) -> Vec<Reply> {
    replies_of(&mut ReplyParser::default(), bytes)
}

fn codes(bytes: &[u8]) -> Vec<u16> {
    replies(bytes).iter().map(|reply| reply.code).collect()
}

fn announces(address: [u8; 4], port: u16) -> Vec<Reply> {
    vec![Reply { code: 227, announces: true, port, address: u32::from_ne_bytes(address) }]
}

#[test]
fn golden_session() {
    let text = b"220-Welcome\r\n220 to it\r\n331 Password?\r\n230 In\r\n227 Entering Passive Mode (10,0,1,1,40,1).\r\n\
        150 Here\r\n226 Done\r\n229 Entering Extended Passive Mode (|||10242|)\r\n221 Bye\r\n";
    assert_eq!(codes(text), [220, 331, 230, 227, 150, 226, 229, 221]);
    let announced: Vec<_> = replies(text).iter().map(|r| r.announces.then_some(r.port)).collect();
    assert_eq!(announced, [None, None, None, Some(10241), None, None, Some(10242), None]);
}

#[test]
fn inner_lines_say_nothing() {
    assert_eq!(
        codes(b"214-Help\r\n227 x (1,2,3,4,5,6)\r\n 229 (|||9|)\r\n214-227 (1,2,3,4,5,6)\r\n214 Done\r\n"),
        [214]
    );
    assert_eq!(codes(b"211-Features:\r\n EPSV\r\n211x no\r\n211End\r\n2111 no\r\n211\r\n"), [211]);
}

#[test]
fn what_has_no_code_is_no_reply() {
    assert_eq!(codes(b"hello\r\n\r\n22\r\n227x (1,2,3,4,5,6)\r\n2270 (1,2,3,4,5,6)\r\n 227 (1,2,3,4,5,6)\r\n"), []);
    assert_eq!(codes(b"22\r\n2000 a\r\n200x\r\n200 a\r\n"), [200]);
    assert_eq!(
        codes(b"000 a\r\n700 b\r\n9\r\n200\r\n200 \r\n200\r\r\n200\r \r\n"),
        [200, 200, 200],
        "any CR in front of LF"
    );
}

#[test]
fn an_error_that_echoes_the_client_is_an_error() {
    assert_eq!(codes(b"500 227 (10,0,1,1,40,1): unknown\r\n"), [500]);
    assert!(!replies(b"500 227 (10,0,1,1,40,1)\r\n")[0].announces);
}

#[test]
fn a_multi_line_227_counts_by_its_last_line_else_its_first() {
    assert_eq!(replies(b"227-Passive\r\n227 (10,0,1,1,40,1)\r\n"), announces([10, 0, 1, 1], 10241));
    assert_eq!(replies(b"227-(10,0,1,1,40,2)\r\n227 Done\r\n"), announces([10, 0, 1, 1], 10242));
    assert_eq!(
        replies(b"227-(10,0,1,1,40,2)\r\n (9,9,9,9,9,9)\r\n227 (10,0,1,1,40,1)\r\n"),
        announces([10, 0, 1, 1], 10241)
    );
    assert_eq!(replies(b"229-(|||9|)\r\n227 (1,2,3,4,5,6)\r\n229 Done\r\n")[0].port, 9);
}

#[test]
fn telnet_refusals_in_front_of_a_code_are_skipped() {
    assert_eq!(codes(b"\xff\xfe\x01227 (10,0,1,1,40,1)\r\n"), [227]);
}

#[test]
fn a_bare_line_feed_ends_a_line_where_it_ended_the_greetings_first() {
    assert_eq!(codes(b"220-a\n220 b\n227 (10,0,1,1,40,1)\n200\n200\r\n"), [220, 227, 200, 200]);
    assert_eq!(replies(b"227 (10,0,1,1,40,1\n"), announces([10, 0, 1, 1], 10241));
    assert_eq!(codes(b"220-a\r\nb\n220 c\r\n220 d\r\n500 e\n227 (10,0,1,1,40,1)\r\n200 f\r\n"), [220, 500, 200]);
}

#[test]
fn what_a_crlf_server_echoes_is_text() {
    // pyftpdlib splits commands at CRLF only, and repeats the one that it doesn't know.
    let echo = b"220 pyftpdlib\r\n500 Command \"YYY\n227\r(10,0,1,1,40,1)\" not understood.\r\n";
    assert_eq!(codes(echo), [220, 500]);
    assert!(replies(echo).iter().all(|reply| !reply.announces));
    for line in ["\n227 (10,0,1,1,40,1)", "22\n7 (10,0,1,1,40,1)", "227\n(10,0,1,1,40,1)", "227\n (10,0,1,1,40,1)"] {
        assert_eq!(codes(format!("220 a\r\n{line}\r\n").as_bytes()), [220], "{line:?}");
    }
}

#[test]
fn a_carriage_return_inside_a_line_is_no_line_end() {
    for line in ["2\r27 (10,0,1,1,40,1)", "\r227 (10,0,1,1,40,1)", "227\r (10,0,1,1,40,1)", "227\r-(10,0,1,1,40,1)"] {
        assert_eq!(codes(format!("220 a\r\n{line}\r\n").as_bytes()), [220], "{line:?}");
    }
    assert_eq!(replies(b"227 a\rb (10,0,1,1,40,1\r)\r\n"), announces([10, 0, 1, 1], 10241));
    assert_eq!(codes(b"214-a\r\n214\r-\r\n214\r \r\n214 b\r\n"), [214]);
    assert_eq!(codes(b"214-a\r\n214-\rb\r\n214 c\r\n"), [214]);
}

#[test]
fn a_code_is_followed_by_a_blank_a_hyphen_or_the_line_end() {
    assert_eq!(codes(b"220 a\r\n200\r\n200 \r\n200- \r\n200\r\n"), [220, 200, 200, 200]);
    for line in ["200\ta", "200.a", "200_", "200\0", "200-"] {
        assert_eq!(codes(format!("220 a\r\n{line}\r\n").as_bytes()), [220], "{line:?}");
    }
}

#[test]
fn telnet_bytes_between_carriage_return_and_line_feed_part_them() {
    assert_eq!(codes(b"220 a\r\n500 x\r\xff\xf1\n227 (10,0,1,1,40,1)\r\n"), [220, 500]);
    assert_eq!(codes(b"220 a\r\n500 x\r\xff\n227 (10,0,1,1,40,1)\r\n"), [220, 500]);
    for line in [&b"227\r\xffr (10,0,1,1,40,1)"[..], b"227\r\xff\xf1-", b"227\r\xff\xf1\n"] {
        assert_eq!(codes(&[b"220 a\r\n", line, b"\r\n"].concat()), [220], "{line:?}");
    }
    assert_eq!(codes(b"220 a\r\n200\r\xff\xf1\r\n"), [220, 200]);
}

#[test]
fn without_a_greeting_lines_end_in_crlf() {
    let mut parser = ReplyParser::default();
    parser.skip_to_line_end();
    assert_eq!(replies_of(&mut parser, b"x\n227 (1,2,3,4,5,6)\r\n200 a\n227 (1,2,3,4,5,6)\r\n").len(), 1);
    let mut parser = ReplyParser::default();
    parser.assume_crlf();
    assert_eq!(replies_of(&mut parser, b"200 a\n227 (1,2,3,4,5,6)\r\n").len(), 1);
    // What the greeting said stays.
    let mut parser = ReplyParser::default();
    assert_eq!(replies_of(&mut parser, b"220 a\n").len(), 1);
    parser.skip_to_line_end();
    assert_eq!(replies_of(&mut parser, b"x\n200 b\n").len(), 1);
}

#[test]
fn in_mid_line_it_waits_for_the_line_end() {
    let mut parser = ReplyParser::default();
    parser.skip_to_line_end();
    assert_eq!(replies_of(&mut parser, b"227 (1,2,3,4,5,6)\r\n200 OK\r\n").len(), 1);
}

/// A parser that has read these bytes.
fn after(bytes: &[u8]) -> ReplyParser {
    let mut parser = ReplyParser::default();
    replies_of(&mut parser, bytes);
    parser
}

#[test]
fn plain_bytes_are_skipped_where_they_change_nothing() {
    for (bytes, skips) in [
        (&b""[..], false),
        (b"2", false),
        (b"200", false),
        (b"200 ", true),
        (b"200-a", true),
        (b"x", true),
        (b"200x", true),
        (b"227 ", false),
        (b"229-", false),
        (b"227 (1,2,3,4,5,6", false),
        (b"227 (1,2,3,4,5,6)", true),
        (b"229 (|||9|", false),
        (b"229 (|||9|)", true),
        (b"227x", true),
        (b"200 a\r", false),
        (b"x\r", false),
        (b"200 a\xff", false),
        (b"200 a\xff\xfb", false),
        (b"200 a\xff\xf1", true),
        (b"220 a\r\n", false),
        (b"220-a\r\n", false),
    ] {
        assert_eq!(after(bytes).skips(), skips, "{bytes:?}");
    }
    let mut parser = ReplyParser::default();
    parser.skip_to_line_end();
    assert!(parser.skips());
}

#[test]
fn a_live_view_gets_the_code_of_a_line_that_ends_a_reply() {
    for (bytes, code) in [
        (&b"200 a\r"[..], 200),
        (b"200", 200),
        (b"2", 0),
        (b"200-a", 0),
        (b"200x", 0),
        (b"hello", 0),
        (b"214-a\r\n200 b", 0),
        (b"214-a\r\n214-b", 0),
        (b"214-a\r\n214 b", 214),
    ] {
        assert_eq!(after(bytes).viewed_code(), code, "{bytes:?}");
    }
}

#[test]
fn a_reply_begins_at_a_lines_start_unless_it_is_under_way() {
    assert!(after(b"").at_reply_start() && after(b"220 a\r\n").at_reply_start());
    assert!(!after(b"2").at_reply_start() && !after(b"220-a\r\n").at_reply_start());
}

#[test]
fn a_line_that_begins_like_a_tls_record_is_asked_about_once() {
    let mut parser = ReplyParser::default();
    assert!(!parser.is_tls());
    assert!(parser.push(0x16));
    assert!(parser.is_tls());
    assert!(!parser.end_line(&mut Reply::default()));
    assert!(parser.is_tls() && !parser.push(3) && parser.skips());
    assert_eq!(replies_of(&mut parser, b"\r\n200 a\r\n").len(), 1);
    assert!(!parser.is_tls());
    assert!(!after(b"2\x16").is_tls());
}

#[test]
fn a_gigantic_line_is_still_one_line() {
    let mut bytes = vec![b'x'; 1 << 20];
    bytes.extend(b"\r\n227 (10,0,1,1,40,1)\r\n");
    assert_eq!(codes(&bytes), [227]);
}

fn stream() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"227 Entering (10,0,1,1,40,1).\r\n".to_vec()),
        Just(b"229 (|||10241|)\r\n".to_vec()),
        Just(b"200 OK\r\n".to_vec()),
        Just(b"214-\r\n".to_vec()),
        Just(b"214 x\r\n".to_vec()),
        prop::collection::vec(any::<u8>(), 0..12),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

/// The replies in these bytes, taken as the kernel program takes them: heads, skipped bytes and line ends at a time, and
/// inner lines without asking what they end.
fn read_at_a_time(parser: &mut ReplyParser, bytes: &[u8]) -> Vec<Reply> {
    let mut replies = Vec::new();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let rest = &bytes[at..];
        let mut ends = false;
        let mut count;
        if parser.skips() {
            count = plain_in_front(rest);
            if rest[count..].starts_with(b"\r\n") {
                parser.push_crlf();
                (count, ends) = (count + 2, true);
            }
        } else {
            let mut head = *b"aaaaaaaa"; // what lies behind is known to nobody
            let known = rest.len().min(8);
            head[..known].copy_from_slice(&rest[..known]);
            count = parser.push_several(u64::from_le_bytes(head), known as u32) as usize;
        }
        if count == 0 {
            ends = parser.push(byte);
            count = 1;
        }
        at += count;
        let mut reply = Reply::default();
        if ends && parser.is_inner() {
            assert!(!parser.end_line(&mut reply));
            assert!(!parser.is_tls());
        } else if ends && parser.end_line(&mut reply) {
            replies.push(reply);
        }
    }
    replies
}

#[test]
fn a_head_is_a_code_and_what_ends_it() {
    let all = |byte: u8| (0..4).map(move |place| (byte, place));
    for (byte, place) in (0..=255).flat_map(all) {
        let mut head = *b"227 ";
        head[place] = byte;
        let (mut at_once, mut pushed) = (ReplyParser::default(), ReplyParser::default());
        let count = at_once.push_several(u32::from_le_bytes(head).into(), 4);
        let [first, second, third, behind] = head;
        let digits = matches!(first, b'1'..=b'6') && second.is_ascii_digit() && third.is_ascii_digit();
        assert_eq!(count, if digits && matches!(behind, b' ' | b'-') { 4 } else { 0 }, "{head:?}");
        head[..count as usize].iter().for_each(|byte| assert!(!pushed.push(*byte)));
        assert_eq!(at_once, pushed, "{head:?}");
    }
    for begun in [&b"2"[..], b"227 1", b"x", b"\r", b"\xff"] {
        let mut parser = after(begun);
        assert_eq!(parser.push_several(u64::from_le_bytes(*b"227 abcd"), 8), 0, "{begun:?}");
        assert_eq!(parser, after(begun));
    }
    assert_eq!(ReplyParser::default().push_several(u64::from_le_bytes(*b"227 abcd"), 3), 0);
}

#[test]
fn letters_and_blanks_that_announce_nothing_are_taken_at_a_time() {
    let count = |begun: &[u8], head: &[u8; 8], known| after(begun).push_several(u64::from_le_bytes(*head), known);
    for code in [b"227 ", b"229 "] {
        assert_eq!(count(code, b"Entering", 8), 8);
        assert_eq!(count(code, b"Entering", 3), 3);
        assert_eq!(count(code, b"de (x|y|", 8), 3);
        assert_eq!(count(code, b"(abcdefg", 8), 0);
    }
    // The rest is skipped; a number, or a place for one; a carriage return that may end the line.
    for begun in [&b"226 "[..], b"227 1", b"227 (1,2,3,4,5,6)", b"229 (", b"227 \r", b"229 \r"] {
        assert_eq!(count(begun, b"Entering", 8), 0, "{begun:?}");
    }
}

#[test]
fn a_line_is_an_inner_one_unless_it_ends_a_reply_or_begins_tls() {
    for (line, inner) in [(&b"214-x"[..], true), (b"226 x", false), (b"x", true), (b"226", false)] {
        assert_eq!(after(line).is_inner(), inner, "{line:?}");
    }
    let mut multi_line = after(b"214-x\r\n");
    multi_line.push(b' ');
    assert!(multi_line.is_inner());
    let mut tls = ReplyParser::default();
    assert!(tls.push(TLS_HANDSHAKE) && !tls.is_inner());
}

proptest! {
    #[test]
    fn bytes_taken_at_a_time_are_as_good_as_one_by_one(bytes in stream(), cut in 0usize..100) {
        let (mut at_a_time, mut pushed) = (ReplyParser::default(), ReplyParser::default());
        let (first, second) = bytes.split_at(cut.min(bytes.len()));
        for piece in [first, second] {
            prop_assert_eq!(read_at_a_time(&mut at_a_time, piece), replies_of(&mut pushed, piece));
            prop_assert_eq!(at_a_time, pushed);
        }
    }

    #[test]
    fn cutting_the_stream_changes_nothing(bytes in stream(), cuts in prop::collection::vec(0usize..100, 0..9)) {
        let whole = replies(&bytes);
        let mut parser = ReplyParser::default();
        let mut pieces = Vec::new();
        let mut rest = &bytes[..];
        for cut in cuts {
            let (piece, tail) = rest.split_at(cut.min(rest.len()));
            pieces.extend(replies_of(&mut parser, piece));
            rest = tail;
        }
        pieces.extend(replies_of(&mut parser, rest));
        prop_assert_eq!(pieces, whole);
    }
}
