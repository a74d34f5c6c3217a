//! The tables of what came of the trials, and of what can't be tried with both guards.

use std::fmt::Write as _;

use super::{Found, Trial, Words};

/// One trial and what came of it.
#[derive(Clone, Debug)]
pub struct Row {
    /// The trial.
    pub trial: &'static Trial,
    /// With ftptrack.
    pub ftptrack: Vec<&'static str>,
    /// With nf_conntrack_ftp.
    pub conntrack: Vec<&'static str>,
}

/// What is tested with ftptrack alone, and why.
const ALONE: &[(&str, &str)] = &[
    (
        "1,000,000 SYNs, 100,000 handshakes and 100,000 sessions given to the attached program (`exhaustion.rs`)",
        "BPF_PROG_TEST_RUN gives packets to BPF programs only; above are as many as is bearable on a real link, to both",
    ),
    (
        "a session, and a flow, that is pushed out of its map (`exhaustion.rs`)",
        "nf_conntrack pushes out no connection that is established: it lets no new one in instead, see above",
    ),
    (
        "limits for one client: how they are counted, and when a place is free again (`exhaustion_limits.rs`)",
        "the helper has none",
    ),
    (
        "a flood of SYNs in the client's name that lasts for 2.5 s (`exhaustion_limits.rs`)",
        "the helper's expectation is gone with the first of them, see above",
    ),
    (
        "both directions of one session, and two connections for one expectation, on two CPUs at the same instant \
         (`races.rs`)",
        "only BPF_PROG_TEST_RUN chooses the CPU and the instant; above is what two threads make of it on a real link",
    ),
];

/// This part of the page: the same each time.
#[must_use]
pub fn write(rows: &[Row]) -> String {
    let mut text = "### Trials\n\n\
        Whole stories between real network namespaces (`tests/src/suites/scenarios`), with the same two guards. Where it says\n\
        gateway or client's host, they stand there. *Must be*, and what came, follow the sentence step by step.\n\n\
        Where fragments arrive whole, the server did read the PASV, and the helper puts them together as well:\n\
        ftptrack doesn't read them, so it shuts, and so the row counts.\n\n\
        | | trials | as it must be |\n|---|---|---|\n"
        .to_owned();
    let held = |met: fn(&Row) -> &[&'static str]| rows.iter().filter(|row| met(row) == row.trial.must_be).count();
    let both = [("ftptrack", held(|row| &row.ftptrack)), ("nf_conntrack_ftp", held(|row| &row.conntrack))];
    for (name, held) in both {
        let _ = writeln!(text, "| {name} | {} | {held} |", rows.len());
    }
    let mut group = "";
    for row in rows {
        let trial = row.trial;
        if trial.group != group {
            group = trial.group;
            let _ = write!(text, "\n#### {group}\n\n");
            text +=
                "| what is tried | what must hold | must be | ftptrack | nf_conntrack_ftp |\n|---|---|---|---|---|\n";
        }
        let [ftptrack, conntrack] = [&row.ftptrack, &row.conntrack].map(|met| cell(trial, met));
        let must_be = Words(trial.must_be);
        let _ = writeln!(text, "| {} | {} | {must_be} | {ftptrack} | {conntrack} |", trial.name, trial.must);
    }
    text += "\n#### Tested with ftptrack alone\n\n| what is tested | why not beside the helper |\n|---|---|\n";
    for (what, why) in ALONE {
        let _ = writeln!(text, "| {what} | {why} |");
    }
    text
}

/// What was measured when the page was made: other numbers each time.
#[must_use]
pub fn measurements(ftptrack: &[Found], conntrack: &[Found]) -> String {
    let mut text = "#### Measured meanwhile\n\n\
        Another time the numbers are others.\n\n\
        | what is tried | ftptrack | nf_conntrack_ftp |\n|---|---|---|\n"
        .to_owned();
    for (trial, (ftptrack, conntrack)) in Trial::all().zip(ftptrack.iter().zip(conntrack)) {
        if !ftptrack.measured.is_empty() || !conntrack.measured.is_empty() {
            let [ftptrack, conntrack] = [ftptrack, conntrack].map(|found| found.measured.join("; "));
            let _ = writeln!(text, "| {} | {ftptrack} | {conntrack} |", trial.name);
        }
    }
    text
}

fn cell(trial: &Trial, met: &[&str]) -> String {
    if met == trial.must_be { Words(met).to_string() } else { format!("**{}**", Words(met)) }
}
