//! What is none of ftptrack's business goes on as if it were not there.

use ftptrack_tests::INSIDE;
use ftptrack_tests::actors::echo;
use ftptrack_tests::actors::probe::{self, Outcome};
use ftptrack_tests::hosts::network::{Family, Host, Network};
use ftptrack_tests::subject::ftptrack::{Ftptrack, PinDirectory};

/// Runs the same probes before and while ftptrack is attached to the server, and shows in between
/// that it does deny what it should.
#[track_caller]
fn not_touched<T: PartialEq + std::fmt::Debug>(network: &Network, expected: &T, probes: impl Fn() -> T) {
    assert_eq!(probes(), *expected, "nothing is attached");
    let pins = PinDirectory::new();
    let ftptrack = Ftptrack::guarding(&network.server, &pins);
    assert_eq!(probes(), *expected, "ftptrack is attached");
    assert_eq!(ftptrack.stats().denied(), 0);
    assert_eq!(connects(&network.client, 0, &network.server, INSIDE, Family::V4), Outcome::Silence);
    assert_eq!(ftptrack.stats().denied(), 1);
    ftptrack.stop();
}

/// Whether a connection begins from a port of `from` (0: any) to a port of `to` where somebody
/// listens.
#[track_caller]
fn connects(from: &Host, from_port: u16, to: &Host, port: u16, family: Family) -> Outcome {
    let target = to.at(family, port);
    let _listener = probe::listen(to, target);
    probe::from_port(from, from_port, target)
}

#[test]
fn the_servers_own_connections_from_a_port_inside_the_range_work() {
    let network = Network::new();
    let Network { server, client, .. } = &network;
    not_touched(&network, &[Outcome::Opened; 2], || {
        Family::BOTH.map(|family| connects(server, INSIDE, client, 8080, family))
    });
}

#[test]
fn the_servers_own_connections_to_a_remote_port_inside_the_range_work() {
    let network = Network::new();
    let Network { server, client, .. } = &network;
    not_touched(&network, &[Outcome::Opened; 2], || {
        Family::BOTH.map(|family| connects(server, 0, client, INSIDE, family))
    });
}

#[test]
fn other_ports_work_both_ways() {
    let network = Network::new();
    let Network { server, client, third, .. } = &network;
    not_touched(&network, &[[Outcome::Opened; 4]; 2], || {
        Family::BOTH.map(|family| {
            [
                connects(client, 0, server, 22, family),
                connects(third, 0, server, 8080, family),
                connects(server, 0, client, 22, family),
                // Port 20 is guarded as the server's source port, and as nothing else.
                connects(client, 20, server, 8080, family),
            ]
        })
    });
}

#[test]
fn nobody_listening_is_answered_by_a_reset() {
    let network = Network::new();
    let Network { server, client, .. } = &network;
    not_touched(&network, &[Outcome::Refused; 2], || {
        Family::BOTH.map(|family| probe::to(client, server.at(family, 8080)))
    });
}

#[test]
fn udp_and_ping_pass_on_the_same_ports_in_fragments_too() {
    let network = Network::new();
    let Network { server, client, .. } = &network;
    not_touched(&network, &[[true; 7]; 2], || {
        Family::BOTH.map(|family| {
            let arrives = |from, to: &Host, port, length| {
                echo::datagram_arrives(from, to, to.at(family, port), &vec![b'u'; length])
            };
            [
                arrives(client, server, INSIDE, 9),
                arrives(client, server, INSIDE, 9000),
                arrives(client, server, 21, 9),
                arrives(server, client, INSIDE, 9),
                arrives(server, client, INSIDE, 9000),
                echo::ping_answered(client, server.at(family, 0)),
                echo::ping_answered(server, client.at(family, 0)),
            ]
        })
    });
}
