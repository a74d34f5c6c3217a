//! The kernel's events, as lines on standard output.

use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::time::Duration;

use aya::maps::{MapData, PerCpuArray, RingBuf};
use ftp_common::counter::Counter;
use ftp_common::event::Event;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, sleep_until};

use crate::clock;
use crate::failure::{Failure, OrFail as _};
use crate::show::EventLines;
use crate::tables::Tables;

/// Events that the kernel counted and did not report: the counter, and how a line tells of them.
const UNTOLD: [(Counter, &str); 2] = [
    (Counter::EventsLost, "lost      more happened than could be told: events not shown"),
    (Counter::EventsSuppressed, "denied    more connections than are shown one by one: not shown"),
];
/// How long after an event these counters are looked at.
const RECOUNT: Duration = Duration::from_secs(1);

/// The reader of the EVENTS ring buffer; there must be one only.
pub struct Events {
    ring: AsyncFd<RingBuf<MapData>>,
    stats: PerCpuArray<MapData, u64>,
    lines: EventLines,
    untold: [u64; UNTOLD.len()],
    recount_at: Option<Instant>,
}

impl Events {
    /// Begins to read.
    ///
    /// # Errors
    ///
    /// A map can't be opened.
    pub fn open(tables: Tables<'_>) -> Result<Self, Failure> {
        let ring = watch(tables.events()?).or_fail("EVENTS", "report this")?;
        let stats = tables.stats()?;
        Ok(Self { ring, stats, lines: EventLines::default(), untold: [0; UNTOLD.len()], recount_at: None })
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
                    if let Some(line) = parse(&item).and_then(|event| self.lines.line(&event)) {
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
                output.line(&format!("{} {text}: {}", clock::wall(clock::monotonic()), count - *told));
                *told = count;
                more = true;
            }
        }
        Ok(more)
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

/// A record that is shorter would be of another version.
fn parse(bytes: &[u8]) -> Option<Event> {
    let bytes = bytes.get(..size_of::<Event>())?;
    // SAFETY: there are enough bytes, and any bytes make an `Event`: it consists of integers.
    Some(unsafe { bytes.as_ptr().cast::<Event>().read_unaligned() })
}

/// Standard output, line by line. When it fails (nobody reads any more, the disk is full), the guard
/// goes on without: to stop would open the ports.
#[derive(Debug)]
pub struct Output {
    out: Option<io::BufWriter<io::Stdout>>,
}

impl Default for Output {
    fn default() -> Self {
        Self { out: Some(io::BufWriter::new(io::stdout())) }
    }
}

impl Output {
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

    fn broken(&mut self, error: &io::Error) {
        eprintln!("note: events can't be shown any more ({error}): guarding goes on without");
        if let Some(out) = self.out.take() {
            // What is left in the buffer can't be written, and dropping it would try to.
            let _ = out.into_parts();
        }
    }
}
