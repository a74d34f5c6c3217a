//! The terminal: taken, and given back as it was on every way out.

use std::io::{self, IsTerminal as _};
use std::panic;

use crossterm::cursor::Show;
use crossterm::execute;
use crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use ratatui::backend::CrosstermBackend;
use ratatui::{Frame, Terminal};

use crate::error::{Failure, OrFail as _};

/// A terminal of ours alone.
pub struct Screen {
    terminal: Terminal<CrosstermBackend<io::Stdout>>,
    is_open: bool,
}

const GIVEN: &str = "terminal";

impl Screen {
    /// Takes it. A panic gives it back first, whoever panics.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn open() -> Result<Self, Failure> {
        if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            let problem = "standard input and output are none";
            return Err(Failure::failed(
                GIVEN,
                problem,
                "use ftptrack sessions --watch, flows --watch and events --follow",
            ));
        }
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            // The panic is what matters.
            let _ = give_back();
            before(panic);
        }));
        let taken = enable_raw_mode()
            .and_then(|()| execute!(io::stdout(), EnterAlternateScreen))
            .and_then(|()| Terminal::new(CrosstermBackend::new(io::stdout())));
        match taken {
            Ok(terminal) => Ok(Self { terminal, is_open: true }),
            Err(error) => {
                let _ = give_back();
                Err(error).or_fail(GIVEN, "run it in another one")
            }
        }
    }

    /// Draws a picture; of the size that the terminal has now.
    ///
    /// # Errors
    ///
    /// It can't be written to.
    pub fn draw(&mut self, picture: impl FnOnce(&mut Frame<'_>)) -> Result<(), Failure> {
        self.terminal.draw(picture).map(drop).or_fail(GIVEN, "run it in another one")
    }

    /// Gives it back.
    ///
    /// # Errors
    ///
    /// It can't be written to.
    pub fn close(mut self) -> Result<(), Failure> {
        self.is_open = false;
        give_back().or_fail(GIVEN, "run reset")
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if self.is_open {
            let _ = give_back();
        }
    }
}

/// All of it is tried, whatever fails.
fn give_back() -> io::Result<()> {
    let raw = disable_raw_mode();
    execute!(io::stdout(), LeaveAlternateScreen, Show).and(raw)
}
