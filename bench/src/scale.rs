//! What one packet costs with few and with very many flows, sessions and policies, and with two CPUs on one flow: by
//! BPF_PROG_TEST_RUN, with keys at random.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Barrier;
use std::thread;

use aya::programs::SchedClassifier;
use ftp_common::keys::ConnectionKey;
use ftptrack_tests::INSIDE;
use ftptrack_tests::subject::test_run::harness::{Harness, usual_policy};
use ftptrack_tests::subject::test_run::{Hook, Kernel, LOCAL, Setup};

use crate::measure::Series;
use crate::packets::{self, CLIENTS, client_address};
use crate::programs::{self, Drive, Pattern};
use crate::testbed::on_cpu;
use crate::{EMPTY, FTPTRACK, Length};

const PART: &str = "scale";

/// Columns of what two CPUs do.
pub(crate) const ONE_FLOW: &str = "one flow";
pub(crate) const TWO_FLOWS: &str = "two flows";
pub(crate) const TWO_CPUS: &str = "data, two CPUs at once";

/// Room for what is the most here.
pub(crate) const MOST_FLOWS: u32 = 1 << 20;
pub(crate) const MOST_SESSIONS: u32 = 1 << 17;

/// How many flows there are, step by step.
pub(crate) fn counts(length: Length) -> &'static [u32] {
    length.pick(&[1, 1_000, 100_000], &[1, 1_000, 100_000, 1_000_000])
}

pub(crate) fn data_name(count: u32) -> String {
    format!("data, flows: {}", grouped(count))
}

/// With commas between thousands.
pub(crate) fn grouped(number: u32) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

pub(crate) fn measure(length: Length) -> Vec<Series> {
    let mut harness = Harness::alone(Kernel::load_sized(Setup::SERVERS_BEHIND, MOST_SESSIONS, MOST_FLOWS));
    let mut done = policies(&mut harness, length);
    done.push(two_cpus(&mut harness, length));
    done.extend(flows(&mut harness, length));
    done.push(sessions(&mut harness, length));
    done
}

/// One policy, and a thousand.
fn policies(harness: &mut Harness, length: Length) -> Vec<Series> {
    let [rounds, packets] = length.pick([5, 100_000], [15, 500_000]);
    let empty = programs::empty();
    let mut done = Vec::new();
    for servers in [1, 1_000] {
        let others = (0..servers - 1).map(|n| (IpAddr::V4(Ipv4Addr::from_bits(0x0a02_0000 + n * 7)), 32));
        let all: Vec<_> = [(harness.who.server, 32)].into_iter().chain(others).collect();
        harness.kernel.apply(&usual_policy(), &all);
        packets::open_flow(harness);
        let data = harness.to_server(50000, INSIDE).at(1001, 5001).says([0; 1000]);
        let unrelated = harness.to_server(50000, 443).says([0; 100]);
        for (what, frame) in [
            ("unrelated TCP", unrelated.frame()),
            ("data", data.frame()),
            ("denied SYN", harness.syn(INSIDE + 1).frame()),
        ] {
            let mut series = Series::new(PART, format!("{what}, policies: {}", grouped(servers)), "ns");
            for _ in 0..rounds {
                series.add(EMPTY, programs::run(programs::program(&empty, "empty"), &frame, packets));
                series.add(FTPTRACK, programs::run(harness.kernel.program(Hook::Ingress), &frame, packets));
            }
            done.push(series);
        }
    }
    harness.kernel.apply(&usual_policy(), &[(harness.who.server, 32)]);
    done
}

/// Both directions of one flow on a CPU each, and of two flows.
fn two_cpus(harness: &mut Harness, length: Length) -> Series {
    let [rounds, packets] = length.pick([5, 200_000], [25, 1_000_000]);
    let (key, flow) = packets::open_flow(harness);
    harness.kernel.flows.put(&ConnectionKey { client_port: 50_001, ..key }, &flow);
    let up = harness.to_server(50_000, INSIDE).at(1001, 5001).says([0; 1000]).frame();
    let down = |port| harness.to_client(INSIDE, port).at(5001, 1001).says([0; 1000]).frame();
    let (same, other) = (down(50_000), down(50_001));
    let programs = [Hook::Ingress, LOCAL].map(|hook| harness.kernel.program(hook));
    let mut series = Series::new(PART, TWO_CPUS, "ns");
    for _ in 0..rounds {
        series.add(ONE_FLOW, at_once(programs, [&up, &same], packets));
        series.add(TWO_FLOWS, at_once(programs, [&up, &other], packets));
    }
    series
}

/// The slower of two programs, each on a CPU of its own.
fn at_once(programs: [&SchedClassifier; 2], frames: [&[u8]; 2], packets: u32) -> f64 {
    let both = Barrier::new(2);
    let one = |cpu: usize| {
        let both = &both;
        let (program, frame) = (programs[cpu], frames[cpu]);
        move || {
            on_cpu(cpu, || {
                both.wait();
                programs::run(program, frame, packets)
            })
        }
    };
    thread::scope(|scope| {
        let threads = [scope.spawn(one(0)), scope.spawn(one(1))];
        threads.map(|thread| thread.join().expect("it measures")).into_iter().fold(0.0, f64::max)
    })
}

fn flows(harness: &mut Harness, length: Length) -> Vec<Series> {
    let [rounds, packets] = length.pick([5, 100_000], [15, 1_000_000]);
    harness.kernel.empty();
    let (key, flow) = packets::open_flow(harness);
    harness.kernel.flows.empty();
    let frame = harness.to_server(50_000, INSIDE).at(1001, 5001).says([0; 1000]).frame();
    let empty = programs::empty();
    let mut there = 0;
    let mut done = Vec::new();
    for &count in counts(length) {
        for client in there..count {
            harness.kernel.flows.put(&ConnectionKey { client: client_address(client), ..key }, &flow);
        }
        there = count;
        let pattern =
            Pattern { sources: count, first_source: CLIENTS.to_bits(), at_random: true, ..Pattern::default() };
        let mut series = Series::new(PART, data_name(count), "ns");
        let programs = [programs::program(&empty, "empty"), harness.kernel.program(Hook::Ingress)];
        let [mut floor, mut ours] = programs.map(|program| Drive::new(program, pattern));
        for _ in 0..rounds {
            series.add(EMPTY, floor.run(&frame, packets));
            series.add(FTPTRACK, ours.run(&frame, packets));
        }
        done.push(series);
    }
    done
}

/// A command in each of very many sessions.
fn sessions(harness: &mut Harness, length: Length) -> Series {
    let rounds = length.pick(3, 9);
    let count = 100_000;
    harness.kernel.empty();
    let mut control = harness.control(40_000);
    control.exchange(harness, "USER anonymous\r\n", "331 password, please\r\n");
    control.exchange(harness, "PASS guest\r\n", "230 in\r\n");
    let (key, session) = harness.kernel.sessions.all().into_iter().next().expect("it is followed");
    let frame = control.client_segment(harness, packets::NOOP).frame();
    let pattern = Pattern { sources: count, first_source: CLIENTS.to_bits(), ..Pattern::default() };
    let empty = programs::empty();
    let mut series = Series::new(PART, format!("command of 25 bytes, sessions: {}", grouped(count)), "ns");
    let programs = [programs::program(&empty, "empty"), harness.kernel.program(Hook::Ingress)];
    let [mut floor, mut ours] = programs.map(|program| Drive::new(program, pattern));
    for _ in 0..rounds {
        for client in 0..count {
            harness.kernel.sessions.put(&ConnectionKey { client: client_address(client), ..key }, &session);
        }
        series.add(EMPTY, floor.run(&frame, count));
        // Each session gets its command once: the second time it would be a repetition.
        series.add(FTPTRACK, ours.run(&frame, count));
    }
    series
}
