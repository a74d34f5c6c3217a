//! Feeds the payload of a control segment to the parsers.
//!
//! The payload is usually not in linear memory, so it is copied in pieces into the scratch map, where the
//! current parser lies too. What happens to a byte, and at a line end, are *global* functions of BPF:
//! the kernel verifies such a one once, for any argument, and not again at each place that calls it
//! (since 5.6, where `bpf_loop` came with 5.17). Up to 5.11 they take numbers only, so what they work on
//! they find in maps.

use core::hint::black_box;

use aya_ebpf::bindings::__sk_buff;
use aya_ebpf::helpers::bpf_skb_load_bytes;
use ftp_common::event::EventKind;
use ftp_common::plain::{before_first, others};
use ftp_common::policy::ServerPolicy;
use ftp_common::reply::Reply;
use ftp_common::sequence::before;
use ftp_common::session::{ClientState, RECENT, Session, opaque};

use crate::maps::session;
use crate::report::show_line;
use crate::scratch::{PIECE, Piece, Scratch, current, scratch};

/// Bytes that are copied at a time.
const LONGEST: u32 = PIECE as u32 - 8;
/// The most pieces of a segment that are read: 64 KiB, the longest that there is without BIG TCP. The
/// rest of a longer one counts as missed.
const MAX_PIECES: u32 = 65536 / LONGEST + 1;

/// Steps at a time, and words that are skipped at a time.
const STEPS: u32 = 64;
const WORDS: u32 = 64;

const GO_ON: u32 = 0;
const STOP: u32 = 1;
/// The current piece is used up.
const DONE: u32 = 2;
/// A line ends.
const LINE: u32 = 3;

/// Parses the client's payload as described by `scratch.progress`.
///
/// Here and below: what a global function changes by its own way to the maps must not lie behind a
/// reference that lives across the call, hence the pointers.
#[inline(never)]
pub(crate) fn parse_client(skb: *mut __sk_buff, session: *mut Session, scratch: *mut Scratch) {
    let (Session { client, server, .. }, reading) = both(session, scratch);
    if reading.progress.compare != 0 {
        let progress = &mut reading.progress;
        let left = progress.left;
        let unseen = progress.offset.wrapping_add(progress.compare);
        progress.left = progress.compare;
        progress.line = client.line_at(server.tail, progress.position);
        let result = pieces(skb, scratch, compare_piece);
        let (Session { client, .. }, reading) = both(session, scratch);
        if result == STOP {
            client.overlap_differs(&mut reading.counts);
        }
        if result == STOP || left == 0 {
            return;
        }
        reading.progress.left = left;
        reading.progress.offset = unseen;
    }
    let (Session { client, .. }, reading) = both(session, scratch);
    reading.command = client.parser;
    let from = reading.progress.offset;
    // What comes before in its first word stays there.
    reading.piece[0] = client.remembered_word(reading.progress.position);
    pieces(skb, scratch, client_piece);
    let (Session { client, .. }, reading) = both(session, scratch);
    client.parser = reading.command;
    client.next = reading.progress.position;
    let length = reading.progress.offset.wrapping_sub(from);
    remember(skb, client, reading, length);
}

#[inline(always)]
fn both<'a>(session: *mut Session, scratch: *mut Scratch) -> (&'a mut Session, &'a mut Scratch) {
    // SAFETY: a map value, valid for the whole run; no other reference to it is in use.
    let session = unsafe { &mut *session };
    // SAFETY: as above.
    let scratch = unsafe { &mut *scratch };
    (session, scratch)
}

/// Parses the server's payload as described by `scratch.progress`.
#[inline(never)]
pub(crate) fn parse_server(skb: *mut __sk_buff, policy: &ServerPolicy, session: *mut Session, scratch: *mut Scratch) {
    let (Session { server, .. }, reading) = both(session, scratch);
    reading.policy = *policy;
    reading.reply = server.parser;
    pieces(skb, scratch, server_piece);
    let (Session { server, .. }, reading) = both(session, scratch);
    server.parser = reading.reply;
    server.next = reading.progress.position;
}

/// Copies one piece after the other and has it read; [`GO_ON`] if that was done to the end. Each byte comes to
/// lie in a word as its sequence number says.
#[inline(always)]
fn pieces(skb: *mut __sk_buff, scratch: *mut Scratch, read: extern "C" fn(u32) -> u32) -> u32 {
    let mut turn = 0;
    while turn < MAX_PIECES {
        turn += 1;
        // SAFETY: a map value, valid for the whole run.
        let Scratch { progress, piece, .. } = unsafe { &mut *scratch };
        if progress.left == 0 {
            return GO_ON;
        }
        let wanted = if progress.left > LONGEST { LONGEST } else { progress.left };
        let place = progress.position & 7;
        if !load(skb, piece, place, progress.offset, wanted) {
            return STOP;
        }
        progress.offset = progress.offset.wrapping_add(wanted);
        progress.left = progress.left.wrapping_sub(wanted);
        progress.position = progress.position.wrapping_sub(place);
        progress.at = place;
        let result = read(place + wanted);
        // SAFETY: as above.
        let progress = unsafe { &mut (*scratch).progress };
        progress.position = progress.next();
        if result == STOP {
            return STOP;
        }
    }
    STOP
}

/// Copies `length` bytes of the packet, 1 to [`LONGEST`], from `offset` on into a piece, from byte `place`
/// on, which is one of the first eight.
#[inline(always)]
fn load(skb: *mut __sk_buff, piece: &mut Piece, place: u32, offset: u32, length: u32) -> bool {
    // The helper's size argument must be provably between 1 and what there is room for, also to verifiers
    // that learn nothing from a comparison with 0 (before 6.12): LLVM, which does, would drop the mask.
    let size = (black_box(length).wrapping_sub(1) & (PIECE as u32 - 1)) + 1;
    // SAFETY: the first eight bytes are inside.
    let to = unsafe { piece.as_mut_ptr().cast::<u8>().add(place as usize & 7) };
    // SAFETY: from there on the piece has PIECE bytes and one more at least, and `size` is at most PIECE.
    unsafe { bpf_skb_load_bytes(skb.cast(), offset, to.cast(), size) == 0 }
}

/// Keeps the last bytes of the client's payload, of which the packet has `length` bytes behind those that were
/// read before, and the first piece still lies in `scratch`.
#[inline(always)]
fn remember(skb: *mut __sk_buff, client: &mut ClientState, scratch: &mut Scratch, length: u32) {
    let Scratch { progress, piece, .. } = scratch;
    let end = progress.position;
    let mut first = end.wrapping_sub(length);
    if length > RECENT as u32 {
        first = end.wrapping_sub(RECENT as u32);
        if !load(skb, piece, first & 7, progress.offset.wrapping_sub(RECENT as u32), RECENT as u32) {
            return;
        }
    }
    let mut position = first & !7;
    let mut i = 0;
    while i <= RECENT / 8 && before(position, end) {
        client.remember_word(position, piece[i], end.wrapping_sub(position));
        position = position.wrapping_add(8);
        i += 1;
    }
}

/// A byte of a piece; `at` counts modulo [`PIECE`].
#[inline(always)]
fn byte(piece: &Piece, at: u32) -> u8 {
    // SAFETY: words are as good as the bytes that they consist of.
    let bytes = unsafe { &*piece.as_ptr().cast::<[u8; PIECE]>() };
    bytes[at as usize & (PIECE - 1)]
}

/// Eight bytes of a piece from `at` on, the first in the lowest byte; `at` counts modulo [`PIECE`].
#[inline(always)]
fn head(piece: &Piece, at: u32) -> u64 {
    let word = (at as usize / 8) & (PIECE / 8 - 1);
    let shift = 8 * (at & 7);
    // One more by a shift of its own: where all bytes are the first word's, none is the second's.
    u64::from_le(piece[word]) >> shift | u64::from_le(piece[word + 1]) << 8 << (56 - shift)
}

/// Whether a line end stands at `at` in a piece of `length`.
#[inline(always)]
fn is_crlf(piece: &Piece, at: u32, length: u32) -> bool {
    at + 1 < length && head(piece, at) as u16 == u16::from_le_bytes(*b"\r\n")
}

/// Skips plain bytes of a piece of `length`, a word at a time; how many they were. A function of its own, as its result
/// is then a number that the verifier knows nothing of: it would follow what comes behind for each turn of the loop.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn skip_plain(length: u32) -> u32 {
    let Some(Scratch { progress, piece, .. }) = scratch() else { return 0 };
    let from = progress.at;
    let mut at = from;
    let mut turn = 0;
    while turn < WORDS && at < length {
        turn += 1;
        let found = others(piece[(at as usize / 8) & (PIECE / 8 - 1)], at);
        if found != 0 {
            at += before_first(found);
            break;
        }
        at = (at & !7) + 8;
    }
    let end = if at < length { at } else { length };
    progress.at = end;
    end.wrapping_sub(from)
}

/// Parses a piece of the client's payload.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn client_piece(length: u32) -> u32 {
    all(length, client_steps)
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn client_steps(length: u32) -> u32 {
    some(length, client_step, client_line_ends)
}

/// Parses a piece of the server's payload; stops where what follows is encrypted.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn server_piece(length: u32) -> u32 {
    all(length, server_steps)
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn server_steps(length: u32) -> u32 {
    some(length, server_step, server_line_ends)
}

/// Compares a piece with what was read at its positions; stops at a byte that differs.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn compare_piece(length: u32) -> u32 {
    all(length, compare_steps)
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn compare_steps(length: u32) -> u32 {
    some(length, compare_step, compare_line)
}

/// Takes a piece of `length` bytes some steps at a time. The verifier follows each turn of a loop: two, one in the
/// other, have so many fewer.
#[inline(always)]
fn all(length: u32, steps: extern "C" fn(u32) -> u32) -> u32 {
    let mut turn = 0;
    while turn < PIECE as u32 / STEPS {
        turn += 1;
        let result = steps(length);
        if result != GO_ON {
            return if result == DONE { GO_ON } else { STOP };
        }
    }
    GO_ON
}

/// Takes some steps, with what is to be done at a line's end: not in the step, as eight functions at most may call one
/// another. At least one byte goes with each.
#[inline(always)]
fn some(length: u32, step: extern "C" fn(u32) -> u32, line_ends: extern "C" fn() -> u32) -> u32 {
    let mut turn = 0;
    while turn < STEPS {
        turn += 1;
        let mut result = step(length);
        if result == LINE {
            result = line_ends();
        }
        if result != GO_ON {
            return result;
        }
    }
    GO_ON
}

/// Takes the client's next byte, or more where they can be taken at a time: a verb, bytes that can be skipped, the line
/// end behind them. More would save a call each, and have the verifier follow each of them.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn client_step(length: u32) -> u32 {
    let Some(Scratch { progress, piece, command, .. }) = scratch() else { return STOP };
    let at = progress.at;
    if at >= length {
        return DONE;
    }
    if command.skips() {
        let count = skip_plain(length);
        command.skip(count as u16);
        let at = at + count;
        if is_crlf(piece, at, length) {
            command.push_crlf();
            progress.at = at + 2;
            return LINE;
        }
        if count != 0 {
            return GO_ON;
        }
    } else if at + 5 <= length {
        let count = command.push_head(head(piece, at));
        if count != 0 {
            progress.at = at + count;
            return GO_ON;
        }
    }
    progress.at = at + 1;
    if command.push(byte(piece, at)) { LINE } else { GO_ON }
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn client_line_ends() -> u32 {
    let Some((Session { client, server, .. }, scratch)) = current_session() else { return STOP };
    let Some(current) = current() else { return STOP };
    // SAFETY: this CPU's own value; nothing writes the key meanwhile.
    let address = unsafe { &(*current).key.client };
    show_line(scratch.progress.now, EventKind::Command, scratch.command.viewed_verb());
    client.parser = scratch.command;
    client.next = scratch.progress.next();
    client.end_line(address, server, scratch.progress.now, &mut scratch.counts);
    scratch.command = client.parser;
    GO_ON
}

/// Takes the server's next byte, or more where they can be taken at a time, as [`client_step`] does. A line that ends no
/// reply changes the parser only.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn server_step(length: u32) -> u32 {
    let Some(Scratch { progress, piece, reply, .. }) = scratch() else { return STOP };
    let at = progress.at;
    if at >= length {
        return DONE;
    }
    let mut ends = false;
    let mut count;
    if reply.skips() {
        count = skip_plain(length);
        if is_crlf(piece, at + count, length) {
            reply.push_crlf();
            count += 2;
            ends = true;
        }
    } else {
        count = reply.push_several(head(piece, at), length.wrapping_sub(at));
    }
    if count == 0 {
        ends = reply.push(byte(piece, at));
        count = 1;
    }
    progress.at = at + count;
    if !ends {
        return GO_ON;
    }
    if reply.is_inner() {
        reply.end_line(&mut Reply::default());
        return GO_ON;
    }
    LINE
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn server_line_ends() -> u32 {
    let Some((Session { client, server, .. }, scratch)) = current_session() else { return STOP };
    let Some(current) = current() else { return STOP };
    // SAFETY: this CPU's own value; nothing writes the key meanwhile.
    let key = unsafe { &(*current).key };
    let code = scratch.reply.viewed_code();
    if code != 0 {
        show_line(scratch.progress.now, EventKind::Reply, code);
    }
    server.parser = scratch.reply;
    server.next = scratch.progress.next();
    let Scratch { progress, policy, counts, .. } = scratch;
    server.end_line(client, key, policy, progress.ack, progress.now, counts);
    scratch.reply = server.parser;
    if server.opaque != opaque::NOT { STOP } else { GO_ON }
}

/// Compares the next byte.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn compare_step(length: u32) -> u32 {
    let Some((Session { client, .. }, Scratch { progress, piece, .. })) = current_session() else { return STOP };
    if progress.at >= length {
        return DONE;
    }
    let byte = byte(piece, progress.at);
    if !client.is_same(&progress.line, progress.next(), byte) {
        return STOP;
    }
    progress.at += 1;
    if byte == b'\n' { LINE } else { GO_ON }
}

/// Finds the line of the next byte to compare.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn compare_line() -> u32 {
    let Some((Session { client, server, .. }, scratch)) = current_session() else { return STOP };
    scratch.progress.line = client.line_at(server.tail, scratch.progress.next());
    GO_ON
}

/// The session of the current segment, unless it was evicted meanwhile; and this CPU's scratch.
#[inline(always)]
fn current_session() -> Option<(&'static mut Session, &'static mut Scratch)> {
    let current = current()?;
    // SAFETY: this CPU's own value; nothing writes the key meanwhile.
    let session = session(unsafe { &(*current).key })?;
    let scratch = scratch()?;
    (session.session_id == scratch.progress.session_id).then_some((session, scratch))
}
