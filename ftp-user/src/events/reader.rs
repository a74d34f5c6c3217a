//! The kernel's events, and the number of those that were not reported, taken out of the ring buffer.

use std::io;
use std::time::Duration;

use aya::maps::{Array, MapData, MapError, PerCpuArray, RingBuf};
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, sleep, sleep_until};

use crate::ebpf::maps::PinnedMaps;
use crate::ebpf::ring::{ROOM, parse, watch};
use crate::error::{Failure, OrFail as _};
use crate::events::message::{Message, UNREPORTED, Unreported};
use crate::pins::lock::{self, Lock};
use crate::sys::clock;

/// How long others are waited for when an event comes: the kernel wakes who has read all, and nobody else, so this is
/// how often at most. A ring buffer has room for some 150,000 events a second so.
const GATHER: Duration = Duration::from_millis(20);
/// How long after an event these counters are looked at.
const RECOUNT: Duration = Duration::from_secs(1);

/// The reader of the EVENTS ring buffer; there can be one only.
pub struct Events {
    ring: AsyncFd<RingBuf<MapData>>,
    stats: PerCpuArray<MapData, u64>,
    /// Where the kernel program sees that somebody reads.
    reader: Array<MapData, u64>,
    /// The kernel's number for the map.
    map: u32,
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
    pub fn open(maps: PinnedMaps<'_>) -> Result<Self, Failure> {
        let only = lock::events(maps.pins())?;
        let map = maps.events_id()?;
        let ring = watch(maps.events()?).or_fail("EVENTS", "report this")?;
        let (stats, mut reader) = (maps.stats()?, maps.reader()?);
        // Odd from now on, and even when it is closed; one that was killed has left it odd.
        let number = |reader: &Array<MapData, u64>| Ok::<_, MapError>((reader.get(&0, 0)? + 1) | 1);
        number(&reader).and_then(|number| reader.set(0, number, 0)).or_fail("READER", "report this")?;
        let known = |at: u32| reader.get(&(at + 1), 0).or_fail("READER", "report this");
        let reported = [known(0)?, known(1)?];
        Ok(Self { ring, stats, reader, map, _only: only, reported, recount_at: None })
    }

    /// The kernel's number for the map.
    #[must_use]
    pub const fn map(&self) -> u32 {
        self.map
    }

    /// Whether the events of these pins are still the ones that are read here, and no others were put in their place.
    #[must_use]
    pub fn is_of(&self, maps: PinnedMaps<'_>) -> bool {
        maps.events_id().is_ok_and(|map| map == self.map)
    }

    /// Takes what is there, without waiting for more. Whether the ring buffer was full, so that what came then was not
    /// kept, and not counted if nobody read before.
    ///
    /// # Errors
    ///
    /// The kernel's refusal to be asked.
    pub fn take(&mut self, mut emit: impl FnMut(Message)) -> io::Result<bool> {
        let count = drain(self.ring.get_mut(), &mut emit);
        self.report_unreported(&mut emit)?;
        Ok(count >= ROOM)
    }

    /// Waits for events or for the time to count what was not reported.
    ///
    /// Cancelling it loses nothing.
    ///
    /// # Errors
    ///
    /// The kernel's refusal to wait or to be asked.
    pub async fn next(&mut self, mut emit: impl FnMut(Message)) -> io::Result<()> {
        let recount_at = self.recount_at;
        tokio::select! {
            ready = self.ring.readable_mut() => {
                let mut ready = ready?;
                sleep(GATHER).await;
                drain(ready.get_inner_mut(), &mut emit);
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
    fn report_unreported(&mut self, emit: &mut impl FnMut(Message)) -> io::Result<bool> {
        let mut more = false;
        for ((at, (counter, _)), reported) in (1..).zip(UNREPORTED).zip(&mut self.reported) {
            let values = self.stats.get(&counter.index(), 0).map_err(io::Error::other)?;
            let count: u64 = values.iter().sum();
            if count > *reported {
                let time = clock::monotonic();
                emit(Message::Unreported(Unreported { time, counter, count: count - *reported }));
                // The next reader is told what comes after.
                self.reader.set(at, count, 0).map_err(io::Error::other)?;
                *reported = count;
                more = true;
            }
        }
        Ok(more)
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        // Nobody reads any more: what finds no room is no loss. It makes no difference where the maps are gone.
        let _ = self.reader.get(&0, 0).and_then(|number| self.reader.set(0, number + 1, 0));
    }
}

/// Takes all that is there; how many.
fn drain(ring: &mut RingBuf<MapData>, emit: &mut impl FnMut(Message)) -> usize {
    let mut count = 0;
    while let Some(item) = ring.next() {
        count += 1;
        if let Some(event) = parse(&item) {
            emit(Message::Event(event));
        }
    }
    count
}
