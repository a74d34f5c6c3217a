//! The tables of what came of the scenarios, and of what can't be tried with both filters.

use std::fmt::Write as _;

use super::{Found, Outcomes, Scenario};

/// One scenario and what came of it.
#[derive(Clone, Debug)]
pub struct Row {
    /// The scenario.
    pub scenario: &'static Scenario,
    /// With ftptrack.
    pub ftptrack: Vec<&'static str>,
    /// With nf_conntrack_ftp.
    pub conntrack: Vec<&'static str>,
}

/// What is tested with ftptrack alone, and why.
const ALONE: &[(&str, &str)] = &[
    (
        "1,000,000 SYNs, 100,000 handshakes and 100,000 sessions, given to the attached program (`exhaustion.rs`)",
        "BPF_PROG_TEST_RUN reaches BPF programs only; above are as many as a real link bears, for both",
    ),
    (
        "a session, and a flow, evicted from its map (`exhaustion.rs`)",
        "nf_conntrack evicts no established connection: it admits no new one instead, see above",
    ),
    (
        "limits per client: how they are counted, and when a slot is free again (`exhaustion_limits.rs`)",
        "the helper has none",
    ),
    (
        "a flood of SYNs with the client's address for 2.5 s (`exhaustion_limits.rs`)",
        "the helper's expectation is used up by the first of them, see above",
    ),
    (
        "both directions of one session, and two connections for one expectation, on two CPUs at the same instant \
         (`races.rs`)",
        "only BPF_PROG_TEST_RUN chooses CPU and instant; above is what two threads achieve on a real link",
    ),
];

/// This part of the page: the same each time.
#[must_use]
pub fn write(rows: &[Row]) -> String {
    let mut text = "### Scenarios\n\n\
        Whole courses of events between real network namespaces (`tests/src/suites/scenarios`), with the same two filters.\n\
        Where a row says gateway or client's host, they are attached there. *Expected* and the outcomes follow the sentence\n\
        step by step.\n\n\
        Where fragments arrive whole, the server did read the PASV, and the helper reassembles them too: ftptrack does not\n\
        read them, so it denies, and the row counts that as expected.\n\n\
        | | scenarios | as expected |\n|---|---|---|\n"
        .to_owned();
    let held = |observed: fn(&Row) -> &[&'static str]| {
        rows.iter().filter(|row| observed(row) == row.scenario.expected).count()
    };
    let both = [("ftptrack", held(|row| &row.ftptrack)), ("nf_conntrack_ftp", held(|row| &row.conntrack))];
    for (name, held) in both {
        let _ = writeln!(text, "| {name} | {} | {held} |", rows.len());
    }
    let mut group = "";
    for row in rows {
        let scenario = row.scenario;
        if scenario.group != group {
            group = scenario.group;
            let _ = write!(text, "\n#### {group}\n\n");
            text +=
                "| what is tried | what must hold | expected | ftptrack | nf_conntrack_ftp |\n|---|---|---|---|---|\n";
        }
        let [ftptrack, conntrack] = [&row.ftptrack, &row.conntrack].map(|observed| cell(scenario, observed));
        let expected = Outcomes(scenario.expected);
        let _ = writeln!(text, "| {} | {} | {expected} | {ftptrack} | {conntrack} |", scenario.name, scenario.must);
    }
    text += "\n#### Tested with ftptrack alone\n\n| what is tested | why not with the helper |\n|---|---|\n";
    for (what, why) in ALONE {
        let _ = writeln!(text, "| {what} | {why} |");
    }
    text
}

/// What was measured when the page was made: other numbers each time.
#[must_use]
pub fn measurements(ftptrack: &[Found], conntrack: &[Found]) -> String {
    let mut text = "#### Measurements\n\n\
        These numbers differ from run to run.\n\n\
        | what is tried | ftptrack | nf_conntrack_ftp |\n|---|---|---|\n"
        .to_owned();
    for (scenario, (ftptrack, conntrack)) in Scenario::all().zip(ftptrack.iter().zip(conntrack)) {
        if !ftptrack.measured.is_empty() || !conntrack.measured.is_empty() {
            let [ftptrack, conntrack] = [ftptrack, conntrack].map(|found| found.measured.join("; "));
            let _ = writeln!(text, "| {} | {ftptrack} | {conntrack} |", scenario.name);
        }
    }
    text
}

fn cell(scenario: &Scenario, observed: &[&str]) -> String {
    if observed == scenario.expected { Outcomes(observed).to_string() } else { format!("**{}**", Outcomes(observed)) }
}
