//! Plays all games, several at a time.

use std::time::Duration;

use super::{Game, Outcome};
use crate::hosts::network::Network;
use crate::subject::conntrack;
use crate::subject::ftptrack::{Ftptrack, PinDirectory};
use crate::suites::dialogues::Guard;
use crate::support::parallel::{Cases, in_parallel};
use crate::support::wait::PATIENCE;

/// Networks that games are played on at a time.
const WORKERS: usize = 3;
/// What the helper drops is gone for good; what is only late comes sooner than this.
const SHORT_PATIENCE: Duration = Duration::from_millis(1500);

/// Plays [`Game::all`]: what came of each, in that order.
#[track_caller]
#[must_use]
pub fn play_all(guard: Guard) -> Vec<Outcome> {
    in_parallel(WORKERS, Game::all().zip(30_000..), |games| play_on_one_network(guard, games))
}

fn play_on_one_network(guard: Guard, games: &Cases<(Game, u16), Outcome>) {
    // Some disguises need long packets.
    let network = Network::with_mtu(9000);
    let pins = PinDirectory::new();
    let ftptrack = (guard == Guard::Ftptrack).then(|| Ftptrack::guarding(&network.server, &pins));
    let is_conntrack = guard == Guard::Conntrack;
    if is_conntrack {
        conntrack::guard(&network.server);
    }
    games.for_each(|(game, port)| {
        let outcome = game.play(&network, port, if is_conntrack { SHORT_PATIENCE } else { PATIENCE });
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
