//! TCX (Linux 6.6): programs hang on an interface as links of the kernel's own, which are pinned.

use std::fs;
use std::future::ready;
use std::io;
use std::os::fd::AsFd as _;

use aya::programs::links::{FdLink, PinnedLink};
use aya::programs::tc::{SchedClassifierLink, TcAttachOptions};
use aya::programs::{LinkOrder, SchedClassifier};
use futures_util::future::LocalBoxFuture;

use crate::attach::hook::{Done, HookDriver, Place};
use crate::ebpf::interface::Interface;
use crate::error::{Failure, OrFail as _};
use crate::pins::{Pins, Record, ignore_missing};
use crate::policy::attachment::{DIRECTIONS, Direction};
use crate::sys::bpf;

/// The driver.
pub(super) struct Tcx;

impl HookDriver for Tcx {
    fn attach<'a>(&self, program: &'a mut SchedClassifier, interface: &'a Interface, place: Place<'a>) -> Done<'a> {
        Box::pin(ready(attach(program, interface, place)))
    }

    fn replace<'a>(&self, program: &'a mut SchedClassifier, _interface: &'a Interface, place: Place<'a>) -> Done<'a> {
        Box::pin(ready(exchange(program, place)))
    }

    fn detach<'a>(&self, pins: &'a Pins, record: &'a Record) -> Done<'a> {
        Box::pin(ready(DIRECTIONS.iter().try_for_each(|direction| detach(pins, record, *direction))))
    }

    fn is_active<'a>(&self, place: Place<'a>) -> LocalBoxFuture<'a, Result<bool, Failure>> {
        let link = bpf::open_pinned(&place.pin());
        let interface = link.and_then(|link| bpf::tcx_interface(link.as_fd()));
        Box::pin(ready(Ok(interface.is_ok_and(|index| index == place.record.index))))
    }
}

fn attach(program: &mut SchedClassifier, interface: &Interface, place: Place<'_>) -> Result<(), Failure> {
    let given = format!("-i {}", interface.name);
    let pin = place.pin();
    // Of an interface that is gone.
    ignore_missing(fs::remove_file(&pin)).or_fail(pin.display(), "run as root")?;
    let options = TcAttachOptions::TcxOrder(LinkOrder::first());
    let id = program
        .attach_with_options(&interface.name, place.direction.into(), options)
        .or_fail(&given, "see whether another program insists on the first place: bpftool net")?;
    let link = program.take_link(id).or_fail(&given, "report this")?;
    let link = FdLink::try_from(link).or_fail(&given, "report this")?;
    // Unpinned by now, so a failure here detaches it.
    link.pin(&pin).or_fail(&given, "report this")?;
    Ok(())
}

/// The link stays, its place in the order and its pin with it; the kernel exchanges the program.
fn exchange(program: &mut SchedClassifier, place: Place<'_>) -> Result<(), Failure> {
    let pin = place.pin();
    let given = pin.display().to_string();
    let link = PinnedLink::from_pin(&pin).or_fail(&given, "run as root")?;
    let link = SchedClassifierLink::try_from(FdLink::from(link)).or_fail(&given, "report this")?;
    program.attach_to_link(link).or_fail(given, "report this with the output of uname -r")?;
    Ok(())
}

/// Unpinning alone would detach too, but only a while after this process has ended.
fn detach(pins: &Pins, record: &Record, direction: Direction) -> Result<(), Failure> {
    let path = pins.link(&record.name, direction);
    match bpf::open_pinned(&path) {
        Ok(link) => bpf::detach_link(link.as_fd()).or_fail(path.display(), "run as root"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).or_fail(path.display(), "run as root"),
    }
}
