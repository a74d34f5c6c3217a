//! The real server.

use rustix::process::{Signal, kill_process};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use tempfile::TempDir;

use crate::PASSIVE_RANGE;
use crate::actors::server::{ACTIVE, CONTROL};
use crate::hosts::network::{Family, Host};
use crate::support::file;
use crate::support::process;
use crate::support::wait;

const SETTINGS: &str = "vsftpd.conf";

/// vsftpd on both families, with the range [`PASSIVE_RANGE`], for anonymous users, who may put
/// files into `upload`. It ends when this value is dropped.
#[derive(Debug)]
pub struct Vsftpd {
    child: Child,
    directory: TempDir,
}

impl Vsftpd {
    /// Starts it, and returns when it listens.
    #[track_caller]
    pub fn on(host: &Host) -> Self {
        Self::with(host, "")
    }

    /// The same with more settings, a line each, which override others.
    #[track_caller]
    pub fn with(host: &Host, more: &str) -> Self {
        let directory = file::directory();
        let in_directory = |name: &str| directory.path().join(name);
        for (name, mode) in [("", 0o755), ("files", 0o755), ("files/upload", 0o777), ("empty", 0o755)] {
            fs::create_dir_all(in_directory(name)).expect("a directory");
            fs::set_permissions(in_directory(name), fs::Permissions::from_mode(mode)).expect("our own");
        }
        let settings = format!(
            "listen=NO\nlisten_ipv6=YES\nlisten_port={CONTROL}\nbackground=NO\n\
             anonymous_enable=YES\nlocal_enable=NO\nwrite_enable=YES\nanon_upload_enable=YES\n\
             anon_root={files}\nsecure_chroot_dir={empty}\n\
             pasv_min_port={first}\npasv_max_port={last}\n\
             connect_from_port_20=YES\nftp_data_port={ACTIVE}\n\
             isolate=NO\nisolate_network=NO\nseccomp_sandbox=NO\nxferlog_enable=NO\n{more}",
            files = in_directory("files").display(),
            empty = in_directory("empty").display(),
            first = PASSIVE_RANGE.start(),
            last = PASSIVE_RANGE.end(),
        );
        let settings_file = in_directory(SETTINGS);
        fs::write(&settings_file, settings).expect("a file");

        let mut command = host.namespace.command("vsftpd");
        // It complains there where a session would have its client: on its standard input.
        let complaints = in_directory("complaints");
        let standard_input = fs::File::create(&complaints).expect("a file");
        command.arg(&settings_file).stdin(standard_input).stdout(Stdio::null()).stderr(Stdio::null());
        let mut vsftpd = Self { child: process::start(&mut command), directory };
        wait::until("vsftpd listens", || {
            if let Some(status) = vsftpd.child.try_wait().expect("it is our child") {
                let complaints = fs::read_to_string(&complaints).expect("a file");
                panic!("vsftpd ended by itself: {status}: {complaints}");
            }
            // Asked without connecting, which would count as a session.
            host.listening_ports().contains(&CONTROL).then_some(())
        });
        vsftpd
    }

    /// The ID of the process that listens.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its configuration.
    pub fn settings(&self) -> PathBuf {
        self.directory.path().join(SETTINGS)
    }

    /// The file that clients know as `name`.
    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join("files").join(name)
    }

    /// A directory next to the server's own, for what a client puts aside.
    pub fn client_directory(&self) -> &Path {
        self.directory.path()
    }
}

/// What a client on another host calls the file `name` of a server on `host`.
pub fn url(host: &Host, family: Family, name: &str) -> String {
    format!("ftp://{}/{name}", host.at(family, CONTROL))
}

impl Drop for Vsftpd {
    fn drop(&mut self) {
        // A session that sends to a client that is gone would go on for a quarter of an hour.
        let sessions = process::descendants(self.child.id());
        let _ = self.child.kill();
        let _ = self.child.wait();
        for session in sessions {
            let _ = kill_process(session, Signal::KILL);
        }
    }
}
