//! The FTP client: curl, told which of the four ways to negotiate a data connection.

use std::{fs, io::Read as _, net::IpAddr, process::Stdio, time::Duration};

use anyhow::{Context as _, Result, ensure};

use super::{
    child::{Interrupt, Process},
    scene::Scene,
    vsftpd::Vsftpd,
};
use crate::command;

/// How long one session of curl may take.
const SESSION_LIMIT: Duration = Duration::from_secs(30);

/// A way to negotiate a data connection.
pub(super) struct Negotiation {
    /// The FTP command.
    pub(super) verb: &'static str,
    /// Whether the server listens, and the client connects.
    pub(super) passive: bool,
    pub(super) v6: bool,
    /// What makes curl use it.
    options: &'static [&'static str],
}

/// All there are: PASV and PORT can't name an IPv6 address.
pub(super) const NEGOTIATIONS: [Negotiation; 6] = [
    Negotiation {
        verb: "PASV",
        passive: true,
        v6: false,
        options: &["--disable-epsv"],
    },
    Negotiation {
        verb: "EPSV",
        passive: true,
        v6: false,
        options: &[],
    },
    Negotiation {
        verb: "PORT",
        passive: false,
        v6: false,
        options: &["--ftp-port", "-", "--disable-eprt"],
    },
    Negotiation {
        verb: "EPRT",
        passive: false,
        v6: false,
        options: &["--ftp-port", "-"],
    },
    Negotiation {
        verb: "EPSV",
        passive: true,
        v6: true,
        options: &[],
    },
    Negotiation {
        verb: "EPRT",
        passive: false,
        v6: true,
        options: &["--ftp-port", "-"],
    },
];

impl Negotiation {
    pub(super) fn family(&self) -> &'static str {
        if self.v6 { "IPv6" } else { "IPv4" }
    }

    /// Who names the port of the data connection, and who connects to it.
    pub(super) fn meaning(&self) -> &'static str {
        if self.passive {
            "the server names a port, the client connects"
        } else {
            "the client names a port, the server connects"
        }
    }

    /// Downloads and uploads `content` in one session. Checks that both were negotiated this way and compares every
    /// byte.
    pub(super) fn transfer(
        &self,
        scene: &Scene,
        server: &Vsftpd,
        content: &[u8],
        interrupt: &Interrupt,
    ) -> Result<()> {
        let name = format!("{}-{}", self.verb, self.family());
        let address: IpAddr = scene.server.addresses()[usize::from(self.v6)];
        let base = match address {
            IpAddr::V4(address) => format!("ftp://{address}"),
            IpAddr::V6(address) => format!("ftp://[{address}]"),
        };
        let downloaded = scene.directory().join(&name);
        let original = scene.directory().join("original");
        fs::write(&original, content)?;

        let curl = command::find("curl").context("curl is not installed")?;
        let mut session = scene.client.command(&curl);
        // `--disable` forgets the user's own settings, `--next` begins a transfer with options of its own.
        session.args(["--disable", "--silent", "--show-error", "--noproxy", "*"]);
        session.args(self.options).arg("--output").arg(&downloaded);
        session.arg(format!("{base}/{}", Vsftpd::FILE));
        session.args(["--next", "--silent", "--show-error", "--noproxy", "*"]);
        session
            .args(self.options)
            .arg("--upload-file")
            .arg(&original);
        session.arg(format!("{base}/{}/{name}", Vsftpd::INBOX));
        session.stdin(Stdio::null()).stderr(Stdio::piped());

        let negotiated = server.count_commands(self.verb)?;
        let mut process = Process::spawn(&mut session)?;
        let status = process.wait(SESSION_LIMIT, interrupt)?;
        let mut complaint = String::new();
        if let Some(mut stderr) = process.child().stderr.take() {
            stderr.read_to_string(&mut complaint)?;
        }
        ensure!(
            status.success(),
            "curl failed ({status}): {}",
            complaint.trim()
        );
        ensure!(
            fs::read(&downloaded)? == content,
            "the downloaded file differs from the server's"
        );
        ensure!(
            server.uploaded(&name)? == content,
            "the uploaded file differs from the client's"
        );
        ensure!(
            server.count_commands(self.verb)? == negotiated + 2,
            "curl negotiated in another way than {}",
            self.verb
        );
        Ok(())
    }
}
