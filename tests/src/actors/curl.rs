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

    /// Whether the server listens, and the client connects.
    pub const fn is_passive(self) -> bool {
        matches!(self, Self::Pasv | Self::Epsv)
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
    run(command(host, mode).arg("--output").arg(file).arg(url), mode, 1);
}

/// Puts `file` at `url`.
#[track_caller]
pub fn upload(host: &Host, mode: Mode, url: &str, file: &Path) {
    run(command(host, mode).arg("--upload-file").arg(file).arg(url), mode, 1);
}

/// Gets one file and puts another in one session: each a file and its URL.
#[track_caller]
pub fn download_and_upload(host: &Host, mode: Mode, (to, from_url): (&Path, &str), (from, to_url): (&Path, &str)) {
    let mut command = command(host, mode);
    command.arg("--output").arg(to).arg(from_url);
    // Settings are each transfer's own.
    command.arg("--next").args(SETTINGS).args(mode.options());
    run(command.arg("--upload-file").arg(from).arg(to_url), mode, 2);
}

/// A curl that fails if it is to fall back to another command, or takes longer than 30 seconds.
pub fn command(host: &Host, mode: Mode) -> Command {
    let mut command = host.namespace.command("curl");
    // Its own settings file is none of ours.
    command.arg("--disable").args(SETTINGS).args(mode.options());
    command
}

const SETTINGS: [&str; 10] = [
    "--silent",
    "--show-error",
    "--verbose",
    "--globoff",
    "--noproxy",
    "*",
    "--connect-timeout",
    "5",
    "--max-time",
    "30",
];

#[track_caller]
fn run(command: &mut Command, mode: Mode, transfers: usize) {
    let output = process::finish(command);
    assert!(output.status.success(), "curl: {}\n{}", output.status, output.stderr);
    // What it really said: "> PASV", not what it was asked for.
    let said = format!("> {}", mode.command());
    let times = output.stderr.lines().filter(|line| line.starts_with(&said)).count();
    assert!(times >= transfers, "{times} of {transfers} times {said}:\n{}", output.stderr);
}
