//! The kernel object, loaded once for each interface: its constants differ, its maps are shared.

use std::panic::resume_unwind;
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::thread;

use aya::maps::MapData;
use aya::programs::{Program, ProgramError, SchedClassifier};
use aya::{Ebpf, EbpfLoader};
use aya_log::LEVEL;
use ftp_common::policy::Side;

use crate::ebpf::interface::Interface;
use crate::ebpf::maps::{PinnedMaps, SHARED, Shape, make_large_tables};
use crate::ebpf::object::OBJECT;
use crate::ebpf::owner_maps::OWNER;
use crate::error::{Failure, OrFail as _};
use crate::pins::Pins;
use crate::policy::attachment::{Direction, SideName, Sizes};

const HINT: &str = "report this with the output of uname -r";

/// The name of a direction's program in the object.
#[must_use]
pub const fn program_name(direction: Direction) -> &'static str {
    match direction {
        Direction::Egress => crate::ebpf::object::EGRESS,
        Direction::Ingress => crate::ebpf::object::INGRESS,
    }
}

/// What an object's programs know of the interface that they are attached to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Constants {
    side: SideName,
    link_header: u8,
}

impl Constants {
    /// Of an interface.
    #[must_use]
    pub const fn of(interface: &Interface, side: SideName) -> Self {
        Self { side, link_header: interface.link_header }
    }

    /// Of an ethernet interface, which most are.
    #[must_use]
    pub const fn ethernet(side: SideName) -> Self {
        Self { side, link_header: 14 }
    }
}

/// Loads the object for an interface, and verifies both programs. The shared maps are made and
/// pinned by the first object that is loaded, in these sizes; later ones take them.
///
/// # Errors
///
/// The kernel's or its verifier's refusal, or a pinned map of another shape.
pub fn load(constants: Constants, pins: &Pins, log_level: u8, sizes: Sizes) -> Result<Ebpf, Failure> {
    let mut ebpf = open(constants, pins, log_level, sizes)?;
    verify(&mut ebpf)?;
    Ok(ebpf)
}

/// Makes and pins the shared maps, in front of all that uses them.
///
/// # Errors
///
/// See [`load`].
pub fn make_maps(pins: &Pins, sizes: Sizes) -> Result<(), Failure> {
    open(Constants::ethernet(SideName::ServersBehind), pins, 0, sizes).map(drop)
}

/// Loaded objects, so that an interface that comes is not unprotected for as long as verifying takes.
#[derive(Debug, Default)]
pub struct Stock {
    /// Number of the CONFIG map that they use: others may have replaced it.
    maps: Option<u32>,
    objects: Vec<Loaded>,
}

/// A loaded object, and what it was loaded for.
pub type Loaded = (Constants, Ebpf);

impl Stock {
    /// Those that are loaded already, with the maps that are pinned now.
    ///
    /// # Errors
    ///
    /// The maps can't be opened.
    pub fn of(objects: Vec<Loaded>, pins: &Pins) -> Result<Self, Failure> {
        Ok(Self { maps: Some(config_map(pins)?), objects })
    }

    /// An object for such an interface, loaded if it isn't yet.
    ///
    /// # Errors
    ///
    /// See [`load`].
    pub fn get(&mut self, constants: Constants, pins: &Pins) -> Result<&mut Ebpf, Failure> {
        let maps = Some(config_map(pins)?);
        if self.maps != maps {
            *self = Self { maps, objects: Vec::new() };
        }
        let found = self.objects.iter().position(|(of, _)| *of == constants);
        let index = match found {
            Some(index) => index,
            None => {
                self.objects.push((constants, load(constants, pins, 0, Sizes::default())?));
                self.objects.len() - 1
            }
        };
        Ok(&mut self.objects[index].1)
    }
}

fn config_map(pins: &Pins) -> Result<u32, Failure> {
    let place = pins.map("CONFIG");
    let config = MapData::from_pin(&place).or_fail(place.display(), "run as root")?;
    Ok(config.info().or_fail(place.display(), "run as root")?.id())
}

/// Makes the object ready; its programs are not in the kernel yet.
///
/// # Errors
///
/// The kernel's refusal, or a pinned map of another shape.
pub fn open(constants: Constants, pins: &Pins, log_level: u8, sizes: Sizes) -> Result<Ebpf, Failure> {
    make_large_tables(pins, sizes.flows);
    let mut loader = LOADER.lock().unwrap_or_else(PoisonError::into_inner);
    Globals::of(constants, log_level).set_in(&mut loader, sizes);
    pin(&mut loader, &SHARED, pins);
    let ebpf = loader.load(OBJECT).or_fail("kernel object", HINT)?;
    drop(loader);
    PinnedMaps::new(pins).check()?;
    Ok(ebpf)
}

fn pin(loader: &mut EbpfLoader<'_>, shapes: &[Shape], pins: &Pins) {
    for shape in shapes {
        let path: PathBuf = pins.map(shape.name);
        loader.map_pin_path(shape.name, path);
    }
}

/// Makes an object ready for those of its programs that learn from processes and sockets, with the maps of the filters.
/// `offsets`: of members of the kernel's structures, each with the name of its constant.
///
/// # Errors
///
/// The kernel's refusal, or a pinned map of another shape.
pub fn open_owner(pins: &Pins, offsets: &[(&'static str, u32)]) -> Result<Ebpf, Failure> {
    let mut loader = new_loader();
    for (name, offset) in offsets {
        loader.override_global(name, offset, true);
    }
    loader.override_global(LEVEL, byte(0), false);
    pin(&mut loader, &SHARED, pins);
    pin(&mut loader, &OWNER, pins);
    let ebpf = loader.load(OBJECT).or_fail("kernel object", HINT)?;
    PinnedMaps::new(pins).check_owner()?;
    Ok(ebpf)
}

/// Loads an object with maps of its own, that is pinned nowhere and attached to nothing, and verifies its
/// program for packets that come in. It takes frames of ethernet from both sides, as on the loopback
/// interface: one place sees both directions, and counts what both ends send.
///
/// # Errors
///
/// The kernel's or its verifier's refusal.
pub fn apart(sizes: Sizes) -> Result<Ebpf, Failure> {
    let globals = Globals { side: Side::Both.number(), link_header: 14, log_level: 0 };
    let mut loader = new_loader();
    globals.set_in(&mut loader, sizes);
    let mut ebpf = loader.load(OBJECT).or_fail("kernel object", HINT)?;
    program(&mut ebpf, Direction::Ingress)?.load().map_err(|error| refused(&error))?;
    Ok(ebpf)
}

/// What is set in an object before it is loaded.
struct Globals {
    side: u8,
    link_header: u8,
    log_level: u8,
}

impl Globals {
    fn of(constants: Constants, log_level: u8) -> Self {
        let Constants { side, link_header } = constants;
        Self { side: Side::from(side).number(), link_header, log_level }
    }

    fn set_in(&self, loader: &mut EbpfLoader<'static>, sizes: Sizes) {
        loader
            .override_global("SIDE", byte(self.side), true)
            .override_global("LINK_HEADER", byte(self.link_header), true)
            .override_global(LEVEL, byte(self.log_level), false);
        // These programs don't use them, and those that do have them pinned.
        let of_owners = OWNER.iter().filter(|shape| !shape.is_of_sockets()).map(|shape| (shape.name, Some(1)));
        let of_sessions = ["HANDSHAKES", "SESSIONS", "EXPECTATIONS", "CLIENTS"].map(|name| (name, sizes.sessions));
        let of_flows = ["FLOWS", "CLOSED"].map(|name| (name, sizes.flows));
        for (name, size) in of_sessions.into_iter().chain(of_flows).chain(of_owners) {
            if let Some(size) = size {
                loader.map_max_entries(name, size);
            }
        }
    }
}

/// The loader of all objects whose maps are pinned. Sizes stay set in it: in a process they are of one configuration, and
/// maps that are pinned have theirs.
static LOADER: LazyLock<Mutex<EbpfLoader<'static>>> = LazyLock::new(|| Mutex::new(new_loader()));

/// Has [`LOADER`] made by a thread of its own, while something else is done.
pub fn prepare() {
    // Where there is no thread, it is made when it is needed.
    let _ = thread::Builder::new().name("loader".to_owned()).spawn(|| drop(LOADER.lock()));
}

/// Making one takes longer than all the rest but for verifying: it parses the kernel's BTF, which nothing in the object
/// needs.
fn new_loader<'a>() -> EbpfLoader<'a> {
    let mut loader = EbpfLoader::new();
    loader.btf(None);
    loader
}

/// A byte that lives as long as any loader.
fn byte(value: u8) -> &'static u8 {
    static ALL: [u8; 256] = {
        let mut all = [0; 256];
        let mut value = 0;
        while value < all.len() {
            all[value] = value as u8;
            value += 1;
        }
        all
    };
    &ALL[usize::from(value)]
}

/// Has the kernel verify all programs, side by side: it takes most of the time of starting.
fn verify(ebpf: &mut Ebpf) -> Result<(), Failure> {
    let verify_one = |program: &mut Program| -> Result<(), ProgramError> {
        let program: &mut SchedClassifier = program.try_into()?;
        program.load()
    };
    thread::scope(|scope| {
        let is_filter = |program: &&mut Program| matches!(program, Program::SchedClassifier(_));
        let programs = ebpf.programs_mut().filter(|(_, program)| is_filter(program));
        let threads: Vec<_> = programs.map(|(_, program)| scope.spawn(move || verify_one(program))).collect();
        threads.into_iter().try_for_each(|thread| match thread.join() {
            Ok(verified) => verified.map_err(|error| refused(&error)),
            Err(panic) => resume_unwind(panic),
        })
    })
}

/// A direction's program.
///
/// # Errors
///
/// It isn't in the object.
pub fn program(ebpf: &mut Ebpf, direction: Direction) -> Result<&mut SchedClassifier, Failure> {
    program_named(ebpf, program_name(direction))
}

/// A program of the object.
///
/// # Errors
///
/// It isn't in it, or is of another kind.
pub(crate) fn program_named<'a, P>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut P, Failure>
where
    &'a mut P: TryFrom<&'a mut Program>,
{
    ebpf.program_mut(name)
        .and_then(|program| program.try_into().ok())
        .ok_or_else(|| Failure::failed("kernel object", format_args!("it has no program {name}"), "rebuild ftptrack"))
}

/// The verifier's log is long; its last lines say why.
pub(crate) fn refused(error: &ProgramError) -> Failure {
    let ProgramError::LoadError { io_error, verifier_log } = error else {
        return Failure::failed("kernel program", error, HINT);
    };
    let log = verifier_log.to_string();
    let lines: Vec<_> = log.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = lines[lines.len().saturating_sub(3)..].join(" / ");
    Failure::failed("kernel program", format_args!("the kernel refused it: {io_error}: {last}"), HINT)
}
