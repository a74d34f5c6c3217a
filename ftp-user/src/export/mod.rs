//! Where else a command that goes on tells what happens: metrics for those who ask, events to the journal.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use crate::error::Failure;
use crate::events::reader::Events;
use crate::events::totals::Carried;
use crate::export::journal::Journal;
use crate::export::metrics::serve::Server;

pub mod journal;
pub mod metrics;

/// What was asked for.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Outlets {
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

impl Outlets {
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
    /// Whether events go to the journal: there is one reader of them.
    #[must_use]
    pub const fn has_journal(&self) -> bool {
        self.journal.is_some()
    }

    /// When something is attached; with the events, where this process reads them otherwise than for the journal.
    ///
    /// # Errors
    ///
    /// A thread can't be had.
    pub fn start(self, pin_dir: &Path, events: Option<&mut Events>) -> Result<(), Failure> {
        let carried: Arc<Carried> = Arc::default();
        let is_reader = events.is_some() || self.journal.is_some();
        if let Some(server) = self.metrics {
            server.start(pin_dir.to_owned(), is_reader.then(|| Arc::clone(&carried)))?;
        }
        if let Some(events) = events {
            events.count_in(Arc::clone(&carried));
        }
        self.journal.map_or(Ok(()), |journal| journal.start(pin_dir.to_owned(), carried))
    }
}
