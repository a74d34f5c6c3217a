//! Commands that write a setting into an FTP server's configuration.

use std::path::Path;

use super::daemon::restart;
use crate::import::Server;
use crate::policy::PortRange;

/// A configuration that is to be written.
pub(super) struct File<'a> {
    pub(super) server: Server,
    pub(super) path: &'a Path,
    /// Whether the server has to be restarted before it counts; it hasn't if it is started for each session.
    pub(super) is_read_at_start: bool,
}

impl File<'_> {
    /// Sets the passive range.
    pub(super) fn set_range(&self, PortRange { first, last }: PortRange) -> String {
        match self.server {
            Server::Vsftpd => {
                let lines = [format!("pasv_min_port={first}"), format!("pasv_max_port={last}")];
                self.replace("/^pasv_m[a-z]*_port=/d", &lines)
            }
            Server::Proftpd => self.set("PassivePorts", &format!("{first} {last}")),
            Server::PureFtpd => self.set("PassivePortRange", &format!("{first} {last}")),
        }
    }

    /// Sets what has one value.
    pub(super) fn set(&self, name: &str, value: &str) -> String {
        match self.server {
            Server::Vsftpd => self.replace(&format!("/^{name}=/d"), &[format!("{name}={value}")]),
            Server::Proftpd => self.replace(&format!("/^[ \\t]*{name}[ \\t]/Id"), &[format!("{name} {value}")]),
            Server::PureFtpd if self.path.is_dir() => {
                self.and_restart(format!("echo '{value}' > {}/{name}", self.path.display()))
            }
            Server::PureFtpd => self.replace(&format!("/^{name}[ \\t]/Id"), &[format!("{name} {value}")]),
        }
    }

    /// Puts lines in the place of others.
    fn replace(&self, delete: &str, lines: &[String]) -> String {
        let path = self.path.display();
        let lines: String = lines.iter().map(|line| format!("{line}\\n")).collect();
        // The second expression ends the last line, if it isn't ended.
        self.and_restart(format!("sed -i -e '{delete}' -e '$a\\' {path} && printf '{lines}' >> {path}"))
    }

    fn and_restart(&self, command: String) -> String {
        if self.is_read_at_start { format!("{command} && {}", restart(self.server)) } else { command }
    }
}
