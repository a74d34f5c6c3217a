//! Standard output, for lines that come as things happen.

use std::io::{self, Write as _};

use crate::events::message::{Form, Message};

/// How much is written at once, at most.
const ROOM: usize = 1 << 16;

/// Standard output, line by line. When it fails (nobody reads any more, the disk is full), the guard
/// goes on without: to stop would open the ports.
#[derive(Debug)]
pub struct Output {
    out: Option<io::BufWriter<io::Stdout>>,
    /// A guard goes on when it fails, which is worth a word.
    guards: bool,
}

impl Default for Output {
    fn default() -> Self {
        Self { out: Some(io::BufWriter::with_capacity(ROOM, io::stdout())), guards: true }
    }
}

impl Output {
    /// For a command that has nothing else to do: a closed pipe is no error.
    #[must_use]
    pub fn for_a_reader() -> Self {
        Self { guards: false, ..Self::default() }
    }

    /// Adds a message, see [`Self::line`].
    pub fn emit(&mut self, form: &mut Form, message: &Message) {
        if let Some(line) = form.line(message) {
            self.line(&line);
        }
    }

    /// Adds a line. It is seen after [`Self::flush`] at the latest.
    pub fn line(&mut self, line: &str) {
        let Some(out) = &mut self.out else { return };
        if let Err(error) = writeln!(out, "{line}") {
            self.broken(&error);
        }
    }

    /// Shows what was added.
    pub fn flush(&mut self) {
        let Some(out) = &mut self.out else { return };
        if let Err(error) = out.flush() {
            self.broken(&error);
        }
    }

    /// Whether nobody reads any more.
    #[must_use]
    pub const fn is_broken(&self) -> bool {
        self.out.is_none()
    }

    fn broken(&mut self, error: &io::Error) {
        if self.guards {
            log::warn!("events can't be shown any more ({error}): the filter stays attached");
        }
        if let Some(out) = self.out.take() {
            // What is left in the buffer can't be written, and dropping it would try to.
            let _ = out.into_parts();
        }
    }
}
