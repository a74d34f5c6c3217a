//! Processes and listeners that were there before anything was learned, as /proc shows them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;

use aya::maps::{HashMap, MapData};
use ftp_common::keys::ConnectionKey;
use ftp_common::owner::{self, Connection, Listener, Root, UNSURE};
use rustix::net::ipproto;
use rustix::net::sockopt::{socket_acceptconn, socket_protocol};

use crate::ebpf::maps::PinnedMaps;
use crate::ebpf::pod::AsPod;
use crate::error::{Failure, OrFail as _};
use crate::pins::Pins;
use crate::sys::{clock, proc};

/// `BPF_NOEXIST`: what the programs have noted since is newer.
const NEW: u64 = 1;
const HINT: &str = "run as root";
/// systemd holds the listeners of services that it starts when somebody connects. It forks all others as well.
const INIT: u32 = 1;

/// Enters the processes that listen on these control ports, their listeners and their descendants. The programs run by
/// now, so what comes later they see themselves. Returns what to know of it.
///
/// # Errors
///
/// The kernel's refusal.
pub(super) fn processes(ports: &BTreeSet<u16>, pins: &Pins) -> Result<Vec<String>, Failure> {
    if !proc::is_in_first_process_namespace() {
        let note = "FTP servers that run already are learned from once they are restarted: from within a process \
                    namespace they can't be told from others";
        return Ok(vec![note.to_owned()]);
    }
    let mut tables = Tables::open(pins)?;
    let listeners =
        proc::listening().filter(|socket| ports.contains(&socket.port)).map(|socket| socket.inode).collect();
    let masters = masters(&listeners, &proc::processes());
    for master in &masters {
        tables.enter_master(*master)?;
    }
    // Again: what they have forked until they were entered.
    let processes = proc::processes();
    let mut roots: BTreeMap<u32, (u32, Vec<u32>)> = BTreeMap::new();
    for id in processes.keys() {
        if let Some((root, master)) = root_of(*id, &masters, &processes) {
            roots.entry(root).or_insert((master, Vec::new())).1.push(*id);
        }
    }
    for (first, (master, members)) in roots {
        tables.enter_root(first, master, &members, &processes)?;
    }
    Ok(Vec::new())
}

/// Those that hold one of the listeners, but for those who have inherited it.
fn masters(listeners: &BTreeSet<u64>, processes: &BTreeMap<u32, proc::Process>) -> BTreeSet<u32> {
    let holds = |id: &u32| *id != INIT && processes.get(id).is_some_and(|one| !one.sockets.is_disjoint(listeners));
    processes.keys().copied().filter(|id| holds(id) && !ancestors(*id, processes).any(|above| holds(&above))).collect()
}

/// A process's ancestors, the nearest first.
fn ancestors(id: u32, processes: &BTreeMap<u32, proc::Process>) -> impl Iterator<Item = u32> {
    let above = |id: &u32| processes.get(id).map(|process| process.parent).filter(|parent| *parent != 0);
    // Ids may be reused while they are read: a chain is never longer than all of them.
    std::iter::successors(above(&id), move |id| above(id)).take(processes.len())
}

/// The child of a master that a process descends from, or is, and that master.
fn root_of(id: u32, masters: &BTreeSet<u32>, processes: &BTreeMap<u32, proc::Process>) -> Option<(u32, u32)> {
    if masters.contains(&id) {
        return None;
    }
    let mut child = id;
    for above in ancestors(id, processes) {
        if masters.contains(&above) {
            return Some((child, above));
        }
        child = above;
    }
    None
}

/// The maps of the programs.
struct Tables {
    processes: HashMap<MapData, u32, AsPod<owner::Process>>,
    roots: HashMap<MapData, u64, AsPod<Root>>,
    connections: HashMap<MapData, u64, AsPod<Connection>>,
    listeners: aya::maps::SkStorage<MapData, AsPod<Listener>>,
    /// Ports that the masters listen on, guarded or not.
    ports: BTreeSet<u16>,
}

impl Tables {
    fn open(pins: &Pins) -> Result<Self, Failure> {
        let maps = PinnedMaps::new(pins);
        Ok(Self {
            processes: maps.processes()?,
            roots: maps.owners()?,
            connections: maps.served_by_id()?,
            listeners: maps.listener()?,
            ports: BTreeSet::new(),
        })
    }

    /// Its listeners first: what they accept is of interest once it is known.
    fn enter_master(&mut self, id: u32) -> Result<(), Failure> {
        for socket in proc::sockets_of(id) {
            if let Some(port) = listens(&socket) {
                self.ports.insert(port);
                // Those that were opened since are there.
                let _ = self.listeners.insert(&socket, AsPod(Listener { socket: 0, process: id.into() }), NEW);
            }
        }
        let known = self.processes.get(&id, 0).is_ok_and(|known| known.0.is_master != 0);
        if known {
            return Ok(());
        }
        let master = owner::Process { is_master: 1, ..owner::Process::default() };
        self.enter(id, master, 0, proc::ticks_at_start(id))
    }

    fn enter_root(
        &mut self,
        first: u32,
        master: u32,
        members: &[u32],
        processes: &BTreeMap<u32, proc::Process>,
    ) -> Result<(), Failure> {
        // Forked while the programs ran: they know it.
        if members.iter().any(|id| self.processes.get(id, 0).is_ok()) {
            return Ok(());
        }
        let root = owner::root(clock::monotonic(), first);
        let served: BTreeMap<(SocketAddr, SocketAddr), ()> = members
            .iter()
            .flat_map(|id| proc::sockets_of(*id))
            .filter_map(|fd| self.accepted(fd))
            .map(|ends| (ends, ()))
            .collect();
        let sum = match served.len() {
            0 => 0,
            1 => served.into_keys().next().map_or(UNSURE, |ends| self.enter_connection(ends)),
            _ => UNSURE,
        };
        let processes_of = members.len() as u64;
        self.roots.insert(root, AsPod(Root { sum, processes: processes_of }), NEW).or_fail("OWNERS", HINT)?;
        for id in members {
            let member = owner::Process { root, master, is_master: 0 };
            self.enter(*id, member, NEW, processes.get(id).map(|process| process.started))?;
        }
        Ok(())
    }

    /// Enters a process, if it is still the one that began then: no other has its id.
    fn enter(&mut self, id: u32, process: owner::Process, flags: u64, began: Option<u64>) -> Result<(), Failure> {
        match self.processes.insert(id, AsPod(process), flags) {
            Err(_) if flags == NEW && self.processes.get(&id, 0).is_ok() => return Ok(()),
            result => result.or_fail("PROCESSES", HINT)?,
        }
        if proc::ticks_at_start(id) != began {
            let _gone = self.processes.remove(&id);
        }
        Ok(())
    }

    /// A connection that somebody has accepted on a port of a master's: its own end and the other.
    fn accepted(&self, socket: OwnedFd) -> Option<(SocketAddr, SocketAddr)> {
        if !is_tcp(&socket) || listens(&socket).is_some() {
            return None;
        }
        let stream = TcpStream::from(socket);
        let (own, other) = (stream.local_addr().ok()?, stream.peer_addr().ok()?);
        self.ports.contains(&own.port()).then_some((own, other))
    }

    /// What a connection adds to the sum of its root.
    fn enter_connection(&mut self, (own, other): (SocketAddr, SocketAddr)) -> u64 {
        let address = |end: SocketAddr| IpAddr::to_canonical(&end.ip()).into();
        let key = ConnectionKey {
            client: address(other),
            server: address(own),
            client_port: other.port(),
            server_port: own.port(),
            scope: 0,
        };
        // Any number does that is nobody else's.
        let (high, low) = ((clock::monotonic() >> 8) as u32, u32::from(other.port()));
        let id = owner::id(high.wrapping_mul(0x9e37_79b9) ^ low << 16);
        let entered = self.connections.insert(id, AsPod(Connection { key, since: 0 }), NEW);
        if entered.is_ok() { owner::one(id) } else { UNSURE }
    }
}

fn is_tcp(socket: &OwnedFd) -> bool {
    socket_protocol(socket) == Ok(Some(ipproto::TCP))
}

/// The port of a listening TCP socket.
fn listens(socket: &OwnedFd) -> Option<u16> {
    if !is_tcp(socket) || socket_acceptconn(socket) != Ok(true) {
        return None;
    }
    let listener = TcpListener::from(socket.try_clone().ok()?);
    Some(listener.local_addr().ok()?.port())
}

#[cfg(test)]
#[path = "seed_tests.rs"]
mod tests;
