//! An FTP server whose sessions do what their clients tell them to: see `src/bin/told_server.rs`.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::actors::client::Client;
use crate::hosts::network::Host;
use crate::support::process;

/// Where its program is, if it is not where it was built.
pub const PROGRAM: &str = "FTPTRACK_TOLD_SERVER";

/// A running one, with all its processes. They end when this value is dropped.
#[derive(Debug)]
pub struct ToldServer {
    child: Child,
    addresses: Vec<SocketAddr>,
}

impl ToldServer {
    /// Starts `program` in a mode, and returns when it listens on all the addresses and has forked who is to serve.
    #[track_caller]
    pub fn start(program: &str, mode: &str, host: &Host, addresses: &[SocketAddr]) -> Self {
        let elsewhere = std::env::var(PROGRAM);
        let mut command = host.namespace.command(elsewhere.as_deref().unwrap_or(program));
        command.arg(mode).args(addresses.iter().map(ToString::to_string));
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = process::start(&mut command);
        let mut said = String::new();
        let stdout = child.stdout.take().expect("piped");
        let server = Self { child, addresses: addresses.to_vec() };
        BufReader::new(stdout).read_line(&mut said).expect("a pipe");
        assert_eq!(said, "ready\n", "{mode} on {addresses:?}");
        server
    }

    /// A control connection from `host`, before anything is encrypted.
    #[track_caller]
    pub fn session(&self, host: &Host) -> Client {
        self.session_at(host, 0)
    }

    /// The same to another of its addresses.
    #[track_caller]
    pub fn session_at(&self, host: &Host, address: usize) -> Client {
        let mut client = Client::connect(host, self.addresses[address]);
        client.reply().must_be(220);
        client
    }

    /// A session that is encrypted, as far as others can see.
    #[track_caller]
    pub fn encrypted(&self, host: &Host) -> Client {
        let mut client = self.session(host);
        encrypt(&mut client);
        client
    }

    /// Its processes but for the first, the younger ones later.
    #[must_use]
    pub fn descendants(&self) -> Vec<Pid> {
        process::descendants(self.child.id())
    }
}

/// AUTH, and one exchange behind it, so that whoever serves the session has spoken in it.
#[track_caller]
pub fn encrypt(client: &mut Client) {
    client.command("AUTH TLS").must_be(234);
    client.command("NOOP").must_be(200);
}

impl Drop for ToldServer {
    fn drop(&mut self) {
        let sessions = self.descendants();
        let _ = self.child.kill();
        let _ = self.child.wait();
        for session in sessions {
            let _ = kill_process(session, Signal::KILL);
        }
    }
}
