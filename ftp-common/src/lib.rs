//! What ftptrack's kernel program and its user space share: the FTP control-stream parsers, the
//! dialogue that joins commands to replies, and the layout of every map.
//!
//! Nothing here allocates, panics or is unsafe, so the same code runs in the kernel, in tests and
//! under a fuzzer. Bytes go in one at a time; all state lives in values that fit in a map.
//!
//! | module | contents |
//! |---|---|
//! | [`telnet`], [`plain`], [`command`], [`host_port`], [`reply`], [`announced`] | the two parsers |
//! | [`session`] | one control connection: the value of its map, and all shapes in it |
//! | [`segment`], [`sequence`], [`client`], [`overlap`], [`server`] | its two directions: the order of their bytes, pending commands |
//! | [`dialogue`] | which command a reply answers, and what that opens |
//! | [`ends`] | resets, FINs, and how long a session lives |
//! | [`expectation`], [`range`], [`half_open`], [`unfinished`], [`flow`] | data connections: negotiated, and accepted |
//! | [`policy`], [`limit`], [`keys`], [`address`], [`event`], [`counter`] | the rest of the maps' layout |
#![no_std]
#![forbid(unsafe_code)]

pub mod address;
pub mod announced;
pub mod client;
pub mod closed;
pub mod command;
pub mod counter;
pub mod dialogue;
pub mod ends;
pub mod event;
pub mod expectation;
pub mod flow;
pub mod half_open;
pub mod host_port;
pub mod keys;
pub mod limit;
pub mod overlap;
pub mod owner;
pub mod plain;
pub mod policy;
pub mod range;
pub mod reply;
pub mod segment;
pub mod sequence;
pub mod server;
pub mod session;
#[cfg(test)]
mod talk;
pub mod telnet;
pub mod unfinished;

/// Version of every shape in this crate that both sides of a map see.
///
/// It is part of the pin directory's name: raise it whenever a `#[repr(C)]` type or an index of
/// [`counter::Counter`] changes, and old and new never share a map.
pub const ABI_VERSION: u32 = 5;

/// One second in the unit of all times in maps: nanoseconds of `CLOCK_MONOTONIC`.
pub const SECOND: u64 = 1_000_000_000;
