//! A SYN to the guarded range in every disguise ([`ftptrack_tests::suites::evasions::disguise`]) that the server's
//! own TCP still takes for one.

use ftp_common::counter::Counter;
use ftptrack_tests::INSIDE;
use ftptrack_tests::actors::probe;
use ftptrack_tests::hosts::network::{Family, Network};
use ftptrack_tests::subject::ftptrack::{Ftptrack, PinDirectory};
use ftptrack_tests::suites::evasions::disguise::{DISGUISES, is_answered};

#[test]
fn a_syn_in_disguise_does_not_begin_a_connection() {
    // Some disguises need long packets.
    let Network { server, client, .. } = &Network::with_mtu(9000);
    let all_answered = |first_port: u16| -> Vec<_> {
        let _listeners = Family::BOTH.map(|family| probe::listen(server, server.at(family, INSIDE)));
        let ports = first_port..;
        DISGUISES.iter().zip(ports).map(|(disguise, port)| is_answered(client, server, disguise, port)).collect()
    };
    for (disguise, answered) in DISGUISES.iter().zip(all_answered(50_000)) {
        assert!(answered, "nothing is attached: {}", disguise.name);
    }

    let pins = PinDirectory::new();
    let ftptrack = Ftptrack::guarding(server, &pins);
    let mut failures = Vec::new();
    let _listeners = Family::BOTH.map(|family| probe::listen(server, server.at(family, INSIDE)));
    for (disguise, port) in DISGUISES.iter().zip(51_000..) {
        let before = ftptrack.stats();
        let answered = is_answered(client, server, disguise, port);
        let after = ftptrack.stats();
        let raised = |counter| after.of(counter) - before.of(counter);
        if answered || raised(disguise.counter) == 0 {
            let name = disguise.name;
            failures.push(format!("{name}: answered {answered}, {:?} +{}", disguise.counter, raised(disguise.counter)));
        }
    }
    assert_eq!(failures, [""; 0]);
    assert_eq!(ftptrack.stats().of(Counter::FlowsEstablished), 0);
    ftptrack.stop();
}
