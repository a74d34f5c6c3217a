//! `ftptrack run`: check everything, attach, show what happens, and take everything out again.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use ipnet::IpNet;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep_until};

use crate::apply::Change;
use crate::attach::attach;
use crate::config::Configuration;
use crate::events::{Events, Form, Output};
use crate::failure::{Failure, OrFail as _};
use crate::netlink::Changes;
use crate::pins::{Hold, Pins};
use crate::plan::{Plan, listed, refuse_leftovers};
use crate::show::EventLines;
use crate::tables::Tables;
use crate::{adopt, bpffs, clock, detach, diagnostics, load};

/// How long after addresses could not be followed it is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// What `run` was asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// Interfaces and policy.
    pub configuration: Configuration,
    /// Go on in spite of listeners in the passive range.
    pub force: bool,
    /// Times that `-v` was given.
    pub verbose: u8,
}

/// Runs until a signal ends it.
///
/// # Errors
///
/// The first check that fails, before anything was made; or a failure later, after everything that
/// was made has been removed.
pub async fn run(options: &Options, pin_dir: &Path) -> Result<(), Failure> {
    let plan = Plan::make(&options.configuration).await?;
    let mut stop = Stop::listen()?;
    // Before the addresses are read: no change of them goes unseen.
    let changes = Changes::listen()?;
    let own = plan.own.now(&plan.netlink).await?;
    if !options.force {
        plan.check_listeners(&own).await?;
    }
    let mounted = bpffs::prepare(pin_dir)?;
    let hold = Hold::take(pin_dir)?;
    refuse_leftovers(pin_dir)?;
    for note in notes(&plan, &own, mounted) {
        eprintln!("note: {note}");
    }
    let pins = Pins::new(pin_dir);
    let result = guard(&plan, own, &pins, changes, &mut stop, options.verbose).await;
    // Whatever happened: nothing stays half attached.
    let removed = detach::everything(&pins).await;
    hold.release();
    result.and(removed)
}

fn notes(plan: &Plan, own: &BTreeSet<IpNet>, mounted: bool) -> Vec<String> {
    let mut notes = plan.policy.notes();
    if own.is_empty() && plan.policy.named.is_empty() {
        notes.push("no server is guarded yet: the interface has no address, and no server is named".to_owned());
    }
    if mounted && bpffs::in_private_mount_namespace() {
        notes.push(format!(
            "{} was mounted in this mount namespace only: when its last process ends, the filter ends too",
            bpffs::USUAL
        ));
    }
    notes
}

/// Loads, applies, attaches, and shows what happens until it is to stop.
async fn guard(
    plan: &Plan,
    own: BTreeSet<IpNet>,
    pins: &Pins,
    mut changes: Changes,
    stop: &mut Stop,
    verbose: u8,
) -> Result<(), Failure> {
    pins.make()?;
    let mut objects = Vec::new();
    for attachment in &plan.attachments {
        objects.push(load::load(&attachment.interface, attachment.side, pins, diagnostics::level(verbose))?);
    }
    Change::begin(pins).await?.bring(&plan.policy, &own)?;
    let mut events = Events::open(Tables::new(pins), Form::Lines(EventLines::default()))?;
    for (attachment, object) in plan.attachments.iter().zip(&mut objects) {
        attach(object, &attachment.interface, attachment.side, attachment.hook, pins)?;
    }
    if let Err(failure) = adopt::idle_connections(Tables::new(pins)) {
        eprintln!(
            "note: control connections that are open already get no transfer before their second command: {failure}"
        );
    }
    let mut output = Output::default();
    for mut object in objects {
        if verbose != 0
            && let Err(failure) = diagnostics::show(&mut object)
        {
            eprintln!("note: {failure}");
        }
    }
    plan.attached_lines(&own).iter().for_each(|line| output.line(line));
    output.flush();

    let mut follower = Follower { plan, pins, gone: BTreeSet::new() };
    let mut again = None;
    loop {
        tokio::select! {
            () = stop.wait() => return Ok(()),
            shown = events.next(&mut output) => shown.or_fail("EVENTS", "report this")?,
            change = changes.next() => {
                if change.is_none() {
                    changes = Changes::listen()?;
                }
                again = follower.look(&mut output).await;
                if follower.gone.len() == plan.attachments.len() {
                    let remedy = "start ftptrack again when it is back";
                    return Err(Failure::failed("-i", "no interface is left to guard", remedy));
                }
            }
            () = sleep_until(again.unwrap_or_else(Instant::now)), if again.is_some() => {
                again = follower.look(&mut output).await;
            }
        }
    }
}

/// Follows what becomes of the interfaces and their addresses.
struct Follower<'a> {
    plan: &'a Plan,
    pins: &'a Pins,
    gone: BTreeSet<u32>,
}

impl Follower<'_> {
    /// When to look again, if this look failed: that is no reason to stop, which would open the ports.
    async fn look(&mut self, output: &mut Output) -> Option<Instant> {
        let result = async {
            self.look_at_interfaces().await?;
            self.look_at_addresses(output).await
        };
        let failure = result.await.err()?;
        eprintln!("note: changed addresses were not followed: {failure}");
        Some(Instant::now() + AGAIN)
    }

    /// Whatever policy is in force by now, it goes by the addresses of now. They are read while nobody else
    /// can change it: whoever is next reads later ones.
    async fn look_at_addresses(&self, output: &mut Output) -> Result<(), Failure> {
        let mut change = Change::begin(self.pins).await?;
        let in_force = change.in_force()?;
        let own = self.plan.own.now(&self.plan.netlink).await?;
        let shown = in_force.policy.own.is_some() && in_force.policy.without_named(&own) != in_force.own;
        if shown {
            change.bring(&in_force.policy, &own)?;
            output.line(&format!("{} servers   {}", clock::wall(clock::monotonic()), listed(&own)));
            output.flush();
        }
        Ok(())
    }

    /// An interface that goes away takes its filter with it. The others are guarded on.
    async fn look_at_interfaces(&mut self) -> Result<(), Failure> {
        let links = self.plan.netlink.links().await?;
        for attachment in &self.plan.attachments {
            let interface = &attachment.interface;
            let is_gone = links.iter().all(|link| link.index != interface.index);
            if is_gone && self.gone.insert(interface.index) {
                eprintln!(
                    "note: {} is gone, and its filter with it: start ftptrack again when it is back",
                    interface.name
                );
            }
        }
        Ok(())
    }
}

/// The signals that end it.
struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    /// From now on these signals no longer kill the process.
    fn listen() -> Result<Self, Failure> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).or_fail("SIGINT", "report this")?,
            terminate: signal(SignalKind::terminate()).or_fail("SIGTERM", "report this")?,
        })
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
