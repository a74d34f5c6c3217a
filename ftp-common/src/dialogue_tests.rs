extern crate std;
use std::{format, vec};

use super::*;
use crate::SECOND;
use crate::talk::{CLIENT, Talk, address};

const PASV_ANSWER: &str = "227 Entering Passive Mode (10,0,1,1,40,1).\r\n";

#[test]
fn a_227_that_answers_pasv_is_expected_of_this_client_only() {
    let mut talk = Talk::greeted();
    talk.exchange("PASV\r\n", PASV_ANSWER);
    let expected = talk.expected.unwrap();
    assert_eq!(expected.port, 10241);
    assert_eq!(expected.client, address(CLIENT));
    assert_eq!(Mode::from_number(expected.mode), Mode::Passive);
    assert_eq!(talk.refusals(), []);
}

#[test]
fn a_229_that_answers_epsv_is_expected() {
    let mut talk = Talk::greeted();
    talk.exchange("epsv\r\n", "229 Entering Extended Passive Mode (|||10241|)\r\n");
    assert_eq!(talk.port(), Some(10241));
}

#[test]
fn a_port_is_expected_when_the_server_accepts_it_and_not_before() {
    let mut talk = Talk::greeted();
    talk.client("PORT 10,0,1,2,40,1\r\n");
    assert_eq!(talk.port(), None);
    talk.server_acknowledges();
    assert_eq!(talk.port(), None);
    talk.server("200 PORT command successful\r\n");
    assert_eq!(talk.port(), Some(10241));
    assert_eq!(Mode::from_number(talk.expected.unwrap().mode), Mode::Active);
}

#[test]
fn a_command_that_the_server_refuses_opens_nothing() {
    for (command, reply, rejected) in [
        ("PORT 10,0,1,2,40,1\r\n", "500 Illegal PORT command.\r\n", 1),
        ("EPRT |1|10.0.1.2|10241|\r\n", "425 No\r\n", 1),
        ("PASV\r\n", "502 (10,0,1,1,40,1)\r\n", 1),
        ("PASV\r\n", "200 (10,0,1,1,40,1)\r\n", 0),
        ("PORT 10,0,1,2,40,1\r\n", "331 Password?\r\n", 0),
        ("PORT 10,0,1,2,40,1\r\n", "300 What?\r\n", 0),
        ("PORT 10,0,1,2,40,1\r\n", "150 Soon\r\n", 0),
    ] {
        let mut talk = Talk::greeted();
        talk.exchange(command, reply);
        assert_eq!(talk.port(), None, "{command}{reply}");
        assert_eq!(talk.refusals(), [], "{command}{reply}");
        assert_eq!(talk.count(Counter::RejectedByServer), rejected, "{command}{reply}");
    }
}

#[test]
fn a_227_that_nobody_waits_for_opens_nothing() {
    let mut talk = Talk::greeted();
    talk.server(PASV_ANSWER);
    talk.exchange("NOOP\r\n", PASV_ANSWER);
    talk.exchange("EPSV\r\n", PASV_ANSWER);
    assert_eq!(talk.port(), None);
    assert_eq!(talk.refusals(), [Counter::RefusedUnsolicited]);
    assert_eq!(talk.count(Counter::RefusedUnsolicited), 3);
    let mut talk = Talk::greeted();
    talk.exchange("PASV\r\n", "229 (|||10241|)\r\n");
    assert_eq!((talk.port(), talk.refusals()), (None, vec![Counter::RefusedUnsolicited]));
}

#[test]
fn a_229_passes_over_what_the_server_left_unanswered() {
    let mut talk = Talk::greeted();
    talk.client("NOOP\r\nEPSV\r\n");
    talk.server("229 (|||10241|)\r\n");
    assert_eq!((talk.port(), talk.session.pending()), (Some(10241), 0));
}

#[test]
fn a_227_after_another_reply_answered_the_pasv_opens_nothing() {
    let mut talk = Talk::greeted();
    talk.exchange("PASV\r\n", "500 No\r\n227 (10,0,1,1,40,1)\r\n");
    assert_eq!(talk.port(), None);
    assert_eq!(talk.refusals(), [Counter::RefusedUnsolicited]);
}

#[test]
fn a_reply_answers_nothing_that_the_server_has_not_acknowledged() {
    let mut talk = Talk::greeted();
    let before = talk.client_next;
    talk.client("PASV\r\n");
    talk.server_bytes(talk.server_next, before, PASV_ANSWER.as_bytes());
    assert_eq!(talk.port(), None);
    assert_eq!(talk.refusals(), [Counter::RefusedUnsolicited]);
}

#[test]
fn refused_negotiations_each_have_their_counter() {
    for (command, reply, refusal) in [
        ("PASV", "227 Passive", Counter::RefusedMalformedReply),
        ("PASV", "227 (10,0,1,1,40,256)", Counter::RefusedMalformedReply),
        ("EPSV", "229 (||10241|)", Counter::RefusedMalformedReply),
        ("PASV", "227 (10,0,1,1,3,255)", Counter::RefusedLowPort),
        ("EPSV", "229 (|||0|)", Counter::RefusedLowPort),
        ("PASV", "227 (10,0,1,1,39,255)", Counter::RefusedOutOfRange),
        ("PASV", "227 (10,0,1,1,80,1)", Counter::RefusedOutOfRange),
        ("PORT 10,0,1,3,40,1", "200 OK", Counter::RefusedForeignAddress),
        ("EPRT |2|::1|10241|", "200 OK", Counter::RefusedForeignAddress),
        ("PORT 10,0,1,2,0,22", "200 OK", Counter::RefusedLowPort),
        ("PORT 10,0,1,2,0,0", "200 OK", Counter::RefusedLowPort),
        ("PORT 10,0,0,258,40,1", "200 OK", Counter::RefusedMalformedCommand),
        ("EPRT |1|10.0.1.2|65558|", "200 OK", Counter::RefusedMalformedCommand),
    ] {
        let mut talk = Talk::greeted();
        talk.exchange(&format!("{command}\r\n"), &format!("{reply}\r\n"));
        assert_eq!(talk.port(), None, "{command} {reply}");
        assert_eq!(talk.refusals(), [refusal], "{command} {reply}");
    }
}

#[test]
fn the_ends_of_the_range_belong_to_it() {
    for port in [10240, 20480] {
        let mut talk = Talk::greeted();
        talk.exchange("EPSV\r\n", &format!("229 (|||{port}|)\r\n"));
        assert_eq!(talk.port(), Some(port));
    }
}

#[test]
fn a_mode_that_the_policy_lacks_is_refused() {
    let mut talk = Talk::greeted();
    talk.policy.passive_first = 0;
    talk.policy.passive_last = 0;
    talk.policy.active_port = 0;
    talk.exchange("PASV\r\n", PASV_ANSWER);
    talk.exchange("PORT 10,0,1,2,40,1\r\n", "200 OK\r\n");
    assert_eq!(talk.port(), None);
    assert_eq!(talk.refusals(), [Counter::RefusedPassiveOff, Counter::RefusedActiveOff]);
}

#[test]
fn a_227_opens_on_the_sessions_own_server_whatever_address_it_names() {
    let mut talk = Talk::greeted();
    talk.exchange("PASV\r\n", "227 (0,0,0,0,40,1)\r\n");
    assert_eq!(talk.port(), Some(10241));
    assert_eq!(talk.count(Counter::AnnouncedAddressDiffers), 1);
    talk.policy.flags = flag::ANNOUNCED_STRICT;
    talk.exchange("PASV\r\n", "227 (0,0,0,0,40,1)\r\n");
    assert_eq!(talk.port(), None);
    assert_eq!(talk.refusals(), [Counter::RefusedAnnouncedAddress]);
}

#[test]
fn promiscuous_policies_let_another_address_in() {
    let mut talk = Talk::greeted();
    talk.policy.flags = flag::PASV_PROMISCUOUS | flag::PORT_PROMISCUOUS;
    talk.exchange("PASV\r\n", PASV_ANSWER);
    assert_eq!(talk.expected.unwrap().client, Address::ANY);
    talk.exchange("PORT 10,0,1,9,40,1\r\n", "200 OK\r\n");
    assert_eq!(talk.expected.unwrap().client, address("10.0.1.9"));
    // Two foreign ones at once: only the last is remembered, and the first opens nothing.
    talk.client("PORT 10,0,1,8,40,1\r\nPORT 10,0,1,9,40,2\r\n");
    talk.server("200 OK\r\n");
    assert_eq!(talk.port(), None);
    talk.server("200 OK\r\n");
    assert_eq!(talk.port(), Some(10242));
}

#[test]
fn the_next_negotiation_that_is_accepted_takes_the_place_of_the_last() {
    let mut talk = Talk::greeted();
    talk.exchange("PASV\r\n", PASV_ANSWER);
    talk.exchange("PORT 10,0,1,2,40,3\r\n", "500 No\r\n");
    assert_eq!(talk.port(), Some(10241), "a refused one leaves it");
    talk.exchange("PORT 10,0,1,2,40,3\r\n", "200 OK\r\n");
    assert_eq!(talk.port(), Some(10243));
    talk.exchange("PASV\r\n", "227 (10,0,1,1,0,22)\r\n");
    assert_eq!(talk.port(), None, "the server goes by the new one, which is refused");
}

#[test]
fn rein_and_fin_take_the_expectation_with_them() {
    let mut talk = Talk::greeted();
    talk.exchange("PASV\r\n", PASV_ANSWER);
    talk.exchange("REIN\r\n", "500 No\r\n");
    assert_eq!(talk.port(), Some(10241));
    talk.exchange("REIN\r\n", "220 Again\r\n");
    assert_eq!(talk.port(), None);
    assert_eq!(talk.count(Counter::SessionsReinitialized), 1);
    talk.exchange("PASV\r\n", PASV_ANSWER);
    talk.server_fin();
    assert_eq!(talk.session.server.decision, decision::WITHDRAW);
}

#[test]
fn an_accepted_auth_makes_the_session_opaque() {
    for code in [234, 235] {
        let mut talk = Talk::greeted();
        talk.exchange("PASV\r\n", PASV_ANSWER);
        talk.exchange("AUTH TLS\r\n", &format!("{code} Go on\r\n"));
        assert_eq!(talk.port(), None);
        assert_ne!(talk.session.server.opaque, 0);
        assert!(!talk.session.is_in_sync());
    }
    let mut talk = Talk::greeted();
    talk.exchange("AUTH TLS\r\n", "530 No\r\n");
    talk.exchange("PASV\r\n", PASV_ANSWER);
    assert_eq!(talk.port(), Some(10241));
}

#[test]
fn tls_in_the_place_of_the_greeting_makes_the_session_opaque() {
    let mut talk = Talk::from_the_start();
    talk.client("\x16\x03\x01");
    assert_eq!(talk.session.server.opaque, opaque::NOT);
    talk.server("\x16\x03\x03");
    assert_eq!(talk.session.server.opaque, opaque::ENCRYPTED);
    assert_eq!(talk.count(Counter::SessionsEncrypted), 1);
    let mut talk = Talk::greeted();
    talk.client("PASV\r\n");
    talk.server("\x16\x03\x03\r\n");
    talk.server(PASV_ANSWER);
    assert_eq!((talk.session.server.opaque, talk.port()), (opaque::NOT, Some(10241)));
}

#[test]
fn a_mode_that_the_policy_refuses_opens_nothing() {
    let mut talk = Talk::greeted();
    talk.policy.flags = flag::NO_PASSIVE;
    talk.exchange("PASV\r\n", PASV_ANSWER);
    assert_eq!((talk.port(), talk.refusals()), (None, vec![Counter::RefusedPassiveOff]));
    let mut talk = Talk::greeted();
    talk.policy.flags = flag::NO_ACTIVE;
    talk.exchange("PORT 10,0,1,2,40,1\r\n", "200 OK\r\n");
    assert_eq!((talk.port(), talk.refusals()), (None, vec![Counter::RefusedActiveOff]));
    let mut talk = Talk::greeted();
    talk.policy.active_port = 0;
    talk.policy.flags = flag::ACTIVE_ANY;
    talk.exchange("PORT 10,0,1,2,40,1\r\n", "200 OK\r\n");
    assert_eq!((talk.port(), talk.refusals()), (Some(10241), vec![]));
}

#[test]
fn pipelined_commands_are_answered_in_their_order() {
    let mut talk = Talk::greeted();
    talk.client("NOOP\r\nPORT 10,0,1,2,40,1\r\nRETR a\r\nQUIT\r\n");
    talk.server("200 NOOP\r\n");
    assert_eq!(talk.port(), None, "that 200 was for NOOP");
    talk.server("200 PORT\r\n150 Here\r\n226 Done\r\n221 Bye\r\n");
    assert_eq!(talk.port(), Some(10241));
    assert_eq!(talk.expected.unwrap().transfers_before, 0);
    assert_eq!(talk.session.client.transfers, 1);
    assert_eq!(talk.session.pending(), 0);
}

#[test]
fn commands_sent_before_the_greeting_wait_for_their_own_replies() {
    let mut talk = Talk::from_the_start();
    talk.client("HOST a\r\nPORT 10,0,1,2,40,1\r\n");
    talk.server("220 Greeting\r\n");
    talk.server("220 HOST accepted\r\n");
    assert_eq!(talk.port(), None);
    talk.server("200 OK\r\n");
    assert_eq!(talk.port(), Some(10241));
}

#[test]
fn a_421_and_a_1xx_answer_nothing() {
    let mut talk = Talk::greeted();
    talk.client("PASV\r\n");
    talk.server("421 Data timeout\r\n150 x\r\n");
    talk.server(PASV_ANSWER);
    assert_eq!(talk.port(), Some(10241));
}

#[test]
fn what_the_server_leaves_unanswered_is_dropped_after_a_silence() {
    let mut talk = Talk::greeted();
    talk.client("ABOR\r\n"); // pure-ftpd answers RETR + ABOR with one 226
    talk.server_acknowledges();
    talk.now += SECOND;
    talk.client("PORT 10,0,1,2,40,1\r\n");
    talk.server("200 OK\r\n");
    assert_eq!(talk.port(), Some(10241));
    assert_eq!(talk.count(Counter::CommandsUnanswered), 1);
}

#[test]
fn nothing_is_dropped_without_silence_or_during_a_transfer() {
    let mut talk = Talk::greeted();
    talk.client("ABOR\r\n");
    talk.server_acknowledges();
    talk.client("PORT 10,0,1,2,40,1\r\n");
    talk.server("200 OK\r\n");
    assert_eq!(talk.port(), None);
    let mut talk = Talk::greeted();
    talk.exchange("RETR a\r\n", "150 Here\r\n");
    talk.now += 60 * SECOND;
    talk.client("PORT 10,0,1,2,40,1\r\n");
    talk.server("226 Done\r\n");
    assert_eq!(talk.port(), None);
    talk.server("200 OK\r\n");
    assert_eq!(talk.port(), Some(10241));
    // The transfer that an ABOR is about to end is under way still.
    let mut talk = Talk::greeted();
    talk.exchange("RETR a\r\n", "150 Here\r\n");
    talk.client("ABOR\r\n");
    talk.server_acknowledges();
    talk.now += 60 * SECOND;
    talk.client("PORT 10,0,1,2,40,1\r\n");
    talk.server("426 Aborted\r\n226 So it was\r\n200 OK\r\n");
    assert_eq!(talk.port(), Some(10241));
}

#[test]
fn a_slow_reply_is_waited_for_and_does_not_answer_the_next_command() {
    let mut talk = Talk::greeted();
    talk.client("SITE SLOW\r\n");
    talk.server_acknowledges();
    talk.now += SECOND;
    talk.client("PORT 10,0,1,2,40,1\r\n");
    talk.server_acknowledges();
    talk.server("200 That was slow\r\n");
    assert_eq!(talk.port(), None);
    talk.server("500 Illegal PORT command.\r\n");
    assert_eq!(talk.port(), None);
    assert_eq!(talk.count(Counter::CommandsUnanswered), 0);
    assert_eq!(talk.count(Counter::RepliesUnsolicited), 0);
}

#[test]
fn one_reply_too_many_takes_a_ports_expectation_back() {
    let mut talk = Talk::greeted();
    talk.client("ABOR\r\n");
    talk.server_acknowledges();
    talk.now += SECOND;
    talk.client("PORT 10,0,1,2,40,1\r\n");
    talk.server("226 So late\r\n");
    talk.server("500 Illegal PORT command.\r\n");
    assert_eq!(talk.port(), None);
    assert_eq!(talk.count(Counter::RepliesUnsolicited), 1);
    // In the same segment, when none stood before.
    let mut talk = Talk::greeted();
    talk.client("PORT 10,0,1,2,40,1\r\n");
    talk.server("200 OK\r\n500 What?\r\n");
    assert_eq!(talk.port(), None);
    // A 227 names its own command: no reply too many makes it doubtful.
    talk.exchange("PASV\r\n", PASV_ANSWER);
    talk.server("500 What?\r\n");
    assert_eq!(talk.port(), Some(10241));
}

#[test]
fn a_reply_that_came_after_a_newer_command_accepts_no_port() {
    // pure-ftpd leaves the first line unanswered, so the 500 is the PORT's.
    let mut talk = Talk::greeted();
    talk.client(" NOOP\r\n");
    talk.client("PORT 10,0,1,2,40,1\r\n");
    talk.server("500 Illegal PORT command.\r\n");
    talk.client("NOOP\r\n");
    talk.server("200 NOOP\r\n");
    assert_eq!(talk.port(), None);
    assert_eq!(talk.refusals(), [Counter::RefusedAmbiguous]);
    // A 421 answers nothing, but what is said behind it is newer too.
    let mut talk = Talk::greeted();
    talk.client("PORT 10,0,1,2,40,1\r\n");
    talk.server("421 No\r\n");
    talk.client("NOOP\r\n");
    talk.server("200 NOOP\r\n");
    assert_eq!(talk.port(), None);
    assert_eq!(talk.refusals(), [Counter::RefusedAmbiguous]);
}
