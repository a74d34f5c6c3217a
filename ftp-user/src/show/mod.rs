//! Output for people: lines for events, tables for the rest.

mod event;
mod table;

pub use event::EventLines;
pub use table::{expectations, flows, sessions, stats, status};
