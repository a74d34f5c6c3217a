//! The pinned maps of those programs that learn from processes and sockets.

use aya::maps::{Array, HashMap, Map, MapData, SkStorage};
use ftp_common::keys::{ConnectionKey, ExpectationKey};
use ftp_common::owner::{Connection, Listener, Process, Root, Served, learning};

use crate::ebpf::maps::{PinnedMaps, Shape, array, hash, of_sockets};
use crate::ebpf::pod::AsPod;
use crate::error::Failure;

const PROCESSES: Shape = hash::<u32, Process>("PROCESSES");
const OWNERS: Shape = hash::<u64, Root>("OWNERS");
const SERVED_BY_ID: Shape = hash::<u64, Connection>("SERVED_BY_ID");
const LISTENER: Shape = of_sockets::<Listener>("LISTENER");
const ENTRIES: Shape = array::<u64>(LEARNING, learning::ENTRIES);

/// The map that is pinned where anybody learns.
pub const LEARNING: &str = "LEARNING";

/// The maps of those programs that learn from processes and sockets. They are pinned where these run.
pub const OWNER: [Shape; 7] = [
    PROCESSES,
    OWNERS,
    SERVED_BY_ID,
    of_sockets::<Served>("SERVED"),
    of_sockets::<(ExpectationKey, ConnectionKey, u64)>("OPENED"),
    LISTENER,
    ENTRIES,
];

impl PinnedMaps<'_> {
    /// Whether all of those of [`OWNER`] are of this program's shapes.
    ///
    /// # Errors
    ///
    /// The first that isn't, or can't be opened.
    pub fn check_owner(self) -> Result<(), Failure> {
        OWNER.iter().try_for_each(|shape| self.open(*shape).map(drop))
    }

    /// What is known of processes, by their ids.
    ///
    /// # Errors
    ///
    /// See [`Self::config`].
    pub fn processes(self) -> Result<HashMap<MapData, u32, AsPod<Process>>, Failure> {
        self.typed(PROCESSES, Map::HashMap)
    }

    /// Roots, by number.
    ///
    /// # Errors
    ///
    /// See [`Self::config`].
    pub fn owners(self) -> Result<HashMap<MapData, u64, AsPod<Root>>, Failure> {
        self.typed(OWNERS, Map::HashMap)
    }

    /// Connections that are served, by id.
    ///
    /// # Errors
    ///
    /// See [`Self::config`].
    pub fn served_by_id(self) -> Result<HashMap<MapData, u64, AsPod<Connection>>, Failure> {
        self.typed(SERVED_BY_ID, Map::HashMap)
    }

    /// Who has opened a listening socket, by that.
    ///
    /// # Errors
    ///
    /// See [`Self::config`].
    pub fn listener(self) -> Result<SkStorage<MapData, AsPod<Listener>>, Failure> {
        self.typed(LISTENER, Map::SkStorage)
    }

    /// See [`learning`].
    ///
    /// # Errors
    ///
    /// See [`Self::config`].
    pub fn learning(self) -> Result<Array<MapData, u64>, Failure> {
        self.typed(ENTRIES, Map::Array)
    }
}
