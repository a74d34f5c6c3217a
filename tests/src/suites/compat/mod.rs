//! Every server with every client: what works without a filter, with ftptrack, and with nf_conntrack_ftp.
//!
//! The matrix is data: `tests/compat`. A cell is one client that does one thing with one server, with the
//! filter in one location; it is shell lines of the files of client and action. Nothing in this module
//! knows any client, server or action by its name.
//!
//! | file | what it says |
//! |---|---|
//! | `servers/NAME.toml` | how a server is started, its variants, the packages to unpack |
//! | `clients/NAME.toml` | how a client is told to do each action, in each mode; its package |
//! | `actions.toml` | what must have arrived |
//! | `places.toml` | where the filter is attached, and what is between client and server |
//! | `policies.toml` | what more ftptrack is told |
//! | `matrix.toml`, `sample.toml` | which of these are combined: the whole, and what ordinary tests play |
//! | `explanations.toml` | why cells differ, or work nowhere |
//!
//! Shell lines know: `SERVER`, `USER`, `PASSWORD`, the same with `SECOND_` (the second server is
//! `SECOND`); `IN`, the cell's own directory on the server, with `base` (1000 bytes, as the client's
//! `base`) and `big` in it; `DATA`, this directory. The client's directory is its own and holds `up` to
//! upload, and `part`, the first third of `file`. On the server are `file`, `big`, `many/01` to `50`,
//! and `tree`. Checks also know `S` and `T`, where the files of the first and second server are.

pub mod cell;
pub mod daemon;
pub mod data;
pub mod judge;
pub mod outcome;
pub mod page;
pub mod run;
pub mod select;
mod shell;
pub mod tally;
pub mod testbed;
pub mod topology;
pub mod versions;
