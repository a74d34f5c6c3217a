//! What must hold.

use ftp_common::counter::Counter;
use ftptrack_tests::PASSIVE_RANGE;
use ftptrack_tests::actors::curl::Mode;
use ftptrack_tests::actors::probe::{self, Outcome};
use ftptrack_tests::hosts::network::Host;
use ftptrack_tests::hosts::pair::Pair;
use ftptrack_tests::subject::ftptrack::Ftptrack;
use std::net::SocketAddr;
use std::thread;

use crate::{OTHER_PORT, listen, say, settle, sockets};

/// Connects from a host to every target at once and shows how each attempt ended: all of them as `expected`.
pub(crate) fn expect(expected: Outcome, (role, host): (&str, &Host), source_port: Option<u16>, targets: &[SocketAddr]) {
    let outcomes: Vec<_> = thread::scope(|scope| {
        let try_one = |target: SocketAddr| match source_port {
            Some(port) => probe::from_port(host, port, target),
            None => probe::to(host, target),
        };
        let attempts: Vec<_> = targets.iter().map(|target| scope.spawn(move || try_one(*target))).collect();
        attempts.into_iter().map(|attempt| attempt.join().expect("a panic ends the demo")).collect()
    });
    let source = source_port.map_or(String::new(), |port| format!(" port {port}"));
    for (target, outcome) in targets.iter().zip(&outcomes) {
        say(format_args!("   {role}{source} -> {target}  {}", shown(*outcome)));
    }
    let all = outcomes.iter().all(|outcome| *outcome == expected);
    assert!(all, "that should have been '{}' every time", shown(expected));
}

const fn shown(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Opened => "connected",
        Outcome::Refused => "refused by the host, so it got there",
        Outcome::Silence => "no answer: denied",
    }
}

/// Runs a download and an upload negotiated in one way: ftptrack learned both and let them in.
pub(crate) fn transfers(mode: Mode, ftptrack: &Ftptrack<'_>, session: impl FnOnce()) {
    let expectations = if mode.is_passive() { Counter::ExpectationsPassive } else { Counter::ExpectationsActive };
    let before = ftptrack.stats();
    session();
    settle();
    let after = ftptrack.stats();
    for counter in [expectations, Counter::FlowsEstablished, Counter::FlowsEnded] {
        let counted = after.of(counter) - before.of(counter);
        assert_eq!(counted, 2, "ftptrack counted {}", counter.name());
    }
}

/// Tries guarded ports without a negotiation, in both directions; `used` is one that a transfer has used. Returns how
/// many attempts were denied: all.
pub(crate) fn uninvited(ftptrack: &Ftptrack<'_>, Pair { server, client }: &Pair, used: u16) -> usize {
    let before = ftptrack.stats();
    let _on_server = listen(server, OTHER_PORT);
    let _on_client = listen(client, OTHER_PORT);

    let ports = [*PASSIVE_RANGE.start(), *PASSIVE_RANGE.end(), OTHER_PORT, used];
    let from_client: Vec<_> = ports.into_iter().flat_map(|port| sockets(server, port)).collect();
    let from_server = sockets(client, OTHER_PORT);
    say(format_args!(
        "   From the client: both ends of the range, port {OTHER_PORT} where the other program listens, and a port that a transfer has used:"
    ));
    expect(Outcome::Silence, ("client", client), None, &from_client);
    say("   From the server's port 20, where active data connections come from:");
    expect(Outcome::Silence, ("server", server), Some(20), &from_server);
    say("   From another port of the server, which is not guarded:");
    expect(Outcome::Opened, ("server", server), None, &from_server);

    let attempts = from_client.len() + from_server.len();
    let after = ftptrack.stats();
    let denied = [Counter::DeniedPassive, Counter::DeniedActive];
    let counted: u64 = denied.into_iter().map(|counter| after.of(counter) - before.of(counter)).sum();
    assert!(counted >= attempts as u64, "{attempts} attempts were denied, but ftptrack counted {counted}");
    attempts
}
