//! Control connections of this host that were there before the filter.
//!
//! One that is between two exchanges can be followed from its next command on. That it is can't be
//! read from packets, but from its socket and its server's process: all that it got was read, it has
//! spoken last and some time ago, the process waits for input, and no data connection is under way. The
//! kernel program takes the positions from the socket itself.

use std::net::IpAddr;
use std::time::Duration;

use aya::maps::lpm_trie::Key;
use aya::maps::{HashMap, Map, MapData};
use ftp_common::address::Address;
use ftp_common::keys::{ConnectionKey, ServerKey};
use ftp_common::policy::{MAX_POLICIES, ServerPolicy};
use ftp_common::session::{Handshake, Session, idle};

use crate::ebpf::maps::PinnedMaps;
use crate::ebpf::pod::AsPod;
use crate::error::{Failure, OrFail as _};
use crate::sys::proc_syscall;
use crate::sys::sock_diag::{self, Connection};

/// A server that is silent for longer has said all that it had to say.
const SILENCE: Duration = Duration::from_millis(500);
const NOEXIST: u64 = 1;
const EXIST: u64 = 2;

/// Has the kernel program follow the idle control connections of this host; how many it may.
///
/// To be called once the filter is in place: what is said meanwhile takes a connection out again.
///
/// # Errors
///
/// A map can't be opened, or the kernel doesn't show its sockets.
pub fn idle_connections(maps: PinnedMaps<'_>) -> Result<usize, Failure> {
    let servers = Servers::read(maps)?;
    let mut handshakes: Handshakes =
        Map::LruHashMap(maps.handshakes()?).try_into().or_fail("HANDSHAKES", "report this")?;
    let sessions: HashMap<MapData, AsPod<ConnectionKey>, AsPod<Session>> =
        Map::LruHashMap(maps.sessions()?).try_into().or_fail("SESSIONS", "report this")?;
    let connections = || {
        sock_diag::established()
            .or_fail("sockets of this host", "run as root, with the kernel modules inet_diag and tcp_diag")
    };
    let entry = |idle| AsPod(Handshake { idle, ..Handshake::default() });
    // Entered first and observed then: data that is sent in between removes the entry.
    for connection in connections()?.iter().filter(|connection| servers.control(connection).is_some()) {
        // One that is there is a handshake, and worth more.
        let at = AsPod(key(connection));
        let entered = handshakes.insert(at, entry(idle::LOOKED_AT), NOEXIST).is_ok();
        // Asked for behind it: a session that begins from now on takes the entry away itself.
        if entered && sessions.get(&at, 0).is_ok() {
            forget(&mut handshakes, at);
        }
    }
    let now = connections()?;
    let mut found = 0;
    for connection in &now {
        let Some(policy) = servers.control(connection) else { continue };
        let at = AsPod(key(connection));
        if is_idle(connection, &policy, &now) && proc_syscall::for_input(u64::from(connection.inode)) {
            found += usize::from(handshakes.insert(at, entry(idle::FOUND), EXIST).is_ok());
        } else {
            forget(&mut handshakes, at);
        }
    }
    Ok(found)
}

type Handshakes = HashMap<MapData, AsPod<ConnectionKey>, AsPod<Handshake>>;

/// Takes an entry away that was entered to look at a connection; a handshake that has taken its place stays.
fn forget(handshakes: &mut Handshakes, at: AsPod<ConnectionKey>) {
    if handshakes.get(&at, 0).is_ok_and(|there| there.0.idle == idle::LOOKED_AT) {
        let _ = handshakes.remove(&at);
    }
}

/// Whether a control connection is between two exchanges.
fn is_idle(control: &Connection, policy: &ServerPolicy, all: &[Connection]) -> bool {
    let (sent, received) = control.silent;
    // Sent no longer ago than received: the server has spoken last. Most replies come within a tick.
    let answered = control.queued == (0, 0) && sent <= received && sent >= SILENCE;
    answered && !all.iter().any(|other| may_be_data(other, control, policy))
}

/// Whether a connection may carry data of a control connection's client: then a transfer is under way.
fn may_be_data(other: &Connection, control: &Connection, policy: &ServerPolicy) -> bool {
    let port = other.local.1;
    let by_port = policy.passive_first == 0 || policy.active_port == 0 || policy.is_passive(port);
    other.local.0 == control.local.0
        && other.remote.0 == control.remote.0
        && !policy.is_control(port)
        && (by_port || port == policy.active_port)
}

fn key(connection: &Connection) -> ConnectionKey {
    let (client, server) = (Address::from(connection.remote.0), Address::from(connection.local.0));
    let link_local = client.is_link_local() || server.is_link_local();
    ConnectionKey {
        client,
        server,
        client_port: connection.remote.1,
        server_port: connection.local.1,
        scope: if link_local { connection.interface } else { 0 },
    }
}

/// The active policies.
struct Servers {
    generation: u32,
    places: aya::maps::LpmTrie<MapData, AsPod<ServerKey>, u32>,
    policies: aya::maps::Array<MapData, AsPod<ServerPolicy>>,
}

impl Servers {
    fn read(maps: PinnedMaps<'_>) -> Result<Self, Failure> {
        let config = maps.config()?.get(&0, 0).or_fail("CONFIG", "run as root")?;
        Ok(Self { generation: config.0.generation, places: maps.servers()?, policies: maps.policies()? })
    }

    /// The policy of a server whose control connection it is.
    fn control(&self, connection: &Connection) -> Option<ServerPolicy> {
        let (address, port) = connection.local;
        self.of(address).filter(|policy| policy.is_control(port))
    }

    fn of(&self, address: IpAddr) -> Option<ServerPolicy> {
        let key = ServerKey { generation: self.generation, address: address.into() };
        let place = self.places.get(&Key::new(ServerKey::BITS, AsPod(key)), 0).ok()?;
        let half = (self.generation & 1) * MAX_POLICIES;
        let policy = (place < MAX_POLICIES).then(|| self.policies.get(&(half + place), 0).ok()).flatten()?;
        Some(policy.0)
    }
}

#[cfg(test)]
#[path = "adopt_tests.rs"]
mod tests;
