//! Links, sides and addresses.

use std::net::{IpAddr, SocketAddr};

use ftp_common::counter::Counter;
use ftp_common::flow::tcp::{ACK, RST, SYN};
use ftp_common::policy::flag;
use ftptrack_tests::INSIDE;
use ftptrack_tests::subject::test_run::frame::{SERVICE_VLAN, Tcp, VLAN, of_vlans, tagged};
use ftptrack_tests::subject::test_run::harness::{Addresses, Harness, usual_policy};
use ftptrack_tests::subject::test_run::{FORWARDED, Hook, INTERFACE, LOCAL, Setup};

use crate::{IS_DENIED, PASSES};

#[test]
fn one_or_two_vlan_tags_change_nothing() {
    for tags in [&[VLAN][..], &[SERVICE_VLAN], &[SERVICE_VLAN, VLAN], &[VLAN, VLAN]] {
        for who in [Addresses::v4(), Addresses::v6()] {
            let mut harness = Harness::of(Setup::SERVERS_BEHIND, who, usual_policy());
            let control = harness.expecting(INSIDE);
            let frame = |tcp: &Tcp| tagged(&tcp.packet(), tags);
            assert_eq!(harness.pass_frame(true, &frame(&harness.syn(INSIDE + 1))), IS_DENIED, "{tags:x?}");
            assert_eq!(harness.counts(), [(Counter::DeniedPassive, 1)]);
            assert_eq!(harness.pass_frame(true, &frame(&harness.syn(INSIDE))), PASSES, "{tags:x?}");
            assert_eq!(harness.pass_frame(true, &frame(&harness.syn(80))), PASSES);
            let noop = control.client_segment(&harness, "NOOP\r\n");
            assert_eq!(harness.pass_frame(true, &frame(&noop)), PASSES);
            assert_eq!(harness.counts(), [(Counter::Commands, 1)]);
        }
    }
}

#[test]
fn a_third_vlan_tag_hides_a_packet_that_no_host_takes_for_its_own() {
    let mut harness = Harness::new();
    let frame = tagged(&harness.syn(INSIDE).packet(), &[VLAN, VLAN, VLAN]);
    assert_eq!(harness.pass_frame(true, &frame), PASSES);
    assert_eq!(harness.counts(), []);
}

/// Linux takes off as many as there are; a tag with a VLAN leads to another interface.
#[test]
fn priority_tags_are_followed_and_too_many_of_them_are_denied() {
    let mut harness = Harness::new();
    let mut control = harness.expecting(INSIDE);
    let stack =
        |count: usize| -> Vec<_> { [(VLAN, 0), (SERVICE_VLAN, 5 << 13)].into_iter().cycle().take(count).collect() };
    for count in 1..=8 {
        let denied = of_vlans(&harness.syn(INSIDE + 1).packet(), &stack(count));
        assert_eq!(harness.pass_frame(true, &denied), IS_DENIED, "{count}");
        assert_eq!(harness.counts(), [(Counter::DeniedPassive, 1)]);
        let noop = control.client_segment(&harness, "NOOP\r\n");
        control.client_next = control.client_next.wrapping_add(6);
        assert_eq!(harness.pass_frame(true, &of_vlans(&noop.packet(), &stack(count))), PASSES);
        assert_eq!(harness.counts(), [(Counter::Commands, 1)]);
    }
    // Going out as well: where servers are beyond, and a bridge takes frames as they come.
    for (count, ingress) in (9..=12).flat_map(|count| [(count, true), (count, false)]) {
        for tcp in [harness.syn(INSIDE + 1), harness.syn(INSIDE), harness.syn(80)] {
            assert_eq!(harness.pass_frame(ingress, &of_vlans(&tcp.packet(), &stack(count))), IS_DENIED);
            assert_eq!(harness.counts(), [(Counter::DeniedVlanTags, 1)], "{count}");
        }
    }
    let mut elsewhere = stack(2);
    elsewhere.extend([(VLAN, 42), (VLAN, 0), (VLAN, 0)]);
    assert_eq!(harness.pass_frame(true, &of_vlans(&harness.syn(INSIDE + 1).packet(), &elsewhere)), PASSES);
    assert_eq!(harness.counts(), []);
}

/// A neighbour speaks from port 21, and this host sends it on by the interface that it came by, masqueraded: no server
/// behind it has said that.
#[test]
fn what_goes_out_where_it_came_in_is_no_server_s() {
    let mut harness = Harness::new();
    let mut control = harness.control(40000);
    assert_eq!(control.client(&harness, "EPSV\r\n"), PASSES);
    harness.forget();
    let reply = control.server_segment(&harness, &format!("229 Entering Extended Passive Mode (|||{INSIDE}|)\r\n"));
    let hairpin = Hook::Egress { came_in_by: INTERFACE };
    assert_eq!(harness.kernel.run(hairpin, &reply.frame()), IS_DENIED);
    assert_eq!((harness.counts(), harness.expected()), (vec![(Counter::DeniedWrongDirection, 1)], 0));
    assert_eq!(harness.kernel.run(FORWARDED, &reply.frame()), PASSES);
    assert_eq!(harness.expected(), 1);
}

/// Both are guarded: on loopback, or two servers behind one gateway.
#[test]
fn a_client_whose_own_port_is_guarded_gets_what_its_session_negotiated() {
    for foreign in [false, true] {
        let mut policy = usual_policy();
        policy.flags = flag::PORT_PROMISCUOUS;
        let mut harness = Harness::of(Setup::LOOPBACK, Addresses::v4(), policy);
        let Addresses { server, client, other } = harness.who;
        let named = if foreign { other } else { client };
        harness.kernel.apply(&policy, &[(server, 32), (named, 32)]);
        let mut control = harness.control(40000);
        let IpAddr::V4(address) = named else { panic!("IPv4") };
        let [a, b, c, d] = address.octets();
        let [high, low] = INSIDE.to_be_bytes();
        control.exchange(&harness, &format!("PORT {a},{b},{c},{d},{high},{low}\r\n"), "200 ok\r\n");
        assert_eq!(harness.expected(), 1);
        let syn = Tcp::between(SocketAddr::new(server, 20), SocketAddr::new(named, INSIDE)).at(1000, 0).flags(SYN);
        let verdict = if foreign { IS_DENIED } else { PASSES };
        assert_eq!(harness.kernel.run(LOCAL, &syn.frame()), verdict, "foreign: {foreign}");
    }
}

#[test]
fn mapped_addresses_on_the_wire_are_denied_to_and_from_a_server() {
    let mut harness = Harness::new();
    let mapped = |address: IpAddr| match address {
        IpAddr::V4(v4) => IpAddr::from(v4.to_ipv6_mapped()),
        v6 @ IpAddr::V6(_) => v6,
    };
    let between = |from: IpAddr, from_port, to: IpAddr, to_port| {
        Tcp::between(SocketAddr::new(mapped(from), from_port), SocketAddr::new(mapped(to), to_port))
    };
    let Addresses { server, client, .. } = harness.who;
    for (to_server, tcp) in [
        (true, between(client, 50000, server, INSIDE).flags(SYN)),
        (true, between(client, 40000, server, 21)),
        (true, between(client, 40000, server, 21).flags(SYN)),
        (false, between(server, 21, client, 40000).says("220 hello\r\n")),
        (false, between(server, 20, client, 40001).flags(SYN)),
    ] {
        let frame = tcp.frame();
        assert_eq!(harness.pass_frame(to_server, &frame), IS_DENIED, "{tcp:?}");
        assert_eq!(harness.counts(), [(Counter::DeniedMappedAddress, 1)], "{tcp:?}");
    }
    assert_eq!(harness.pass_frame(true, &between(client, 50000, server, 80).flags(SYN).frame()), PASSES);
    assert_eq!(harness.counts(), []);
}

#[test]
fn a_link_local_session_is_known_by_its_interface_too() {
    let mut harness = Harness::of(Setup::SERVERS_BEHIND, Addresses::link_local(), usual_policy());
    let _control = harness.expecting(INSIDE);
    let scopes: Vec<_> = harness.kernel.expectations.all().into_keys().map(|key| key.scope).collect();
    assert_eq!(scopes, [INTERFACE]);
    for tcp in harness.handshake(50000, INSIDE) {
        assert_eq!(harness.pass(&tcp), PASSES);
    }
    assert_eq!(harness.counts(), [(Counter::FlowsEstablished, 1)]);
}

/// The first bytes of such addresses stand where an ethernet type would: BPF_PROG_TEST_RUN, which
/// always makes ethernet frames, takes the packet's protocol from there.
fn without_link_header() -> [Addresses; 2] {
    let of = |texts: [&str; 3]| {
        let [server, client, other] = texts.map(|text| text.parse().unwrap());
        Addresses { server, client, other }
    };
    [of(["8.0.0.1", "8.0.0.2", "8.0.0.3"]), of(["2001:db8:86dd::1", "2001:db8:86dd::2", "2001:db8:86dd::3"])]
}

#[test]
fn a_device_without_link_header_is_read_from_the_first_byte_on() {
    for who in without_link_header() {
        let mut harness = Harness::of(Setup::NO_LINK_HEADER, who, usual_policy());
        assert_eq!(harness.pass_frame(true, &harness.syn(INSIDE).packet()), IS_DENIED, "{who:?}");
        assert_eq!(harness.counts(), [(Counter::DeniedPassive, 1)]);
        assert_eq!(harness.pass_frame(true, &harness.syn(80).packet()), PASSES);
        let fragment = harness.syn(80).fragment(&[0; 64], 8, false);
        assert_eq!(harness.pass_frame(true, &fragment), IS_DENIED, "{who:?}");
        assert_eq!(harness.counts(), [(Counter::DeniedFragment, 1)]);
        let met = harness.to_client(21, 40000).at(1, 1).says("220 hello\r\n").packet();
        assert_eq!(harness.pass_frame(false, &met), PASSES);
        assert_eq!(harness.counts(), [(Counter::SessionsMidstream, 1)]);
    }
}

#[test]
fn control_data_from_the_wrong_direction_is_denied_at_both_hooks_and_both_sides() {
    for (setup, client_at, server_at) in [
        (Setup::SERVERS_BEHIND, Hook::Ingress, LOCAL),
        (Setup::SERVERS_BEHIND, Hook::Ingress, FORWARDED),
        (Setup::SERVERS_BEYOND, LOCAL, Hook::Ingress),
        (Setup::SERVERS_BEYOND, FORWARDED, Hook::Ingress),
    ] {
        let mut harness = Harness::of(setup, Addresses::v4(), usual_policy());
        let client = harness.to_server(40000, 21).says("PASV\r\n");
        let server = harness.to_client(21, 40000).says("227 (10,0,1,1,58,152)\r\n");
        let reset = harness.to_client(21, 40000).flags(RST);
        let answer = harness.to_client(21, 40000).flags(SYN | ACK);
        for (tcp, wrong, right) in [
            (client.clone(), server_at, client_at),
            (client.flags(SYN).says(""), server_at, client_at),
            (server, client_at, server_at),
            (reset, client_at, server_at),
            (answer, client_at, server_at),
        ] {
            assert_eq!(harness.kernel.run(wrong, &tcp.frame()), IS_DENIED, "{setup:?} {wrong:?} {tcp:?}");
            assert_eq!(harness.counts(), [(Counter::DeniedWrongDirection, 1)]);
            assert_eq!(harness.kernel.run(right, &tcp.frame()), PASSES, "{setup:?} {right:?} {tcp:?}");
            harness.forget();
        }
        assert_eq!(harness.expected(), 0);
    }
}

#[test]
fn on_loopback_every_packet_passes_both_hooks_and_is_read_and_counted_once() {
    let mut harness = Harness::of(Setup::LOOPBACK, Addresses::v4(), usual_policy());
    let control = harness.control(40000);
    harness.forget();
    let epsv = control.client_segment(&harness, "EPSV\r\n");
    let reply = harness.to_client(21, 40000).at(control.server_next, control.client_next.wrapping_add(6));
    let reply = reply.says("229 (|||15000|)\r\n");
    let both_hooks =
        |harness: &Harness, tcp: &Tcp| [LOCAL, Hook::Ingress].map(|hook| harness.kernel.run(hook, &tcp.frame()));
    for tcp in [epsv, reply].iter().chain(&harness.handshake(50000, 15000)) {
        assert_eq!(both_hooks(&harness, tcp), [PASSES; 2], "{tcp:?}");
    }
    let counts = [Counter::Commands, Counter::Replies, Counter::ExpectationsPassive, Counter::FlowsEstablished];
    assert_eq!(harness.counts(), counts.map(|counter| (counter, 1)));
    let data = harness.to_client(15000, 50000).at(5001, 1001).says("data");
    assert_eq!(both_hooks(&harness, &data), [PASSES; 2]);
    let flows: Vec<_> = harness.kernel.flows.all().into_values().map(|flow| flow.bytes).collect();
    assert_eq!(flows, [[0, 4]]);
}

#[test]
fn monitor_mode_passes_what_it_would_deny_and_counts_it() {
    let mut harness = Harness::with(|policy| policy.flags = flag::MONITOR);
    let control = harness.control(40000);
    harness.forget();
    let syn = harness.syn(INSIDE);
    let early = Tcp { seq: control.client_next.wrapping_add(9), ..control.client_segment(&harness, "NOOP\r\n") };
    for (frame, to_server, reason) in [
        (syn.frame(), true, Counter::DeniedPassive),
        (harness.to_client(20, 40001).flags(SYN).frame(), false, Counter::DeniedActive),
        (tagged(&syn.fragment(&[0; 64], 8, false), &[]), true, Counter::DeniedFragment),
        (harness.to_client(21, 40000).frame(), true, Counter::DeniedWrongDirection),
        (harness.to_server(40009, 21).flags(SYN).says("PASV\r\n").frame(), true, Counter::DeniedSynData),
    ] {
        assert_eq!(harness.pass_frame(to_server, &frame), PASSES, "{reason:?}");
        assert_eq!(harness.counts(), [(reason, 1), (Counter::MonitorPassed, 1)]);
    }
    assert_eq!(harness.pass(&early), PASSES, "an early segment isn't deferred");
    assert_eq!(harness.counts(), [(Counter::Desyncs, 1)]);
    assert!(harness.kernel.flows.all().is_empty());
}

#[test]
fn a_port_in_the_range_of_a_host_that_is_no_server_is_its_own_business() {
    let mut harness = Harness::new();
    let Addresses { client, other, .. } = harness.who;
    for (from, to) in [(50000, INSIDE), (20, 40001), (21, 50000), (50000, 21), (20, INSIDE)] {
        let tcp = Tcp::between(SocketAddr::new(client, from), SocketAddr::new(other, to)).flags(SYN);
        for hook in [Hook::Ingress, LOCAL, FORWARDED] {
            assert_eq!(harness.kernel.run(hook, &tcp.frame()), PASSES, "{tcp:?}");
        }
    }
    assert_eq!(harness.counts(), []);
}
