//! Other places to stand than a server's interface: on the client's side, and on `lo`.

use ftp_common::counter::Counter;
use ftptrack_tests::INSIDE;
use ftptrack_tests::actors::curl::{self, Mode};
use ftptrack_tests::actors::probe::{self, Outcome};
use ftptrack_tests::actors::server::{ACTIVE, CONTROL};
use ftptrack_tests::actors::vsftpd::{self, Vsftpd};
use ftptrack_tests::hosts::network::{Family, INTERFACE, Network};
use ftptrack_tests::subject::ftptrack::{Ftptrack, PinDirectory};
use ftptrack_tests::support::file;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

const LENGTH: u64 = 1 << 20;

#[test]
fn on_a_client_host_the_servers_lie_beyond() {
    let Network { server, client, .. } = &Network::new();
    let vsftpd = Vsftpd::on(server);
    let [original, arrived] = [vsftpd.file("original"), vsftpd.client_directory().join("arrived")];
    file::write_random(&original, LENGTH);
    let unexpected = || {
        Family::BOTH.map(|family| {
            let (to_server, to_client) = (server.at(family, INSIDE), client.at(family, INSIDE));
            let _listeners = [probe::listen(server, to_server), probe::listen(client, to_client)];
            (probe::to(client, to_server), probe::from_port(server, ACTIVE, to_client))
        })
    };
    assert_eq!(unexpected(), [(Outcome::Opened, Outcome::Opened); 2], "nothing is attached");

    let pins = PinDirectory::new();
    let [v4, v6] = Family::BOTH.map(|family| server.address(family).to_string());
    let options = ["-i", INTERFACE, "--passive-range", "10240-20480", "--side", "servers-beyond"];
    let options = [&options[..], &["--server", &v4, "--server", &v6]].concat();
    let ftptrack = Ftptrack::run(client, &pins, &options);
    assert_eq!(ftptrack.status().interfaces[0].side, "servers-beyond");
    assert_eq!(unexpected(), [(Outcome::Silence, Outcome::Silence); 2]);
    let denied = ftptrack.stats().denied();
    assert!(denied >= 4, "{:?}", ftptrack.stats());
    for family in Family::BOTH {
        for mode in [Mode::Epsv, Mode::Eprt] {
            curl::download(client, mode, &vsftpd::url(server, family, "original"), &arrived);
            assert_eq!(file::hash(&arrived), file::hash(&original), "{mode:?} {family:?}");
        }
    }
    let stats = ftptrack.stats();
    assert_eq!((stats.of(Counter::ExpectationsPassive), stats.of(Counter::ExpectationsActive)), (2, 2));
    assert_eq!((stats.of(Counter::FlowsEstablished), stats.denied()), (4, denied));
    ftptrack.stop();
}

#[test]
fn on_loopback_both_sides_speak() {
    let Network { server, .. } = &Network::new();
    let vsftpd = Vsftpd::on(server);
    let [original, arrived] = [vsftpd.file("original"), vsftpd.client_directory().join("arrived")];
    file::write_random(&original, LENGTH);
    let addresses: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    let unexpected = || {
        addresses.map(|address| {
            let target = SocketAddr::new(address, INSIDE);
            let _listener = probe::listen(server, target);
            probe::to(server, target)
        })
    };
    assert_eq!(unexpected(), [Outcome::Opened; 2], "nothing is attached");

    let pins = PinDirectory::new();
    let ftptrack = Ftptrack::run(server, &pins, &["-i", "lo", "--passive-range", "10240-20480"]);
    assert_eq!(unexpected(), [Outcome::Silence; 2]);
    assert_eq!(ftptrack.stats().of(Counter::DeniedPassive), 2);
    for address in addresses {
        let url = format!("ftp://{}/original", SocketAddr::new(address, CONTROL));
        for mode in [Mode::Epsv, Mode::Eprt] {
            curl::download(server, mode, &url, &arrived);
            assert_eq!(file::hash(&arrived), file::hash(&original), "{mode:?} {address}");
        }
    }
    let stats = ftptrack.stats();
    assert_eq!((stats.of(Counter::ExpectationsPassive), stats.of(Counter::ExpectationsActive)), (2, 2));
    assert_eq!((stats.of(Counter::FlowsEstablished), stats.denied()), (4, 2));
    assert_eq!(stats.of(Counter::Desyncs), 0);
    ftptrack.stop();
}
