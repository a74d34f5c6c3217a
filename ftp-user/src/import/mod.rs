//! An FTP server's own configuration as a policy that fits it.
//!
//! It is the policy for the server as it is: of a range that the server misreads it takes what the
//! server makes of it, and says what to fix.

use std::fmt::{self, Write as _};
use std::net::IpAddr;
use std::path::Path;

use clap::ValueEnum;
use ipnet::IpNet;

use crate::config::origin::Complaints;
use crate::config::read_text;
use crate::error::{Failure, OrFail as _};
use crate::escape;
use crate::policy::toml::{self, Detail};
use crate::policy::{PortRange, Rules};

mod local_ports;
mod proftpd;
mod proftpd_lines;
mod pure_ftpd;
mod vsftpd;

pub(crate) use local_ports::LocalPorts;

/// A server whose configuration can be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Server {
    /// vsftpd.conf
    Vsftpd,
    /// proftpd.conf, and what it includes
    Proftpd,
    /// pure-ftpd.conf, its directory with a file for each option, a command line, or a systemd unit
    PureFtpd,
}

impl Server {
    /// The name in options and output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Vsftpd => "vsftpd",
            Self::Proftpd => "proftpd",
            Self::PureFtpd => "pure-ftpd",
        }
    }
}

/// What a server's configuration comes to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Imported {
    /// The policy, as a configuration file.
    pub text: String,
    /// What to know or to fix, each with its place.
    pub warnings: Vec<String>,
}

/// Reads a server's configuration.
///
/// # Errors
///
/// It can't be read.
pub fn import(server: Server, path: &Path) -> Result<Imported, Failure> {
    Ok(find(server, path)?.finish(server, path, LocalPorts::of_this_host()))
}

/// Reads a server's configuration, and says what it comes to.
///
/// # Errors
///
/// It can't be read.
pub(crate) fn find(server: Server, path: &Path) -> Result<Findings, Failure> {
    let mut findings = Findings::default();
    match server {
        Server::Vsftpd => vsftpd::read(&Text::of(path)?, &mut findings),
        Server::Proftpd => proftpd::read(path, &mut findings)?,
        Server::PureFtpd => pure_ftpd::read(path, &mut findings)?,
    }
    Ok(findings)
}

/// A file of a server's configuration.
struct Text {
    name: String,
    text: String,
}

impl Text {
    fn of(path: &Path) -> Result<Self, Failure> {
        let name = path.display().to_string();
        let bytes = std::fs::read(path).or_fail(&name, "give the path of the server's configuration")?;
        Ok(Self { name, text: String::from_utf8_lossy(&bytes).into_owned() })
    }
}

/// A line of a server's configuration; line 0 stands for all of the file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Place {
    pub(crate) file: String,
    line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.file),
            line => write!(f, "{}:{line}", self.file),
        }
    }
}

/// A server that was found.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    /// Where: its passive range, or its beginning.
    pub(crate) place: Place,
    /// Its addresses; none: all of the host.
    prefixes: Vec<IpNet>,
    pub(crate) rules: Rules,
    /// The range that was meant, where its ends stand the wrong way round.
    pub(crate) reversed: Option<PortRange>,
    /// The setting by which it refuses data connections that don't resume the TLS session of the control connection.
    pub(crate) wants_reuse: Option<&'static str>,
    /// What its settings were made of.
    comments: Vec<String>,
}

impl Found {
    fn at(place: Place) -> Self {
        Self {
            place,
            prefixes: Vec::new(),
            rules: Rules::default(),
            reversed: None,
            wants_reuse: None,
            comments: Vec::new(),
        }
    }
}

/// What to know of a server's configuration, or to fix in it.
#[derive(Clone, Debug)]
pub(crate) struct Warning {
    pub(crate) place: Place,
    pub(crate) problem: String,
    pub(crate) hint: String,
    /// The passive range is missing, or not what it looks like.
    pub(crate) is_of_range: bool,
    /// The setting that fixes it, and its value, where it takes no choice.
    pub(crate) setting: Option<(&'static str, &'static str)>,
}

/// `FILE:LINE: what is wrong; what to do`, on one line whatever the file has in it.
impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&escape::text(&format!("{}: {}; {}", self.place, self.problem, self.hint)))
    }
}

/// What was found, and what to say of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Findings {
    pub(crate) servers: Vec<Found>,
    pub(crate) warnings: Vec<Warning>,
    /// Another program listens, and starts the server for each session.
    pub(crate) is_started_by_another: bool,
}

impl Findings {
    fn warn(&mut self, place: &Place, problem: impl fmt::Display, hint: impl fmt::Display) {
        let (problem, hint) = (problem.to_string(), hint.to_string());
        self.warnings.push(Warning { place: place.clone(), problem, hint, is_of_range: false, setting: None });
    }

    /// The same of a passive range.
    fn warn_of_range(&mut self, place: &Place, problem: impl fmt::Display, hint: impl fmt::Display) {
        self.warn(place, problem, hint);
        if let Some(warning) = self.warnings.last_mut() {
            warning.is_of_range = true;
        }
    }

    /// The same of what a setting fixes.
    fn warn_of_setting(
        &mut self,
        place: &Place,
        problem: impl fmt::Display,
        hint: impl fmt::Display,
        setting: (&'static str, &'static str),
    ) {
        self.warn(place, problem, hint);
        if let Some(warning) = self.warnings.last_mut() {
            warning.setting = Some(setting);
        }
    }

    fn finish(mut self, server: Server, path: &Path, local: Option<LocalPorts>) -> Imported {
        for found in self.servers.clone() {
            self.check(&found, local.as_ref());
        }
        let name = server.name();
        let mut text =
            format!("# made by: ftptrack policy import {name} {}\n", escape::text(&path.display().to_string()));
        text += "# interfaces = [\"eth0\"]\n";
        for found in &self.servers {
            // TOML has no control characters in comments.
            let comments: Vec<_> = found.comments.iter().map(|comment| escape::text(comment)).collect();
            let _ = write!(text, "\n{}", toml::server(&found.prefixes, &found.rules, &comments, Detail::Unusual));
        }
        let mut warnings: Vec<_> = self.warnings.iter().map(ToString::to_string).collect();
        let mut complaints = Complaints::default();
        let _ = read_text("policy", &text, &mut complaints).resolve(&mut complaints);
        if let Err(failure) = complaints.into_result() {
            let refused = failure.to_string();
            warnings.extend(refused.lines().map(|line| format!("the policy will be refused: {line}")));
        }
        Imported { text, warnings }
    }

    /// What is said of any server.
    fn check(&mut self, found: &Found, local: Option<&LocalPorts>) {
        let Found { place, rules, .. } = found;
        if let (Some(range), Some(local)) = (rules.passive_range, local)
            && let Some(common) = local.common(range)
        {
            self.warn(
                place,
                format_args!(
                    "the passive range {range} overlaps the ports of this host's own connections, {} \
                     (net.ipv4.ip_local_port_range): one of them may hold a port that the server wants",
                    local.range
                ),
                format_args!("choose another range, or add {common} to net.ipv4.ip_local_reserved_ports"),
            );
        }
    }
}

/// An address that a server is bound to; none if that is all of them.
fn bound_address(text: &str) -> Result<Option<IpNet>, ()> {
    let address: IpAddr = text.parse().map_err(drop)?;
    Ok((!address.is_unspecified()).then(|| address.into()))
}

#[cfg(test)]
mod tests;
