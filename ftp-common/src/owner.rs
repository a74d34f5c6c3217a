//! Who serves a control connection that can't be read, and who opens a listening socket (`ftps = learn`).
//!
//! A *master* is a process that listens on a control port. A *root* is a process that a master has forked, with all its
//! descendants. A root *serves* a connection once one of its processes has sent on it. What a root that serves exactly
//! one connection opens is that connection's.

use crate::keys::ConnectionKey;

/// Bit of a count of live connections in a root's sum; ids are below it.
const ONE: u64 = 1 << 48;
/// Ids of connections have as many bits: 2^16 of them still add up to less than [`ONE`].
const ID_BITS: u32 = 31;

/// A process (thread group). Value of the PROCESSES map, by its id in the first process namespace.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Process {
    /// The root that it belongs to; 0: none.
    pub root: u64,
    /// The master that began that root.
    pub master: u32,
    /// 1: it is a master, and belongs to no root. The entry stays when it ends, until another process has its id: its
    /// children may go on to accept connections on its listener.
    pub is_master: u32,
}

/// Value of the OWNERS map, by root. It is there for as long as the root has a process.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Root {
    /// The sum of [`one`] of all live connections that it serves.
    pub sum: u64,
    /// Its living processes.
    pub processes: u64,
}

/// The root of a process that a master forks at `now` (nanoseconds). No other process has its id within the same four
/// milliseconds.
#[inline(always)]
#[must_use]
pub const fn root(now: u64, process: u32) -> u64 {
    const PID_MAX: u64 = (1 << 22) - 1;
    now & !PID_MAX | process as u64 & PID_MAX
}

/// The id of a connection, from any random number.
#[inline(always)]
#[must_use]
pub const fn id(random: u32) -> u64 {
    (random >> (32 - ID_BITS)) as u64
}

/// What a connection adds to the sum of a root that begins to serve it, and takes from it when it ends.
#[inline(always)]
#[must_use]
pub const fn one(id: u64) -> u64 {
    ONE + id
}

/// What makes a root unsure for ever: there is something that can't be counted.
pub const UNSURE: u64 = 2 * ONE;

/// How many connections a root serves, by its sum.
#[inline(always)]
#[must_use]
pub const fn live(sum: u64) -> u64 {
    sum >> 48
}

/// The only connection that a root serves; none if it serves another number of them.
#[inline(always)]
#[must_use]
pub const fn only(sum: u64) -> Option<u64> {
    if live(sum) == 1 { Some(sum & (ONE - 1)) } else { None }
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

/// A connection that is served. Value of the SERVED_BY_ID map.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Connection {
    /// Its addresses and ports, as the guarded interface sees them; all zero where it does not.
    pub key: ConnectionKey,
    /// When it was accepted, nanoseconds: a session that began later is another one on the same addresses and ports. 0:
    /// it was there before.
    pub since: u64,
}

/// A member of a root. Key of the MEMBERS map: whoever makes or deletes the entry changes the root's sum.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Member {
    /// The root.
    pub root: u64,
    /// The socket: [`Served::socket`].
    pub socket: u64,
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
    pub const ENTRIES: u32 = 3;
    /// Cookie of a socket of the loader's, on which it is about to listen: in the guarded network namespace.
    pub const COOKIE: u32 = 0;
    /// That namespace, by its address in the kernel.
    pub const NAMESPACE: u32 = 1;
    /// Not 0: memory was short, and something was not noted. Nothing is learned any more.
    pub const BROKEN: u32 = 2;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_is_sure_of_one_connection_and_of_no_other_number() {
        let (a, b) = (id(u32::MAX), id(2));
        assert_eq!((only(0), live(0)), (None, 0));
        assert_eq!(only(one(a)), Some(a));
        assert_eq!(only(one(a) + one(b)), None);
        assert_eq!(only(one(a) + one(b) - one(a)), Some(b));
        assert_eq!(live(one(id(u32::MAX)) * 65_535), 65_535, "ids don't add up to one more");
    }

    #[test]
    fn an_unsure_root_stays_unsure() {
        let a = id(7 << 20);
        assert_eq!([only(UNSURE), only(UNSURE + one(a)), only(UNSURE + one(a) - one(a))], [None; 3]);
    }

    #[test]
    fn a_root_is_a_moment_and_a_process() {
        assert_eq!(root(0x1234_5678_9abc_def0, 0x1f_ffff), 0x1234_5678_9a9f_ffff);
        assert_eq!(root(0x3f_ffff, 0x7fff_ffff), 0x3f_ffff, "as many bits as ids of processes have");
    }

    #[test]
    fn an_id_is_the_upper_bits_of_a_random_number() {
        assert_eq!([id(0), id(1), id(2), id(u32::MAX)], [0, 0, 1, 0x7fff_ffff]);
    }
}
