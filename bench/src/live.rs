//! Packets of very many flows from a client to a server, under each filter, and the memory that the flows take.
//!
//! Each filter has two hosts of its own, so that a round goes from one to the next without filling tables anew. The
//! client sends by a raw socket, with addresses at random; on a veth pair the server's part is done in the same
//! system call, so what a packet takes is the whole way up to the server's last rule, which drops it.

use std::fs;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::panic;
use std::time::Instant;

use aya::maps::{Map, MapData};
use ftp_common::flow::Flow;
use ftp_common::keys::ConnectionKey;
use ftp_user::ebpf::maps::PinnedMaps;
use ftp_user::pins::Pins;
use ftptrack_tests::INSIDE;
use ftptrack_tests::hosts::network::{Family, Host, INTERFACE};
use ftptrack_tests::subject::test_run::frame::Tcp;
use ftptrack_tests::subject::test_run::harness::Harness;
use ftptrack_tests::subject::test_run::tables::Table;
use ftptrack_tests::subject::{conntrack, ftptrack};
use ftptrack_tests::support::process;
use socket2::{Domain, Protocol, Socket, Type};

use crate::filter::Filter;
use crate::measure::{Series, elapsed};
use crate::packets::{CLIENTS, client_address, open_flow};
use crate::scale::{MOST_FLOWS, MOST_SESSIONS, counts, grouped};
use crate::testbed::{Hosts, on_cpu};
use crate::{CONNTRACK, FTPTRACK, Length};

const PART: &str = "live";

/// What nothing else has dropped: it is never delivered.
const SINK: &str = "table inet sink { chain input { type filter hook input priority 10; tcp dport 15000 drop; }; }";

pub(crate) fn data_name(count: u32) -> String {
    format!("packet on a veth pair, flows: {}", grouped(count))
}

/// Of the most flows.
pub(crate) const AMONG_A_MILLION: &str = "packet on a veth pair, flows: 1,000,000";

pub(crate) fn query_name(count: u32) -> String {
    format!("list all, flows: {}", grouped(count))
}

pub(crate) const FLOW_BYTES: &str = "memory of a flow or entry";
pub(crate) const SESSION_BYTES: &str = "memory of a session";

pub(crate) fn measure(length: Length) -> Vec<Series> {
    let [rounds, packets] = length.pick([3, 50_000], [15, 200_000]);
    let _room = Room::make();
    let places = Filter::ALL.map(|filter| (filter, Hosts::new()));
    let sizes = tempfile::NamedTempFile::new().expect("there is room");
    fs::write(sizes.path(), format!("max-flows = {MOST_FLOWS}\nmax-sessions = {MOST_SESSIONS}\n")).expect("our own");
    let _in_force = places.each_ref().map(|(filter, hosts)| {
        conntrack::load(&hosts.server, SINK);
        let route = format!("route add {CLIENTS}/10 dev {INTERFACE}");
        hosts.server.namespace.ip(&route);
        filter.put_sized(&hosts.server, &hosts.pins, Some(sizes.path()))
    });
    let [_, _, (_, tracked), (_, ours)] = &places;
    let mut flows = Flows::of(ours);
    let mut there = 0;
    let mut memory = Series::new("memory", FLOW_BYTES, "B");
    let mut done = Vec::new();
    let mut queries = Vec::new();
    for &count in counts(length) {
        flows.fill(there..count);
        let before = slab();
        track(&tracked.server, there..count);
        let after = slab();
        if count >= 100_000 {
            memory.add(CONNTRACK, (after - before) / f64::from(count - there));
        }
        there = count;
        let mut series = Series::new(PART, data_name(count), "ns");
        for round in 0..rounds {
            for at in 0..places.len() {
                let (filter, hosts) = &places[(at + round as usize) % places.len()];
                series.add(filter.name(), flood(hosts, count, packets));
            }
        }
        flows.assert_kept();
        assert_eq!(conntrack::count(&tracked.server), u64::from(count), "all were known, and none was forgotten");
        done.push(series);
        queries.push(query(tracked, ours, count));
    }
    memory.add(FTPTRACK, bytes_of_an_entry(&flows.pins, "FLOWS"));
    let mut sessions = Series::new("memory", SESSION_BYTES, "B");
    sessions.add(FTPTRACK, bytes_of_an_entry(&flows.pins, "SESSIONS"));
    done.extend(queries);
    done.extend([memory, sessions]);
    done
}

/// Nanoseconds a packet.
fn flood(hosts: &Hosts, count: u32, packets: u32) -> f64 {
    let to = hosts.server.at(Family::V4, INSIDE);
    let mut packet = Tcp::between(hosts.client.at(Family::V4, 50_000), to).at(1001, 5001).says([0; 100]).packet();
    hosts.client.namespace.run(|| {
        on_cpu(0, || {
            // The header is ours (IPPROTO_RAW); the kernel sets its checksum.
            let socket =
                Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(libc::IPPROTO_RAW))).expect("root may");
            let to = SocketAddr::new(to.ip(), 0).into();
            // xorshift32, the same each time: what is measured doesn't depend on who comes when.
            let mut random = 0x2545_f491_u32;
            let begun = Instant::now();
            for _ in 0..packets {
                random ^= random << 13;
                random ^= random >> 17;
                random ^= random << 5;
                let number = (u64::from(random) * u64::from(count)) >> 32;
                let source = CLIENTS.to_bits() + u32::try_from(number).expect("below the count");
                packet[12..16].copy_from_slice(&source.to_be_bytes());
                socket.send_to(&packet, &to).expect("the link is up");
            }
            begun.elapsed().as_nanos() as f64 / f64::from(packets)
        })
    })
}

/// The flows of an attached ftptrack.
struct Flows {
    pins: Pins,
    table: Table<ConnectionKey, Flow>,
    key: ConnectionKey,
    flow: Flow,
}

impl Flows {
    fn of(hosts: &Hosts) -> Self {
        let pins = Pins::new(&hosts.pins.path());
        let map = PinnedMaps::new(&pins).flows().unwrap_or_else(|failure| panic!("{failure}"));
        // As the program makes one.
        let mut harness = Harness::new();
        let (key, flow) = open_flow(&mut harness);
        let server = hosts.server.address(Family::V4).into();
        Self { pins, table: Table::new(Map::LruHashMap(map)), key: ConnectionKey { server, ..key }, flow }
    }

    /// None was forgotten. What a client sends changes nothing that could be seen.
    fn assert_kept(&self) {
        let first = self.table.get(&ConnectionKey { client: client_address(0), ..self.key });
        assert!(first.is_some(), "it was put there first");
    }

    fn fill(&mut self, clients: Range<u32>) {
        for client in clients {
            self.table.put(&ConnectionKey { client: client_address(client), ..self.key }, &self.flow);
        }
    }
}

/// Has conntrack follow the same connections, established.
fn track(server: &Host, clients: Range<u32>) {
    /// The command keeps all that it reads.
    const AT_A_TIME: usize = 100_000;
    let to = server.address(Family::V4);
    for some in clients.collect::<Vec<_>>().chunks(AT_A_TIME) {
        let mut file = tempfile::NamedTempFile::new().expect("there is room");
        let mut text = String::new();
        for client in some {
            let from = Ipv4Addr::from_bits(CLIENTS.to_bits() + client);
            text += &format!(
                "-A -p tcp -s {from} -d {to} --sport 50000 --dport {INSIDE} --state ESTABLISHED --timeout 86400 \
                 --status SEEN_REPLY,ASSURED\n"
            );
        }
        file.write_all(text.as_bytes()).expect("there is room");
        let output = process::finish(server.namespace.command("conntrack").arg("-R").arg(file.path()));
        assert!(output.status.success(), "conntrack: {}", output.stderr);
    }
    // Receivers with checksum offload have it done; these packets' are wrong.
    server.namespace.run(|| fs::write("/proc/sys/net/netfilter/nf_conntrack_checksum", "0")).expect("it is there");
}

/// How long it takes to list all.
fn query(tracked: &Hosts, ours: &Hosts, count: u32) -> Series {
    let mut series = Series::new("query", query_name(count), "ms");
    for _ in 0..3 {
        series
            .add(CONNTRACK, elapsed(|| drop(process::finish(tracked.server.namespace.command("conntrack").arg("-L")))));
        series.add(FTPTRACK, elapsed(|| drop(ftptrack::finish(&ours.server, &ours.pins, &["flows", "--json"]))));
    }
    series
}

/// Bytes of the kernel's memory for connections that are tracked.
fn slab() -> f64 {
    let slabs = fs::read_to_string("/proc/slabinfo").expect("root may");
    let line = slabs.lines().find(|line| line.starts_with("nf_conntrack ")).expect("connections are tracked");
    // Name, objects in use, objects, bytes of one.
    let numbers: Vec<f64> = line.split_whitespace().skip(1).take(3).map(|n| n.parse().expect("a number")).collect();
    numbers[1] * numbers[2]
}

/// What a map takes for each entry that it has room for, all that the kernel counts for it divided up.
fn bytes_of_an_entry(pins: &Pins, name: &str) -> f64 {
    let map = MapData::from_pin(pins.map(name)).expect("it is pinned");
    let room = map.info().expect("root may").max_entries();
    memory_of(&map) / f64::from(room)
}

fn memory_of(map: &MapData) -> f64 {
    let path = format!("/proc/self/fdinfo/{}", map.fd().as_fd().as_raw_fd());
    let text = fs::read_to_string(path).expect("proc is mounted");
    let line = text.lines().find_map(|line| line.strip_prefix("memlock:")).expect("maps say it");
    line.trim().parse().expect("a number")
}

/// As much room for tracked connections as for flows, and buckets to match. The machine has one setting for all
/// namespaces: it is put back.
struct Room(Settings);

/// Files of settings, and what they said before.
type Settings = [(&'static str, String); 2];

impl Room {
    fn make() -> Self {
        let settings = ["/proc/sys/net/netfilter/nf_conntrack_buckets", "/proc/sys/net/netfilter/nf_conntrack_max"];
        let before = settings.map(|path| {
            let before = fs::read_to_string(path).expect("connections are tracked");
            (path, before.trim().to_owned())
        });
        // A panic ends this process without dropping anything.
        let (at_panic, said) = (before.clone(), panic::take_hook());
        panic::set_hook(Box::new(move |info| {
            put_back(&at_panic);
            said(info);
        }));
        for path in settings {
            fs::write(path, MOST_FLOWS.to_string()).expect("root may");
        }
        Self(before)
    }
}

fn put_back(settings: &Settings) {
    for (path, before) in settings {
        let _ = fs::write(path, before);
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        put_back(&self.0);
    }
}
