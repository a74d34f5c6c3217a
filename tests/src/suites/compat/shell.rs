//! Running shell lines of the data.

use std::process::Command;

use super::data;
use crate::hosts::network::Host;

/// A command that runs on a host in a PID namespace of its own, so that all it has started ends with
/// it; in a mount namespace, where it may bind files elsewhere, and where no names are looked up in
/// the DNS; and without a terminal, or clients would ask it for passwords, and be stopped for it if
/// they are in the background.
pub(super) fn alone(host: &Host, words: &[&str]) -> Command {
    let mut command = host.namespace.command("unshare");
    command.args(["--fork", "--pid", "--kill-child", "--mount-proc", "sh", "-c"]);
    command.arg(r#"mount --bind "$0" /etc/nsswitch.conf && exec setsid "$@""#);
    command.arg(data::directory().join("nsswitch.conf")).args(words);
    command
}
