//! Evasion cases, as data: packets that a server reads in another way than a filter might. Played against ftptrack,
//! and against the kernel's own FTP helper.
//!
//! | module | what is tried |
//! |---|---|
//! | [`order`] | the server reads another stream than the filter |
//! | [`urgent`] | the server's stack takes bytes out of the stream |
//! | [`blind`] | an off-path attacker sends packets to a session |
//! | [`disguise`] | a SYN to the guarded range doesn't look like one |

use ftp_common::counter::Counter;
use std::fmt;
use std::time::Duration;

use crate::INSIDE;
use crate::actors::server::Server;
use crate::hosts::network::{Family, Network};
use crate::suites::dialogues::Access;
use blind::{BLIND, Blind, LUCKY};
use disguise::{DISGUISES, Disguise};

pub mod blind;
mod connection;
pub mod disguise;
pub mod order;
mod run;
pub mod table;
pub mod urgent;

pub use connection::{Connection, Hang};
pub use run::{must_hold, play_all};

/// One evasion case.
#[derive(Clone, Copy, Debug)]
pub enum Evasion {
    /// What the server reads is not what was sent first.
    Order(&'static order::Case),
    /// Urgent data.
    Urgent(&'static urgent::Case),
    /// A packet that TCP ignores, to a session that goes on.
    Blind(&'static Blind),
    /// A SYN that nothing let in.
    Disguise(&'static Disguise),
}

/// A case on the control stream. It ends with the server's 227 for [`INSIDE`].
pub trait StreamCase {
    /// What is tried.
    fn name(&self) -> &'static str;
    /// Whether the 227 should open the port.
    fn opens(&self) -> bool;
    /// What ftptrack counts by it.
    fn counter(&self) -> Counter;
    /// Whether it should count it at all.
    fn is_counted(&self) -> bool {
        true
    }
    /// Plays it, as far as data arrives.
    ///
    /// # Errors
    ///
    /// Data that must arrive did not.
    #[track_caller]
    fn play(&self, connection: &mut Connection<'_>) -> Result<(), Hang>;
}

/// What became of the session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum After {
    /// After three more commands the next transfer works; or there was no session.
    GoesOn,
    /// The next transfer doesn't work.
    Lost,
    /// The control connection hangs: data that must arrive was dropped for good.
    Hang,
}

/// What came of a case.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Outcome {
    /// Whether the data connection can begin.
    pub access: Access,
    /// What became of the session. It should go on.
    pub after: After,
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.access.fmt(formatter)?;
        formatter.write_str(match self.after {
            After::GoesOn => "",
            After::Lost => ", lost",
            After::Hang => ", hang",
        })
    }
}

impl Evasion {
    /// All of them, group by group.
    pub fn all() -> impl Iterator<Item = Self> {
        let order = order::CASES.iter().map(Self::Order);
        let urgent = urgent::CASES.iter().map(Self::Urgent);
        let blind = BLIND.iter().chain(LUCKY).map(Self::Blind);
        order.chain(urgent).chain(blind).chain(DISGUISES.iter().map(Self::Disguise))
    }

    /// What it is one of.
    #[must_use]
    pub const fn group(self) -> &'static str {
        match self {
            Self::Order(_) => "Segment order",
            Self::Urgent(_) => "Urgent data",
            Self::Blind(_) => "Blind packets to a session that waits for its data connection",
            Self::Disguise(_) => "Disguised SYNs to the passive range",
        }
    }

    /// What is tried.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Order(case) => case.name,
            Self::Urgent(case) => case.name,
            Self::Blind(blind) => blind.name,
            Self::Disguise(disguise) => disguise.name,
        }
    }

    /// What should come of it.
    #[must_use]
    pub const fn expected(self) -> Outcome {
        let opens = match self {
            Self::Order(case) => case.opens,
            Self::Urgent(case) => case.opens,
            Self::Blind(_) => true,
            Self::Disguise(_) => false,
        };
        Outcome { access: if opens { Access::Open } else { Access::Shut }, after: After::GoesOn }
    }

    /// Plays it from `port`. Whatever is sent must arrive within `patience`.
    #[track_caller]
    fn play(self, network: &Network, port: u16, patience: Duration) -> Outcome {
        let Network { server, client, .. } = network;
        let hosts = (client, server);
        if let Self::Disguise(disguise) = self {
            let _listener = crate::actors::probe::listen(server, server.at(disguise.family, INSIDE));
            let answered = disguise::is_answered(client, server, disguise, port);
            return Outcome { access: access(answered), after: After::GoesOn };
        }
        let ftp = Server::on(server, Family::V4);
        let mut connection = Connection::new(hosts, &ftp, port, patience);
        let played = match self {
            Self::Order(case) => case.play(&mut connection).map(|()| connection.peer.opens(INSIDE)),
            Self::Urgent(case) => case.play(&mut connection).map(|()| connection.peer.opens(INSIDE)),
            Self::Blind(blind) => blind.send(&mut connection, INSIDE),
            Self::Disguise(_) => unreachable!("played already"),
        };
        let Ok(opened) = played else {
            return Outcome { access: access(connection.peer.opens(INSIDE)), after: After::Hang };
        };
        let after = match self.goes_on(&mut connection) {
            Ok(true) => After::GoesOn,
            Ok(false) => After::Lost,
            Err(_) => After::Hang,
        };
        Outcome { access: access(opened), after }
    }

    /// Whether another transfer works: the very next one after a blind packet, else after the commands
    /// that a session takes to resynchronize.
    #[track_caller]
    fn goes_on(self, connection: &mut Connection<'_>) -> Result<bool, Hang> {
        if matches!(self, Self::Blind(_)) { connection.passive(INSIDE + 77) } else { connection.resyncs() }
    }
}

const fn access(opened: bool) -> Access {
    if opened { Access::Open } else { Access::Shut }
}
