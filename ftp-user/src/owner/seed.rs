//! Servers that ran before anything was learned, as /proc shows them.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;

use ftp_common::owner::{Listener, Process, role};
use rustix::net::ipproto;
use rustix::net::sockopt::{socket_acceptconn, socket_protocol};

use crate::ebpf::maps::PinnedMaps;
use crate::ebpf::pod::AsPod;
use crate::error::{Failure, OrFail as _};
use crate::pins::Pins;
use crate::sys::{capability, clock, proc};

const HINT: &str = "run as root";
/// systemd holds the listeners of services that it starts when somebody connects. It forks all others as well.
const INIT: u32 = 1;

/// Enters the processes that listen on these control ports, with their listeners. The programs run by now, so what comes
/// later they see themselves. Sessions that these serve already are not known: they open nothing. Returns what to know of
/// it.
///
/// # Errors
///
/// The kernel's refusal.
pub(super) fn masters(ports: &BTreeSet<u16>, pins: &Pins) -> Result<Vec<String>, Failure> {
    if let Some(why) = what_hides_processes() {
        // Those that the programs have seen are there: this is a restart.
        let is_anything_known = PinnedMaps::new(pins).processes()?.keys().next().is_some();
        let note = format!("FTP servers that run already are learned from once they are restarted: {why}");
        return Ok(if is_anything_known { Vec::new() } else { vec![note] });
    }
    let listeners = proc::listening_anywhere().into_iter().filter(|socket| ports.contains(&socket.port));
    let listeners = listeners.map(|socket| socket.inode).collect();
    let processes = proc::processes();
    let mut notes = Vec::new();
    for master in holders(&listeners, &processes) {
        let name = processes.get(&master).map_or("", |process| &process.name);
        if !enter(master, pins)? {
            notes.push(format!("{name} ({master}) is learned from once it is restarted: its sockets can't be seen"));
        }
    }
    Ok(notes)
}

fn what_hides_processes() -> Option<&'static str> {
    if !proc::is_in_first_process_namespace() {
        Some("from within a process namespace they can't be told from others")
    } else if !capability::sees_processes() {
        Some("what they hold can't be seen without CAP_SYS_PTRACE")
    } else {
        None
    }
}

/// Those that hold one of the listeners, but for those who have inherited it.
fn holders(listeners: &BTreeSet<u64>, processes: &BTreeMap<u32, proc::Process>) -> BTreeSet<u32> {
    let holds = |id: &u32| *id != INIT && processes.get(id).is_some_and(|one| !one.sockets.is_disjoint(listeners));
    processes
        .keys()
        .copied()
        .filter(|id| holds(id) && !proc::ancestors(*id, processes).any(|above| holds(&above)))
        .collect()
}

/// Enters a master; false if its sockets can't be seen. First the process, then its listeners: what they accept is of
/// interest once both are known, and what is accepted before is served by a child that is unknown.
fn enter(id: u32, pins: &Pins) -> Result<bool, Failure> {
    let maps = PinnedMaps::new(pins);
    let mut processes = maps.processes()?;
    let mut listeners = maps.listener()?;
    let began = proc::ticks_at_start(id);
    let known = processes.get(&id, 0).is_ok_and(|known| known.0.role == role::MASTER);
    if !known {
        let master = Process { born: clock::monotonic(), role: role::MASTER, ..Process::default() };
        processes.insert(id, AsPod(master), 0).or_fail("PROCESSES", HINT)?;
    }
    let mut any = false;
    for socket in proc::sockets_of(id).filter(listens) {
        // In the place of who has opened it, if that is another one.
        any |= listeners.insert(&socket, AsPod(Listener { socket: 0, process: id.into() }), 0).is_ok();
    }
    // No other process has its id by now.
    if !any || proc::ticks_at_start(id) != began {
        let _gone = processes.remove(&id);
    }
    Ok(any)
}

/// Whether a socket is a listening one of TCP.
fn listens(socket: &OwnedFd) -> bool {
    socket_protocol(socket) == Ok(Some(ipproto::TCP)) && socket_acceptconn(socket) == Ok(true)
}

#[cfg(test)]
#[path = "seed_tests.rs"]
mod tests;
