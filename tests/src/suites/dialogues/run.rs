//! Plays many dialogues against ftptrack, or against the kernel's own FTP helper.

use ftp_common::counter::Counter;
use std::cmp::Reverse;
use std::time::Duration;

use super::play::Testbed;
use super::{Access, Dialogue, Played};
use crate::subject::conntrack;
use crate::subject::ftptrack::{Ftptrack, PinDirectory, USUAL};
use crate::subject::report::Stats;
use crate::support::parallel::{self, in_parallel};
use crate::support::wait::{self, patience};

/// Who decides which data connections may begin.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Guard {
    /// Nobody: every data connection can begin. So it is the guard that shuts, and not the test.
    Nobody,
    /// ftptrack, behind a firewall that lets nothing begin on the server but what goes to its
    /// control port and to its passive range.
    Ftptrack,
    /// nf_conntrack_ftp and a firewall that asks it: [`conntrack`].
    Conntrack,
}

/// Networks that dialogues are played on at a time. Most of the time they wait.
const WORKERS: usize = 4;
/// A packet that the helper drops is gone for good; one that is only late comes sooner than this.
const SHORT_PATIENCE: Duration = Duration::from_millis(1500);

/// The server's firewall, with ftptrack. It follows nothing: what ftptrack guards it leaves to it.
const WALL: &str = "
table inet wall {
    chain input {
        type filter hook input priority 0; policy accept;
        tcp flags & (syn | ack) == syn tcp dport != { 9, 21, 10240-20480 } drop
    }
}
";

/// Raised in the ordinary course of things, so that it says nothing if a file doesn't name them.
const ORDINARY: &[Counter] = &[
    Counter::Commands,
    Counter::Replies,
    Counter::SessionsStarted,
    Counter::SessionsEnded,
    Counter::ResetsIgnored,
    Counter::SegmentsDeferred,
    Counter::ExpectationsPassive,
    Counter::ExpectationsActive,
    Counter::ExpectationsWithdrawn,
    Counter::FlowsEstablished,
    Counter::FlowsEnded,
    Counter::FlowsRefused,
    Counter::DeniedPassive,
    Counter::DeniedEncrypted,
    Counter::DeniedActive,
    Counter::EventsLost,
    Counter::ViewLost,
    Counter::EventsSuppressed,
];

/// Plays all of them, several at a time. What came of each, in their order; `None` for those whose
/// options mean nothing to this guard.
#[track_caller]
pub fn play_all(dialogues: &[Dialogue], guard: Guard) -> Vec<Option<Played>> {
    let mut order: Vec<usize> = (0..dialogues.len()).collect();
    // The same ftptrack serves those with the same options.
    order.sort_by_key(|index| Reverse((dialogues[*index].attaches(), &dialogues[*index].options, usize::MAX - index)));
    let cases = order.iter().map(|index| &dialogues[*index]);
    let played = in_parallel(WORKERS, cases, |cases| match guard {
        Guard::Nobody => against_nobody(cases),
        Guard::Ftptrack => against_ftptrack(cases),
        Guard::Conntrack => against_conntrack(cases),
    });
    let mut played: Vec<_> = order.into_iter().zip(played).collect();
    played.sort_by_key(|(index, _)| *index);
    played.into_iter().map(|(_, played)| played).collect()
}

/// What came of a dialogue; `None` where its options mean nothing.
type Cases<'a> = parallel::Cases<&'a Dialogue, Option<Played>>;

fn against_nobody(dialogues: &Cases<'_>) {
    let testbed = Testbed::new(patience());
    dialogues.for_each(|dialogue| Some(testbed.play(dialogue, &mut || ())));
}

fn against_conntrack(dialogues: &Cases<'_>) {
    let testbed = Testbed::new(SHORT_PATIENCE);
    let server = &testbed.network.server;
    conntrack::guard(server);
    dialogues.for_each(|dialogue| {
        if !dialogue.options.is_empty() {
            return None;
        }
        let played = testbed.play(dialogue, &mut || conntrack::forget(server));
        // Its expectations outlive the control connection.
        conntrack::forget(server);
        Some(played)
    });
}

fn against_ftptrack(dialogues: &Cases<'_>) {
    let testbed = Testbed::new(patience());
    let server = &testbed.network.server;
    conntrack::load(server, WALL);
    let pins = PinDirectory::new();
    let mut running: Option<(&[String], Ftptrack<'_>)> = None;
    let start = |dialogue: &Dialogue| {
        let options: Vec<_> = USUAL.into_iter().chain(dialogue.options.iter().map(String::as_str)).collect();
        Ftptrack::run(server, &pins, &options)
    };
    dialogues.for_each(|dialogue| {
        if let Some((options, ftptrack)) = running.take() {
            if options == dialogue.options && !dialogue.attaches() {
                running = Some((options, ftptrack));
            } else {
                ftptrack.stop();
            }
        }
        if running.is_none() && !dialogue.attaches() {
            running = Some((&dialogue.options, start(dialogue)));
        }
        let before = running.as_ref().map(|(_, ftptrack)| ftptrack.counters());
        let mut late = None;
        let mut played = testbed.play(dialogue, &mut || late = Some(start(dialogue)));
        if let Some(ftptrack) = late.as_ref().or(running.as_ref().map(|(_, ftptrack)| ftptrack)) {
            wait_until_forgotten(ftptrack, &mut played);
            compare(dialogue, before.as_ref(), &ftptrack.counters(), &mut played);
        }
        if let Some(ftptrack) = late {
            ftptrack.stop();
        }
        Some(played)
    });
    if let Some((_, ftptrack)) = running {
        ftptrack.stop();
    }
}

/// Both ends have hung up: nothing of the session must stay.
#[track_caller]
fn wait_until_forgotten(ftptrack: &Ftptrack<'_>, played: &mut Played) {
    let forgotten = wait::within(Duration::from_secs(2), || (ftptrack.alive() == (0, 0)).then_some(()));
    if forgotten.is_none() {
        let left = (ftptrack.sessions(), ftptrack.expectations());
        played.complaints.push(format!("both ends hung up, and this stays: {left:?}"));
    }
}

/// Every counter must be raised by what the file says.
fn compare(dialogue: &Dialogue, before: Option<&Stats>, after: &Stats, played: &mut Played) {
    let nothing_opens = dialogue.attempts().all(|attempt| attempt.wanted == Access::Shut);
    for counter in Counter::ALL.iter().copied() {
        let expectation = matches!(counter, Counter::ExpectationsPassive | Counter::ExpectationsActive);
        let named = dialogue.counts.iter().find(|(named, _)| *named == counter).map(|(_, number)| *number);
        if named.is_none() && ORDINARY.contains(&counter) && !(expectation && nothing_opens) {
            continue;
        }
        let wanted = named.unwrap_or(0);
        let raised = after.of(counter) - before.map_or(0, |before| before.of(counter));
        if raised != wanted {
            played.complaints.push(format!("count: {} must be {wanted}, is {raised}", counter.name()));
        }
    }
}
