//! What the command's verbs do, a file each.

pub mod events;
pub mod policy;
pub mod run;
pub mod watch;
