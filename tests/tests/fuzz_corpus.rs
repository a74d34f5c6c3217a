//! The kept inputs of the fuzz targets that need nothing of the machine, and such as a fuzzer makes of them.

use ftptrack_tests::suites::fuzzing::capture::capture;
use ftptrack_tests::suites::fuzzing::config_file::config_file;
use ftptrack_tests::suites::fuzzing::corpus::{self, alter, mutate, replay};
use ftptrack_tests::suites::fuzzing::doctor_answers::{self, doctor_answers};
use ftptrack_tests::suites::model::fuzz::flow_machine;

#[test]
fn the_server_accepts_what_was_negotiated_whatever_the_story_is() {
    replay("flow_machine", flow_machine);
    mutate("flow_machine", corpus::FTP, 2_000, flow_machine);
    alter("flow_machine", 2_000, flow_machine);
}

#[test]
fn a_configuration_keeps_its_promises_or_says_what_is_wrong() {
    const NOISE: &[u8] = b"\n\n\"'=[],{}#.-:/ \\\t\r\x1b\0\xc2\x9b\xffaf019";
    replay("config_file", config_file);
    mutate("config_file", NOISE, 2_000, config_file);
    alter("config_file", 2_000, config_file);
}

#[test]
fn a_capture_is_read_to_its_end_whatever_it_says_of_itself() {
    const NOISE: &[u8] = &[0, 0, 0, 1, 2, 6, 8, 20, 0x45, 0x60, 0x1f, 0x8b, 0x7f, 0x80, 0xff];
    replay("capture", capture);
    mutate("capture", NOISE, 500, capture);
    alter("capture", 1_000, capture);
}

#[test]
fn what_the_doctor_cannot_read_is_never_fine() {
    const NOISE: &[u8] = b"\n\n\"'{}[],:!@-*. \\\t\r\x1b\0\xc2\x9b\xffA01";
    replay("doctor_answers", doctor_answers);
    mutate("doctor_answers", NOISE, 500, doctor_answers);
    alter("doctor_answers", 1_000, doctor_answers);
}

#[test]
fn what_it_can_read_is() {
    let accepts = "*filter\n:INPUT DROP [0:0]\n-A INPUT -s 10.9.0.0/16 -j DROP\n-A INPUT -p tcp -j ACCEPT\nCOMMIT\n";
    let both = [("nft", r#"{"nftables": []}"#), ("iptables-nft", accepts), ("ip6tables-legacy", "")];
    let found = doctor_answers::findings(&both);
    assert!(doctor_answers::is_fine(&found), "{found:#?}");
    let shut = doctor_answers::findings(&[("nft", r#"{"nftables": []}"#), ("iptables-nft", ":INPUT DROP\n")]);
    assert!(!doctor_answers::is_fine(&shut), "{shut:#?}");
}
