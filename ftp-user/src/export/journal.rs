//! `--journal`: events in the systemd journal, each with fields (systemd.journal-fields(7)), from a thread of their own.
//!
//! A journal that is slow delays nothing but this thread: events are kept meanwhile, and those that found no room are
//! counted, and reported when it goes on.

use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use ftp_common::event::{Event, EventKind};
use log::{Level, Record, warn};
use serde_json::{Map, Value};
use systemd_journal_logger::JournalLog;

use crate::error::{Failure, OrFail as _};
use crate::events::history::Reader;
use crate::events::json::EventRow;
use crate::events::line::EventLines;
use crate::events::message::Message;

/// How long the journal is waited for at the end.
const PATIENCE: Duration = Duration::from_secs(1);
/// The event of those that the journal did not take.
const NOT_TAKEN: &str = "journal_lost";

/// The journal, reached.
pub struct Journal {
    log: JournalLog,
    lines: EventLines,
    /// Events that it did not take since it took one.
    lost: u64,
}

impl Journal {
    /// Finds it, before anything else is done.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn open() -> Result<Self, Failure> {
        let log =
            JournalLog::empty().or_fail("--journal", "run it where systemd-journald runs, or without --journal")?;
        let log = log.with_syslog_identifier("ftptrack".to_owned());
        Ok(Self { log, lines: EventLines::default(), lost: 0 })
    }

    /// Writes what is read, from now on and until no more will come.
    ///
    /// # Errors
    ///
    /// A thread can't be had.
    pub fn start(mut self, mut reader: Reader) -> Result<Writing, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let runtime = runtime.or_fail("--journal", "free some memory or descriptors")?;
        let (done, all) = mpsc::channel();
        let write = move || {
            while runtime.block_on(reader.more()) {
                reader.take().iter().for_each(|message| self.write(message));
            }
            // Nobody may wait.
            let _ = done.send(());
        };
        thread::Builder::new().name("journal".to_owned()).spawn(write).or_fail("--journal", "free some memory")?;
        Ok(Writing(Some(all)))
    }

    fn write(&mut self, message: &Message) {
        let Some(entry) = Entry::new(message, &mut self.lines) else { return };
        if self.lost != 0 {
            let lost = Entry::not_taken(self.lost);
            if lost.send(&self.log).is_ok() {
                self.lost = 0;
            }
        }
        if let Err(error) = entry.send(&self.log) {
            if self.lost == 0 {
                warn!("the journal can't be reached ({error}): the filter stays attached");
            }
            self.lost += 1;
        }
    }
}

/// The journal is being written to.
#[derive(Debug, Default)]
pub struct Writing(Option<Receiver<()>>);

impl Writing {
    /// Waits until all is written, or until the journal has been slow for too long.
    pub fn finish(self) {
        // It says nothing but that.
        let _ = self.0.map(|all| all.recv_timeout(PATIENCE));
    }
}

/// One entry: what people read, and what programs do.
struct Entry {
    level: Level,
    message: String,
    fields: Vec<(String, String)>,
}

impl Entry {
    /// `None` for an event of a later version.
    fn new(message: &Message, lines: &mut EventLines) -> Option<Self> {
        match message {
            Message::Event(event) => {
                let Value::Object(row) = serde_json::to_value(EventRow::new(event)?).ok()? else { return None };
                Some(Self { level: level(event), message: lines.text(event)?, fields: fields(&row) })
            }
            Message::Unreported(unreported) => {
                let fields = vec![field("EVENT", unreported.counter.name()), field("COUNT", unreported.count)];
                Some(Self { level: Level::Warn, message: unreported.to_string(), fields })
            }
        }
    }

    fn not_taken(count: u64) -> Self {
        let message = format!("lost      events that the journal did not accept: {count}");
        Self { level: Level::Warn, message, fields: vec![field("EVENT", NOT_TAKEN), field("COUNT", count)] }
    }

    fn send(&self, log: &JournalLog) -> std::io::Result<()> {
        let fields: Vec<_> = self.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let mut record = Record::builder();
        record.level(self.level).target("ftptrack").key_values(&fields);
        log.journal_send(&record.args(format_args!("{}", self.message)).build())
    }
}

/// Of syslog's priorities: warning (what was lost), notice (what was not let through), info.
fn level(event: &Event) -> Level {
    let message = |kind: EventKind| event.kind == kind.number();
    if message(EventKind::Denied) || message(EventKind::Refused) { Level::Info } else { Level::Debug }
}

/// Those of `events --json`, one deep: `FTPTRACK_BYTES_CLIENT`.
fn fields(row: &Map<String, Value>) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for (name, value) in row {
        match value {
            Value::Object(parts) => {
                all.extend(parts.iter().map(|(part, value)| field(&format!("{name}_{part}"), plain(value))));
            }
            value => all.push(field(name, plain(value))),
        }
    }
    all
}

fn field(name: &str, value: impl ToString) -> (String, String) {
    (format!("FTPTRACK_{}", name.to_uppercase()), value.to_string())
}

/// Without quotes.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
