//! `ftptrack replay FILE`.

use std::path::PathBuf;

use clap::Args;

use super::Format;
use super::arguments::RuleArguments;
use crate::config::Flags;
use crate::error::Failure;
use crate::replay::{self, Asked, ReportRow};

#[derive(Debug, Args)]
pub(super) struct ReplayArguments {
    /// The capture: pcap or pcapng, which may be compressed by gzip
    file: PathBuf,
    #[command(flatten)]
    rules: RuleArguments,
    #[command(flatten)]
    format: Format,
}

impl ReplayArguments {
    pub(super) fn execute(self) -> Result<(), Failure> {
        let Self { file, rules, format } = self;
        let report = replay::replay(Asked::resolve(&file, &rules.into_flags(Flags::default()))?)?;
        eprint!("{}", report.notes().iter().map(|note| format!("note: {note}\n")).collect::<String>());
        format.print(&ReportRow::from(&report), |_| replay::text(&report))?;
        match report.damage {
            None => Ok(()),
            Some(damage) => {
                let hint = "what stood before that is shown; fix the file, or capture again";
                Err(Failure::failed(file.display(), damage.what, hint))
            }
        }
    }
}
