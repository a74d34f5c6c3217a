//! The kernel's events, and what of them could not be told: as lines or objects on standard output, or for others.

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aya::maps::{MapData, PerCpuArray, RingBuf};
use ftp_common::counter::Counter;
use ftp_common::event::Event;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, sleep_until};

use crate::ebpf::maps::Tables;
use crate::error::{Failure, OrFail as _};
use crate::events::json::EventRow;
use crate::events::line::EventLines;
use crate::events::totals::Carried;
use crate::sys::clock;

/// Events that the kernel counted and did not report: the counter, and how a line tells of them.
const UNTOLD: [(Counter, &str); 2] = [
    (Counter::EventsLost, "lost      more happened than could be told: events not shown"),
    (Counter::EventsSuppressed, "denied    more connections than are shown one by one: not shown"),
];
/// How long after an event these counters are looked at.
const RECOUNT: Duration = Duration::from_secs(1);

/// What a reader of events is told.
pub enum Told<'a> {
    /// One of them.
    Event(&'a Event),
    /// Some were counted and not reported.
    Untold(Untold),
}

/// Events that were counted and not reported.
#[derive(Clone, Copy, Debug)]
pub struct Untold {
    /// `events_lost` or `events_suppressed`.
    pub counter: Counter,
    /// How many, since the last time that it was told.
    pub count: u64,
    text: &'static str,
}

impl fmt::Display for Untold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.text, self.count)
    }
}

/// How events are shown.
pub enum Form {
    /// A line for people.
    Lines(EventLines),
    /// A line of JSON, see [`EventRow`].
    Json,
}

impl Form {
    /// The line that tells it; `None` for an event of a later version.
    fn line(&mut self, told: &Told<'_>) -> Option<String> {
        match (self, told) {
            (Self::Lines(lines), Told::Event(event)) => lines.line(event),
            (Self::Json, Told::Event(event)) => EventRow::new(event).and_then(|row| serde_json::to_string(&row).ok()),
            (Self::Lines(_), Told::Untold(untold)) => Some(format!("{} {untold}", clock::wall(clock::monotonic()))),
            (Self::Json, Told::Untold(Untold { counter, count, .. })) => {
                let (time, event) = (clock::unix_seconds(clock::monotonic()), counter.name());
                Some(serde_json::json!({ "time": time, "event": event, "times": count }).to_string())
            }
        }
    }
}

/// The reader of the EVENTS ring buffer; there can be one only.
pub struct Events {
    ring: AsyncFd<RingBuf<MapData>>,
    stats: PerCpuArray<MapData, u64>,
    form: Form,
    /// The kernel's number for the map.
    map: u32,
    carried: Arc<Carried>,
    _only: File,
    untold: [u64; UNTOLD.len()],
    recount_at: Option<Instant>,
}

impl Events {
    /// Begins to read.
    ///
    /// # Errors
    ///
    /// A map can't be opened, or another process reads the events.
    pub fn open(tables: Tables<'_>, form: Form) -> Result<Self, Failure> {
        let only = hold(&tables.pins().links())?;
        let map = tables.events_id()?;
        let ring = watch(tables.events()?).or_fail("EVENTS", "report this")?;
        let stats = tables.stats()?;
        let carried = Arc::default();
        Ok(Self { ring, stats, form, map, carried, _only: only, untold: [0; UNTOLD.len()], recount_at: None })
    }

    /// Counts what ended data connections have carried there, from now on.
    pub fn count_in(&mut self, carried: Arc<Carried>) {
        self.carried = carried;
    }

    /// Writes the events that are there, without waiting for more.
    ///
    /// # Errors
    ///
    /// The kernel's refusal to be asked.
    pub fn show_kept(&mut self, output: &mut Output) -> io::Result<()> {
        let mut tell = |form: &mut Form, told: Told<'_>| output.tell(form, &told);
        while let Some(item) = self.ring.get_mut().next() {
            if let Some(event) = parse(&item) {
                tell(&mut self.form, Told::Event(&event));
            }
        }
        self.tell_untold(&mut tell)?;
        output.flush();
        Ok(())
    }

    /// Whether the events of these pins are still the ones that are read here, and no others were put in their place.
    #[must_use]
    pub fn is_of(&self, tables: Tables<'_>) -> bool {
        tables.events_id().is_ok_and(|map| map == self.map)
    }

    /// Waits for events or for the time to look at what was not reported, and writes lines.
    ///
    /// Cancelling it loses nothing.
    ///
    /// # Errors
    ///
    /// The kernel's refusal to wait or to be asked.
    pub async fn next(&mut self, output: &mut Output) -> io::Result<()> {
        self.next_with(|form, told| output.tell(form, &told)).await?;
        output.flush();
        Ok(())
    }

    /// The same, for whoever does something else with them.
    ///
    /// # Errors
    ///
    /// See [`Self::next`].
    pub async fn next_with(&mut self, mut tell: impl FnMut(&mut Form, Told<'_>)) -> io::Result<()> {
        let recount_at = self.recount_at;
        tokio::select! {
            ready = self.ring.readable_mut() => {
                let mut ready = ready?;
                while let Some(item) = ready.get_inner_mut().next() {
                    if let Some(event) = parse(&item) {
                        self.carried.see(&event);
                        tell(&mut self.form, Told::Event(&event));
                    }
                }
                ready.clear_ready();
                self.recount_at.get_or_insert_with(|| Instant::now() + RECOUNT);
            }
            () = sleep_until(recount_at.unwrap_or_else(Instant::now)), if recount_at.is_some() => {
                let more = self.tell_untold(&mut tell)?;
                self.recount_at = more.then(|| Instant::now() + RECOUNT);
            }
        }
        Ok(())
    }

    /// True if there were any, and may be more.
    fn tell_untold(&mut self, tell: &mut impl FnMut(&mut Form, Told<'_>)) -> io::Result<bool> {
        let mut more = false;
        for ((counter, text), told) in UNTOLD.into_iter().zip(&mut self.untold) {
            let values = self.stats.get(&counter.index(), 0).map_err(io::Error::other)?;
            let count: u64 = values.iter().sum();
            if count > *told {
                tell(&mut self.form, Told::Untold(Untold { counter, count: count - *told, text }));
                *told = count;
                more = true;
            }
        }
        Ok(more)
    }
}

/// The kernel knows one place in a ring buffer: a second reader would take events from the first.
/// (Changes of the policy lock the directory of the maps, `watch` that of the interfaces.)
fn hold(links: &Path) -> Result<File, Failure> {
    let given = "events";
    let directory = File::open(links).or_fail(given, "run as root")?;
    match flock(&directory, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(directory),
        Err(Errno::WOULDBLOCK) => {
            let wrong = "another process shows them already";
            let remedy =
                "read them there (a service's: journalctl -t ftptrack), or end that ftptrack run, watch or events";
            Err(Failure::failed(given, wrong, remedy))
        }
        Err(error) => Err(error).or_fail(given, "run as root"),
    }
}

/// Waits on a ring buffer's descriptor.
///
/// # Errors
///
/// The kernel's refusal.
pub(crate) fn watch<T: AsRawFd>(ring: T) -> io::Result<AsyncFd<T>> {
    // SAFETY: the descriptor is the map's, which lives and stays the same as long as the ring.
    let watched = unsafe { AsyncFd::register_with_interest(ring, Interest::READABLE) };
    watched.map_err(|error| error.into_parts().1)
}

/// An event in a ring buffer's record; one that is shorter would be of another version.
pub(crate) fn parse(bytes: &[u8]) -> Option<Event> {
    let bytes = bytes.get(..size_of::<Event>())?;
    // SAFETY: there are enough bytes, and any bytes make an `Event`: it consists of integers.
    Some(unsafe { bytes.as_ptr().cast::<Event>().read_unaligned() })
}

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
        Self { out: Some(io::BufWriter::new(io::stdout())), guards: true }
    }
}

impl Output {
    /// For a command that has nothing else to do: a closed pipe is no error.
    #[must_use]
    pub fn for_a_reader() -> Self {
        Self { guards: false, ..Self::default() }
    }

    fn tell(&mut self, form: &mut Form, told: &Told<'_>) {
        if let Some(line) = form.line(told) {
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
            eprintln!("note: events can't be shown any more ({error}): guarding goes on without");
        }
        if let Some(out) = self.out.take() {
            // What is left in the buffer can't be written, and dropping it would try to.
            let _ = out.into_parts();
        }
    }
}
