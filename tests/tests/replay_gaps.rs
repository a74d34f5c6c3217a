//! What a capture lacks is told by `ftptrack replay`, and not guessed over.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use ftp_common::counter::Counter;
use ftptrack_tests::actors::curl::{self, Mode};
use ftptrack_tests::actors::vsftpd::{self, Vsftpd};
use ftptrack_tests::hosts::network::{Family, INTERFACE, Network};
use ftptrack_tests::packets::pcap::{Packet, Pcap, Tcpdump, link};
use ftptrack_tests::subject::replay::{RANGE, Replay, entries, run, said};
use ftptrack_tests::support::file;
use ftptrack_tests::support::process;
use serde_json::json;

const LENGTH: u64 = 300_000;

/// Two downloads over one control connection.
#[track_caller]
fn two_downloads(options: &[&str]) -> Pcap {
    let Network { server, client, .. } = &Network::new();
    let vsftpd = Vsftpd::on(server);
    file::write_random(&vsftpd.file("original"), LENGTH);
    let url = vsftpd::url(server, Family::V4, "original");
    let tcpdump = Tcpdump::on(server, INTERFACE, options);
    let mut command = curl::command(client, Mode::Pasv);
    let output = process::finish(command.args(["-o", "/dev/null", &url, "-o", "/dev/null", &url]));
    assert!(output.status.success(), "{}", output.stderr);
    tcpdump.stop_after(6)
}

/// The payload of a segment on the control connection; IPv4 without options.
fn text(packet: &Packet) -> Option<&[u8]> {
    let tcp = packet.bytes.get(34..)?;
    let ports = [0, 2].map(|at| u16::from_be_bytes([tcp[at], tcp[at + 1]]));
    let end = 14 + usize::from(u16::from_be_bytes([packet.bytes[16], packet.bytes[17]]));
    let payload = packet.bytes.get(34 + usize::from(tcp[12] >> 4) * 4..end)?;
    ports.contains(&21).then_some(payload)
}

/// Number of the packet with the `nth` control segment that begins with `what`.
#[track_caller]
fn find(capture: &Pcap, what: &str, nth: usize) -> usize {
    let packets = capture.packets.iter().enumerate();
    let mut fits = packets.filter(|(_, packet)| text(packet).is_some_and(|text| text.starts_with(what.as_bytes())));
    fits.nth(nth).unwrap_or_else(|| panic!("no {what}")).0
}

#[test]
fn a_capture_cut_at_its_start_meets_its_sessions_in_the_middle() {
    let capture = two_downloads(&[]);
    // Within the login, and between a PASV and its answer: what was said before is unknown, so nothing opens until a
    // whole exchange was seen. That is so long before the second download.
    for from in [find(&capture, "331", 0) + 1, find(&capture, "227", 0)] {
        let cut = capture.filter(|at, _| at >= from).bytes();
        let replay = Replay::of_whole(&cut, &RANGE);
        let [session] = replay.sessions() else { panic!("{:#}", replay.json) };
        assert_eq!((&session["began"], &session["ended"]), (&json!(false), &json!(true)));
        assert_eq!(
            (replay.of_counter(Counter::SessionsMidstream), replay.of_counter(Counter::SessionsStarted)),
            (1, 0)
        );
        assert_eq!((replay.of_counter(Counter::Resyncs), replay.of_counter(Counter::Desyncs)), (1, 0));
        assert_eq!((replay.of_counter(Counter::DeniedPassive), replay.of_counter(Counter::FlowsEstablished)), (1, 1));
        assert!(run(&cut, &RANGE).stdout.contains("\n  its beginning is not in the capture\n"));
    }
}

#[test]
fn a_capture_that_ends_early_leaves_its_sessions_open() {
    let capture = two_downloads(&[]);
    let last = find(&capture, "QUIT", 0);
    let short = capture.filter(|at, _| at < last);
    let replay = Replay::of_whole(&short.bytes(), &RANGE);
    assert_eq!((&replay.sessions()[0]["began"], &replay.sessions()[0]["ended"]), (&json!(true), &json!(false)));
    assert!(run(&short.bytes(), &RANGE).stdout.contains("\n  its end is not in the capture\n"));
}

#[test]
fn segments_that_are_missing_in_the_middle_are_told_to_the_byte() {
    let capture = two_downloads(&[]);
    let lost = find(&capture, "PASV", 0);
    let replay = Replay::of_whole(&capture.filter(|at, _| at != lost).bytes(), &RANGE);
    let [session] = replay.sessions() else { panic!("{:#}", replay.json) };
    let missing = entries(session, "missing");
    assert_eq!(missing.len(), 1, "{:#}", replay.json);
    assert_eq!((&missing[0]["missing"], &missing[0]["sender"]), (&json!("PASV\r\n".len()), &session["client"]));
    let lacks = &replay.json["gaps"]["missing"];
    assert_eq!(
        lacks,
        &json!([{
            "sender": session["client"], "receiver": session["server"], "bytes": "PASV\r\n".len(), "places": 1,
        }])
    );
    assert!(replay.of_counter(Counter::Desyncs) > 0);
    assert_eq!(replay.of_counter(Counter::DeniedPassive), 1, "its 227 answers nothing");
    assert_eq!(replay.of_counter(Counter::FlowsEstablished), 1);
    let shown = run(&capture.filter(|at, _| at != lost).bytes(), &RANGE).stdout;
    assert!(shown.contains("  missing   6 bytes of "), "{shown}");
    assert!(shown.contains("\nnot in the capture\n  6 bytes from "), "{shown}");

    // Of a data connection: the numbers behind it say that it passed, and it is told that it is not there.
    let big = capture.packets.iter().enumerate().filter(|(_, packet)| packet.length > 1_000);
    let [(lost, packet), ..] = big.collect::<Vec<_>>()[..] else { panic!("no data") };
    let payload = packet.length - 14 - 20 - usize::from(packet.bytes[46] >> 4) * 4;
    let replay = Replay::of_whole(&capture.filter(|at, _| at != lost).bytes(), &RANGE);
    let lacks = replay.json["gaps"]["missing"].as_array().unwrap();
    assert_eq!((lacks.len(), &lacks[0]["bytes"]), (1, &json!(payload)), "{lacks:?}");
    let ended = entries(&replay.sessions()[0], "flow_ended");
    assert_eq!(ended[0]["bytes"]["server"], LENGTH);
}

#[test]
fn a_snap_length_that_cuts_text_is_told_and_data_counts_in_full() {
    // Ethernet, IPv4, TCP with its timestamps: 66 bytes.
    let capture = two_downloads(&["-s", "80"]);
    assert!(capture.packets.iter().any(|packet| packet.bytes.len() < packet.length));
    let replay = Replay::of_whole(&capture.bytes(), &RANGE);
    let (text, payload) = (replay.lacks("text_cut"), replay.lacks("payload_cut"));
    assert!(text > 0 && payload > 0, "{:#}", replay.json["gaps"]);
    assert_eq!(replay.lacks("headers_cut"), 0);
    assert_eq!(replay.json["gaps"]["missing"], json!([]), "they were captured, though not whole");
    assert!(replay.of_counter(Counter::Desyncs) > 0);
    assert_eq!(replay.of_counter(Counter::ExpectationsPassive), 0, "a 227 without its end names no port");
    assert_eq!(replay.of_counter(Counter::DeniedPassive), 2);
    let shown = run(&capture.bytes(), &RANGE).stdout;
    assert!(shown.contains(&format!("  {text} segments of control connections are cut by a snap length")), "{shown}");

    // A snap length that spares the text: what is cut of the data counts.
    let whole = two_downloads(&["-s", "200"]);
    let replay = Replay::of_whole(&whole.bytes(), &RANGE);
    assert_eq!((replay.lacks("text_cut"), replay.of_counter(Counter::FlowsEnded)), (0, 2));
    assert!(replay.lacks("payload_cut") > 0);
    for ended in entries(&replay.sessions()[0], "flow_ended") {
        assert_eq!(ended["bytes"]["server"], LENGTH);
    }
}

#[test]
fn a_snap_length_that_cuts_headers_leaves_nothing_to_judge() {
    let capture = two_downloads(&["-s", "50"]);
    let replay = Replay::of_whole(&capture.bytes(), &RANGE);
    assert_eq!(replay.lacks("headers_cut"), capture.packets.len() as u64);
    assert_eq!((replay.sessions().len(), replay.strays().len()), (0, 0));
    assert!(run(&capture.bytes(), &RANGE).stdout.contains("packets are cut in their headers by a snap length"));
}

#[test]
fn a_damaged_file_shows_what_stands_before_the_damage_and_fails() {
    let capture = two_downloads(&[]);
    let (file, second) = (capture.bytes(), find(&capture, "PASV", 1));
    let place = capture.filter(|at, _| at < second).bytes().len();
    let mut damaged = file.clone();
    damaged[place + 8..place + 12].copy_from_slice(&262_145_u32.to_le_bytes());
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&file).unwrap();
    let mut compressed = encoder.finish().unwrap();
    compressed.truncate(compressed.len() * 3 / 4);
    let packet = second + 1;
    let at = format!("damaged at byte {place}, where packet {packet} should stand: ");
    for (name, bytes, what) in [
        ("cut", file[..place + 20].to_vec(), format!("{at}it ends in the middle")),
        ("overwritten", damaged, format!("{at}it says that it is longer than any packet")),
        ("compressed", compressed, "should stand: its bytes can't be read".to_owned()),
    ] {
        let replay = Replay::of(&bytes, &RANGE);
        assert_eq!(replay.code, Some(1), "{name}");
        let last = replay.stderr.lines().last().unwrap();
        assert!(last.starts_with("ftptrack: ") && last.contains(&what), "{name}: {}", replay.stderr);
        assert_eq!(replay.stderr.lines().filter(|line| line.starts_with("ftptrack: ")).count(), 1);
        assert!(replay.json["damage"].as_str().unwrap().contains(&what), "{name}");
        assert_eq!(said(&replay.sessions()[0])[..2], ["session_started", "<220"], "{name}");
        if name != "compressed" {
            assert_eq!(
                (&replay.json["packets"], replay.of_counter(Counter::FlowsEnded)),
                (&json!(second), 1),
                "{name}"
            );
        }
    }
}

#[test]
fn what_is_no_capture_fails_in_one_line() {
    let of = |bytes: &[u8]| {
        let output = run(bytes, &[]);
        assert_eq!((output.status.code(), &*output.stdout), (Some(1), ""));
        output.stderr
    };
    let remedy = "give a pcap or pcapng file, as tcpdump -w and Wireshark write\n";
    assert!(of(b"").ends_with(&format!("a.pcap: it is empty; {remedy}")));
    assert!(of(b"220 this is no capture, is it?\r\n").ends_with(&format!("a.pcap: it is no capture; {remedy}")));
    let mut wireless = two_frames();
    wireless.link = 105;
    assert!(of(&wireless.bytes()).contains("a.pcap: its link layer is LINKTYPE 105, which is unsupported; capture on"));
    wireless.link = link::ETHERNET;
    assert_eq!(Replay::of_whole(&wireless.bytes(), &[]).json["packets"], 2);
}

fn two_frames() -> Pcap {
    Pcap::of([vec![0; 60], vec![1; 60]])
}
