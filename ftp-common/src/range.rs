//! The passive range as encrypted sessions open it to their client (`ftps = client-range`): what they
//! negotiate can't be read, so while such a session lives, its client's address may use the range.

/// Sessions of one client that are remembered. The server's next segment brings one back that was
/// evicted, and a data connection always follows one.
pub const OWNERS: usize = 4;

/// An encrypted session. All zero: a free slot.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Owner {
    /// Its id; the range is open while it lives.
    pub session_id: u64,
    /// Its ports, host byte order.
    pub client_port: u16,
    /// See `client_port`.
    pub server_port: u16,
    /// Always 0.
    pub zero: u32,
}

/// Value of the RANGES map, whose key is a [`crate::keys::ExpectationKey`] with port 0.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Range {
    /// The sessions that opened it.
    pub owners: [Owner; OWNERS],
}

const _: () = assert!(size_of::<Range>() == 64);
