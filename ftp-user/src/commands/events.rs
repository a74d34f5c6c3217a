//! `ftptrack events`: from the process that keeps them, or from the kernel's own buffer where there is none.

use std::path::Path;
use std::time::Duration;

use tokio::time::{Instant, interval, sleep};

use crate::ebpf::maps::PinnedMaps;
use crate::error::{Failure, OrFail as _};
use crate::events::message::{Form, Message};
use crate::events::output::Output;
use crate::events::reader::Events;
use crate::events::remote::{Answer, Remote};
use crate::events::wire::Request;
use crate::pins::Pins;
use crate::sys::clock;

/// How often it is checked whether another process keeps them by now: there is no notification.
const INTERVAL: Duration = Duration::from_secs(1);

/// How long one that has ended is waited for, which may only be restarted: events wait in the kernel's buffer, for all who
/// follow.
const GRACE: Duration = Duration::from_secs(10);
/// How often it is asked for meanwhile.
const PAUSE: Duration = Duration::from_millis(200);

/// Shows events, and with `follow` of the request new ones until nobody reads any more.
///
/// # Errors
///
/// Nothing is attached (any more), or another process reads the events and does not share them.
pub async fn events(pin_dir: &Path, request: Request, form: Form) -> Result<(), Failure> {
    let mut shown = Shown { output: Output::for_a_reader(), form, request, served_until: None };
    loop {
        let pins = Pins::attached(pin_dir)?;
        let maps = PinnedMaps::new(&pins);
        let mut keeper = Remote::ask(maps.events_id()?, shown.request).await?;
        if keeper.is_none() {
            if shown.served_until.is_some_and(|then| then.elapsed() < GRACE) {
                sleep(PAUSE).await;
                continue;
            }
            keeper = shown.read_from_the_kernel(maps).await?;
        }
        if let Some(keeper) = keeper {
            shown.kept_by(keeper).await;
        }
        if shown.is_over() {
            return Ok(());
        }
    }
}

struct Shown {
    output: Output,
    form: Form,
    /// What is still to be shown.
    request: Request,
    /// When the process ended that kept them.
    served_until: Option<Instant>,
}

impl Shown {
    fn is_over(&self) -> bool {
        !self.request.follow || self.output.is_broken()
    }

    fn show(&mut self, messages: &[Message]) {
        for message in messages {
            self.output.emit(&mut self.form, message);
            // By events only: what was lost is noticed later than what comes next has happened.
            if let Message::Event(event) = message {
                self.request.since = self.request.since.max(event.time + 1);
            }
        }
        self.output.flush();
    }

    /// Until all is shown, or the other process has ended.
    async fn kept_by(&mut self, mut keeper: Remote) {
        while !self.output.is_broken() {
            match keeper.next().await {
                Answer::Messages(messages) => self.show(&messages),
                Answer::End => {
                    self.request.follow = false;
                    return;
                }
                Answer::Gone => break,
            }
        }
        if !self.request.follow && !self.output.is_broken() {
            eprintln!("note: the ftptrack that keeps them has ended: there may be more");
        }
        self.served_until = Some(Instant::now());
        // What comes now has not been shown.
        self.request.last = u64::MAX;
    }

    /// Until all is shown, or another process keeps them, which is returned, or the maps are gone.
    async fn read_from_the_kernel(&mut self, maps: PinnedMaps<'_>) -> Result<Option<Remote>, Failure> {
        let mut events = match Events::open(maps) {
            // The process that kept them has ended, and another one that followed was first.
            Err(_) if self.served_until.is_some() && self.request.follow => {
                sleep(INTERVAL).await;
                return Ok(None);
            }
            other => other?,
        };
        let mut messages = Vec::new();
        let was_full = events.take(|message| messages.push(message)).or_fail("EVENTS", "report this")?;
        if let Some(last) = messages.last().filter(|_| was_full) {
            eprintln!("note: the buffer was full: events after {} were not kept", clock::wall(last.time()));
        }
        messages.retain(|message| message.time() >= self.request.since);
        let most = usize::try_from(self.request.last).unwrap_or(usize::MAX);
        self.show(&messages[messages.len().saturating_sub(most)..]);
        self.request.last = u64::MAX;
        let mut check = interval(INTERVAL);
        while !self.is_over() {
            messages.clear();
            tokio::select! {
                read = events.next(|message| messages.push(message)) => read.or_fail("EVENTS", "report this")?,
                _ = check.tick() => {
                    let keeper = Remote::ask(events.map(), self.request).await?;
                    if keeper.is_some() || !events.is_of(maps) {
                        return Ok(keeper);
                    }
                }
            }
            self.show(&messages);
        }
        Ok(None)
    }
}
