//! Large files through vsftpd and curl: how fast, and what it takes of both ends' processors.

use std::process::Command;

use ftptrack_tests::actors::vsftpd::{Vsftpd, url};
use ftptrack_tests::hosts::network::Family;
use ftptrack_tests::support::process;

use crate::Length;
use crate::filter::Filter;
use crate::measure::Series;
use crate::testbed::{self, Hosts, Processors, on_cpu};

const PART: &str = "bulk";
const GIB: f64 = (1u64 << 30) as f64;

/// What the series are called.
pub(crate) fn name(download: bool, offloads: bool, unit: &str) -> String {
    let way = if download { "download" } else { "upload" };
    let offloads = if offloads { "offloads on" } else { "offloads off" };
    format!("{way}, {offloads}: {unit}")
}

/// Units of what is measured.
pub(crate) const THROUGHPUT: &str = "GB/s";
pub(crate) const PROCESSOR: &str = "CPU s/GiB";

pub(crate) fn measure(length: Length) -> Vec<Series> {
    let (bytes, rounds) = length.pick((256 << 20, 3), (4 << 30, 7));
    let hosts = Hosts::new();
    // Each end and its part of the network on a CPU of its own: where the scheduler happens to put them makes more
    // difference than any filter.
    hosts.steer();
    let vsftpd = on_cpu(1, || testbed::vsftpd(&hosts.server, bytes));
    let processors = Processors::new();
    let mut done = Vec::new();
    for offloads in [true, false] {
        hosts.offloads(offloads);
        let mut series: Vec<_> = [true, false]
            .into_iter()
            .flat_map(|download| {
                [THROUGHPUT, PROCESSOR].map(|unit| Series::new(PART, name(download, offloads, unit), unit))
            })
            .collect();
        for round in 0..=rounds {
            for filter in Filter::in_round(Filter::ALL, round) {
                let _in_force = filter.put(&hosts.server, &hosts.pins);
                for (way, download) in [true, false].into_iter().enumerate() {
                    let before = processors.used();
                    let speed = on_cpu(0, || transfer(&hosts, &vsftpd, download, bytes));
                    let used = processors.used() - before;
                    // The first round brings everything into caches.
                    if round > 0 {
                        series[2 * way].add(filter.name(), speed);
                        series[2 * way + 1].add(filter.name(), used.as_secs_f64() / (bytes as f64 / GIB));
                    }
                }
            }
        }
        done.extend(series);
    }
    done
}

/// Carries the large file; bytes in a nanosecond (GB/s) of the transfer itself.
pub(crate) fn transfer(hosts: &Hosts, vsftpd: &Vsftpd, download: bool, bytes: u64) -> f64 {
    let mut command: Command = hosts.client.namespace.command("curl");
    command.args(["--disable", "--silent", "--show-error", "--max-time", "55"]);
    command.args(["--write-out", "%{stderr}%{time_pretransfer} %{time_total} %{size_download} %{size_upload}"]);
    if download {
        command.args(["--output", "/dev/null"]).arg(url(&hosts.server, Family::V4, "large"));
    } else {
        // APPE: for STOR vsftpd truncates what is there, which a device refuses.
        command.arg("--append").arg("--upload-file").arg(vsftpd.file("large")).arg(url(
            &hosts.server,
            Family::V4,
            "upload/null",
        ));
    }
    let output = process::finish(&mut command);
    assert!(output.status.success(), "curl: {}", output.stderr);
    let numbers: Vec<f64> = output.stderr.split(' ').map(|word| word.parse().expect("a number")).collect();
    let [begun, ended, down, up] = numbers[..] else { panic!("curl said {}", output.stderr) };
    assert_eq!(if download { down } else { up }, bytes as f64, "all of it");
    bytes as f64 / ((ended - begun) * 1e9)
}
