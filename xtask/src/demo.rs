//! `cargo xtask demo`: ftptrack's main job, between two throwaway hosts on this machine.
//!
//! What it says is checked: the demo succeeds only if all of it held.

mod check;
mod child;
mod curl;
mod ftptrack;
mod probe;
mod scene;
mod vsftpd;

use std::{
    fmt,
    fs::File,
    io::{self, Read as _, Write as _},
    ops::RangeInclusive,
    path::Path,
};

use anyhow::{Context as _, Result, bail, ensure};

use self::{
    check::{expect, transfers, uninvited},
    child::Interrupt,
    curl::{NEGOTIATIONS, StalledDownload},
    ftptrack::{Ftptrack, Tracker},
    probe::{Answer, listen},
    scene::{INTERFACE, Scene},
    vsftpd::Vsftpd,
};
use crate::{build, command, setup};

/// Where vsftpd takes passive data connections.
const PASSIVE_RANGE: RangeInclusive<u16> = 10240..=20480;

/// Where something else than FTP listens: on the server in the middle of the passive range.
const OTHER_PORT: u16 = 15000;

/// The size of each transferred file, in MiB.
const MEBIBYTES: usize = 4;

pub(crate) fn run() -> Result<()> {
    command::require_root("the demo makes network namespaces", "demo")?;
    setup::without_guests()?;
    let binary = build::ftptrack()?;
    let interrupt = Interrupt::catch()?;
    let result = story(&binary, &interrupt);
    if result.is_err() && interrupt.check().is_err() {
        // Whatever failed because of the signal is not the news.
        bail!("interrupted; everything is cleaned up");
    }
    result.context("the demo FAILED (everything is cleaned up)")
}

/// The whole demo. What it makes is gone when it returns, however it does.
fn story(binary: &Path, interrupt: &Interrupt) -> Result<()> {
    title("Two hosts joined by a cable: network namespaces, nothing outside them is touched");
    let scene = Scene::build()?;
    for (role, host) in [("server", &scene.server), ("client", &scene.client)] {
        say(format_args!("   {role}  {}  {}  ({})", host.v4, host.v6, host.name));
    }
    interrupt.check()?;

    let range = format!("{}-{}", PASSIVE_RANGE.start(), PASSIVE_RANGE.end());
    title(&format!("An FTP server: vsftpd, its passive range set to {range}"));
    let content = random(MEBIBYTES << 20)?;
    let server = Vsftpd::start(&scene, &content, interrupt)?;
    say(format_args!("   It listens on port 21. Another program of the server listens on port {OTHER_PORT}."));
    let other = scene.server.sockets(OTHER_PORT);
    {
        let _other = listen(&scene.server, OTHER_PORT)?;
        say("   Nothing guards the range yet, so the client reaches that program:");
        expect(Answer::Connected, &scene.client, None, &other)?;
    }
    interrupt.check()?;

    title("ftptrack is attached to the server's interface");
    let ftptrack = Ftptrack { binary, scene: &scene };
    say(format_args!("   $ ftptrack run -i {INTERFACE} --passive-range {range}"));
    let tracker = Tracker::start(&ftptrack, &range, interrupt)?;
    tracker.settle();

    title(&format!("Transfers: every way to negotiate one, {MEBIBYTES} MiB down and {MEBIBYTES} MiB up"));
    for negotiation in &NEGOTIATIONS {
        let (verb, family) = (negotiation.verb, negotiation.family());
        say(format_args!("\n   {verb} over {family}: {}", negotiation.meaning()));
        transfers(negotiation, &ftptrack, &tracker, || negotiation.transfer(&scene, &server, &content, interrupt))?;
        say("   Both files arrived byte for byte.");
    }

    title("Meanwhile in another terminal, while a download is under way");
    let download = StalledDownload::start(&scene)?;
    let used = ftptrack.await_flow(interrupt)?;
    for query in ["status", "sessions", "flows"] {
        say(format_args!("\n   $ ftptrack {query}"));
        for line in ftptrack.table(query)?.lines() {
            say(format_args!("   {line}"));
        }
    }
    say("");
    download.finish(&content, interrupt)?;
    tracker.settle();
    say("   That file arrived byte for byte, too.");

    title("The same ports without a negotiation");
    let denied = uninvited(&ftptrack, used)?;
    tracker.settle();
    interrupt.check()?;

    title("ftptrack is told to stop (SIGTERM), and leaves nothing behind");
    let status = tracker.stop()?;
    ensure!(status.success(), "ftptrack ended with {status}");
    ensure!(!ftptrack.pins().exists(), "ftptrack left its pins behind in {}", ftptrack.pins().display());
    let _other = listen(&scene.server, OTHER_PORT)?;
    say("   The range is as open as it was before:");
    expect(Answer::Connected, &scene.client, None, &other)?;

    title("Held");
    let arrived = 2 * NEGOTIATIONS.len() + 1;
    say(format_args!(
        "   {arrived} of {arrived} transfers arrived byte for byte, each on a port learned from its control connection."
    ));
    say(format_args!("   {denied} of {denied} connections that nobody had negotiated were denied."));
    Ok(())
}

/// Shows a line. That nobody reads any more (`| head`) is no reason to stop before everything is cleaned up.
fn say(line: impl fmt::Display) {
    let _ = writeln!(io::stdout(), "{line}");
}

fn title(text: &str) {
    say(format_args!("\n== {text}"));
}

fn random(bytes: usize) -> Result<Vec<u8>> {
    let mut content = vec![0; bytes];
    File::open("/dev/urandom")?.read_exact(&mut content)?;
    Ok(content)
}
