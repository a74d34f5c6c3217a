//! What goes through the socket of [`crate::events::serve`]. Both ends are on one host: numbers are in its own order.

use std::io;

use ftp_common::counter::Counter;
use ftp_common::event::Event;
use tokio::net::UnixStream;

use crate::ebpf::ring;
use crate::events::message::{Message, Unreported};

/// The first word of a request and of its answer: another one is of another version.
pub(super) const MAGIC: u64 = u64::from_ne_bytes(*b"ftpevnt1");
/// The answer where there are too many readers.
pub(super) const BUSY: u64 = u64::from_ne_bytes(*b"ftpbusy1");
/// Bytes of a request.
pub(super) const REQUEST: usize = 32;
/// Bytes of each record of an answer: what it is, and a message.
pub(super) const RECORD: usize = 8 + size_of::<Event>();
/// What a record is: an event, or the last one, or a counter's index more than this.
const EVENT: u64 = 0;
const END: u64 = 1;
const UNREPORTED: u64 = 2;

/// What is asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Request {
    /// From when on: nanoseconds of `CLOCK_MONOTONIC`.
    pub since: u64,
    /// Of those that are there, at most so many.
    pub last: u64,
    /// Whether to wait for more.
    pub follow: bool,
}

impl Request {
    pub(super) fn encode(self) -> [u8; REQUEST] {
        let mut bytes = [0; REQUEST];
        let words = [MAGIC, self.since, self.last, self.follow.into()];
        for (place, word) in bytes.chunks_mut(8).zip(words) {
            place.copy_from_slice(&word.to_ne_bytes());
        }
        bytes
    }

    pub(super) fn decode(bytes: &[u8; REQUEST]) -> Option<Self> {
        let word = |at: usize| word(&bytes[at * 8..]);
        (word(0)? == MAGIC).then_some(())?;
        Some(Self { since: word(1)?, last: word(2)?, follow: word(3)? != 0 })
    }
}

fn word(bytes: &[u8]) -> Option<u64> {
    bytes.first_chunk().map(|word| u64::from_ne_bytes(*word))
}

/// Adds a message's record.
pub(super) fn push(bytes: &mut Vec<u8>, message: &Message) {
    match message {
        Message::Event(event) => push_record(bytes, EVENT, event),
        Message::Unreported(Unreported { time, counter, count }) => {
            let event = Event { time: *time, session: *count, ..Event::default() };
            push_record(bytes, UNREPORTED + u64::from(counter.index()), &event);
        }
    }
}

/// Adds the last record.
pub(super) fn push_end(bytes: &mut Vec<u8>) {
    push_record(bytes, END, &Event::default());
}

fn push_record(bytes: &mut Vec<u8>, what: u64, event: &Event) {
    bytes.extend(what.to_ne_bytes());
    bytes.extend(ring::bytes(event));
}

/// A record's message; `None`: it is the last, or of another version.
pub(super) fn message(record: &[u8]) -> Option<Message> {
    let (what, event) = (word(record)?, ring::parse(record.get(8..)?)?);
    match what {
        EVENT => Some(Message::Event(event)),
        END => None,
        other => {
            let counter = Counter::from_index(u32::try_from(other - UNREPORTED).ok()?)?;
            Some(Message::Unreported(Unreported { time: event.time, counter, count: event.session }))
        }
    }
}

/// Writes all of it.
pub(super) async fn write(stream: &UnixStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        stream.writable().await?;
        match stream.try_write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Reads what there is, once there is anything; 0 at the end. Cancelling it loses nothing.
pub(super) async fn read(stream: &UnixStream, bytes: &mut [u8]) -> io::Result<usize> {
    loop {
        stream.readable().await?;
        match stream.try_read(bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            other => return other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ftp_common::event::EventKind;

    #[test]
    fn requests_and_messages_arrive_as_they_were_sent() {
        let request = Request { since: 7, last: u64::MAX, follow: true };
        assert_eq!(Request::decode(&request.encode()), Some(request));
        assert_eq!(Request::decode(&[0; REQUEST]), None);

        let event = Event { time: 9, kind: EventKind::Denied.number(), bytes: [1, u64::MAX], ..Event::default() };
        let lost = Unreported { time: 10, counter: Counter::EventsSuppressed, count: 3 };
        let mut bytes = Vec::new();
        push(&mut bytes, &Message::Event(event));
        push(&mut bytes, &Message::Unreported(lost));
        push_end(&mut bytes);
        let records: Vec<_> = bytes.chunks(RECORD).map(message).collect();
        let [Some(Message::Event(first)), Some(Message::Unreported(second)), None] = records[..] else {
            panic!("{records:?}")
        };
        assert_eq!((first, second), (event, lost));
    }
}
