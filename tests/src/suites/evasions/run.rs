//! Plays evasion cases.

use std::time::Duration;

use super::{Connection, Evasion, Outcome, StreamCase};
use crate::INSIDE;
use crate::hosts::network::Network;
use crate::subject::conntrack;
use crate::subject::ftptrack::{Ftptrack, PinDirectory};
use crate::subject::guarded::Testbed;
use crate::suites::dialogues::Guard;
use crate::support::parallel::{Cases, in_parallel};
use crate::support::wait::patience;

/// Networks that cases are played on at a time.
const WORKERS: usize = 3;
/// What the helper drops is gone for good; what is only late comes sooner than this.
const SHORT_PATIENCE: Duration = Duration::from_millis(1500);

/// Plays [`Evasion::all`]: what came of each, in that order.
#[track_caller]
#[must_use]
pub fn play_all(guard: Guard) -> Vec<Outcome> {
    in_parallel(WORKERS, Evasion::all().zip(30_000..), |evasions| play_on_one_network(guard, evasions))
}

fn play_on_one_network(guard: Guard, evasions: &Cases<(Evasion, u16), Outcome>) {
    // Some disguises need long packets.
    let network = Network::with_mtu(9000);
    let pins = PinDirectory::new();
    let ftptrack = (guard == Guard::Ftptrack).then(|| Ftptrack::guarding(&network.server, &pins));
    let is_conntrack = guard == Guard::Conntrack;
    if is_conntrack {
        conntrack::guard(&network.server);
    }
    evasions.for_each(|(evasion, port)| {
        let outcome = evasion.play(&network, port, if is_conntrack { SHORT_PATIENCE } else { patience() });
        if is_conntrack {
            // Its expectations outlive the control connection.
            conntrack::forget(&network.server);
        }
        outcome
    });
    if let Some(ftptrack) = ftptrack {
        ftptrack.stop();
    }
}

/// Plays cases with nothing attached, where each must open, and then with ftptrack, where each must end as it should
/// and the session must go on. From `first_port` on, and from a thousand ports above.
#[track_caller]
pub fn must_hold<C: StreamCase>(cases: &[C], first_port: u16) {
    let testbed = Testbed::new();
    let Testbed { network: Network { server, client, .. }, ftp, .. } = &testbed;
    let play = |case: &C, port| {
        let mut connection = Connection::new((client, server), ftp, port, patience());
        case.play(&mut connection).unwrap_or_else(|hang| panic!("{}: {hang}", case.name()));
        (connection.peer.opens(INSIDE), connection)
    };
    for (case, port) in cases.iter().zip(first_port..) {
        assert!(play(case, port).0, "nothing is attached: {}", case.name());
    }

    let ftptrack = testbed.ftptrack();
    let mut failures = Vec::new();
    for (case, port) in cases.iter().zip(first_port + 1000..) {
        let before = ftptrack.stats();
        let (opened, mut connection) = play(case, port);
        let raised = ftptrack.stats().of(case.counter()) - before.of(case.counter());
        if opened != case.opens() || (raised != 0) != case.is_counted() {
            failures.push(format!("{}: opened {opened}, {:?} +{raised}", case.name(), case.counter()));
        }
        connection.peer.resyncs(&mut connection.session);
        assert_eq!(ftptrack.stats().denied() - before.denied(), u64::from(!case.opens()), "{}", case.name());
    }
    assert_eq!(failures, [""; 0]);
    ftptrack.stop();
}
