//! Links, sides and addresses.

use std::net::{IpAddr, SocketAddr};

use ftp_common::counter::Counter;
use ftp_common::flow::tcp::{ACK, RST, SYN};
use ftp_common::policy::flag;
use ftptrack_tests::INSIDE;
use ftptrack_tests::subject::test_run::frame::{SERVICE_VLAN, Tcp, VLAN, tagged};
use ftptrack_tests::subject::test_run::testbed::{Addresses, Scene, usual_policy};
use ftptrack_tests::subject::test_run::{FORWARDED, Hook, INTERFACE, LOCAL, Setup};

use crate::{IS_DENIED, PASSES};

#[test]
fn one_or_two_vlan_tags_change_nothing() {
    for tags in [&[VLAN][..], &[SERVICE_VLAN], &[SERVICE_VLAN, VLAN], &[VLAN, VLAN]] {
        for who in [Addresses::v4(), Addresses::v6()] {
            let mut scene = Scene::of(Setup::SERVERS_BEHIND, who, usual_policy());
            let control = scene.expecting(INSIDE);
            let frame = |tcp: &Tcp| tagged(&tcp.packet(), tags);
            assert_eq!(scene.pass_frame(true, &frame(&scene.syn(INSIDE + 1))), IS_DENIED, "{tags:x?}");
            assert_eq!(scene.counts(), [(Counter::DeniedPassive, 1)]);
            assert_eq!(scene.pass_frame(true, &frame(&scene.syn(INSIDE))), PASSES, "{tags:x?}");
            assert_eq!(scene.pass_frame(true, &frame(&scene.syn(80))), PASSES);
            let noop = control.client_segment(&scene, "NOOP\r\n");
            assert_eq!(scene.pass_frame(true, &frame(&noop)), PASSES);
            assert_eq!(scene.counts(), [(Counter::Commands, 1)]);
        }
    }
}

#[test]
fn a_third_vlan_tag_hides_a_packet_that_no_host_takes_for_its_own() {
    let mut scene = Scene::new();
    let frame = tagged(&scene.syn(INSIDE).packet(), &[VLAN, VLAN, VLAN]);
    assert_eq!(scene.pass_frame(true, &frame), PASSES);
    assert_eq!(scene.counts(), []);
}

#[test]
fn mapped_addresses_on_the_wire_are_denied_to_and_from_a_server() {
    let mut scene = Scene::new();
    let mapped = |address: IpAddr| match address {
        IpAddr::V4(v4) => IpAddr::from(v4.to_ipv6_mapped()),
        v6 @ IpAddr::V6(_) => v6,
    };
    let between = |from: IpAddr, from_port, to: IpAddr, to_port| {
        Tcp::between(SocketAddr::new(mapped(from), from_port), SocketAddr::new(mapped(to), to_port))
    };
    let Addresses { server, client, .. } = scene.who;
    for (to_server, tcp) in [
        (true, between(client, 50000, server, INSIDE).flags(SYN)),
        (true, between(client, 40000, server, 21)),
        (true, between(client, 40000, server, 21).flags(SYN)),
        (false, between(server, 21, client, 40000).says("220 hello\r\n")),
        (false, between(server, 20, client, 40001).flags(SYN)),
    ] {
        let frame = tcp.frame();
        assert_eq!(scene.pass_frame(to_server, &frame), IS_DENIED, "{tcp:?}");
        assert_eq!(scene.counts(), [(Counter::DeniedMappedAddress, 1)], "{tcp:?}");
    }
    assert_eq!(scene.pass_frame(true, &between(client, 50000, server, 80).flags(SYN).frame()), PASSES);
    assert_eq!(scene.counts(), []);
}

#[test]
fn a_link_local_session_is_known_by_its_interface_too() {
    let mut scene = Scene::of(Setup::SERVERS_BEHIND, Addresses::link_local(), usual_policy());
    let _control = scene.expecting(INSIDE);
    let scopes: Vec<_> = scene.kernel.expectations.all().into_keys().map(|key| key.scope).collect();
    assert_eq!(scopes, [INTERFACE]);
    for tcp in scene.handshake(50000, INSIDE) {
        assert_eq!(scene.pass(&tcp), PASSES);
    }
    assert_eq!(scene.counts(), [(Counter::FlowsEstablished, 1)]);
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
        let mut scene = Scene::of(Setup::NO_LINK_HEADER, who, usual_policy());
        assert_eq!(scene.pass_frame(true, &scene.syn(INSIDE).packet()), IS_DENIED, "{who:?}");
        assert_eq!(scene.counts(), [(Counter::DeniedPassive, 1)]);
        assert_eq!(scene.pass_frame(true, &scene.syn(80).packet()), PASSES);
        let fragment = scene.syn(80).fragment(&[0; 64], 8, false);
        assert_eq!(scene.pass_frame(true, &fragment), IS_DENIED, "{who:?}");
        assert_eq!(scene.counts(), [(Counter::DeniedFragment, 1)]);
        let met = scene.to_client(21, 40000).at(1, 1).says("220 hello\r\n").packet();
        assert_eq!(scene.pass_frame(false, &met), PASSES);
        assert_eq!(scene.counts(), [(Counter::SessionsMidstream, 1)]);
    }
}

#[test]
fn words_from_the_wrong_side_are_denied_at_both_hooks_and_both_sides() {
    for (setup, client_at, server_at) in [
        (Setup::SERVERS_BEHIND, Hook::Ingress, LOCAL),
        (Setup::SERVERS_BEHIND, Hook::Ingress, FORWARDED),
        (Setup::SERVERS_BEYOND, LOCAL, Hook::Ingress),
        (Setup::SERVERS_BEYOND, FORWARDED, Hook::Ingress),
    ] {
        let mut scene = Scene::of(setup, Addresses::v4(), usual_policy());
        let client = scene.to_server(40000, 21).says("PASV\r\n");
        let server = scene.to_client(21, 40000).says("227 (10,0,1,1,58,152)\r\n");
        let reset = scene.to_client(21, 40000).flags(RST);
        let answer = scene.to_client(21, 40000).flags(SYN | ACK);
        for (tcp, wrong, right) in [
            (client.clone(), server_at, client_at),
            (client.flags(SYN).says(""), server_at, client_at),
            (server, client_at, server_at),
            (reset, client_at, server_at),
            (answer, client_at, server_at),
        ] {
            assert_eq!(scene.kernel.run(wrong, &tcp.frame()), IS_DENIED, "{setup:?} {wrong:?} {tcp:?}");
            assert_eq!(scene.counts(), [(Counter::DeniedWrongDirection, 1)]);
            assert_eq!(scene.kernel.run(right, &tcp.frame()), PASSES, "{setup:?} {right:?} {tcp:?}");
            scene.forget();
        }
        assert_eq!(scene.expected(), 0);
    }
}

#[test]
fn on_loopback_every_packet_passes_both_hooks_and_is_read_and_counted_once() {
    let mut scene = Scene::of(Setup::LOOPBACK, Addresses::v4(), usual_policy());
    let control = scene.control(40000);
    scene.forget();
    let epsv = control.client_segment(&scene, "EPSV\r\n");
    let reply = scene.to_client(21, 40000).at(control.server_next, control.client_next.wrapping_add(6));
    let reply = reply.says("229 (|||15000|)\r\n");
    let both_hooks = |scene: &Scene, tcp: &Tcp| [LOCAL, Hook::Ingress].map(|hook| scene.kernel.run(hook, &tcp.frame()));
    for tcp in [epsv, reply].iter().chain(&scene.handshake(50000, 15000)) {
        assert_eq!(both_hooks(&scene, tcp), [PASSES; 2], "{tcp:?}");
    }
    let counts = [Counter::Commands, Counter::Replies, Counter::ExpectationsPassive, Counter::FlowsEstablished];
    assert_eq!(scene.counts(), counts.map(|counter| (counter, 1)));
    let flows: Vec<_> = scene.kernel.flows.all().into_values().map(|flow| flow.packets).collect();
    assert_eq!(flows, [[2, 1]]);
}

#[test]
fn monitor_mode_passes_what_it_would_deny_and_counts_it() {
    let mut scene = Scene::with(|policy| policy.flags = flag::MONITOR);
    let control = scene.control(40000);
    scene.forget();
    let syn = scene.syn(INSIDE);
    let early = Tcp { seq: control.client_next.wrapping_add(9), ..control.client_segment(&scene, "NOOP\r\n") };
    for (frame, to_server, reason) in [
        (syn.frame(), true, Counter::DeniedPassive),
        (scene.to_client(20, 40001).flags(SYN).frame(), false, Counter::DeniedActive),
        (tagged(&syn.fragment(&[0; 64], 8, false), &[]), true, Counter::DeniedFragment),
        (scene.to_client(21, 40000).frame(), true, Counter::DeniedWrongDirection),
        (scene.to_server(40009, 21).flags(SYN).says("PASV\r\n").frame(), true, Counter::DeniedSynData),
    ] {
        assert_eq!(scene.pass_frame(to_server, &frame), PASSES, "{reason:?}");
        assert_eq!(scene.counts(), [(reason, 1), (Counter::MonitorPassed, 1)]);
    }
    assert_eq!(scene.pass(&early), PASSES, "an early segment isn't held back");
    assert_eq!(scene.counts(), [(Counter::Desyncs, 1)]);
    assert!(scene.kernel.flows.all().is_empty());
}

#[test]
fn a_port_in_the_range_of_a_host_that_is_no_server_is_its_own_business() {
    let mut scene = Scene::new();
    let Addresses { client, other, .. } = scene.who;
    for (from, to) in [(50000, INSIDE), (20, 40001), (21, 50000), (50000, 21), (20, INSIDE)] {
        let tcp = Tcp::between(SocketAddr::new(client, from), SocketAddr::new(other, to)).flags(SYN);
        for hook in [Hook::Ingress, LOCAL, FORWARDED] {
            assert_eq!(scene.kernel.run(hook, &tcp.frame()), PASSES, "{tcp:?}");
        }
    }
    assert_eq!(scene.counts(), []);
}
