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
pub enum Message<'a> {
    /// One of them.
    Event(&'a Event),
    /// Some were counted and not reported.
    Unreported(Unreported),
}

/// Events that were counted and not reported.
#[derive(Clone, Copy, Debug)]
pub struct Unreported {
    /// `events_lost` or `events_suppressed`.
    pub counter: Counter,
    /// How many, since it was last reported.
    pub count: u64,
    pub(super) text: &'static str,
}

impl fmt::Display for Unreported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.text, self.count)
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
    pub(super) fn line(&mut self, message: &Message<'_>) -> Option<String> {
        match (self, message) {
            (Self::Lines(lines), Message::Event(event)) => lines.line(event),
            (Self::Json, Message::Event(event)) => {
                EventRow::new(event).and_then(|row| serde_json::to_string(&row).ok()).map(escape::json)
            }
            (Self::Lines(_), Message::Unreported(unreported)) => {
                Some(format!("{} {unreported}", clock::wall(clock::monotonic())))
            }
            (Self::Json, Message::Unreported(Unreported { counter, count, .. })) => {
                let (time, event) = (clock::unix_seconds(clock::monotonic()), counter.name());
                Some(serde_json::json!({ "time": time, "event": event, "count": count }).to_string())
            }
        }
    }
}
