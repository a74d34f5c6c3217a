//! Prints what `docs/top.md` (`pages top`) and `docs/doctor.md` (`pages doctor`) show: `cargo xtask pages` puts it there.

use ftptrack_tests::INSIDE;
use ftptrack_tests::actors::curl::{self, Mode};
use ftptrack_tests::actors::probe;
use ftptrack_tests::actors::tmux::Tmux;
use ftptrack_tests::actors::vsftpd::{self, Vsftpd};
use ftptrack_tests::hosts::network::{Family, Host, Network};
use ftptrack_tests::subject::doctor::Doctor;
use ftptrack_tests::subject::ftptrack::{Ftptrack, PinDirectory, binary};
use ftptrack_tests::support::{file, process};
use rustix::mount::{MountFlags, mount, mount_bind};
use std::fs;
use std::process::{Command, ExitCode, Stdio};

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("top") => top(),
        Some("doctor") => doctor(),
        _ => {
            eprintln!("pages: say which: top or doctor");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

fn fenced(lines: &[String]) {
    println!("```\n{}\n```\n", lines.join("\n").trim_end());
}

/// Two clients, one of them in the middle of a download, and somebody else who tries a port.
fn top() {
    let network = Network::new();
    let Network { server, client, third, .. } = &network;
    let vsftpd = Vsftpd::with(server, "anon_max_rate=3000000\n");
    file::write_random(&vsftpd.file("big"), 64 << 20);
    let pins = PinDirectory::new();
    let ftptrack = Ftptrack::guarding(server, &pins);
    let tmux = Tmux::on(server, 80, 24);
    tmux.enter(&format!("clear; {} --pin-dir {} top", binary().display(), pins.path().display()));
    tmux.wait_for("eth0 guarded");
    let mut other = ftptrack_tests::actors::client::Client::logged_in(client, server.at(Family::V4, 21));
    other.extended_passive();
    let mut command = curl::command(client, Mode::Epsv);
    command.arg("--output").arg(vsftpd.client_directory().join("arrived")).arg(vsftpd::url(server, Family::V4, "big"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut curl = process::start(&mut command);
    let _ = probe::to(third, server.at(Family::V4, INSIDE));
    tmux.wait_for("nobody negotiated it");
    tmux.wait_for("MiB/s");
    fenced(&tmux.picture());
    println!("Enter, on the second line:\n");
    tmux.press(&["Down", "Enter"]);
    tmux.wait_for("RETR");
    fenced(&tmux.picture());
    tmux.press(&["q"]);
    curl.kill().expect("it runs");
    curl.wait().expect("our child");
    ftptrack.stop();
}

/// What the tutorials leave behind, and what is left of it when every remedy was run.
fn doctor() {
    let Network { server, .. } = &Network::new();
    // Mounts of this thread's own from here on.
    let pins = PinDirectory::new();
    mount("bpf", "/sys/fs/bpf", "bpf", MountFlags::empty(), None).expect("root may");
    let directory = file::directory();
    // A copy of all of it: a file that is mounted alone can't be replaced, as sed does.
    let copy = process::finish(Command::new("cp").args(["-a", "/etc"]).arg(directory.path()));
    assert!(copy.status.success(), "{}", copy.stderr);
    mount_bind(directory.path().join("etc"), "/etc").expect("root may");
    let text = "listen=YES\nconnect_from_port_20=YES\npasv_min_port=20480\npasv_max_port=10240\n";
    fs::write("/etc/vsftpd.conf", text).expect("there is room");
    let asked = "-i eth0 --passive-range 10240-20480";
    let doctor = Doctor::new(server, &pins, asked);
    doctor.run(
        "iptables-nft -A INPUT -p tcp --dport 10240:20480 -j ACCEPT
         iptables-nft -t raw -A PREROUTING -p tcp --dport 21 -j CT --helper ftp",
    );
    shown(server, asked);
    // As the lines stand there.
    let mut command = server.namespace.command(binary().to_str().expect("UTF-8"));
    let findings = process::finish(command.arg("doctor").args(asked.split(' ')).arg("--json")).stdout;
    let findings: Vec<ftptrack_tests::subject::doctor::Finding> = serde_json::from_str(&findings).expect("JSON");
    println!("Every command that it names was run, but for the restart: no server runs there. Then:\n");
    for mend in findings.iter().filter_map(|finding| finding.fix.as_ref()) {
        // One may have mended what the next is about.
        doctor.run(&format!("{mend} || true"));
    }
    shown(server, "");
}

fn shown(host: &Host, asked: &str) {
    let mut command = host.namespace.command(binary().to_str().expect("UTF-8"));
    let output = process::finish(command.arg("doctor").args(asked.split_whitespace()));
    let code = output.status.code().expect("it ends by itself");
    let mut lines = vec![format!("$ ftptrack doctor {asked}").trim_end().to_owned()];
    lines.extend(output.stdout.lines().map(str::to_owned));
    lines.extend(["$ echo $?".to_owned(), code.to_string()]);
    fenced(&lines);
}
