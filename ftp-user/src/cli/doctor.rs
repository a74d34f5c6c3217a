//! `ftptrack doctor`.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum as _};

use super::arguments::PolicyArguments;
use super::queries::Format;
use crate::doctor::text;
use crate::doctor::{self, Asked, Level};
use crate::error::{Exit, Failure};
use crate::import::Server;

#[derive(Debug, Args)]
pub(super) struct DoctorArguments {
    #[command(flatten)]
    policy: PolicyArguments,
    /// An FTP server's configuration, as vsftpd=/etc/vsftpd.conf; may be given again [default: those at the usual places]
    #[arg(long, value_name = "SERVER=PATH", value_parser = ftp_config)]
    ftp_config: Vec<(Server, PathBuf)>,
    #[command(flatten)]
    format: Format,
}

impl DoctorArguments {
    /// Shows what was found. It fails by the worst.
    pub(super) async fn execute(self, pin_dir: &Path) -> Result<(), Failure> {
        let asked = Asked { flags: self.policy.into_flags(), ftp_configs: self.ftp_config };
        let findings = doctor::examine(&asked, pin_dir).await?;
        self.format.print(&findings[..], text::findings)?;
        match doctor::worst(&findings) {
            Level::Error => Err(Failure::shown(Exit::Failed)),
            Level::Warning => Err(Failure::shown(Exit::Warned)),
            Level::Ok | Level::NotChecked | Level::Note => Ok(()),
        }
    }
}

fn ftp_config(text: &str) -> Result<(Server, PathBuf), String> {
    let (server, path) = text.split_once('=').ok_or("write it like vsftpd=/etc/vsftpd.conf")?;
    Ok((Server::from_str(server, false)?, path.into()))
}
