//! Hanging the programs on an interface, first in order, so that they outlive this process: by one of two drivers.

use std::path::PathBuf;

use aya::Ebpf;
use aya::programs::SchedClassifier;
use aya::programs::TcAttachType;
use futures_util::future::LocalBoxFuture;

use crate::attach::attachment::Attachment;
use crate::attach::clsact::Clsact;
use crate::attach::tcx::Tcx;
use crate::ebpf::interface::Interface;
use crate::ebpf::program::program;
use crate::error::Failure;
use crate::pins::{Pins, Record};
use crate::policy::attachment::{DIRECTIONS, Direction, Hook};
use crate::sys::netlink::Netlink;

impl From<Direction> for TcAttachType {
    fn from(direction: Direction) -> Self {
        match direction {
            Direction::Egress => Self::Egress,
            Direction::Ingress => Self::Ingress,
        }
    }
}

/// A direction of an interface that is remembered in the pins: one program hangs there.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// Where it is remembered.
    pub pins: &'a Pins,
    /// What is remembered of the interface.
    pub record: &'a Record,
    /// Which of the two.
    pub direction: Direction,
    /// To look at the interface's filters.
    pub netlink: &'a Netlink,
}

impl Place<'_> {
    /// The link's pin, or the program's.
    pub(super) fn pin(&self) -> PathBuf {
        self.pins.link(&self.record.name, self.direction)
    }

    /// The pin of the program that is to run.
    pub(super) fn next(&self) -> PathBuf {
        self.pins.next(&self.record.name, self.direction)
    }
}

/// How programs hang on an interface.
pub(super) trait HookDriver {
    /// Remembers an interface before anything hangs on it, so that it is found however this process ends; and makes
    /// what the programs hang on. `before` is what was remembered of that interface with this hook.
    fn prepare(
        &self,
        _interface: &Interface,
        record: &mut Record,
        _before: Option<&Record>,
        pins: &Pins,
    ) -> Result<(), Failure> {
        pins.remember(record)
    }

    /// Hangs a program where none of ours is active, in front of all others, and pins it.
    fn attach<'a>(&self, program: &'a mut SchedClassifier, interface: &'a Interface, place: Place<'a>) -> Done<'a>;

    /// Puts a program in the place of ours that is active, without a packet passing between.
    fn replace<'a>(&self, program: &'a mut SchedClassifier, interface: &'a Interface, place: Place<'a>) -> Done<'a>;

    /// Takes the programs off an interface, in both directions. Its record and pins stay.
    fn detach<'a>(&self, pins: &'a Pins, record: &'a Record) -> Done<'a>;

    /// Whether a program of ours runs there.
    fn is_active<'a>(&self, place: Place<'a>) -> LocalBoxFuture<'a, Result<bool, Failure>>;
}

/// It was done, or the kernel's refusal.
pub(super) type Done<'a> = LocalBoxFuture<'a, Result<(), Failure>>;

fn driver(hook: Hook) -> &'static dyn HookDriver {
    match hook {
        Hook::Tcx => &Tcx,
        Hook::Clsact => &Clsact,
    }
}

/// Makes the programs that were loaded for an interface active: where some of ours are active already, in their
/// place, without a packet passing between. Egress comes first, since what the server says is needed to make sense of
/// what its clients say.
///
/// # Errors
///
/// The kernel's refusal. What was attached then is remembered in the pins, for `detach`.
pub async fn attach(ebpf: &mut Ebpf, attachment: &Attachment, pins: &Pins, netlink: &Netlink) -> Result<(), Failure> {
    let Attachment { interface, hook, before, .. } = attachment;
    let driver = driver(*hook);
    let before = before.as_ref().filter(|before| before.index == interface.index && before.hook == *hook);
    let mut record = attachment.record()?;
    driver.prepare(interface, &mut record, before, pins)?;
    for direction in DIRECTIONS {
        let program = program(ebpf, direction)?;
        let place = Place { pins, record: &record, direction, netlink };
        if driver.is_active(place).await? {
            driver.replace(program, interface, place).await?;
        } else {
            driver.attach(program, interface, place).await?;
        }
    }
    Ok(())
}

/// Takes the programs off one interface. Its record and pins stay.
///
/// # Errors
///
/// The kernel's refusal.
pub async fn detach(pins: &Pins, record: &Record) -> Result<(), Failure> {
    driver(record.hook).detach(pins, record).await
}

/// Whether a program of ours runs there.
///
/// # Errors
///
/// The kernel's refusal.
pub async fn is_active(place: Place<'_>) -> Result<bool, Failure> {
    // Before it was there.
    if place.record.index == 0 {
        return Ok(false);
    }
    driver(place.record.hook).is_active(place).await
}
