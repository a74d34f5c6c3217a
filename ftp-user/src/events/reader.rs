//! The kernel's events, and the number of those that were not reported: as lines or objects on standard output, or for
//! others.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use aya::maps::{MapData, PerCpuArray, RingBuf};
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, sleep_until};

use crate::ebpf::maps::PinnedMaps;
use crate::ebpf::ring::{parse, watch};
use crate::error::{Failure, OrFail as _};
use crate::events::message::{Form, Message, UNREPORTED, Unreported};
use crate::events::output::Output;
use crate::events::totals::EndedBytes;
use crate::pins::lock::{self, Lock};

/// How long after an event these counters are looked at.
const RECOUNT: Duration = Duration::from_secs(1);

/// The reader of the EVENTS ring buffer; there can be one only.
pub struct Events {
    ring: AsyncFd<RingBuf<MapData>>,
    stats: PerCpuArray<MapData, u64>,
    form: Form,
    /// The kernel's number for the map.
    map: u32,
    ended_bytes: Arc<EndedBytes>,
    _only: Lock,
    reported: [u64; UNREPORTED.len()],
    recount_at: Option<Instant>,
}

impl Events {
    /// Begins to read.
    ///
    /// # Errors
    ///
    /// A map can't be opened, or another process reads the events.
    pub fn open(maps: PinnedMaps<'_>, form: Form) -> Result<Self, Failure> {
        let only = lock::events(maps.pins())?;
        let map = maps.events_id()?;
        let ring = watch(maps.events()?).or_fail("EVENTS", "report this")?;
        let stats = maps.stats()?;
        let ended_bytes = Arc::default();
        Ok(Self { ring, stats, form, map, ended_bytes, _only: only, reported: [0; UNREPORTED.len()], recount_at: None })
    }

    /// Counts what ended data connections have carried there, from now on.
    pub fn count_in(&mut self, ended_bytes: Arc<EndedBytes>) {
        self.ended_bytes = ended_bytes;
    }

    /// Writes the events that are there, without waiting for more.
    ///
    /// # Errors
    ///
    /// The kernel's refusal to be asked.
    pub fn show_kept(&mut self, output: &mut Output) -> io::Result<()> {
        let mut emit = |form: &mut Form, message: Message<'_>| output.emit(form, &message);
        while let Some(item) = self.ring.get_mut().next() {
            if let Some(event) = parse(&item) {
                emit(&mut self.form, Message::Event(&event));
            }
        }
        self.report_unreported(&mut emit)?;
        output.flush();
        Ok(())
    }

    /// Whether the events of these pins are still the ones that are read here, and no others were put in their place.
    #[must_use]
    pub fn is_of(&self, maps: PinnedMaps<'_>) -> bool {
        maps.events_id().is_ok_and(|map| map == self.map)
    }

    /// Waits for events or for the time to count what was not reported, and writes lines.
    ///
    /// Cancelling it loses nothing.
    ///
    /// # Errors
    ///
    /// The kernel's refusal to wait or to be asked.
    pub async fn next(&mut self, output: &mut Output) -> io::Result<()> {
        self.next_with(|form, message| output.emit(form, &message)).await?;
        output.flush();
        Ok(())
    }

    /// The same, for whoever does something else with them.
    ///
    /// # Errors
    ///
    /// See [`Self::next`].
    pub async fn next_with(&mut self, mut emit: impl FnMut(&mut Form, Message<'_>)) -> io::Result<()> {
        let recount_at = self.recount_at;
        tokio::select! {
            ready = self.ring.readable_mut() => {
                let mut ready = ready?;
                while let Some(item) = ready.get_inner_mut().next() {
                    if let Some(event) = parse(&item) {
                        self.ended_bytes.see(&event);
                        emit(&mut self.form, Message::Event(&event));
                    }
                }
                ready.clear_ready();
                self.recount_at.get_or_insert_with(|| Instant::now() + RECOUNT);
            }
            () = sleep_until(recount_at.unwrap_or_else(Instant::now)), if recount_at.is_some() => {
                let more = self.report_unreported(&mut emit)?;
                self.recount_at = more.then(|| Instant::now() + RECOUNT);
            }
        }
        Ok(())
    }

    /// True if there were any, and may be more.
    fn report_unreported(&mut self, emit: &mut impl FnMut(&mut Form, Message<'_>)) -> io::Result<bool> {
        let mut more = false;
        for ((counter, text), reported) in UNREPORTED.into_iter().zip(&mut self.reported) {
            let values = self.stats.get(&counter.index(), 0).map_err(io::Error::other)?;
            let count: u64 = values.iter().sum();
            if count > *reported {
                emit(&mut self.form, Message::Unreported(Unreported { counter, count: count - *reported, text }));
                *reported = count;
                more = true;
            }
        }
        Ok(more)
    }
}
