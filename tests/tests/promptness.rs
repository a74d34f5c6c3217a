//! The permit stands before the client can see the 227.

use ftp_common::counter::Counter;
use ftptrack_tests::actors::probe::{self, Outcome};
use ftptrack_tests::hosts::network::{Family, Network};
use ftptrack_tests::subject::guarded::{Guarded, Testbed};
use ftptrack_tests::{INSIDE, PASSIVE_RANGE};
use std::thread;

/// Enough for a race that is lost now and then to show.
const ROUNDS: u16 = 200;

#[test]
fn a_client_that_connects_the_instant_it_reads_the_227_gets_in() {
    let testbed = Testbed::new();
    let Network { server, client, .. } = &testbed.network;
    let target = |round| server.at(Family::V4, PASSIVE_RANGE.start() + round);
    let unexpected = || {
        let _listener = probe::listen(server, server.at(Family::V4, INSIDE));
        probe::to(client, server.at(Family::V4, INSIDE))
    };
    assert_eq!(unexpected(), Outcome::Opened, "nothing is attached");

    let Guarded { ftptrack, mut control, mut session, .. } = testbed.guarded();
    assert_eq!(unexpected(), Outcome::Silence);
    thread::scope(|scope| {
        // The server waits on its own thread: the client's next step follows the 227 at once.
        scope.spawn(|| {
            for round in 0..ROUNDS {
                let listener = probe::listen(server, target(round));
                session.hears("PASV");
                session.say_passive(target(round));
                listener.accept().expect("the client connects");
            }
        });
        for round in 0..ROUNDS {
            let announced = control.passive();
            assert_eq!(announced, target(round));
            // The attempt ends before a second SYN: the first one must have passed.
            let connected = probe::connect(client, announced);
            assert!(connected.is_ok(), "round {round}: {connected:?}");
        }
    });
    let stats = ftptrack.stats();
    assert_eq!(stats.of(Counter::ExpectationsPassive), u64::from(ROUNDS));
    assert_eq!(stats.of(Counter::FlowsEstablished), u64::from(ROUNDS));
    assert_eq!(stats.denied(), 1, "{stats:?}");
    ftptrack.stop();
}
