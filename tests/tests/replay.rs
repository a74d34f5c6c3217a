//! `ftptrack replay` shows real traffic of vsftpd and curl, however it was captured and stored.

use std::io::Write as _;
use std::process::Command;

use flate2::Compression;
use flate2::write::GzEncoder;
use ftp_common::counter::Counter;
use ftptrack_tests::actors::curl::{self, Mode};
use ftptrack_tests::actors::probe::{self, Outcome};
use ftptrack_tests::actors::vsftpd::{self, Vsftpd};
use ftptrack_tests::hosts::network::{Family, Host, INTERFACE, Network};
use ftptrack_tests::packets::pcap::{Pcap, Tcpdump, link};
use ftptrack_tests::subject::ftptrack::{PinDirectory, finish};
use ftptrack_tests::subject::replay::{RANGE, Replay, entries, run, said};
use ftptrack_tests::support::file;
use ftptrack_tests::support::process;
use ftptrack_tests::{INSIDE, PASSIVE_RANGE};
use serde_json::{Value, json};

const LENGTH: u64 = 300_000;
const PASSWORD: &str = "never-to-be-shown";

/// A download in each way, and a connection that nobody has negotiated.
#[track_caller]
fn traffic(network: &Network) -> Pcap {
    let Network { server, client, .. } = network;
    let vsftpd = Vsftpd::on(server);
    file::write_random(&vsftpd.file("original"), LENGTH);
    let tcpdump = Tcpdump::on(server, INTERFACE, &[]);
    for (mode, family) in Mode::EVERYWHERE {
        download(client, mode, &vsftpd::url(server, family, "original"), &vsftpd);
    }
    let inside = server.at(Family::V4, INSIDE);
    let listener = probe::listen(server, inside);
    assert_eq!(probe::to(client, inside), Outcome::Opened);
    drop(listener);
    tcpdump.stop_after(Mode::EVERYWHERE.len() * 4)
}

#[track_caller]
fn download(client: &Host, mode: Mode, url: &str, vsftpd: &Vsftpd) {
    let arrived = vsftpd.client_directory().join("arrived");
    let mut command = curl::command(client, mode);
    let output =
        process::finish(command.arg("--user").arg(format!("anonymous:{PASSWORD}")).arg("-o").arg(arrived).arg(url));
    assert!(output.status.success(), "{}", output.stderr);
}

/// The payload of IP behind an ethernet header, and its protocol.
fn ip(frame: &[u8]) -> (&[u8], [u8; 2]) {
    (&frame[14..], [frame[12], frame[13]])
}

#[test]
fn what_was_said_learned_opened_and_denied_is_told_in_the_captures_time() {
    let network = Network::new();
    let capture = traffic(&network);
    let (first, last) = (capture.packets[0].time, capture.packets[capture.packets.len() - 1].time);
    let replay = Replay::of_whole(&capture.bytes(), &RANGE);
    assert_eq!(replay.sessions().len(), Mode::EVERYWHERE.len());
    for (session, (mode, family)) in replay.sessions().iter().zip(Mode::EVERYWHERE) {
        assert_eq!((&session["began"], &session["ended"]), (&json!(true), &json!(true)));
        assert_eq!(session["server"], network.server.at(family, 21).to_string());
        let said = said(session);
        let at = |what: &str| said.iter().position(|said| said == what).unwrap_or_else(|| panic!("{what}: {said:?}"));
        let command = format!(">{}", mode.command());
        let way = if matches!(mode, Mode::Pasv | Mode::Epsv) { "passive" } else { "active" };
        let order =
            ["session_started", "<220", ">USER", "<331", ">PASS", "<230", &command, "expected", "session_ended"];
        assert!(order.map(at).is_sorted(), "{said:?}");
        assert!(at("expected") < at("flow_started") && at("flow_started") < at("flow_ended"), "{said:?}");
        let times: Vec<_> = entries_of(session).iter().map(|entry| entry["time"].as_f64().unwrap()).collect();
        assert!(times.is_sorted());
        assert!(times.iter().all(|time| (first as f64 / 1e6..=last as f64 / 1e6).contains(time)), "{times:?}");
        for event in ["expected", "flow_started", "flow_ended"] {
            assert_eq!(entries(session, event).len(), 1, "{said:?}");
            assert_eq!(entries(session, event)[0]["mode"], way);
        }
        assert_carried(&entries(session, "flow_ended")[0]["bytes"]);
    }
    let [denied] = replay.strays() else { panic!("{:?}", replay.strays()) };
    assert_eq!((&denied["event"], &denied["reason"]), (&json!("denied"), &json!("denied_passive")));
    assert_eq!(denied["server"], network.server.at(Family::V4, INSIDE).to_string());
    let ways = Mode::EVERYWHERE.len() as u64;
    let counted = [Counter::SessionsStarted, Counter::SessionsEnded, Counter::FlowsEstablished, Counter::FlowsEnded];
    assert_eq!(counted.map(|counter| replay.of_counter(counter)), [ways; 4]);
    let none =
        [Counter::Desyncs, Counter::MapErrors, Counter::EventsLost, Counter::ViewLost, Counter::SessionsMidstream];
    assert_eq!(none.map(|counter| replay.of_counter(counter)), [0; 5]);
    assert_eq!(replay.json["gaps"]["missing"], json!([]));
    assert_eq!(replay.json["packets"], capture.packets.len());

    let text = run(&capture.bytes(), &RANGE);
    for shown in
        ["> PASS\n", "< 230\n", "expected  passive", "ended     active", "nobody negotiated it", "what was counted"]
    {
        assert!(text.stdout.contains(shown), "{shown}: {}", text.stdout);
    }
    for output in [&text.stdout, &text.stderr, &replay.json.to_string()] {
        assert!(!output.contains(PASSWORD) && !output.contains("anonymous"), "{output}");
    }
}

fn entries_of(session: &Value) -> &[Value] {
    session["entries"].as_array().unwrap()
}

#[test]
fn every_link_layer_and_every_format_shows_the_same() {
    let capture = traffic(&Network::new());
    let original = Replay::of_whole(&capture.bytes(), &RANGE);
    assert_eq!(original.sessions().len(), Mode::EVERYWHERE.len());
    let raw = |frame: &[u8]| ip(frame).0.to_vec();
    let family = |big: bool, v6: u32| {
        move |frame: &[u8]| {
            let number = if ip(frame).1 == [0x08, 0x00] { 2 } else { v6 };
            [&if big { u32::to_be_bytes(number) } else { u32::to_le_bytes(number) }[..], ip(frame).0].concat()
        }
    };
    let cooked = |frame: &[u8]| [&[0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0], &ip(frame).1[..], ip(frame).0].concat();
    let cooked2 = |frame: &[u8]| {
        let rest = [0, 0, 0, 0, 0, 3, 0, 1, 4, 6, 2, 0, 0, 0, 0, 1, 0, 0];
        [&ip(frame).1[..], &rest, ip(frame).0].concat()
    };
    let tagged = |tags: &'static [u8]| move |frame: &[u8]| [&frame[..12], tags, &frame[12..]].concat();
    let converted = [
        ("raw IP", capture.map(link::RAW, raw)),
        ("Linux cooked", capture.map(link::COOKED, cooked)),
        ("Linux cooked v2", capture.map(link::COOKED2, cooked2)),
        ("BSD loopback", capture.map(link::NULL, family(false, 24))),
        ("BSD loopback", capture.map(link::NULL, family(true, 30))),
        ("OpenBSD loopback", capture.map(link::LOOP, family(true, 24))),
        ("ethernet", capture.map(link::ETHERNET, tagged(&[0x81, 0x00, 0, 42]))),
        ("ethernet", capture.map(link::ETHERNET, tagged(&[0x88, 0xa8, 0, 7, 0x81, 0x00, 0, 42]))),
    ];
    for (name, converted) in converted {
        let replay = Replay::of_whole(&converted.bytes(), &RANGE);
        assert_eq!(replay.json["links"], json!([name]));
        replay.assert_same(&original, name);
        let replay = Replay::of_whole(&converted.to_pcapng(), &RANGE);
        assert_eq!(replay.json["format"], "pcapng");
        replay.assert_same(&original, &format!("{name} in pcapng"));
    }
    for (format, file) in [("pcap", capture.bytes()), ("pcapng", capture.to_pcapng())] {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&file).unwrap();
        let replay = Replay::of_whole(&encoder.finish().unwrap(), &RANGE);
        assert_eq!(replay.json["format"], format!("{format}, compressed by gzip"));
        replay.assert_same(&original, &format!("{format} in gzip"));
    }
}

#[test]
fn captures_of_any_interface_and_of_loopback_are_read() {
    let Network { server, client, .. } = &Network::new();
    let vsftpd = Vsftpd::on(server);
    file::write_random(&vsftpd.file("original"), LENGTH);
    let captures = [
        (client, "any", vec![], link::COOKED2),
        (client, "any", vec!["-y", "LINUX_SLL"], link::COOKED),
        (server, "lo", vec![], link::ETHERNET),
        (server, "any", vec![], link::COOKED2),
    ];
    for (from, interface, options, link) in captures {
        let tcpdump = Tcpdump::on(server, interface, &options);
        download(from, Mode::Epsv, &vsftpd::url(server, Family::V4, "original"), &vsftpd);
        let capture = tcpdump.stop_after(4);
        assert_eq!(capture.link, link);
        let replay = Replay::of_whole(&capture.bytes(), &RANGE);
        let [session] = replay.sessions() else { panic!("{:#}", replay.json) };
        let ended = entries(session, "flow_ended");
        assert_eq!(ended.len(), 1, "{:#}", replay.json);
        assert_carried(&ended[0]["bytes"]);
        assert_eq!(replay.of_counter(Counter::Desyncs), 0);
    }
}

#[test]
fn without_options_whatever_host_answers_on_the_control_port_is_a_server() {
    let network = Network::new();
    let capture = traffic(&network);
    let replay = Replay::of_whole(&capture.bytes(), &[]);
    let addresses = &replay.json["policy"]["servers"][0]["addresses"];
    let expected = Family::BOTH.map(|family| network.server.address(family).to_string());
    assert_eq!(addresses, &json!([format!("{}/32", expected[0]), format!("{}/128", expected[1])]));
    assert_eq!(replay.json["policy"]["servers"][0]["passive_range"], "1024-65535");
    assert!(replay.stderr.contains("note: no passive range is given"), "{}", replay.stderr);
    assert_eq!((replay.of_counter(Counter::FlowsEstablished), replay.strays().len()), (6, 1));

    let other = Replay::of_whole(&capture.bytes(), &["--server", "192.0.2.1", RANGE[0], RANGE[1]]);
    assert_eq!((other.sessions(), other.strays()), (&[][..], &[][..]), "only what is named is a server");
    let v6 = Replay::of_whole(&capture.bytes(), &["--server", "fd00::/8", RANGE[0], RANGE[1]]);
    assert_eq!((v6.sessions().len(), v6.of_counter(Counter::FlowsEstablished)), (2, 2));
    let elsewhere = run(&capture.bytes(), &["--control-port", "2121"]);
    assert!(elsewhere.stdout.contains("a host that answers on port 2121"), "{}", elsewhere.stdout);
    let narrow = Replay::of_whole(&capture.bytes(), &["--passive-range", "60000-60001"]);
    assert_eq!(narrow.of_counter(Counter::RefusedOutOfRange), 3);
    let monitor = Replay::of_whole(&capture.bytes(), &["--monitor", RANGE[0], RANGE[1]]);
    assert_eq!((monitor.strays().len(), &monitor.strays()[0]["monitored"]), (1, &json!(true)));
}

#[test]
fn a_configuration_file_tells_what_holds() {
    let capture = traffic(&Network::new());
    let directory = file::directory();
    let config = directory.path().join("config.toml");
    let range = format!("{}-{}", PASSIVE_RANGE.start(), PASSIVE_RANGE.end());
    std::fs::write(&config, format!("[[server]]\npassive-range = \"{range}\"\nactive = false\n")).unwrap();
    let replay = Replay::of_whole(&capture.bytes(), &["--config", config.to_str().unwrap()]);
    assert_eq!(replay.of_counter(Counter::RefusedActiveOff), 3);
    assert_eq!(replay.of_counter(Counter::FlowsEstablished), 3);
    assert_eq!(replay.of_counter(Counter::DeniedActive), 3);
    let refused: Vec<_> = replay.sessions().iter().flat_map(|session| entries(session, "refused")).collect();
    assert_eq!(refused.len(), 3);
    assert!(refused.iter().all(|refused| refused["reason"] == "refused_active_off"));
}

#[test]
fn nothing_is_pinned_and_what_is_pinned_is_left_alone() {
    let Network { server, .. } = &Network::new();
    let capture = traffic(&Network::new());
    let pins = PinDirectory::new();
    let directory = file::directory();
    let path = directory.path().join("a.pcap");
    std::fs::write(&path, capture.bytes()).unwrap();
    let output = finish(server, &pins, &["replay", path.to_str().unwrap()]);
    assert!(output.status.success(), "{}", output.stderr);
    assert_eq!(pins.entries(), [""; 0]);
    let qdiscs = process::finish(server.namespace.command("tc").args(["qdisc", "show", "dev", INTERFACE]));
    assert!(qdiscs.status.success() && !qdiscs.stdout.contains("clsact"), "{qdiscs:?}");
}

#[test]
fn who_may_not_load_programs_is_told_which_capabilities_are_missing() {
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set=-bpf,-sys_admin", "--inh-caps=-bpf,-sys_admin"]);
    command.arg(ftptrack_tests::subject::ftptrack::binary()).args(["replay", "/dev/null"]);
    let output = process::finish(&mut command);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(output.stderr, "ftptrack: replay: CAP_BPF is missing; run it as root\n");
}

/// A file of [`LENGTH`] bytes has come from the server. What its TCP sent again, on a busy machine, is counted too.
#[track_caller]
fn assert_carried(bytes: &Value) {
    assert_eq!(bytes["client"], 0, "{bytes}");
    assert!(bytes["server"].as_u64().is_some_and(|server| (LENGTH..2 * LENGTH).contains(&server)), "{bytes}");
}
