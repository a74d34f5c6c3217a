//! Reconciling what is attached with what should be, as interfaces and addresses change.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::attach::addresses::reconcile_addresses;
use crate::attach::attachment::Attachment;
use crate::attach::hook::attach;
use crate::attach::observe::{Observed, State, observe};
use crate::attach::setup::{adopt_older, make_room};
use crate::ebpf::interface::Interface;
use crate::ebpf::program::{Constants, Loaded, Stock};
use crate::error::Failure;
use crate::pins::Pins;
use crate::pins::lock::PinDirLock;
use crate::policy::summary::listed;
use crate::sys::clock;
use crate::sys::netlink::{Changes, Netlink};

/// How long after a failure it is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// How often it is done without a trigger: there is no notification when somebody detaches a TCX link.
const INTERVAL: Duration = Duration::from_secs(10);

/// Whether this process has locked the pin directory.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Locking {
    /// For as long as it runs.
    Already,
    /// Only while it attaches.
    WhileAttaching,
}

/// Does it. A failure is no reason to stop, which would leave interfaces unprotected.
pub struct Reconciler {
    pins: Pins,
    pin_dir: PathBuf,
    netlink: Netlink,
    changes: Changes,
    locking: Locking,
    /// How each interface stood last time.
    known: BTreeMap<String, State>,
    stock: Stock,
    next: Instant,
    failed: Option<String>,
}

impl Reconciler {
    /// Begins, with the objects that are loaded already. The first time is at once.
    ///
    /// # Errors
    ///
    /// The kernel refuses a routing socket.
    pub fn new(pin_dir: &Path, changes: Changes, locking: Locking, objects: Vec<Loaded>) -> Result<Self, Failure> {
        let pins = Pins::new(pin_dir);
        Ok(Self {
            stock: Stock::of(objects, &pins)?,
            pins,
            pin_dir: pin_dir.to_owned(),
            netlink: Netlink::open()?,
            changes,
            locking,
            known: BTreeMap::new(),
            next: Instant::now(),
            failed: None,
        })
    }

    /// Waits for a reason to do it. Cancelling it loses nothing.
    ///
    /// # Errors
    ///
    /// The kernel no longer notifies of changes.
    pub async fn trigger(&mut self) -> Result<(), Failure> {
        tokio::select! {
            change = self.changes.next() => {
                if change.is_none() {
                    self.changes = Changes::listen()?;
                }
            }
            () = sleep_until(self.next) => {}
        }
        Ok(())
    }

    /// Attaches where a filter is missing, and follows addresses. Returns what is new. To be awaited to its end.
    pub async fn reconcile(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        match self.reconcile_all(&mut lines).await {
            Ok(()) => (self.next, self.failed) = (Instant::now() + INTERVAL, None),
            Err(failure) => {
                self.next = Instant::now() + RETRY;
                // Once, not every second.
                let text = failure.to_string();
                if self.failed.as_ref() != Some(&text) {
                    log::warn!("{text}");
                    self.failed = Some(text);
                }
            }
        }
        lines
    }

    /// Whether anything is left to follow.
    #[must_use]
    pub fn has_any(&self) -> bool {
        !self.pins.interface_names().is_empty()
    }

    /// How the interfaces stood last time, one line.
    #[must_use]
    pub fn summary(&self) -> String {
        let those = |wanted: State| {
            let names = self.known.iter().filter(move |(_, state)| **state == wanted).map(|(name, _)| name.as_str());
            names.collect::<Vec<_>>().join(", ")
        };
        let all = [("guarding", State::Attached), ("NOT guarded", State::Unprotected), ("not there", State::Missing)];
        let parts = all.into_iter().map(|(text, state)| (text, those(state))).filter(|(_, names)| !names.is_empty());
        parts.map(|(text, names)| format!("{text}: {names}")).collect::<Vec<_>>().join("; ")
    }

    async fn reconcile_all(&mut self, lines: &mut Vec<String>) -> Result<(), Failure> {
        if !self.has_any() {
            return Ok(());
        }
        let observed = observe(&self.pins, &self.netlink).await?;
        self.known.retain(|name, _| observed.iter().any(|each| each.record.name == *name));
        let is_unprotected = |each: &Observed| each.state == State::Unprotected && each.link.is_some();
        for each in &observed {
            let name = &each.record.name;
            let before = self.known.insert(name.clone(), each.state);
            if each.state == State::Missing && before.is_some_and(|before| before != State::Missing) {
                lines.push(at(format_args!("gone      {name}, and its filter with it")));
            }
        }
        let reattached = if observed.iter().any(is_unprotected) { self.reattach(lines).await } else { Ok(()) };
        // Even if that failed.
        if let Some(own) = reconcile_addresses(&self.pins, &self.netlink).await? {
            lines.push(at(format_args!("servers   {}", listed(&own))));
        }
        // Those that are guarded may go and come; verifying then would take longer.
        for Observed { record, link, .. } in &observed {
            let interface = link.as_ref().and_then(|link| Interface::of(link).ok());
            let ethernet = Constants::ethernet(record.side);
            let constants = interface.map_or(ethernet, |interface| Constants::of(&interface, record.side));
            self.stock.get(constants, &self.pins)?;
        }
        reattached
    }

    /// Attaches where nothing is active. Observed again, since another process may just have done it.
    async fn reattach(&mut self, lines: &mut Vec<String>) -> Result<(), Failure> {
        let lock = match self.locking {
            Locking::Already => None,
            Locking::WhileAttaching => Some(PinDirLock::acquire(&self.pin_dir).await?),
        };
        let result = self.attach_unprotected(lines).await;
        if let Some(lock) = lock {
            lock.release();
        }
        result
    }

    async fn attach_unprotected(&mut self, lines: &mut Vec<String>) -> Result<(), Failure> {
        let observed = observe(&self.pins, &self.netlink).await?;
        let mut result = Ok(());
        for each in observed.iter().filter(|each| each.state == State::Unprotected) {
            if let Some(link) = &each.link {
                let attachment = Attachment::again(each.record.clone(), link);
                let attached = match &attachment {
                    Ok(attachment) => self.attach_one(attachment, &observed).await,
                    Err(failure) => Err(failure.clone()),
                };
                if let (Ok(Attachment { name, hook, side, .. }), Ok(())) = (&attachment, &attached) {
                    self.known.insert(name.clone(), State::Attached);
                    lines.push(at(format_args!("attached  {name} ({}, {})", hook.as_str(), side.as_str())));
                }
                result = result.and(attached);
            }
        }
        result
    }

    async fn attach_one(&mut self, attachment: &Attachment, observed: &[Observed]) -> Result<(), Failure> {
        let constants = Constants::of(&attachment.interface, attachment.side);
        let object = self.stock.get(constants, &self.pins)?;
        make_room(attachment, observed, &self.pins)?;
        // Its addresses are servers' before the filter is there, not after.
        self.pins.remember(&attachment.record()?)?;
        reconcile_addresses(&self.pins, &self.netlink).await?;
        attach(object, attachment, &self.pins, &self.netlink).await?;
        adopt_older(&self.pins);
        Ok(())
    }
}

fn at(what: impl std::fmt::Display) -> String {
    format!("{} {what}", clock::wall(clock::monotonic()))
}
