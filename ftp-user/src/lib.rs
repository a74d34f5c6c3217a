//! ftptrack's user space: it resolves a policy, loads and attaches the kernel program, and shows
//! what the kernel learns. The command `ftptrack` is a thin shell around this library.
//!
//! | room | what is in it |
//! |---|---|
//! | [`cli`] | options, printing, exit codes |
//! | [`commands`] | a file per verb that does work |
//! | [`replay`], [`top`] | a capture through the kernel program; what goes on, live and full-screen |
//! | [`export`] | metrics and the journal: what leaves for other programs |
//! | [`doctor`] | what breaks FTP or leaves ports open, and how to fix it |
//! | [`query`] | the pinned maps, for people and for programs |
//! | [`attach`] | attaching filters to interfaces, keeping them attached, detaching them |
//! | [`events`] | the one reader of the ring buffer, and what an event looks like |
//! | [`import`] | an FTP server's own configuration as a policy |
//! | [`owner`] | what encrypted sessions open, learned from processes and sockets |
//! | [`ebpf`] | the kernel program and its maps |
//! | [`config`] | options and the configuration file become one checked configuration |
//! | [`pins`] | the pin directory: what outlives the process, and every lock |
//! | [`sys`] | what the operating system offers; knows nothing of FTP |
//! | [`policy`] | which servers, and their rules |
//! | [`error`], [`endpoint`], [`escape`] | why a command failed; the ends of a connection, and what others have written, as text |
//!
//! A room uses rooms that stand below it in this list, and no others: `rooms.rs` has the arrows.

pub mod attach;
pub mod cli;
pub mod commands;
pub mod config;
pub mod doctor;
pub mod ebpf;
pub mod endpoint;
pub mod error;
pub mod escape;
pub mod events;
pub mod export;
pub mod import;
pub mod owner;
pub mod pins;
pub mod policy;
pub mod query;
pub mod replay;
#[cfg(test)]
mod rooms;
pub mod sys;
pub mod top;
