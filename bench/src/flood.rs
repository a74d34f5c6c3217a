//! A flood of SYNs to the passive range, and who drops how many of them a second.
//!
//! BPF_PROG_TEST_RUN with live frames (Linux 5.18) makes the SYNs on one CPU, each another client's, and sends them out
//! of the client's end of the cable; what the other end does with them is done by the same CPU. So each number has the
//! making of the packet in it, which is the same for all; XDP drops before anything else is made of it.

use std::time::Duration;

use aya::Ebpf;
use aya::maps::PerCpuArray;
use aya::programs::xdp::XdpMode;
use aya::programs::{TestRun as _, TestRunAttrs, TestRunOptions, Xdp};
use ftp_common::flow::tcp::SYN;
use ftptrack_tests::hosts::network::{Family, Host, INTERFACE};
use ftptrack_tests::subject::report::Stats;
use ftptrack_tests::subject::test_run::frame::Tcp;
use ftptrack_tests::subject::{conntrack, ftptrack};
use ftptrack_tests::support::process;
use ftptrack_tests::{INSIDE, PASSIVE_RANGE};
use rustix::net::netdevice::name_to_index;
use socket2::{Domain, Socket, Type};

use crate::filter::Filter;
use crate::measure::Series;
use crate::testbed::{Hosts, Processors, on_cpu};
use crate::{FTPTRACK, Length, programs};

const PART: &str = "flood";
pub(crate) const DROPPED: &str = "SYNs to the passive range, dropped in a second of a CPU";

/// Who drops them.
const XDP: &str = "XDP";
const AT_INGRESS: &str = "nftables at ingress";
const AT_INPUT: &str = "nftables at input";

/// Addresses that the SYNs claim to come from.
const CLIENTS: &str = "10.64.0.0/16";
/// Packets that are made at a time: the cable's ring holds that many.
const AT_A_TIME: u32 = 64;

pub(crate) fn measure(length: Length) -> Vec<Series> {
    let (rounds, packets) = length.pick((3, 200_000), (11, 3_000_000));
    let hosts = Hosts::new();
    // Only so does an end of a cable have a queue that takes frames without a socket buffer.
    hosts.offloads(true);
    hosts.server.namespace.ip(&format!("route add {CLIENTS} dev {INTERFACE}"));
    let out_of = hosts.client.namespace.run(|| {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).expect("any may");
        name_to_index(&socket, INTERFACE).expect("it is there")
    });
    let mut object = programs::flood(out_of, &PASSIVE_RANGE);
    let frame = frame(&hosts);
    let processors = Processors::new();
    let mut series = Series::new(PART, DROPPED, "million");
    for round in 0..=rounds {
        let mut all = [XDP, AT_INGRESS, AT_INPUT, FTPTRACK];
        all.rotate_left(round % 4);
        for who in all {
            let dropper = Dropper::put(who, &hosts, &mut object);
            let before = processors.used();
            on_cpu(0, || hosts.client.namespace.run(|| flood(&object, &frame, packets)));
            let used = processors.used() - before;
            let dropped = dropper.dropped(&object);
            drop(dropper);
            assert!(dropped > u64::from(packets / 2), "{who}: {dropped} of {packets} were dropped there");
            // The first round brings everything into caches.
            if round > 0 {
                series.add(who, millions_a_second(dropped, used));
            }
        }
    }
    vec![series]
}

fn millions_a_second(packets: u64, time: Duration) -> f64 {
    packets as f64 / time.as_secs_f64() / 1e6
}

/// A SYN with the server's hardware address, whose header is right for the source address 10.64.0.0.
fn frame(hosts: &Hosts) -> Vec<u8> {
    let to = hosts.server.at(Family::V4, INSIDE);
    let syn = Tcp::between(([10, 64, 0, 0], 50_000).into(), to).at(1000, 0).flags(SYN);
    let mut frame = syn.frame();
    frame[..6].copy_from_slice(&hosts.server.mac());
    // The program keeps the sum of these two what it is.
    let identification: [u8; 2] = frame[18..20].try_into().expect("two bytes");
    let sum = !u16::from_be_bytes(frame[24..26].try_into().expect("two bytes"));
    let without = ones_complement(sum, !u16::from_be_bytes(identification));
    frame[24..26].copy_from_slice(&(!ones_complement(without, 0xffff)).to_be_bytes());
    frame
}

/// Adds as checksums do (RFC 1071).
const fn ones_complement(one: u16, other: u16) -> u16 {
    let (sum, over) = one.overflowing_add(other);
    sum + over as u16
}

fn flood(object: &Ebpf, frame: &[u8], packets: u32) {
    let program: &Xdp = object.program("flood").expect("the object has it").try_into().expect("it is one");
    let options = TestRunOptions {
        data_in: Some(frame),
        repeat: packets,
        attrs: TestRunAttrs::new().xdp_live_frames(AT_A_TIME),
        ..TestRunOptions::default()
    };
    program.test_run(options).expect("Linux 5.18 or later");
}

/// One of those who drop, in force on the server's host; dropping it takes it away.
struct Dropper<'a> {
    who: &'static str,
    hosts: &'a Hosts,
    before: u64,
    _in_force: Option<crate::filter::InForce<'a>>,
    _link: Option<aya::programs::xdp::XdpLink>,
}

impl<'a> Dropper<'a> {
    fn put(who: &'static str, hosts: &'a Hosts, object: &mut Ebpf) -> Self {
        let server = &hosts.server;
        let mut dropper = Dropper { who, hosts, before: 0, _in_force: None, _link: None };
        match who {
            XDP => dropper._link = Some(attach_refuse(server, object)),
            AT_INGRESS => conntrack::load(server, &rules("netdev", &format!("ingress device {INTERFACE}"))),
            AT_INPUT => conntrack::load(server, &rules("inet", "input")),
            _ => dropper._in_force = Some(Filter::Ftptrack.put(server, &hosts.pins)),
        }
        dropper.before = dropper.dropped(object);
        dropper
    }

    /// How many it has dropped.
    fn dropped(&self, object: &Ebpf) -> u64 {
        let total = match self.who {
            XDP => refused(object),
            FTPTRACK => ftptrack::query::<Stats>(&self.hosts.server, &self.hosts.pins, "stats").denied(),
            who => counted(&self.hosts.server, family(who)),
        };
        total - self.before
    }
}

impl Drop for Dropper<'_> {
    fn drop(&mut self) {
        if matches!(self.who, AT_INGRESS | AT_INPUT) {
            let mut nft = self.hosts.server.namespace.command("nft");
            process::finish(nft.args(["delete", "table", family(self.who), "flood"]));
        }
    }
}

fn family(who: &str) -> &'static str {
    if who == AT_INGRESS { "netdev" } else { "inet" }
}

/// Rules that drop the same as ftptrack, but for what was negotiated.
fn rules(family: &str, hook: &str) -> String {
    let (first, last) = (PASSIVE_RANGE.start(), PASSIVE_RANGE.end());
    format!(
        "table {family} flood {{ chain drops {{ type filter hook {hook} priority 0; \
         tcp dport {first}-{last} tcp flags & (syn|ack) == syn counter drop; }}; }}"
    )
}

/// What the rules have dropped.
fn counted(host: &Host, family: &str) -> u64 {
    let output = process::finish(host.namespace.command("nft").args(["list", "table", family, "flood"]));
    let mut words = output.stdout.split_whitespace().skip_while(|word| *word != "packets").skip(1);
    words.next().and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("nft: {output:?}"))
}

/// What the XDP program has dropped.
fn refused(object: &Ebpf) -> u64 {
    let map = object.map("REFUSED").expect("the object has it");
    let refused: PerCpuArray<_, u64> = map.try_into().expect("of this shape");
    refused.get(&0, 0).expect("the map is readable").iter().sum()
}

fn attach_refuse(host: &Host, object: &mut Ebpf) -> aya::programs::xdp::XdpLink {
    let program: &mut Xdp = object.program_mut("refuse").expect("the object has it").try_into().expect("it is one");
    host.namespace.run(|| {
        let link = program.attach(INTERFACE, XdpMode::Driver).expect("the driver can");
        program.take_link(link).expect("it was just made")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_sum_is_kept_by_complements() {
        for low in [0, 1, 0x1234, 0xffff] {
            assert_eq!(ones_complement(low, !low), 0xffff);
        }
        assert_eq!(ones_complement(0xffff, 2), 2);
    }
}
