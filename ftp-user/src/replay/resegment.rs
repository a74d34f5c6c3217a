//! Frames larger than BPF_PROG_TEST_RUN takes, cut into TCP segments: as the network card of the sender did
//! behind the place of capture, or that of the receiver undid in front of it.

use std::convert::Infallible;

use ftp_common::flow::tcp::{FIN, SYN, URG};

use super::packet::Tcp;

/// The longest frame that is handed over. The kernel takes a page less its own part of it: 3,712 bytes on
/// x86-64 with pages of 4 KiB, somewhat less elsewhere.
pub const LIMIT: usize = 3_520;
/// Payload that is never cut, and that of a piece, where the headers leave as much room: so the link layer
/// makes no difference.
const PART: usize = 3_072;
/// Push: hand it to the reader (RFC 9293 §3.1).
const PSH: u8 = 8;
/// Offsets in a TCP header.
const SEQ: usize = 4;
const FLAGS: usize = 13;
const URGENT: usize = 18;

/// What becomes of payload that was on the wire and not captured.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CutOff {
    /// It stays away: nobody can say what it was.
    Lost,
    /// Zeros stand for it: only its length matters.
    Filled,
}

/// Whether a frame is cut.
#[must_use]
pub const fn is_too_large(frame: &[u8], tcp: &Tcp) -> bool {
    frame.len() > LIMIT || tcp.end - tcp.payload > PART
}

/// Hands `frame` over in pieces that are no longer than [`LIMIT`], as it is if its payload is no longer than
/// [`PART`]. The payloads one after the other are the segment's; PSH and FIN stand on the last only. Checksums
/// are left as they are: the kernel program doesn't look at them, and a capture at the sender has none yet.
///
/// # Errors
///
/// That of `each`.
pub fn pieces<E>(
    frame: &[u8],
    tcp: &Tcp,
    cut_off: CutOff,
    piece: &mut Vec<u8>,
    mut each: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    if tcp.cut_off == 0 && !is_too_large(frame, tcp) {
        return each(frame);
    }
    let (headers, text) = (&frame[..tcp.payload], &frame[tcp.payload..tcp.end]);
    let room = LIMIT.saturating_sub(headers.len()).min(PART);
    if room == 0 {
        return each(&frame[..LIMIT.min(frame.len())]);
    }
    let fill = if cut_off == CutOff::Filled { tcp.cut_off } else { 0 };
    let length = text.len() + fill;
    // What isn't there comes behind it all, and with it PSH and FIN.
    let is_whole = text.len() + fill == tcp.length();
    let mut from = 0;
    loop {
        let to = length.min(from + room);
        piece.clear();
        piece.extend(headers);
        piece.extend(&text[from.min(text.len())..to.min(text.len())]);
        piece.resize(headers.len() + to - from, 0);
        let is_last = to == length;
        patch(piece, tcp, from..to, is_last, is_last && is_whole);
        each(piece)?;
        if is_last {
            return Ok(());
        }
        from = to;
    }
}

/// Frames that hold no TCP segment are judged by their headers.
#[must_use]
pub fn headers_only(frame: &[u8]) -> &[u8] {
    &frame[..frame.len().min(LIMIT)]
}

/// Puts right what the headers of a piece say: it has the payload bytes `part` of the segment.
fn patch(piece: &mut [u8], tcp: &Tcp, part: std::ops::Range<usize>, is_last: bool, ends: bool) {
    let length = u16::try_from(piece.len() - tcp.network).unwrap_or(0);
    if tcp.source.is_ipv4() {
        put(piece, tcp.network + 2, &length.to_be_bytes());
    } else {
        put(piece, tcp.network + 4, &length.saturating_sub(40).to_be_bytes());
    }
    let header = tcp.transport;
    // A SYN comes in front of the first byte.
    let syn = tcp.has(SYN) && part.start != 0;
    let ahead = u32::try_from(part.start).unwrap_or(0).wrapping_add(u32::from(syn));
    put(piece, header + SEQ, &tcp.seq.wrapping_add(ahead).to_be_bytes());
    let mut flags = tcp.flags;
    if syn {
        flags &= !SYN;
    }
    if !ends {
        flags &= !(PSH | FIN);
    }
    if tcp.has(URG) {
        // From the first byte to the one behind the urgent byte; 0 stands for the first, as Linux takes it.
        let pointer = usize::from(u16::from_be_bytes([piece[header + URGENT], piece[header + URGENT + 1]]));
        let place = pointer.saturating_sub(1);
        if part.contains(&place) || is_last && place >= part.end {
            let pointer = u16::try_from(pointer.saturating_sub(part.start)).unwrap_or(u16::MAX);
            put(piece, header + URGENT, &pointer.to_be_bytes());
        } else {
            flags &= !URG;
        }
    }
    piece[header + FLAGS] = flags;
}

fn put(piece: &mut [u8], at: usize, bytes: &[u8]) {
    piece[at..at + bytes.len()].copy_from_slice(bytes);
}

/// All pieces at once.
#[must_use]
pub fn all(frame: &[u8], tcp: &Tcp, cut_off: CutOff) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    let done: Result<(), Infallible> = pieces(frame, tcp, cut_off, &mut Vec::new(), |piece| {
        all.push(piece.to_vec());
        Ok(())
    });
    let Ok(()) = done;
    all
}

#[cfg(test)]
#[path = "resegment_tests.rs"]
mod tests;
