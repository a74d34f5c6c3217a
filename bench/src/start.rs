//! How long it takes from the command to the first packet that is denied, and to change a policy.

use std::fs;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ftptrack_tests::INSIDE;
use ftptrack_tests::hosts::network::{Family, INTERFACE};
use ftptrack_tests::subject::{ftptrack, verifier};

use crate::bulk;
use crate::filter::Filter;
use crate::measure::{Series, elapsed, milliseconds};
use crate::scale::{MOST_FLOWS, MOST_SESSIONS, grouped};
use crate::testbed::{self, Hosts};
use crate::{CONNTRACK, FTPTRACK, Length};

const PART: &str = "start";

pub(crate) const ATTACH: &str = "attach to the first denied SYN, default sizes";

pub(crate) const VERIFIED: &str = "instructions that the verifier goes through";

/// The same with room for the most.
pub(crate) fn attach_sized() -> String {
    let [flows, sessions] = [MOST_FLOWS, MOST_SESSIONS].map(grouped);
    format!("attach to the first denied SYN, flows: {flows}, sessions: {sessions}")
}

pub(crate) fn measure(length: Length) -> Vec<Series> {
    let hosts = Hosts::new();
    let mut done = attach(&hosts, length);
    done.extend(apply(&hosts, length));
    done.push(verified());
    done
}

/// What the programs cost the kernel's verifier: the same each time.
fn verified() -> Series {
    let mut series = Series::new(PART, VERIFIED, "instructions");
    for (program, instructions) in verifier::costs() {
        series.add(&program, f64::from(instructions));
    }
    series
}

fn attach(hosts: &Hosts, length: Length) -> Vec<Series> {
    let rounds = length.pick(3, 15);
    let large = tempfile::NamedTempFile::new().expect("there is room");
    let text = format!("max-flows = {MOST_FLOWS}\nmax-sessions = {MOST_SESSIONS}\n");
    fs::write(large.path(), text).expect("our own");
    let mut default = Series::new(PART, ATTACH, "ms");
    let mut sized = Series::new(PART, attach_sized(), "ms");
    for _ in 0..rounds {
        default.add(CONNTRACK, until_denied(hosts, Filter::Conntrack, None));
        default.add(FTPTRACK, until_denied(hosts, Filter::Ftptrack, None));
        sized.add(FTPTRACK, until_denied(hosts, Filter::Ftptrack, Some(large.path())));
    }
    vec![default, sized]
}

/// From the command's start to the first SYN that gets no answer, milliseconds.
fn until_denied(hosts: &Hosts, filter: Filter, config: Option<&Path>) -> f64 {
    /// No answer for that long is none: a refusal takes microseconds.
    const NO_ANSWER: Duration = Duration::from_millis(50);
    /// Asking all the time would slow down what is asked for.
    const PAUSE: Duration = Duration::from_millis(1);
    let to = hosts.server.at(Family::V4, INSIDE);
    let begun = Instant::now();
    thread::scope(|scope| {
        let denied = scope.spawn(|| {
            hosts.client.namespace.run(|| {
                loop {
                    let asked = Instant::now();
                    match TcpStream::connect_timeout(&to, NO_ANSWER) {
                        Err(error) if error.kind() == ErrorKind::TimedOut => return asked,
                        _ => thread::sleep(PAUSE),
                    }
                }
            })
        });
        let in_force = filter.put_sized(&hosts.server, &hosts.pins, config);
        let denied = denied.join().expect("it asks until it is denied");
        drop(in_force);
        milliseconds(denied - begun)
    })
}

/// One policy for the host's own addresses, or so many for others besides.
fn policies(count: u32) -> String {
    let mut text = "[[server]]\npassive-range = \"10240-20480\"\n".to_owned();
    for number in 1..count {
        let address = Ipv4Addr::from_bits(0x0a02_0000 + number);
        text += &format!("[[server]]\naddress = \"{address}\"\npassive-range = \"30000-30999\"\n");
    }
    text
}

/// `policy apply`, with nothing else to do and while a file is carried.
fn apply(hosts: &Hosts, length: Length) -> Vec<Series> {
    let rounds = length.pick(3, 11);
    let vsftpd = testbed::vsftpd(&hosts.server, 1 << 30);
    let _in_force = Filter::Ftptrack.put(&hosts.server, &hosts.pins);
    let mut done = Vec::new();
    for count in [1, 1_000] {
        let file = tempfile::NamedTempFile::new().expect("there is room");
        fs::write(file.path(), format!("interfaces = [\"{INTERFACE}\"]\n{}", policies(count))).expect("our own");
        let path = file.path().to_str().expect("a path in UTF-8");
        let mut series = Series::new(PART, format!("policy apply, policies: {}", grouped(count)), "ms");
        let apply = || elapsed(|| drop(ftptrack::succeed(&hosts.server, &hosts.pins, &["policy", "apply", path])));
        for _ in 0..rounds {
            series.add("idle", apply());
        }
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            let carried = scope.spawn(|| {
                let mut files = 0;
                while !over.load(Ordering::Relaxed) {
                    bulk::transfer(hosts, &vsftpd, true, 1 << 30);
                    files += 1;
                }
                files
            });
            for _ in 0..rounds {
                series.add("under traffic", apply());
            }
            over.store(true, Ordering::Relaxed);
            assert_ne!(carried.join().expect("each file arrives whole"), 0);
        });
        done.push(series);
    }
    done
}
