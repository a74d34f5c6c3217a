//! The programs that ftptrack's is measured by; see `bench/ebpf`.

use std::ops::RangeInclusive;
use std::time::Duration;

use aya::maps::{Array, MapData, ProgramArray};
use aya::programs::{SchedClassifier, TestRun as _, TestRunOptions, Xdp};
use aya::{Ebpf, EbpfLoader};
use rustix::time::{ClockId, clock_gettime};

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/measure.bpf.o"));

/// All of them, and none in the kernel yet.
pub(crate) fn object() -> Ebpf {
    EbpfLoader::new().btf(None).load(OBJECT).expect("the object loads; it takes root")
}

/// The program that does nothing.
pub(crate) fn empty() -> Ebpf {
    let mut object = object();
    loaded(&mut object, "empty");
    object
}

/// A program of an object.
pub(crate) fn program<'a>(object: &'a Ebpf, name: &str) -> &'a SchedClassifier {
    object.program(name).expect("the object has it").try_into().expect("it is one")
}

/// A program of an object, which the kernel has now.
pub(crate) fn loaded<'a>(object: &'a mut Ebpf, name: &str) -> &'a mut SchedClassifier {
    let program: &mut SchedClassifier =
        object.program_mut(name).expect("the object has it").try_into().expect("it is one");
    program.load().expect("the verifier takes it");
    program
}

/// The programs about a flood of SYNs to some ports, sent out of an interface: the one that makes it, and the one that
/// drops it.
pub(crate) fn flood(out_of: u32, ports: &RangeInclusive<u16>) -> Ebpf {
    let (first, count) = (u32::from(*ports.start()), u32::from(ports.end() - ports.start()) + 1);
    let mut loader = EbpfLoader::new();
    loader
        .btf(None)
        .override_global("OUT_OF", &out_of, true)
        .override_global("FIRST_PORT", &first, true)
        .override_global("TO_PORTS", &count, true);
    let mut object = loader.load(OBJECT).expect("the object loads; it takes root");
    for name in ["flood", "refuse"] {
        let program: &mut Xdp = object.program_mut(name).expect("the object has it").try_into().expect("it is one");
        program.load().expect("the verifier takes it");
    }
    object
}

/// How one packet differs from the one before.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pattern {
    /// IPv4 source addresses: how many, the first one in host byte order, and whether they are taken at random. 0: as
    /// the frame says.
    pub(crate) sources: u32,
    pub(crate) first_source: u32,
    pub(crate) at_random: bool,
    /// The sequence number rises by that with each packet, from the first on. 0: as the frame says.
    pub(crate) advance: u32,
    pub(crate) first_sequence: u32,
}

/// Runs a program on packets each of which is another.
pub(crate) struct Drive {
    object: Ebpf,
    runs: Array<MapData, u32>,
    _next: ProgramArray<MapData>,
}

impl Drive {
    /// In front of `next`.
    pub(crate) fn new(next: &SchedClassifier, pattern: Pattern) -> Self {
        let Pattern { sources, first_source, at_random, advance, first_sequence } = pattern;
        let at_random = u32::from(at_random);
        let mut loader = EbpfLoader::new();
        loader
            .btf(None)
            .override_global("SOURCES", &sources, true)
            .override_global("FIRST_SOURCE", &first_source, true)
            .override_global("AT_RANDOM", &at_random, true)
            .override_global("ADVANCE", &advance, true)
            .override_global("FIRST_SEQUENCE", &first_sequence, true);
        let mut object = loader.load(OBJECT).expect("the object loads; it takes root");
        let runs = object.take_map("RUNS").expect("the object has it").try_into().expect("of this shape");
        let mut programs: ProgramArray<MapData> =
            object.take_map("NEXT").expect("the object has it").try_into().expect("of this shape");
        programs.set(0, next.fd().expect("it is loaded"), 0).expect("the programs go together");
        loaded(&mut object, "drive");
        Self { object, runs, _next: programs }
    }

    /// Runs it on `packets` packets that begin as `frame`; nanoseconds a packet.
    pub(crate) fn run(&mut self, frame: &[u8], packets: u32) -> f64 {
        self.runs.set(0, 0, 0).expect("the map is writable");
        run(program(&self.object, "drive"), frame, packets)
    }
}

/// Packets from which on our own clock is exact enough.
const MANY: u32 = 10_000;

/// Runs a program on the same packet many times; nanoseconds a packet.
pub(crate) fn run(program: &SchedClassifier, frame: &[u8], packets: u32) -> f64 {
    let before = processor_time();
    let options = TestRunOptions { data_in: Some(frame), repeat: packets, ..TestRunOptions::default() };
    let result = program.test_run(options).expect("the kernel runs it");
    if packets < MANY {
        // The kernel's clock has no system call in it, and whole nanoseconds only.
        return result.duration.as_nanos() as f64;
    }
    (processor_time() - before).as_nanos() as f64 / f64::from(packets)
}

/// The time that this thread had a processor: what others take isn't in it.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).expect("below a second"))
}
