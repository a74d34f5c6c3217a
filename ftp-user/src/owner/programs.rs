//! The programs that learn: at two tracepoints, and at the root of the control groups.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use aya::programs::links::FdLink;
use aya::programs::{CgroupAttachMode, RawTracePoint, SockOps};
use ftp_common::expectation::Expectation;
use ftp_common::keys::ExpectationKey;
use ftp_common::owner::learning;
use ftp_common::session::LEARNED;
use rustix::net::sockopt::{set_ip_freebind, socket_cookie};
use rustix::net::{AddressFamily, SocketType, bind, listen, socket};

use crate::ebpf::batch::remove;
use crate::ebpf::maps::PinnedMaps;
use crate::ebpf::object::{PROCESSES, SOCKETS};
use crate::ebpf::owner_maps::{LEARNING, OWNER};
use crate::ebpf::program::{open_owner, program_named, refused};
use crate::error::{Failure, OrFail as _};
use crate::pins::{NEXT, Pins, ignore_missing};
use crate::sys::btf::{Btf, VMLINUX};
use crate::sys::{bpf, cgroup};

const GIVEN: &str = "ftps = learn";

/// Names of the pinned links.
const LINK_OF_SOCKETS: &str = "sockets";
const LINKS: [&str; 3] = [PROCESSES[0].1, PROCESSES[1].1, LINK_OF_SOCKETS];

/// Where members of the kernel's structures lie, by the names of the programs' constants.
const MEMBERS: [(&str, &str, &[&str]); 5] = [
    ("TGID", "task_struct", &["tgid"]),
    ("SIGNAL", "task_struct", &["signal"]),
    ("LIVE", "signal_struct", &["live"]),
    ("OWNED", "sock", &["sk_lock", "owned"]),
    ("NET", "sock", &["__sk_common", "skc_net", "net"]),
];

/// Loads and attaches them, in the place of those that are there: the new ones first, so that nothing goes unseen. What
/// two of them see, both note once.
///
/// # Errors
///
/// What the kernel lacks or refuses.
pub(super) fn attach(pins: &Pins) -> Result<(), Failure> {
    let offsets = offsets()?;
    let group = cgroup::root().or_fail("control groups, version 2", "use a kernel with CONFIG_CGROUPS")?;
    let mut ebpf = open_owner(pins, &offsets)?;
    for (name, tracepoint) in PROCESSES {
        let program: &mut RawTracePoint = program_named(&mut ebpf, name)?;
        program.load().map_err(|error| refused(&error))?;
        let id = program.attach(tracepoint).or_fail(tracepoint, "report this with the output of uname -r")?;
        keep(program.take_link(id).or_fail(name, "report this")?.into(), tracepoint, pins)?;
    }
    let program: &mut SockOps = program_named(&mut ebpf, SOCKETS)?;
    program.load().map_err(|error| refused(&error))?;
    let hint = "see which other program insists on being alone: bpftool cgroup show";
    let id = program.attach(group, CgroupAttachMode::Single).or_fail("control groups, version 2", hint)?;
    let link = program.take_link(id).or_fail(SOCKETS, "report this")?;
    keep(FdLink::try_from(link).or_fail(SOCKETS, "report this")?, LINK_OF_SOCKETS, pins)?;
    show_namespace(pins)
}

fn offsets() -> Result<Vec<(&'static str, u32)>, Failure> {
    let hint = "use a kernel with CONFIG_DEBUG_INFO_BTF";
    let btf = Btf::of_the_kernel()
        .ok_or_else(|| Failure::failed(GIVEN, format_args!("{VMLINUX} is not there, or can't be read"), hint))?;
    let offset = |(name, structure, path): (&'static str, &str, &[&str])| {
        let missing = || Failure::failed(GIVEN, format_args!("{VMLINUX} has no {structure}.{}", path.join(".")), hint);
        Ok((name, btf.offset(structure, path).ok_or_else(missing)?))
    };
    MEMBERS.into_iter().map(offset).collect()
}

/// Pins a link in the place of the one that is there, which goes with its pin.
fn keep(link: FdLink, name: &str, pins: &Pins) -> Result<(), Failure> {
    let place = pins.owner_link(name);
    let fresh = pins.owner_link(&format!("{name}{NEXT}"));
    let hint = "run as root, with a pin directory of your own";
    // Of a process that was killed.
    ignore_missing(fs::remove_file(&fresh)).or_fail(fresh.display(), hint)?;
    link.pin(&fresh).or_fail(fresh.display(), hint)?;
    fs::rename(&fresh, &place).or_fail(place.display(), hint)
}

/// The programs tell network namespaces apart by an address in the kernel, which only they can read: they note that of a
/// socket that listens for a moment, where nobody can reach it.
fn show_namespace(pins: &Pins) -> Result<(), Failure> {
    let mut entries = PinnedMaps::new(pins).learning()?;
    let hint = "report this with the output of uname -r";
    let own = quiet_socket().or_fail(GIVEN, hint)?;
    let cookie = socket_cookie(&own).or_fail(GIVEN, hint)?;
    entries.set(learning::COOKIE, cookie, 0).or_fail(GIVEN, hint)?;
    listen(&own, 1).or_fail(GIVEN, hint)?;
    drop(own);
    match entries.get(&learning::NAMESPACE, 0) {
        Ok(namespace) if namespace != 0 => Ok(()),
        _ => Err(Failure::failed(GIVEN, "the kernel does not report this process's sockets", hint)),
    }
}

/// At the loopback address, whether that is there or not.
fn quiet_socket() -> io::Result<OwnedFd> {
    let own = socket(AddressFamily::INET, SocketType::STREAM, None)?;
    set_ip_freebind(&own, true)?;
    bind(&own, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0))?;
    Ok(own)
}

/// Takes them off, with all that they know and what was learned and not used: it is not true any more once they don't run.
///
/// # Errors
///
/// The kernel's refusal.
pub(super) fn detach(pins: &Pins) -> Result<(), Failure> {
    for name in LINKS {
        for place in [pins.owner_link(name), pins.owner_link(&format!("{name}{NEXT}"))] {
            detach_one(&place).or_fail(place.display(), "run as root")?;
        }
    }
    // Where nobody has learned there is nothing to forget; and another version's goes with its maps.
    if pins.map(LEARNING).exists() && pins.is_of_this_version() {
        let is_learned = |_: &ExpectationKey, expectation: &Expectation| expectation.serial == LEARNED;
        remove(PinnedMaps::new(pins).expectations()?, is_learned)?;
    }
    for shape in OWNER {
        let place = pins.map(shape.name);
        ignore_missing(fs::remove_file(&place)).or_fail(place.display(), "run as root")?;
    }
    Ok(())
}

fn detach_one(place: &Path) -> io::Result<()> {
    match bpf::open_pinned(place) {
        // Of a tracepoint it can't be done: that goes with its pin.
        Ok(link) => drop(bpf::detach_link(link.as_fd())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    }
    fs::remove_file(place)
}
