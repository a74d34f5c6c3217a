//! What the kernel program reports, read in one place.

pub mod json;
pub mod line;
pub mod message;
pub mod output;
pub mod reader;
pub mod totals;
