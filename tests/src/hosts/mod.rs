//! Hosts that only this test can see.
//!
//! | module | what it holds |
//! |---|---|
//! | [`namespace`] | a network namespace |
//! | [`network`] | three hosts joined by a bridge |
//! | [`pair`] | two hosts joined by a cable |
//! | [`links`] | interfaces and addresses |
//! | [`guest`] | a virtual machine with another kernel: its init process |
//! | [`systemd`] | systemd in such a machine |

pub mod guest;
pub mod links;
pub mod namespace;
pub mod network;
pub mod pair;
pub mod systemd;
