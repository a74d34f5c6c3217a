//! Each directory below `samples` is a server's configuration, with the policy and the warnings that
//! it comes to. The configurations are such as the servers' packages and the tutorials have them.

use super::*;
use crate::policy::Ftps;
use std::fs;
use std::path::PathBuf;

fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/import/samples")
}

/// What Linux has by default.
fn usual_local_ports() -> Option<LocalPorts> {
    LocalPorts::read("32768\t60999\n", "\n")
}

#[track_caller]
fn comes_to(server: Server, sample: &str, input: &str) {
    let directory = samples().join(sample);
    let path = directory.join(input);
    let imported = find(server, &path).unwrap().finish(server, &path, usual_local_ports());
    let without_directory = |text: &str| text.replace(&format!("{}/", directory.display()), "");
    let expected = |name: &str| fs::read_to_string(directory.join(name)).unwrap_or_default();
    let warnings: String = imported.warnings.iter().map(|line| format!("{line}\n")).collect();
    assert_eq!(without_directory(&imported.text), expected("policy.toml"), "{sample}");
    assert_eq!(without_directory(&warnings), expected("warnings.txt"), "{sample}");
    // Said otherwise among the warnings.
    if !warnings.contains("the policy will be refused") {
        let mut complaints = Complaints::default();
        let _ = read_text("policy", &imported.text, &mut complaints).resolve(&mut complaints);
        assert_eq!(complaints.into_result(), Ok(()));
    }
}

#[test]
fn vsftpd() {
    for sample in ["as-packaged", "for-ftptrack", "reversed", "one-end", "odd-numbers", "much", "refused-modes"] {
        comes_to(Server::Vsftpd, &format!("vsftpd/{sample}"), "vsftpd.conf");
    }
}

#[test]
fn proftpd() {
    for sample in ["as-packaged", "for-ftptrack", "reversed", "virtual-hosts", "same-address", "much"] {
        comes_to(Server::Proftpd, &format!("proftpd/{sample}"), "proftpd.conf");
    }
}

#[test]
fn pure_ftpd() {
    for (sample, input) in [
        ("as-packaged", "conf"),
        ("for-ftptrack", "conf"),
        ("one-file", "pure-ftpd.conf"),
        ("reversed", "pure-ftpd.conf"),
        ("unit", "pure-ftpd.service"),
        ("much", "command-line"),
    ] {
        comes_to(Server::PureFtpd, &format!("pure-ftpd/{sample}"), input);
    }
}

#[test]
fn every_sample_is_tried() {
    let directories =
        |path: PathBuf| fs::read_dir(path).unwrap().filter(|entry| entry.as_ref().unwrap().path().is_dir());
    let count: usize =
        ["vsftpd", "proftpd", "pure-ftpd"].map(|name| directories(samples().join(name)).count()).iter().sum();
    assert_eq!(count, 7 + 6 + 6);
}

#[test]
fn the_command_line_of_a_process_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("cmdline");
    fs::write(&path, ["pure-ftpd (SERVER)", "-p40000:40010", "-HS", "192.0.2.1,2121", "--tls=1", ""].join("\0"))
        .unwrap();
    let found = find(Server::PureFtpd, &path).unwrap().servers.remove(0);
    assert_eq!(found.rules.passive_range.unwrap().to_string(), "40000-40010");
    assert_eq!(found.rules.control_ports, [2121]);
    assert_eq!(found.prefixes, ["192.0.2.1/32".parse().unwrap()]);
    assert_eq!(found.rules.ftps, Ftps::Learn);
}

#[test]
fn a_missing_file_is_a_failure() {
    for server in [Server::Vsftpd, Server::Proftpd, Server::PureFtpd] {
        let failure = import(server, Path::new("/nonexistent/file")).unwrap_err();
        assert!(failure.to_string().starts_with("/nonexistent/file: No such file"), "{failure}");
    }
}

#[test]
fn what_a_configuration_has_in_it_steers_no_terminal_and_is_toml_still() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("vsftpd.conf");
    fs::write(&path, "pasv_address=a\u{1b}[2J\rb\nlisten=\u{9b}\nlisten_ipv6=YES\n").unwrap();
    let Imported { text, warnings } = import(Server::Vsftpd, &path).unwrap();
    assert!(text.contains(r"pasv_address=a\u{1b}[2J\u{d}b"), "{text}");
    assert!(warnings.iter().any(|line| line.contains(r"listen=\u{9b} is neither YES nor NO")), "{warnings:?}");
    let mut complaints = Complaints::default();
    let _ = read_text("policy", &text, &mut complaints).resolve(&mut complaints);
    assert_eq!(complaints.into_result(), Ok(()), "{text}");
}
