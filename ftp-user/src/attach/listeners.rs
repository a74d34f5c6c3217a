//! Programs that listen inside the passive range and are no FTP server: the guard would cut them
//! off from everyone who doesn't speak FTP first.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use crate::error::Failure;
use crate::policy::{PortRange, Rules};

/// The TCP sockets of this process's network namespace.
const FAMILIES: [&str; 2] = ["/proc/self/net/tcp", "/proc/self/net/tcp6"];
/// State of a listening socket in /proc/net/tcp (`TCP_LISTEN`).
const LISTEN: &str = "0A";

/// A TCP socket of this network namespace, with its local address.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Socket {
    address: IpAddr,
    port: u16,
    listens: bool,
    inode: u64,
}

/// A process, as far as it matters here.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct Process {
    name: String,
    parent: u32,
    sockets: BTreeSet<u64>,
}

/// Somebody who listens inside the passive range, and is no FTP server.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Other {
    /// Where.
    pub port: u16,
    /// Name and ID of the process; none if it can't be seen.
    pub process: Option<(String, u32)>,
}

/// `port (name/process)`
impl fmt::Display for Other {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.process {
            Some((name, id)) => write!(f, "{} ({name}/{id})", self.port),
            None => write!(f, "{} (process unknown)", self.port),
        }
    }
}

/// The listening sockets and the addresses of this host.
#[derive(Clone, Debug, Default)]
pub struct Listeners {
    sockets: Vec<Socket>,
    local: BTreeSet<IpAddr>,
}

impl Listeners {
    /// Those of now, on a host with these addresses.
    #[must_use]
    pub fn now(local: BTreeSet<IpAddr>) -> Self {
        Self { sockets: listening().collect(), local }
    }

    /// Whether anyone else than the FTP server listens inside the passive range of its rules, on an address
    /// of `servers`.
    ///
    /// # Errors
    ///
    /// The list of them: port, and name and ID of the process.
    pub fn check(&self, rules: &Rules, servers: &[IpNet]) -> Result<(), Failure> {
        let others = self.others(rules, servers);
        let Some(range) = rules.passive_range.filter(|_| !others.is_empty()) else {
            return Ok(());
        };
        let others: Vec<_> = others.iter().map(ToString::to_string).collect();
        Err(Failure::failed(
            format_args!("passive range {range}"),
            format_args!("others than the FTP server listen there and would be cut off: {}", others.join(", ")),
            "choose another range, here and in the server's configuration, or go on all the same with --force",
        ))
    }

    /// Who else than the FTP server listens inside the passive range of its rules, on an address of `servers`.
    #[must_use]
    pub fn others(&self, rules: &Rules, servers: &[IpNet]) -> BTreeSet<Other> {
        let Some(range) = rules.passive_range else {
            return BTreeSet::new();
        };
        let mut concerned = self.concerned(range, servers);
        // Whose they are takes a look at all sockets and processes, so only if there are any.
        if concerned.is_empty() {
            return BTreeSet::new();
        }
        let is_control = |socket: &Socket| rules.control_ports.contains(&socket.port);
        let control = FAMILIES.into_iter().flat_map(sockets).filter(is_control);
        let control: BTreeSet<u64> = control.map(|socket| socket.inode).collect();
        let processes = processes();
        // A listener of the FTP server itself may have closed while the processes were read: it has no owner then.
        let still: BTreeSet<u64> = listening().map(|socket| socket.inode).collect();
        concerned.retain(|socket| still.contains(&socket.inode));
        others(&concerned, &control, &processes)
    }

    fn concerned(&self, range: PortRange, servers: &[IpNet]) -> Vec<Socket> {
        let is_server = |address: &IpAddr| servers.iter().any(|net| net.contains(address));
        // On a gateway a wildcard socket has none of the servers' addresses.
        let are_here = self.local.iter().any(is_server);
        let concerns = |socket: &&Socket| {
            let fits = socket.address.is_unspecified() && are_here || is_server(&socket.address);
            fits && range.contains(socket.port)
        };
        self.sockets.iter().filter(concerns).cloned().collect()
    }
}

/// The listening sockets. The kernel lists a family's first: the rest, maybe a million, need not be read.
fn listening() -> impl Iterator<Item = Socket> {
    FAMILIES.into_iter().flat_map(|family| sockets(family).take_while(|socket| socket.listens))
}

/// The processes whose names begin with `name` that listen on one of these ports, in this network namespace.
#[must_use]
pub fn listening_as(name: &str, ports: &[u16]) -> Vec<u32> {
    let sockets: BTreeSet<u64> =
        listening().filter(|socket| ports.contains(&socket.port)).map(|socket| socket.inode).collect();
    let is_it = |process: &Process| process.name.starts_with(name) && !process.sockets.is_disjoint(&sockets);
    processes().into_iter().filter(|(_, process)| is_it(process)).map(|(id, _)| id).collect()
}

/// Those that belong to no FTP server, each once.
fn others(concerned: &[Socket], control: &BTreeSet<u64>, processes: &BTreeMap<u32, Process>) -> BTreeSet<Other> {
    let mut others = BTreeSet::new();
    for socket in concerned {
        let mut owners = processes.iter().filter(|(_, process)| process.sockets.contains(&socket.inode)).peekable();
        if owners.peek().is_none() {
            others.insert(Other { port: socket.port, process: None });
        }
        for (id, process) in owners.filter(|(id, _)| !is_ftp_server(**id, control, processes)) {
            others.insert(Other { port: socket.port, process: Some((process.name.clone(), *id)) });
        }
    }
    others
}

/// Whether a process or one of its ancestors listens or serves a session on a control port. Not by
/// way of the init process: everyone is its descendant, and it may hold a server's control port.
fn is_ftp_server(id: u32, control: &BTreeSet<u64>, processes: &BTreeMap<u32, Process>) -> bool {
    let mut id = id;
    // Process IDs may be reused while they are read: a chain is never longer than all of them.
    for _ in 0..processes.len() {
        let Some(process) = processes.get(&id).filter(|_| id > 1) else {
            return false;
        };
        if !process.sockets.is_disjoint(control) {
            return true;
        }
        id = process.parent;
    }
    false
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

fn processes() -> BTreeMap<u32, Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|id| Some((id, process(id)?)))
        .collect()
}

fn process(id: u32) -> Option<Process> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name stands in brackets and may hold brackets itself; behind it: state, parent.
    let (before, after) = stat.rsplit_once(')')?;
    let name = before.split_once('(')?.1.to_owned();
    let parent = after.split_ascii_whitespace().nth(1)?.parse().ok()?;
    let descriptors = fs::read_dir(format!("/proc/{id}/fd")).into_iter().flatten().flatten();
    let socket = |link: std::path::PathBuf| link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok();
    let sockets = descriptors.filter_map(|entry| fs::read_link(entry.path()).ok()).filter_map(socket).collect();
    Some(Process { name, parent, sockets })
}

#[cfg(test)]
#[path = "listeners_tests.rs"]
mod tests;
