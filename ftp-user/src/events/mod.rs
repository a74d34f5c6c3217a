//! What the kernel program reports, read in one place and kept for all who want it.

pub mod history;
pub mod json;
pub mod keeper;
pub mod line;
pub mod message;
pub mod output;
pub mod reader;
pub mod remote;
mod serve;
pub mod totals;
pub mod wire;
