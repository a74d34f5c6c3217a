//! Whether the FTP server's own configuration and the policy fit together.

use std::path::{Path, PathBuf};

use super::host::{From, Host, Place};
use super::settings::{File, USUAL};
use super::{FTP_SERVER, Finding, Level, daemon};
use crate::error::Failure;
use crate::import::{self, Findings, Found, Server, Warning};
use crate::owner::Learning;
use crate::policy::{Ftps, PortRange, Rules};

/// What is proposed where nobody says which.
const PROPOSED: PortRange = PortRange { first: 10240, last: 20480 };
const OUTSIDE: &str = "what the server names outside of the policy's range is refused, and not guarded: where a firewall \
                       shuts it those transfers fail, and where none does it is open to everybody";

/// What was read of a server's configuration.
pub(super) struct Read {
    server: Server,
    path: PathBuf,
    found: Result<Findings, Failure>,
}

/// Reads those that are named, else those at the usual places.
///
/// # Errors
///
/// One that is named can't be read.
pub(super) fn read(named: &[(Server, PathBuf)]) -> Result<Vec<Read>, Failure> {
    let read = |server: Server, path: PathBuf| Read { server, found: import::find(server, &path), path };
    if named.is_empty() {
        let usual = USUAL.into_iter().map(|(server, path)| (server, PathBuf::from(path)));
        return Ok(usual.filter(|(_, path)| path.exists()).map(|(server, path)| read(server, path)).collect());
    }
    let all: Vec<_> = named.iter().map(|(server, path)| read(*server, path.clone())).collect();
    match all.iter().find_map(|read| read.found.as_ref().err()) {
        Some(failure) => Err(failure.clone().as_usage()),
        None => Ok(all),
    }
}

/// Looks at what was read.
pub(super) fn check(host: &Host, all: Vec<Read>) -> Vec<Finding> {
    if all.is_empty() {
        let what = "no configuration of vsftpd, proftpd or pure-ftpd is at a usual place: name one with \
                    --ftp-config SERVER=PATH";
        return vec![Finding::not_checked(FTP_SERVER, what)];
    }
    let mut findings = Vec::new();
    for Read { server, path, found } in all {
        match found {
            Ok(found) => findings.extend(Config { host, server, path: &path, found }.check()),
            Err(failure) => findings.push(Finding::not_checked(FTP_SERVER, failure.complaint())),
        }
    }
    findings
}

/// A server's configuration.
struct Config<'a> {
    host: &'a Host,
    server: Server,
    path: &'a Path,
    found: Findings,
}

impl Config<'_> {
    fn check(&self) -> Vec<Finding> {
        let mut findings: Vec<_> = self.found.warnings.iter().map(|warning| self.warning(warning)).collect();
        for found in &self.found.servers {
            match self.rules_for(found) {
                Some(rules) => findings.extend(self.compare(found, rules)),
                None => {
                    let place = &found.place;
                    findings
                        .push(Finding::not_checked(FTP_SERVER, format!("{place}: there is no policy to compare with")));
                }
            }
        }
        findings.extend(self.age());
        if findings.is_empty() {
            let name = self.server.name();
            findings.push(Finding::ok(FTP_SERVER, format!("{name}: {} fits the policy", self.path.display())));
        }
        findings
    }

    fn warning(&self, warning: &Warning) -> Finding {
        let what = format!("{}: {}", warning.place, warning.problem);
        if warning.is_of_range {
            let meant = self.found.servers.iter().find_map(|found| found.reversed);
            let range = meant.or_else(|| self.policy_range()).unwrap_or(PROPOSED);
            return Finding::new(Level::Error, FTP_SERVER, what).because(OUTSIDE).fix(self.file().set_range(range));
        }
        let hint = warning.hint.split(", and import it again").next().unwrap_or_default();
        let finding = Finding::new(Level::Warning, FTP_SERVER, format!("{what}; {hint}"));
        match warning.setting {
            Some((name, value)) => finding.fix(self.file().set(name, value)),
            None => finding,
        }
    }

    /// Whether the server that runs has read it.
    fn age(&self) -> Option<Finding> {
        let servers = &self.found.servers;
        let files: Vec<_> = servers.iter().map(|found| PathBuf::from(&found.place.file)).collect();
        let ports: Vec<_> = servers.iter().flat_map(|found| found.rules.control_ports.clone()).collect();
        daemon::check(self.server, self.path, &[&files[..], &[self.path.to_owned()]].concat(), &ports)
    }

    fn file(&self) -> File<'_> {
        let is_read_at_start = !self.found.is_started_by_another;
        File { server: self.server, path: self.path, is_read_at_start }
    }

    fn policy_range(&self) -> Option<PortRange> {
        self.host.rules().iter().find_map(|(rules, _)| rules.passive_range)
    }

    /// Those that have its range or a port of its, else the first.
    fn rules_for(&self, found: &Found) -> Option<&Rules> {
        let all = self.host.rules();
        let fits = |rules: &Rules| {
            rules.passive_range == found.rules.passive_range
                && found.rules.control_ports.iter().all(|port| rules.control_ports.contains(port))
        };
        all.iter().find(|(rules, _)| fits(rules)).or(all.first()).map(|(rules, _)| *rules)
    }

    fn compare(&self, found: &Found, rules: &Rules) -> Vec<Finding> {
        let (place, name) = (&found.place, self.server.name());
        let mut findings = Vec::new();
        if let (Some(theirs), None) = (found.rules.passive_range, found.reversed) {
            findings.extend(self.compare_ranges(found, theirs, rules));
        }
        let unread = found.rules.control_ports.iter().filter(|port| !rules.control_ports.contains(port));
        findings.extend(unread.map(|port| {
            Finding::new(
                Level::Error,
                FTP_SERVER,
                format!("{place}: {name} listens on port {port}, which is no control port of the policy"),
            )
            .because("its sessions are not read, so its data connections are denied")
            .fix(self.host.attach_command(&format!("--control-port {port}")))
        }));
        if found.rules.ftps != Ftps::Deny {
            findings.extend(self.encrypted(found, rules));
        }
        findings
    }

    /// What encrypted sessions of a server that offers them will get.
    fn encrypted(&self, found: &Found, rules: &Rules) -> Vec<Finding> {
        let (place, name) = (&found.place, self.server.name());
        let mut findings = Vec::new();
        let choice = self.best_choice();
        if rules.ftps == Ftps::Deny {
            let what = format!("{place}: {name} offers FTPS, and the policy has ftps = \"deny\"");
            let why = format!(
                "encrypted sessions can't be read: their data connections are denied. With {} {}",
                choice.as_str(),
                match choice {
                    Ftps::Learn => "one opens what the process that serves it opens",
                    _ => "such a session's client may use the whole passive range while it lives",
                }
            );
            findings.push(Finding::new(Level::Warning, FTP_SERVER, what).because(why).fix(self.allow_ftps(choice)));
        }
        if rules.ftps == Ftps::Learn
            && let Ok(Some(learning)) = Learning::of(&self.host.pins)
        {
            findings.push(match learning.note() {
                Some(note) => Finding::new(Level::Warning, FTP_SERVER, format!("{place}: {name} offers FTPS; {note}"))
                    .because("what its processes do can't be seen"),
                None => {
                    let what = format!("{place}: {name} serves each session by a process of its own: FTPS is learned");
                    Finding::ok(FTP_SERVER, what)
                }
            });
        }
        if let Some(setting) = found.wants_reuse {
            let what = format!(
                "{place}: {name} refuses FTPS data connections that don't resume the control connection's TLS session \
                 ({setting})"
            );
            let why = "clients that can't do that get 522 or an error of TLS: from the server, not from the firewall";
            findings.push(Finding::new(Level::Note, FTP_SERVER, what).because(why));
        }
        findings
    }

    /// On a gateway no processes are seen.
    fn best_choice(&self) -> Ftps {
        if self.host.servers_are_beyond() { Ftps::ClientRange } else { Ftps::Learn }
    }

    fn compare_ranges(&self, found: &Found, theirs: PortRange, rules: &Rules) -> Option<Finding> {
        let (place, name) = (&found.place, self.server.name());
        let Some(ours) = rules.passive_range else {
            return Some(
                Finding::new(
                    Level::Error,
                    FTP_SERVER,
                    format!("{place}: {name} uses {theirs}, and the policy has no passive range"),
                )
                .because("passive negotiations are refused, and no passive port is guarded")
                .fix(format!(
                    "{} attach {} --passive-range {theirs}",
                    self.host.program(),
                    self.host.interface_options()
                )),
            );
        };
        if ours == theirs {
            return None;
        }
        if ours.contains(theirs.first) && ours.contains(theirs.last) {
            let what = format!("{place}: {name} uses {theirs}, and the policy guards more: {ours}");
            return Some(
                Finding::new(Level::Note, FTP_SERVER, what)
                    .because("other programs can't use the ports between")
                    .fix(self.file().set_range(ours)),
            );
        }
        Some(
            Finding::new(
                Level::Error,
                FTP_SERVER,
                format!("{place}: {name} uses {theirs}, and the policy's range is {ours}"),
            )
            .because(OUTSIDE)
            .fix(self.file().set_range(ours)),
        )
    }

    fn allow_ftps(&self, choice: Ftps) -> String {
        let choice = choice.as_str();
        match &self.host.policy {
            Some((_, From::File(file))) => {
                let file = file.display();
                let edit = format!("sed -i -e '/^ftps/d' -e '/^\\[\\[server\\]\\]/a ftps = \"{choice}\"' {file}");
                // Where a policy is active, the file has to be applied.
                match self.host.places.iter().any(Place::is_guarded) {
                    true => format!("{edit} && {} policy apply {file}", self.host.program()),
                    false => edit,
                }
            }
            _ => self.host.attach_command(&format!("--ftps {choice}")),
        }
    }
}
