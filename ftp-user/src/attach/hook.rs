//! Hanging the programs on an interface, first in order, so that they outlive this process.

use std::fs;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use aya::Ebpf;
use aya::programs::links::{FdLink, PinnedLink};
use aya::programs::tc::{
    NlOptions, SchedClassifier, SchedClassifierLink, TcAttachOptions, TcError, TcHandle, qdisc_add_clsact,
};
use aya::programs::{LinkOrder, TcAttachType};

use crate::attach::attachment::Attachment;
use crate::attach::teardown::our_filter;
use crate::ebpf::interface::Interface;
use crate::ebpf::program::program;
use crate::error::{Failure, OrFail as _};
use crate::pins::{Pins, absent_is_fine};
use crate::policy::attachment::{DIRECTIONS, Direction, Hook};
use crate::sys::bpf;
use crate::sys::netlink::{Filter, Netlink};

/// The first priority. Among bpf filters of one priority the newest comes first.
const FIRST: u16 = 1;

impl From<Direction> for TcAttachType {
    fn from(direction: Direction) -> Self {
        match direction {
            Direction::Egress => Self::Egress,
            Direction::Ingress => Self::Ingress,
        }
    }
}

/// Puts the programs that were loaded for an interface in force: where some of ours are in force already, in
/// their place, without a packet passing between. Egress comes first, since what the server says is needed to
/// make sense of what its clients say.
///
/// # Errors
///
/// The kernel's refusal. What was attached then is remembered in the pins, for `detach`.
pub async fn attach(ebpf: &mut Ebpf, attachment: &Attachment, pins: &Pins, netlink: &Netlink) -> Result<(), Failure> {
    let Attachment { name, interface, hook, before, .. } = attachment;
    let is_same = before.as_ref().is_some_and(|before| before.index == interface.index && before.hook == *hook);
    let had_made_qdisc = is_same && before.as_ref().is_some_and(|before| before.made_qdisc);
    let mut record = attachment.record()?;
    // Remembered before it is made, so that it is found however this process ends.
    record.made_qdisc = *hook == Hook::Clsact;
    pins.remember(&record)?;
    if *hook == Hook::Clsact && !make_clsact(interface)? && !had_made_qdisc {
        record.made_qdisc = false;
        pins.remember(&record)?;
    }
    for direction in DIRECTIONS {
        let program = program(ebpf, direction)?;
        let way = Way { interface, direction, pin: pins.link(name, direction), next: pins.next(name, direction) };
        match hook {
            Hook::Tcx => attach_tcx(program, &way)?,
            Hook::Clsact => {
                let present = our_filter(netlink, pins, &record, direction).await?;
                attach_clsact(program, &way, present)?;
            }
        }
    }
    Ok(())
}

/// One of the two places of an interface.
struct Way<'a> {
    interface: &'a Interface,
    direction: Direction,
    /// The link's pin, or the program's.
    pin: PathBuf,
    /// The pin of the program that is to run.
    next: PathBuf,
}

fn attach_tcx(program: &mut SchedClassifier, way: &Way<'_>) -> Result<(), Failure> {
    let given = format!("-i {}", way.interface.name);
    if let Ok(present) = bpf::open_pinned(&way.pin) {
        let is_here = bpf::tcx_interface(present.as_fd()).is_ok_and(|index| index == way.interface.index);
        if is_here {
            return swap_tcx(program, way);
        }
        // Of an interface that is gone.
        fs::remove_file(&way.pin).or_fail(way.pin.display(), "run as root")?;
    }
    let options = TcAttachOptions::TcxOrder(LinkOrder::first());
    let id = program
        .attach_with_options(&way.interface.name, way.direction.into(), options)
        .or_fail(&given, "see whether another program insists on the first place: bpftool net")?;
    let link = program.take_link(id).or_fail(&given, "report this")?;
    let link = FdLink::try_from(link).or_fail(&given, "report this")?;
    // Unpinned by now, so a failure here detaches it.
    link.pin(&way.pin).or_fail(&given, "report this")?;
    Ok(())
}

/// The link stays, its place in the order and its pin with it; the kernel exchanges the program.
fn swap_tcx(program: &mut SchedClassifier, way: &Way<'_>) -> Result<(), Failure> {
    let given = way.pin.display().to_string();
    let link = PinnedLink::from_pin(&way.pin).or_fail(&given, "run as root")?;
    let link = SchedClassifierLink::try_from(FdLink::from(link)).or_fail(&given, "report this")?;
    program.attach_to_link(link).or_fail(given, "report this with the output of uname -r")?;
    Ok(())
}

/// The program is pinned first: it tells our filter from others, whoever looks for it later.
fn attach_clsact(program: &mut SchedClassifier, way: &Way<'_>, present: Option<Filter>) -> Result<(), Failure> {
    let Way { interface, direction, pin, next } = way;
    let given = format!("-i {}", interface.name);
    if present.is_some_and(|filter| filter.program != id_of(pin)) {
        // It runs the other one: somebody was killed before the last line here.
        fs::rename(next, pin).or_fail(&given, "run as root")?;
    }
    absent_is_fine(fs::remove_file(next)).or_fail(&given, "run as root")?;
    let fd = program.fd().or_fail(&given, "report this")?;
    bpf::pin(fd.as_fd(), next).or_fail(&given, "report this")?;
    let id = match present {
        Some(Filter { priority, handle, .. }) => {
            // Given the handle, the kernel exchanges the program of that filter.
            let link = SchedClassifierLink::attached(&interface.name, (*direction).into(), priority, handle, None);
            program.attach_to_link(link.or_fail(&given, "run it again")?).or_fail(&given, "report this")?
        }
        None => {
            let options = NlOptions { priority: FIRST, handle: TcHandle::AUTO_ASSIGN, classid: None };
            let options = TcAttachOptions::Netlink(options);
            program.attach_with_options(&interface.name, (*direction).into(), options).or_fail(
                &given,
                format_args!(
                    "give a filter of another kind at priority 1 a later one (tc filter show dev {} {}), or load the \
                     kernel module cls_bpf",
                    interface.name,
                    direction.as_str()
                ),
            )?
        }
    };
    let link = program.take_link(id).or_fail(&given, "report this")?;
    // Dropping such a link would remove the filter, and it is to outlive us.
    std::mem::forget(link);
    fs::rename(next, pin).or_fail(&given, "run as root")
}

/// ID of a pinned program.
fn id_of(pin: &Path) -> Option<u32> {
    Some(SchedClassifier::from_pin(pin).ok()?.info().ok()?.id())
}

/// True if it was made, false if it was there.
fn make_clsact(interface: &Interface) -> Result<bool, Failure> {
    match qdisc_add_clsact(&interface.name) {
        Ok(()) => Ok(true),
        Err(TcError::NetlinkError(error)) if error.raw_os_error() == Some(libc::EEXIST) => Ok(false),
        Err(error) => Err(error).or_fail(
            format_args!("-i {}", interface.name),
            "load the kernel module sch_ingress, or remove an ingress qdisc (tc qdisc show)",
        ),
    }
}
