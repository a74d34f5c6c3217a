//! Games with TCP's order ([`ftptrack_tests::suites::evasions::order`]): what the server reads and what ftptrack
//! reads must be the same, or nothing opens.

use ftp_common::counter::Counter;
use ftptrack_tests::INSIDE;
use ftptrack_tests::actors::server::Server;
use ftptrack_tests::hosts::network::{Family, Network};
use ftptrack_tests::subject::ftptrack::{Ftptrack, PinDirectory};
use ftptrack_tests::suites::evasions::Bout;
use ftptrack_tests::suites::evasions::order::{GAMES, Game};
use ftptrack_tests::suites::scenarios::retransmissions;
use ftptrack_tests::support::wait::PATIENCE;

#[test]
fn a_game_with_order_opens_nothing_and_the_session_goes_on() {
    let Network { server, client, .. } = &Network::new();
    let ftp = Server::on(server, Family::V4);
    let play = |game: &Game, port| {
        let mut bout = Bout::new((client, server), &ftp, port, PATIENCE);
        game.play(&mut bout).unwrap_or_else(|stuck| panic!("{}: {stuck}", game.name));
        (bout.peer.opens(INSIDE), bout)
    };
    for (game, port) in GAMES.iter().zip(30_000..) {
        assert!(play(game, port).0, "nothing is attached: {}", game.name);
    }

    let pins = PinDirectory::new();
    let ftptrack = Ftptrack::guarding(server, &pins);
    let mut failures = Vec::new();
    for (game, port) in GAMES.iter().zip(31_000..) {
        let before = ftptrack.stats();
        let (opened, mut bout) = play(game, port);
        let after = ftptrack.stats();
        let raised = after.of(game.counter) - before.of(game.counter);
        if opened != game.opens || raised == 0 {
            failures.push(format!("{}: opened {opened}, {:?} +{raised}", game.name, game.counter));
        }
        bout.peer.finds_its_footing(&mut bout.session);
        assert_eq!(ftptrack.stats().denied() - before.denied(), u64::from(!game.opens), "{}", game.name);
    }
    assert_eq!(failures, [""; 0]);
    ftptrack.stop();
}

#[test]
fn a_repeated_segment_is_the_same_however_long_it_is() {
    retransmissions::REPEATED.must_hold(|ftptrack| assert_eq!(ftptrack.stats().of(Counter::Desyncs), 0));
}
