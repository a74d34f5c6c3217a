//! How many transfers and sessions a second, and how long one takes.

use std::io;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use ftptrack_tests::actors::curl::Mode;
use ftptrack_tests::actors::server::CONTROL;
use ftptrack_tests::hosts::network::Family;

use crate::Length;
use crate::client::Client;
use crate::filter::Filter;
use crate::measure::Series;
use crate::testbed::{self, Hosts, on_cpu};

const PART: &str = "rate";

/// What is measured of each kind: how many a second; the median and the 99th percentile of the time that one takes.
pub(crate) const RATE: &str = "1/s";
const MICROSECONDS: &str = "µs";

/// What is done again and again.
#[derive(Clone, Copy)]
enum Work {
    /// Transfers of 1 KiB in sessions that stay.
    Transfers(Mode),
    /// Connect, log in, list, quit.
    Sessions,
}

const KINDS: [Work; 4] =
    [Work::Transfers(Mode::Pasv), Work::Transfers(Mode::Epsv), Work::Transfers(Mode::Port), Work::Sessions];

fn name(work: Work, clients: usize) -> String {
    let clients = if clients == 1 { "one client".to_owned() } else { format!("{clients} clients") };
    match work {
        Work::Transfers(mode) => format!("{} and RETR of 1 KiB, {clients}", mode.command()),
        Work::Sessions => format!("connect, log in, list, quit, {clients}"),
    }
}

/// What is measured of transfers, a series for each kind and number of clients.
pub(crate) fn names() -> Vec<String> {
    let transfers = KINDS.into_iter().filter(|work| matches!(work, Work::Transfers(_)));
    transfers.flat_map(|work| [1, 8].map(|clients| name(work, clients))).collect()
}

pub(crate) fn measure(length: Length) -> Vec<Series> {
    let hosts = Hosts::new();
    // One client and its session on a CPU each: where the scheduler happens to put them makes more difference than
    // any filter. Many spread by themselves.
    let server = on_cpu(1, || testbed::vsftpd(&hosts.server, 0));
    let mut done = on_cpu(0, || some(&hosts, 1, length));
    drop(server);
    let _server = testbed::vsftpd(&hosts.server, 0);
    done.extend(some(&hosts, 8, length));
    done
}

/// All that so many clients do.
fn some(hosts: &Hosts, clients: usize, length: Length) -> Vec<Series> {
    let (rounds, transfers, sessions) = length.pick((3, 200, 24), (11, 1_500, 150));
    let to = hosts.server.at(Family::V4, CONTROL);
    let mut done = KINDS.map(|work| {
        let name = name(work, clients);
        [(name.clone(), RATE), (format!("{name}: median"), MICROSECONDS), (format!("{name}: p99"), MICROSECONDS)]
            .map(|(what, unit)| Series::new(PART, what, unit))
    });
    for round in 0..=rounds {
        for filter in Filter::in_round(Filter::AND_READERS, round) {
            let _in_force = filter.put(&hosts.server, &hosts.pins);
            for (work, [rate, median, late]) in KINDS.into_iter().zip(&mut done) {
                let times = if matches!(work, Work::Sessions) { sessions } else { transfers };
                let result = hosts.client.namespace.run(|| all(to, work, clients, times));
                let (took, mut each) = result.unwrap_or_else(|error| panic!("{}: {error}", filter.name()));
                // The first round brings everything into caches.
                if round == 0 {
                    continue;
                }
                each.sort();
                let at = |percent: usize| each[(each.len() - 1) * percent / 100].as_secs_f64() * 1e6;
                rate.add(filter.name(), each.len() as f64 / took.as_secs_f64());
                median.add(filter.name(), at(50));
                late.add(filter.name(), at(99));
            }
        }
    }
    done.into_iter().flatten().collect()
}

/// All clients at once; how long all took, and each.
fn all(to: SocketAddr, work: Work, clients: usize, times: usize) -> io::Result<(Duration, Vec<Duration>)> {
    // Logging in is no part of a transfer.
    let clients: Vec<_> = (0..clients)
        .map(|_| match work {
            Work::Transfers(_) => Client::login(to).map(Some),
            Work::Sessions => Ok(None),
        })
        .collect::<io::Result<_>>()?;
    let share = times / clients.len();
    let begun = Instant::now();
    let each = thread::scope(|scope| {
        let threads: Vec<_> =
            clients.into_iter().map(|client| scope.spawn(move || one(client, to, work, share))).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect::<io::Result<Vec<_>>>()
    })?;
    Ok((begun.elapsed(), each.into_iter().flatten().collect()))
}

fn one(mut client: Option<Client>, to: SocketAddr, work: Work, times: usize) -> io::Result<Vec<Duration>> {
    let mut each = Vec::with_capacity(times);
    for _ in 0..times {
        let begun = Instant::now();
        match (work, &mut client) {
            (Work::Transfers(mode), Some(client)) => {
                let got = client.get(mode, "RETR small")?;
                assert_eq!(got, 1024, "all of it");
            }
            _ => {
                let mut client = Client::login(to)?;
                client.get(Mode::Epsv, "LIST")?;
                client.quit()?;
            }
        }
        each.push(begun.elapsed());
    }
    Ok(each)
}
