//! Where all of it comes from: the pinned maps, and the ring buffer of the live view.

use std::path::{Path, PathBuf};

use aya::maps::{Array, MapData, RingBuf};
use ftp_common::counter::Counter;
use ftp_common::event::Event;
use tokio::io::unix::AsyncFd;

use crate::ebpf::maps::PinnedMaps;
use crate::ebpf::ring;
use crate::error::{Failure, OrFail as _};
use crate::pins::Pins;
use crate::pins::lock::{self, Lock};
use crate::query;
use crate::query::rows::{ExpectationRow, FlowRow, SessionRow, Stats};
use crate::query::status;
use crate::sys::clock;

/// How long the kernel program takes us to be there after we have said so: nanoseconds.
const LEASE: u64 = 5_000_000_000;

/// What the maps say at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// When: nanoseconds of `CLOCK_MONOTONIC`.
    pub time: u64,
    /// Interfaces that are guarded or are to be, with their state.
    pub interfaces: Vec<(String, &'static str)>,
    /// Control connections.
    pub sessions: Vec<SessionRow>,
    /// What was negotiated and has not begun.
    pub expectations: Vec<ExpectationRow>,
    /// What was let in.
    pub flows: Vec<FlowRow>,
    /// Connections that were denied, ever.
    pub denied: u64,
    /// Events that we were too slow for, ever.
    pub missed: u64,
    /// Whether flows are counted.
    pub accounting: bool,
    /// Why what happens can't be shown, if it can't.
    pub blind: Option<String>,
}

/// The pin directory, and the view.
pub struct Source {
    pin_dir: PathBuf,
    view: Option<View>,
    /// Why there is none.
    blind: Option<String>,
}

impl Source {
    /// Starts reading. That another process views already is no failure: then only the maps are shown.
    ///
    /// # Errors
    ///
    /// Nothing is attached.
    pub fn open(pin_dir: &Path) -> Result<Self, Failure> {
        PinnedMaps::new(&Pins::attached(pin_dir)?).check()?;
        let mut source = Self { pin_dir: pin_dir.to_owned(), view: None, blind: None };
        source.keep_view();
        Ok(source)
    }

    /// What the maps say now; or why they can't be read.
    ///
    /// # Errors
    ///
    /// A map is gone, or can't be read.
    pub async fn snapshot(&mut self) -> Result<Snapshot, Failure> {
        self.keep_view();
        let pins = Pins::attached(&self.pin_dir)?;
        let maps = PinnedMaps::new(&pins);
        let status = status::status(&self.pin_dir, &pins).await?;
        let stats = query::stats(maps)?;
        Ok(Snapshot {
            time: clock::monotonic(),
            interfaces: status.interfaces.into_iter().map(|row| (row.name, row.state)).collect(),
            sessions: query::sessions(maps)?,
            expectations: query::expectations(maps)?,
            flows: query::flows(maps)?,
            denied: sum(&stats, |counter| counter.name().starts_with("denied_")),
            missed: sum(&stats, |counter| *counter == Counter::ViewLost),
            accounting: status.policy.accounting,
            blind: self.blind.clone(),
        })
    }

    /// Waits for what the kernel shows; forever where it shows nothing. Cancelling it loses nothing.
    ///
    /// # Errors
    ///
    /// The kernel's refusal to wait.
    pub async fn events(&mut self) -> Result<Vec<Event>, Failure> {
        match &mut self.view {
            Some(view) => view.next().await,
            None => std::future::pending().await,
        }
    }

    /// Opens the view if there is none or the maps are others by now, and says that we are there.
    fn keep_view(&mut self) {
        let kept = Pins::attached(&self.pin_dir).and_then(|pins| {
            let maps = PinnedMaps::new(&pins);
            let id = View::id(maps)?;
            match &mut self.view {
                Some(view) if view.id == id => {}
                other => *other = Some(View::open(maps, id)?),
            }
            self.view.as_mut().map_or(Ok(()), View::renew)
        });
        self.blind = kept.err().map(|failure| failure.complaint());
        if self.blind.is_some() {
            self.view = None;
        }
    }
}

fn sum(stats: &Stats, is_it: impl Fn(&Counter) -> bool) -> u64 {
    stats.0.iter().filter(|(counter, _)| is_it(counter)).map(|(_, count)| count).sum()
}

/// The one reader of the ring buffer VIEW.
struct View {
    id: u32,
    ring: AsyncFd<RingBuf<MapData>>,
    viewer: Array<MapData, u64>,
    /// What lies in it from before is another's.
    since: u64,
    _only: Lock,
}

impl View {
    /// Tells maps from others that were pinned in their place: all are made together.
    fn id(maps: PinnedMaps<'_>) -> Result<u32, Failure> {
        Ok(maps.sessions()?.info().or_fail("SESSIONS", "run as root")?.id())
    }

    fn open(maps: PinnedMaps<'_>, id: u32) -> Result<Self, Failure> {
        let only = lock::view(maps.pins())?;
        let ring = ring::watch(maps.view()?).or_fail("VIEW", "report this")?;
        Ok(Self { id, ring, viewer: maps.viewer()?, since: clock::monotonic(), _only: only })
    }

    /// Says that we are there, for a while: one who is killed says no more.
    fn renew(&mut self) -> Result<(), Failure> {
        self.viewer.set(0, clock::monotonic() + LEASE, 0).or_fail("VIEWER", "run as root")
    }

    async fn next(&mut self) -> Result<Vec<Event>, Failure> {
        let since = self.since;
        let mut ready = self.ring.readable_mut().await.or_fail("VIEW", "report this")?;
        let mut all = Vec::new();
        while let Some(item) = ready.get_inner_mut().next() {
            all.extend(ring::parse(&item).filter(|event| event.time >= since));
        }
        ready.clear_ready();
        Ok(all)
    }
}

impl Drop for View {
    fn drop(&mut self) {
        // It would end by itself in a few seconds.
        let _ = self.viewer.set(0, 0, 0);
    }
}
