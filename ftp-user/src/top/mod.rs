//! `ftptrack top`: what goes on, live and full-screen.
//!
//! | module | what it holds |
//! |---|---|
//! | [`source`] | the pinned maps, once a second, and what the kernel shows to who views |
//! | [`state`], [`update`], [`keys`] | what is to be seen, and what changes it; no terminal, no kernel |
//! | [`rates`], [`talk`] | bytes a second of transfers; what sessions said |
//! | [`view`] | the state as text |
//! | [`screen`] | the terminal, as it was before when this ends |

use std::path::Path;
use std::time::Duration;

use crossterm::event::EventStream;
use futures_util::StreamExt as _;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use crate::error::{Failure, OrFail as _};
use crate::sys::signals::Stop;

pub mod keys;
pub mod rates;
pub mod screen;
pub mod source;
pub mod state;
pub mod talk;
pub mod update;
pub mod view;

use screen::Screen;
use source::Source;
use state::{State, Theme};
use update::Message;

/// How often the maps are read.
const EVERY: Duration = Duration::from_secs(1);
/// The shortest time between two pictures: a flood of events is not to become a flood of pictures.
const PICTURE: Duration = Duration::from_millis(50);

/// Shows it until a key or a signal ends it.
///
/// # Errors
///
/// Nothing is attached, there is no terminal, or it fails later: then it is as before already.
pub async fn top(pin_dir: &Path) -> Result<(), Failure> {
    let mut source = Source::open(pin_dir)?;
    let mut stop = Stop::listen()?;
    let mut screen = Screen::open()?;
    let result = show(&mut source, &mut stop, &mut screen).await;
    result.and(screen.close())
}

async fn show(source: &mut Source, stop: &mut Stop, screen: &mut Screen) -> Result<(), Failure> {
    let mut state = State::new(Theme::of_environment());
    let mut input = EventStream::new();
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut next_picture = Instant::now();
    let mut is_old = true;
    while !state.is_over {
        let message = tokio::select! {
            () = stop.wait() => return Ok(()),
            _ = ticks.tick() => Message::Snapshot(Box::new(source.snapshot().await)),
            event = input.next() => match event {
                Some(event) => Message::of_terminal(event.or_fail("terminal", "run it in another one")?),
                // Nobody can press a key any more.
                None => return Ok(()),
            },
            events = source.events() => Message::Events(events?),
            () = sleep_until(next_picture), if is_old => {
                screen.draw(|frame| view::draw(frame, &mut state))?;
                next_picture = Instant::now() + PICTURE;
                is_old = false;
                continue;
            }
        };
        state.update(message);
        is_old = true;
    }
    Ok(())
}
