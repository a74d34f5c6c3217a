//! `cargo xtask demo`: ftptrack's main job, between two throwaway hosts on this machine.
//!
//! What it says is checked: the demo succeeds only if all of it held.

mod check;
mod guard;

use check::{expect, transfers, uninvited};
use ftptrack_tests::actors::curl::{self, Mode};
use ftptrack_tests::actors::probe::{self, Outcome};
use ftptrack_tests::actors::vsftpd::{self, Vsftpd};
use ftptrack_tests::hosts::network::{Family, Host, INTERFACE};
use ftptrack_tests::hosts::pair::Pair;
use ftptrack_tests::subject::ftptrack::{self, Ftptrack, PinDirectory};
use ftptrack_tests::support::{file, process, wait};
use ftptrack_tests::{INSIDE, PASSIVE_RANGE};
use std::fmt;
use std::fs::{self, Permissions};
use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{ExitCode, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// Where something else than FTP listens: on the server in the middle of the passive range.
const OTHER_PORT: u16 = INSIDE;

/// The size of each transferred file, in MiB.
const MEBIBYTES: u64 = 4;

/// What vsftpd calls the file that clients download.
const FILE: &str = "file";

/// For how long ftptrack must say nothing to have said all for now.
const QUIET: Duration = Duration::from_millis(100);

/// How many lines of ftptrack were shown.
static LINES: AtomicUsize = AtomicUsize::new(0);

fn main() -> ExitCode {
    guard::run(demo)
}

/// The whole demo. What doesn't hold panics.
fn demo() {
    title("Two hosts joined by a cable: network namespaces, nothing outside them is touched");
    let pair = Pair::of(Host::documented(1), Host::documented(2), &Family::BOTH);
    let Pair { server, client } = &pair;
    for (role, host) in [("server", server), ("client", client)] {
        let [v4, v6] = Family::BOTH.map(|family| host.address(family));
        say(format_args!("   {role}  {v4}  {v6}  (nsenter --net={})", host.namespace.path()));
    }

    let range = format!("{}-{}", PASSIVE_RANGE.start(), PASSIVE_RANGE.end());
    title(&format!("An FTP server: vsftpd, its passive range set to {range}"));
    let vsftpd = Vsftpd::on(server);
    let original = vsftpd.file(FILE);
    file::write_random(&original, MEBIBYTES << 20);
    // Whatever the umask: anonymous users may read it.
    fs::set_permissions(&original, Permissions::from_mode(0o644)).expect("our own");
    say(format_args!("   It listens on port 21. Another program of the server listens on port {OTHER_PORT}."));
    let other = sockets(server, OTHER_PORT);
    {
        let _other = listen(server, OTHER_PORT);
        say("   Nothing guards the range yet, so the client reaches that program:");
        expect(Outcome::Opened, ("client", client), None, &other);
    }

    title("ftptrack is attached to the server's interface");
    let pins = PinDirectory::new();
    say(format_args!("   $ ftptrack run -i {INTERFACE} --passive-range {range}"));
    let ftptrack = Ftptrack::shown(server, &pins, show);
    settle();

    title(&format!("Transfers: every way to negotiate one, {MEBIBYTES} MiB down and {MEBIBYTES} MiB up"));
    for (mode, family) in Mode::EVERYWHERE {
        say(format_args!("\n   {} over {family}: {}", mode.command(), meaning(mode)));
        transfers(mode, &ftptrack, || transfer(mode, family, &pair, &vsftpd));
        say("   Both files arrived byte for byte.");
    }

    title("Meanwhile in another terminal, while a download is under way");
    let used = look_beside(&ftptrack, &pins, &pair, &vsftpd);
    settle();
    say("   That file arrived byte for byte, too.");

    title("The same ports without a negotiation");
    let denied = uninvited(&ftptrack, &pair, used);
    settle();

    title("ftptrack is told to stop (SIGTERM), and leaves nothing behind");
    ftptrack.stop();
    settle();
    let _other = listen(server, OTHER_PORT);
    say("   The range is as open as it was before:");
    expect(Outcome::Opened, ("client", client), None, &other);

    title("Held");
    let arrived = 2 * Mode::EVERYWHERE.len() + 1;
    say(format_args!(
        "   {arrived} of {arrived} transfers arrived byte for byte, each on a port learned from its control connection."
    ));
    say(format_args!("   {denied} of {denied} connections that nobody had negotiated were denied."));
}

/// Who names the port of the data connection, and who connects to it.
const fn meaning(mode: Mode) -> &'static str {
    if mode.is_passive() {
        "the server names a port, the client connects"
    } else {
        "the client names a port, the server connects"
    }
}

/// Downloads and uploads the file in one session, and compares every byte.
fn transfer(mode: Mode, family: Family, pair: &Pair, vsftpd: &Vsftpd) {
    let name = format!("{}-{family}", mode.command());
    let downloaded = vsftpd.client_directory().join(&name);
    let uploaded = format!("upload/{name}");
    let [from, to] = [FILE, &uploaded].map(|path| vsftpd::url(&pair.server, family, path));
    let original = vsftpd.file(FILE);
    curl::download_and_upload(&pair.client, mode, (&downloaded, &from), (&original, &to));
    let content = fs::read(&original).expect("our own");
    assert!(fs::read(&downloaded).expect("it is there") == content, "the downloaded file differs from the server's");
    let there = fs::read(vsftpd.file(&uploaded)).expect("it is there");
    assert!(there == content, "the uploaded file differs from the client's");
}

/// Shows what queries answer while a download is under way; returns the server's port of it.
///
/// It stays under way until it is read: nobody reads the pipe that curl writes it to, so curl stops reading what the
/// server sends, and the file is larger than what a pipe and a receive window take.
fn look_beside(ftptrack: &Ftptrack<'_>, pins: &PinDirectory, pair: &Pair, vsftpd: &Vsftpd) -> u16 {
    let mut command = curl::command(&pair.client, Mode::Epsv);
    command.arg(vsftpd::url(&pair.server, Family::V4, FILE));
    let download = process::start(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()));
    let flow = wait::until("'ftptrack flows' shows the download", || ftptrack.flows().pop());
    for query in ["status", "sessions", "flows"] {
        say(format_args!("\n   $ ftptrack {query}"));
        for line in ftptrack::succeed(&pair.server, pins, &[query]).lines() {
            say(format_args!("   {line}"));
        }
    }
    say("");
    let curl = download.wait_with_output().expect("our child");
    assert!(curl.status.success(), "curl: {}\n{}", curl.status, String::from_utf8_lossy(&curl.stderr));
    let content = fs::read(vsftpd.file(FILE)).expect("our own");
    assert!(curl.stdout == content, "the downloaded file differs from the server's");
    flow.server.parse::<SocketAddr>().expect("ADDRESS:PORT").port()
}

/// `port` on both addresses.
fn sockets(host: &Host, port: u16) -> [SocketAddr; 2] {
    Family::BOTH.map(|family| host.at(family, port))
}

/// Listens on both addresses, as any program of the host could.
fn listen(host: &Host, port: u16) -> [TcpListener; 2] {
    sockets(host, port).map(|address| probe::listen(host, address))
}

/// Waits until ftptrack has said what it has to say.
fn settle() {
    let mut before = usize::MAX;
    while before != LINES.load(Ordering::Relaxed) {
        before = LINES.load(Ordering::Relaxed);
        thread::sleep(QUIET);
    }
}

/// Shows a line of ftptrack's.
fn show(line: &str) {
    say(format_args!("     ftptrack | {line}"));
    LINES.fetch_add(1, Ordering::Relaxed);
}

/// Shows a line. That nobody reads any more (`| head`) is no reason to stop.
fn say(line: impl fmt::Display) {
    let _ = writeln!(io::stdout(), "{line}");
}

fn title(text: &str) {
    say(format_args!("\n== {text}"));
}
