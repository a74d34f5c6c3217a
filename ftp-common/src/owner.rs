//! Who serves a control connection that can't be read, and who opens a socket (`ftps = learn`).
//!
//! A *master* is a process that listens on a control port. A *root* is a process that a master has forked, with all its
//! descendants. A root *serves* a connection once one of its processes has sent on it. What a root opens is that
//! connection's if it was forked after the connection was there, and has never served another one: so do servers that fork
//! for each session.

use crate::address::Address;
use crate::keys::ConnectionKey;

/// A process (thread group). Value of the PROCESSES map, by its id in the first process namespace.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Process {
    /// The root that it belongs to; 0: none.
    pub root: u64,
    /// When the master was noted that began that root, or that it is itself: another one may have its id later.
    pub born: u64,
    /// The master that began that root.
    pub master: u32,
    /// One of [`role`].
    pub role: u32,
}

/// What a process is.
pub mod role {
    /// A process of a root, or none of interest.
    pub const MEMBER: u32 = 0;
    /// A master: it belongs to no root. The entry stays when it ends, until another process has its id: its children may go
    /// on to accept connections on its listener.
    pub const MASTER: u32 = 1;
    /// Memory was short, and something of it was not noted: nothing is learned from what it forks.
    pub const UNFIT: u32 = 2;
}

/// Value of the OWNERS map, by root. It is there for as long as the root has a process. Nothing is ever taken back of what
/// it has served.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Root {
    /// When it was forked, nanoseconds.
    pub birth: u64,
    /// Connections that it has served so far; more than they are where something could not be noted.
    pub served: u64,
    /// The sum of their ids.
    pub ids: u64,
    /// Its living processes.
    pub processes: u64,
}

impl Root {
    /// The id of the only connection that it has ever served, and whether there is one.
    #[inline(always)]
    #[must_use]
    pub const fn only(&self) -> Option<u64> {
        if self.served == 1 { Some(self.ids) } else { None }
    }

    /// Whether it was forked to serve a connection that was there at `since`.
    #[inline(always)]
    #[must_use]
    pub const fn is_for(&self, since: u64) -> bool {
        since < self.birth
    }
}

/// The root of a process that a master forks at `now` (nanoseconds). No other process has its id within the same four
/// milliseconds.
#[inline(always)]
#[must_use]
pub const fn root(now: u64, process: u32) -> u64 {
    const PID_MAX: u64 = (1 << 22) - 1;
    now & !PID_MAX | process as u64 & PID_MAX
}

/// Roots that one connection may have been served by. More: none of them is sure any more.
pub const ROOTS: usize = 2;

/// What a socket of a control connection is: kept with the socket.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Served {
    /// The socket's own address in the kernel.
    pub socket: u64,
    /// Its id; 0: it has none, and makes each root unsure.
    pub id: u64,
    /// The roots that serve it; 0: a free place.
    pub roots: [u64; ROOTS],
    /// 1: it has ended.
    pub ended: u64,
}

impl Served {
    /// The place for a root that begins to serve it: none if it does so already, `Some(ROOTS)` if there is no room.
    #[inline(always)]
    #[must_use]
    pub const fn place_for(&self, root: u64) -> Option<usize> {
        let mut place = ROOTS;
        let mut i = 0;
        while i < ROOTS {
            if self.roots[i] == root {
                return None;
            }
            if self.roots[i] == 0 && place == ROOTS {
                place = i;
            }
            i += 1;
        }
        Some(place)
    }
}

/// A connection that is served. Value of the SERVED_BY_ID map.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Connection {
    /// Its addresses and ports, as the guarded interface sees them; all zero where it does not.
    pub key: ConnectionKey,
    /// The server's address, as the server sees it: another one behind NAT.
    pub local: Address,
    /// The network namespace of its socket, by its address in the kernel.
    pub namespace: u64,
    /// When it was accepted, nanoseconds: a session that began later is another one on the same addresses and ports.
    pub since: u64,
}

/// What a connection has that no NAT changes, and that no two have at a time. Key of the JOINABLE map, whose values are the
/// connections as the guarded interface sees them.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Joint {
    /// The client's address.
    pub client: Address,
    /// The client's first byte.
    pub client_next: u32,
    /// The server's first byte.
    pub server_next: u32,
    /// The client's port, host byte order.
    pub client_port: u32,
}

/// Who has opened a listening socket: kept with the socket, and with all that it accepts.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Listener {
    /// The socket's own address in the kernel. Of no meaning in those that it has accepted.
    pub socket: u64,
    /// The process.
    pub process: u64,
}

/// Entries of the LEARNING map.
pub mod learning {
    /// How many there are.
    pub const ENTRIES: u32 = 2;
    /// Cookie of a socket of the loader's, on which it is about to listen: in the guarded network namespace.
    pub const COOKIE: u32 = 0;
    /// That namespace, by its address in the kernel.
    pub const NAMESPACE: u32 = 1;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_is_sure_of_the_only_connection_that_it_has_ever_served() {
        let root = |served, ids| Root { served, ids, ..Root::default() };
        assert_eq!(root(0, 0).only(), None);
        assert_eq!(root(1, 7).only(), Some(7));
        assert_eq!(root(2, 7).only(), None);
        assert_eq!(root(u64::MAX, 7).only(), None);
    }

    #[test]
    fn a_root_is_for_a_connection_that_was_there_before_it() {
        let root = Root { birth: 7, ..Root::default() };
        assert_eq!([6, 7, 8].map(|since| root.is_for(since)), [true, false, false]);
    }

    #[test]
    fn a_root_is_a_moment_and_a_process() {
        assert_eq!(root(0x1234_5678_9abc_def0, 0x1f_ffff), 0x1234_5678_9a9f_ffff);
        assert_eq!(root(0x3f_ffff, 0x7fff_ffff), 0x3f_ffff, "as many bits as ids of processes have");
    }

    #[test]
    fn a_connection_has_two_places_for_roots_and_each_has_one() {
        let mut served = Served::default();
        assert_eq!(served.place_for(5), Some(0));
        served.roots[0] = 5;
        assert_eq!([served.place_for(5), served.place_for(6)], [None, Some(1)]);
        served.roots[1] = 6;
        assert_eq!([served.place_for(5), served.place_for(6), served.place_for(7)], [None, None, Some(ROOTS)]);
    }
}
