//! `ftptrack replay`: a capture through the very kernel program, without touching an interface.
//!
//! ```text
//! player.rs   takes one packet after the other:
//! reader.rs   pcap, pcapng, gzip ─▶ link.rs  any link layer becomes ethernet ─▶ packet.rs  where is TCP, what was cut off
//!    └─ resegment.rs  what is too large becomes segments ─▶ engine.rs  BPF_PROG_TEST_RUN ─▶ events
//!          ├─ time.rs   the capture's time passes in the program's maps
//!          ├─ reorder.rs   what the program defers comes again, as TCP would retransmit it
//!          ├─ gaps.rs  gaps of the capture
//!          └─ timeline.rs  what was reported, in the capture's time ─▶ text.rs, json.rs
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use ipnet::IpNet;

use crate::config::Flags;
use crate::ebpf::policy_maps::ActivePolicy;
use crate::error::Failure;
use crate::policy::attachment::Sizes;
use crate::policy::{FIRST_PASSIVE, Policy, PortRange};
use crate::query::rows::Stats;

mod engine;
pub mod gaps;
mod json;
pub mod link;
mod maps;
pub mod packet;
mod player;
pub mod reader;
pub mod reorder;
pub mod resegment;
mod text;
mod time;
pub mod timeline;

pub use json::ReportRow;
pub use text::text;

use engine::Engine;
use gaps::Sum;
use link::Link;
use player::Player;
use reader::{Capture, Damage};
use timeline::Timeline;

/// What is to be replayed, and by which policy.
#[derive(Clone, Debug)]
pub struct Asked {
    file: PathBuf,
    policy: Policy,
    sizes: Sizes,
    /// Nobody has said what the passive range is.
    range_is_assumed: bool,
}

impl Asked {
    /// What options ask for. Rules without a server apply to whatever host answers on a control port. Where
    /// neither they nor a configuration file give a passive range, it is all from 1024 up.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with them.
    pub fn resolve(file: &Path, flags: &Flags) -> Result<Self, Failure> {
        let configuration = flags.resolve()?;
        let mut policy = configuration.policy;
        let range_is_assumed = flags.passive_range.is_none() && !flags.no_passive && flags.file().is_none();
        if range_is_assumed {
            let all = PortRange { first: FIRST_PASSIVE, last: u16::MAX };
            policy.rules_mut().for_each(|rules| rules.passive_range = Some(all));
        }
        Ok(Self { file: file.to_owned(), policy, sizes: configuration.sizes, range_is_assumed })
    }
}

/// What a replay has shown.
#[derive(Debug)]
pub struct Report {
    /// The capture.
    pub file: PathBuf,
    /// `pcap` or `pcapng`, and whether it is compressed.
    pub format: &'static str,
    /// The policy, and the servers that were found by themselves.
    pub policy: ActivePolicy,
    /// Nobody has said what the passive range is.
    pub range_is_assumed: bool,
    /// What was read.
    pub read: Read,
    /// What happened.
    pub timeline: Timeline,
    /// Bytes that are not in the capture, by sender and receiver.
    pub missing: BTreeMap<[SocketAddr; 2], Sum>,
    /// Early segments that still wait for gaps of the capture.
    pub waiting: usize,
    /// Early segments that were more than can be kept.
    pub dropped: u64,
    /// What was counted.
    pub stats: Stats,
    /// Why it was not read to its end.
    pub damage: Option<Damage>,
}

/// Packets by what became of them.
#[derive(Clone, Debug, Default)]
pub struct Read {
    /// All.
    pub packets: u64,
    /// The first packet's time and the last one's, nanoseconds since 1970.
    pub times: Option<(i64, i64)>,
    /// Packets without a time, which are taken to be of the one before.
    pub untimed: u64,
    /// Link layers that occurred.
    pub links: BTreeSet<Link>,
    /// Packets of link layers that can't be read, by LINKTYPE_ number.
    pub other_links: BTreeMap<i32, u64>,
    /// Packets that are no IP.
    pub not_ip: u64,
    /// Packets that the snap length has cut in their headers: nobody can judge them.
    pub headers_cut: u64,
    /// Segments of control connections that the snap length has cut in their text.
    pub text_cut: u64,
    /// Other segments that it has cut in their payload: zeros stand for that.
    pub payload_cut: u64,
    /// Packets that were too large for the kernel's test runs, and were cut into segments.
    pub too_large: u64,
    /// Servers beyond those that the policy has room for.
    pub servers_over_limit: u64,
}

impl Report {
    /// What the policy can't guard, and what was assumed.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let assumed = self.range_is_assumed.then(|| {
            "no passive range is given: all ports from 1024 up are taken for it, as --passive-range 1024-65535 says"
                .to_owned()
        });
        assumed.into_iter().chain(self.policy.policy.notes()).collect()
    }
}

/// What to do about a link layer that can't be read.
const CAPTURE_ON: &str = "capture on an ethernet, IP or loopback interface";

/// A link layer that can't be read, by its LINKTYPE_ number.
fn unsupported(number: i32) -> String {
    format!("LINKTYPE {number} (unsupported; {CAPTURE_ON})")
}

/// Replays a capture.
///
/// # Errors
///
/// It can't be opened or is no capture, nothing in it can be read, or the kernel refuses.
pub fn replay(asked: Asked) -> Result<Report, Failure> {
    let Asked { file, policy, sizes, range_is_assumed } = asked;
    let capture = Capture::open(&file)?;
    let format = capture.format;
    let engine = Engine::load(&policy, sizes)?;
    let mut player = Player::new(policy, engine);
    let damage = capture.read(|record| player.record(&record))?;
    let stats = player.engine.stats()?;
    let Player { policy, read, timeline, gaps, reorder, servers, .. } = player;
    if let Some(number) = read.other_links.keys().next().filter(|_| read.links.is_empty()) {
        return Err(Failure::failed(
            file.display(),
            format_args!("its link layer is LINKTYPE {number}, which is unsupported"),
            CAPTURE_ON,
        ));
    }
    let own = servers.into_iter().map(IpNet::from).collect();
    Ok(Report {
        file,
        format,
        policy: ActivePolicy { generation: 1, policy, own },
        range_is_assumed,
        read,
        timeline,
        missing: gaps.missing,
        waiting: reorder.count(),
        dropped: reorder.dropped(),
        stats,
        damage,
    })
}
