//! What is counted and how things stand, for Prometheus (its text format, version 0.0.4), from the pinned maps at the
//! moment of asking.
//!
//! Every counter of `ftptrack stats` is there: `ftptrack_NAME_total`, the denials and refusals as one each, by `reason`.

use std::path::Path;

use aya::maps::MapData;
use ftp_common::ABI_VERSION;
use ftp_common::counter::Counter;
use ftp_common::flow::{Flow, state};
use ftp_common::keys::Mode;
use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder};

use crate::ebpf::maps::PinnedMaps;
use crate::error::{Failure, OrFail as _};
use crate::events::totals::{Entry, Totals};
use crate::pins::Pins;
use crate::query;
use crate::query::rows::{ExpectationRow, SessionRow, Stats, Status};
use crate::query::status;

pub mod serve;

/// What names a counter of a kind that has several, and is a label's value instead.
const FAMILIES: [(&str, &str, &str); 2] = [
    ("denied_", "denied_total", "Connections and packets denied."),
    ("refused_", "negotiations_refused_total", "Negotiations that ftptrack refused."),
];
/// States of a data connection that is under way.
const OPEN: [(u8, &str); 3] =
    [(state::SYN_SENT, "syn_sent"), (state::SYN_RECV, "syn_recv"), (state::ESTABLISHED, "established")];
const MODES: [Mode; 2] = [Mode::Passive, Mode::Active];
/// Who sent it, as flows count it.
const SENDERS: [&str; 2] = ["client", "server"];

/// All metrics, as text.
///
/// # Errors
///
/// ftptrack is not attached, or a map can't be read.
pub async fn text(pin_dir: &Path) -> Result<String, Failure> {
    with_totals(pin_dir, None).await
}

/// The same, with what data connections have carried where that is known.
async fn with_totals(pin_dir: &Path, totals: Option<&mut Totals>) -> Result<String, Failure> {
    let pins = Pins::attached(pin_dir)?;
    let maps = PinnedMaps::new(&pins);
    let status = status::status(pin_dir, &pins).await?;
    let flows = query::flow_entries(maps)?;
    let page = Page(Registry::new());
    let written = page
        .status(&status)
        .and_then(|()| page.counters(&query::stats(maps)?))
        .and_then(|()| page.sessions(&query::sessions(maps)?, &maps.sessions()?))
        .and_then(|()| page.expectations(&query::expectations(maps)?))
        .and_then(|()| page.flows(&flows, &maps.flows()?))
        .and_then(|()| totals.map_or(Ok(()), |totals| page.bytes(totals.with(&flows))));
    written?;
    TextEncoder::new().encode_to_string(&page.0.gather()).or_fail("metrics", "report this")
}

struct Page(Registry);

impl Page {
    fn status(&self, status: &Status) -> Result<(), Failure> {
        let build = self.gauges("build_info", "The program that answers.", &["version", "abi"])?;
        build.with_label_values(&[status.version, &ABI_VERSION.to_string()]).set(1);
        let labels = ["interface", "hook", "side"];
        let attached = self.gauges("interface_attached", "Whether the filter is attached to an interface.", &labels)?;
        for row in &status.interfaces {
            attached.with_label_values(&[&row.name, row.hook.as_str(), row.side.as_str()]).set(row.attached.into());
        }
        let help = "Addresses of the host that the policy does not know yet.";
        self.gauge("unprotected_addresses", help, status.unprotected_addresses.len())?;
        let help = "Active policies, by whether they deny (enforce) or only count (monitor).";
        let policies = self.gauges("policies", help, &["mode"])?;
        for mode in ["enforce", "monitor"] {
            let count = status.policy.servers.iter().filter(|server| server.mode == mode).count();
            policies.with_label_values(&[mode]).set(number(count));
        }
        let help = "Incremented with every change of the policy or of the guarded addresses.";
        self.gauge("policy_generation", help, status.policy.generation as usize)
    }

    fn counters(&self, Stats(stats): &Stats) -> Result<(), Failure> {
        for (prefix, name, help) in FAMILIES {
            let family = IntCounterVec::new(opts(name, help), &["reason"]).or_fail(name, "report this")?;
            for (counter, count) in stats {
                if let Some(reason) = counter.name().strip_prefix(prefix) {
                    family.with_label_values(&[reason]).inc_by(*count);
                }
            }
            self.register(name, family)?;
        }
        let is_single = |counter: &Counter| FAMILIES.iter().all(|(prefix, ..)| !counter.name().starts_with(prefix));
        for (counter, count) in stats.iter().filter(|(counter, _)| is_single(counter)) {
            let name = format!("{}_total", counter.name());
            let single = IntCounter::with_opts(opts(&name, counter.meaning())).or_fail(&name, "report this")?;
            single.inc_by(*count);
            self.register(&name, single)?;
        }
        Ok(())
    }

    fn sessions(&self, rows: &[SessionRow], map: &MapData) -> Result<(), Failure> {
        let help = "Tracked control connections, by whether they can open anything.";
        let sessions = self.gauges("sessions", help, &["state"])?;
        for state in ["in sync", "resyncing", "opaque"] {
            let count = rows.iter().filter(|row| row.state == state).count();
            sessions.with_label_values(&[&state.replace(' ', "_")]).set(number(count));
        }
        let help = "Encrypted control connections, by what their data connections are known by.";
        let encrypted = self.gauges("encrypted_sessions", help, &["evidence"])?;
        for evidence in ["owner", "none"] {
            let count = rows.iter().filter(|row| row.evidence == Some(evidence)).count();
            encrypted.with_label_values(&[evidence]).set(number(count));
        }
        self.gauge("sessions_limit", "Maximum number of tracked control connections.", room(map)?)
    }

    fn expectations(&self, rows: &[ExpectationRow]) -> Result<(), Failure> {
        let help = "Data connections negotiated but not yet begun, and what they are known by.";
        let expectations = self.gauges("expectations", help, &["mode", "evidence"])?;
        for mode in MODES {
            for evidence in ["reply", "owner"] {
                let is = |row: &&ExpectationRow| row.mode == mode.name() && row.evidence == evidence;
                let count = rows.iter().filter(is).count();
                expectations.with_label_values(&[mode.name(), evidence]).set(number(count));
            }
        }
        Ok(())
    }

    fn flows(&self, all: &[Entry], map: &MapData) -> Result<(), Failure> {
        let open = self.gauges("flows", "Open data connections.", &["mode", "state"])?;
        for mode in MODES {
            for (wanted, word) in OPEN {
                // Established as soon as its handshake is over.
                let shown =
                    |flow: &Flow| if flow.state == state::UNCONFIRMED { state::ESTABLISHED } else { flow.state };
                let is = |flow: &Flow| flow.mode == mode.number() && shown(flow) == wanted;
                let count = all.iter().filter(|(_, flow)| is(&flow.0)).count();
                open.with_label_values(&[mode.name(), word]).set(number(count));
            }
        }
        self.gauge("flows_limit", "Maximum number of tracked data connections.", room(map)?)
    }

    fn bytes(&self, totals: [(Mode, [u64; 2]); 2]) -> Result<(), Failure> {
        let help = "TCP payload of data connections since this process started, by sender.";
        let name = "data_bytes_total";
        let total = IntCounterVec::new(opts(name, help), &["mode", "from"]).or_fail(name, "report this")?;
        for (mode, bytes) in totals {
            for (from, bytes) in SENDERS.iter().zip(bytes) {
                total.with_label_values(&[mode.name(), from]).inc_by(bytes);
            }
        }
        self.register(name, total)
    }

    fn gauge(&self, name: &str, help: &str, value: usize) -> Result<(), Failure> {
        let gauge = IntGauge::with_opts(opts(name, help)).or_fail(name, "report this")?;
        gauge.set(number(value));
        self.register(name, gauge)
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec, Failure> {
        let gauges = IntGaugeVec::new(opts(name, help), labels).or_fail(name, "report this")?;
        self.register(name, gauges.clone())?;
        Ok(gauges)
    }

    fn register(&self, name: &str, metric: impl prometheus::core::Collector + 'static) -> Result<(), Failure> {
        self.0.register(Box::new(metric)).or_fail(name, "report this")
    }
}

fn opts(name: &str, help: &str) -> Opts {
    Opts::new(format!("ftptrack_{name}"), help)
}

fn number(count: usize) -> i64 {
    count.try_into().unwrap_or(i64::MAX)
}

fn room(map: &MapData) -> Result<usize, Failure> {
    Ok(map.info().or_fail("map", "run as root")?.max_entries() as usize)
}
