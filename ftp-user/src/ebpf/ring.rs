//! Ring buffers of events.

use std::io;
use std::os::fd::AsRawFd;

use ftp_common::event::Event;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Waits on a ring buffer's descriptor.
///
/// # Errors
///
/// The kernel's refusal.
pub fn watch<T: AsRawFd>(ring: T) -> io::Result<AsyncFd<T>> {
    // SAFETY: the descriptor is the map's, which lives and stays the same as long as the ring.
    let watched = unsafe { AsyncFd::register_with_interest(ring, Interest::READABLE) };
    watched.map_err(|error| error.into_parts().1)
}

/// An event in a ring buffer's record; one that is shorter would be of another version.
pub fn parse(bytes: &[u8]) -> Option<Event> {
    let bytes = bytes.get(..size_of::<Event>())?;
    // SAFETY: there are enough bytes, and any bytes make an `Event`: it consists of integers.
    Some(unsafe { bytes.as_ptr().cast::<Event>().read_unaligned() })
}

/// The bytes that [`parse`] takes.
pub fn bytes(event: &Event) -> &[u8] {
    // SAFETY: the slice is the event itself, which consists of integers without padding between them.
    unsafe { std::slice::from_raw_parts(std::ptr::from_ref(event).cast(), size_of::<Event>()) }
}

/// Events that a ring buffer of 256 KiB has room for: each has a head of 8 bytes, and the last byte stays free.
pub const ROOM: usize = ((1 << 18) - 1) / (8 + size_of::<Event>());
