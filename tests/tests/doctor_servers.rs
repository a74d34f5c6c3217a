//! `ftptrack doctor` and the configurations of FTP servers.

use ftptrack_tests::doctor::Doctor;
use ftptrack_tests::file;
use ftptrack_tests::ftptrack::PinDirectory;
use ftptrack_tests::network::Network;
use rustix::mount::mount_bind;
use std::fs;

const RANGE: &str = "--passive-range 10240-20480";
const VSFTPD: &str = "listen=YES\nconnect_from_port_20=YES\n";

/// A configuration is put down, the doctor finds `what` in it, and what it says mends it.
#[track_caller]
fn is_mended(server: &str, text: &str, level: &str, what: &str, options: &str) {
    let network = Network::new();
    let pins = PinDirectory::new();
    let directory = file::directory();
    let path = directory.path().join("ftpd.conf");
    fs::write(&path, text).expect("there is room");
    let doctor = Doctor::new(&network.server, &pins, format!("{options} --ftp-config {server}={}", path.display()));
    doctor.mends(level, what);
    let left = doctor.of("ftp-server");
    assert!(left.iter().all(|finding| finding.level != "error"), "{left:#?}");
}

#[test]
fn a_range_that_is_swapped_missing_or_another_is_mended_for_vsftpd() {
    let ranged = |min: &str, max: &str| format!("{VSFTPD}pasv_min_port={min}\npasv_max_port={max}\n");
    for (text, what) in [
        (ranged("20480", "10240"), "the range is reversed: vsftpd ignores pasv_max_port=10240"),
        (VSFTPD.to_owned(), "there is no passive range: vsftpd uses any port"),
        (ranged("30000", "30100"), "vsftpd uses 30000-30100, and the policy's range is 10240-20480"),
        (ranged("10240", "20481"), "vsftpd uses 10240-20481, and the policy's range is 10240-20480"),
    ] {
        is_mended("vsftpd", &text, "error", what, RANGE);
    }
    is_mended("vsftpd", &ranged("11000", "12000"), "note", "and the policy guards more: 10240-20480", RANGE);
}

#[test]
fn and_for_proftpd_and_pure_ftpd() {
    let proftpd = |more: &str| format!("ServerName x\nRootRevoke off\n{more}");
    for (text, what) in [
        (proftpd("PassivePorts 20480 10240\n"), "the range 20480 10240 is reversed: proftpd refuses to start"),
        (proftpd(""), "there is no passive range: proftpd takes what the kernel gives"),
        (proftpd("  PassivePorts 40000 40010\n"), "proftpd uses 40000-40010, and the policy's range is 10240-20480"),
    ] {
        is_mended("proftpd", &text, "error", what, RANGE);
    }
    for (text, what) in [
        ("PassivePortRange 20480 10240\n", "the range 20480:10240 is reversed: pure-ftpd refuses to start"),
        ("Bind ,21\n", "there is no passive range: pure-ftpd uses any port"),
    ] {
        is_mended("pure-ftpd", text, "error", what, RANGE);
    }
}

#[test]
fn ftps_that_will_be_cut_is_a_warning() {
    let text = format!("{VSFTPD}pasv_min_port=10240\npasv_max_port=20480\nssl_enable=YES\n");
    let what = "vsftpd offers FTPS, and the policy has ftps = \"deny\"";
    // The policy may be a file, or stand on the command line.
    let directory = file::directory();
    let policy = directory.path().join("config.toml");
    fs::write(&policy, "[[server]]\npassive-range = \"10240-20480\"\n").expect("there is room");
    is_mended("vsftpd", &text, "warning", what, &format!("--config {}", policy.display()));

    let network = Network::new();
    let pins = PinDirectory::new();
    let path = directory.path().join("vsftpd.conf");
    fs::write(&path, text).expect("there is room");
    let ask = |options: &str| format!("{options} --ftp-config vsftpd={}", path.display());
    let doctor = Doctor::new(&network.server, &pins, ask(&format!("-i eth0 {RANGE}")));
    let found = doctor.finding(what).expect("it is found");
    doctor.run(&found.mend.expect("it can be mended"));
    // What is in force now.
    let in_force = Doctor::new(&network.server, &pins, ask(""));
    assert_eq!(in_force.finding(what).map(|found| found.what), None);
    in_force.run(&format!("ftptrack --pin-dir {} detach --all", pins.path().display()));
}

#[test]
fn a_control_port_that_the_policy_does_not_read_is_an_error() {
    let text = format!("{VSFTPD}pasv_min_port=10240\npasv_max_port=20480\nlisten_port=2121\n");
    let network = Network::new();
    let pins = PinDirectory::new();
    let directory = file::directory();
    let path = directory.path().join("vsftpd.conf");
    fs::write(&path, text).expect("there is room");
    let ask = |options: &str| format!("{options} --ftp-config vsftpd={}", path.display());
    let doctor = Doctor::new(&network.server, &pins, ask(&format!("-i eth0 {RANGE}")));
    let what = "vsftpd listens on port 2121, which is no control port of the policy";
    let found = doctor.finding(what).expect("it is found");
    assert_eq!(found.level, "error");
    doctor.run(&found.mend.expect("it can be mended"));
    let in_force = Doctor::new(&network.server, &pins, ask(""));
    assert_eq!(in_force.finding(what).map(|found| found.what), None);
    in_force.run(&format!("ftptrack --pin-dir {} detach --all", pins.path().display()));
}

#[test]
fn the_usual_places_are_looked_at() {
    let network = Network::new();
    // Its thread has mounts of its own from here on.
    let pins = PinDirectory::new();
    let directory = file::directory();
    let path = directory.path().join("vsftpd.conf");
    fs::write(&path, format!("{VSFTPD}pasv_min_port=20480\npasv_max_port=10240\n")).expect("there is room");
    mount_bind(&path, "/etc/vsftpd.conf").expect("root may; vsftpd is installed");
    let doctor = Doctor::new(&network.server, &pins, RANGE);
    let found = doctor.finding("the range is reversed").expect("it is found");
    assert!(found.what.starts_with("/etc/vsftpd.conf:4: "), "{}", found.what);
}
