//! `ftptrack doctor`: what breaks FTP or leaves ports open, each with the command that fixes it.
//!
//! Found out by trying and by looking. Nothing is changed.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::config::Flags;
use crate::error::Failure;
use crate::import::Server;

mod bpffs;
mod capabilities;
mod daemon;
mod firewall;
mod ftp_server;
mod helper;
mod host;
mod interfaces;
mod jit;
mod kernel;
mod listeners;
mod settings;
pub mod text;
mod told;

pub use told::told;

use host::Host;

/// The check that two files make.
const FTP_SERVER: &str = "ftp-server";

/// How much a finding matters.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// As it should be.
    Ok,
    /// It can't be found out here: this says nothing about how it is.
    NotChecked,
    /// It works, and could be better.
    Note,
    /// Something is open that need not be, or works only in part.
    Warning,
    /// Something does not work, or nothing is guarded.
    Error,
}

impl Level {
    /// The word for it in the table.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::NotChecked => "not checked",
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// What a check has found.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Finding {
    /// How much it matters.
    pub level: Level,
    /// The check: `kernel`, `capabilities`, `bpffs`, `jit`, `interface`, `firewall`, `helper`, `ftp-server`,
    /// `listeners`.
    pub check: &'static str,
    /// What is so.
    pub what: String,
    /// Why it matters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// The command that fixes it, for a root shell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

impl Finding {
    fn new(level: Level, check: &'static str, what: impl Into<String>) -> Self {
        Self { level, check, what: what.into(), why: None, fix: None }
    }

    fn ok(check: &'static str, what: impl Into<String>) -> Self {
        Self::new(Level::Ok, check, what)
    }

    fn not_checked(check: &'static str, what: impl Into<String>) -> Self {
        Self::new(Level::NotChecked, check, what)
    }

    fn because(self, why: impl Into<String>) -> Self {
        Self { why: Some(why.into()), ..self }
    }

    fn fix(self, command: impl Into<String>) -> Self {
        Self { fix: Some(command.into()), ..self }
    }
}

/// What the doctor was asked to look at.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Interfaces and policy, as for `attach`; the active policy where they say nothing.
    pub flags: Flags,
    /// FTP servers' configurations; those at the usual places where none is named.
    pub ftp_configs: Vec<(Server, PathBuf)>,
}

/// Looks at everything.
///
/// # Errors
///
/// Something is wrong with what was asked; what is wrong with the machine is a finding.
pub async fn examine(asked: &Asked, pin_dir: &Path) -> Result<Vec<Finding>, Failure> {
    let configs = ftp_server::read(&asked.ftp_configs)?;
    let mut findings = vec![capabilities::check()];
    findings.extend(kernel::check());
    findings.extend([bpffs::check(pin_dir), jit::check()]);
    let host = Host::observe(asked, pin_dir, &mut findings).await?;
    findings.extend(interfaces::check(&host).await);
    findings.extend(ftp_server::check(&host, configs));
    findings.extend(listeners::check(&host));
    let rulesets = firewall::ask(&mut findings);
    findings.extend(firewall::check(&host, &rulesets));
    findings.extend(helper::check(&rulesets));
    Ok(findings)
}

/// The worst level of them.
#[must_use]
pub fn worst(findings: &[Finding]) -> Level {
    findings.iter().map(|finding| finding.level).max().unwrap_or(Level::Ok)
}
