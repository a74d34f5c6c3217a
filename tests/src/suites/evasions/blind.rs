//! Packets of an off-path attacker, who knows the addresses and ports of a control connection and not its numbers: TCP
//! ignores them, so a filter must.

use super::connection::{Connection, Hang};
use crate::packets::segment::{Segment, flag};
use crate::packets::tcp_peer::Odd;

/// One packet.
#[derive(Debug)]
pub struct Blind {
    /// What it is.
    pub name: &'static str,
    flags: u8,
    /// How far it is from the right sequence number, and from the right acknowledgement.
    seq: u32,
    ack: u32,
    payload: &'static str,
    urgent: Option<u16>,
}

const FAR: u32 = 0x4000_0000;
const NEAR: u32 = 1000;
const BEHIND: u32 = 0u32.wrapping_sub(1000);
const SAID: u8 = flag::ACK | flag::PSH;

/// The fields that a case does not set.
const PLAIN: Blind = Blind { name: "", flags: SAID, seq: 0, ack: 0, payload: "", urgent: None };
const SYN_ACK: u8 = flag::SYN | flag::ACK;

/// Packets that TCP ignores.
#[rustfmt::skip]
pub const BLIND: &[Blind] = &[
    Blind { name: "RST far off", flags: flag::RST, seq: FAR, ..PLAIN },
    Blind { name: "RST in the window (RFC 5961 §3.2)", flags: flag::RST, seq: 1, ..PLAIN },
    Blind { name: "RST one before", flags: flag::RST | flag::ACK, seq: u32::MAX, ..PLAIN },
    Blind { name: "FIN far off", flags: SAID | flag::FIN, seq: FAR, ..PLAIN },
    Blind { name: "FIN in the window", flags: SAID | flag::FIN, seq: NEAR, ack: FAR, ..PLAIN },
    Blind { name: "FIN behind", flags: SAID | flag::FIN, seq: BEHIND, ..PLAIN },
    Blind { name: "data far off", seq: FAR, payload: "QUIT\r\n", ..PLAIN },
    Blind { name: "data far off that acknowledges anything", seq: FAR, ack: FAR, payload: "QUIT\r\n", ..PLAIN },
    Blind { name: "data in the window that acknowledges what was not sent", seq: NEAR, ack: FAR, payload: "QUIT\r\n", ..PLAIN },
    Blind { name: "data behind", seq: BEHIND, payload: "QUIT\r\n", ..PLAIN },
    Blind { name: "an acknowledgement of what was not sent", seq: NEAR, ack: FAR, ..PLAIN },
    Blind { name: "SYN on live ports", flags: flag::SYN, seq: FAR, ..PLAIN },
    Blind { name: "SYN in the window (RFC 5961 §4.2)", flags: flag::SYN, seq: NEAR, ..PLAIN },
    Blind { name: "SYN with the right number", flags: flag::SYN, ..PLAIN },
    Blind { name: "SYN-ACK", flags: SYN_ACK, seq: FAR, ack: FAR, ..PLAIN },
    Blind { name: "SYN with RST", flags: flag::SYN | flag::RST, seq: FAR, ..PLAIN },
    Blind { name: "no flag", flags: 0, seq: FAR, payload: "QUIT\r\n", ..PLAIN },
    Blind { name: "all flags", flags: 0x3f, seq: FAR, payload: "QUIT\r\n", ..PLAIN },
    Blind { name: "urgent data far off", seq: FAR, payload: "QUIT\r\n", urgent: Some(1), ..PLAIN },
];

/// They have a number in the window of 65,536 bytes (one in 32,768 by luck) or at the very place, and
/// what they acknowledge was never said, or long ago: TCP drops them (RFC 5961 §5.2).
#[rustfmt::skip]
pub const LUCKY: &[Blind] = &[
    Blind { name: "urgent data behind", seq: BEHIND, payload: "QUIT\r\n", urgent: Some(1), ..PLAIN },
    Blind { name: "urgent data in the window that acknowledges what was not sent", seq: NEAR, ack: FAR, payload: "QUIT\r\n", urgent: Some(1), ..PLAIN },
    Blind { name: "urgent data in the window that acknowledges what was sent long ago", seq: NEAR, ack: 0u32.wrapping_sub(FAR), payload: "QUIT\r\n", urgent: Some(1), ..PLAIN },
    Blind { name: "data that begins behind and ends ahead", seq: 0u32.wrapping_sub(10), ack: FAR, payload: "0123456789QUIT\r\n", ..PLAIN },
    Blind { name: "data in sequence that acknowledges what was sent long ago", ack: 0u32.wrapping_sub(FAR), payload: "QUIT\r\n", ..PLAIN },
    Blind { name: "data in sequence that acknowledges what was not sent", ack: FAR, payload: "QUIT\r\n", ..PLAIN },
    Blind { name: "a FIN in sequence that acknowledges what was sent long ago", flags: SAID | flag::FIN, ack: 0u32.wrapping_sub(FAR), ..PLAIN },
];

impl Blind {
    /// It, where `real` would be the next segment.
    #[must_use]
    pub fn segment(&self, real: &Segment) -> Segment {
        Segment {
            seq: real.seq.wrapping_add(self.seq),
            ack: real.ack.wrapping_add(self.ack),
            flags: self.flags,
            payload: self.payload.as_bytes().to_vec(),
            ..real.clone()
        }
    }

    /// Sends it where a 227 has just named `port`: whether the data connection begins all the same.
    ///
    /// # Errors
    ///
    /// The PASV or the 227 did not arrive.
    #[track_caller]
    pub fn send(&self, connection: &mut Connection<'_>, port: u16) -> Result<bool, Hang> {
        let [high, low] = port.to_be_bytes();
        connection.exchange("PASV", &format!("227 Entering Passive Mode (10,0,0,1,{high},{low})."))?;
        connection
            .peer
            .put_odd(&self.segment(&connection.peer.segment("")), Odd { urgent: self.urgent, ..Odd::default() });
        Ok(connection.peer.opens(port))
    }
}
