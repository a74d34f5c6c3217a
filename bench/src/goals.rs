//! What was to be reached, and what was.

use crate::measure::{Series, Spread};
use crate::packets::name;
use crate::{CONNTRACK, EMPTY, FTPTRACK, NONE, bulk, live, rate, scale, start};

/// One line of the table of goals.
pub(crate) struct Goal {
    pub(crate) what: String,
    pub(crate) goal: String,
    pub(crate) measured: String,
    /// Whether the median is as good as it was to be.
    pub(crate) reached: bool,
}

/// All goals whose numbers were measured.
pub(crate) fn all(series: &[Series]) -> Vec<Goal> {
    let found = Found(series);
    let mut goals = Vec::new();
    goals.extend([
        found.packet(name::UNRELATED, 10.0),
        found.packet(name::DATA, 50.0),
        found.packet(name::DATA_UNCOUNTED, 10.0),
        found.packet(name::DATA_OUT_UNCOUNTED, 10.0),
        found.packet(name::DENIED_SYN, 250.0),
        found.packet(name::FIRST_SYN, 250.0),
        found.packet(name::COMMAND, 250.0),
        found.packet(name::REPLY, 250.0),
        found.text("a client's text", name::CLIENT_TEXT, name::COMMAND),
        found.text("a server's text", name::SERVER_TEXT, name::REPLY),
    ]);
    for offloads in [true, false] {
        for download in [true, false] {
            let least = if offloads { 0.99 } else { 0.97 };
            goals.push(found.ratio(&bulk::name(download, offloads, bulk::THROUGHPUT), Better::Higher, least));
        }
    }
    for offloads in [true, false] {
        for download in [true, false] {
            goals.push(found.ratio(&bulk::name(download, offloads, bulk::PROCESSOR), Better::Lower, 1.02));
        }
    }
    goals.extend(rate::names().iter().map(|what| found.ratio(what, Better::Higher, 0.98)));
    goals.extend([
        found.many_flows(),
        found.two_cpus(),
        found.at_most(live::FLOW_BYTES, 192.0),
        found.at_most(live::SESSION_BYTES, 640.0),
        found.at_most(start::ATTACH, 200.0),
    ]);
    goals.into_iter().flatten().collect()
}

#[derive(Clone, Copy, PartialEq)]
enum Better {
    Higher,
    Lower,
}

struct Found<'a>(&'a [Series]);

impl Found<'_> {
    fn get(&self, what: &str) -> Option<&Series> {
        self.0.iter().find(|series| series.what == what)
    }

    fn packet(&self, what: &str, most: f64) -> Option<Goal> {
        let over = self.get(what)?.over(FTPTRACK, EMPTY)?;
        Some(Goal {
            what: format!("{what}, over the empty program"),
            goal: format!("+{most} ns"),
            measured: format!("+{} ns", over.shown(1)),
            reached: over.median <= most,
        })
    }

    /// What each further byte costs: the difference to a short line, by the difference in length.
    fn text(&self, what: &str, long: &str, short: &str) -> Option<Goal> {
        let short = self.get(short)?.over(FTPTRACK, EMPTY)?.median;
        let long = self.get(long)?;
        let bytes = |filter: &str| long.rounds(filter).iter().copied();
        let of_a_byte = bytes(FTPTRACK).zip(bytes(EMPTY)).map(|(ours, floor)| (ours - floor - short) / (1400.0 - 25.0));
        let spread = Spread::of(of_a_byte)?;
        Some(Goal {
            what: format!("{what}, a byte"),
            goal: "1 ns".to_owned(),
            measured: format!("{} ns", spread.shown(2)),
            reached: spread.median <= 1.0,
        })
    }

    fn ratio(&self, what: &str, better: Better, limit: f64) -> Option<Goal> {
        let series = self.get(what)?;
        let (ours, theirs) = (series.ratio(FTPTRACK, NONE)?, series.ratio(CONNTRACK, NONE)?);
        let beside = series.ratio(FTPTRACK, CONNTRACK)?.median;
        let (goal, reached) = match better {
            Better::Higher => (format!("at least {limit}, and conntrack's"), ours.median >= limit && beside >= 1.0),
            Better::Lower => (format!("at most {limit}, and below conntrack's"), ours.median <= limit && beside < 1.0),
        };
        Some(Goal {
            what: format!("{what}, no filter = 1"),
            goal,
            measured: format!("{}; conntrack {}", ours.shown(3), theirs.shown(3)),
            reached,
        })
    }

    fn many_flows(&self) -> Option<Goal> {
        let series = self.get(&live::data_name(1_000_000))?;
        let (ours, theirs) = (series.over(FTPTRACK, NONE)?, series.over(CONNTRACK, NONE)?);
        Some(Goal {
            what: "data packet with 1,000,000 live flows, random, over no filter".to_owned(),
            goal: "below conntrack's".to_owned(),
            measured: format!("+{} ns; conntrack +{} ns", ours.shown(0), theirs.shown(0)),
            reached: series.ratio(FTPTRACK, CONNTRACK)?.median < 1.0,
        })
    }

    fn two_cpus(&self) -> Option<Goal> {
        let ratio = self.get(scale::TWO_CPUS)?.ratio(scale::ONE_FLOW, scale::TWO_FLOWS)?;
        Some(Goal {
            what: "two CPUs on one flow, against two flows".to_owned(),
            goal: "at most 1.3".to_owned(),
            measured: ratio.shown(2),
            reached: ratio.median <= 1.3,
        })
    }

    fn at_most(&self, what: &str, most: f64) -> Option<Goal> {
        let series = self.get(what)?;
        let ours = series.spread(FTPTRACK)?;
        // What is no time is the same each time.
        let shown = |spread: Spread| {
            if series.rounds(FTPTRACK).len() > 1 { spread.shown(0) } else { format!("{:.0}", spread.median) }
        };
        let beside = series.spread(CONNTRACK).map(|theirs| format!("; conntrack {} {}", shown(theirs), series.unit));
        Some(Goal {
            what: what.to_owned(),
            goal: format!("{most} {}", series.unit),
            measured: format!("{} {}{}", shown(ours), series.unit, beside.unwrap_or_default()),
            reached: ours.median <= most,
        })
    }
}
