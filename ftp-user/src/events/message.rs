//! What a reader of events gets: an event, or how many of them were not reported; and how that is shown.

use std::fmt;

use ftp_common::counter::Counter;
use ftp_common::event::Event;

use crate::escape;
use crate::events::json::EventRow;
use crate::events::line::EventLines;
use crate::sys::clock;

/// Events that the kernel counted and did not report: the counter, and its line.
pub(super) const UNREPORTED: [(Counter, &str); 2] = [
    (Counter::EventsLost, "lost      events that could not be reported"),
    (Counter::EventsSuppressed, "denied    more connections than are reported one by one: not reported"),
];

/// What a reader of events gets.
#[derive(Clone, Copy, Debug)]
pub enum Message {
    /// An event.
    Event(Event),
    /// Some were counted and not reported.
    Unreported(Unreported),
}

impl Message {
    /// When it happened or was noticed, nanoseconds of `CLOCK_MONOTONIC`.
    #[must_use]
    pub const fn time(&self) -> u64 {
        match self {
            Self::Event(event) => event.time,
            Self::Unreported(unreported) => unreported.time,
        }
    }
}

/// Events that were counted and not reported.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Unreported {
    /// When it was noticed, nanoseconds of `CLOCK_MONOTONIC`.
    pub time: u64,
    /// `events_lost` or `events_suppressed`.
    pub counter: Counter,
    /// How many, since it was last reported.
    pub count: u64,
}

impl fmt::Display for Unreported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = UNREPORTED.iter().find(|(counter, _)| *counter == self.counter).map_or("", |(_, text)| text);
        write!(f, "{text}: {}", self.count)
    }
}

/// How events are shown.
pub enum Form {
    /// A line for people.
    Lines(EventLines),
    /// A line of JSON, see [`EventRow`].
    Json,
}

impl Form {
    /// Its line; `None` for an event of a later version.
    pub(super) fn line(&mut self, message: &Message) -> Option<String> {
        match (self, message) {
            (Self::Lines(lines), Message::Event(event)) => lines.line(event),
            (Self::Json, Message::Event(event)) => {
                EventRow::new(event).and_then(|row| serde_json::to_string(&row).ok()).map(escape::json)
            }
            (Self::Lines(_), Message::Unreported(unreported)) => {
                Some(format!("{} {unreported}", clock::wall(unreported.time)))
            }
            (Self::Json, Message::Unreported(Unreported { time, counter, count })) => {
                let (time, event) = (clock::unix_seconds(*time), counter.name());
                Some(serde_json::json!({ "time": time, "event": event, "count": count }).to_string())
            }
        }
    }
}
