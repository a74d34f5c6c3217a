//! What the kernel program reports through the EVENTS ring buffer, and through VIEW while a live view runs.

use crate::address::Address;

/// Entries of the READER map: who reads, and how many lost and suppressed events the last reader knew of.
pub const READER_ENTRIES: u32 = 3;

/// What happened.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum EventKind {
    /// A session began: followed from its handshake, adopted while idle, or picked up midstream (`flag`).
    SessionStarted,
    /// A session ended.
    SessionEnded,
    /// A session can't be parsed any more: encrypted, or Multipath TCP.
    SessionOpaque,
    /// A data connection was negotiated.
    Expected,
    /// An expectation was withdrawn unused.
    Withdrawn,
    /// An expected data connection was established.
    FlowStarted,
    /// An established data connection ended; `bytes` are final.
    FlowEnded,
    /// A connection was denied; `reason` is why.
    Denied,
    /// A negotiation was refused; `reason` is why.
    Refused,
    /// A session's client sent a command line; `detail` has its verb. To VIEW only.
    Command,
    /// A session's server sent a whole reply; `detail` is its code. To VIEW only.
    Reply,
}

impl EventKind {
    /// All of them; the number in an event is the position here plus one.
    pub const ALL: [Self; 11] = [
        Self::SessionStarted,
        Self::SessionEnded,
        Self::SessionOpaque,
        Self::Expected,
        Self::Withdrawn,
        Self::FlowStarted,
        Self::FlowEnded,
        Self::Denied,
        Self::Refused,
        Self::Command,
        Self::Reply,
    ];

    /// The number that stands for it in an event.
    #[inline(always)]
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8 + 1
    }

    /// The kind that a number stands for.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number).checked_sub(1)?).copied()
    }

    /// Its stable name, for programs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SessionStarted => "session_started",
            Self::SessionEnded => "session_ended",
            Self::SessionOpaque => "session_opaque",
            Self::Expected => "expected",
            Self::Withdrawn => "withdrawn",
            Self::FlowStarted => "flow_started",
            Self::FlowEnded => "flow_ended",
            Self::Denied => "denied",
            Self::Refused => "refused",
            Self::Command => "command",
            Self::Reply => "reply",
        }
    }
}

/// One record of the ring buffer. 80 bytes, no padding. Ports in host byte order.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Event {
    /// Nanoseconds of `CLOCK_MONOTONIC`.
    pub time: u64,
    /// Id of the session, 0 where there is none.
    pub session: u64,
    /// For a denial the address that a SYN came from may be neither; then `client` is the sender in
    /// passive mode and the receiver in active mode.
    pub client: Address,
    /// The FTP server's address.
    pub server: Address,
    /// Ports of the control connection (session events), else of the data connection; 0 where one
    /// is not known yet.
    pub client_port: u16,
    /// See `client_port`.
    pub server_port: u16,
    /// [`EventKind::number`].
    pub kind: u8,
    /// [`crate::keys::Mode::number`], 0 where it has no meaning.
    pub mode: u8,
    /// Index of a [`crate::counter::Counter`]: why, for `Denied`, `Refused` and `SessionOpaque`.
    pub reason: u8,
    /// 1: monitor mode let it pass. For `SessionStarted` 1: picked up midstream. For `Expected` and `Withdrawn` 1: learned
    /// from the process that serves an encrypted session. For `FlowEnded` 1: more bytes may have passed.
    pub flag: u8,
    /// Index of the interface.
    pub interface: u32,
    /// How often, for `Refused`; for `Command` see [`crate::command::CommandParser::viewed_verb`]; the code of a
    /// `Reply`.
    pub detail: u32,
    /// TCP payload bytes from the client and from the server, for `FlowEnded`.
    pub bytes: [u64; 2],
}

const _: () = assert!(size_of::<Event>() == 80);

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;

    #[test]
    fn numbers_come_back_and_zero_is_none() {
        for kind in EventKind::ALL {
            assert_eq!(EventKind::from_number(kind.number()), Some(kind));
        }
        assert_eq!(EventKind::from_number(0), None);
        assert_eq!(EventKind::from_number(12), None);
    }

    #[test]
    fn each_kind_is_named_after_itself() {
        for kind in EventKind::ALL {
            let name: std::string::String = kind.name().split('_').map(capitalized).collect();
            assert_eq!(name, std::format!("{kind:?}"));
        }
    }

    fn capitalized(word: &str) -> std::string::String {
        let (first, rest) = word.split_at(1);
        first.to_uppercase() + rest
    }
}
