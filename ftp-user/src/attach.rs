//! Hanging the programs on an interface, first in order, so that they outlive this process.

use std::os::fd::AsFd as _;

use aya::Ebpf;
use aya::programs::links::FdLink;
use aya::programs::tc::{NlOptions, SchedClassifier, TcAttachOptions, TcError, TcHandle, qdisc_add_clsact};
use aya::programs::{LinkOrder, TcAttachType};

use crate::bpf;
use crate::failure::{Failure, OrFail as _};
use crate::interface::{Interface, SideName};
use crate::load::program;
use crate::pins::{DIRECTIONS, Direction, Hook, Pins, Record, network_namespace};

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

/// How to attach to an interface on this kernel, given what was asked for.
///
/// # Errors
///
/// TCX was asked for and the kernel has none.
pub fn choose_hook(asked: Option<Hook>, interface: &Interface) -> Result<Hook, Failure> {
    if asked == Some(Hook::Clsact) {
        return Ok(Hook::Clsact);
    }
    // Asking what is attached is refused where there is no TCX, and changes nothing.
    let has_tcx = SchedClassifier::query_tcx(&interface.name, TcAttachType::Egress).is_ok();
    match (has_tcx, asked) {
        (true, _) => Ok(Hook::Tcx),
        (false, None) => Ok(Hook::Clsact),
        (false, Some(_)) => {
            Err(Failure::failed("--hook tcx", "this kernel has no TCX, which came with Linux 6.6", "use --hook clsact"))
        }
    }
}

/// Attaches the programs that were loaded for an interface: egress first, since what the server says
/// is needed to make sense of what its clients say.
///
/// # Errors
///
/// The kernel's refusal. What was attached then is remembered in the pins, for `detach`.
pub fn attach(ebpf: &mut Ebpf, interface: &Interface, side: SideName, hook: Hook, pins: &Pins) -> Result<(), Failure> {
    let mut record = Record {
        name: interface.name.clone(),
        index: interface.index,
        side,
        hook,
        made_qdisc: hook == Hook::Clsact,
        namespace: network_namespace()?,
    };
    // Remembered before it is made, so that it is found however this process ends.
    pins.remember(&record)?;
    if hook == Hook::Clsact && !make_clsact(interface)? {
        record.made_qdisc = false;
        pins.remember(&record)?;
    }
    for direction in DIRECTIONS {
        let program = program(ebpf, direction)?;
        match hook {
            Hook::Tcx => attach_tcx(program, interface, direction, pins)?,
            Hook::Clsact => attach_clsact(program, interface, direction, pins)?,
        }
    }
    Ok(())
}

fn attach_tcx(
    program: &mut SchedClassifier,
    interface: &Interface,
    direction: Direction,
    pins: &Pins,
) -> Result<(), Failure> {
    let given = format!("-i {}", interface.name);
    let options = TcAttachOptions::TcxOrder(LinkOrder::first());
    let id = program
        .attach_with_options(&interface.name, direction.into(), options)
        .or_fail(&given, "see whether another program insists on the first place: bpftool net")?;
    let link = program.take_link(id).or_fail(&given, "report this")?;
    let link = FdLink::try_from(link).or_fail(&given, "report this")?;
    // Unpinned by now, so a failure here detaches it.
    link.pin(pins.link(&interface.name, direction)).or_fail(&given, "report this")?;
    Ok(())
}

/// The program is pinned first: it tells our filter from others, whoever looks for it later.
fn attach_clsact(
    program: &mut SchedClassifier,
    interface: &Interface,
    direction: Direction,
    pins: &Pins,
) -> Result<(), Failure> {
    let given = format!("-i {}", interface.name);
    let fd = program.fd().or_fail(&given, "report this")?;
    bpf::pin(fd.as_fd(), &pins.link(&interface.name, direction)).or_fail(&given, "report this")?;
    let options = NlOptions { priority: FIRST, handle: TcHandle::AUTO_ASSIGN, classid: None };
    let id =
        program.attach_with_options(&interface.name, direction.into(), TcAttachOptions::Netlink(options)).or_fail(
            &given,
            format_args!(
                "give a filter of another kind at priority 1 a later one (tc filter show dev {} {}), or load the \
                 kernel module cls_bpf",
                interface.name,
                direction.as_str()
            ),
        )?;
    let link = program.take_link(id).or_fail(&given, "report this")?;
    // Dropping such a link would remove the filter, and it is to outlive us.
    std::mem::forget(link);
    Ok(())
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
