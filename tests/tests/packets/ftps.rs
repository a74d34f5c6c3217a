//! Encrypted control connections: what they open to their client, and what not.

use ftp_common::counter::Counter;
use ftp_common::flow::tcp::{ACK, FIN, SYN};
use ftp_common::policy::flag;
use ftptrack_tests::INSIDE;
use ftptrack_tests::subject::test_run::frame::Tcp;
use ftptrack_tests::subject::test_run::harness::{Control, Harness};

use crate::{IS_DENIED, PASSES};

fn client_range() -> Harness {
    Harness::with(|policy| policy.flags = flag::FTPS_CLIENT_RANGE)
}

/// A session that an AUTH has made opaque.
fn encrypted(harness: &mut Harness, client_port: u16) -> Control {
    let mut control = harness.control(client_port);
    control.exchange(harness, "AUTH TLS\r\n", "234 go on\r\n");
    control
}

fn syn_from(harness: &Harness, port: u16) -> Tcp {
    Tcp { source: (harness.who.client, port).into(), ..harness.syn(INSIDE) }
}

#[test]
fn an_accepted_auth_opens_the_range_to_its_client_where_the_policy_says_so() {
    let mut harness = client_range();
    let _control = encrypted(&mut harness, 40000);
    harness.forget();
    for port in 50000..50010 {
        for tcp in harness.handshake(port, INSIDE) {
            assert_eq!(harness.pass(&tcp), PASSES, "{tcp:?}");
        }
    }
    assert_eq!(harness.counts(), [(Counter::FlowsEstablished, 10)]);
    let other = Tcp { source: (harness.who.other, 50000).into(), ..harness.syn(INSIDE) };
    assert_eq!(harness.pass(&other), IS_DENIED);
    assert_eq!(harness.counts(), [(Counter::DeniedPassive, 1)]);
}

#[test]
fn an_accepted_auth_opens_nothing_otherwise() {
    let mut harness = Harness::new();
    let _control = encrypted(&mut harness, 40000);
    harness.forget();
    assert_eq!(harness.pass(&harness.syn(INSIDE)), IS_DENIED);
    assert_eq!(harness.counts(), [(Counter::DeniedEncrypted, 1)]);
}

#[test]
fn a_refused_or_unanswered_auth_opens_nothing() {
    let harness = client_range();
    let mut control = harness.control(40000);
    control.exchange(&harness, "AUTH TLS\r\n", "530 no\r\n");
    assert_eq!(harness.pass(&harness.syn(INSIDE)), IS_DENIED);
    assert_eq!(control.client(&harness, "AUTH TLS\r\n"), PASSES);
    assert_eq!(harness.pass(&harness.syn(INSIDE)), IS_DENIED);
}

#[test]
fn the_range_is_shut_when_the_last_such_session_has_ended() {
    let mut harness = client_range();
    // More sessions than are remembered: the server's word brings each back.
    let mut controls: Vec<_> = (40000..40006).map(|port| encrypted(&mut harness, port)).collect();
    while let Some(mut control) = controls.pop() {
        assert_eq!(control.server(&harness, "\x17\x03\x03"), PASSES);
        assert_eq!(harness.pass(&syn_from(&harness, control.client_port + 10_000)), PASSES);
        let end = control.server_segment(&harness, "").flags(FIN | ACK);
        assert_eq!(harness.pass(&end), PASSES);
        if let Some(other) = controls.last_mut() {
            assert_eq!(other.server(&harness, "\x17\x03\x03"), PASSES);
            assert_eq!(harness.pass(&syn_from(&harness, other.client_port + 5_000)), PASSES);
        }
    }
    harness.forget();
    assert_eq!(harness.pass(&syn_from(&harness, 60000)), IS_DENIED);
    assert_eq!(harness.counts(), [(Counter::DeniedPassive, 1)]);
}

#[test]
fn tls_in_the_place_of_a_greeting_is_implicit_ftps() {
    let mut harness = client_range();
    let mut control = harness.begun(40000);
    assert_eq!(control.client(&harness, "\x16\x03\x01\x00\x05hello"), PASSES);
    assert_eq!(harness.pass(&harness.syn(INSIDE)), IS_DENIED, "the server has not spoken");
    assert_eq!(control.server(&harness, "\x16\x03\x03\x00\x05hello"), PASSES);
    harness.forget();
    assert_eq!(harness.pass(&harness.syn(INSIDE)), PASSES);
    assert_eq!(harness.counts(), []);
    let mut plain = harness.control(40001);
    plain.exchange(&harness, "STAT\r\n", "211-x\r\n\x16\x03\x03\r\n211 end\r\n");
    assert_eq!(plain.session(&harness).expect("followed").server.opaque, 0);
}

#[test]
fn a_session_of_multipath_tcp_opens_no_range() {
    let mut harness = client_range();
    let syn_ack = harness.to_client(21, 40000).at(99, 10).flags(SYN | ACK);
    let syn_ack = Tcp { options: vec![30, 4, 0, 0], ..syn_ack };
    for tcp in [syn_ack, harness.to_server(40000, 21).at(10, 100)] {
        assert_eq!(harness.pass(&tcp), PASSES);
    }
    assert_eq!(harness.pass(&harness.to_client(21, 40000).at(100, 10).says("220 hello\r\n")), PASSES);
    assert_eq!(harness.counts(), [(Counter::SessionsMultipath, 1)]);
    assert_eq!(harness.pass(&harness.syn(INSIDE)), IS_DENIED);
}
