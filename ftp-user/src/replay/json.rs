//! A replay for programs: one document.

use ftp_common::event::EventKind;
use serde::Serialize;

use super::Report;
use super::timeline::{Entry, What};
use crate::endpoint::BothWays;
use crate::events::json::EventRow;
use crate::query::policy_row::PolicyRow;
use crate::query::rows::Stats;

/// What `replay --json` prints.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ReportRow {
    /// The capture.
    pub file: String,
    /// `pcap` or `pcapng`, and whether it is compressed.
    pub format: &'static str,
    /// Link layers.
    pub links: Vec<&'static str>,
    /// Packets in it, up to the damage.
    pub packets: u64,
    /// Time of the first packet, seconds since 1970, UTC.
    pub first: Option<f64>,
    /// Time of the last packet.
    pub last: Option<f64>,
    /// Why it was not read to its end.
    pub damage: Option<String>,
    /// The policy. Servers that were found by themselves are this host's own addresses.
    pub policy: PolicyRow,
    /// Control connections.
    pub sessions: Vec<SessionRow>,
    /// What belongs to no session.
    pub strays: Vec<EntryRow>,
    /// Gaps of the capture.
    pub gaps: GapsRow,
    /// What was counted, by the counters' names.
    pub counters: Stats,
}

/// One control connection.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SessionRow {
    /// Address and port.
    pub client: String,
    /// Address and port.
    pub server: String,
    /// Whether its beginning is in the capture.
    pub began: bool,
    /// Whether its end is.
    pub ended: bool,
    /// What happened.
    pub entries: Vec<EntryRow>,
}

/// Something that happened. Fields that have no meaning for it are left out.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EntryRow {
    /// Seconds since 1970, UTC, by the capture.
    pub time: f64,
    /// As in `events --json`, and `missing`.
    pub event: &'static str,
    /// Address, with the port where it is known; left out if any client may connect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// Address, with the port where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// `passive` or `active`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<&'static str>,
    /// The verb of a command; left out if the line doesn't begin with one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verb: Option<String>,
    /// The code of a reply.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<u32>,
    /// Why: the name of a counter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// Monitor mode let it pass.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub monitored: bool,
    /// How many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// TCP payload bytes each way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<BothWays>,
    /// More bytes may have passed than were counted.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub at_least: bool,
    /// Of `missing`: who sent the bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sender: Option<String>,
    /// Of `missing`: how many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing: Option<u64>,
}

/// Gaps of a capture.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GapsRow {
    /// Packets that a snap length has cut in their headers: not judged.
    pub headers_cut: u64,
    /// Segments of control connections that it has cut in their text.
    pub text_cut: u64,
    /// Other segments that it has cut.
    pub payload_cut: u64,
    /// Packets without a time.
    pub untimed: u64,
    /// Packets of link layers that can't be read.
    pub other_links: u64,
    /// Segments of servers that there is no room for.
    pub servers_over_limit: u64,
    /// Early segments that wait for what never came.
    pub waiting: u64,
    /// Early segments that were more than can be kept: not judged.
    pub dropped: u64,
    /// Bytes that were acknowledged and are not in it.
    pub missing: Vec<MissingRow>,
}

/// Bytes that are not in the capture.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MissingRow {
    /// Address and port.
    pub sender: String,
    /// Address and port.
    pub receiver: String,
    /// How many.
    pub bytes: u64,
    /// In how many places.
    pub places: u64,
}

impl From<&Report> for ReportRow {
    fn from(report: &Report) -> Self {
        let read = &report.read;
        let sessions = report.timeline.sessions.iter().map(|session| SessionRow {
            client: session.client.clone(),
            server: session.server.clone(),
            began: session.began,
            ended: session.ended,
            entries: session.entries.iter().filter_map(EntryRow::new).collect(),
        });
        let missing = report.missing.iter().map(|([sender, receiver], sum)| MissingRow {
            sender: sender.to_string(),
            receiver: receiver.to_string(),
            bytes: sum.bytes,
            places: sum.places,
        });
        Self {
            file: report.file.display().to_string(),
            format: report.format,
            links: read.links.iter().map(|link| link.name()).collect(),
            packets: read.packets,
            first: read.times.map(|(first, _)| seconds(first)),
            last: read.times.map(|(_, last)| seconds(last)),
            damage: report.damage.as_ref().map(|damage| damage.what.clone()),
            policy: PolicyRow::from(&report.policy),
            sessions: sessions.collect(),
            strays: report.timeline.strays.iter().filter_map(EntryRow::new).collect(),
            gaps: GapsRow {
                headers_cut: read.headers_cut,
                text_cut: read.text_cut,
                payload_cut: read.payload_cut,
                untimed: read.untimed,
                other_links: read.other_links.values().sum(),
                servers_over_limit: read.servers_over_limit,
                waiting: report.waiting as u64,
                dropped: report.dropped,
                missing: missing.collect(),
            },
            counters: report.stats.clone(),
        }
    }
}

impl EntryRow {
    fn new(entry: &Entry) -> Option<Self> {
        let time = seconds(entry.time);
        Some(match &entry.what {
            What::Event(event) => {
                let row = EventRow::new(event)?;
                // What is said is said by both ends of its session.
                let is_viewed =
                    matches!(EventKind::from_number(event.kind), Some(EventKind::Command | EventKind::Reply));
                Self {
                    client: row.client.filter(|_| !is_viewed),
                    server: Some(row.server).filter(|_| !is_viewed),
                    mode: row.mode,
                    verb: row.verb,
                    code: row.code,
                    reason: row.reason,
                    monitored: row.monitored,
                    count: row.count,
                    bytes: row.bytes,
                    at_least: row.at_least,
                    ..Self::at(time, row.event)
                }
            }
            What::Missing(missing) => Self {
                sender: Some(missing.sender.to_string()),
                missing: Some(missing.bytes),
                ..Self::at(time, "missing")
            },
        })
    }

    const fn at(time: f64, event: &'static str) -> Self {
        Self {
            time,
            event,
            client: None,
            server: None,
            mode: None,
            verb: None,
            code: None,
            reason: None,
            monitored: false,
            count: None,
            bytes: None,
            at_least: false,
            sender: None,
            missing: None,
        }
    }
}

/// To the microsecond, as most captures are.
#[expect(clippy::cast_precision_loss, reason = "microseconds have room in an f64 for 285 years")]
fn seconds(time: i64) -> f64 {
    (time / 1000) as f64 / 1e6
}
