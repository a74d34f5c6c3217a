//! Queries of an attached filter: lists, events, and removing entries.

use std::io::{self, IsTerminal as _};
use std::path::Path;
use std::time::Duration;

use clap::{ArgGroup, Args, ValueEnum};
use serde::Serialize;

use super::{print, shown};
use crate::commands::events::events;
use crate::ebpf::maps::PinnedMaps;
use crate::error::{Failure, OrFail as _};
use crate::escape;
use crate::events::line::EventLines;
use crate::events::message::Form;
use crate::events::wire::Request;
use crate::pins::Pins;
use crate::query::flush::{What, flush};
use crate::query::parts::in_parts;
use crate::sys::clock;

/// For whom something is shown.
#[derive(Debug, Args)]
pub(super) struct Format {
    /// For programs
    #[arg(long)]
    json: bool,
}

impl Format {
    pub(super) fn print<T: Serialize + ?Sized>(&self, value: &T, table: impl Fn(&T) -> String) -> Result<(), Failure> {
        print(&self.text(value, table)?)
    }

    fn text<T: Serialize + ?Sized>(&self, value: &T, table: impl Fn(&T) -> String) -> Result<String, Failure> {
        if !self.json {
            return Ok(table(value));
        }
        let text = serde_json::to_string_pretty(value).or_fail("--json", "report this")?;
        Ok(escape::json(text) + "\n")
    }
}

/// How a list is shown.
#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    format: Format,
    /// Repeat every so many seconds
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true, default_missing_value = "2")]
    watch: Option<f64>,
}

impl List {
    /// Shows a list of rows, of which there may be very many.
    pub(super) async fn show_rows<T: Serialize + Sync>(
        &self,
        list: impl AsyncFn() -> Result<Vec<T>, Failure>,
        table: impl Fn(&[T]) -> String,
    ) -> Result<(), Failure> {
        if self.format.json && self.watch.is_none() {
            return print_rows(&list().await?);
        }
        self.show(list, |rows| table(rows)).await
    }

    /// Shows a list, once or until nobody reads any more.
    pub(super) async fn show<T: Serialize>(
        &self,
        list: impl AsyncFn() -> Result<T, Failure>,
        table: impl Fn(&T) -> String,
    ) -> Result<(), Failure> {
        let Some(seconds) = self.watch else {
            return self.format.print(&list().await?, table);
        };
        let every = Duration::try_from_secs_f64(seconds).ok().filter(|every| !every.is_zero()).ok_or_else(|| {
            Failure::usage(format_args!("--watch={seconds}"), "it is no time to wait", "give seconds, for example 2")
        })?;
        // Home, and the rest of the screen cleared.
        let clear = if io::stdout().is_terminal() { "\x1b[H\x1b[J" } else { "" };
        let mut ticks = tokio::time::interval(every);
        loop {
            ticks.tick().await;
            let text = self.format.text(&list().await?, &table)?;
            if !shown(&format!("{clear}{text}"))? {
                return Ok(());
            }
        }
    }
}

/// As `serde_json::to_string_pretty` writes them all: a part at a time, so that they are written while the next ones are
/// made.
fn print_rows<T: Serialize + Sync>(rows: &[T]) -> Result<(), Failure> {
    let (mut begin, end) = ("[", "\n]\n");
    let text = |part: &[T]| serde_json::to_string_pretty(part).map(escape::json);
    let printed = in_parts(rows, text, |text| {
        let text = text.or_fail("--json", "report this").map_err(Some)?;
        // Without the brackets around the part.
        let inner = text.trim_start_matches('[').trim_end_matches("\n]");
        let more = shown(begin).and_then(|more| Ok(more && shown(inner)?)).map_err(Some)?;
        begin = ",";
        if more { Ok(()) } else { Err(None) }
    });
    match printed {
        // Nobody reads any more.
        Err(None) => Ok(()),
        Err(Some(failure)) => Err(failure),
        Ok(()) => print(if rows.is_empty() { "[]\n" } else { end }),
    }
}

#[derive(Debug, Args)]
pub(super) struct EventsArguments {
    /// Wait for more
    #[arg(short, long)]
    follow: bool,
    /// Only events since then: so long ago (90s, 15m, 2h, 1d) or a time of day (10:30, 10:30:15)
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<Duration>,
    /// Of those that are kept, only so many of the last
    #[arg(short = 'n', long, value_name = "COUNT")]
    last: Option<u64>,
    /// One object a line, for programs
    #[arg(long)]
    json: bool,
}

impl EventsArguments {
    pub(super) async fn execute(&self, pin_dir: &Path) -> Result<(), Failure> {
        let ago = |ago: Duration| clock::monotonic().saturating_sub(u64::try_from(ago.as_nanos()).unwrap_or(u64::MAX));
        let form = if self.json { Form::Json } else { Form::Lines(EventLines::default()) };
        let request =
            Request { since: self.since.map_or(0, ago), last: self.last.unwrap_or(u64::MAX), follow: self.follow };
        events(pin_dir, request, form).await
    }
}

/// How long ago that was.
fn since(text: &str) -> Result<Duration, &'static str> {
    const EXPECTED: &str = "it is no time, as in 90s, 15m, 2h, 1d, 10:30 or 10:30:15";
    const DAY: u64 = 86_400;
    let number = |text: &str| text.parse::<u64>().map_err(|_| EXPECTED);
    if text.contains(':') {
        let parts: Vec<_> = text.split(':').map(number).collect::<Result<_, _>>()?;
        let ([hour @ 0..24, minute @ 0..60] | [hour @ 0..24, minute @ 0..60, 0..60]) = parts[..] else {
            return Err(EXPECTED);
        };
        let then = hour * 3600 + minute * 60 + parts.get(2).unwrap_or(&0);
        return Ok(Duration::from_secs((clock::second_of_day() + DAY - then) % DAY));
    }
    let (count, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or(EXPECTED)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => DAY,
        _ => return Err(EXPECTED),
    };
    number(count)?.checked_mul(seconds).map(Duration::from_secs).ok_or(EXPECTED)
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("which").required(true).args(["entry", "all"])))]
pub(super) struct FlushArguments {
    /// From which list
    #[arg(value_enum)]
    list: ListName,
    /// The entry: CLIENT-SERVER of a session or flow, MODE:CLIENT-SERVER:PORT of an expectation
    entry: Option<String>,
    /// All entries of the list
    #[arg(long)]
    all: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ListName {
    /// Control connections; what they negotiated goes with them
    Sessions,
    /// Data connections that were negotiated and have not begun
    Expectations,
    /// Data connections that were let in; they go on, uncounted
    Flows,
}

impl FlushArguments {
    pub(super) fn execute(&self, pin_dir: &Path) -> Result<(), Failure> {
        let what = match self.list {
            ListName::Sessions => What::Sessions,
            ListName::Expectations => What::Expectations,
            ListName::Flows => What::Flows,
        };
        let pins = Pins::attached(pin_dir)?;
        let count = flush(PinnedMaps::new(&pins), what, self.entry.as_deref())?;
        print(&format!("flushed: {count}\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_so_long_ago_or_a_time_of_today_or_yesterday() {
        let seconds = |text: &str| since(text).map(|ago| ago.as_secs());
        assert_eq!(["90s", "15m", "2h", "1d", "0s"].map(seconds), [90, 900, 7200, 86_400, 0].map(Ok));
        for wrong in
            ["", "s", "10", "10x", "-1s", "24:00", "10:60", "10:30:60", "1:2:3:4", "10:", "é", "99999999999999999999d"]
        {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
        let now = clock::second_of_day();
        let ago = seconds(&format!("{:02}:{:02}", now / 3600, now / 60 % 60)).unwrap();
        assert!(ago < 62, "{ago}");
        let later = now + 120;
        let ago = seconds(&format!("{:02}:{:02}:{:02}", later / 3600 % 24, later / 60 % 60, later % 60)).unwrap();
        assert!((86_280..=86_282).contains(&ago), "{ago}");
    }
}
