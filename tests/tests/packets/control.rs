//! Control connections: how they begin, whose they are, how they end.

use ftp_common::counter::Counter;
use ftp_common::flow::tcp::{ACK, FIN, RST, SYN, URG};
use ftptrack_tests::subject::test_run::frame::Tcp;
use ftptrack_tests::subject::test_run::harness::{Control, Harness};
use ftptrack_tests::subject::test_run::{FORWARDED, Hook, LOCAL};
use std::time::Duration;

use crate::{IS_DENIED, PASSES};

#[test]
fn a_syn_with_data_on_a_control_port_is_denied_and_one_without_makes_nothing() {
    let mut harness = Harness::new();
    let syn = harness.to_server(40000, 21).flags(SYN);
    assert_eq!(harness.pass(&syn.clone().says("EPSV\r\n")), IS_DENIED);
    assert_eq!(harness.counts(), [(Counter::DeniedSynData, 1)]);
    assert_eq!(harness.pass(&syn), PASSES);
    assert_eq!(harness.counts(), []);
    assert!(harness.kernel.handshakes.all().is_empty() && harness.kernel.sessions.all().is_empty());
}

#[test]
fn a_session_begins_with_the_acknowledgement_of_the_syn_ack_and_of_nothing_else() {
    let mut harness = Harness::new();
    let syn_ack = harness.to_client(21, 40000).at(999, 100).flags(SYN | ACK);
    let first = harness.to_server(40000, 21).at(100, 1000).says("EPSV\r\n");
    assert_eq!(harness.pass(&syn_ack), PASSES);
    for wrong in [first.clone().at(101, 1000), first.clone().at(100, 1001), first.clone().flags(RST | ACK)] {
        assert_eq!(harness.pass(&wrong), PASSES);
        assert!(harness.kernel.sessions.all().is_empty());
    }
    assert_eq!(harness.pass(&first), PASSES);
    assert_eq!(harness.counts(), [(Counter::Commands, 1), (Counter::SessionsStarted, 1)]);
    assert!(harness.kernel.handshakes.all().is_empty());
}

#[test]
fn a_syn_ack_that_agrees_on_multipath_makes_the_session_opaque() {
    for options in [vec![30, 4, 0x81, 0], vec![1, 2, 4, 5, 0xb4, 30, 12, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]] {
        let mut harness = Harness::new();
        let syn_ack = harness.to_client(21, 40000).at(999, 100).flags(SYN | ACK);
        assert_eq!(harness.pass(&Tcp { options, ..syn_ack }), PASSES);
        let mut control = Control { client_port: 40000, client_next: 100, server_next: 1000 };
        assert_eq!(control.client(&harness, ""), PASSES);
        assert_eq!(harness.counts(), [(Counter::SessionsMultipath, 1)]);
        control.exchange(&harness, "EPSV\r\n", "229 (|||15000|)\r\n");
        assert_eq!((harness.counts(), harness.expected()), (vec![], 0));
    }
}

#[test]
fn other_options_of_a_syn_ack_mean_nothing() {
    // Something like a multipath option inside of another, behind the end, and cut off.
    for options in
        [vec![253, 6, 30, 4, 0, 0, 1, 1], vec![0, 30, 4, 0], vec![2, 4, 5, 0xb4, 3, 40, 30, 4], vec![3, 0, 30, 4]]
    {
        let mut harness = Harness::new();
        let syn_ack = harness.to_client(21, 40000).at(999, 100).flags(SYN | ACK);
        assert_eq!(harness.pass(&Tcp { options, ..syn_ack }), PASSES);
        assert_eq!(harness.pass(&harness.to_server(40000, 21).at(100, 1000)), PASSES);
        assert_eq!(harness.counts(), [(Counter::SessionsStarted, 1)]);
    }
}

#[test]
fn a_tuple_that_is_used_again_ends_the_old_session_and_its_expectation() {
    let mut harness = Harness::new();
    let old = harness.expecting(15000);
    assert_eq!(harness.expected(), 1);
    let syn = harness.to_server(40000, 21).at(7000, 0).flags(SYN);
    let syn_ack = harness.to_client(21, 40000).at(8000, 7001).flags(SYN | ACK);
    assert_eq!([harness.pass(&syn), harness.pass(&syn_ack)], [PASSES; 2]);
    assert_eq!(harness.expected(), 1, "until the client acknowledges, it may be a forgery");
    assert!(old.session(&harness).is_some());
    assert_eq!(harness.pass(&harness.to_server(40000, 21).at(7001, 8001)), PASSES);
    assert_eq!(
        harness.counts(),
        [(Counter::SessionsStarted, 1), (Counter::SessionsEnded, 1), (Counter::ExpectationsWithdrawn, 1)]
    );
    assert_eq!(harness.expected(), 0);
}

#[test]
fn a_greeting_that_overtakes_the_handshake_s_end_leaves_the_session_to_it() {
    let mut harness = Harness::new();
    let syn = harness.to_server(40000, 21).at(7000, 0).flags(SYN);
    let syn_ack = harness.to_client(21, 40000).at(8000, 7001).flags(SYN | ACK);
    assert_eq!([harness.pass(&syn), harness.pass(&syn_ack)], [PASSES; 2]);
    assert_eq!(harness.pass(&harness.to_client(21, 40000).at(8001, 7001).says("220 hello\r\n")), PASSES);
    assert_eq!(harness.counts(), [(Counter::SessionsMidstream, 1)]);
    assert_eq!(harness.pass(&harness.to_server(40000, 21).at(7001, 8001)), PASSES);
    assert_eq!(harness.counts(), [(Counter::SessionsStarted, 1), (Counter::SessionsEnded, 1)]);
}

#[test]
fn an_early_segment_is_deferred_unless_this_host_sends_it() {
    let mut harness = Harness::new();
    let mut control = harness.control(40000);
    harness.forget();
    let early = Tcp { seq: control.client_next.wrapping_add(6), ..control.client_segment(&harness, "PASV\r\n") };
    assert_eq!(harness.pass(&early), IS_DENIED);
    assert_eq!(harness.counts(), [(Counter::SegmentsDeferred, 1)]);
    assert_eq!(control.client(&harness, "NOOP\r\n"), PASSES);
    assert_eq!(control.client(&harness, "PASV\r\n"), PASSES);
    assert_eq!(harness.counts(), [(Counter::Commands, 2)]);
    let early = Tcp { seq: control.server_next.wrapping_add(6), ..control.server_segment(&harness, "200 ok\r\n") };
    assert_eq!(harness.kernel.run(FORWARDED, &early.frame()), IS_DENIED);
    assert_eq!(harness.counts(), [(Counter::SegmentsDeferred, 1)]);
    assert_eq!(harness.kernel.run(LOCAL, &early.frame()), PASSES);
    assert_eq!(harness.counts(), [(Counter::Desyncs, 1)]);
}

#[test]
fn a_repeated_segment_is_read_once() {
    let mut harness = Harness::new();
    let mut control = harness.control(40000);
    harness.forget();
    let command = control.client_segment(&harness, "EPSV\r\n");
    assert_eq!(control.client(&harness, "EPSV\r\n"), PASSES);
    assert_eq!(harness.pass(&command), PASSES);
    let reply = control.server_segment(&harness, "229 (|||15000|)\r\n");
    assert_eq!(control.server(&harness, "229 (|||15000|)\r\n"), PASSES);
    assert_eq!([harness.pass(&reply), harness.pass(&command)], [PASSES; 2]);
    assert_eq!(harness.counts(), [(Counter::Commands, 1), (Counter::Replies, 1), (Counter::ExpectationsPassive, 1)]);
}

#[test]
fn other_bytes_in_the_place_of_unacknowledged_ones_desync() {
    let mut harness = Harness::new();
    let mut control = harness.control(40000);
    harness.forget();
    let other = control.client_segment(&harness, "EPSV\r\n");
    assert_eq!(control.client(&harness, "NOOP\r\n"), PASSES);
    assert_eq!(harness.pass(&other), PASSES);
    assert_eq!(harness.counts(), [(Counter::Commands, 1), (Counter::Desyncs, 1), (Counter::OverlapsDiffer, 1)]);
    assert_eq!(control.server(&harness, "229 (|||15000|)\r\n"), PASSES);
    assert_eq!(harness.expected(), 0);
}

#[test]
fn an_urgent_byte_that_is_no_telnet_desyncs_and_one_that_is_does_not() {
    let mut harness = Harness::new();
    let mut control = harness.control(40000);
    harness.forget();
    let abort = Tcp { urgent: 3, ..control.client_segment(&harness, "") };
    let abort = abort.flags(ACK | URG).says(b"\xff\xf4\xff\xf2ABOR\r\n");
    control.client_next = control.client_next.wrapping_add(abort.length());
    assert_eq!(harness.pass(&abort), PASSES);
    assert_eq!(harness.counts(), [(Counter::Commands, 1)]);
    let hides = Tcp { urgent: 2, ..control.client_segment(&harness, "PASV\r\n") }.flags(ACK | URG);
    assert_eq!(harness.pass(&hides), PASSES);
    assert_eq!(harness.counts(), [(Counter::Desyncs, 1), (Counter::UrgentData, 1)]);
}

#[test]
fn a_blind_reset_does_nothing_and_one_in_sequence_ends_the_session() {
    let mut harness = Harness::new();
    let control = harness.expecting(15000);
    let client = control.client_segment(&harness, "").flags(RST);
    let server = control.server_segment(&harness, "").flags(RST);
    // Outside of what the server has not acknowledged yet.
    for off in [1, 1000, u32::MAX] {
        assert_eq!(harness.pass(&Tcp { seq: client.seq.wrapping_add(off), ..client.clone() }), PASSES);
        // Forwarded: this host's own TCP sends none but in sequence.
        let server = Tcp { seq: server.seq.wrapping_add(off), ..server.clone() };
        if off != u32::MAX {
            assert_eq!(harness.kernel.run(FORWARDED, &server.frame()), PASSES);
        }
    }
    assert_eq!(harness.counts(), [(Counter::ResetsIgnored, 5)]);
    assert_eq!(harness.pass(&client), PASSES);
    assert_eq!(harness.counts(), [(Counter::SessionsEnded, 1), (Counter::ExpectationsWithdrawn, 1)]);
    assert!(control.session(&harness).is_none());
}

#[test]
fn a_session_ends_when_both_ends_have_said_so_and_know_it() {
    let mut harness = Harness::new();
    let mut control = harness.expecting(15000);
    let fin = control.server_segment(&harness, "").flags(FIN | ACK);
    control.server_next = control.server_next.wrapping_add(1);
    assert_eq!(harness.pass(&fin), PASSES);
    assert_eq!(harness.counts(), [(Counter::ExpectationsWithdrawn, 1)]);
    let fin = control.client_segment(&harness, "").flags(FIN | ACK);
    control.client_next = control.client_next.wrapping_add(1);
    assert_eq!(harness.pass(&fin), PASSES);
    assert!(control.session(&harness).is_some());
    assert_eq!(control.server(&harness, ""), PASSES);
    assert_eq!(harness.counts(), [(Counter::SessionsEnded, 1)]);
    assert!(control.session(&harness).is_none());
}

#[test]
fn a_session_that_was_secured_ends_like_any_other() {
    let mut harness = Harness::new();
    let mut control = harness.control(40000);
    control.exchange(&harness, "AUTH TLS\r\n", "234 go\r\n");
    harness.forget();
    for text in ["\x16\x03\x01 227 (10,0,1,1,58,152)\r\n", "\x17\x03\x03x"] {
        assert_eq!([control.client(&harness, text), control.server(&harness, text)], [PASSES; 2]);
    }
    let fin = control.client_segment(&harness, "").flags(FIN | ACK);
    control.client_next = control.client_next.wrapping_add(1);
    assert_eq!(harness.pass(&fin), PASSES);
    let fin = control.server_segment(&harness, "").flags(FIN | ACK);
    control.server_next = control.server_next.wrapping_add(1);
    assert_eq!([harness.pass(&fin), control.client(&harness, "")], [PASSES; 2]);
    assert_eq!(harness.counts(), [(Counter::SessionsEnded, 1)]);
}

#[test]
fn a_fin_right_behind_the_reply_that_secures_a_session_ends_it_too() {
    let harness = Harness::new();
    let mut control = harness.control(40000);
    assert_eq!(control.client(&harness, "AUTH TLS\r\n"), PASSES);
    let fin = control.server_segment(&harness, "234 go\r\n").flags(FIN | ACK);
    control.server_next = control.server_next.wrapping_add(fin.length() + 1);
    assert_eq!(harness.pass(&fin), PASSES);
    let fin = control.client_segment(&harness, "").flags(FIN | ACK);
    control.client_next = control.client_next.wrapping_add(1);
    assert_eq!([harness.pass(&fin), control.server(&harness, "")], [PASSES; 2]);
    assert!(control.session(&harness).is_none());
}

#[test]
fn a_client_has_no_more_sessions_than_the_policy_allows_and_ended_ones_make_room() {
    let mut harness = Harness::with(|policy| policy.sessions_per_client = 2);
    let [first, _second] = [harness.control(40000), harness.control(40001)];
    harness.forget();
    let third = harness.begun(40002);
    assert_eq!(harness.counts(), [(Counter::SessionsOverLimit, 1)]);
    assert!(third.session(&harness).is_none());
    // It isn't followed, and it passes all the same.
    let mut third = third;
    third.exchange(&harness, "EPSV\r\n", "229 (|||15000|)\r\n");
    assert_eq!(harness.expected(), 0);
    harness.who.client = harness.who.other;
    assert!(harness.control(40003).session(&harness).is_some(), "another client's");
    harness.who.client = ftptrack_tests::subject::test_run::harness::Addresses::v4().client;
    assert_eq!(harness.pass(&first.client_segment(&harness, "").flags(RST)), PASSES);
    harness.forget();
    harness.kernel.age(Duration::from_secs(1));
    assert!(harness.control(40004).session(&harness).is_some());
    assert_eq!(harness.counts(), [(Counter::Replies, 1), (Counter::SessionsStarted, 1)]);
}

#[test]
fn a_syn_from_a_control_port_to_a_guarded_port_begins_a_data_connection() {
    let mut harness = Harness::new();
    let syn = Tcp { source: (harness.who.client, 21).into(), ..harness.syn(15000) };
    assert_eq!(harness.pass(&syn), IS_DENIED);
    assert_eq!(harness.counts(), [(Counter::DeniedPassive, 1)]);
    // The server connects to itself, from its control port.
    let syn = Tcp { source: (harness.who.server, 21).into(), ..syn };
    assert_eq!(harness.kernel.run(Hook::Ingress, &syn.frame()), IS_DENIED);
    assert_eq!(harness.counts(), [(Counter::DeniedPassive, 1)]);
}
