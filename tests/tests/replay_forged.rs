//! `ftptrack replay` on what no capture of an ordinary transfer has.

use std::fs;

use ftp_common::counter::Counter;
use ftp_common::flow::tcp::{ACK, FIN, RST, SYN};
use ftp_user::config::Flags;
use ftp_user::replay::{Asked, ReportRow, replay};
use ftptrack_tests::packets::pcap::Pcap;
use ftptrack_tests::subject::replay::{RANGE, Replay, entries, said};
use ftptrack_tests::subject::test_run::frame::Tcp;
use ftptrack_tests::support::file;
use proptest::prelude::*;
use serde_json::json;

const CLIENT: &str = "10.0.0.2:40000";
const SERVER: &str = "10.0.0.1:21";
const PSH: u8 = 8;

/// A control connection, packet by packet.
struct Talk {
    frames: Vec<Vec<u8>>,
    client: u32,
    server: u32,
}

impl Talk {
    /// Up to the greeting.
    fn new() -> Self {
        let frames = vec![
            Tcp::new(CLIENT, SERVER).at(999, 0).flags(SYN).frame(),
            Tcp::new(SERVER, CLIENT).at(4_999, 1_000).flags(SYN | ACK).frame(),
            Tcp::new(CLIENT, SERVER).at(1_000, 5_000).frame(),
        ];
        let mut talk = Self { frames, client: 1_000, server: 5_000 };
        talk.server("220 hello\r\n");
        talk
    }

    fn client(&mut self, text: &str) {
        let frame = Tcp::new(CLIENT, SERVER).at(self.client, self.server).flags(ACK | PSH).says(text).frame();
        self.frames.push(frame);
        self.client += u32::try_from(text.len()).unwrap();
    }

    fn server(&mut self, text: &str) {
        let frame = Tcp::new(SERVER, CLIENT).at(self.server, self.client).flags(ACK | PSH).says(text).frame();
        self.frames.push(frame);
        self.server += u32::try_from(text.len()).unwrap();
        // Its acknowledgement.
        self.frames.push(Tcp::new(CLIENT, SERVER).at(self.client, self.server).frame());
    }

    /// A data connection to a port of the server's: its handshake, and its end.
    fn connect(&mut self, port: u16) {
        let (client, server) = ("10.0.0.2:50000", format!("10.0.0.1:{port}"));
        self.frames.extend([
            Tcp::new(client, &server).at(1, 0).flags(SYN).frame(),
            Tcp::new(&server, client).at(1, 2).flags(SYN | ACK).frame(),
            Tcp::new(client, &server).at(2, 2).frame(),
            Tcp::new(&server, client).at(2, 2).flags(RST | ACK).frame(),
        ]);
    }

    fn capture(self) -> Pcap {
        Pcap::of(self.frames)
    }
}

const PORT_10240: &str = "227 Entering Passive Mode (10,0,0,1,40,0).\r\n";

#[test]
fn a_reply_that_is_larger_than_a_test_run_takes_is_read_to_its_end() {
    let mut talk = Talk::new();
    talk.client("HELP\r\nPASV\r\n");
    let lines: String = (0..500).map(|line| format!(" line {line} of the help\r\n")).collect();
    talk.server(&format!("214-Help\r\n{lines}214 That is all.\r\n{PORT_10240}"));
    talk.connect(10_240);
    assert!(talk.frames.iter().any(|frame| frame.len() > 10_000));
    let replay = Replay::of_whole(&talk.capture().bytes(), &RANGE);
    let [session] = replay.sessions() else { panic!("{:#}", replay.json) };
    let told = ["session_started", "<220", ">HELP", ">PASV", "<214", "<227", "expected", "flow_started", "flow_ended"];
    assert_eq!(said(session), told);
    assert_eq!((replay.of_counter(Counter::Desyncs), replay.json["gaps"]["missing"].clone()), (0, json!([])));
}

#[test]
fn a_command_that_is_larger_than_a_test_run_takes_is_read_to_its_end() {
    let mut talk = Talk::new();
    talk.client(&format!("SITE {}\r\nPASV\r\n", "x".repeat(3_900)));
    talk.server(&format!("500 no\r\n{PORT_10240}"));
    talk.connect(10_240);
    let replay = Replay::of_whole(&talk.capture().bytes(), &RANGE);
    assert_eq!(
        said(&replay.sessions()[0])[2..],
        [">SITE", ">PASV", "<500", "<227", "expected", "flow_started", "flow_ended"]
    );
}

#[test]
fn segments_out_of_order_are_put_in_order_as_tcp_would() {
    let mut talk = Talk::new();
    talk.client("PA");
    talk.client("S");
    talk.client("V\r");
    talk.client("\n");
    let first = talk.frames.len() - 4;
    talk.frames[first..].reverse();
    talk.server("227 Entering Passive");
    talk.server(" Mode (10,0,0,1,4");
    talk.server("0,0).\r\n");
    // The server's segments, without the client's acknowledgements between them, the last first.
    let last = talk.frames.len() - 6;
    let mut segments: Vec<_> = talk.frames.drain(last..).step_by(2).collect();
    segments.reverse();
    talk.frames.extend(segments);
    talk.frames.push(Tcp::new(CLIENT, SERVER).at(talk.client, talk.server).frame());
    talk.connect(10_240);
    let replay = Replay::of_whole(&talk.capture().bytes(), &RANGE);
    let told = ["session_started", "<220", ">PASV", "<227", "expected", "flow_started", "flow_ended"];
    assert_eq!(said(&replay.sessions()[0]), told, "{:#}", replay.json);
    assert!(replay.of_counter(Counter::SegmentsDeferred) >= 5);
    assert_eq!((replay.of_counter(Counter::Desyncs), replay.lacks("waiting")), (0, 0));
}

#[test]
fn an_early_segment_that_waits_in_vain_is_told() {
    let mut talk = Talk::new();
    talk.client += 3;
    talk.client("OOP\r\n");
    let replay = Replay::of_whole(&talk.capture().bytes(), &RANGE);
    assert_eq!(replay.lacks("waiting"), 1);
    assert_eq!(replay.of_counter(Counter::Commands), 0);
}

/// The capture, with a silence of so many milliseconds in front of the packets from `at` on.
fn silence(mut capture: Pcap, at: usize, milliseconds: u64) -> Pcap {
    capture.packets[at..].iter_mut().for_each(|packet| packet.time += milliseconds * 1_000);
    capture
}

#[test]
fn an_expectation_expires_by_the_captures_time() {
    let outcome = |seconds: &[u64], options: &[&str]| {
        let mut talk = Talk::new();
        talk.client("PASV\r\n");
        talk.server(PORT_10240);
        // The last silence is in front of the data connection, the others in front of a transfer command.
        let (last, before) = seconds.split_last().unwrap();
        let mut at = Vec::new();
        for silence in before {
            at.push((talk.frames.len(), *silence));
            talk.client("RETR a\r\n");
        }
        at.push((talk.frames.len(), *last));
        talk.connect(10_240);
        let capture = at.into_iter().fold(talk.capture(), |capture, (at, by)| silence(capture, at, by * 1_000));
        let replay = Replay::of_whole(&capture.bytes(), &[&RANGE, options].concat());
        (replay.of_counter(Counter::FlowsEstablished), replay.of_counter(Counter::DeniedExpired))
    };
    const BEGINS: (u64, u64) = (1, 0);
    const EXPIRED: (u64, u64) = (0, 1);
    assert_eq!(outcome(&[299], &[]), BEGINS);
    assert_eq!(outcome(&[301], &[]), EXPIRED);
    assert_eq!(outcome(&[200, 200], &[]), BEGINS, "a transfer command begins its time anew");
    assert_eq!(outcome(&[200, 301], &[]), EXPIRED);
    assert_eq!(outcome(&[301, 0], &[]), BEGINS, "also when it had passed: nobody had asked for it");
    assert_eq!(outcome(&[301], &["--expectation-timeout", "302"]), BEGINS);
    assert_eq!(outcome(&[3], &["--expectation-timeout", "2"]), EXPIRED);
    assert_eq!(outcome(&[400_000_000], &[]), EXPIRED, "longer than this machine has been up");
}

#[test]
fn what_a_server_leaves_unanswered_is_dropped_after_half_a_second_of_the_captures_time() {
    let outcome = |milliseconds: u64| {
        let mut talk = Talk::new();
        talk.client(" NOOP\r\n");
        // The server's acknowledgement, and no reply.
        talk.frames.push(Tcp::new(SERVER, CLIENT).at(talk.server, talk.client).frame());
        let at = talk.frames.len();
        talk.client("PORT 10,0,0,2,40,0\r\n");
        talk.server("200 ok\r\n");
        let replay = Replay::of_whole(&silence(talk.capture(), at, milliseconds).bytes(), &RANGE);
        (replay.of_counter(Counter::CommandsUnanswered), replay.of_counter(Counter::ExpectationsActive))
    };
    assert_eq!(outcome(700), (1, 1));
    assert_eq!(outcome(300), (0, 0));
}

#[test]
fn unfinished_connections_and_limits_are_forgotten_by_the_captures_time() {
    // Five attempts that nobody answers, and the sixth is answered: four unfinished ones are too many for a second.
    let outcome = |milliseconds: u64| {
        let mut talk = Talk::new();
        talk.client("PASV\r\n");
        talk.server(PORT_10240);
        let mut at = Vec::new();
        for port in 50_001..=50_005 {
            at.push(talk.frames.len());
            let client = format!("10.0.0.2:{port}");
            talk.frames.push(Tcp::new(&client, "10.0.0.1:10240").at(1, 0).flags(SYN).frame());
        }
        at.push(talk.frames.len());
        talk.connect(10_240);
        let capture = at.into_iter().fold(talk.capture(), |capture, at| silence(capture, at, milliseconds));
        let replay = Replay::of_whole(&capture.bytes(), &RANGE);
        (replay.of_counter(Counter::DeniedHalfOpen), replay.of_counter(Counter::FlowsEstablished))
    };
    assert_eq!(outcome(10), (2, 0));
    assert_eq!(outcome(300), (0, 1));

    // One session at a time: the second is not followed while the first lives, nor for a second after it was refused.
    let third_is_followed = |milliseconds: u64| {
        let mut frames = Vec::new();
        let mut at = 0;
        for (index, client) in ["10.0.0.2:40000", "10.0.0.2:40001", "10.0.0.2:40002"].into_iter().enumerate() {
            if index == 2 {
                frames.push(Tcp::new(SERVER, CLIENT).at(5_000, 1_000).flags(RST | ACK).frame());
                at = frames.len();
            }
            frames.push(Tcp::new(SERVER, client).at(4_999, 1_000).flags(SYN | ACK).frame());
            frames.push(Tcp::new(client, SERVER).at(1_000, 5_000).frame());
        }
        let capture = silence(Pcap::of(frames), at, milliseconds);
        let options = [&RANGE[..], &["--sessions-per-client", "1"]].concat();
        let replay = Replay::of_whole(&capture.bytes(), &options);
        assert!(replay.of_counter(Counter::SessionsOverLimit) >= 1);
        replay.of_counter(Counter::SessionsStarted) == 2
    };
    assert!(!third_is_followed(900));
    assert!(third_is_followed(1_100));
}

#[test]
fn every_denial_is_told_however_many_there_are() {
    let mut talk = Talk::new();
    let syn = |port: u16| Tcp::new(&format!("10.0.0.3:{port}"), "10.0.0.1:15000").at(1, 0).flags(SYN).frame();
    talk.frames.extend((1..=1_000).map(|port| syn(20_000 + port)));
    let replay = Replay::of_whole(&talk.capture().bytes(), &RANGE);
    assert_eq!(replay.strays().len(), 1_000);
    assert_eq!((replay.of_counter(Counter::DeniedPassive), replay.of_counter(Counter::EventsSuppressed)), (1_000, 0));
}

#[test]
fn a_hundred_thousand_packets_are_replayed_to_the_last() {
    let mut talk = Talk::new();
    talk.client("PASV\r\n");
    talk.server(PORT_10240);
    let (client, server) = ("10.0.0.2:50000", "10.0.0.1:10240");
    talk.frames.push(Tcp::new(client, server).at(1, 0).flags(SYN).frame());
    talk.frames.push(Tcp::new(server, client).at(1, 2).flags(SYN | ACK).frame());
    talk.frames.push(Tcp::new(client, server).at(2, 2).frame());
    let data = "d".repeat(1_000);
    for at in 0..50_000 {
        talk.frames.push(Tcp::new(server, client).at(2 + at * 1_000, 2).says(&data).frame());
        talk.frames.push(Tcp::new(client, server).at(2, 1_002 + at * 1_000).frame());
    }
    talk.frames.push(Tcp::new(server, client).at(50_000_002, 2).flags(FIN | ACK).frame());
    talk.frames.push(Tcp::new(client, server).at(2, 50_000_003).flags(FIN | ACK).frame());
    talk.frames.push(Tcp::new(server, client).at(50_000_003, 3).frame());
    let replay = Replay::of_whole(&talk.capture().bytes(), &RANGE);
    assert_eq!(replay.json["packets"], 100_000 + 5 + 3 + 6);
    let ended = entries(&replay.sessions()[0], "flow_ended");
    assert_eq!(ended[0]["bytes"], json!({ "client": 0, "server": 50_000_000 }));
    assert_eq!(replay.json["gaps"]["missing"], json!([]));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn whatever_bytes_a_capture_has_it_is_replayed(
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), 0usize..70, any::<u8>()), 0..200),
        cuts in proptest::collection::vec((any::<proptest::sample::Index>(), 0usize..80), 0..10),
        noise in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..5_000), 0..10),
        link in proptest::sample::select(&[0u32, 1, 12, 101, 108, 113, 276][..]),
    ) {
        let mut talk = Talk::new();
        talk.client("HELP\r\nPASV\r\n");
        talk.server(&format!("214-{}\r\n214 all\r\n{PORT_10240}", "x".repeat(9_000)));
        talk.connect(10_240);
        talk.frames.extend(noise);
        let mut capture = talk.capture();
        capture.link = link;
        for (packet, at, byte) in changes {
            let at = packet.get(&capture.packets).bytes.len().min(at);
            let packet = packet.index(capture.packets.len());
            if let Some(place) = capture.packets[packet].bytes.get_mut(at) {
                *place = byte;
            }
        }
        for (packet, length) in cuts {
            let packet = packet.index(capture.packets.len());
            capture.packets[packet].bytes.truncate(length);
        }
        let directory = file::directory();
        let path = directory.path().join("a.pcap");
        fs::write(&path, capture.bytes()).unwrap();
        let report = replay(Asked::resolve(&path, &Flags::default()).unwrap());
        let report = report.unwrap_or_else(|failure| panic!("{failure}"));
        prop_assert_eq!(report.read.packets, capture.packets.len() as u64);
        prop_assert!(!ftp_user::replay::text(&report).is_empty());
        prop_assert!(serde_json::to_string(&ReportRow::from(&report)).is_ok());
    }
}
