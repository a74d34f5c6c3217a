//! The kernel program with maps of its own: frames go in by BPF_PROG_TEST_RUN, events come out.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::os::fd::AsFd as _;

use aya::Ebpf;
use aya::maps::{Array, Map, MapData, PerCpuArray, RingBuf};
use aya::programs::{SchedClassifier, TestRun as _, TestRunOptions};
use aya::util::nr_cpus;
use ftp_common::counter::Counter;
use ftp_common::event::{Event, EventKind};
use ipnet::IpNet;

use super::maps::take;
use super::time::Times;
use crate::ebpf::object::INGRESS;
use crate::ebpf::policy_maps::PolicyMaps;
use crate::ebpf::program;
use crate::ebpf::ring::parse;
use crate::ebpf::server_keys;
use crate::error::{Failure, OrFail as _};
use crate::policy::Policy;
use crate::policy::attachment::Sizes;
use crate::policy::encode::OWN;
use crate::query::rows::Stats;
use crate::sys::bpf;

const HINT: &str = "report this with the output of uname -r";
const GENERATION: u32 = 1;
/// The kernel program reports a hundred denials in a second, by a count that lies in its scratch map. That is
/// emptied before: a capture of hours passes in seconds.
const DENIALS: u32 = 90;
/// What the program answers to a packet that goes on (TCX_NEXT).
const PASS: u32 = u32::MAX;

/// The program and its maps. Nothing of it is pinned, and it is attached to nothing.
pub(super) struct Engine {
    ebpf: Ebpf,
    policy_maps: PolicyMaps,
    stats: PerCpuArray<MapData, u64>,
    view: RingBuf<MapData>,
    events: RingBuf<MapData>,
    scratch: Scratch,
    /// The times in its maps.
    pub(super) times: Times,
}

/// What the program needs for one packet, and nothing longer but the count of denials.
struct Scratch {
    map: MapData,
    value_size: usize,
    cpus: usize,
    zeros: Vec<u8>,
    /// Denials reported since it was emptied.
    denials: u32,
}

impl Engine {
    /// Loads the program, and makes the policy active for the servers that it names.
    ///
    /// # Errors
    ///
    /// The kernel's refusal.
    pub(super) fn load(policy: &Policy, sizes: Sizes) -> Result<Self, Failure> {
        let mut ebpf = program::apart(sizes)?;
        let mut viewer: Array<_, u64> = take(&mut ebpf, "VIEWER")?;
        let mut policy_maps = PolicyMaps {
            config: take(&mut ebpf, "CONFIG")?,
            policies: take(&mut ebpf, "POLICIES")?,
            servers: take(&mut ebpf, "SERVERS")?,
            ports: take(&mut ebpf, "PORTS")?,
        };
        let servers = server_keys::entries(GENERATION, &policy.places(&BTreeSet::new()));
        policy_maps.write(GENERATION, policy, &servers)?;
        // For ever: the conversations are to be reported.
        viewer.set(0, u64::MAX, 0).or_fail("VIEWER", HINT)?;
        Ok(Self {
            policy_maps,
            stats: take(&mut ebpf, "STATS")?,
            view: take(&mut ebpf, "VIEW")?,
            events: take(&mut ebpf, "EVENTS")?,
            scratch: Scratch::of(&mut ebpf)?,
            times: Times::of(&mut ebpf)?,
            ebpf,
        })
    }

    /// Makes an address that of a server from now on, by the rules for servers that are not named.
    ///
    /// # Errors
    ///
    /// The kernel's refusal.
    pub(super) fn learn(&mut self, address: IpAddr) -> Result<(), Failure> {
        for (key, place) in server_keys::entries(GENERATION, &BTreeMap::from([(IpNet::from(address), OWN)])) {
            self.policy_maps.servers.insert(&key, place, 0).or_fail("SERVERS", "name the servers with --server")?;
        }
        Ok(())
    }

    /// Runs the program on an ethernet frame, and adds what it reports to `reported`. Whether the frame goes on.
    ///
    /// # Errors
    ///
    /// The kernel's refusal.
    pub(super) fn run(&mut self, frame: &[u8], reported: &mut Vec<Event>) -> Result<bool, Failure> {
        const GIVEN: &str = "BPF_PROG_TEST_RUN";
        let program: Option<&SchedClassifier> = self.ebpf.program(INGRESS).and_then(|program| program.try_into().ok());
        let program = program.ok_or_else(|| Failure::failed(GIVEN, "there is no program", HINT))?;
        let options = TestRunOptions { data_in: Some(frame), ..TestRunOptions::default() };
        let verdict = program.test_run(options).or_fail(GIVEN, HINT)?.return_value;
        // All of these are in the view too.
        while self.events.next().is_some() {}
        while let Some(item) = self.view.next() {
            if let Some(event) = parse(&item) {
                self.scratch.denials += u32::from(event.kind == EventKind::Denied.number());
                reported.push(event);
            }
        }
        if self.scratch.denials >= DENIALS {
            self.scratch.clear()?;
        }
        Ok(verdict == PASS)
    }

    /// What was counted.
    ///
    /// # Errors
    ///
    /// The kernel's refusal.
    pub(super) fn stats(&self) -> Result<Stats, Failure> {
        let sum = |counter: &Counter| {
            let values = self.stats.get(&counter.index(), 0).or_fail("STATS", HINT)?;
            Ok((*counter, values.iter().sum()))
        };
        Counter::ALL.iter().map(sum).collect::<Result<_, _>>().map(Stats)
    }
}

impl Scratch {
    fn of(ebpf: &mut Ebpf) -> Result<Self, Failure> {
        const NAME: &str = "SCRATCH";
        let Some(Map::PerCpuArray(map)) = ebpf.take_map(NAME) else {
            return Err(Failure::failed(NAME, "the kernel object has no such map", "rebuild ftptrack"));
        };
        let value_size = map.info().or_fail(NAME, HINT)?.value_size() as usize;
        let cpus = nr_cpus().map_err(|(_, error)| error).or_fail(NAME, HINT)?;
        Ok(Self { map, value_size, cpus, zeros: vec![0; value_size.next_multiple_of(8) * cpus], denials: 0 })
    }

    fn clear(&mut self) -> Result<(), Failure> {
        self.denials = 0;
        bpf::clear_per_cpu(self.map.fd().as_fd(), self.value_size, self.cpus, &self.zeros).or_fail("SCRATCH", HINT)
    }
}
