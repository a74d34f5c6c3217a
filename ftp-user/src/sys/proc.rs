//! Sockets and processes, as /proc shows them (proc_pid_net(5), proc_pid_stat(5), proc_pid_fd(5)).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{OwnedFd, RawFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

use crate::sys::clock;

/// The TCP sockets of this process's network namespace.
const FAMILIES: [&str; 2] = ["/proc/self/net/tcp", "/proc/self/net/tcp6"];
/// State of a listening socket in /proc/net/tcp (`TCP_LISTEN`).
const LISTEN: &str = "0A";

/// A TCP socket of this network namespace, with its local address.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Socket {
    /// Its local address.
    pub address: IpAddr,
    /// Its local port.
    pub port: u16,
    /// Whether it listens.
    pub listens: bool,
    /// Its inode, by which a process's descriptors name it.
    pub inode: u64,
}

/// A process, as far as it matters here.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Process {
    /// The name of its program.
    pub name: String,
    /// Process ID of its parent.
    pub parent: u32,
    /// Inodes of the sockets that it has open.
    pub sockets: BTreeSet<u64>,
}

/// All TCP sockets.
pub fn tcp_sockets() -> impl Iterator<Item = Socket> {
    FAMILIES.into_iter().flat_map(sockets)
}

/// The listening sockets. The kernel lists a family's first: the rest, maybe a million, need not be read.
pub fn listening() -> impl Iterator<Item = Socket> {
    FAMILIES.into_iter().flat_map(|family| sockets(family).take_while(|socket| socket.listens))
}

/// The listening sockets of all network namespaces that a process is in. One that can't be looked at is left out.
#[must_use]
pub fn listening_anywhere() -> Vec<Socket> {
    let mut seen = BTreeSet::new();
    let namespace = |id: &u32| fs::metadata(format!("/proc/{id}/ns/net")).map(|namespace| namespace.ino());
    let first_of_each: Vec<_> = ids().filter(|id| namespace(id).is_ok_and(|inode| seen.insert(inode))).collect();
    let of = |id: u32| ["tcp", "tcp6"].map(|family| format!("/proc/{id}/net/{family}"));
    let tables = first_of_each.into_iter().flat_map(of);
    tables.flat_map(|table| sockets(&table).take_while(|socket| socket.listens).collect::<Vec<_>>()).collect()
}

/// The processes whose names begin with `name` that listen on one of these ports, in this network namespace.
#[must_use]
pub fn listening_as(name: &str, ports: &[u16]) -> Vec<u32> {
    let sockets: BTreeSet<u64> =
        listening().filter(|socket| ports.contains(&socket.port)).map(|socket| socket.inode).collect();
    let is_it = |process: &Process| process.name.starts_with(name) && !process.sockets.is_disjoint(&sockets);
    processes().into_iter().filter(|(_, process)| is_it(process)).map(|(id, _)| id).collect()
}

fn sockets(family: &str) -> impl Iterator<Item = Socket> {
    // IPv6 may be off.
    let file = fs::File::open(family).ok().into_iter();
    file.flat_map(|file| BufReader::new(file).lines().skip(1).map_while(Result::ok)).filter_map(|line| socket(&line))
}

/// A line of /proc/net/tcp: number, local address, remote address, state, …, inode tenth.
fn socket(line: &str) -> Option<Socket> {
    let fields: Vec<_> = line.split_ascii_whitespace().collect();
    let (address, port) = fields.get(1)?.split_once(':')?;
    Some(Socket {
        address: hexadecimal_address(address)?,
        port: u16::from_str_radix(port, 16).ok()?,
        listens: *fields.get(3)? == LISTEN,
        inode: fields.get(9)?.parse().ok()?,
    })
}

/// Words of the address in the machine's byte order, in hexadecimal.
fn hexadecimal_address(text: &str) -> Option<IpAddr> {
    let word = |at: usize| u32::from_str_radix(text.get(at..at + 8)?, 16).ok().map(u32::to_ne_bytes);
    if text.len() == 8 {
        return Some(Ipv4Addr::from(word(0)?).into());
    }
    let words = [word(0)?, word(8)?, word(16)?, word(24)?];
    let bytes: [u8; 16] = words.concat().try_into().ok()?;
    Some(Ipv6Addr::from(bytes).to_canonical())
}

/// All processes, by ID.
#[must_use]
pub fn processes() -> BTreeMap<u32, Process> {
    ids().filter_map(|id| Some((id, process(id)?))).collect()
}

/// A process's ancestors, the nearest first.
pub fn ancestors(id: u32, processes: &BTreeMap<u32, Process>) -> impl Iterator<Item = u32> {
    let above = |id: &u32| processes.get(id).map(|process| process.parent).filter(|parent| *parent != 0);
    // Ids may be reused while they are read: a chain is never longer than all of them.
    std::iter::successors(above(&id), move |id| above(id)).take(processes.len())
}

/// The processes that hold a socket, by its inode.
pub fn holders(inode: u64) -> impl Iterator<Item = u32> {
    ids().filter(move |id| held_sockets(*id).any(|held| held == inode))
}

/// When a process was started, in ticks since the machine was: unlike that of another process of this ID.
#[must_use]
pub fn ticks_at_start(id: u32) -> Option<u64> {
    Stat::read(id)?.field(22)?.parse().ok()
}

/// Whether this process sees processes by the ids that the kernel itself gives them.
#[must_use]
pub fn is_in_first_process_namespace() -> bool {
    /// `PROC_PID_INIT_INO` of linux/proc_fs.h.
    const FIRST: u64 = 0xefff_fffc;
    fs::metadata("/proc/self/ns/pid").is_ok_and(|namespace| namespace.ino() == FIRST)
}

/// A process's own copies of its sockets.
pub fn sockets_of(id: u32) -> impl Iterator<Item = OwnedFd> {
    let process = Pid::from_raw(id.cast_signed()).and_then(|id| pidfd_open(id, PidfdFlags::empty()).ok());
    process.into_iter().flat_map(move |process| {
        let copy = move |fd| pidfd_getfd(&process, fd, PidfdGetfdFlags::empty()).ok();
        descriptors(id).filter(|(_, link)| inode(link).is_some()).filter_map(move |(fd, _)| copy(fd))
    })
}

/// When a process was started.
#[must_use]
pub fn started(id: u32) -> Option<SystemTime> {
    let ticks = ticks_at_start(id)?;
    let per_second = rustix::param::clock_ticks_per_second();
    clock::since_boot(Duration::from_millis(ticks.checked_mul(1000)?.checked_div(per_second)?))
}

fn ids() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn process(id: u32) -> Option<Process> {
    let stat = Stat::read(id)?;
    Some(Process { parent: stat.field(4)?.parse().ok()?, sockets: held_sockets(id).collect(), name: stat.name })
}

/// Inodes of the sockets that a process has open.
fn held_sockets(id: u32) -> impl Iterator<Item = u64> {
    descriptors(id).filter_map(|(_, link)| inode(&link))
}

/// A process's descriptors, and what they are.
fn descriptors(id: u32) -> impl Iterator<Item = (RawFd, PathBuf)> {
    let entries = fs::read_dir(format!("/proc/{id}/fd")).into_iter().flatten().flatten();
    entries.filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, fs::read_link(entry.path()).ok()?)))
}

/// Of a socket.
fn inode(link: &Path) -> Option<u64> {
    link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// /proc/ID/stat.
struct Stat {
    name: String,
    /// Field 3 and those behind it.
    fields: Vec<String>,
}

impl Stat {
    fn read(id: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        // The name, field 2, stands in brackets and may hold blanks and brackets itself.
        let (before, after) = stat.rsplit_once(')')?;
        let name = before.split_once('(')?.1.to_owned();
        Some(Self { name, fields: after.split_ascii_whitespace().map(str::to_owned).collect() })
    }

    /// By the number that it has in proc_pid_stat(5), from 3 up.
    fn field(&self, number: usize) -> Option<&str> {
        self.fields.get(number.checked_sub(3)?).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_proc_are_read() {
        let line =
            "   0: 0100000A:2CEB 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4242 1 0";
        let address = "10.0.0.1".parse().unwrap();
        assert_eq!(socket(line), Some(Socket { address, port: 11499, listens: true, inode: 4242 }));
        assert!(!socket(&line.replace(" 0A ", " 01 ")).unwrap().listens);
        assert_eq!(socket("  sl  local_address rem_address"), None);
        assert_eq!(hexadecimal_address("00000000000000000000000001000000"), Some("::1".parse().unwrap()));
        assert_eq!(hexadecimal_address("0000000000000000FFFF00000100000A"), Some("10.0.0.1".parse().unwrap()));
        assert_eq!(hexadecimal_address("xyz"), None);
    }

    #[test]
    fn this_process_is_found_with_its_sockets() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let inode = tcp_sockets().find(|socket| socket.port == port).unwrap().inode;
        assert!(process(std::process::id()).unwrap().sockets.contains(&inode));
        assert!(holders(inode).any(|id| id == std::process::id()));
        assert!(started(std::process::id()).unwrap() <= SystemTime::now());
    }
}
