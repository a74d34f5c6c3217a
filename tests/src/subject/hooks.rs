//! What the kernel has: programs at an interface, queueing disciplines, programs and maps at all.

use aya::Ebpf;
use aya::maps::{MapInfo, loaded_maps};
use aya::programs::tc::{TcAttachOptions, TcAttachType};
use aya::programs::{LinkOrder, ProgramInfo, ProgramType, SchedClassifier, loaded_programs};
use ftp_user::ebpf::object::{EGRESS, INGRESS, OBJECT};
use std::fs;
use std::os::fd::{AsFd as _, AsRawFd as _};

use crate::hosts::links;
use crate::hosts::network::{Host, INTERFACE};
use crate::support::wait;

const DIRECTIONS: [TcAttachType; 2] = [TcAttachType::Ingress, TcAttachType::Egress];

/// One program in the kernel.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Program {
    /// The kernel's number for it.
    pub id: u32,
    /// Its name.
    pub name: String,
    /// The kernel's numbers for the maps that it uses.
    pub maps: Vec<u32>,
    /// Instructions that the verifier went through (Linux 5.16 and later say so).
    pub verified: Option<u32>,
}

impl From<ProgramInfo> for Program {
    fn from(info: ProgramInfo) -> Self {
        Self {
            id: info.id(),
            name: info.name_as_str().unwrap_or_default().to_owned(),
            maps: info.map_ids().expect("root may").unwrap_or_default(),
            verified: info.verified_instruction_count(),
        }
    }
}

/// The ways to attach that this kernel has, by their names, the better one first.
#[must_use]
pub fn known() -> Vec<&'static str> {
    // Asking what is attached is refused where there is no TCX.
    let has_tcx = SchedClassifier::query_tcx("lo", TcAttachType::Egress).is_ok();
    ["tcx", "clsact"].into_iter().filter(|hook| has_tcx || *hook != "tcx").collect()
}

/// The programs at ingress and egress of a host's interface, at TCX and at clsact.
#[track_caller]
pub fn attached(host: &Host) -> Vec<Program> {
    let has_tcx = known().contains(&"tcx");
    let mut programs = host.namespace.run(|| {
        let at = |hook| {
            let (_, programs) = SchedClassifier::query_tcx(INTERFACE, hook).expect("the interface is there");
            programs.into_iter().map(Program::from)
        };
        let hooks = DIRECTIONS.into_iter().filter(|_| has_tcx);
        hooks.flat_map(at).collect::<Vec<_>>()
    });
    for id in links::filter_programs(&host.namespace, INTERFACE, DIRECTIONS) {
        let loaded = loaded_programs().flatten().find(|program| program.id() == id);
        programs.push(loaded.expect("it is attached").into());
    }
    programs
}

/// Bytes that the maps of the attached programs take.
#[track_caller]
#[must_use]
pub fn memory(host: &Host) -> u64 {
    let mut maps: Vec<u32> = attached(host).into_iter().flat_map(|program| program.maps).collect();
    maps.sort_unstable();
    maps.dedup();
    let of_map = |id| {
        let map = MapInfo::from_id(id).expect("it is used").fd().expect("root may");
        let path = format!("/proc/self/fdinfo/{}", map.as_fd().as_raw_fd());
        let text = fs::read_to_string(path).expect("proc is mounted");
        let line = text.lines().find_map(|line| line.strip_prefix("memlock:")).expect("maps say it");
        line.trim().parse::<u64>().expect("a number")
    };
    maps.into_iter().map(of_map).sum()
}

/// Another's program at both hooks of an interface, by TCX, for as long as the value lives. It lets all pass.
#[derive(Debug)]
pub struct Foreign {
    object: Ebpf,
}

impl Foreign {
    /// Attaches it.
    #[track_caller]
    pub fn at(host: &Host) -> Self {
        // The very same program; without a policy it lets all pass.
        let object = host.namespace.run(|| {
            let mut object = Ebpf::load(OBJECT).expect("the object is good");
            for (name, way) in [(INGRESS, TcAttachType::Ingress), (EGRESS, TcAttachType::Egress)] {
                let program: &mut SchedClassifier =
                    object.program_mut(name).expect("it has one").try_into().expect("it is one");
                program.load().expect("root may");
                let options = TcAttachOptions::TcxOrder(LinkOrder::first());
                program.attach_with_options(INTERFACE, way, options).expect("root may");
            }
            object
        });
        Self { object }
    }

    /// The kernel's numbers for its programs.
    pub fn ids(&self) -> Vec<u32> {
        let filters = self.object.programs().filter(|(_, program)| program.prog_type() == ProgramType::SchedClassifier);
        filters.map(|(_, program)| program.info().expect("it is loaded").id()).collect()
    }
}

/// The queueing disciplines of a host's interface.
#[track_caller]
pub fn disciplines(host: &Host) -> String {
    links::disciplines(&host.namespace, INTERFACE).join(", ")
}

/// Waits until these programs and their maps are in the kernel no more.
#[track_caller]
pub fn wait_until_gone(programs: &[Program]) {
    // The kernel frees them when no CPU can be in them any more.
    wait::until("programs and maps are freed", || {
        let program_stays = loaded_programs().flatten().any(|loaded| programs.iter().any(|p| p.id == loaded.id()));
        let map_stays = loaded_maps().flatten().any(|loaded| programs.iter().any(|p| p.maps.contains(&loaded.id())));
        (!program_stays && !map_stays).then_some(())
    });
}
