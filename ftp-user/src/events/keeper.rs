//! The thread of `run` and `watch` that reads events as long as they live, keeps the last ones, and serves them.
//!
//! Nothing that is done with events delays it: who prints them, or writes them to the journal, reads its history.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use log::warn;
use tokio::sync::oneshot::{self, Receiver, Sender};
use tokio::task::LocalSet;
use tokio::time::{interval, sleep};

use crate::ebpf::maps::PinnedMaps;
use crate::error::{Failure, OrFail as _};
use crate::events::history::{History, Reader};
use crate::events::message::Message;
use crate::events::reader::Events;
use crate::events::serve::Server;
use crate::events::totals::EndedBytes;
use crate::pins::Pins;

/// How long after events could not be read it is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// How often it is checked whether other maps have replaced these: there is no notification.
const INTERVAL: Duration = Duration::from_secs(5);

/// Events are kept until it is dropped.
#[derive(Debug)]
pub struct Keeper {
    history: Arc<History>,
    ended_bytes: Arc<EndedBytes>,
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// From now on, and from what the ring buffer has.
    ///
    /// # Errors
    ///
    /// A thread can't be had.
    pub fn start(pin_dir: &Path) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.or_fail("events", "free some memory or descriptors")?;
        let (end, mut ended) = oneshot::channel();
        let (history, ended_bytes) = (Arc::<History>::default(), Arc::<EndedBytes>::default());
        let keep = Keep {
            pin_dir: pin_dir.to_owned(),
            history: Arc::clone(&history),
            ended_bytes: Arc::clone(&ended_bytes),
            noted: None,
            is_unserved: false,
        };
        let keep = move || LocalSet::new().block_on(&runtime, keep.all(&mut ended));
        let thread = thread::Builder::new().name("events".to_owned()).spawn(keep);
        let thread = Some(thread.or_fail("events", "free some memory")?);
        Ok(Self { history, ended_bytes, end: Some(end), thread })
    }

    /// Reads what is kept, from the beginning.
    #[must_use]
    pub fn reader(&self) -> Reader {
        self.history.reader(0, u64::MAX)
    }

    /// What ended data connections have carried since it was started.
    #[must_use]
    pub fn ended_bytes(&self) -> Arc<EndedBytes> {
        Arc::clone(&self.ended_bytes)
    }

    /// Reads what is there, and ends. Who reads the history has it all then.
    pub fn end(&mut self) {
        // Refused where it has ended.
        let _ = self.end.take().map(|end| end.send(()));
        // A panic of its own was reported by itself.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.end();
    }
}

struct Keep {
    pin_dir: PathBuf,
    history: Arc<History>,
    ended_bytes: Arc<EndedBytes>,
    /// What was wrong the last time, and whether that was said.
    noted: Option<(String, bool)>,
    /// Others can't ask for them, which was said.
    is_unserved: bool,
}

impl Keep {
    async fn all(mut self, end: &mut Receiver<()>) {
        while let Err(failure) = self.of_these_maps(end).await {
            self.note(&failure);
            tokio::select! {
                () = sleep(RETRY) => {}
                _ = &mut *end => break,
            }
        }
        self.history.end();
    }

    /// A failure that has passed by the next time is not worth a word, and one that stays is worth one.
    fn note(&mut self, failure: &Failure) {
        let text = failure.to_string();
        self.noted = match self.noted.take() {
            Some((before, said)) if before == text => {
                if !said {
                    warn!("{text}");
                }
                Some((text, true))
            }
            _ => Some((text, false)),
        };
    }

    /// Until it is to end. An error where other maps were put in the place of these, too.
    async fn of_these_maps(&mut self, end: &mut Receiver<()>) -> Result<(), Failure> {
        let pins = Pins::attached(&self.pin_dir)?;
        let maps = PinnedMaps::new(&pins);
        // Served before they are read: an ftptrack events --follow that reads them itself gives way then.
        let server = match Server::start(maps.events_id()?, Arc::clone(&self.history)) {
            Ok(server) => Some(server),
            Err(failure) => {
                if !self.is_unserved {
                    warn!("{failure}");
                }
                self.is_unserved = true;
                None
            }
        };
        let mut events = loop {
            match Events::open(maps) {
                Ok(events) => break events,
                Err(failure) => self.note(&failure),
            }
            tokio::select! {
                () = sleep(RETRY) => {}
                _ = &mut *end => return Ok(()),
            }
        };
        let mut messages = Vec::new();
        let ended_bytes = Arc::clone(&self.ended_bytes);
        let keep = |messages: &mut Vec<Message>, message: Message| {
            if let Message::Event(event) = &message {
                ended_bytes.see(event);
            }
            messages.push(message);
        };
        let mut check = interval(INTERVAL);
        loop {
            tokio::select! {
                read = events.next(|message| keep(&mut messages, message)) => read.or_fail("EVENTS", "report this")?,
                _ = check.tick() => {
                    if !events.is_of(maps) {
                        return Err(Failure::failed("EVENTS", "others have taken their place", "wait a moment"));
                    }
                }
                _ = &mut *end => {
                    events.take(|message| keep(&mut messages, message)).or_fail("EVENTS", "report this")?;
                    self.history.add(&mut messages);
                    self.history.end();
                    if let Some(server) = server {
                        server.finish().await;
                    }
                    return Ok(());
                }
            }
            self.history.add(&mut messages);
        }
    }
}
