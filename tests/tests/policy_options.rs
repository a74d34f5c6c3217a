//! What a policy may say beside ports, from the option or the file down to the packets.

use ftp_common::counter::Counter;
use ftptrack_tests::INSIDE;
use ftptrack_tests::actors::client::six_numbers;
use ftptrack_tests::actors::curl::{self, Mode};
use ftptrack_tests::actors::probe::{self, Outcome};
use ftptrack_tests::actors::server::{self, ACTIVE};
use ftptrack_tests::actors::vsftpd::{self, Vsftpd};
use ftptrack_tests::hosts::network::{Family, Network};
use ftptrack_tests::subject::conntrack;
use ftptrack_tests::subject::ftptrack::{self, Ftptrack, PinDirectory, USUAL};
use ftptrack_tests::subject::guarded::{Guarded, Testbed};
use ftptrack_tests::subject::report::Sides;
use ftptrack_tests::support::{file, wait};
use std::fs;
use std::io::{Read as _, Write as _};

const LENGTH: u64 = 1 << 20;

/// A firewall that lets in what has the mark, and has not the range open.
const BY_MARK: &str = r#"
table inet guard {
    chain input {
        type filter hook input priority 0; policy drop;
        iif "lo" accept
        meta l4proto { icmp, icmpv6 } accept
        tcp dport 21 accept
        meta mark & 0xff00 == 0x4200 accept
    }
}
"#;

#[test]
fn a_firewall_accepts_data_connections_by_their_mark_with_the_range_closed() {
    let Network { server, client, .. } = &Network::new();
    let vsftpd = Vsftpd::on(server);
    let [original, arrived] = [vsftpd.file("original"), vsftpd.client_directory().join("arrived")];
    file::write_random(&original, LENGTH);
    conntrack::load(server, BY_MARK);
    let pins = PinDirectory::new();
    let ftptrack = Ftptrack::run(server, &pins, &[&USUAL[..], &["--mark", "0x4200/0xff00"]].concat());
    for (mode, family) in [(Mode::Pasv, Family::V4), (Mode::Epsv, Family::V6), (Mode::Port, Family::V4)] {
        curl::download(client, mode, &vsftpd::url(server, family, "original"), &arrived);
        assert_eq!(file::hash(&arrived), file::hash(&original), "{mode:?}");
        curl::upload(client, mode, &vsftpd::url(server, family, "upload/back"), &original);
        fs::remove_file(vsftpd.file("upload/back")).expect("it came");
    }
    ftptrack.stop();

    // Without the mark the firewall keeps it shut.
    let ftptrack = Ftptrack::guarding(server, &pins);
    let mut curl = curl::command(client, Mode::Epsv);
    let output = ftptrack_tests::support::process::finish(curl.arg(vsftpd::url(server, Family::V4, "original")));
    assert!(!output.status.success(), "{output:?}");
    ftptrack.stop();
}

#[test]
fn active_mode_from_any_port_is_followed_and_a_new_policy_does_not_forget_where() {
    let testbed = Testbed::new();
    let Testbed { network: Network { server, client, .. }, .. } = &testbed;
    let Guarded { ftptrack, mut control, mut session, .. } = testbed.guarded_with(&["--active-port", "any"]);
    assert_eq!(ftptrack.policy().only().active_port, Some("any".into()));
    let listener = probe::listen(client, client.at(Family::V4, 0));
    let target = listener.local_addr().expect("a listener");
    let command = format!("PORT {}", six_numbers(target));
    server::exchange((&mut control, &mut session), &command, "200 ok");
    assert_eq!(ftptrack.expectations()[0].mode, "active");

    // Two policies: each half of the port classes is written anew.
    let directory = file::directory();
    let path = directory.path().join("any.toml");
    fs::write(&path, "[[server]]\npassive-range = \"10240-20480\"\nactive-port = \"any\"\n").expect("there is room");
    for _ in 0..2 {
        assert!(ftptrack.apply(&path).status.success());
    }
    let mut theirs = probe::connect(server, target).expect("no port is guarded");
    let (mut ours, _) = listener.accept().expect("it connected");
    theirs.write_all(&[1; 1000]).expect("it is open");
    ours.read_exact(&mut [0; 1000]).expect("it is open");
    wait::until("the flow is known", || ftptrack.flows().first().filter(|flow| flow.state == "established").map(drop));
    assert_eq!(ftptrack.flows()[0].mode, "active");
    // Unasked the server connects all the same, and nothing is denied.
    assert_eq!(probe::from_port(server, ACTIVE, target), Outcome::Opened);
    assert_eq!(ftptrack.stats().denied(), 0);
    ftptrack.stop();
}

#[test]
fn refused_modes_open_nothing_and_their_ports_stay_guarded() {
    let testbed = Testbed::new();
    let Testbed { network: Network { server, client, .. }, .. } = &testbed;
    let Guarded { ftptrack, mut control, mut session, .. } = testbed.guarded_with(&["--no-passive", "--no-active"]);
    let inside = server.at(Family::V4, INSIDE);
    assert_eq!(server::transfer(client, server, (&mut control, &mut session), INSIDE), Outcome::Silence);
    let listener = probe::listen(client, client.at(Family::V4, 0));
    let target = listener.local_addr().expect("a listener");
    let command = format!("PORT {}", six_numbers(target));
    server::exchange((&mut control, &mut session), &command, "200 ok");
    assert_eq!(probe::from_port(server, ACTIVE, target), Outcome::Silence);
    assert_eq!(probe::to(client, inside), Outcome::Silence);
    let stats = ftptrack.stats();
    assert_eq!((stats.of(Counter::RefusedPassiveOff), stats.of(Counter::RefusedActiveOff)), (1, 1));
    assert_eq!((stats.of(Counter::DeniedPassive), stats.of(Counter::DeniedActive)), (2, 1));
    ftptrack.stop();
}

#[test]
fn without_accounting_flows_are_known_and_not_counted() {
    let testbed = Testbed::new();
    let Testbed { network: Network { server, client, .. }, pins, .. } = &testbed;
    let Guarded { ftptrack, mut control, mut session, .. } = testbed.guarded_with(&["--no-accounting"]);
    let target = server.at(Family::V4, INSIDE);
    let listener = probe::listen(server, target);
    let mut ours =
        probe::connect(client, server::negotiated((&mut control, &mut session), target)).expect("the server said so");
    let (mut theirs, _) = listener.accept().expect("it connected");
    ours.write_all(&[1; 1000]).expect("it is open");
    theirs.read_exact(&mut [0; 1000]).expect("it is open");
    let flows = ftptrack.flows();
    assert_eq!((flows[0].state.as_str(), flows[0].bytes), ("established", Sides { client: 0, server: 0 }));
    let status = ftptrack::finish(server, pins, &["policy", "show"]);
    assert!(status.stdout.contains("accounting = false"), "{status:?}");
    ftptrack.stop();
}
