//! What one packet costs with few and with very many flows, sessions and policies, and with two CPUs on one flow: by
//! BPF_PROG_TEST_RUN, with keys at random.

mod sessions;

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
use crate::testbed::{self, on_cpu};
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

/// Of the most flows.
pub(crate) const AMONG_A_MILLION: &str = "data, flows: 1,000,000";

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
    done.extend(cpus(&mut harness, length));
    done.extend(flows(&mut harness, length));
    done.extend(sessions::measure(&mut harness, length));
    done
}

/// One policy, and up to a thousand.
fn policies(harness: &mut Harness, length: Length) -> Vec<Series> {
    let [rounds, packets] = length.pick([5, 100_000], [15, 500_000]);
    let empty = programs::empty();
    let mut done = Vec::new();
    for servers in [1, 100, 1_000] {
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
        series.add(ONE_FLOW, at_once(&[(programs[0], &up), (programs[1], &same)], packets));
        series.add(TWO_FLOWS, at_once(&[(programs[0], &up), (programs[1], &other)], packets));
    }
    series
}

/// A flow for each of so many CPUs, all at once.
fn cpus(harness: &mut Harness, length: Length) -> Vec<Series> {
    let [rounds, packets] = length.pick([5, 200_000], [25, 1_000_000]);
    harness.kernel.empty();
    let (key, flow) = packets::open_flow(harness);
    let all = u16::try_from(testbed::cpus()).expect("there are fewer");
    let ports: Vec<u16> = (0..all).map(|cpu| 50_000 + cpu).collect();
    for port in &ports {
        harness.kernel.flows.put(&ConnectionKey { client_port: *port, ..key }, &flow);
    }
    let frames: Vec<_> =
        ports.iter().map(|port| harness.to_server(*port, INSIDE).at(1001, 5001).says([0; 1000]).frame()).collect();
    let empty = programs::empty();
    let programs = [(EMPTY, programs::program(&empty, "empty")), (FTPTRACK, harness.kernel.program(Hook::Ingress))];
    // Twice as many each time, and all of them.
    let steps = (0..).map(|step| 1 << step).take_while(|count| *count < frames.len()).chain([frames.len()]);
    let mut done = Vec::new();
    for count in steps {
        let mut series = Series::new(PART, format!("data, a flow a CPU, CPUs: {count}"), "ns");
        for _ in 0..rounds {
            for (filter, program) in programs {
                let works: Vec<_> = frames[..count].iter().map(|frame| (program, &frame[..])).collect();
                series.add(filter, at_once(&works, packets));
            }
        }
        done.push(series);
    }
    done
}

/// The slowest of some programs, each on a CPU of its own with a frame of its own.
fn at_once(works: &[(&SchedClassifier, &[u8])], packets: u32) -> f64 {
    let all = Barrier::new(works.len());
    thread::scope(|scope| {
        let threads: Vec<_> = (0..)
            .zip(works)
            .map(|(cpu, (program, frame))| {
                let all = &all;
                scope.spawn(move || {
                    on_cpu(cpu, || {
                        all.wait();
                        programs::run(program, frame, packets)
                    })
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("it measures")).fold(0.0, f64::max)
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
        // With one of them again and again, as many are in the table, but only one in the processor's caches.
        for (what, sources) in [(data_name(count), count), (format!("{}, one of them", data_name(count)), 1)] {
            let pattern = Pattern { sources, first_source: CLIENTS.to_bits(), at_random: true, ..Pattern::default() };
            let mut series = Series::new(PART, what, "ns");
            let programs = [programs::program(&empty, "empty"), harness.kernel.program(Hook::Ingress)];
            let [mut floor, mut ours] = programs.map(|program| Drive::new(program, pattern));
            for _ in 0..rounds {
                series.add(EMPTY, floor.run(&frame, packets));
                series.add(FTPTRACK, ours.run(&frame, packets));
            }
            done.push(series);
        }
    }
    done
}
