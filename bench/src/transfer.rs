//! What a whole transfer takes of the programs, live and by the kernel's own account; and which packet of it takes what.

use ftptrack_tests::actors::curl::Mode;
use ftptrack_tests::actors::server::CONTROL;
use ftptrack_tests::hosts::network::Family;

use crate::account::{self, Account};
use crate::client::Client;
use crate::filter::Filter;
use crate::measure::Series;
use crate::stopwatch::Stopwatch;
use crate::testbed::{self, Hosts, on_cpu};
use crate::{FTPTRACK, Length, stopwatch};

const PART: &str = "transfer";
/// Which packet of it takes what.
pub(crate) const PACKETS: &str = "packets of a transfer";

const MODES: [Mode; 2] = [Mode::Pasv, Mode::Port];

/// All but those under which no program runs.
const FILTERS: [Filter; 4] = [Filter::Empty, Filter::Ftptrack, Filter::Watch, Filter::Run];

/// BPF time of a transfer.
pub(crate) fn name(mode: Mode) -> String {
    format!("BPF time of a {} and RETR of 1 KiB", mode.command())
}

/// The columns that say how many packets that were.
pub(crate) fn packets_name(mode: Mode) -> String {
    format!("packets of a {} and RETR of 1 KiB", mode.command())
}

/// The same of one mode's packets of one kind.
pub(crate) fn kind_name(mode: Mode, kind: &str) -> String {
    format!("{}: {kind}", mode.command())
}

pub(crate) fn measure(length: Length) -> Vec<Series> {
    let hosts = Hosts::new();
    let _server = on_cpu(1, || testbed::vsftpd(&hosts.server, 0));
    on_cpu(0, || {
        let mut done = by_account(&hosts, length);
        done.extend(by_packet(&hosts, length));
        done
    })
}

/// One client's transfers, one after the other, in one session.
fn transfers(hosts: &Hosts, mode: Mode, times: u32, around: impl FnOnce(&mut dyn FnMut()) + Send) {
    let to = hosts.server.at(Family::V4, CONTROL);
    hosts.client.namespace.run(|| {
        let mut client = Client::login(to).unwrap_or_else(|error| panic!("{error}"));
        let mut all = || {
            for _ in 0..times {
                let got = client.get(mode, "RETR small").unwrap_or_else(|error| panic!("{error}"));
                assert_eq!(got, 1024, "all of it");
            }
        };
        // What comes first brings everything into caches.
        all();
        around(&mut all);
    });
}

fn by_account(hosts: &Hosts, length: Length) -> Vec<Series> {
    let (rounds, times) = length.pick((3, 200), (11, 1_500));
    let _kept = account::kept();
    let mut done =
        MODES.map(|mode| [Series::new(PART, name(mode), "µs"), Series::new(PART, packets_name(mode), "packets")]);
    for round in 0..rounds {
        for filter in Filter::in_round(FILTERS, round) {
            let _in_force = filter.put(&hosts.server, &hosts.pins);
            let account = Account::of(&hosts.server);
            for (mode, [time, packets]) in MODES.into_iter().zip(&mut done) {
                transfers(hosts, mode, times, |all| {
                    let before = account.taken();
                    all();
                    let after = account.taken();
                    let each = |sum: u64| sum as f64 / f64::from(times);
                    time.add(filter.name(), each(after.nanoseconds - before.nanoseconds) / 1e3);
                    packets.add(filter.name(), each(after.packets - before.packets));
                });
            }
        }
    }
    done.into_iter().flatten().collect()
}

/// With two programs of ours around what is attached, which take the time of each packet: on kernels with TCX.
fn by_packet(hosts: &Hosts, length: Length) -> Vec<Series> {
    let (rounds, times) = length.pick((3, 200), (11, 1_000));
    if !stopwatch::is_possible() {
        return Vec::new();
    }
    let mut done: Vec<Series> = Vec::new();
    for round in 0..rounds {
        for mode in MODES {
            let of = |filter: Filter| {
                let _in_force = filter.put(&hosts.server, &hosts.pins);
                let mut stopwatch = Stopwatch::around(&hosts.server);
                let mut kinds = Vec::new();
                transfers(hosts, mode, times, |all| {
                    stopwatch.reset();
                    all();
                    kinds = stopwatch.read();
                });
                kinds
            };
            let [first, second] = Filter::in_round([Filter::Empty, Filter::Ftptrack], round);
            let mut both = [(first, of(first)), (second, of(second))];
            if first == Filter::Ftptrack {
                both.reverse();
            }
            let [(empty, floor), (_, ours)] = both;
            for kind in ours {
                let Some(same) = floor.iter().find(|other| other.name == kind.name) else { continue };
                let a_transfer = kind.packets as f64 / f64::from(times);
                // What happens once in a while is no part of a transfer.
                if a_transfer < 0.1 {
                    continue;
                }
                let what = kind_name(mode, &kind.name);
                let series = match done.iter().position(|series| series.what == what) {
                    Some(at) => &mut done[at],
                    None => {
                        done.push(Series::new(PACKETS, what, "ns"));
                        done.last_mut().expect("it was just put there")
                    }
                };
                // Of as many packets each: how many acknowledgements there are differs from one transfer to the next.
                series.add(empty.name(), same.each() * a_transfer);
                series.add(FTPTRACK, kind.each() * a_transfer);
            }
        }
    }
    done.sort_by_key(|series| stopwatch::place(&series.what));
    done
}
