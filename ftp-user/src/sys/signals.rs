//! The signals that end a command that goes on by itself.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::{Failure, OrFail as _};

/// The signals that end it.
pub struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    /// From now on these signals no longer kill the process.
    ///
    /// # Errors
    ///
    /// The kernel's refusal.
    pub fn listen() -> Result<Self, Failure> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).or_fail("SIGINT", "report this")?,
            terminate: signal(SignalKind::terminate()).or_fail("SIGTERM", "report this")?,
        })
    }

    /// Waits for one of them.
    pub async fn wait(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
