//! `ftptrack top` in a real terminal, with real transfers.

use ftptrack_tests::INSIDE;
use ftptrack_tests::actors::curl::{self, Mode};
use ftptrack_tests::actors::probe::{self, Outcome};
use ftptrack_tests::actors::server::{exchange, transfer};
use ftptrack_tests::actors::tmux::Tmux;
use ftptrack_tests::actors::vsftpd::{self, Vsftpd};
use ftptrack_tests::hosts::network::{Family, Network};
use ftptrack_tests::subject::ftptrack::{Ftptrack, PinDirectory, binary};
use ftptrack_tests::subject::guarded::Testbed;
use ftptrack_tests::support::{file, process};
use rustix::process::{Pid, Signal, kill_process};
use std::process::{Child, Stdio};

/// The line that begins it.
fn begin(tmux: &Tmux<'_>, pins: &PinDirectory) {
    tmux.enter(&format!("clear; {} --pin-dir {} top", binary().display(), pins.path().display()));
    tmux.wait_for("q quit");
    tmux.wait_for("eth0 guarded");
}

/// A download that takes as long as the server makes it.
fn download(network: &Network, name: &str, arrived: &std::path::Path) -> Child {
    let mut command = curl::command(&network.client, Mode::Epsv);
    command.arg("--output").arg(arrived);
    command.arg(vsftpd::url(&network.server, Family::V4, name));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    process::start(&mut command)
}

#[test]
fn users_transfers_with_their_rates_denials_and_conversations_are_seen_and_the_terminal_is_given_back() {
    let network = Network::new();
    let Network { server, client, .. } = &network;
    // The server sends so many bytes a second, and no more: for eleven minutes, whatever else the machine has to do.
    let vsftpd = Vsftpd::with(server, "anon_max_rate=100000\n");
    file::write_random(&vsftpd.file("big"), 64 << 20);
    let pins = PinDirectory::new();
    let ftptrack = Ftptrack::guarding(server, &pins);
    let tmux = Tmux::on(server, 80, 24);
    let (settings, modes) = (tmux.settings(), tmux.modes());
    begin(&tmux, &pins);
    assert_ne!(tmux.modes(), modes, "another screen, and no cursor");

    let mut curl = download(&network, "big", &vsftpd.client_directory().join("arrived"));
    let seen = tmux.wait_until("a transfer with a rate", |lines| {
        let at = lines.iter().position(|line| line.starts_with("Transfers 1"))?;
        let row = lines.get(at + 2)?;
        (row.contains("down") && row.contains("KiB/s")).then(|| row.clone())
    });
    assert!(seen.starts_with("anonymous ") && seen.ends_with("established"), "{seen}");
    let session = tmux.wait_until("its session", |lines| {
        let at = lines.iter().position(|line| line.starts_with("Sessions 1"))?;
        lines.get(at + 2).filter(|row| row.ends_with("transfer")).cloned()
    });
    let words: Vec<_> = session.split_whitespace().collect();
    assert!(words[0] == "anonymous" && words[3..6] == ["in", "sync", "passive"], "{session}");

    assert_eq!(probe::to(client, server.at(Family::V4, INSIDE)), Outcome::Silence);
    let denied = tmux.wait_for("nobody negotiated it");
    assert!(denied.contains(&format!(":{INSIDE}:")), "{denied}");
    // As ftptrack run has it, whose events are its own.
    let mut ftptrack = ftptrack;
    ftptrack.wait_for_line("nobody negotiated it");

    // The picture as wide and as high as the terminal, whatever that is.
    tmux.resize(110, 30);
    tmux.wait_until("as high", |lines| (lines.len() == 30 && lines[29].starts_with("q quit")).then_some(()));
    tmux.resize(60, 15);
    tmux.wait_until("as low", |lines| (lines.len() == 15 && lines[14].starts_with("q quit")).then_some(()));
    tmux.resize(80, 24);
    tmux.press(&["Enter"]);
    tmux.wait_for("user anonymous  in sync");
    tmux.press(&["Escape"]);
    tmux.wait_for("Sessions 1");

    // q, Ctrl-C and SIGTERM: all is as it was, each time.
    tmux.press(&["q"]);
    tmux.wait_for("ready>");
    for way in ["C-c", "SIGTERM"] {
        assert_eq!((tmux.settings(), tmux.modes()), (settings.clone(), modes.clone()), "before {way}");
        begin(&tmux, &pins);
        match way {
            "SIGTERM" => {
                let id = Pid::from_raw(tmux.process("ftptrack")).expect("an ID");
                kill_process(id, Signal::TERM).expect("it runs");
            }
            key => tmux.press(&[key]),
        }
        tmux.wait_for("ready>");
    }
    assert_eq!((tmux.settings(), tmux.modes()), (settings, modes));
    curl.kill().expect("it runs");
    curl.wait().expect("our child");
    ftptrack.stop();
}

#[test]
fn a_conversation_has_verbs_and_codes_and_never_a_password() {
    let testbed = Testbed::new();
    let Testbed { network: Network { server, client, .. }, ftp, pins } = &testbed;
    let ftptrack = testbed.ftptrack();
    let tmux = Tmux::on(server, 100, 30);
    begin(&tmux, pins);
    let (mut control, mut session) = ftp.session_with(client);
    for (command, reply) in [("USER alice", "331 who?"), ("PASS sesame", "230 in"), ("sesame", "500 what?")] {
        exchange((&mut control, &mut session), command, reply);
    }
    assert_eq!(transfer(client, server, (&mut control, &mut session), INSIDE), Outcome::Opened);
    tmux.wait_for("alice");
    tmux.press(&["Enter"]);
    let said = tmux.wait_until("the conversation", |lines| {
        let said: Vec<_> = lines.iter().filter_map(|line| line.get(13..)).map(str::trim).map(str::to_owned).collect();
        said.iter().any(|line| line.starts_with("started   passive")).then_some(said)
    });
    for line in ["client   USER", "server   331", "client   PASS", "server   230", "client   (no verb)", "server   227"]
    {
        assert!(said.iter().any(|other| other == line), "no {line} in {said:#?}");
    }
    let picture = tmux.picture();
    assert!(!picture.iter().any(|line| line.contains("sesame")), "{picture:#?}");
    // Still, however long it stands.
    tmux.press(&["Escape"]);
    tmux.wait_for("Sessions 1");
    tmux.press(&["p"]);
    tmux.wait_for("PAUSED");
    tmux.press(&["p", "/"]);
    tmux.press(&["n", "o", "b", "o", "d", "y", "Enter"]);
    tmux.wait_for("Sessions 0");
    tmux.press(&["?"]);
    tmux.wait_for("Shift-Tab");
    tmux.press(&["q"]);
    tmux.wait_for("ready>");
    ftptrack.stop();
}

#[test]
fn a_second_one_shows_the_maps_and_says_who_has_the_events() {
    let Network { server, .. } = &Network::new();
    let pins = PinDirectory::new();
    let ftptrack = Ftptrack::guarding(server, &pins);
    let (first, second) = (Tmux::on(server, 80, 24), Tmux::on(server, 80, 24));
    begin(&first, &pins);
    let id = first.process("ftptrack");
    second.enter(&format!("clear; {} --pin-dir {} top", binary().display(), pins.path().display()));
    second.wait_for(&format!("what happens is not shown: live view: process {id} has it"));
    second.wait_for("eth0 guarded");
    first.press(&["q"]);
    first.wait_for("ready>");
    // Then the second has them.
    second.wait_for("q quit");
    // What goes away while it is watched is told.
    ftptrack.stop();
    second.wait_for("ftptrack is not attached");
    second.press(&["q"]);
    second.wait_for("ready>");
}

#[test]
fn without_colours_none_are_written_and_without_a_terminal_nothing_is_shown() {
    let Network { server, .. } = &Network::new();
    let pins = PinDirectory::new();
    let ftptrack = Ftptrack::guarding(server, &pins);
    let tmux = Tmux::on(server, 80, 24);
    begin(&tmux, &pins);
    assert!(tmux.picture_in_colours().contains("\x1b[38;5;"));
    tmux.press(&["q"]);
    tmux.wait_for("ready>");
    tmux.enter("export NO_COLOR=1");
    begin(&tmux, &pins);
    let picture = tmux.picture_in_colours();
    assert!(!picture.contains("38;5;") && picture.contains("guarded"), "{picture:?}");
    tmux.press(&["q"]);
    tmux.wait_for("ready>");
    let refused = ftptrack_tests::subject::ftptrack::finish(server, &pins, &["top"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(refused.stderr.starts_with("ftptrack: terminal: standard input and output are none; use"), "{refused:?}");
    assert_eq!(refused.stdout, "");
    ftptrack.stop();
}

#[test]
fn a_panic_gives_the_terminal_back_and_is_seen() {
    let Network { server, .. } = &Network::new();
    let tmux = Tmux::on(server, 80, 24);
    let (settings, modes) = (tmux.settings(), tmux.modes());
    tmux.enter(&format!("clear; {}", env!("CARGO_BIN_EXE_panics-on-screen")));
    tmux.wait_for("the picture fell down");
    assert_eq!((tmux.settings(), tmux.modes()), (settings, modes));
}
