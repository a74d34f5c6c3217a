//! The kernel's events, as lines or objects on standard output.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::time::Duration;

use aya::maps::{MapData, PerCpuArray, RingBuf};
use ftp_common::counter::Counter;
use ftp_common::event::Event;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, sleep_until};

use crate::clock;
use crate::failure::{Failure, OrFail as _};
use crate::show::{EventLines, EventRow};
use crate::tables::Tables;

/// Events that the kernel counted and did not report: the counter, and how a line tells of them.
const UNTOLD: [(Counter, &str); 2] = [
    (Counter::EventsLost, "lost      more happened than could be told: events not shown"),
    (Counter::EventsSuppressed, "denied    more connections than are shown one by one: not shown"),
];
/// How long after an event these counters are looked at.
const RECOUNT: Duration = Duration::from_secs(1);

/// How events are shown.
pub enum Form {
    /// A line for people.
    Lines(EventLines),
    /// A line of JSON, see [`EventRow`].
    Json,
}

impl Form {
    fn event(&mut self, event: &Event) -> Option<String> {
        match self {
            Self::Lines(lines) => lines.line(event),
            Self::Json => EventRow::new(event).and_then(|row| serde_json::to_string(&row).ok()),
        }
    }

    fn untold(&self, counter: Counter, text: &str, count: u64) -> String {
        let now = clock::monotonic();
        match self {
            Self::Lines(_) => format!("{} {text}: {count}", clock::wall(now)),
            Self::Json => {
                let (time, event) = (clock::unix_seconds(now), counter.name());
                serde_json::json!({ "time": time, "event": event, "times": count }).to_string()
            }
        }
    }
}

/// The reader of the EVENTS ring buffer; there can be one only.
pub struct Events {
    ring: AsyncFd<RingBuf<MapData>>,
    stats: PerCpuArray<MapData, u64>,
    form: Form,
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
        let ring = watch(tables.events()?).or_fail("EVENTS", "report this")?;
        let stats = tables.stats()?;
        Ok(Self { ring, stats, form, _only: only, untold: [0; UNTOLD.len()], recount_at: None })
    }

    /// Writes the events that are there, without waiting for more.
    ///
    /// # Errors
    ///
    /// The kernel's refusal to be asked.
    pub fn show_kept(&mut self, output: &mut Output) -> io::Result<()> {
        while let Some(item) = self.ring.get_mut().next() {
            if let Some(line) = parse(&item).and_then(|event| self.form.event(&event)) {
                output.line(&line);
            }
        }
        self.tell_untold(output)?;
        output.flush();
        Ok(())
    }

    /// Waits for events or for the time to look at what was not reported, and writes lines.
    ///
    /// Cancelling it loses nothing.
    ///
    /// # Errors
    ///
    /// The kernel's refusal to wait or to be asked.
    pub async fn next(&mut self, output: &mut Output) -> io::Result<()> {
        let recount_at = self.recount_at;
        tokio::select! {
            ready = self.ring.readable_mut() => {
                let mut ready = ready?;
                while let Some(item) = ready.get_inner_mut().next() {
                    if let Some(line) = parse(&item).and_then(|event| self.form.event(&event)) {
                        output.line(&line);
                    }
                }
                ready.clear_ready();
                self.recount_at.get_or_insert_with(|| Instant::now() + RECOUNT);
            }
            () = sleep_until(recount_at.unwrap_or_else(Instant::now)), if recount_at.is_some() => {
                let more = self.tell_untold(output)?;
                self.recount_at = more.then(|| Instant::now() + RECOUNT);
            }
        }
        output.flush();
        Ok(())
    }

    /// True if there were any, and may be more.
    fn tell_untold(&mut self, output: &mut Output) -> io::Result<bool> {
        let mut more = false;
        for ((counter, text), told) in UNTOLD.iter().zip(&mut self.untold) {
            let values = self.stats.get(&counter.index(), 0).map_err(io::Error::other)?;
            let count: u64 = values.iter().sum();
            if count > *told {
                output.line(&self.form.untold(*counter, text, count - *told));
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
            Err(Failure::failed(given, wrong, "read them there, or end that ftptrack run or ftptrack events"))
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
