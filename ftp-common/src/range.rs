//! Encrypted sessions, by their client: what they negotiate can't be read, so while one lives, its client's address may
//! use the passive range where the policy says so (`ftps = client-range`).

/// Sessions of one client that are remembered. The server's next segment brings one back that was
/// evicted, and a data connection always follows one.
pub const OWNERS: usize = 4;

/// An encrypted session. All zero: a free slot.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Owner {
    /// Its id.
    pub session_id: u64,
    /// Its ports, host byte order.
    pub client_port: u16,
    /// See `client_port`.
    pub server_port: u16,
    /// 1: the range is open while it lives.
    pub opens: u32,
}

/// Value of the RANGES map, whose key is a [`crate::keys::ExpectationKey`] with port 0.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Range {
    /// The sessions.
    pub owners: [Owner; OWNERS],
}

const _: () = assert!(size_of::<Range>() == 64);
