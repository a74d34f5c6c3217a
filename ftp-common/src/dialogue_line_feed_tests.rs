//! Bare line feeds of the client: a server that takes CRLF only reads such a line and the next as one.

use crate::counter::Counter;
use crate::talk::Talk;

const PORT: &str = "PORT 10,0,1,2,40,1\r\n";

#[test]
fn a_port_behind_a_bare_line_feed_is_ambiguous() {
    let mut talk = Talk::greeted();
    talk.client("NOOP\n");
    talk.client(PORT);
    talk.client("NOOP\r\n");
    talk.server("500 NOOP PORT\r\n"); // both were one line to it
    talk.server("200 NOOP\r\n");
    assert_eq!(talk.port(), None);
    assert_eq!(talk.refusals(), [Counter::RefusedAmbiguous]);
}

#[test]
fn it_stays_so_until_nothing_is_pending() {
    let mut talk = Talk::greeted();
    talk.client("NOOP\nNOOP\r\n");
    talk.server("500 NOOP NOOP\r\n");
    talk.exchange("NOOP\r\n", "200 NOOP\r\n"); // one reply behind
    talk.client(PORT);
    talk.server("500 Illegal PORT command\r\n");
    talk.exchange("NOOP\r\n", "200 NOOP\r\n");
    assert_eq!(talk.port(), None);
    assert_eq!(talk.refusals(), [Counter::RefusedAmbiguous]);
    talk.server("200 One more\r\n");
    talk.exchange(PORT, "200 PORT\r\n");
    assert_eq!(talk.port(), Some(10241));
}

#[test]
fn a_client_that_ends_its_lines_so_and_waits_for_replies_is_served() {
    let mut talk = Talk::greeted();
    talk.exchange("NOOP\n", "200 NOOP\r\n");
    talk.exchange("PORT 10,0,1,2,40,1\n", "200 PORT\r\n");
    assert_eq!(talk.port(), Some(10241));
    talk.client("NOOP\nPASV\n");
    talk.server("200 NOOP\r\n227 (10,0,1,1,40,2)\r\n");
    assert_eq!(talk.port(), Some(10242), "a 227 names its own command");
    assert_eq!(talk.refusals(), []);
}

#[test]
fn ports_own_line_feed_makes_the_next_one_ambiguous() {
    let mut talk = Talk::greeted();
    talk.client("PORT 10,0,1,2,40,1\nPORT 10,0,1,2,40,2\r\n");
    talk.server("200 PORT\r\n");
    assert_eq!(talk.port(), Some(10241));
    talk.server("200 PORT\r\n");
    assert_eq!(talk.port(), None);
    assert_eq!(talk.refusals(), [Counter::RefusedAmbiguous]);
}

#[test]
fn telnet_bytes_between_carriage_return_and_line_feed_make_it_a_bare_one() {
    let mut talk = Talk::greeted();
    talk.client_bytes(talk.client_next, b"NOOP\r\xff\xf1\n");
    talk.client_next = talk.client_next.wrapping_add(8);
    talk.client(PORT);
    talk.client("NOOP\r\n");
    talk.server("500 NOOP PORT\r\n");
    talk.server("200 NOOP\r\n");
    assert_eq!(talk.port(), None);
    assert_eq!(talk.refusals(), [Counter::RefusedAmbiguous]);
}

#[test]
fn an_empty_line_is_no_command_however_it_ends() {
    let mut talk = Talk::greeted();
    talk.client("\n");
    talk.exchange(PORT, "200 PORT\r\n");
    assert_eq!(talk.port(), Some(10241));
}
