//! Plays all games, several at a time.

use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use super::{Game, Outcome};
use crate::hosts::network::Network;
use crate::subject::conntrack;
use crate::subject::ftptrack::{Ftptrack, PinDirectory};
use crate::suites::dialogues::Guard;
use crate::support::wait::PATIENCE;

/// Networks that games are played on at a time.
const STAGES: usize = 3;
/// What the helper drops is gone for good; what is only late comes sooner than this.
const SHORT_PATIENCE: Duration = Duration::from_millis(1500);

/// Plays [`Game::all`]: what came of each, in that order.
#[track_caller]
#[must_use]
pub fn play_all(guard: Guard) -> Vec<Outcome> {
    let ahead = Mutex::new(Game::all().enumerate().zip(30_000..));
    let next = || ahead.lock().expect("nobody panics here").next();
    let outcomes = Mutex::new(vec![None; Game::all().count()]);
    let done = |index: usize, outcome| outcomes.lock().expect("nobody panics here")[index] = Some(outcome);
    thread::scope(|scope| {
        for _ in 0..STAGES {
            scope.spawn(|| play_some(guard, next, done));
        }
    });
    let outcomes = outcomes.into_inner().expect("all threads are done");
    outcomes.into_iter().map(|outcome| outcome.expect("all are played")).collect()
}

#[track_caller]
fn play_some(guard: Guard, next: impl Fn() -> Option<((usize, Game), u16)>, done: impl Fn(usize, Outcome)) {
    // Some disguises need long packets.
    let network = Network::with_mtu(9000);
    let pins = PinDirectory::new();
    let ftptrack = (guard == Guard::Ftptrack).then(|| Ftptrack::guarding(&network.server, &pins));
    let is_conntrack = guard == Guard::Conntrack;
    if is_conntrack {
        conntrack::guard(&network.server);
    }
    while let Some(((index, game), port)) = next() {
        let outcome = game.play(&network, port, if is_conntrack { SHORT_PATIENCE } else { PATIENCE });
        if is_conntrack {
            // Its expectations outlive the control connection.
            conntrack::forget(&network.server);
        }
        done(index, outcome);
    }
    if let Some(ftptrack) = ftptrack {
        ftptrack.stop();
    }
}
