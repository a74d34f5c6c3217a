//! vsftpd and curl through ftptrack: each way of negotiating, over each family where it exists.

use ftp_common::counter::Counter;
use ftptrack_tests::INSIDE;
use ftptrack_tests::actors::curl::{self, Mode};
use ftptrack_tests::actors::probe::{self, Outcome};
use ftptrack_tests::actors::server::ACTIVE;
use ftptrack_tests::actors::vsftpd::{self, Vsftpd};
use ftptrack_tests::hosts::network::{Family, Host, Network};
use ftptrack_tests::subject::ftptrack::{Ftptrack, PinDirectory};
use ftptrack_tests::support::file;
use ftptrack_tests::support::wait;

const LENGTH: u64 = 64 << 20;

#[test]
fn pasv_over_ipv4_carries_files_both_ways() {
    carries_files_both_ways(Mode::Pasv, Family::V4);
}

#[test]
fn epsv_over_ipv4_carries_files_both_ways() {
    carries_files_both_ways(Mode::Epsv, Family::V4);
}

#[test]
fn epsv_over_ipv6_carries_files_both_ways() {
    carries_files_both_ways(Mode::Epsv, Family::V6);
}

#[test]
fn port_over_ipv4_carries_files_both_ways() {
    carries_files_both_ways(Mode::Port, Family::V4);
}

#[test]
fn eprt_over_ipv4_carries_files_both_ways() {
    carries_files_both_ways(Mode::Eprt, Family::V4);
}

#[test]
fn eprt_over_ipv6_carries_files_both_ways() {
    carries_files_both_ways(Mode::Eprt, Family::V6);
}

#[track_caller]
fn carries_files_both_ways(mode: Mode, family: Family) {
    let Network { server, client, .. } = &Network::new();
    let vsftpd = Vsftpd::on(server);
    let [original, arrived] = [vsftpd.file("original"), vsftpd.client_directory().join("arrived")];
    file::write_random(&original, LENGTH);
    // The kind of connection that these transfers make, without a negotiation.
    let unexpected = || match mode {
        Mode::Pasv | Mode::Epsv => connects(client, 0, server, family),
        Mode::Port | Mode::Eprt => connects(server, ACTIVE, client, family),
    };
    assert_eq!(unexpected(), Outcome::Opened, "nothing is attached");

    let pins = PinDirectory::new();
    let ftptrack = Ftptrack::guarding(server, &pins);
    assert_eq!(unexpected(), Outcome::Silence);

    curl::download(client, mode, &vsftpd::url(server, family, "original"), &arrived);
    curl::upload(client, mode, &vsftpd::url(server, family, "upload/back"), &arrived);
    let hash = file::hash(&original);
    assert_eq!(file::hash(&arrived), hash, "downloaded");
    assert_eq!(file::hash(&vsftpd.file("upload/back")), hash, "uploaded");

    // curl has its last reply before the last FIN has passed.
    wait::until("both sessions and both flows end", || {
        let stats = ftptrack.stats();
        (stats.of(Counter::SessionsEnded) == 2 && stats.of(Counter::FlowsEnded) == 2).then_some(())
    });
    let stats = ftptrack.stats();
    let (kind, other, denial) = match mode {
        Mode::Pasv | Mode::Epsv => (Counter::ExpectationsPassive, Counter::ExpectationsActive, Counter::DeniedPassive),
        Mode::Port | Mode::Eprt => (Counter::ExpectationsActive, Counter::ExpectationsPassive, Counter::DeniedActive),
    };
    assert_eq!(stats.of(Counter::SessionsStarted), 2);
    assert_eq!((stats.of(kind), stats.of(other)), (2, 0));
    assert_eq!(stats.of(Counter::FlowsEstablished), 2);
    assert_eq!((stats.of(denial), stats.denied()), (1, 1), "the probe, and nothing else");
    assert_eq!((stats.refused(), stats.of(Counter::Desyncs), stats.of(Counter::MapErrors)), (0, 0, 0));
    assert_eq!(ftptrack.expectations().len(), 0, "both are used up");
    ftptrack.stop();
}

/// Whether a connection begins from a port of `from` to a port inside the range of `to`, where
/// somebody listens.
#[track_caller]
fn connects(from: &Host, port: u16, to: &Host, family: Family) -> Outcome {
    let target = to.at(family, INSIDE);
    let _listener = probe::listen(to, target);
    probe::from_port(from, port, target)
}
