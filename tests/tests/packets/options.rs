//! What the policy may ask for besides: modes refused, active mode from any port, marks, no accounting.

use ftp_common::counter::Counter;
use ftp_common::flow::tcp::{ACK, FIN, RST, SYN};
use ftp_common::keys::Mode;
use ftp_common::policy::{flag, option};
use ftptrack_tests::INSIDE;
use ftptrack_tests::subject::test_run::frame::Tcp;
use ftptrack_tests::subject::test_run::harness::Harness;
use ftptrack_tests::subject::test_run::{Hook, LOCAL};

use crate::{IS_DENIED, PASSES};

#[test]
fn a_mode_that_is_refused_opens_nothing_and_its_ports_stay_guarded() {
    let mut harness = Harness::with(|policy| policy.flags = flag::NO_PASSIVE | flag::NO_ACTIVE);
    let mut control = harness.control(40000);
    control.exchange(&harness, "EPSV\r\n", &format!("229 Entering (|||{INSIDE}|)\r\n"));
    control.exchange(&harness, "PORT 10,0,1,2,156,65\r\n", "200 ok\r\n");
    assert_eq!(harness.expected(), 0);
    harness.forget();
    assert_eq!(harness.pass(&harness.syn(INSIDE)), IS_DENIED);
    assert_eq!(harness.pass(&harness.to_client(20, 40001).at(1, 0).flags(SYN)), IS_DENIED);
    assert_eq!(harness.counts(), [(Counter::DeniedPassive, 1), (Counter::DeniedActive, 1)]);
}

/// The handshake of a connection from a port of the server.
fn active_handshake(harness: &Harness, from: u16, to: u16) -> [Tcp; 3] {
    [
        harness.to_client(from, to).at(1, 0).flags(SYN),
        harness.to_server(to, from).at(5000, 2).flags(SYN | ACK),
        harness.to_client(from, to).at(2, 5001),
    ]
}

#[test]
fn active_mode_from_any_port_is_followed_where_expected_and_never_denied() {
    let mut harness = Harness::with(|policy| {
        policy.active_port = 0;
        policy.flags = flag::ACTIVE_ANY;
    });
    let mut control = harness.control(40000);
    control.exchange(&harness, "PORT 10,0,1,2,156,65\r\n", "200 ok\r\n");
    assert_eq!(harness.expected(), 1);
    harness.forget();
    for tcp in active_handshake(&harness, 34567, 40001) {
        assert_eq!(harness.pass(&tcp), PASSES, "{tcp:?}");
    }
    assert_eq!(harness.counts(), [(Counter::FlowsEstablished, 1)]);
    let flows: Vec<_> = harness.kernel.half_open.all().into_values().collect();
    assert_eq!((flows.len(), flows[0].flow.mode), (1, Mode::Active.number()));
    // Nobody expects these; they are the server's own business.
    for tcp in [active_handshake(&harness, 34567, 40002), active_handshake(&harness, 34568, 40001)].concat() {
        assert_eq!(harness.pass(&tcp), PASSES, "{tcp:?}");
    }
    assert_eq!(harness.counts(), []);
    assert_eq!(harness.kernel.half_open.all().len(), 1);
}

#[test]
fn data_packets_that_are_let_in_get_the_mark_in_its_mask_only() {
    let mut harness = Harness::with(|policy| {
        policy.mark = 0x12;
        policy.mark_mask = 0xff;
    });
    harness.kernel.set_options(option::MARKS);
    let _control = harness.expecting(INSIDE);
    let marked = |hook, tcp: &Tcp| harness.kernel.run_marked(hook, &tcp.frame(), 0xab00_00ff);
    let [syn, syn_ack, ack] = harness.handshake(50000, INSIDE);
    assert_eq!(marked(Hook::Ingress, &syn), (PASSES, 0xab00_0012));
    assert_eq!(marked(LOCAL, &syn_ack), (PASSES, 0xab00_00ff), "egress");
    assert_eq!(marked(Hook::Ingress, &ack), (PASSES, 0xab00_0012));
    let spoofed = Tcp { source: (harness.who.other, 50000).into(), ..syn };
    assert_eq!(marked(Hook::Ingress, &spoofed), (IS_DENIED, 0xab00_00ff));
    let lost = harness.to_server(50009, INSIDE).at(1, 1).says("the flow of this one was pushed out");
    assert_eq!(marked(Hook::Ingress, &lost), (PASSES, 0xab00_0012));
    for tcp in [harness.to_server(50000, 21), harness.to_server(50000, 80)] {
        assert_eq!(marked(Hook::Ingress, &tcp), (PASSES, 0xab00_00ff), "no data connection");
    }
}

#[test]
fn what_monitor_mode_lets_pass_gets_no_mark() {
    let harness = Harness::with(|policy| {
        policy.flags = flag::MONITOR;
        policy.mark = 0x12;
        policy.mark_mask = 0xff;
    });
    let marked = |tcp: &Tcp| harness.kernel.run_marked(Hook::Ingress, &tcp.frame(), 0xab00_00ff);
    assert_eq!(marked(&harness.syn(INSIDE)), (PASSES, 0xab00_00ff), "nobody negotiated it");
}

#[test]
fn active_mode_from_any_port_marks_expected_connections_only() {
    let mut harness = Harness::with(|policy| {
        policy.active_port = 0;
        policy.flags = flag::ACTIVE_ANY;
        policy.mark = 1;
        policy.mark_mask = 1;
    });
    harness.kernel.set_options(option::MARKS);
    let mut control = harness.control(40000);
    control.exchange(&harness, "PORT 10,0,1,2,156,65\r\n", "200 ok\r\n");
    let [syn, syn_ack, _] = active_handshake(&harness, 34567, 40001);
    assert_eq!(harness.pass(&syn), PASSES);
    let marked = |tcp: &Tcp| harness.kernel.run_marked(Hook::Ingress, &tcp.frame(), 0).1;
    assert_eq!(marked(&syn_ack), 1);
    assert_eq!(marked(&harness.to_server(40001, 5432).at(1, 1).flags(SYN | ACK)), 0);
    assert_eq!(marked(&harness.to_server(40001, 5432).at(1, 0).flags(SYN)), 0);
}

#[test]
fn without_accounting_flows_are_known_and_not_counted() {
    let mut harness = Harness::new();
    harness.kernel.set_options(option::NO_ACCOUNTING);
    let _control = harness.expecting(INSIDE);
    for tcp in harness.handshake(50000, INSIDE) {
        assert_eq!(harness.pass(&tcp), PASSES);
    }
    assert_eq!(harness.pass(&harness.to_client(INSIDE, 50000).at(5001, 1001).says("data")), PASSES);
    let flows: Vec<_> = harness.kernel.flows.all().into_values().collect();
    assert_eq!((flows.len(), flows[0].bytes), (1, [0, 0]));
    assert_eq!(harness.counts(), [(Counter::FlowsEstablished, 1)]);
}

/// Segments of the end that did not begin are passed without a look at the flow. What completes and ends one
/// is looked at all the same.
#[test]
fn without_accounting_flows_begin_and_end_in_both_modes() {
    let mut harness = Harness::new();
    harness.kernel.set_options(option::NO_ACCOUNTING);
    let mut control = harness.expecting(INSIDE);
    for tcp in harness.handshake(50000, INSIDE) {
        assert_eq!(harness.pass(&tcp), PASSES);
    }
    control.exchange(&harness, "PORT 10,0,1,2,156,65\r\n", "200 ok\r\n");
    for tcp in active_handshake(&harness, 20, 40001) {
        assert_eq!(harness.pass(&tcp), PASSES);
    }
    harness.forget();
    assert_eq!(harness.kernel.half_open.all().len(), 2);
    let ends = [
        harness.to_client(INSIDE, 50000).at(5001, 1001).says("data"),
        harness.to_client(INSIDE, 50000).at(5005, 1001).flags(ACK | FIN),
        harness.to_server(50000, INSIDE).at(1001, 5006).flags(ACK | FIN),
        harness.to_server(40001, 20).at(5001, 2).says("data"),
        harness.to_server(40001, 20).at(5005, 2).flags(ACK | RST),
    ];
    for tcp in ends {
        assert_eq!(harness.pass(&tcp), PASSES, "{tcp:?}");
    }
    assert_eq!(harness.kernel.flows.all().len(), 0);
    assert_eq!(harness.counts(), [(Counter::FlowsEnded, 2)]);
}
