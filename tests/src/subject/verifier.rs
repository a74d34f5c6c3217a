//! What the programs cost the kernel's verifier. Kernels tell it of a program that is loaded from
//! 5.16 on; older ones say it only in the log of loading. So the programs are loaded once more here, as
//! aya does it, with that log.

use aya::Ebpf;
use aya::maps::{Map, MapData};
use aya_obj::btf::Btf;
use aya_obj::generated::{bpf_attach_type, bpf_attr, bpf_cmd, bpf_prog_type};
use aya_obj::{Function, Object, ProgramSection};
use ftp_user::ebpf::object::OBJECT;
use ftp_user::ebpf::program::{self, Constants};
use ftp_user::pins::Pins;
use ftp_user::policy::attachment::{SideName, Sizes};
use std::ffi::CStr;
use std::io;
use std::mem;
use std::os::fd::{AsFd as _, AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::ptr;

use crate::subject::ftptrack::PinDirectory;

/// Only the last lines of the log, with the numbers.
const STATISTICS: u32 = 4;

/// Instructions that the verifier goes through for each of the object's programs, by name; it gives
/// up after a million. As for an interface of a server host.
#[track_caller]
pub fn costs() -> Vec<(String, u32)> {
    let pins = PinDirectory::new();
    let directory = Pins::new(&pins.path());
    std::fs::create_dir(pins.path()).expect("our own");
    directory.make().unwrap_or_else(|failure| panic!("{failure}"));
    let constants = Constants::ethernet(SideName::ServersBehind);
    let prepared = program::open(constants, &directory, 0, Sizes::default());
    let programs = loaded_as(&prepared.unwrap_or_else(|failure| panic!("{failure}")));
    programs.unwrap_or_else(|error| panic!("{error}"))
}

fn loaded_as(prepared: &Ebpf) -> io::Result<Vec<(String, u32)>> {
    let mut object = Object::parse(OBJECT).map_err(io::Error::other)?;
    let features = aya::features();
    let btf_features = features.btf().expect("the kernel has BTF");
    let btf = object.fixup_and_sanitize_btf(btf_features).map_err(io::Error::other)?.map(load_btf).transpose()?;
    let maps: Vec<_> = object.maps.drain().collect();
    let descriptors: Vec<(&str, RawFd, &aya_obj::Map)> = maps
        .iter()
        .map(|(name, map)| {
            let (_, made) = prepared.maps().find(|(made, _)| made == name).expect("it was made");
            (name.as_str(), descriptor(made), map)
        })
        .collect();
    let sections = object.functions.keys().map(|(section, _)| *section).collect();
    object.relocate_maps(descriptors.into_iter(), &sections).map_err(io::Error::other)?;
    object.relocate_calls(&sections).map_err(io::Error::other)?;
    object.sanitize_functions(features);
    let mut costs = Vec::new();
    for (name, program) in &object.programs {
        let function = &object.functions[&program.function_key()];
        let log = load_program(kind(&program.section), function, &program.license, btf.as_ref())?;
        let cost = log.split_once("processed ").and_then(|(_, rest)| rest.split(' ').next()?.parse().ok());
        costs.push((name.clone(), cost.unwrap_or_else(|| panic!("no number in {log:?}"))));
    }
    costs.sort();
    Ok(costs)
}

fn descriptor(map: &Map) -> RawFd {
    let (Map::Array(data)
    | Map::HashMap(data)
    | Map::LpmTrie(data)
    | Map::LruHashMap(data)
    | Map::PerCpuArray(data)
    | Map::PerCpuHashMap(data)
    | Map::RingBuf(data)
    | Map::SkStorage(data)) = map
    else {
        panic!("{map:?}: of a kind that the object didn't have when this was written")
    };
    MapData::fd(data).as_fd().as_raw_fd()
}

fn load_btf(btf: &Btf) -> io::Result<OwnedFd> {
    let bytes = btf.to_bytes();
    let mut attribute = nothing();
    // SAFETY: any part of it may be written, as all of it is set to zero.
    let part = unsafe { &mut attribute.__bindgen_anon_7 };
    part.btf = bytes.as_ptr().expose_provenance() as u64;
    part.btf_size = u32::try_from(bytes.len()).map_err(io::Error::other)?;
    bpf(bpf_cmd::BPF_BTF_LOAD, &mut attribute)
}

/// What a program is loaded as.
fn kind(section: &ProgramSection) -> bpf_prog_type {
    match section {
        ProgramSection::SchedClassifier => bpf_prog_type::BPF_PROG_TYPE_SCHED_CLS,
        ProgramSection::SockOps => bpf_prog_type::BPF_PROG_TYPE_SOCK_OPS,
        ProgramSection::RawTracePoint => bpf_prog_type::BPF_PROG_TYPE_RAW_TRACEPOINT,
        other => panic!("{other:?}: of a kind that the object didn't have when this was written"),
    }
}

/// Loads a program and forgets it; returns the verifier's log.
fn load_program(kind: bpf_prog_type, function: &Function, license: &CStr, btf: Option<&OwnedFd>) -> io::Result<String> {
    let mut log = vec![0u8; 1 << 16];
    let (functions, lines) = (function.func_info.func_info_bytes(), function.line_info.line_info_bytes());
    let count = |length: usize| u32::try_from(length).map_err(io::Error::other);
    let mut attribute = nothing();
    // SAFETY: as above.
    let part = unsafe { &mut attribute.__bindgen_anon_3 };
    part.prog_type = kind as u32;
    if kind == bpf_prog_type::BPF_PROG_TYPE_SOCK_OPS {
        part.expected_attach_type = bpf_attach_type::BPF_CGROUP_SOCK_OPS as u32;
    }
    part.insns = function.instructions.as_ptr().expose_provenance() as u64;
    part.insn_cnt = count(function.instructions.len())?;
    part.license = license.as_ptr().expose_provenance() as u64;
    part.log_level = STATISTICS;
    part.log_buf = log.as_mut_ptr().expose_provenance() as u64;
    part.log_size = count(log.len())?;
    if let Some(btf) = btf {
        part.prog_btf_fd = btf.as_raw_fd().unsigned_abs();
        part.func_info = functions.as_ptr().expose_provenance() as u64;
        part.func_info_cnt = count(function.func_info.len())?;
        part.func_info_rec_size = count(function.func_info_rec_size)?;
        part.line_info = lines.as_ptr().expose_provenance() as u64;
        part.line_info_cnt = count(function.line_info.len())?;
        part.line_info_rec_size = count(function.line_info_rec_size)?;
    }
    let loaded = bpf(bpf_cmd::BPF_PROG_LOAD, &mut attribute);
    let log = CStr::from_bytes_until_nul(&log).map_err(io::Error::other)?.to_string_lossy().into_owned();
    match loaded {
        Ok(_) => Ok(log),
        Err(error) => Err(io::Error::other(format!("{error}: {log}"))),
    }
}

fn nothing() -> bpf_attr {
    // SAFETY: it consists of integers, and of addresses as integers.
    unsafe { mem::zeroed() }
}

/// A command of bpf(2) that makes a descriptor. All that `attribute` points to must live.
fn bpf(command: bpf_cmd, attribute: &mut bpf_attr) -> io::Result<OwnedFd> {
    let size = size_of::<bpf_attr>();
    // SAFETY: the kernel reads `size` bytes, and writes to nothing but the log that the caller has room for.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command as u32, ptr::from_mut(attribute), size) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    let descriptor = RawFd::try_from(result).map_err(io::Error::other)?;
    // SAFETY: the kernel has just given us this descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}
