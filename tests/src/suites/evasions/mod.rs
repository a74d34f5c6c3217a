//! Games with TCP's rules, as data: played against ftptrack, or against the kernel's own FTP helper.
//!
//! | module | what is played |
//! |---|---|
//! | [`order`] | the server reads other words than the guard |
//! | [`urgent`] | the server's stack takes bytes out of the stream |
//! | [`blind`] | somebody who doesn't know the sequence numbers sends packets to a session |
//! | [`disguise`] | a SYN to the guarded range doesn't look like one |

use std::fmt;
use std::time::Duration;

use crate::INSIDE;
use crate::actors::server::Server;
use crate::hosts::network::{Family, Network};
use crate::suites::dialogues::Access;
use blind::{BLIND, Blind, LUCKY};
use disguise::{DISGUISES, Disguise};
use order::GAMES;
use urgent::CASES;

pub mod blind;
mod connection;
pub mod disguise;
pub mod order;
mod run;
pub mod table;
pub mod urgent;

pub use connection::{Bout, Stuck};
pub use run::play_all;

/// One game.
#[derive(Clone, Copy, Debug)]
pub enum Game {
    /// What the server reads is not what was sent first.
    Order(&'static order::Game),
    /// Urgent data.
    Urgent(&'static urgent::Case),
    /// A packet that TCP ignores, to a session that goes on.
    Blind(&'static Blind),
    /// A SYN that nothing let in.
    Disguise(&'static Disguise),
}

/// What became of the session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum After {
    /// After three more commands the next transfer works; or there was no session.
    GoesOn,
    /// The next transfer doesn't work.
    Lost,
    /// Words that must arrive were dropped for good.
    Stuck,
}

/// What came of a game.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Outcome {
    /// Whether the data connection, that the game is about, can begin.
    pub met: Access,
    /// What became of the session. That it goes on is what must be.
    pub after: After,
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.met.fmt(formatter)?;
        formatter.write_str(match self.after {
            After::GoesOn => "",
            After::Lost => ", lost",
            After::Stuck => ", stuck",
        })
    }
}

impl Game {
    /// All of them, group by group.
    pub fn all() -> impl Iterator<Item = Self> {
        let order = GAMES.iter().map(Self::Order);
        let urgent = CASES.iter().map(Self::Urgent);
        let blind = BLIND.iter().chain(LUCKY).map(Self::Blind);
        order.chain(urgent).chain(blind).chain(DISGUISES.iter().map(Self::Disguise))
    }

    /// What it is one of.
    #[must_use]
    pub const fn group(self) -> &'static str {
        match self {
            Self::Order(_) => "Games with order",
            Self::Urgent(_) => "Urgent data",
            Self::Blind(_) => "Blind packets to a session that waits for its data connection",
            Self::Disguise(_) => "A SYN to the passive range in disguise",
        }
    }

    /// What is tried.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Order(game) => game.name,
            Self::Urgent(case) => case.name,
            Self::Blind(blind) => blind.name,
            Self::Disguise(disguise) => disguise.name,
        }
    }

    /// What must come of it.
    #[must_use]
    pub const fn must_be(self) -> Outcome {
        let opens = match self {
            Self::Order(game) => game.opens,
            Self::Urgent(case) => case.opens,
            Self::Blind(_) => true,
            Self::Disguise(_) => false,
        };
        Outcome { met: if opens { Access::Open } else { Access::Shut }, after: After::GoesOn }
    }

    /// Plays it from `port`. Whatever is said must arrive within `patience`.
    #[track_caller]
    fn play(self, network: &Network, port: u16, patience: Duration) -> Outcome {
        let Network { server, client, .. } = network;
        let hosts = (client, server);
        if let Self::Disguise(disguise) = self {
            let _listener = crate::actors::probe::listen(server, server.at(disguise.family, INSIDE));
            let answered = disguise::is_answered(client, server, disguise, port);
            return Outcome { met: access(answered), after: After::GoesOn };
        }
        let ftp = Server::on(server, Family::V4);
        let mut bout = Bout::new(hosts, &ftp, port, patience);
        let played = match self {
            Self::Order(game) => game.play(&mut bout).map(|()| bout.peer.opens(INSIDE)),
            Self::Urgent(case) => case.play(&mut bout).map(|()| bout.peer.opens(INSIDE)),
            Self::Blind(blind) => blind.strike(&mut bout, INSIDE),
            Self::Disguise(_) => unreachable!("played already"),
        };
        let Ok(opened) = played else {
            return Outcome { met: access(bout.peer.opens(INSIDE)), after: After::Stuck };
        };
        let after = match self.goes_on(&mut bout) {
            Ok(true) => After::GoesOn,
            Ok(false) => After::Lost,
            Err(_) => After::Stuck,
        };
        Outcome { met: access(opened), after }
    }

    /// Whether another transfer works: the very next one after a blind packet, else after the commands
    /// that a session takes to be in step again.
    #[track_caller]
    fn goes_on(self, bout: &mut Bout<'_>) -> Result<bool, Stuck> {
        if matches!(self, Self::Blind(_)) { bout.passive(INSIDE + 77) } else { bout.finds_its_footing() }
    }
}

const fn access(opened: bool) -> Access {
    if opened { Access::Open } else { Access::Shut }
}
