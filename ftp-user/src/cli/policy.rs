//! `ftptrack policy …`.

use std::path::{Path, PathBuf};

use clap::Subcommand;

use super::arguments::ForceArgument;
use super::{Format, print};
use crate::commands::policy;
use crate::config::{self, USUAL};
use crate::ebpf::policy_maps;
use crate::error::Failure;
use crate::import;
use crate::pins::Pins;
use crate::query::policy_row::PolicyRow;
use crate::sys::capability;

/// What to do with a policy.
#[derive(Debug, Subcommand)]
pub(super) enum PolicyCommand {
    /// Show the active policy, as a configuration file
    Show(Format),
    /// Report every error of a configuration file, and what it can't guard
    Check {
        /// The file
        #[arg(default_value = USUAL)]
        file: PathBuf,
    },
    /// Make a configuration file's policy active, all at once
    Apply {
        /// The file
        #[arg(default_value = USUAL)]
        file: PathBuf,
        #[command(flatten)]
        force: ForceArgument,
    },
    /// Derive a policy from an FTP server's own configuration
    Import {
        /// Whose configuration it is
        #[arg(value_enum)]
        server: import::Server,
        /// Its file; for pure-ftpd also a directory with a file for each option
        path: PathBuf,
    },
}

impl PolicyCommand {
    /// Files anybody may read; the active policy takes more.
    pub(super) fn check_capabilities(&self) -> Result<(), Failure> {
        match self {
            Self::Show(_) => capability::check("policy show", capability::MAPS),
            Self::Apply { .. } => capability::check("policy apply", capability::MAPS),
            Self::Check { .. } | Self::Import { .. } => Ok(()),
        }
    }

    /// Does it.
    pub(super) async fn execute(self, pin_dir: &Path) -> Result<(), Failure> {
        match self {
            Self::Show(format) => {
                let pins = Pins::attached(pin_dir)?;
                let active = policy_maps::active(&pins)?;
                let records = pins.records()?;
                format.print(&PolicyRow::from(&active), |_| policy::show(&active, &records))
            }
            Self::Check { file } => {
                let configuration = config::of_file(&file)?;
                print(&policy::checked(&file, &configuration))
            }
            Self::Apply { file, force: ForceArgument { force } } => {
                let configuration = config::of_file(&file)?;
                let pins = Pins::attached(pin_dir)?;
                let applied = policy::apply(&configuration, &pins, force).await?;
                eprint!("{}", applied.notes.iter().map(|note| format!("note: {note}\n")).collect::<String>());
                print(&applied.lines.iter().map(|line| format!("{line}\n")).collect::<String>())
            }
            Self::Import { server, path } => {
                let imported = import::import(server, &path)?;
                for warning in &imported.warnings {
                    eprintln!("{warning}");
                }
                print(&imported.text)
            }
        }
    }
}
