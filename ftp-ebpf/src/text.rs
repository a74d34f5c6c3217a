//! Feeds the text of a control segment to the parsers.
//!
//! The text is usually not in linear memory, so it is copied in pieces of 64 bytes. Each turn of
//! `bpf_loop` takes one byte: the parsers are then verified once, and not once for each place in the
//! piece, which would be more than the verifier's patience for all of the program.

use core::ffi::c_void;

use aya_ebpf::bindings::__sk_buff;
use aya_ebpf::helpers::{bpf_loop, bpf_skb_load_bytes};
use ftp_common::keys::ConnectionKey;
use ftp_common::overlap::Line;
use ftp_common::policy::ServerPolicy;
use ftp_common::session::Session;

use crate::maps::Scratch;

/// Bytes that are copied from the packet at a time.
pub(crate) const PIECE: usize = 64;

/// How far the reading of a segment has come. Lies in the scratch map: the verifier, which would tell
/// apart each range that a number on the stack can have, knows nothing of numbers in maps.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(crate) struct Progress {
    /// Nanoseconds of `CLOCK_MONOTONIC`.
    pub(crate) now: u64,
    /// Next piece, from the start of the packet.
    pub(crate) offset: u32,
    /// Next byte in the piece in hand; [`PIECE`]: it is used up.
    pub(crate) at: u32,
    /// Bytes left to read, or to compare.
    pub(crate) left: u32,
    /// Bytes to compare with what was read at their positions before, in front of those to read.
    pub(crate) compare: u32,
    /// Position of the next byte to compare.
    pub(crate) position: u32,
    /// The acknowledgement number of the segment.
    pub(crate) ack: u32,
    /// The line that it is in.
    pub(crate) line: Line,
    /// 1: a repeated byte differed.
    pub(crate) differs: u32,
}

/// One segment being read. The verifier follows the pointers through the caller's stack.
struct Reading<'a> {
    skb: *mut __sk_buff,
    session: &'a mut Session,
    scratch: &'a mut Scratch,
    key: &'a ConnectionKey,
    policy: Option<&'a ServerPolicy>,
}

type Turn = unsafe extern "C" fn(u32, *mut c_void) -> i64;

const STOP: i64 = 1;
const GO_ON: i64 = 0;

/// Reads the client's text as `scratch.progress` says.
#[inline(never)]
pub(crate) fn read_client(skb: *mut __sk_buff, key: &ConnectionKey, session: &mut Session, scratch: &mut Scratch) {
    let mut reading = Reading { skb, session, scratch, key, policy: None };
    let progress = &mut reading.scratch.progress;
    if progress.compare != 0 {
        let (left, text) = (progress.left, progress.offset.wrapping_add(progress.compare));
        progress.left = progress.compare;
        progress.line = reading.session.client.line_at(reading.session.server.tail, progress.position);
        turn(&mut reading, compare_turn);
        if reading.scratch.progress.differs != 0 {
            reading.session.client.overlap_differs(&mut reading.scratch.tally);
            return;
        }
        let progress = &mut reading.scratch.progress;
        progress.left = left;
        progress.offset = text;
        progress.at = PIECE as u32;
    }
    turn(&mut reading, client_turn);
}

/// Reads the server's text as `scratch.progress` says.
#[inline(never)]
pub(crate) fn read_server(
    skb: *mut __sk_buff,
    key: &ConnectionKey,
    policy: &ServerPolicy,
    session: &mut Session,
    scratch: &mut Scratch,
) {
    let mut reading = Reading { skb, session, scratch, key, policy: Some(policy) };
    turn(&mut reading, server_turn);
}

#[inline(always)]
fn turn(reading: &mut Reading<'_>, callback: Turn) {
    let turns = reading.scratch.progress.left;
    // SAFETY: each callback gets this very reading as its context.
    unsafe { bpf_loop(turns, callback as *mut c_void, core::ptr::from_mut(reading).cast(), 0) };
}

/// The next byte of the packet; `None` at the end of what is to be read.
#[inline(always)]
fn next_byte(skb: *mut __sk_buff, scratch: &mut Scratch) -> Option<u8> {
    let Scratch { progress, piece, .. } = scratch;
    if progress.left == 0 {
        return None;
    }
    if progress.at >= PIECE as u32 {
        let wanted = if progress.left > PIECE as u32 { PIECE as u32 } else { progress.left };
        // The helper's size argument must be provably between 1 and the buffer's size.
        let size = (wanted.wrapping_sub(1) & (PIECE as u32 - 1)) + 1;
        // SAFETY: the buffer has PIECE bytes and `size` is no more.
        let failed = unsafe { bpf_skb_load_bytes(skb.cast(), progress.offset, piece.as_mut_ptr().cast(), size) };
        if failed != 0 {
            return None;
        }
        progress.offset = progress.offset.wrapping_add(PIECE as u32);
        progress.at = 0;
    }
    let byte = piece[progress.at as usize & (PIECE - 1)];
    progress.at += 1;
    progress.left -= 1;
    Some(byte)
}

unsafe extern "C" fn client_turn(_: u32, context: *mut c_void) -> i64 {
    // SAFETY: `turn` passes a Reading, which nothing else uses meanwhile.
    let reading = unsafe { &mut *context.cast::<Reading<'_>>() };
    let Some(byte) = next_byte(reading.skb, reading.scratch) else { return STOP };
    if reading.session.client.push(byte) {
        end_client_line(reading.key, reading.session, reading.scratch);
    }
    GO_ON
}

#[inline(never)]
fn end_client_line(key: &ConnectionKey, session: &mut Session, scratch: &mut Scratch) {
    let Session { client, server, .. } = session;
    client.end_line(&key.client, server, scratch.progress.now, &mut scratch.tally);
}

unsafe extern "C" fn server_turn(_: u32, context: *mut c_void) -> i64 {
    // SAFETY: as in `client_turn`.
    let reading = unsafe { &mut *context.cast::<Reading<'_>>() };
    let Some(policy) = reading.policy else { return STOP };
    let Some(byte) = next_byte(reading.skb, reading.scratch) else { return STOP };
    if reading.session.server.push(byte) {
        end_server_line(reading.key, policy, reading.session, reading.scratch);
        if reading.session.server.opaque != 0 {
            return STOP; // what follows is encrypted
        }
    }
    GO_ON
}

#[inline(never)]
fn end_server_line(key: &ConnectionKey, policy: &ServerPolicy, session: &mut Session, scratch: &mut Scratch) {
    let Session { client, server, .. } = session;
    let Scratch { progress, tally, .. } = scratch;
    server.end_line(client, key, policy, progress.ack, progress.now, tally);
}

unsafe extern "C" fn compare_turn(_: u32, context: *mut c_void) -> i64 {
    // SAFETY: as in `client_turn`.
    let reading = unsafe { &mut *context.cast::<Reading<'_>>() };
    let Some(byte) = next_byte(reading.skb, reading.scratch) else { return STOP };
    let progress = &mut reading.scratch.progress;
    let Session { client, server, .. } = &*reading.session;
    if !client.is_same(&progress.line, progress.position, byte) {
        progress.differs = 1;
        return STOP;
    }
    progress.position = progress.position.wrapping_add(1);
    if byte == b'\n' {
        progress.line = client.line_at(server.tail, progress.position);
    }
    GO_ON
}
