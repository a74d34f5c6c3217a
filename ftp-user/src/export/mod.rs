//! What leaves for other programs while a command runs: metrics over HTTP, events to the journal.

use std::net::SocketAddr;
use std::path::Path;

use crate::error::Failure;
use crate::events::keeper::Keeper;
use crate::export::journal::{Journal, Writing};
use crate::export::metrics::serve::Server;

pub mod journal;
pub mod metrics;

/// What was asked for.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Exporters {
    /// `--metrics`: where they are to be asked for.
    pub metrics: Option<SocketAddr>,
    /// `--journal`.
    pub journal: bool,
}

/// They are reached.
pub struct Open {
    metrics: Option<Server>,
    journal: Option<Journal>,
}

impl Exporters {
    /// Before anything is attached: whether it can be done at all.
    ///
    /// # Errors
    ///
    /// An address can't be had, or there is no journal.
    pub fn open(self) -> Result<Open, Failure> {
        let metrics = self.metrics.map(Server::bind).transpose()?;
        let journal = self.journal.then(Journal::open).transpose()?;
        Ok(Open { metrics, journal })
    }
}

impl Open {
    /// Whether events go to the journal.
    #[must_use]
    pub const fn has_journal(&self) -> bool {
        self.journal.is_some()
    }

    /// When something is attached, with the events that this process keeps. What is returned is to be waited for when
    /// these have ended.
    ///
    /// # Errors
    ///
    /// A thread can't be had.
    pub fn start(self, pin_dir: &Path, keeper: &Keeper) -> Result<Writing, Failure> {
        if let Some(server) = self.metrics {
            server.start(pin_dir.to_owned(), keeper.ended_bytes())?;
        }
        self.journal.map_or(Ok(Writing::default()), |journal| journal.start(keeper.reader()))
    }
}
