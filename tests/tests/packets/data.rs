//! Data connections: what begins, what goes on, what is given back.

use std::time::Duration;

use ftp_common::counter::Counter;
use ftp_common::event::EventKind;
use ftp_common::flow::state;
use ftp_common::flow::tcp::{ACK, FIN, RST, SYN};
use ftp_common::policy::flag;
use ftptrack_tests::INSIDE;
use ftptrack_tests::subject::test_run::frame::Tcp;
use ftptrack_tests::subject::test_run::harness::{Control, Harness, usual_policy};
use ftptrack_tests::subject::test_run::{Hook, Verdict};

use crate::{IS_DENIED, PASSES};

pub(crate) fn all_pass(harness: &Harness, packets: &[Tcp]) {
    for tcp in packets {
        assert_eq!(harness.pass(tcp), PASSES, "{tcp:?}");
    }
}

/// The server has accepted a PORT for 40001.
pub(crate) fn accepted_port(harness: &mut Harness) -> Control {
    let mut control = harness.control(40000);
    control.exchange(harness, "PORT 10,0,1,2,156,65\r\n", "200 ok\r\n");
    harness.forget();
    control
}

/// The handshake of a connection from the server's active port.
pub(crate) fn active_handshake(harness: &Harness, initial: u32) -> [Tcp; 3] {
    [
        harness.to_client(20, 40001).at(initial, 0).flags(SYN),
        harness.to_server(40001, 20).at(5000, initial + 1).flags(SYN | ACK),
        harness.to_client(20, 40001).at(initial + 1, 5001),
    ]
}

#[test]
fn a_repeated_syn_passes_and_one_with_another_number_is_denied() {
    let mut harness = Harness::new();
    let _control = harness.expecting(INSIDE);
    let syn = harness.syn(INSIDE);
    let places = |harness: &Harness| {
        let expectations: Vec<_> = harness.kernel.expectations.all().into_values().collect();
        expectations[0].half_open.iter().filter(|place| place.since != 0).count()
    };
    all_pass(&harness, &[syn.clone(), syn.clone(), syn.clone()]);
    assert_eq!(places(&harness), 1);
    assert_eq!(harness.pass(&Tcp { seq: 2000, ..syn.clone() }), IS_DENIED);
    assert_eq!(harness.counts(), [(Counter::DeniedTupleInUse, 1)]);
    assert_eq!(places(&harness), 1);
    all_pass(&harness, &[Tcp { source: (harness.who.client, 50099).into(), ..syn }]);
    assert_eq!(places(&harness), 2);
}

#[test]
fn a_syn_on_the_tuple_of_an_established_flow_needs_another_expectation() {
    let mut harness = Harness::new();
    let _control = harness.expecting(INSIDE);
    let handshake = harness.handshake(50000, INSIDE);
    all_pass(&harness, &handshake);
    assert_eq!(harness.counts(), [(Counter::FlowsEstablished, 1)]);
    // With its own number, too: the host may have forgotten the connection.
    for seq in [1000, 2000] {
        assert_eq!(harness.pass(&Tcp { seq, ..handshake[0].clone() }), IS_DENIED);
    }
    assert_eq!(harness.counts(), [(Counter::DeniedUsed, 2)]);
    all_pass(&harness, &[handshake[2].clone().says("data")]);
}

#[test]
fn a_passive_expectation_serves_one_connection() {
    let mut harness = Harness::new();
    let _control = harness.expecting(INSIDE);
    let [first, second] = [50000, 50001].map(|port| harness.handshake(port, INSIDE));
    all_pass(&harness, &first[..2]);
    all_pass(&harness, &second[..2]);
    all_pass(&harness, &second[2..]);
    assert_eq!(harness.counts(), [(Counter::FlowsEstablished, 1)]);
    assert_eq!(harness.expected(), 0);
    // The other was half open, and too late.
    assert_eq!(harness.pass(&first[2]), IS_DENIED);
    assert_eq!(harness.pass(&first[2].clone().says("data")), IS_DENIED);
    all_pass(&harness, &[harness.to_client(INSIDE, 50000).at(5001, 1001)]);
    assert_eq!(harness.pass(&first[0]), IS_DENIED);
    assert_eq!(harness.counts(), [(Counter::DeniedUsed, 3)]);
}

#[test]
fn four_half_open_connections_and_no_fifth_until_a_second_has_passed() {
    let mut harness = Harness::new();
    let _control = harness.expecting(INSIDE);
    let syn = |harness: &Harness, port| Tcp { source: (harness.who.client, port).into(), ..harness.syn(INSIDE) };
    for port in 50000..50004 {
        all_pass(&harness, &[syn(&harness, port)]);
    }
    assert_eq!(harness.pass(&syn(&harness, 50004)), IS_DENIED);
    assert_eq!(harness.counts(), [(Counter::DeniedHalfOpen, 1)]);
    harness.kernel.age(Duration::from_secs(1));
    all_pass(&harness, &[syn(&harness, 50004)]);
    assert_eq!(harness.counts(), []);
}

#[test]
fn a_refused_connection_gives_its_place_back() {
    let mut harness = Harness::new();
    let _control = harness.expecting(INSIDE);
    for port in 50000..50008 {
        let [syn, ..] = harness.handshake(port, INSIDE);
        let refusal = harness.to_client(INSIDE, port).at(0, 1001).flags(RST | ACK);
        let blind = Tcp { ack: 1000, ..refusal.clone() };
        all_pass(&harness, &[syn, blind, refusal]);
    }
    assert_eq!(harness.counts(), [(Counter::FlowsRefused, 8)]);
    all_pass(&harness, &harness.handshake(50009, INSIDE));
    assert_eq!(harness.counts(), [(Counter::FlowsEstablished, 1)]);
}

#[test]
fn an_expectation_expires_and_a_transfer_command_begins_its_time_anew() {
    let mut harness = Harness::with(|policy| policy.expectation_timeout = 2);
    let mut control = harness.expecting(INSIDE);
    harness.kernel.age(Duration::from_secs(1));
    assert_eq!(control.client(&harness, "RETR file\r\n"), PASSES);
    harness.forget();
    harness.kernel.age(Duration::from_secs(1));
    all_pass(&harness, &[harness.syn(INSIDE)]);
    harness.kernel.age(Duration::from_secs(1));
    let late = Tcp { seq: 2000, ..harness.syn(INSIDE) };
    assert_eq!([harness.pass(&late), harness.pass(&late)], [IS_DENIED; 2]);
    assert_eq!(harness.counts(), [(Counter::DeniedPassive, 1), (Counter::DeniedExpired, 1)]);
    assert_eq!(harness.expected(), 0);
}

#[test]
fn an_expectation_is_worth_nothing_when_its_session_was_evicted() {
    let mut harness = Harness::new();
    let _control = harness.expecting(INSIDE);
    let sessions: Vec<_> = harness.kernel.sessions.all().into_keys().collect();
    harness.kernel.sessions.remove(&sessions[0]);
    assert_eq!(harness.pass(&harness.syn(INSIDE)), IS_DENIED);
    assert_eq!(harness.counts(), [(Counter::DeniedSessionGone, 1)]);
    assert_eq!(harness.expected(), 0);
}

#[test]
fn an_open_transfer_goes_on_when_its_session_and_its_flow_are_evicted() {
    let mut harness = Harness::new();
    let _control = harness.expecting(INSIDE);
    all_pass(&harness, &harness.handshake(50000, INSIDE));
    let there = harness.to_server(50000, INSIDE).at(1001, 5001).says("data");
    let back = harness.to_client(INSIDE, 50000).at(5001, 1005).says("data");
    all_pass(&harness, &[there.clone(), back.clone()]);
    harness.kernel.sessions.empty();
    all_pass(&harness, &[there.clone(), back.clone()]);
    harness.kernel.flows.empty();
    all_pass(&harness, &[there.clone(), back.clone(), there.flags(FIN | ACK), back.flags(RST)]);
    assert_eq!(harness.counts(), [(Counter::FlowsEstablished, 1)]);
}

#[test]
fn a_port_serves_again_for_each_further_transfer_command_and_not_more() {
    let mut harness = Harness::new();
    let mut control = accepted_port(&mut harness);
    for initial in [1000, 2000] {
        assert_eq!(control.client(&harness, "RETR file\r\n"), PASSES);
        let handshake = active_handshake(&harness, initial);
        all_pass(&harness, &handshake);
        assert_eq!(harness.counts(), [(Counter::Commands, 1), (Counter::FlowsEstablished, 1)]);
        let of_server = harness.to_client(20, 40001).at(initial + 1, 5001).flags(FIN | ACK);
        let of_client = harness.to_server(40001, 20).at(5001, initial + 2).flags(FIN | ACK);
        all_pass(&harness, &[of_server, of_client]);
        assert_eq!(harness.counts(), [(Counter::FlowsEnded, 1)]);
        let [syn, ..] = active_handshake(&harness, 9000);
        assert_eq!(harness.pass(&syn), IS_DENIED);
        assert_eq!(harness.counts(), [(Counter::DeniedUsed, 1)]);
        assert_eq!(control.server(&harness, "226 done\r\n"), PASSES);
        harness.forget();
    }
}

#[test]
fn an_active_connection_comes_from_the_active_port_to_the_port_and_the_client_that_were_named() {
    let mut harness = Harness::new();
    let _control = accepted_port(&mut harness);
    let syn = harness.to_client(20, 40001).flags(SYN);
    for (client, port) in [(harness.who.client, 40002), (harness.who.other, 40001)] {
        assert_eq!(
            harness.kernel.run(harness.hook(false), &Tcp { destination: (client, port).into(), ..syn.clone() }.frame()),
            IS_DENIED
        );
        assert_eq!(harness.counts(), [(Counter::DeniedActive, 1)]);
    }
    // From another port it is not FTP's as far as can be told.
    all_pass(&harness, &[harness.to_client(2020, 40002).flags(SYN), syn]);
    assert_eq!(harness.counts(), []);
}

#[test]
fn a_passive_connection_comes_from_the_client_that_asked_unless_the_policy_lets_another() {
    for (flags, expected) in [(0, IS_DENIED), (flag::PASV_PROMISCUOUS, PASSES)] {
        let mut harness = Harness::with(|policy| policy.flags = flags);
        let _control = harness.expecting(INSIDE);
        let handshake = harness.handshake(50000, INSIDE);
        let other = Tcp { source: (harness.who.other, 50000).into(), ..handshake[0].clone() };
        assert_eq!(harness.pass(&other), expected);
        let counts = if expected == Verdict::Pass { vec![] } else { vec![(Counter::DeniedPassive, 1)] };
        assert_eq!(harness.counts(), counts);
        all_pass(&harness, &handshake);
        assert_eq!(harness.counts(), [(Counter::FlowsEstablished, 1)]);
    }
}

#[test]
fn with_both_ports_in_the_range_the_server_s_decides() {
    let mut harness = Harness::new();
    let _control = harness.expecting(INSIDE);
    let own = INSIDE + 5;
    let handshake = harness.handshake(own, INSIDE);
    let unexpected = Tcp { destination: (harness.who.server, INSIDE + 1).into(), ..handshake[0].clone() };
    assert_eq!(harness.pass(&unexpected), IS_DENIED);
    assert_eq!(harness.counts(), [(Counter::DeniedPassive, 1)]);
    all_pass(&harness, &handshake);
    assert_eq!(harness.counts(), [(Counter::FlowsEstablished, 1)]);
    // The server's host itself connects out, from a port in the range to one.
    all_pass(&harness, &[harness.to_client(INSIDE + 2, own).flags(SYN)]);
    assert_eq!(harness.counts(), []);
}

#[test]
fn a_port_in_the_range_of_another_server_only_is_not_guarded() {
    const OTHERS: u16 = 30_000;
    let mut harness = Harness::new();
    harness.kernel.mark_passive(&usual_policy(), OTHERS);
    all_pass(&harness, &[harness.syn(OTHERS)]);
    assert_eq!(harness.counts(), []);
}

#[test]
fn a_connection_from_the_active_port_into_the_range_must_be_expected_both_ways() {
    let mut harness = Harness::new();
    let _control = harness.expecting(INSIDE);
    // The client connects from port 20: that is its own business.
    all_pass(&harness, &[Tcp { source: (harness.who.client, 20).into(), ..harness.syn(INSIDE) }]);
    // The server connects from port 20 to a port of the client that lies in the range.
    assert_eq!(harness.pass(&harness.to_client(20, INSIDE).flags(SYN)), IS_DENIED);
    assert_eq!(harness.counts(), [(Counter::DeniedActive, 1)]);
    // And to a port of its own, in the range.
    let to_itself = Tcp { source: (harness.who.server, 20).into(), ..harness.syn(INSIDE + 1) };
    assert_eq!(harness.kernel.run(Hook::Ingress, &to_itself.frame()), IS_DENIED);
    assert_eq!(harness.counts(), [(Counter::DeniedPassive, 1)]);
}

#[test]
fn a_guessed_acknowledgement_does_not_use_an_expectation_up() {
    let mut harness = Harness::new();
    let _control = harness.expecting(INSIDE);
    let [syn, syn_ack, ack] = harness.handshake(50000, INSIDE);
    all_pass(&harness, &[syn]);
    assert_eq!(harness.pass(&Tcp { ack: 5001, ..ack.clone() }), IS_DENIED, "before the SYN-ACK");
    all_pass(&harness, &[syn_ack]);
    for off in [0, 5000, 5002] {
        assert_eq!(harness.pass(&Tcp { ack: off, ..ack.clone() }), IS_DENIED);
    }
    assert_eq!((harness.counts(), harness.expected()), (vec![(Counter::DeniedHandshake, 4)], 1));
    let flows: Vec<_> = harness.kernel.half_open.all().into_values().map(|entry| entry.flow.state).collect();
    assert_eq!(flows, [state::SYN_RECV]);
}

/// By the server's numbers, however often it says them: what confirms the connection, what crosses 64 KiB, and what ends.
#[test]
fn bytes_are_counted_each_way() {
    let mut harness = Harness::new();
    let _control = harness.expecting(INSIDE);
    all_pass(&harness, &harness.handshake(50000, INSIDE));
    let counted = |harness: &Harness| harness.kernel.flows.all().into_values().map(|flow| flow.bytes).next();
    let server = |seq, ack, length| harness.to_client(INSIDE, 50000).at(seq, ack).says(vec![0; length]);
    all_pass(&harness, &[server(5001, 1005, 1000), server(5001, 1005, 1000)]);
    assert_eq!(counted(&harness), Some([4, 1000]));
    let client = |seq| harness.to_server(50000, INSIDE).at(seq, 7001).says("data");
    all_pass(&harness, &[server(6001, 5001, 1000), client(5001), client(65_534), client(70_000)]);
    assert_eq!(counted(&harness), Some([4, 1000]), "it can wait, and a client can say what it likes");
    all_pass(&harness, &[server(65_530, 5001, 6)]);
    assert_eq!(counted(&harness), Some([4000, 60_535]));
    all_pass(&harness, &[server(65_536, 65_535, 0)]);
    assert_eq!(counted(&harness), Some([4000, 60_535]), "an acknowledgement in front of a border");
    all_pass(&harness, &[server(65_536, 65_537, 0), server(u32::MAX / 2, 65_537, 0)]);
    assert_eq!(counted(&harness), Some([64_536, 60_535]), "and behind one");
    all_pass(&harness, &[client(90_000).flags(ACK | FIN)]);
    assert_eq!(counted(&harness), Some([64_536, 60_535]), "a client's FIN, wherever it is");
}

#[test]
fn a_flow_that_its_client_resets_has_sent_at_least_what_was_counted() {
    let mut harness = Harness::new();
    harness.kernel.view_until(u64::MAX);
    let mut control = harness.control(40000);
    let mut ended = |harness: &mut Harness, end: Tcp| {
        control.exchange(harness, "EPSV\r\n", &format!("229 Entering (|||{INSIDE}|)\r\n"));
        let port = if end.source.port() == INSIDE { end.destination.port() } else { end.source.port() };
        all_pass(harness, &harness.handshake(port, INSIDE));
        all_pass(harness, &[harness.to_client(INSIDE, port).at(5001, 1001).says("data"), end]);
        let viewed = harness.kernel.viewed();
        let ended = viewed.iter().find(|event| event.kind == EventKind::FlowEnded.number()).expect("it ended");
        (ended.bytes, ended.flag)
    };
    let by_client = harness.to_server(50000, INSIDE).at(1001, 5005).flags(ACK | RST);
    assert_eq!(ended(&mut harness, by_client), ([0, 4], 1));
    let by_server = harness.to_client(INSIDE, 50001).at(5005, 1001).flags(ACK | RST);
    assert_eq!(ended(&mut harness, by_server), ([0, 4], 0));
    harness.kernel.view_until(0);
}

/// A data packet looks up what the server has closed where its place says that there is something: from the server's
/// FIN on, for as long as a cookie can live.
#[test]
fn what_opens_a_closed_connection_again_is_looked_for_while_its_place_says_so() {
    let mut harness = Harness::new();
    let _control = harness.expecting(INSIDE);
    let [syn, syn_ack, ack] = harness.handshake(50000, INSIDE);
    all_pass(&harness, &[syn, syn_ack, ack.clone()]);
    all_pass(&harness, &[harness.to_client(INSIDE, 50000).at(5001, 1001).says("data")]);
    let key = *harness.kernel.flows.all().keys().next().expect("a flow");
    assert_eq!(harness.kernel.closed_until(&key), 0);
    all_pass(&harness, &[harness.to_client(INSIDE, 50000).at(5005, 1001).flags(ACK | FIN)]);
    all_pass(&harness, &[harness.to_server(50000, INSIDE).at(1001, 5006).flags(ACK | FIN)]);
    harness.kernel.age(Duration::from_secs(6));
    assert_eq!(harness.pass(&ack), IS_DENIED);
    let until = harness.kernel.closed_until(&key);
    harness.kernel.set_closed_until(&key, 0);
    assert_eq!(harness.pass(&ack), PASSES, "the place says that there is nothing");
    // Jiffies of some kernel; at least 130 seconds, and 26 minutes at most.
    for (before, verdict) in [(130 * 100, IS_DENIED), (130 * 1200 + 1000, PASSES)] {
        harness.kernel.set_closed_until(&key, until.wrapping_sub(before) | 1);
        assert_eq!(harness.pass(&ack), verdict, "{before}");
    }
}
