//! The pinned maps: their names and shapes, and access to them.

use std::io;
use std::os::fd::AsFd as _;
use std::thread;

use aya::maps::{Array, LpmTrie, Map, MapData, MapInfo, MapType, PerCpuArray, RingBuf};
use ftp_common::closed::{Closed, PLACES};
use ftp_common::counter::Counter;
use ftp_common::event::READER_ENTRIES;
use ftp_common::expectation::{Expectation, Used};
use ftp_common::flow::Flow;
use ftp_common::half_open::{BUCKETS, HalfOpenFlow, Id, WAYS};
use ftp_common::keys::{ConnectionKey, ExpectationKey, ServerKey};
use ftp_common::limit::{Slot, SlotKey};
use ftp_common::owner::Joint;
use ftp_common::policy::{Config, MAX_POLICIES, PortClasses, ServerPolicy};
use ftp_common::range::Range;
use ftp_common::session::{Handshake, Session};

use crate::ebpf::pod::AsPod;
use crate::error::{Failure, OrFail as _};
use crate::pins::Pins;
use crate::sys::bpf;

/// What a map must look like for this program to read it.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Its name in the object and its pin's.
    pub name: &'static str,
    kind: MapType,
    key: usize,
    value: usize,
    /// Number of entries, where it has a meaning.
    entries: Option<u32>,
}

pub(super) const fn array<V>(name: &'static str, entries: u32) -> Shape {
    Shape { name, kind: MapType::Array, key: 4, value: size_of::<V>(), entries: Some(entries) }
}

const fn lru<K, V>(name: &'static str) -> Shape {
    Shape { name, kind: MapType::LruHash, key: size_of::<K>(), value: size_of::<V>(), entries: None }
}

pub(super) const fn hash<K, V>(name: &'static str) -> Shape {
    Shape { kind: MapType::Hash, ..lru::<K, V>(name) }
}

pub(super) const fn of_sockets<V>(name: &'static str) -> Shape {
    Shape { name, kind: MapType::SkStorage, key: 4, value: size_of::<V>(), entries: None }
}

const fn ring(name: &'static str) -> Shape {
    Shape { name, kind: MapType::RingBuf, key: 0, value: 0, entries: None }
}

const CONFIG: Shape = array::<Config>("CONFIG", 1);
const PORTS: Shape = array::<PortClasses>("PORTS", 2);
const POLICIES: Shape = array::<ServerPolicy>("POLICIES", 2 * MAX_POLICIES);
const SERVERS: Shape = Shape {
    name: "SERVERS",
    kind: MapType::LpmTrie,
    // The prefix length stands in front.
    key: 4 + size_of::<ServerKey>(),
    value: 4,
    entries: None,
};
const HANDSHAKES: Shape = lru::<ConnectionKey, Handshake>("HANDSHAKES");
const SESSIONS: Shape = lru::<ConnectionKey, Session>("SESSIONS");
const EXPECTATIONS: Shape = lru::<ExpectationKey, Expectation>("EXPECTATIONS");
const RANGES: Shape = lru::<ExpectationKey, Range>("RANGES");
const JOINABLE: Shape = lru::<Joint, ConnectionKey>("JOINABLE");
const RANGES_USED: Shape = array::<u32>("RANGES_USED", 1);
const FLOWS: Shape = lru::<ConnectionKey, Flow>("FLOWS");
const HALF_OPEN: Shape = hash::<Id, HalfOpenFlow>("HALF_OPEN");
const VERSIONS: Shape = array::<u32>("VERSIONS", BUCKETS * WAYS);
const COUNTS: Shape = array::<u32>("COUNTS", BUCKETS);
const USED: Shape = lru::<ExpectationKey, Used>("USED");
const CLOSED: Shape = lru::<ConnectionKey, Closed>("CLOSED");
const CLOSED_UNTIL: Shape = array::<u32>("CLOSED_UNTIL", PLACES);
const CLIENTS: Shape = lru::<SlotKey, Slot>("CLIENTS");
const STATS: Shape =
    Shape { name: "STATS", kind: MapType::PerCpuArray, key: 4, value: 8, entries: Some(Counter::COUNT) };
const EVENTS: Shape = ring("EVENTS");
const READER: Shape = array::<u64>("READER", READER_ENTRIES);
const VIEW: Shape = ring("VIEW");
const VIEWER: Shape = array::<u64>("VIEWER", 1);

/// All maps that are pinned and shared by the programs of all interfaces.
pub const SHARED: [Shape; 23] = [
    CONFIG,
    PORTS,
    POLICIES,
    SERVERS,
    HANDSHAKES,
    SESSIONS,
    EXPECTATIONS,
    RANGES,
    RANGES_USED,
    JOINABLE,
    FLOWS,
    HALF_OPEN,
    VERSIONS,
    COUNTS,
    USED,
    CLOSED,
    CLOSED_UNTIL,
    CLIENTS,
    STATS,
    EVENTS,
    READER,
    VIEW,
    VIEWER,
];

impl Shape {
    /// Whether its values are kept with sockets: it has no number of entries.
    pub(super) fn is_of_sockets(&self) -> bool {
        self.kind == MapType::SkStorage
    }

    /// Makes a table of this shape and so many entries, and pins it.
    fn make_table(&self, pins: &Pins, entries: u32) -> io::Result<()> {
        let map = bpf::create_lru(self.name, self.key as u32, self.value as u32, entries)?;
        bpf::pin(map.as_fd(), &pins.map(self.name))
    }

    /// Compares it to a map's. A pinned map of another shape would be reused without a word.
    fn check(&self, info: &MapInfo) -> Result<(), String> {
        let is = (info.map_type().ok(), info.key_size() as usize, info.value_size() as usize);
        let entries = self.entries.unwrap_or(info.max_entries());
        if is == (Some(self.kind), self.key, self.value) && entries == info.max_entries() {
            return Ok(());
        }
        let kind = is.0.map_or_else(|| "map".to_owned(), |kind| format!("{kind:?}"));
        let (_, key, value) = is;
        Err(format!(
            "it is a {kind} of {} entries of {key} + {value} bytes, and not a {:?} of {entries} of {} + {}",
            info.max_entries(),
            self.kind,
            self.key,
            self.value
        ))
    }
}

/// Makes the tables of flows, if they are large and not there, each by a thread of its own: the kernel clears hundreds of
/// megabytes for them. What can't be made here is made when the object is loaded, which says why it can't.
pub fn make_large_tables(pins: &Pins, flows: Option<u32>) {
    let Some(flows) = flows.filter(|_| !pins.map(FLOWS.name).exists()) else { return };
    thread::scope(|scope| {
        for table in [FLOWS, CLOSED] {
            scope.spawn(move || table.make_table(pins, flows));
        }
    });
}

/// The shared maps of a pin directory. Each is opened when it is asked for.
#[derive(Clone, Copy, Debug)]
pub struct PinnedMaps<'a>(&'a Pins);

impl<'a> PinnedMaps<'a> {
    /// Those pinned there. Nothing is looked at yet.
    #[must_use]
    pub const fn new(pins: &'a Pins) -> Self {
        Self(pins)
    }

    /// Where they are pinned.
    #[must_use]
    pub const fn pins(self) -> &'a Pins {
        self.0
    }

    /// Whether all of them are of this program's shapes.
    ///
    /// # Errors
    ///
    /// The first that isn't, or can't be opened.
    pub fn check(self) -> Result<(), Failure> {
        SHARED.iter().try_for_each(|shape| self.open(*shape).map(drop))
    }

    /// The active generation of the policy.
    ///
    /// # Errors
    ///
    /// As all of these: it can't be opened, or is of another shape.
    pub fn config(self) -> Result<Array<MapData, AsPod<Config>>, Failure> {
        self.typed(CONFIG, Map::Array)
    }

    /// Classes of ports, of two generations.
    ///
    /// # Errors
    ///
    /// See [`Self::config`].
    pub fn ports(self) -> Result<Array<MapData, AsPod<PortClasses>>, Failure> {
        self.typed(PORTS, Map::Array)
    }

    /// Policies, of two generations.
    ///
    /// # Errors
    ///
    /// See [`Self::config`].
    pub fn policies(self) -> Result<Array<MapData, AsPod<ServerPolicy>>, Failure> {
        self.typed(POLICIES, Map::Array)
    }

    /// Server addresses.
    ///
    /// # Errors
    ///
    /// See [`Self::config`].
    pub fn servers(self) -> Result<LpmTrie<MapData, AsPod<ServerKey>, u32>, Failure> {
        self.typed(SERVERS, Map::LpmTrie)
    }

    /// Counters.
    ///
    /// # Errors
    ///
    /// See [`Self::config`].
    pub fn stats(self) -> Result<PerCpuArray<MapData, u64>, Failure> {
        self.typed(STATS, Map::PerCpuArray)
    }

    /// Events. There must be one reader only.
    ///
    /// # Errors
    ///
    /// See [`Self::config`].
    pub fn events(self) -> Result<RingBuf<MapData>, Failure> {
        self.typed(EVENTS, Map::RingBuf)
    }

    /// The kernel's number for the map of events.
    ///
    /// # Errors
    ///
    /// See [`Self::config`].
    pub fn events_id(self) -> Result<u32, Failure> {
        let info = self.open(EVENTS)?.info();
        Ok(info.or_fail(self.0.map(EVENTS.name).display(), "run as root")?.id())
    }

    /// Who reads the events: odd while somebody does, and another number each time that changes; and how many lost and
    /// suppressed ones the last reader knew of.
    ///
    /// # Errors
    ///
    /// See [`Self::config`].
    pub fn reader(self) -> Result<Array<MapData, u64>, Failure> {
        self.typed(READER, Map::Array)
    }

    /// Events and what sessions say, while somebody views. There must be one reader only.
    ///
    /// # Errors
    ///
    /// See [`Self::config`].
    pub fn view(self) -> Result<RingBuf<MapData>, Failure> {
        self.typed(VIEW, Map::RingBuf)
    }

    /// Until when somebody views, nanoseconds of `CLOCK_MONOTONIC`.
    ///
    /// # Errors
    ///
    /// See [`Self::config`].
    pub fn viewer(self) -> Result<Array<MapData, u64>, Failure> {
        self.typed(VIEWER, Map::Array)
    }

    /// Handshakes on control ports.
    ///
    /// # Errors
    ///
    /// See [`Self::config`].
    pub fn handshakes(self) -> Result<MapData, Failure> {
        self.open(HANDSHAKES)
    }

    /// Sessions, by control connection.
    ///
    /// # Errors
    ///
    /// See [`Self::config`].
    pub fn sessions(self) -> Result<MapData, Failure> {
        self.open(SESSIONS)
    }

    /// Expectations.
    ///
    /// # Errors
    ///
    /// See [`Self::config`].
    pub fn expectations(self) -> Result<MapData, Failure> {
        self.open(EXPECTATIONS)
    }

    /// Ranges that encrypted sessions have opened to their clients.
    ///
    /// # Errors
    ///
    /// See [`Self::config`].
    pub fn ranges(self) -> Result<MapData, Failure> {
        self.open(RANGES)
    }

    /// Data connections whose handshake is not over, was denied or refused.
    ///
    /// # Errors
    ///
    /// See [`Self::config`].
    pub fn half_open(self) -> Result<MapData, Failure> {
        self.open(HALF_OPEN)
    }

    /// Established flows, by data connection.
    ///
    /// # Errors
    ///
    /// See [`Self::config`].
    pub fn flows(self) -> Result<MapData, Failure> {
        self.open(FLOWS)
    }

    pub(super) fn open(self, shape: Shape) -> Result<MapData, Failure> {
        let path = self.0.map(shape.name);
        let map =
            MapData::from_pin(&path).or_fail(path.display(), "run as root, with the --pin-dir of ftptrack run")?;
        let info = map.info().or_fail(path.display(), "run as root")?;
        shape.check(&info).map_err(|problem| {
            Failure::failed(path.display(), problem, "it was made by another ftptrack: run ftptrack attach --replace")
        })?;
        Ok(map)
    }

    pub(super) fn typed<T: TryFrom<Map, Error = aya::maps::MapError>>(
        self,
        shape: Shape,
        kind: fn(MapData) -> Map,
    ) -> Result<T, Failure> {
        let map = kind(self.open(shape)?);
        T::try_from(map).or_fail(self.0.map(shape.name).display(), "run ftptrack detach --all")
    }
}
