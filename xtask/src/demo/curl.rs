//! The FTP client: curl, told which of the four ways to negotiate a data connection.

use std::{
    fs,
    io::Read as _,
    net::IpAddr,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};

use super::{
    child::{Interrupt, Process},
    scene::Scene,
    vsftpd::Vsftpd,
};
use crate::command;

/// How long one session of curl may take.
const SESSION_LIMIT: Duration = Duration::from_secs(30);

/// What every transfer is told: nothing to say but errors, and no proxy.
const SETTINGS: [&str; 4] = ["--silent", "--show-error", "--noproxy", "*"];

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
    Negotiation { verb: "PASV", passive: true, v6: false, options: &["--disable-epsv"] },
    Negotiation { verb: "EPSV", passive: true, v6: false, options: &[] },
    Negotiation { verb: "PORT", passive: false, v6: false, options: &["--ftp-port", "-", "--disable-eprt"] },
    Negotiation { verb: "EPRT", passive: false, v6: false, options: &["--ftp-port", "-"] },
    Negotiation { verb: "EPSV", passive: true, v6: true, options: &[] },
    Negotiation { verb: "EPRT", passive: false, v6: true, options: &["--ftp-port", "-"] },
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
    pub(super) fn transfer(&self, scene: &Scene, server: &Vsftpd, content: &[u8], interrupt: &Interrupt) -> Result<()> {
        let name = format!("{}-{}", self.verb, self.family());
        let downloaded = scene.directory().join(&name);
        let original = scene.directory().join("original");
        fs::write(&original, content)?;
        let base = url(scene.server.addresses()[usize::from(self.v6)]);

        let mut session = curl(scene)?;
        session.args(SETTINGS).args(self.options);
        session.arg("--output").arg(&downloaded);
        session.arg(format!("{base}/{}", Vsftpd::FILE));
        // A second transfer, with settings of its own.
        session.arg("--next").args(SETTINGS).args(self.options);
        session.arg("--upload-file").arg(&original);
        session.arg(format!("{base}/{}/{name}", Vsftpd::INBOX));

        let negotiated = server.count_commands(self.verb)?;
        finish(Process::spawn(&mut session)?, interrupt)?;
        ensure!(fs::read(&downloaded)? == content, "the downloaded file differs from the server's");
        ensure!(server.uploaded(&name)? == content, "the uploaded file differs from the client's");
        ensure!(
            server.count_commands(self.verb)? == negotiated + 2,
            "curl negotiated in another way than {}",
            self.verb
        );
        Ok(())
    }
}

/// A download that stays under way until it is finished: nobody reads the pipe that curl writes it to, so curl stops
/// reading what the server sends, and the file is larger than what a pipe and a receive window take.
pub(super) struct StalledDownload {
    process: Process,
}

impl StalledDownload {
    pub(super) fn start(scene: &Scene) -> Result<Self> {
        let mut session = curl(scene)?;
        session.args(SETTINGS).stdout(Stdio::piped());
        session.arg(format!("{}/{}", url(scene.server.v4.into()), Vsftpd::FILE));
        Ok(Self { process: Process::spawn(&mut session)? })
    }

    /// Lets it go on to its end, and compares every byte.
    pub(super) fn finish(mut self, content: &[u8], interrupt: &Interrupt) -> Result<()> {
        let mut downloaded = Vec::new();
        if let Some(mut stdout) = self.process.child().stdout.take() {
            stdout.read_to_end(&mut downloaded)?;
        }
        finish(self.process, interrupt)?;
        ensure!(downloaded == content, "the downloaded file differs from the server's");
        Ok(())
    }
}

/// curl on the client, without its user's own settings.
fn curl(scene: &Scene) -> Result<Command> {
    let curl = command::find("curl").context("curl is not installed")?;
    let mut session = scene.client.command(&curl);
    session.arg("--disable");
    session.stdin(Stdio::null()).stderr(Stdio::piped());
    Ok(session)
}

fn url(server: IpAddr) -> String {
    match server {
        IpAddr::V4(address) => format!("ftp://{address}"),
        IpAddr::V6(address) => format!("ftp://[{address}]"),
    }
}

/// Waits until a session ends, well.
fn finish(mut session: Process, interrupt: &Interrupt) -> Result<()> {
    let status = session.wait(SESSION_LIMIT, interrupt)?;
    let mut complaint = String::new();
    if let Some(mut stderr) = session.child().stderr.take() {
        stderr.read_to_string(&mut complaint)?;
    }
    ensure!(status.success(), "curl failed ({status}): {}", complaint.trim());
    Ok(())
}
