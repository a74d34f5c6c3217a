//! `ftptrack doctor` and the configurations of FTP servers.

use ftptrack_tests::actors::vsftpd::Vsftpd;
use ftptrack_tests::hosts::network::Network;
use ftptrack_tests::subject::doctor::Doctor;
use ftptrack_tests::subject::ftptrack::{self, PinDirectory};
use ftptrack_tests::support::file;
use rustix::mount::mount_bind;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

const RANGE: &str = "--passive-range 10240-20480";
const VSFTPD: &str = "listen=YES\nconnect_from_port_20=YES\n";

/// A configuration is put down, the doctor finds `what` in it, and what it says mends it.
#[track_caller]
fn is_mended(server: &str, text: &str, level: &str, what: &str, options: &str) -> String {
    let network = Network::new();
    let pins = PinDirectory::new();
    let directory = file::directory();
    let path = directory.path().join("ftpd.conf");
    fs::write(&path, text).expect("there is room");
    let doctor = Doctor::new(&network.server, &pins, format!("{options} --ftp-config {server}={}", path.display()));
    let found = doctor.mends(level, what);
    let left = doctor.of("ftp-server");
    assert!(left.iter().all(|finding| finding.level != "error"), "{left:#?}");
    found.fix.expect("it was run")
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
        let mend = is_mended("vsftpd", &text, "error", what, RANGE);
        assert!(mend.ends_with(" && systemctl restart vsftpd"), "{mend}");
        // The last line need not be ended.
        is_mended("vsftpd", text.trim_end(), "error", what, RANGE);
    }
    is_mended("vsftpd", &ranged("11000", "12000"), "note", "and the policy guards more: 10240-20480", RANGE);
    // One that is started for each session reads it each time.
    let mend = is_mended("vsftpd", "connect_from_port_20=YES\n", "error", "there is no passive range", RANGE);
    assert!(!mend.contains("systemctl"), "{mend}");
}

#[test]
fn and_for_proftpd_and_pure_ftpd() {
    let proftpd = |more: &str| format!("ServerName x\nRootRevoke off\n{more}");
    for (text, what) in [
        (proftpd("PassivePorts 20480 10240\n"), "the range 20480 10240 is reversed: proftpd refuses to start"),
        (proftpd(""), "there is no passive range: proftpd takes what the kernel gives"),
        (proftpd("  PassivePorts 40000 40010\n"), "proftpd uses 40000-40010, and the policy's range is 10240-20480"),
    ] {
        let mend = is_mended("proftpd", &text, "error", what, RANGE);
        assert!(mend.ends_with(" && systemctl restart proftpd"), "{mend}");
    }
    for (text, what) in [
        ("PassivePortRange 20480 10240\n", "the range 20480:10240 is reversed: pure-ftpd refuses to start"),
        ("Bind ,21\n", "there is no passive range: pure-ftpd uses any port"),
    ] {
        let mend = is_mended("pure-ftpd", text, "error", what, RANGE);
        assert!(mend.ends_with(" && systemctl restart pure-ftpd"), "{mend}");
    }
    let mend = is_mended("proftpd", &proftpd("ServerType inetd\n"), "error", "there is no passive range", RANGE);
    assert!(!mend.contains("systemctl"), "{mend}");
}

#[test]
fn what_mends_is_a_command_or_none() {
    let network = Network::new();
    let pins = PinDirectory::new();
    let directory = file::directory();
    let path = directory.path().join("ftpd.conf");
    let doctor = |server: &str, text: &str| {
        fs::write(&path, text).expect("there is room");
        Doctor::new(&network.server, &pins, format!("{RANGE} --ftp-config {server}={}", path.display()))
    };
    let range = "pasv_min_port=10240\npasv_max_port=20480\n";
    for (server, text, what) in [
        // The last line need not be ended.
        (
            "vsftpd",
            format!("listen=YES\n{range}").trim_end().to_owned(),
            "without connect_from_port_20=YES active data connections",
        ),
        ("proftpd", "PassivePorts 10240 20480\n".to_owned(), "without RootRevoke off active data connections"),
    ] {
        let doctor = doctor(server, &text);
        let found = doctor.finding(what).expect("it is found");
        assert_eq!(found.level, "warning");
        let mend = found.fix.expect("there is one");
        assert!(mend.ends_with(&format!(" && systemctl restart {server}")), "{mend}");
        doctor.run(&mend);
        assert!(doctor.finding(what).is_none(), "{:#?}", doctor.of("ftp-server"));
        let now = fs::read_to_string(&path).expect("our own");
        let (before, added) = now.trim_end().rsplit_once('\n').expect("lines");
        assert_eq!(before, text.trim_end());
        assert!(["connect_from_port_20=YES", "RootRevoke off"].contains(&added), "{added}");
        assert_eq!(doctor.of("ftp-server")[0].level, "ok");
    }
    let prose = doctor("vsftpd", &format!("{VSFTPD}{range}port_enable=perhaps\n"));
    let found = prose.finding("port_enable=perhaps is neither YES nor NO").expect("it is found");
    assert!(found.what.ends_with("; write YES or NO") && found.fix.is_none(), "{found:#?}");
}

#[test]
fn a_server_older_than_its_configuration_is_a_warning() {
    let network = Network::new();
    let pins = PinDirectory::new();
    let vsftpd = Vsftpd::on(&network.server);
    let path = vsftpd.settings();
    let doctor = Doctor::new(&network.server, &pins, format!("{RANGE} --ftp-config vsftpd={}", path.display()));
    let touch = |path: &Path, at: SystemTime| {
        fs::File::options().append(true).open(path).and_then(|file| file.set_modified(at)).expect("our own");
    };
    let old = "is older than";
    assert_eq!(doctor.of("ftp-server")[0].level, "ok", "{:#?}", doctor.of("ftp-server"));
    touch(&path, SystemTime::now() - Duration::from_secs(60));
    assert_eq!(doctor.finding(old).map(|found| found.what), None);
    touch(&path, SystemTime::now() + Duration::from_secs(60));
    let found = doctor.finding(old).expect("it is found");
    assert_eq!((found.level.as_str(), found.fix.as_deref()), ("warning", Some("systemctl restart vsftpd")));
    let what = format!(
        "vsftpd (pid {}) is older than {}: it may still go by what the file said before",
        vsftpd.id(),
        path.display()
    );
    assert_eq!(found.what, what);

    // It goes by its own file alone.
    let directory = file::directory();
    let other = directory.path().join("other.conf");
    fs::copy(&path, &other).expect("there is room");
    touch(&other, SystemTime::now() + Duration::from_secs(60));
    let of_other = Doctor::new(&network.server, &pins, format!("{RANGE} --ftp-config vsftpd={}", other.display()));
    assert_eq!(of_other.finding(old).map(|found| found.what), None);
    // And where none runs there is none.
    drop(vsftpd);
    let of_none = Doctor::new(&network.server, &pins, format!("{RANGE} --ftp-config vsftpd={}", other.display()));
    assert_eq!(of_none.of("ftp-server")[0].level, "ok");
}

#[test]
fn a_configuration_that_is_named_has_to_be_there() {
    let network = Network::new();
    let pins = PinDirectory::new();
    let directory = file::directory();
    let path = directory.path().join("vsftpdd.conf");
    for server in ["vsftpd", "proftpd", "pure-ftpd"] {
        let named = format!("{server}={}", path.display());
        let output = ftptrack::finish(&network.server, &pins, &["doctor", "--ftp-config", &named]);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let said = format!(
            "ftptrack: {}: No such file or directory (os error 2); give the path of the server's configuration\n",
            path.display()
        );
        assert_eq!((output.stdout.as_str(), output.stderr), ("", said));
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
    doctor.run(&found.fix.expect("it can be mended"));
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
    doctor.run(&found.fix.expect("it can be mended"));
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
