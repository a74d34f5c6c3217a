//! The real client.

use std::path::Path;
use std::process::Command;

use crate::hosts::network::{Family, Host};
use crate::support::process;

/// How curl asks for its data connections.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mode {
    /// PASV.
    Pasv,
    /// EPSV.
    Epsv,
    /// PORT.
    Port,
    /// EPRT.
    Eprt,
}

impl Mode {
    /// Each way of negotiating, over each family where it exists.
    pub const EVERYWHERE: [(Self, Family); 6] = [
        (Self::Pasv, Family::V4),
        (Self::Epsv, Family::V4),
        (Self::Port, Family::V4),
        (Self::Eprt, Family::V4),
        (Self::Epsv, Family::V6),
        (Self::Eprt, Family::V6),
    ];

    /// The options that make curl use this command and no other.
    const fn options(self) -> &'static [&'static str] {
        match self {
            Self::Pasv => &["--disable-epsv"],
            Self::Epsv => &[],
            Self::Port => &["--ftp-port", "-", "--disable-eprt"],
            Self::Eprt => &["--ftp-port", "-"],
        }
    }

    /// The command.
    pub const fn command(self) -> &'static str {
        match self {
            Self::Pasv => "PASV",
            Self::Epsv => "EPSV",
            Self::Port => "PORT",
            Self::Eprt => "EPRT",
        }
    }
}

/// Gets `url` into `file`.
#[track_caller]
pub fn download(host: &Host, mode: Mode, url: &str, file: &Path) {
    run(command(host, mode).arg("--output").arg(file).arg(url), mode);
}

/// Puts `file` at `url`.
#[track_caller]
pub fn upload(host: &Host, mode: Mode, url: &str, file: &Path) {
    run(command(host, mode).arg("--upload-file").arg(file).arg(url), mode);
}

/// A curl that fails if it is to fall back to another command, or takes longer than 30 seconds.
pub fn command(host: &Host, mode: Mode) -> Command {
    let mut command = host.namespace.command("curl");
    // Its own settings file is none of ours.
    command.args(["--disable", "--silent", "--show-error", "--verbose", "--globoff"]);
    command.args(["--connect-timeout", "5", "--max-time", "30"]).args(mode.options());
    command
}

#[track_caller]
fn run(command: &mut Command, mode: Mode) {
    let output = process::finish(command);
    assert!(output.status.success(), "curl: {}\n{}", output.status, output.stderr);
    // What it really said: "> PASV", not what it was asked for.
    let said = format!("> {}", mode.command());
    assert!(output.stderr.lines().any(|line| line.starts_with(&said)), "no {said}:\n{}", output.stderr);
}
