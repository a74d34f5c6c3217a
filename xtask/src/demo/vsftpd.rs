//! The FTP server: vsftpd, with a configuration of the demo's own.

use std::{
    fs::{self, Permissions},
    io::Read as _,
    net::{IpAddr, TcpStream},
    os::unix::fs::{PermissionsExt as _, chown},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use super::{
    PASSIVE_RANGE,
    child::{Interrupt, Process},
    scene::Scene,
};
use crate::command;

/// How long vsftpd may take until it answers.
const START_LIMIT: Duration = Duration::from_secs(5);

/// A running vsftpd.
pub(super) struct Vsftpd {
    process: Process,
    /// What anonymous users see as `/`.
    root: PathBuf,
    /// Where it writes every command.
    log: PathBuf,
}

impl Vsftpd {
    /// The file that clients may download.
    pub(super) const FILE: &str = "file";
    /// The directory that clients may upload to.
    pub(super) const INBOX: &str = "inbox";

    /// Starts vsftpd on the server with `content` to download, and waits until it greets on both addresses.
    pub(super) fn start(scene: &Scene, content: &[u8], interrupt: &Interrupt) -> Result<Self> {
        let root = scene.directory().join("ftp");
        let empty = scene.directory().join("empty");
        let inbox = root.join(Self::INBOX);
        for directory in [&root, &empty, &inbox] {
            fs::create_dir(directory)?;
            // Whatever the umask: vsftpd insists on a root that its user can't write to.
            fs::set_permissions(directory, Permissions::from_mode(0o755))?;
        }
        // The user that Debian's package makes for anonymous sessions.
        let user = command::output(Command::new("id").args(["-u", "ftp"]))?;
        chown(&inbox, Some(user.trim().parse()?), None)?;
        let file = root.join(Self::FILE);
        fs::write(&file, content)?;
        fs::set_permissions(&file, Permissions::from_mode(0o644))?;

        let log = scene.directory().join("vsftpd.log");
        let configuration = scene.directory().join("vsftpd.conf");
        fs::write(&configuration, configured(&root, &empty, &log))?;
        let vsftpd = command::find("vsftpd").context("vsftpd is not installed")?;
        let process = Process::spawn(
            scene
                .server
                .command(&vsftpd)
                .arg(&configuration)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null()),
        )?;
        let mut server = Self { process, root, log };
        for address in scene.server.addresses() {
            scene.client.inside(|| greeting(address, interrupt)).with_context(|| {
                match server.process.child().try_wait() {
                    Ok(Some(status)) => format!("vsftpd has ended ({status})"),
                    _ => format!("vsftpd does not greet on {address}"),
                }
            })?;
        }
        Ok(server)
    }

    /// How often clients have sent the command `verb`.
    pub(super) fn count_commands(&self, verb: &str) -> Result<usize> {
        let log = fs::read_to_string(&self.log)?;
        Ok(log
            .lines()
            .filter_map(|line| line.split_once("FTP command: "))
            .filter(|(_, command)| command.contains(&format!("\"{verb}")))
            .count())
    }

    /// What a client has uploaded as `name`.
    pub(super) fn uploaded(&self, name: &str) -> Result<Vec<u8>> {
        let path = self.root.join(Self::INBOX).join(name);
        fs::read(&path).with_context(|| path.display().to_string())
    }
}

/// Connects to the control port until there is a greeting. vsftpd has no way to tell that it listens.
fn greeting(address: IpAddr, interrupt: &Interrupt) -> Result<()> {
    let deadline = Instant::now() + START_LIMIT;
    loop {
        match TcpStream::connect_timeout(&(address, 21).into(), START_LIMIT) {
            Ok(mut control) => {
                control.set_read_timeout(Some(START_LIMIT))?;
                let mut code = [0; 3];
                control.read_exact(&mut code)?;
                if code != *b"220" {
                    bail!("its greeting begins with {:?}", code.escape_ascii());
                }
                return Ok(());
            }
            Err(error) if Instant::now() > deadline => return Err(error.into()),
            Err(_) => {
                interrupt.check()?;
                thread::sleep(Duration::from_millis(10));
            }
        }
    }
}

fn configured(root: &Path, empty: &Path, log: &Path) -> String {
    let (first, last) = (PASSIVE_RANGE.start(), PASSIVE_RANGE.end());
    let (root, empty, log) = (root.display(), empty.display(), log.display());
    format!(
        "\
# One socket for IPv6 and IPv4.
listen_ipv6=YES
background=NO
# What ftptrack is told: where passive data connections arrive, and where active ones come from.
pasv_min_port={first}
pasv_max_port={last}
connect_from_port_20=YES
# Anybody may download, and upload into the inbox.
anonymous_enable=YES
no_anon_password=YES
anon_root={root}
write_enable=YES
anon_upload_enable=YES
ftp_username=ftp
nopriv_user=nobody
secure_chroot_dir={empty}
xferlog_enable=YES
log_ftp_protocol=YES
vsftpd_log_file={log}
# The sandbox wants a network namespace of its own for every session.
isolate=NO
isolate_network=NO
seccomp_sandbox=NO
"
    )
}
