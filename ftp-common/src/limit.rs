//! How many sessions a client has: fixed places, each checked against what is really alive, so that
//! nothing counts up for good and nobody sweeps.

use crate::policy::MAX_SESSIONS_PER_CLIENT;

/// After a client was found to have all its places taken, none is looked for this long. Nanoseconds.
pub const FULL: u64 = crate::SECOND;

/// One session of a client: what its key has that the client's key has not.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Place {
    /// Generation of the session; 0: free. Free too when no session of this generation lives.
    pub generation: u64,
    /// The last two words of the client's address.
    pub client_low: [u32; 2],
    /// The client's port.
    pub client_port: u16,
    /// The server's port.
    pub server_port: u16,
    /// Always 0.
    pub zero: u32,
}

/// Value of the CLIENTS map.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ClientSessions {
    /// When all places were last found taken, nanoseconds; 0: never.
    pub full_since: u64,
    /// The places.
    pub places: [Place; MAX_SESSIONS_PER_CLIENT as usize],
}
