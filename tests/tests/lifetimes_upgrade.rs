//! `attach` over a filter that is in force: the programs are exchanged, and nothing else changes.

use ftp_common::ABI_VERSION;
use ftp_common::counter::Counter;
use ftptrack_tests::INSIDE;
use ftptrack_tests::actors::client::Client;
use ftptrack_tests::actors::server::{self, CONTROL, Server};
use ftptrack_tests::actors::vsftpd::Vsftpd;
use ftptrack_tests::actors::{knock, probe};
use ftptrack_tests::hosts::network::{Family, Host, Network};
use ftptrack_tests::subject::ftptrack::{self, PinDirectory, USUAL};
use ftptrack_tests::subject::hooks;
use ftptrack_tests::subject::report::{Expectation, Session, Stats, Status};
use ftptrack_tests::support::file;
use std::fs;
use std::io::{Read as _, Write as _};

const TIMES: usize = 3;
/// More than sockets hold, so that the server can't be done before the client reads.
const LENGTH: u64 = 64 << 20;
/// What the client reads of it before the first upgrade, and after each.
const PIECE: usize = 1 << 20;

fn attach(hook: &str) -> Vec<&str> {
    [&["attach"], &USUAL[..], &["--hook", hook, "--force"]].concat()
}

/// The programs at both hooks, one number each.
fn ids(host: &Host) -> Vec<u32> {
    let ids: Vec<_> = hooks::attached(host).iter().map(|program| program.id).collect();
    assert_eq!(ids.len(), 2, "{ids:?}");
    ids
}

#[test]
fn programs_are_exchanged_in_place_and_all_that_they_knew_goes_on() {
    let Network { server, client, third, .. } = &Network::new();
    let vsftpd = Vsftpd::on(server);
    let original = vsftpd.file("original");
    file::write_random(&original, LENGTH);
    // Scripted sessions come to another address.
    server.namespace.ip("address add 10.0.0.9/24 dev eth0");
    let ftp = Server::at(server, "10.0.0.9:2121".parse().expect("an address"));
    for hook in hooks::known() {
        let pins = PinDirectory::new();
        ftptrack::succeed(
            server,
            &pins,
            &[&attach(hook)[..], &["--control-port", "21", "--control-port", "2121"]].concat(),
        );
        // A transfer from the real server, which is read in pieces.
        let mut real = Client::logged_in(client, server.at(Family::V4, CONTROL));
        real.command("TYPE I").must_be(200);
        let mut transfer = probe::connect(client, real.passive()).expect("the server said so");
        real.command("RETR original").must_be(150);
        let mut arrived = vec![0; PIECE];
        transfer.read_exact(&mut arrived).expect("the server sends");
        let (mut control, mut session) = ftp.session_with(client);
        let target = "10.0.0.9:15001".parse().expect("an address");
        let listener = probe::listen(server, target);
        server::negotiated((&mut control, &mut session), target);
        let before = ids(server);
        let disciplines = hooks::disciplines(server);

        let (tried, accepted, ()) = knock::while_doing(third, server, server.at(Family::V4, INSIDE), || {
            for _ in 0..TIMES {
                let before = ids(server);
                // No interface and no policy is named: all stays as it is, by this program.
                ftptrack::succeed(server, &pins, &["attach", "--force"]);
                assert!(ids(server).iter().all(|id| !before.contains(id)), "exchanged");
                let mut piece = vec![0; PIECE];
                transfer.read_exact(&mut piece).expect("the server goes on");
                arrived.extend(piece);
            }
        });
        println!("{hook}: {tried} connections that nobody negotiated, {accepted} accepted");
        assert!(tried > 1000 && accepted == 0, "{hook}: {accepted} of {tried}");
        assert!(ids(server).iter().all(|id| !before.contains(id)));
        assert_eq!(hooks::disciplines(server), disciplines);

        // The expectation of before is honoured, once; the session of before negotiates again.
        let expected: Vec<Expectation> = ftptrack::query(server, &pins, "expectations");
        assert_eq!(expected.len(), 1, "{expected:?}");
        let mut ours = probe::connect(client, target).expect("it was negotiated before");
        let (mut theirs, _) = listener.accept().expect("it connected");
        theirs.write_all(b"bytes").expect("it is open");
        ours.read_exact(&mut [0; 5]).expect("it is open");
        assert!(probe::connect(client, target).is_err(), "it is used up");
        drop((listener, ours, theirs));
        control.send("PASV\r\n");
        session.hears("PASV");
        let target = "10.0.0.9:15002".parse().expect("an address");
        let listener = probe::listen(server, target);
        session.say_passive(target);
        assert_eq!(control.reply().six_numbers(), target);
        probe::connect(client, target).expect("the server said so");
        drop(listener);
        let sessions: Vec<Session> = ftptrack::query(server, &pins, "sessions");
        assert_eq!(sessions.len(), 2, "{sessions:?}");

        transfer.read_to_end(&mut arrived).expect("the server goes on");
        drop(transfer);
        real.reply().must_be(226);
        assert!(arrived == fs::read(&original).expect("our own"), "{hook}: other bytes arrived");
        // All of its bytes were counted, before and after.
        let stats: Stats = ftptrack::query(server, &pins, "stats");
        assert_eq!((stats.of(Counter::FlowsEstablished), stats.of(Counter::Desyncs)), (3, 0), "{stats:?}");
        ftptrack::succeed(server, &pins, &["detach", "--all"]);
        assert_eq!(hooks::attached(server), []);
    }
}

#[test]
fn maps_of_another_shape_are_refused_and_replaced_without_a_moment_of_openness() {
    let Network { server, client, third, .. } = &Network::new();
    let target = server.at(Family::V4, INSIDE);
    let ftp = Server::on(server, Family::V4);
    for hook in hooks::known() {
        let pins = PinDirectory::new();
        ftptrack::succeed(server, &pins, &attach(hook));
        // What a build with another shape of maps would have left, as far as this one can tell.
        let version = |number| pins.path().join(format!("v{number}"));
        fs::rename(version(ABI_VERSION), version(ABI_VERSION + 1)).expect("root may");
        let before = hooks::attached(server);
        for (arguments, remedy) in [
            (&attach(hook)[..], "--replace"),
            (&["status"], "--replace"),
            (&["attach", "--replace"], "give the policy"),
        ] {
            let refused = ftptrack::finish(server, &pins, arguments);
            assert!(!refused.status.success() && refused.stderr.lines().count() == 1, "{refused:?}");
            assert!(refused.stderr.contains(remedy), "{refused:?}");
            assert_eq!(hooks::attached(server), before);
        }
        let (tried, accepted, ()) = knock::while_doing(third, server, target, || {
            // First from another version, then from the same.
            for arguments in [[&attach(hook)[..], &["--replace"]].concat(), vec!["attach", "--replace", "--force"]] {
                let before = ids(server);
                ftptrack::succeed(server, &pins, &arguments);
                assert!(ids(server).iter().all(|id| !before.contains(id)), "exchanged");
            }
        });
        println!("{hook}: {tried} connections that nobody negotiated, {accepted} accepted");
        assert!(tried > 1000 && accepted == 0, "{hook}: {accepted} of {tried}");
        assert!(!version(ABI_VERSION + 1).exists());
        hooks::wait_until_gone(&before);
        let status: Status = ftptrack::query(server, &pins, "status");
        assert_eq!(status.policy.only().passive_range.as_deref(), Some("10240-20480"));
        let (mut control, mut session) = ftp.session_with(client);
        let opened = server::transfer(client, server, (&mut control, &mut session), INSIDE + 1);
        assert_eq!(opened, probe::Outcome::Opened);
        ftptrack::succeed(server, &pins, &["detach", "--all"]);
        assert_eq!((hooks::attached(server), pins.entries()), (vec![], vec![]));
    }
}
