//! Handshakes that end early, and numbers that come again.

use std::time::Duration;

use ftp_common::counter::Counter;
use ftp_common::flow::tcp::{ACK, FIN, RST, SYN};
use ftp_common::policy::option;
use ftptrack_tests::INSIDE;
use ftptrack_tests::subject::test_run::Hook;
use ftptrack_tests::subject::test_run::frame::Tcp;
use ftptrack_tests::subject::test_run::harness::{Control, Harness};

use crate::data::{accepted_port, active_handshake, all_pass};
use crate::{IS_DENIED, PASSES};

/// A client's connection of which the server has said nothing but its SYN-ACK; then another expectation of the port.
fn unconfirmed(harness: &mut Harness) -> (Control, [Tcp; 3]) {
    let mut control = harness.expecting(INSIDE);
    let handshake = harness.handshake(50000, INSIDE);
    all_pass(harness, &handshake);
    control.exchange(harness, "EPSV\r\n", &format!("229 Entering (|||{INSIDE}|)\r\n"));
    harness.forget();
    (control, handshake)
}

fn syn_again(harness: &Harness) -> Tcp {
    Tcp { seq: 9000, ..harness.syn(INSIDE) }
}

#[test]
fn a_client_s_reset_that_the_server_may_not_have_taken_keeps_the_numbers() {
    let mut harness = Harness::new();
    let (_control, [_, _, ack]) = unconfirmed(&mut harness);
    all_pass(&harness, &[ack.clone().flags(RST)]);
    assert_eq!(harness.counts(), [(Counter::FlowsEnded, 1)]);
    assert_eq!(harness.pass(&ack), IS_DENIED);
    assert_eq!(harness.pass(&syn_again(&harness)), IS_DENIED);
    assert_eq!(harness.counts(), [(Counter::DeniedUsed, 1), (Counter::DeniedTupleInUse, 1)]);
    harness.kernel.age(Duration::from_secs(131));
    assert_eq!(harness.pass(&ack), PASSES, "no cookie is that old");
}

#[test]
fn a_server_s_reset_frees_the_addresses_and_ports_and_not_the_numbers() {
    let mut harness = Harness::new();
    let (_control, [_, _, ack]) = unconfirmed(&mut harness);
    let reset = harness.to_client(INSIDE, 50000).at(5001, 1001).flags(RST);
    all_pass(&harness, &[Tcp { seq: 5002, ..reset.clone() }, Tcp { seq: 0, ..reset.clone() }]);
    assert_eq!(harness.counts(), [], "they answer segments of no connection");
    all_pass(&harness, &[reset]);
    assert_eq!(harness.counts(), [(Counter::FlowsEnded, 1)]);
    assert_eq!(harness.pass(&ack), IS_DENIED, "a cookie counts again");
    assert_eq!(harness.counts(), [(Counter::DeniedHandshake, 1)]);
    all_pass(&harness, &[syn_again(&harness)]);
}

#[test]
fn a_server_that_opened_a_connection_may_reset_it_and_open_another() {
    let mut harness = Harness::new();
    let mut control = accepted_port(&mut harness);
    for initial in [1000, 2000] {
        let handshake = active_handshake(&harness, initial);
        all_pass(&harness, &handshake);
        all_pass(&harness, &[handshake[2].clone().flags(RST)]);
        assert_eq!(harness.counts(), [(Counter::FlowsEstablished, 1), (Counter::FlowsEnded, 1)]);
        control.exchange(&harness, "PORT 10,0,1,2,156,65\r\n", "200 ok\r\n");
        harness.forget();
    }
}

/// A host answers a SYN by an acknowledgement where it has an open connection. A client may say so of a SYN that the
/// server's host still waits with.
#[test]
fn a_client_that_acknowledges_something_else_gets_no_connection_beside_its_expectation() {
    for (number, ends) in [(1001, false), (7000, false), (1001, true), (7000, true)] {
        let mut harness = Harness::new();
        let control = accepted_port(&mut harness);
        let [syn, syn_ack, ack] = active_handshake(&harness, 1000);
        all_pass(&harness, &[syn, harness.to_server(40001, 20).at(5000, number)]);
        if !ends {
            all_pass(&harness, &[syn_ack, ack]);
            assert_eq!(harness.counts(), [(Counter::FlowsEstablished, 1)], "{number}");
            continue;
        }
        all_pass(&harness, &[control.client_segment(&harness, "").flags(RST | ACK)]);
        harness.forget();
        all_pass(&harness, &[syn_ack]);
        assert_eq!(harness.pass(&ack), IS_DENIED, "its session has ended");
        assert_eq!(harness.counts(), [(Counter::DeniedUsed, 1)]);
    }
}

/// With bad checksums the server's TCP takes neither of the two, and may be told a right SYN-ACK when the session is over.
#[test]
fn a_client_s_data_before_the_server_s_acknowledgement_uses_nothing_up() {
    for flags in [ACK, FIN] {
        let mut harness = Harness::new();
        let control = accepted_port(&mut harness);
        let [syn, syn_ack, ack] = active_handshake(&harness, 1000);
        let data = harness.to_server(40001, 20).at(5001, 1001).flags(flags).says("data");
        all_pass(&harness, &[syn, syn_ack.clone(), data, control.client_segment(&harness, "").flags(RST | ACK)]);
        harness.forget();
        all_pass(&harness, &[syn_ack]);
        assert_eq!(harness.pass(&ack), IS_DENIED, "its session has ended");
        assert_eq!(harness.counts(), [(Counter::DeniedUsed, 1)]);
    }
}

/// The server's TCP may hold its end of a connection for longer than a handshake is remembered, and repeat what it says.
#[test]
fn what_a_server_opened_besides_is_denied_for_as_long_as_it_goes_on() {
    let mut harness = Harness::new();
    let _control = accepted_port(&mut harness);
    all_pass(&harness, &active_handshake(&harness, 1000));
    // Its session is gone before the client has shown anything: the server's segments are denied from now on.
    harness.kernel.sessions.empty();
    let word = harness.to_client(20, 40001).at(1001, 5001).says("data");
    for _ in 0..3 {
        assert_eq!(harness.pass(&word), IS_DENIED);
        harness.kernel.age(Duration::from_secs(100));
    }
    harness.kernel.age(Duration::from_secs(131));
    assert_eq!(harness.pass(&word), PASSES, "nobody has heard of it for long");
}

/// Two SYNs that cross make a connection, too, of one that was denied as well: the server's TCP still waits.
#[test]
fn no_syn_of_a_client_s_crosses_the_server_s() {
    let mut harness = Harness::new();
    let [syn, ..] = active_handshake(&harness, 1000);
    let crossing = harness.to_server(40001, 20).at(5000, 0).flags(SYN);
    assert_eq!([harness.pass(&syn), harness.pass(&crossing)], [IS_DENIED; 2]);
    assert_eq!(harness.counts(), [(Counter::DeniedActive, 2)]);
    let _control = accepted_port(&mut harness);
    all_pass(&harness, &[syn]);
    assert_eq!(harness.pass(&crossing), IS_DENIED);
    assert_eq!(harness.counts(), [(Counter::DeniedActive, 1)]);
    // Of another server, or to another port, it is nobody's business.
    let elsewhere = Tcp { destination: (harness.who.other, 20).into(), ..crossing.clone() };
    let beside = Tcp { destination: (harness.who.server, 2020).into(), ..crossing };
    all_pass(&harness, &[elsewhere, beside]);
}

/// The numbers of a handshake that was completed and confirmed, while the connection goes on and when it has ended.
#[test]
fn a_completed_handshake_begins_nothing_when_the_server_has_closed() {
    for options in [0, option::NO_ACCOUNTING] {
        let mut harness = Harness::new();
        harness.kernel.set_options(options);
        let _control = harness.expecting(INSIDE);
        let handshake = harness.handshake(50000, INSIDE);
        all_pass(&harness, &handshake);
        let first = handshake[2].clone().says("data");
        let confirms = harness.to_client(INSIDE, 50000).at(5001, 1005);
        all_pass(&harness, &[first.clone(), confirms.clone(), first.clone(), handshake[2].clone()]);
        all_pass(&harness, &[confirms.clone().flags(ACK | FIN)]);
        harness.forget();
        // A client that closes at the same time, or repeats what was lost.
        all_pass(&harness, &[first.clone(), handshake[2].clone()]);
        harness.kernel.age(Duration::from_secs(5));
        // The server's host forgets what the client never closes (FIN_WAIT2).
        assert_eq!([harness.pass(&handshake[2]), harness.pass(&first)], [IS_DENIED; 2]);
        assert_eq!(harness.counts(), [(Counter::DeniedHandshake, 2)]);
        let other = Tcp { seq: 1009, ..first.clone() };
        all_pass(&harness, &[other.clone(), Tcp { ack: 5009, ..first.clone() }]);
        all_pass(&harness, &[Tcp { seq: 1009, ack: 5002, ..handshake[2].clone() }.flags(ACK | FIN)]);
        assert_eq!(harness.counts(), [(Counter::FlowsEnded, 1)]);
        assert_eq!([harness.pass(&handshake[2]), harness.pass(&first)], [IS_DENIED; 2]);
        all_pass(&harness, &[other, first.flags(RST)]);
        assert_eq!(harness.counts(), [(Counter::DeniedHandshake, 2)]);
    }
}

#[test]
fn a_reset_connection_begins_no_more_at_once() {
    let mut harness = Harness::new();
    let _control = harness.expecting(INSIDE);
    let handshake = harness.handshake(50000, INSIDE);
    all_pass(&harness, &handshake);
    let data = harness.to_client(INSIDE, 50000).at(5001, 1001).says("data");
    all_pass(&harness, &[data, handshake[2].clone(), handshake[2].clone().flags(RST)]);
    harness.forget();
    assert_eq!(harness.pass(&handshake[2]), IS_DENIED);
    assert_eq!(harness.counts(), [(Counter::DeniedHandshake, 1)]);
}

#[test]
fn the_numbers_of_a_server_s_own_connection_are_its_own_business() {
    let mut harness = Harness::new();
    let _control = accepted_port(&mut harness);
    let handshake = active_handshake(&harness, 1000);
    all_pass(&harness, &handshake);
    all_pass(&harness, &[harness.to_server(40001, 20).at(5001, 1001).says("data")]);
    all_pass(&harness, &[handshake[2].clone().flags(RST), handshake[2].clone(), handshake[1].clone()]);
    assert_eq!(handshake[1].flags, SYN | ACK);
    assert_eq!(harness.counts(), [(Counter::FlowsEstablished, 1), (Counter::FlowsEnded, 1)]);
}

/// Who closes first is the client, and nothing was sent: its last acknowledgement looks as the first did.
#[test]
fn the_last_acknowledgement_of_an_empty_upload_passes_once_for_each_fin() {
    let mut harness = Harness::new();
    let _control = harness.expecting(INSIDE);
    let handshake = harness.handshake(50000, INSIDE);
    all_pass(&harness, &handshake);
    let fin = harness.to_client(INSIDE, 50000).at(5001, 1002).flags(ACK | FIN);
    let last = harness.to_server(50000, INSIDE).at(1002, 5002);
    all_pass(&harness, &[handshake[2].clone().flags(ACK | FIN), fin.clone()]);
    harness.forget();
    all_pass(&harness, &[fin.clone(), fin.clone(), last.clone()]);
    assert_eq!([harness.pass(&last), harness.pass(&handshake[2])], [IS_DENIED; 2]);
    all_pass(&harness, &[fin, last.clone()]);
    assert_eq!(harness.pass(&last), IS_DENIED);
    assert_eq!(harness.counts(), [(Counter::DeniedHandshake, 3)]);
}

/// Each may have been a cookie's, and the next one needs a place, too.
#[test]
fn addresses_and_ports_are_used_three_times_in_two_minutes() {
    let mut harness = Harness::new();
    let mut control = harness.expecting(INSIDE);
    let connect = |harness: &Harness, n: u32| {
        let [syn, syn_ack, ack] = harness.handshake(50000, INSIDE);
        let [syn, ack] = [syn, ack].map(|tcp| Tcp { seq: tcp.seq + n * 1000, ..tcp });
        let syn_ack = Tcp { ack: syn_ack.ack + n * 1000, ..syn_ack };
        let reset = harness.to_client(INSIDE, 50000).at(5001, ack.seq).flags(RST);
        (syn.clone(), [syn, syn_ack, ack, reset])
    };
    for n in 0..3 {
        all_pass(&harness, &connect(&harness, n).1);
        control.exchange(&harness, "EPSV\r\n", &format!("229 Entering (|||{INSIDE}|)\r\n"));
    }
    harness.forget();
    assert_eq!(harness.pass(&connect(&harness, 3).0), IS_DENIED);
    assert_eq!(harness.counts(), [(Counter::DeniedTupleInUse, 1)]);
    harness.kernel.age(Duration::from_secs(131));
    all_pass(&harness, &connect(&harness, 3).1);
}

/// Its client never acknowledges the server's FIN, so its entry stays.
#[test]
fn a_session_whose_server_has_closed_owns_nothing() {
    let mut harness = Harness::new();
    let control = harness.expecting(INSIDE);
    let handshake = harness.handshake(50000, INSIDE);
    all_pass(&harness, &handshake);
    all_pass(&harness, &[control.server_segment(&harness, "").flags(FIN | ACK)]);
    harness.forget();
    assert_eq!(harness.kernel.sessions.all().len(), 1);
    assert_eq!(harness.pass(&handshake[2]), IS_DENIED);
    assert_eq!(harness.counts(), [(Counter::DeniedSessionGone, 1)]);
}

/// Where clients are, nobody speaks for a server.
#[test]
fn a_neighbour_ends_no_connection() {
    let mut harness = Harness::new();
    let _control = harness.expecting(INSIDE);
    all_pass(&harness, &harness.handshake(50000, INSIDE));
    let data = harness.to_client(INSIDE, 50000).at(5001, 1001).says("data");
    all_pass(&harness, &[data]);
    harness.forget();
    let reset = harness.to_client(INSIDE, 50000).at(5005, 1001).flags(RST);
    assert_eq!(harness.kernel.run(Hook::Ingress, &reset.frame()), PASSES);
    assert_eq!((harness.counts(), harness.kernel.flows.all().len()), (vec![], 1));
    all_pass(&harness, &[reset]);
    assert_eq!((harness.counts(), harness.kernel.flows.all().len()), (vec![(Counter::FlowsEnded, 1)], 0));
}
