//! Output for people: lines for events, tables for the rest.

mod event;
mod event_json;
mod findings;
mod table;

pub use event::EventLines;
pub use event_json::{EventRow, verb};
pub use findings::findings;
pub use table::{expectations, flows, sessions, stats, status};
