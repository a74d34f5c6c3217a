//! A replay for people.

use std::fmt::Write as _;

use ftp_common::event::{Event, EventKind};

use super::timeline::{Entry, Session, What, shown};
use super::{Read, Report, unsupported};
use crate::events::json::verb;
use crate::events::line::EventLines;
use crate::policy::Policy;
use crate::policy::summary::server_lines;
use crate::query::table;
use crate::sys::clock;

/// All that a replay has shown.
#[must_use]
pub fn text(report: &Report) -> String {
    let mut text = head(report);
    for session in &report.timeline.sessions {
        text += &conversation(session);
    }
    if !report.timeline.strays.is_empty() {
        text += "\nwhat belongs to no session\n";
        text.extend(report.timeline.strays.iter().map(entry));
    }
    let gaps = gaps(report);
    if !gaps.is_empty() {
        text += "\nnot in the capture\n";
        text.extend(gaps.iter().map(|line| format!("  {line}\n")));
    }
    text + "\nwhat was counted\n" + &table::stats(&report.stats)
}

fn head(report: &Report) -> String {
    let Read { packets, times, links, .. } = &report.read;
    let links: Vec<_> = links.iter().map(|link| link.name()).collect();
    let mut text = format!("{}: {}", report.file.display(), report.format);
    if !links.is_empty() {
        text += &format!(", {}", links.join(" and "));
    }
    text += &format!(": {packets} packets");
    if let Some((first, last)) = times {
        let took = clock::seconds(u64::try_from(last - first).unwrap_or(0));
        text += &format!(" in {took:.3} seconds, from {} {} on", clock::day(*first), shown(*first));
    }
    text.push('\n');
    for line in server_lines(&report.policy.policy, Some(&report.policy.own)) {
        let _ = writeln!(text, "{line}");
    }
    text
}

fn conversation(session: &Session) -> String {
    let Session { client, server, began, ended, entries } = session;
    let partial = (!began).then(|| session.partial_line()).flatten();
    let mut text = format!("\nsession {client} -> {server}\n");
    if !began {
        text += "  its beginning is not in the capture\n";
    }
    for (index, each) in entries.iter().enumerate() {
        text += &if partial == Some(index) { at(each.time, "> (midstream)") } else { entry(each) };
    }
    if !ended {
        text += "  its end is not in the capture\n";
    }
    text
}

/// `  12:00:01.123  > USER`, and so on.
fn entry(entry: &Entry) -> String {
    let what = match &entry.what {
        What::Event(event) => match event_text(event) {
            Some(text) => text,
            None => return String::new(),
        },
        What::Missing(missing) => format!("missing   {} bytes of {}", missing.bytes, missing.sender),
    };
    at(entry.time, &what)
}

fn at(time: i64, what: &str) -> String {
    format!("  {}  {what}\n", shown(time))
}

fn event_text(event: &Event) -> Option<String> {
    Some(match EventKind::from_number(event.kind)? {
        EventKind::Command => format!("> {}", verb(event.detail).unwrap_or_else(|| "(no verb)".to_owned())),
        EventKind::Reply => format!("< {}", event.detail),
        // Whose session stands above.
        EventKind::SessionStarted if event.flag != 0 => "session   midstream".to_owned(),
        EventKind::SessionStarted => "session   began".to_owned(),
        EventKind::SessionEnded => "session   ended".to_owned(),
        _ => EventLines::default().text(event)?,
    })
}

/// What could not be judged, or only in part.
fn gaps(report: &Report) -> Vec<String> {
    let read = &report.read;
    let counts = [
        (read.headers_cut, "packets are cut in their headers by a snap length: they were not evaluated"),
        (
            read.text_cut,
            "segments of control connections are cut by a snap length: the rest of their payload is unknown",
        ),
        (read.payload_cut, "segments of other connections are cut by a snap length: they count with their full length"),
        (read.untimed, "packets have no time: the previous packet's is used"),
        (
            read.servers_over_limit,
            "segments belong to more servers than there is room for: name the servers with --server",
        ),
        (report.waiting as u64, "early segments were deferred, and the bytes before them never arrived"),
        (report.dropped, "more early segments were deferred than can be kept: the oldest were not evaluated"),
    ];
    let mut lines: Vec<_> =
        counts.iter().filter(|(count, _)| *count != 0).map(|(count, what)| format!("{count} {what}")).collect();
    lines.extend(
        read.other_links
            .iter()
            .map(|(number, count)| format!("{count} packets were not read: {}", unsupported(*number))),
    );
    lines.extend(report.missing.iter().map(|([sender, receiver], sum)| {
        let places = if sum.places == 1 { "one place".to_owned() } else { format!("{} places", sum.places) };
        format!("{} bytes from {sender} to {receiver}, in {places}: they were acknowledged", sum.bytes)
    }));
    if report.policy.policy.own.is_some() && report.policy.own.is_empty() {
        lines.push(format!("a host that answers on {}", control_ports(&report.policy.policy)));
    }
    lines
}

fn control_ports(policy: &Policy) -> String {
    let ports: Vec<_> = policy.own.iter().flat_map(|own| &own.control_ports).map(ToString::to_string).collect();
    let word = if ports.len() == 1 { "port" } else { "ports" };
    format!("{word} {}", ports.join(", "))
}
