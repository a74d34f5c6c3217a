//! `cargo xtask bench`: what ftptrack costs, beside no filter, an empty one, and nf_conntrack_ftp.
//!
//! | module | what it holds |
//! |---|---|
//! | [`measure`] | numbers in rounds, their medians, their ratios |
//! | [`programs`], [`packets`] | the cost of one packet, by BPF_PROG_TEST_RUN |
//! | [`filter`], [`reader`], [`testbed`] | the filters, who reads their events, and the hosts that they are measured on |
//! | [`transfer`], [`account`], [`stopwatch`] | the cost of a whole transfer, live, and of each of its packets |
//! | [`bulk`], [`rate`], [`client`] | large files; many transfers and sessions |
//! | [`flood`] | SYNs to the passive range, dropped by ftptrack and by others |
//! | [`scale`], [`live`] | few and very many flows, sessions and policies |
//! | [`start`] | from the command to the first denied packet; changing a policy |
//! | [`goals`], [`report`], [`plot`], [`machine`] | what is said of the numbers |

mod account;
mod bulk;
mod client;
mod filter;
mod flood;
mod goals;
mod live;
mod machine;
mod measure;
mod packets;
mod plot;
mod programs;
mod rate;
mod reader;
mod report;
mod scale;
mod start;
mod stopwatch;
mod testbed;
mod transfer;

use std::error::Error;
use std::fs;
use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use serde::{Deserialize, Serialize};

use machine::Machine;
use measure::Series;

/// No filter at all.
const NONE: &str = "none";
/// A TC program that does nothing, at both hooks.
const EMPTY: &str = "empty";
/// nftables with nf_conntrack_ftp.
const CONNTRACK: &str = "conntrack";
/// ftptrack.
const FTPTRACK: &str = "ftptrack";
/// The same, and `ftptrack watch`.
const WATCH: &str = "watch";
/// `ftptrack run`.
const RUN: &str = "run";

#[derive(Parser)]
#[command(name = "cargo xtask bench", about = "Measures what ftptrack costs")]
struct Arguments {
    /// Fewer rounds and smaller files: for a first look.
    #[arg(long)]
    quick: bool,
    /// Where the results go, as JSON. What is there of other parts stays.
    #[arg(long, value_name = "FILE")]
    json: PathBuf,
    /// Where the report goes, as Markdown.
    #[arg(long, value_name = "FILE")]
    report: PathBuf,
    /// Where the plots go.
    #[arg(long, value_name = "DIRECTORY")]
    plots: PathBuf,
    /// Measure these parts; none: only draw up the report.
    parts: Vec<Part>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Part {
    /// The cost of a packet.
    Packet,
    /// The cost of a transfer, live.
    Transfer,
    /// Large files.
    Bulk,
    /// Transfers and sessions a second.
    Rate,
    /// Few and many flows, sessions, policies.
    Scale,
    /// Many flows, between two hosts.
    Live,
    /// SYNs to the passive range.
    Flood,
    /// Attaching, changing a policy.
    Start,
}

/// How long to measure.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Length {
    Quick,
    Full,
}

impl Length {
    fn pick<T>(self, quick: T, full: T) -> T {
        match self {
            Self::Quick => quick,
            Self::Full => full,
        }
    }
}

/// All that was measured.
#[derive(Debug, Default, Deserialize, Serialize)]
struct Results {
    machine: Machine,
    quick: bool,
    series: Vec<Series>,
}

/// Measures a part.
type Measure = fn(Length) -> Vec<Series>;

/// Parts in the order of the report, and how each is measured.
const PARTS: [(Part, Measure); 8] = [
    (Part::Packet, packets::measure),
    (Part::Transfer, transfer::measure),
    (Part::Bulk, bulk::measure),
    (Part::Rate, rate::measure),
    (Part::Scale, scale::measure),
    (Part::Live, live::measure),
    (Part::Flood, flood::measure),
    (Part::Start, start::measure),
];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let length = if arguments.quick { Length::Quick } else { Length::Full };
    let mut results = Results { machine: Machine::here(), quick: arguments.quick, ..Results::default() };
    if let Ok(text) = fs::read_to_string(&arguments.json) {
        let before: Results = serde_json::from_str(&text)?;
        let all = PARTS.iter().all(|(part, _)| arguments.parts.contains(part));
        if before.quick == arguments.quick && !all {
            results.series = before.series;
        }
    }
    for (part, measure) in PARTS {
        if !arguments.parts.contains(&part) {
            continue;
        }
        eprintln!("measuring: {part:?}");
        for series in measure(length) {
            match results.series.iter_mut().find(|old| old.what == series.what) {
                Some(old) => *old = series,
                None => results.series.push(series),
            }
        }
        fs::write(&arguments.json, serde_json::to_string(&results)?)?;
    }
    plot::all(&results.series, &arguments.plots)?;
    fs::write(&arguments.report, report::markdown(&results))?;
    Ok(())
}
