//! What is asked of a filter in force, as people and programs ask it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{IpAddr, Ipv4Addr};
use std::process::Stdio;
use std::time::Instant;

use aya::maps::{Map, MapData};
use ftp_common::counter::Counter;
use ftp_common::flow::Flow;
use ftp_common::keys::ConnectionKey;
use ftp_common::session::Session;
use ftptrack_tests::INSIDE;
use ftptrack_tests::actors::client::Client;
use ftptrack_tests::actors::probe::{self, Outcome};
use ftptrack_tests::actors::server::{Server, exchange, transfer};
use ftptrack_tests::actors::vsftpd::Vsftpd;
use ftptrack_tests::hosts::network::{Family, Host, Network};
use ftptrack_tests::subject::ftptrack::{Ftptrack, PinDirectory, command, finish};
use ftptrack_tests::subject::guarded::{Guarded, Testbed};
use ftptrack_tests::subject::test_run::tables::Table;
use ftptrack_tests::support::{process, wait};
use serde_json::Value;

fn lines(host: &Host, pins: &PinDirectory, arguments: &[&str]) -> Vec<String> {
    let output = finish(host, pins, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", &output.stderr);
    output.stdout.lines().map(str::to_owned).collect()
}

fn json(host: &Host, pins: &PinDirectory, list: &str) -> Value {
    serde_json::from_str(&lines(host, pins, &[list, "--json"]).concat()).expect("JSON")
}

#[test]
fn a_session_is_listed_with_its_user_its_mode_and_what_waits() {
    let testbed = Testbed::new();
    let Testbed { network: Network { server, client, .. }, pins, .. } = &testbed;
    let Guarded { ftptrack, mut control, mut session, .. } = testbed.guarded();
    exchange((&mut control, &mut session), "USER alice", "331 who?");
    assert_eq!(transfer(client, server, (&mut control, &mut session), INSIDE), Outcome::Opened);
    exchange((&mut control, &mut session), "RETR file", "150 here it comes");

    let all = json(server, pins, "sessions");
    let one = &all[0];
    assert_eq!((&one["user"], &one["mode"]), (&"alice".into(), &"passive".into()), "{one}");
    assert_eq!((&one["waiting"], &one["waits_for"]), (&1.into(), &serde_json::json!(["transfer"])), "{one}");
    let table = lines(server, pins, &["sessions"]);
    assert!(table[0].starts_with("CLIENT"), "{table:?}");
    assert!(table[1].contains("alice") && table[1].contains("passive") && table[1].ends_with("transfer"), "{table:?}");
    ftptrack.stop();
}

#[test]
fn an_encrypted_session_is_listed_as_what_it_opens() {
    let Network { server, client, .. } = &Network::new();
    let ftp = Server::on(server, Family::V4);
    let pins = PinDirectory::new();
    let options = ["-i", "eth0", "--passive-range", "10240-20480", "--ftps", "client-range"];
    let ftptrack = Ftptrack::run(server, &pins, &options);
    let (mut control, mut session) = ftp.session_with(client);
    exchange((&mut control, &mut session), "AUTH TLS", "234 go on");
    let all = json(server, &pins, "sessions");
    assert_eq!((&all[0]["state"], &all[0]["mode"]), (&"opaque".into(), &"range".into()), "{all}");
    let target = server.at(Family::V4, INSIDE);
    let _listener = probe::listen(server, target);
    assert_eq!(probe::to(client, target), Outcome::Opened);
    ftptrack.stop();
}

#[test]
fn one_entry_or_all_can_be_flushed_and_what_they_opened_is_shut() {
    let Network { server, client, .. } = &Network::new();
    let _vsftpd = Vsftpd::on(server);
    let pins = PinDirectory::new();
    let ftptrack = Ftptrack::guarding(server, &pins);
    let mut control = Client::logged_in(client, server.at(Family::V4, 21));
    let flushed = |arguments: &[&str]| lines(server, &pins, &[&["flush"], arguments].concat());

    let port = control.extended_passive();
    let name = format!("passive:{}-{}:{port}", client.address(Family::V4), server.address(Family::V4));
    assert_eq!(flushed(&["expectations", &name]), ["flushed: 1"]);
    assert_eq!(probe::to(client, server.at(Family::V4, port)), Outcome::Silence);
    let again = finish(server, &pins, &["flush", "expectations", &name]);
    assert_eq!(again.status.code(), Some(1));
    let error = &again.stderr;
    assert!(error.starts_with(&format!("ftptrack: {name}: there is no such entry; ")), "{error}");

    let port = control.extended_passive();
    let mut data = probe::connect(client, server.at(Family::V4, port)).expect("it was negotiated");
    // The server's host acknowledges it: until then the flow is half-open, and such are not flushed.
    data.write_all(b"data").unwrap();
    wait::until("the flow is established", || (flushed(&["flows", "--all"]) == ["flushed: 1"]).then_some(()));
    let port = control.extended_passive();
    assert_eq!(flushed(&["sessions", "--all"]), ["flushed: 1"]);
    assert_eq!(probe::to(client, server.at(Family::V4, port)), Outcome::Silence, "it went with its session");
    assert_eq!(ftptrack.stats().of(Counter::DeniedSessionGone), 1);
    assert_eq!(finish(server, &pins, &["flush", "flows"]).status.code(), Some(2), "which?");
    ftptrack.stop();
}

#[test]
fn a_list_is_shown_again_and_again_until_nobody_reads() {
    let Network { server, .. } = &Network::new();
    let pins = PinDirectory::new();
    let ftptrack = Ftptrack::guarding(server, &pins);
    let mut watch = command(server, &pins);
    watch.args(["flows", "--watch=0.1"]).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut watch = process::start(&mut watch);
    let mut told = BufReader::new(watch.stdout.take().expect("piped"));
    for _ in 0..3 {
        let mut line = String::new();
        told.read_line(&mut line).expect("a line");
        assert_eq!(line, "no flows\n");
    }
    drop(told);
    assert!(watch.wait().expect("our child").success());
    let wrong = finish(server, &pins, &["flows", "--watch=0"]);
    assert_eq!(wrong.status.code(), Some(2));
    ftptrack.stop();
}

#[test]
fn without_capabilities_the_missing_one_is_named() {
    let Network { server, .. } = &Network::new();
    let pins = PinDirectory::new();
    let ftptrack = Ftptrack::guarding(server, &pins);
    let of = |arguments: &[&str]| {
        let mut bare = server.namespace.command("setpriv");
        bare.args(["--bounding-set", "-all"]).arg(ftptrack_tests::subject::ftptrack::binary());
        let output = bare.args(["--pin-dir".as_ref(), pins.path().as_os_str()]).args(arguments).output();
        let output = output.expect("setpriv, of the package util-linux");
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).expect("text")
    };
    for list in ["status", "stats", "sessions", "expectations", "flows", "events"] {
        assert_eq!(of(&[list]), format!("ftptrack: {list}: CAP_BPF is missing; run it as root\n"));
    }
    let run = of(&["run", "-i", "eth0"]);
    assert_eq!(run, "ftptrack: run: CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON are missing; run it as root\n");
    ftptrack.stop();
}

#[test]
fn a_hundred_thousand_sessions_and_flows_have_room_where_the_policy_says_so_and_are_listed() {
    const MANY: u32 = 100_000;
    let Network { server, .. } = &Network::new();
    let pins = PinDirectory::new();
    let directory = ftptrack_tests::support::file::directory();
    let file = directory.path().join("config.toml");
    let text = "max-sessions = 131072\nmax-flows = 131072\n[[server]]\npassive-range = \"10240-20480\"\n";
    std::fs::write(&file, text).expect("a file");
    let ftptrack = Ftptrack::run(server, &pins, &["-i", "eth0", "--config", file.to_str().expect("text")]);
    let map = |name: &str| {
        let versions = std::fs::read_dir(pins.path()).expect("it is there");
        let version = versions.flatten().map(|entry| entry.path()).find(|path| path.join("maps").is_dir());
        let map = MapData::from_pin(version.expect("maps are pinned").join("maps").join(name)).expect("it is pinned");
        Map::LruHashMap(map)
    };
    let mut sessions = Table::<ConnectionKey, Session>::new(map("SESSIONS"));
    let mut flows = Table::<ConnectionKey, Flow>::new(map("FLOWS"));
    for n in 0..MANY {
        let client = IpAddr::from(Ipv4Addr::from(0x0a01_0000 + n)).into();
        let key = ConnectionKey { client, client_port: 40_000, server_port: 21, ..ConnectionKey::default() };
        sessions.put(&key, &Session { session_id: u64::from(n) + 1, ..Session::default() });
        flows.put(&key, &Flow::default());
    }
    let begun = Instant::now();
    assert!(lines(server, &pins, &["metrics"]).len() > 100);
    println!("metrics: {:?}", begun.elapsed());
    for list in ["sessions", "flows"] {
        for arguments in [&[list][..], &[list, "--json"]] {
            let begun = Instant::now();
            let lines = lines(server, &pins, arguments);
            println!("{arguments:?}: {} lines in {:?}", lines.len(), begun.elapsed());
            assert!(lines.len() > MANY as usize * 95 / 100, "an LRU map keeps nearly as many as it has room for");
        }
    }
    ftptrack.stop();
}
