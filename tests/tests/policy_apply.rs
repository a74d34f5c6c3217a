//! A policy is applied while traffic goes on: nothing passes that shouldn't, nothing breaks, and it
//! does not matter when the one who applies it is killed.

use aya::maps::MapData;
use aya::maps::lpm_trie::LpmTrie;
use ftp_common::counter::Counter;
use ftptrack_tests::INSIDE;
use ftptrack_tests::actors::client::Client;
use ftptrack_tests::actors::curl::{self, Mode};
use ftptrack_tests::actors::probe;
use ftptrack_tests::actors::server::{ACTIVE, Server, Session, negotiated};
use ftptrack_tests::actors::vsftpd::{self, Vsftpd};
use ftptrack_tests::hosts::network::{Family, Host, INTERFACE, Network};
use ftptrack_tests::packets::flood::{Attached, spoofed};
use ftptrack_tests::packets::segment::{Segment, flag};
use ftptrack_tests::subject::ftptrack::{self, Ftptrack, PinDirectory};
use ftptrack_tests::support::{file, process};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv6Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const TIMES: usize = 100;
/// How long it may take until enough of them were killed.
const ENOUGH: Duration = Duration::from_secs(120);
const LENGTH: u64 = 4 << 20;
/// A second control port: vsftpd has the first.
const SECOND: u16 = 2121;
const OPTIONS: [&str; 8] =
    ["-i", INTERFACE, "--passive-range", "10240-20480", "--control-port", "21", "--control-port", "2121"];

/// Policies that agree on the server here and differ in all else: its place, the classes of other
/// ports, the number of servers and of prefixes.
struct Policies {
    _directory: TempDir,
    files: [PathBuf; 3],
}

impl Policies {
    fn new() -> Self {
        let directory = file::directory();
        let write = |name: &str, text: String| {
            let path = directory.path().join(name);
            fs::write(&path, text).expect("there is room");
            path
        };
        let usual = "passive-range = \"10240-20480\"\ncontrol-ports = [21, 2121]\n";
        let other =
            |n: u32| format!("[[server]]\naddress = \"198.51.{n}.0/24\"\npassive-range = \"{}-60000\"\n", 30_000 + n);
        let others: String = (0..200).map(other).collect();
        let files = [
            write("behind.toml", format!("{others}[[server]]\n{usual}expectation-timeout = 200\n")),
            write("named.toml", format!("[[server]]\naddress = [\"10.0.0.0/24\", \"fd00:f7::/64\"]\n{usual}")),
            write("own.toml", format!("[[server]]\n{usual}")),
        ];
        Self { _directory: directory, files }
    }

    /// The `n`th in turn.
    fn arguments(&self, n: usize) -> [&str; 3] {
        ["policy", "apply", self.files[n % self.files.len()].to_str().expect("UTF-8")]
    }
}

/// Connections that nobody negotiated, until `done`: how many were tried, and how many passed.
fn unexpected(hooks: &[Attached; 2], server: &Host, done: &AtomicBool) -> [u64; 2] {
    let syn = |source, destination| Segment { source, destination, seq: 1, ack: 0, flags: flag::SYN, payload: vec![] };
    let (mut tried, mut passed) = (0u64, 0);
    while !done.load(Ordering::Relaxed) {
        let n = u32::try_from(tried).expect("not so many");
        let six = Ipv6Addr::from_bits(0x2001_0db8 << 96 | u128::from(n));
        let guarded = 10_240 + u16::try_from(n % 10_241).expect("small");
        let v4 = syn(SocketAddr::new(spoofed(n).into(), 40_000), server.at(Family::V4, guarded));
        let v6 = syn(SocketAddr::new(six.into(), 40_000), server.at(Family::V6, guarded));
        let active = syn(server.at(Family::V4, ACTIVE), SocketAddr::new(spoofed(n).into(), 40_000));
        for (hook, segment) in [(&hooks[0], v4), (&hooks[0], v6), (&hooks[1], active)] {
            tried += 1;
            passed += u64::from(hook.passes(&segment));
        }
    }
    [tried, passed]
}

/// A negotiated data connection, both ends.
#[track_caller]
fn data(client: &Host, server: &Host, (control, session): (&mut Client, &mut Session)) -> [TcpStream; 2] {
    let target = server.at(Family::V4, INSIDE);
    let listener = probe::listen(server, target);
    let ours = probe::connect(client, negotiated((control, session), target)).expect("the server said so");
    [ours, listener.accept().expect("it connected").0]
}

/// Bytes both ways, again and again until `done`; each must arrive.
fn pump([mut ours, mut theirs]: [TcpStream; 2], done: &AtomicBool) {
    let mut got = [0; 1000];
    while !done.load(Ordering::Relaxed) {
        ours.write_all(&[1; 1000]).expect("it is open");
        theirs.read_exact(&mut got).expect("it is open");
        theirs.write_all(&[2; 1000]).expect("it is open");
        ours.read_exact(&mut got).expect("it is open");
    }
}

/// The server prefixes of all generations in the kernel.
#[track_caller]
fn prefixes(pins: &PinDirectory) -> usize {
    let path = pins.path().join(format!("v{}/maps/SERVERS", ftp_common::ABI_VERSION));
    let map = aya::maps::Map::LpmTrie(MapData::from_pin(path).expect("it is pinned"));
    let servers: LpmTrie<_, [u8; 20], u32> = map.try_into().expect("its shape");
    servers.keys().fold(0, |count, key| key.map(|_| count + 1).expect("nobody changes it"))
}

/// How many the policy in force has.
fn named(ftptrack: &Ftptrack<'_>) -> usize {
    ftptrack.policy().servers.iter().map(|server| server.addresses.len()).sum()
}

#[test]
fn applied_a_hundred_times_no_window_opens_and_no_transfer_breaks() {
    let Network { server, client, .. } = &Network::new();
    let vsftpd = Vsftpd::on(server);
    let original = vsftpd.file("original");
    file::write_random(&original, LENGTH);
    let hash = file::hash(&original);
    let policies = Policies::new();
    let pins = PinDirectory::new();
    let ftptrack = Ftptrack::run(server, &pins, &OPTIONS);
    let generation = ftptrack.policy().generation;
    let hooks = Attached::to(server);
    let ftp = Server::at(server, server.at(Family::V4, SECOND));
    let (mut control, mut session) = ftp.session_with(client);
    let lasting = data(client, server, (&mut control, &mut session));

    let (done, transfers) = (AtomicBool::new(false), AtomicU64::new(0));
    let [tried, passed] = thread::scope(|scope| {
        let probes = scope.spawn(|| unexpected(&hooks, server, &done));
        let done = &done;
        scope.spawn(move || pump(lasting, done));
        for (mode, family) in [(Mode::Pasv, Family::V4), (Mode::Eprt, Family::V6)] {
            let (transfers, vsftpd, hash) = (&transfers, &vsftpd, &hash);
            scope.spawn(move || {
                let arrived = vsftpd.client_directory().join(format!("arrived-{mode:?}"));
                while !done.load(Ordering::Relaxed) {
                    curl::download(client, mode, &vsftpd::url(server, family, "original"), &arrived);
                    assert_eq!(file::hash(&arrived), *hash, "{mode:?}");
                    transfers.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let _ends = Ends(done);
        for n in 0..TIMES {
            let output = ftptrack::finish(server, &pins, &policies.arguments(n));
            assert!(output.status.success(), "{output:?}");
        }
        done.store(true, Ordering::Relaxed);
        probes.join().expect("it only counts")
    });
    let transfers = transfers.into_inner();
    println!("{TIMES} policies, {tried} connections that nobody negotiated, {transfers} transfers");
    assert_eq!(passed, 0, "of {tried} that nobody negotiated");
    assert!(tried > 10_000 && transfers > 10, "{tried} {transfers}");
    // The session of before is still followed.
    drop(data(client, server, (&mut control, &mut session)));

    let stats = ftptrack.stats();
    assert_eq!(stats.denied(), tried, "these, and nothing else");
    assert_eq!(stats.of(Counter::FlowsEstablished), transfers + 2);
    assert_eq!((stats.refused(), stats.of(Counter::Desyncs), stats.of(Counter::MapErrors)), (0, 0, 0));
    assert_eq!(ftptrack.policy().generation, generation + u32::try_from(TIMES).expect("small"));
    assert_eq!(prefixes(&pins), named(&ftptrack), "of one generation only");
    ftptrack.stop();
}

/// Ends the other threads when this one panics: they'd be waited for.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn killed_while_it_applies_it_leaves_one_policy_or_the_other() {
    let Network { server, .. } = &Network::new();
    let policies = Policies::new();
    let pins = PinDirectory::new();
    let ftptrack = Ftptrack::run(server, &pins, &OPTIONS);
    let hooks = Attached::to(server);
    let apply = |n| {
        let mut command = ftptrack::command(server, &pins);
        command.args(policies.arguments(n));
        command
    };
    let begin = Instant::now();
    assert!(process::finish(&mut apply(0)).status.success());
    let usually = begin.elapsed();

    let done = AtomicBool::new(false);
    let (mut turns, mut killed, mut left_over) = (0, 0, 0);
    let [tried, passed] = thread::scope(|scope| {
        let probes = scope.spawn(|| unexpected(&hooks, server, &done));
        let _ends = Ends(&done);
        // Until it was killed at all kinds of moments, some of them between the first entry and the last.
        while turns < TIMES || left_over < 3 {
            assert!(begin.elapsed() < ENOUGH, "{turns} turns, {killed} killed, {left_over} left something over");
            let mut command = apply(turns);
            command.stdout(Stdio::null()).stderr(Stdio::null());
            let mut child = process::start(&mut command);
            // The moment is what is tried here: all of them, evenly.
            thread::sleep(usually.mul_f64((turns % TIMES) as f64 / TIMES as f64));
            child.kill().expect("it is our child");
            killed += u32::from(!child.wait().expect("it is our child").success());
            // One of the three, whole.
            let servers = ftptrack.policy().servers;
            assert!([1, 201].contains(&servers.len()), "{}", servers.len());
            assert!(servers.iter().all(|server| server.passive_range.is_some() && !server.addresses.is_empty()));
            if prefixes(&pins) != named(&ftptrack) {
                left_over += 1;
                // Whoever is next clears it away: nothing of it may come into force with another policy.
                assert!(process::finish(&mut apply(turns + 1)).status.success());
                assert_eq!(prefixes(&pins), named(&ftptrack));
            }
            turns += 1;
        }
        done.store(true, Ordering::Relaxed);
        probes.join().expect("it only counts")
    });
    println!("{killed} of {turns} killed, {left_over} left something over, {tried} connections denied");
    assert_eq!(passed, 0, "of {tried} that nobody negotiated");
    ftptrack.stop();
}
