//! Programs that listen inside the passive range and are no FTP server: the guard would cut them
//! off from everyone who doesn't speak FTP first.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::error::Failure;
use crate::policy::attachment::SideName;
use crate::policy::{Policy, PortRange, Rules};
use crate::sys::capability;
use crate::sys::netlink::Netlink;
use crate::sys::proc::{Process, Socket, ancestors, listening, processes, tcp_sockets};

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
        let control = tcp_sockets().filter(is_control);
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

/// Only servers on this host can have neighbours that would be cut off, and in monitor mode nobody is
/// cut off: then it is only said.
///
/// # Errors
///
/// The list of them.
pub async fn check_listeners(
    policy: &Policy,
    own: &BTreeSet<IpNet>,
    sides: impl IntoIterator<Item = SideName>,
    netlink: &Netlink,
) -> Result<(), Failure> {
    if sides.into_iter().all(|side| side == SideName::ServersBeyond) {
        return Ok(());
    }
    let listeners = Listeners::now(netlink.all_addresses().await?);
    let own_rules = policy.own.iter().map(|rules| (rules, own.iter().copied().collect::<Vec<_>>()));
    let named = policy.named.iter().map(|named| (&named.rules, named.prefixes.clone()));
    for (rules, servers) in own_rules.chain(named) {
        match listeners.check(rules, &servers) {
            Err(failure) if rules.monitor => log::warn!("{}", failure.complaint()),
            // A listener of the FTP server's own can't be told from others then: a service that restarts in the middle
            // of a transfer must not fail for it.
            Err(failure) if !capability::sees_processes() => {
                log::warn!("{}; whose they are can't be seen without CAP_SYS_PTRACE", failure.complaint());
            }
            other => other?,
        }
    }
    Ok(())
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
    let holds = |id: u32| processes.get(&id).is_some_and(|process| !process.sockets.is_disjoint(control));
    std::iter::once(id).chain(ancestors(id, processes)).take_while(|id| *id > 1).any(holds)
}

#[cfg(test)]
#[path = "listeners_tests.rs"]
mod tests;
