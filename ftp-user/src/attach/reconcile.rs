//! Following what becomes of the interfaces that are to be guarded, and of their addresses.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::attach::addresses::follow_addresses;
use crate::attach::attachment::Attachment;
use crate::attach::hook::attach;
use crate::attach::observe::{Seen, State, survey};
use crate::attach::setup::{adopt_older, make_room};
use crate::ebpf::interface::Interface;
use crate::ebpf::program::{Constants, Loaded, Stock};
use crate::error::Failure;
use crate::pins::Pins;
use crate::pins::lock::PinDirLock;
use crate::policy::summary::listed;
use crate::sys::clock;
use crate::sys::netlink::{Changes, Netlink};

/// How long after a look that failed it is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// How often it is looked without a reason: nothing tells when somebody detaches a TCX link.
const AT_LEAST: Duration = Duration::from_secs(10);

/// Whether this process holds the pin directory.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Holding {
    /// For as long as it runs.
    Already,
    /// Only while it attaches.
    WhenNeeded,
}

/// Follows them. A failure to do so is no reason to stop, which would leave them to themselves.
pub struct Follower {
    pins: Pins,
    pin_dir: PathBuf,
    netlink: Netlink,
    changes: Changes,
    holding: Holding,
    /// How each interface stood at the last look.
    known: BTreeMap<String, State>,
    stock: Stock,
    next: Instant,
    failed: Option<String>,
}

impl Follower {
    /// Begins, with the objects that are loaded already. The first look is at once.
    ///
    /// # Errors
    ///
    /// The kernel refuses a routing socket.
    pub fn new(pin_dir: &Path, changes: Changes, holding: Holding, objects: Vec<Loaded>) -> Result<Self, Failure> {
        let pins = Pins::new(pin_dir);
        Ok(Self {
            stock: Stock::of(objects, &pins)?,
            pins,
            pin_dir: pin_dir.to_owned(),
            netlink: Netlink::open()?,
            changes,
            holding,
            known: BTreeMap::new(),
            next: Instant::now(),
            failed: None,
        })
    }

    /// Waits for a reason to look. Cancelling it loses nothing.
    ///
    /// # Errors
    ///
    /// The kernel no longer tells of changes.
    pub async fn reason(&mut self) -> Result<(), Failure> {
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

    /// Looks, and mends what it can. Returns what is new. To be awaited to its end.
    pub async fn look(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        match self.look_at_all(&mut lines).await {
            Ok(()) => (self.next, self.failed) = (Instant::now() + AT_LEAST, None),
            Err(failure) => {
                self.next = Instant::now() + AGAIN;
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

    /// How the interfaces stood at the last look, one line.
    #[must_use]
    pub fn standing(&self) -> String {
        let those = |wanted: State| {
            let names = self.known.iter().filter(move |(_, state)| **state == wanted).map(|(name, _)| name.as_str());
            names.collect::<Vec<_>>().join(", ")
        };
        let all = [("guarding", State::Attached), ("NOT guarded", State::Bare), ("not there", State::Absent)];
        let parts = all.into_iter().map(|(text, state)| (text, those(state))).filter(|(_, names)| !names.is_empty());
        parts.map(|(text, names)| format!("{text}: {names}")).collect::<Vec<_>>().join("; ")
    }

    async fn look_at_all(&mut self, lines: &mut Vec<String>) -> Result<(), Failure> {
        if !self.has_any() {
            return Ok(());
        }
        let seen = survey(&self.pins, &self.netlink).await?;
        self.known.retain(|name, _| seen.iter().any(|each| each.record.name == *name));
        let is_bare = |each: &Seen| each.state == State::Bare && each.link.is_some();
        for each in &seen {
            let name = &each.record.name;
            let before = self.known.insert(name.clone(), each.state);
            if each.state == State::Absent && before.is_some_and(|before| before != State::Absent) {
                lines.push(at(format_args!("gone      {name}, and its filter with it")));
            }
        }
        let mended = if seen.iter().any(is_bare) { self.mend(lines).await } else { Ok(()) };
        // Even if that failed.
        if let Some(own) = follow_addresses(&self.pins, &self.netlink).await? {
            lines.push(at(format_args!("servers   {}", listed(&own))));
        }
        // Those that are guarded may go and come; verifying then would take longer.
        for Seen { record, link, .. } in &seen {
            let interface = link.as_ref().and_then(|link| Interface::of(link).ok());
            let ethernet = Constants::ethernet(record.side);
            let constants = interface.map_or(ethernet, |interface| Constants::of(&interface, record.side));
            self.stock.get(constants, &self.pins)?;
        }
        mended
    }

    /// Attaches where nothing is in force. Looked at again, since another process may just have done it.
    async fn mend(&mut self, lines: &mut Vec<String>) -> Result<(), Failure> {
        let hold = match self.holding {
            Holding::Already => None,
            Holding::WhenNeeded => Some(PinDirLock::acquire(&self.pin_dir).await?),
        };
        let result = self.attach_bare(lines).await;
        if let Some(hold) = hold {
            hold.release();
        }
        result
    }

    async fn attach_bare(&mut self, lines: &mut Vec<String>) -> Result<(), Failure> {
        let seen = survey(&self.pins, &self.netlink).await?;
        let mut result = Ok(());
        for each in seen.iter().filter(|each| each.state == State::Bare) {
            if let Some(link) = &each.link {
                let attachment = Attachment::again(each.record.clone(), link);
                let attached = match &attachment {
                    Ok(attachment) => self.attach_one(attachment, &seen).await,
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

    async fn attach_one(&mut self, attachment: &Attachment, seen: &[Seen]) -> Result<(), Failure> {
        let constants = Constants::of(&attachment.interface, attachment.side);
        let object = self.stock.get(constants, &self.pins)?;
        make_room(attachment, seen, &self.pins)?;
        // Its addresses are servers' before the filter is there, not after.
        self.pins.remember(&attachment.record()?)?;
        follow_addresses(&self.pins, &self.netlink).await?;
        attach(object, attachment, &self.pins, &self.netlink).await?;
        adopt_older(&self.pins);
        Ok(())
    }
}

fn at(what: impl std::fmt::Display) -> String {
    format!("{} {what}", clock::wall(clock::monotonic()))
}
