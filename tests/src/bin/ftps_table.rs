//! The table of `docs/ftps.md`: encrypted sessions with real servers, 16 at a time, and what ftptrack has learned of them.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use ftptrack_tests::actors::server::CONTROL;
use ftptrack_tests::hosts::network::{Family, Network, address};
use ftptrack_tests::subject::ftptrack::{self, Ftptrack, PinDirectory, USUAL};
use ftptrack_tests::suites::compat::daemon::Daemon;
use ftptrack_tests::suites::compat::data::{self, Data};
use ftptrack_tests::support::process;
use serde::Deserialize;

const SERVERS: [&str; 5] =
    ["vsftpd/ftps", "vsftpd/ftps-implicit", "proftpd/ftps", "proftpd/ftps-implicit", "pure-ftpd/ftps"];
const COMMANDS: [(&str, Family); 6] = [
    ("PASV", Family::V4),
    ("EPSV", Family::V4),
    ("PORT", Family::V4),
    ("EPRT", Family::V4),
    ("EPSV", Family::V6),
    ("EPRT", Family::V6),
];
const SESSIONS: usize = 100;
const AT_A_TIME: u8 = 16;
const AT_MOST: Duration = Duration::from_secs(180);

/// Of `ftptrack events --json`.
#[derive(Deserialize)]
struct Event {
    event: String,
    client: Option<String>,
    server: String,
    mode: Option<String>,
}

fn main() {
    let data = Data::load("matrix.toml").unwrap_or_else(|error| panic!("tests/compat: {error}"));
    let heads: Vec<_> = COMMANDS.iter().map(|(command, family)| format!("{command}, {family}")).collect();
    println!("| server | TLS | {} |\n|---|---|{}", heads.join(" | "), "---|".repeat(heads.len()));
    for server in SERVERS {
        for version in ["1.2", "1.3"] {
            let cells: Vec<_> =
                COMMANDS.iter().map(|(command, family)| cell(&data, server, version, command, *family)).collect();
            let (name, _) = data::split(server);
            let implicit = if is_implicit(server) { ", implicit" } else { "" };
            println!("| {} | {version}{implicit} | {} |", data.servers[name].title, cells.join(" | "));
        }
    }
}

/// `100 / 0 / 0`: right, denied, wrong.
fn cell(data: &Data, server: &str, version: &str, command: &str, family: Family) -> String {
    let network = Network::new();
    let addresses: Vec<IpAddr> = (20..20 + AT_A_TIME).map(|number| address(0, number, family)).collect();
    for address in &addresses {
        let more = if family == Family::V4 { "/24 dev eth0" } else { "/64 dev eth0 nodad" };
        network.client.namespace.ip(&format!("address add {address}{more}"));
    }
    let _daemon = Daemon::start(&network.server, server, &data.servers);
    let pins = PinDirectory::new();
    let filter = Ftptrack::run(&network.server, &pins, &[&USUAL[..], &["--ftps", "learn"]].concat());

    let (name, _) = data::split(server);
    let implicit = if is_implicit(server) { " implicit" } else { "" };
    let who = &data.servers[name];
    let joined: Vec<_> = addresses.iter().map(ToString::to_string).collect();
    let mut client = network.client.namespace.command("python3");
    client.arg(data::directory().join("ftps.py")).arg(joined.join(",")).arg(CONTROL.to_string());
    client.args([&who.user, &who.password, &SESSIONS.to_string(), &AT_A_TIME.to_string()]);
    client.args([&format!("{version}{implicit}"), command, &network.server.address(family).to_string()]);
    let output = process::finish_within(&mut client, AT_MOST).expect("each session has a time limit");
    assert!(output.status.success(), "{output:?}");
    let lines: Vec<Vec<&str>> = output.stdout.lines().map(|line| line.splitn(3, ' ').collect()).collect();
    assert_eq!(lines.len(), SESSIONS, "{output:?}");
    for line in lines.iter().filter(|line| line[2] != "right") {
        eprintln!("{server}, TLS {version}{implicit}, {command}, {family}: {}", line.join(" "));
    }

    // An expectation is right if that very client has negotiated that very port.
    let negotiated: BTreeSet<(&str, &str)> = lines.iter().map(|line| (line[0], line[1])).collect();
    let events = ftptrack::succeed(&network.server, &pins, &["events", "--json"]);
    let events = events.lines().map(|line| serde_json::from_str::<Event>(line).expect("an event"));
    let expected: Vec<_> = events.filter(|event| event.event == "expected").collect();
    let is_wrong = |event: &&Event| {
        let port = event.server.rsplit(':').next().unwrap_or_default();
        let client = event.client.as_deref().unwrap_or_default();
        event.mode.as_deref() == Some("passive") && !negotiated.contains(&(client, port))
    };
    let wrong = expected.iter().filter(is_wrong).count() + expected.len().saturating_sub(SESSIONS);
    let right = lines.iter().filter(|line| line[2] == "right").count();
    filter.stop();
    format!("{right} / {} / {wrong}", SESSIONS - right)
}

/// Whether its sessions are encrypted from the first byte on.
fn is_implicit(server: &str) -> bool {
    server.ends_with("-implicit")
}
