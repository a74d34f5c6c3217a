//! `cargo xtask bench`: what ftptrack costs, beside no filter, an empty one, and nf_conntrack_ftp.
//!
//! | module | what it holds |
//! |---|---|
//! | [`measure`] | numbers in rounds, their medians, their ratios |
//! | [`programs`], [`packets`] | the cost of one packet, by BPF_PROG_TEST_RUN |

mod measure;
mod packets;
mod programs;

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
    for series in &results.series {
        let over = series.over(FTPTRACK, EMPTY).expect("measured");
        println!("{:45} +{:7.1} {:7.1} {:7.1}", series.what, over.low, over.median, over.high);
    }
    fs::write(&arguments.json, serde_json::to_string_pretty(&results)?)?;
    Ok(())
}
