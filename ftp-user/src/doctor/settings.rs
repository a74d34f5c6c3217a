//! Where an FTP server's configuration is, and commands that write a setting into it.

use std::path::Path;

use crate::import::Server;
use crate::policy::PortRange;

/// Where packages put them.
pub(super) const USUAL: [(Server, &str); 7] = [
    (Server::Vsftpd, "/etc/vsftpd.conf"),
    (Server::Vsftpd, "/etc/vsftpd/vsftpd.conf"),
    (Server::Proftpd, "/etc/proftpd/proftpd.conf"),
    (Server::Proftpd, "/etc/proftpd.conf"),
    (Server::PureFtpd, "/etc/pure-ftpd/conf"),
    (Server::PureFtpd, "/etc/pure-ftpd/pure-ftpd.conf"),
    (Server::PureFtpd, "/etc/pure-ftpd.conf"),
];

/// Whether it is where the server looks for it by itself.
pub(super) fn is_usual(server: Server, path: &Path) -> bool {
    USUAL.iter().any(|(of, usual)| *of == server && Path::new(usual) == path)
}

/// The command that makes a server read its configuration.
pub(super) fn restart(server: Server) -> String {
    format!("systemctl restart {}", server.name())
}

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
