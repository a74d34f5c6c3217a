//! `cargo xtask bench`: what ftptrack costs, beside no filter, an empty one, and nf_conntrack_ftp.
//!
//! | module | what it holds |
//! |---|---|
//! | [`measure`] | numbers in rounds, their medians, their ratios |
//! | [`programs`], [`packets`] | the cost of one packet, by BPF_PROG_TEST_RUN |
//! | [`filter`], [`ground`] | the four filters, and the hosts that they are measured on |
//! | [`bulk`], [`rate`], [`client`] | large files; many transfers and sessions |
//! | [`scale`], [`live`] | few and very many flows, sessions and policies |
//! | [`start`] | from the command to the first denied packet; changing a policy |

mod bulk;
mod client;
mod filter;
mod ground;
mod live;
mod measure;
mod packets;
mod programs;
mod rate;
mod scale;
mod start;

use std::error::Error;
use std::fs;
use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use serde::{Deserialize, Serialize};

use measure::Series;

/// No filter at all.
const NONE: &str = "none";
/// A TC program that does nothing, at both hooks.
const EMPTY: &str = "empty";
/// nftables with nf_conntrack_ftp.
const CONNTRACK: &str = "conntrack";
/// ftptrack.
const FTPTRACK: &str = "ftptrack";

#[derive(Parser)]
#[command(name = "cargo xtask bench", about = "Measures what ftptrack costs")]
struct Arguments {
    /// Fewer rounds and smaller files: for a first look.
    #[arg(long)]
    quick: bool,
    /// Where the results go, as JSON.
    #[arg(long, value_name = "FILE")]
    json: PathBuf,
    /// Only these parts.
    parts: Vec<Part>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Part {
    /// The cost of a packet.
    Packet,
    /// Large files.
    Bulk,
    /// Transfers and sessions a second.
    Rate,
    /// Few and many flows, sessions, policies.
    Scale,
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
    quick: bool,
    series: Vec<Series>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let length = if arguments.quick { Length::Quick } else { Length::Full };
    let wanted = |part| arguments.parts.is_empty() || arguments.parts.contains(&part);
    let mut results = Results { quick: arguments.quick, ..Results::default() };
    if wanted(Part::Packet) {
        results.series.extend(packets::measure(length));
    }
    if wanted(Part::Bulk) {
        results.series.extend(bulk::measure(length));
    }
    if wanted(Part::Rate) {
        results.series.extend(rate::measure(length));
    }
    if wanted(Part::Scale) {
        results.series.extend(scale::measure(length));
        results.series.extend(live::measure(length));
    }
    if wanted(Part::Start) {
        results.series.extend(start::measure(length));
    }
    for series in &results.series {
        if series.part == "packet" {
            let over = series.over(FTPTRACK, EMPTY).expect("measured");
            println!("{:45} +{:7.1} {:7.1} {:7.1}", series.what, over.low, over.median, over.high);
        } else {
            print!("{:45}", series.what);
            for column in &series.columns {
                let value = series.spread(&column.filter).expect("measured");
                print!(" | {} {:9.3}", column.filter, value.median);
                if let Some(ratio) = series.ratio(&column.filter, NONE) {
                    print!(" {:6.4} ({:6.4}-{:6.4})", ratio.median, ratio.low, ratio.high);
                }
            }
            println!();
        }
    }
    fs::write(&arguments.json, serde_json::to_string_pretty(&results)?)?;
    Ok(())
}
