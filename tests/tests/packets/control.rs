//! Control connections: how they begin, whose they are, how they end.

use ftp_common::counter::Counter;
use ftp_common::flow::tcp::{ACK, FIN, RST, SYN, URG};
use ftptrack_tests::subject::test_run::frame::Tcp;
use ftptrack_tests::subject::test_run::testbed::{Control, Scene};
use ftptrack_tests::subject::test_run::{FORWARDED, Hook, LOCAL};
use std::time::Duration;

use crate::{IS_DENIED, PASSES};

#[test]
fn a_syn_with_data_on_a_control_port_is_denied_and_one_without_makes_nothing() {
    let mut scene = Scene::new();
    let syn = scene.to_server(40000, 21).flags(SYN);
    assert_eq!(scene.pass(&syn.clone().says("EPSV\r\n")), IS_DENIED);
    assert_eq!(scene.counts(), [(Counter::DeniedSynData, 1)]);
    assert_eq!(scene.pass(&syn), PASSES);
    assert_eq!(scene.counts(), []);
    assert!(scene.kernel.handshakes.all().is_empty() && scene.kernel.sessions.all().is_empty());
}

#[test]
fn a_session_begins_with_the_acknowledgement_of_the_syn_ack_and_of_nothing_else() {
    let mut scene = Scene::new();
    let syn_ack = scene.to_client(21, 40000).at(999, 100).flags(SYN | ACK);
    let first = scene.to_server(40000, 21).at(100, 1000).says("EPSV\r\n");
    assert_eq!(scene.pass(&syn_ack), PASSES);
    for wrong in [first.clone().at(101, 1000), first.clone().at(100, 1001), first.clone().flags(RST | ACK)] {
        assert_eq!(scene.pass(&wrong), PASSES);
        assert!(scene.kernel.sessions.all().is_empty());
    }
    assert_eq!(scene.pass(&first), PASSES);
    assert_eq!(scene.counts(), [(Counter::Commands, 1), (Counter::SessionsStarted, 1)]);
    assert!(scene.kernel.handshakes.all().is_empty());
}

#[test]
fn a_syn_ack_that_agrees_on_multipath_makes_the_session_opaque() {
    for options in [vec![30, 4, 0x81, 0], vec![1, 2, 4, 5, 0xb4, 30, 12, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]] {
        let mut scene = Scene::new();
        let syn_ack = scene.to_client(21, 40000).at(999, 100).flags(SYN | ACK);
        assert_eq!(scene.pass(&Tcp { options, ..syn_ack }), PASSES);
        let mut control = Control { client_port: 40000, client_next: 100, server_next: 1000 };
        assert_eq!(control.client(&scene, ""), PASSES);
        assert_eq!(scene.counts(), [(Counter::SessionsMultipath, 1)]);
        control.exchange(&scene, "EPSV\r\n", "229 (|||15000|)\r\n");
        assert_eq!((scene.counts(), scene.expected()), (vec![], 0));
    }
}

#[test]
fn other_options_of_a_syn_ack_mean_nothing() {
    // Something like a multipath option inside of another, behind the end, and cut off.
    for options in
        [vec![253, 6, 30, 4, 0, 0, 1, 1], vec![0, 30, 4, 0], vec![2, 4, 5, 0xb4, 3, 40, 30, 4], vec![3, 0, 30, 4]]
    {
        let mut scene = Scene::new();
        let syn_ack = scene.to_client(21, 40000).at(999, 100).flags(SYN | ACK);
        assert_eq!(scene.pass(&Tcp { options, ..syn_ack }), PASSES);
        assert_eq!(scene.pass(&scene.to_server(40000, 21).at(100, 1000)), PASSES);
        assert_eq!(scene.counts(), [(Counter::SessionsStarted, 1)]);
    }
}

#[test]
fn a_tuple_that_is_used_again_ends_the_old_session_and_its_expectation() {
    let mut scene = Scene::new();
    let old = scene.expecting(15000);
    assert_eq!(scene.expected(), 1);
    let syn = scene.to_server(40000, 21).at(7000, 0).flags(SYN);
    let syn_ack = scene.to_client(21, 40000).at(8000, 7001).flags(SYN | ACK);
    assert_eq!([scene.pass(&syn), scene.pass(&syn_ack)], [PASSES; 2]);
    assert_eq!(scene.expected(), 1, "until the client acknowledges, it may be a forgery");
    assert!(old.session(&scene).is_some());
    assert_eq!(scene.pass(&scene.to_server(40000, 21).at(7001, 8001)), PASSES);
    assert_eq!(
        scene.counts(),
        [(Counter::SessionsStarted, 1), (Counter::SessionsEnded, 1), (Counter::ExpectationsWithdrawn, 1)]
    );
    assert_eq!(scene.expected(), 0);
}

#[test]
fn an_early_segment_is_held_back_unless_this_host_sends_it() {
    let mut scene = Scene::new();
    let mut control = scene.control(40000);
    scene.forget();
    let early = Tcp { seq: control.client_next.wrapping_add(6), ..control.client_segment(&scene, "PASV\r\n") };
    assert_eq!(scene.pass(&early), IS_DENIED);
    assert_eq!(scene.counts(), [(Counter::SegmentsDeferred, 1)]);
    assert_eq!(control.client(&scene, "NOOP\r\n"), PASSES);
    assert_eq!(control.client(&scene, "PASV\r\n"), PASSES);
    assert_eq!(scene.counts(), [(Counter::Commands, 2)]);
    let early = Tcp { seq: control.server_next.wrapping_add(6), ..control.server_segment(&scene, "200 ok\r\n") };
    assert_eq!(scene.kernel.run(FORWARDED, &early.frame()), IS_DENIED);
    assert_eq!(scene.counts(), [(Counter::SegmentsDeferred, 1)]);
    assert_eq!(scene.kernel.run(LOCAL, &early.frame()), PASSES);
    assert_eq!(scene.counts(), [(Counter::Desyncs, 1)]);
}

#[test]
fn a_repeated_segment_is_read_once() {
    let mut scene = Scene::new();
    let mut control = scene.control(40000);
    scene.forget();
    let command = control.client_segment(&scene, "EPSV\r\n");
    assert_eq!(control.client(&scene, "EPSV\r\n"), PASSES);
    assert_eq!(scene.pass(&command), PASSES);
    let reply = control.server_segment(&scene, "229 (|||15000|)\r\n");
    assert_eq!(control.server(&scene, "229 (|||15000|)\r\n"), PASSES);
    assert_eq!([scene.pass(&reply), scene.pass(&command)], [PASSES; 2]);
    assert_eq!(scene.counts(), [(Counter::Commands, 1), (Counter::Replies, 1), (Counter::ExpectationsPassive, 1)]);
}

#[test]
fn other_bytes_in_the_place_of_unacknowledged_ones_cost_the_step() {
    let mut scene = Scene::new();
    let mut control = scene.control(40000);
    scene.forget();
    let other = control.client_segment(&scene, "EPSV\r\n");
    assert_eq!(control.client(&scene, "NOOP\r\n"), PASSES);
    assert_eq!(scene.pass(&other), PASSES);
    assert_eq!(scene.counts(), [(Counter::Commands, 1), (Counter::Desyncs, 1), (Counter::OverlapsDiffer, 1)]);
    assert_eq!(control.server(&scene, "229 (|||15000|)\r\n"), PASSES);
    assert_eq!(scene.expected(), 0);
}

#[test]
fn an_urgent_byte_that_is_no_telnet_costs_the_step_and_one_that_is_does_not() {
    let mut scene = Scene::new();
    let mut control = scene.control(40000);
    scene.forget();
    let abort = Tcp { urgent: 3, ..control.client_segment(&scene, "") };
    let abort = abort.flags(ACK | URG).says(b"\xff\xf4\xff\xf2ABOR\r\n");
    control.client_next = control.client_next.wrapping_add(abort.length());
    assert_eq!(scene.pass(&abort), PASSES);
    assert_eq!(scene.counts(), [(Counter::Commands, 1)]);
    let hides = Tcp { urgent: 2, ..control.client_segment(&scene, "PASV\r\n") }.flags(ACK | URG);
    assert_eq!(scene.pass(&hides), PASSES);
    assert_eq!(scene.counts(), [(Counter::Desyncs, 1), (Counter::UrgentData, 1)]);
}

#[test]
fn a_blind_reset_does_nothing_and_one_in_sequence_ends_the_session() {
    let mut scene = Scene::new();
    let control = scene.expecting(15000);
    let client = control.client_segment(&scene, "").flags(RST);
    let server = control.server_segment(&scene, "").flags(RST);
    for off in [1, 1000, u32::MAX] {
        for reset in [&client, &server] {
            assert_eq!(scene.pass(&Tcp { seq: reset.seq.wrapping_add(off), ..reset.clone() }), PASSES);
        }
    }
    assert_eq!(scene.counts(), [(Counter::ResetsIgnored, 6)]);
    assert_eq!(scene.pass(&client), PASSES);
    assert_eq!(scene.counts(), [(Counter::SessionsEnded, 1), (Counter::ExpectationsWithdrawn, 1)]);
    assert!(control.session(&scene).is_none());
}

#[test]
fn a_session_ends_when_both_ends_have_said_so_and_know_it() {
    let mut scene = Scene::new();
    let mut control = scene.expecting(15000);
    let fin = control.server_segment(&scene, "").flags(FIN | ACK);
    control.server_next = control.server_next.wrapping_add(1);
    assert_eq!(scene.pass(&fin), PASSES);
    assert_eq!(scene.counts(), [(Counter::ExpectationsWithdrawn, 1)]);
    let fin = control.client_segment(&scene, "").flags(FIN | ACK);
    control.client_next = control.client_next.wrapping_add(1);
    assert_eq!(scene.pass(&fin), PASSES);
    assert!(control.session(&scene).is_some());
    assert_eq!(control.server(&scene, ""), PASSES);
    assert_eq!(scene.counts(), [(Counter::SessionsEnded, 1)]);
    assert!(control.session(&scene).is_none());
}

#[test]
fn a_session_that_was_secured_ends_like_any_other() {
    let mut scene = Scene::new();
    let mut control = scene.control(40000);
    control.exchange(&scene, "AUTH TLS\r\n", "234 go\r\n");
    scene.forget();
    for text in ["\x16\x03\x01 227 (10,0,1,1,58,152)\r\n", "\x17\x03\x03x"] {
        assert_eq!([control.client(&scene, text), control.server(&scene, text)], [PASSES; 2]);
    }
    let fin = control.client_segment(&scene, "").flags(FIN | ACK);
    control.client_next = control.client_next.wrapping_add(1);
    assert_eq!(scene.pass(&fin), PASSES);
    let fin = control.server_segment(&scene, "").flags(FIN | ACK);
    control.server_next = control.server_next.wrapping_add(1);
    assert_eq!([scene.pass(&fin), control.client(&scene, "")], [PASSES; 2]);
    assert_eq!(scene.counts(), [(Counter::SessionsEnded, 1)]);
}

#[test]
fn a_fin_right_behind_the_reply_that_secures_a_session_ends_it_too() {
    let scene = Scene::new();
    let mut control = scene.control(40000);
    assert_eq!(control.client(&scene, "AUTH TLS\r\n"), PASSES);
    let fin = control.server_segment(&scene, "234 go\r\n").flags(FIN | ACK);
    control.server_next = control.server_next.wrapping_add(fin.length() + 1);
    assert_eq!(scene.pass(&fin), PASSES);
    let fin = control.client_segment(&scene, "").flags(FIN | ACK);
    control.client_next = control.client_next.wrapping_add(1);
    assert_eq!([scene.pass(&fin), control.server(&scene, "")], [PASSES; 2]);
    assert!(control.session(&scene).is_none());
}

#[test]
fn a_client_has_no_more_sessions_than_the_policy_allows_and_ended_ones_make_room() {
    let mut scene = Scene::with(|policy| policy.sessions_per_client = 2);
    let [first, _second] = [scene.control(40000), scene.control(40001)];
    scene.forget();
    let third = scene.begun(40002);
    assert_eq!(scene.counts(), [(Counter::SessionsOverLimit, 1)]);
    assert!(third.session(&scene).is_none());
    // It isn't followed, and it passes all the same.
    let mut third = third;
    third.exchange(&scene, "EPSV\r\n", "229 (|||15000|)\r\n");
    assert_eq!(scene.expected(), 0);
    scene.who.client = scene.who.other;
    assert!(scene.control(40003).session(&scene).is_some(), "another client's");
    scene.who.client = ftptrack_tests::subject::test_run::testbed::Addresses::v4().client;
    assert_eq!(scene.pass(&first.client_segment(&scene, "").flags(RST)), PASSES);
    scene.forget();
    scene.kernel.age(Duration::from_secs(1));
    assert!(scene.control(40004).session(&scene).is_some());
    assert_eq!(scene.counts(), [(Counter::Replies, 1), (Counter::SessionsStarted, 1)]);
}

#[test]
fn a_syn_from_a_control_port_to_a_guarded_port_begins_a_data_connection() {
    let mut scene = Scene::new();
    let syn = Tcp { source: (scene.who.client, 21).into(), ..scene.syn(15000) };
    assert_eq!(scene.pass(&syn), IS_DENIED);
    assert_eq!(scene.counts(), [(Counter::DeniedPassive, 1)]);
    // The server connects to itself, from its control port.
    let syn = Tcp { source: (scene.who.server, 21).into(), ..syn };
    assert_eq!(scene.kernel.run(Hook::Ingress, &syn.frame()), IS_DENIED);
    assert_eq!(scene.counts(), [(Counter::DeniedPassive, 1)]);
}
