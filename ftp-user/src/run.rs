//! `ftptrack run`: check everything, attach, show what happens, and take everything out again.

use std::collections::BTreeSet;
use std::path::Path;

use ipnet::IpNet;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::apply::Applier;
use crate::attach::attach;
use crate::events::{Events, Output};
use crate::failure::{Failure, OrFail as _};
use crate::netlink::Changes;
use crate::pins::{Hold, Hook, Pins};
use crate::plan::{Plan, listed, refuse_leftovers};
use crate::policy::Request;
use crate::tables::Tables;
use crate::{adopt, bpffs, clock, detach, diagnostics, load};

/// What `run` was asked for.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Names of the interfaces to attach to; one at least.
    pub interfaces: Vec<String>,
    /// The policy, as it was written.
    pub request: Request,
    /// Go on in spite of listeners in the passive range.
    pub force: bool,
    /// How to attach; by what the kernel has, if not given.
    pub hook: Option<Hook>,
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
    let plan = Plan::make(options).await?;
    let mut stop = Stop::listen()?;
    // Before the addresses are read: no change of them goes unseen.
    let changes = Changes::listen()?;
    let servers = plan.servers().await?;
    if !options.force {
        plan.check_listeners(&servers)?;
    }
    let mounted = bpffs::prepare(pin_dir)?;
    let hold = Hold::take(pin_dir)?;
    refuse_leftovers(pin_dir)?;
    for note in notes(&plan, &servers, mounted) {
        eprintln!("note: {note}");
    }
    let pins = Pins::new(pin_dir);
    let result = guard(&plan, servers, &pins, changes, &mut stop, options.verbose).await;
    // Whatever happened: nothing stays half attached.
    let removed = detach::everything(&pins).await;
    hold.release();
    result.and(removed)
}

fn notes(plan: &Plan, servers: &BTreeSet<IpNet>, mounted: bool) -> Vec<String> {
    let mut notes = plan.policy.notes();
    if servers.is_empty() {
        notes.push("no server is guarded yet: the interface has no address, and no --server was given".to_owned());
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
    servers: BTreeSet<IpNet>,
    pins: &Pins,
    mut changes: Changes,
    stop: &mut Stop,
    verbose: u8,
) -> Result<(), Failure> {
    pins.make()?;
    let mut objects = Vec::new();
    for interface in &plan.interfaces {
        objects.push(load::load(interface, plan.side(interface), pins, diagnostics::level(verbose))?);
    }
    let tables = Tables::new(pins);
    let mut follower = Follower { plan, applier: Applier::new(tables)?, servers, gone: BTreeSet::new() };
    follower.applier.apply(&plan.policy, &follower.servers)?;
    let mut events = Events::open(tables)?;
    for (interface, object) in plan.interfaces.iter().zip(&mut objects) {
        attach(object, interface, plan.side(interface), plan.hook, pins)?;
    }
    if let Err(failure) = adopt::idle_connections(tables) {
        eprintln!(
            "note: control connections that are open already get no transfer before their second command: {failure}"
        );
    }
    let mut output = Output::default();
    for (interface, mut object) in plan.interfaces.iter().zip(objects) {
        if verbose != 0
            && let Err(failure) = diagnostics::show(&mut object)
        {
            eprintln!("note: {failure}");
        }
        output.line(&plan.attached_line(interface, &follower.servers));
    }
    output.flush();

    loop {
        tokio::select! {
            () = stop.wait() => return Ok(()),
            shown = events.next(&mut output) => shown.or_fail("EVENTS", "report this")?,
            change = changes.next() => {
                if change.is_none() {
                    changes = Changes::listen()?;
                }
                // A look that fails is no reason to stop, which would open the ports.
                if let Err(failure) = follower.look(&mut output).await {
                    eprintln!("note: changed addresses were not followed: {failure}");
                }
                if follower.gone.len() == plan.interfaces.len() {
                    let remedy = "start ftptrack again when it is back";
                    return Err(Failure::failed("-i", "no interface is left to guard", remedy));
                }
            }
        }
    }
}

/// Follows what becomes of the interfaces and their addresses.
struct Follower<'a> {
    plan: &'a Plan,
    applier: Applier,
    servers: BTreeSet<IpNet>,
    gone: BTreeSet<u32>,
}

impl Follower<'_> {
    async fn look(&mut self, output: &mut Output) -> Result<(), Failure> {
        self.look_at_interfaces().await?;
        let servers = self.plan.servers().await?;
        if servers != self.servers {
            self.applier.apply(&self.plan.policy, &servers)?;
            output.line(&format!("{} servers   {}", clock::wall(clock::monotonic()), listed(&servers)));
            output.flush();
            self.servers = servers;
        }
        Ok(())
    }

    /// An interface that goes away takes its filter with it. The others are guarded on.
    async fn look_at_interfaces(&mut self) -> Result<(), Failure> {
        let links = self.plan.netlink.links().await?;
        for interface in &self.plan.interfaces {
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
