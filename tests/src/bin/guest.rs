//! The first and only process of a machine that runs one kernel for a minute: mounts what programs
//! expect, loads modules, runs the tests that it was given, and switches off.
//!
//! What it finds below `/guest` is put there by `cargo xtask test --kernel`: `modules.order`,
//! `modules/NAME`, `plan` (a program and its arguments a line) and the programs.

use ftptrack_tests::hosts::guest;
use rustix::system::{RebootCommand, reboot};

fn main() {
    guest::run();
    // The other side waits for the machine to go: it must not stay, whatever happened.
    let refused = reboot(RebootCommand::PowerOff);
    panic!("switching off: {refused:?}");
}
