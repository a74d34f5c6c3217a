//! How many sessions a client has: fixed slots, each checked against the sessions that are alive, so that
//! no count can only rise and nothing has to be swept.

use crate::policy::MAX_SESSIONS_PER_CLIENT;

/// After all slots of a client were found in use, none is searched for this long. Nanoseconds.
pub const FULL: u64 = crate::SECOND;

/// One session of a client: what its key has that the client's key has not.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Slot {
    /// Id of the session; 0: free. Free too when no session of this id lives.
    pub session_id: u64,
    /// The last two 32-bit words of the client's address.
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
    /// When all slots were last found in use, nanoseconds; 0: never.
    pub full_since: u64,
    /// The slots.
    pub slots: [Slot; MAX_SESSIONS_PER_CLIENT as usize],
}
