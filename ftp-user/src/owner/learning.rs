//! Whether encrypted sessions are learned from, as remembered in the pins.

use serde::{Deserialize, Serialize};

use crate::error::Failure;
use crate::pins::Pins;

/// What was asked for when the active policy was applied: to learn.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Learning {
    /// Why it can't be done; none: it is done.
    pub problem: Option<String>,
}

impl Learning {
    /// What is remembered; none if the policy learns of no server.
    ///
    /// # Errors
    ///
    /// It was remembered by a version that this one doesn't understand.
    pub fn of(pins: &Pins) -> Result<Option<Self>, Failure> {
        pins.learning()
    }

    pub(super) fn remember(&self, pins: &Pins) -> Result<(), Failure> {
        pins.remember_learning(Some(self))
    }

    pub(super) fn forget(pins: &Pins) -> Result<(), Failure> {
        pins.remember_learning::<Self>(None)
    }

    /// Why encrypted sessions open nothing.
    #[must_use]
    pub fn note(&self) -> Option<String> {
        let problem = self.problem.as_ref()?;
        Some(format!("encrypted sessions open nothing, as with ftps = deny: {problem}"))
    }
}
