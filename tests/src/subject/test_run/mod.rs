//! The compiled program, run on single frames by BPF_PROG_TEST_RUN: no interface is touched, and
//! nothing is pinned.
//!
//! What the kernel gives such a frame: `ifindex` 1 (the namespace's loopback interface) and the
//! `ingress_ifindex` that is asked for, 0 unless told otherwise: at egress that is a packet which
//! this host made itself. Time is real; [`Kernel::age`] moves all times in the maps into the past.

pub mod counters;
pub mod frame;
pub mod harness;
pub mod tables;

use std::mem::offset_of;
use std::net::IpAddr;
use std::time::Duration;

use aya::maps::lpm_trie::Key;
use aya::maps::{Array, LpmTrie, MapData, PerCpuArray, RingBuf};
use aya::programs::{SchedClassifier, TestRun as _, TestRunOptions};
use aya::{Ebpf, EbpfLoader};
use ftp_common::SECOND;
use ftp_common::address::Address;
use ftp_common::closed::{self, Closed};
use ftp_common::counter::Counter;
use ftp_common::event::Event;
use ftp_common::expectation::{Expectation, Used};
use ftp_common::flow::Flow;
use ftp_common::half_open::{HalfOpenFlow, Id, WAYS, hash_of};
use ftp_common::keys::{ConnectionKey, ExpectationKey, ServerKey};
use ftp_common::limit::{Slot, SlotKey};
use ftp_common::policy::{Config, MAX_POLICIES, PortClasses, ServerPolicy, Side, class, flag, option};
use ftp_common::range::Range;
use ftp_common::session::{Handshake, Session};
use ftp_user::ebpf::object::{EGRESS, INGRESS, OBJECT};

use counters::Counters;
use tables::{Table, Value};

/// The interface that a frame of BPF_PROG_TEST_RUN belongs to: loopback.
pub const INTERFACE: u32 = 1;
/// Entries of the maps of connections: far more than a test uses, and few enough to empty quickly.
const ENTRIES: u32 = 2048;

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// It goes on.
    Pass,
    /// It is dropped.
    Drop,
}

/// Where a packet meets the program.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Hook {
    /// On its way in.
    Ingress,
    /// On its way out; `came_in_by` is the interface it was forwarded from, 0 if this host made it.
    Egress {
        /// `ingress_ifindex`.
        came_in_by: u32,
    },
}

/// A frame that this host made, on its way out.
pub const LOCAL: Hook = Hook::Egress { came_in_by: 0 };
/// A frame that came in by another interface, on its way out.
pub const FORWARDED: Hook = Hook::Egress { came_in_by: 2 };

/// What the loader tells the program about the interface.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Setup {
    /// Where the servers are.
    pub side: Side,
    /// It is a loopback interface.
    pub loopback: bool,
    /// Bytes in front of the network header: 14 or 0.
    pub link_header: u8,
}

impl Setup {
    /// An ethernet interface with the servers on this side of it.
    pub const SERVERS_BEHIND: Self = Self { side: Side::ServersBehind, loopback: false, link_header: 14 };
    /// An ethernet interface with the servers on the other side of it.
    pub const SERVERS_BEYOND: Self = Self { side: Side::ServersBeyond, ..Self::SERVERS_BEHIND };
    /// The loopback interface.
    pub const LOOPBACK: Self = Self { side: Side::Both, loopback: true, link_header: 14 };
    /// An interface without link header, as tunnels have none.
    pub const NO_LINK_HEADER: Self = Self { link_header: 0, ..Self::SERVERS_BEHIND };
}

/// Selects the buckets of half-open flows.
const SEED: u64 = 0x5eed;
/// The one generation of the policy that there is.
const GENERATION: u32 = 1;

/// The loaded object with maps of its own.
pub struct Kernel {
    ebpf: Ebpf,
    config: Array<MapData, Value<Config>>,
    ports: Array<MapData, Value<PortClasses>>,
    policies: Array<MapData, Value<ServerPolicy>>,
    servers: LpmTrie<MapData, Value<ServerKey>, u32>,
    stats: PerCpuArray<MapData, u64>,
    viewer: Array<MapData, u64>,
    view: RingBuf<MapData>,
    /// The HANDSHAKES map.
    pub handshakes: Table<ConnectionKey, Handshake>,
    /// The SESSIONS map.
    pub sessions: Table<ConnectionKey, Session>,
    /// The EXPECTATIONS map.
    pub expectations: Table<ExpectationKey, Expectation>,
    /// The FLOWS map.
    pub flows: Table<ConnectionKey, Flow>,
    ranges: Table<ExpectationKey, Range>,
    clients: Table<SlotKey, Slot>,
    /// The HALF_OPEN map.
    pub half_open: Table<Id, HalfOpenFlow>,
    used: Table<ExpectationKey, Used>,
    closed: Table<ConnectionKey, Closed>,
    versions: Array<MapData, u32>,
    counts: Array<MapData, u32>,
    closed_until: Array<MapData, u32>,
    /// The entries of SERVERS that the policy in force made.
    prefixes: Vec<Key<Value<ServerKey>>>,
    /// What the counters were when the maps were last emptied: they only rise.
    zero: Counters,
}

impl Kernel {
    /// Loads the object.
    ///
    /// # Panics
    ///
    /// If the kernel refuses it; it takes root.
    #[must_use]
    pub fn load(setup: Setup) -> Self {
        Self::load_sized(setup, ENTRIES, ENTRIES)
    }

    /// The same, with room for that many sessions (and handshakes, and expectations) and flows.
    ///
    /// # Panics
    ///
    /// As [`Self::load`].
    #[must_use]
    pub fn load_sized(setup: Setup, sessions: u32, flows: u32) -> Self {
        let side = setup.side.number();
        let mut loader = EbpfLoader::new();
        loader.btf(None).override_global("SIDE", &side, true).override_global("LINK_HEADER", &setup.link_header, true);
        for name in ["HANDSHAKES", "SESSIONS", "EXPECTATIONS"] {
            loader.map_max_entries(name, sessions);
        }
        for name in ["RANGES", "CLIENTS", "USED", "CLOSED"] {
            loader.map_max_entries(name, ENTRIES);
        }
        loader.map_max_entries("FLOWS", flows);
        let mut ebpf = loader.load(OBJECT).expect("the object loads; it takes root");
        for name in [INGRESS, EGRESS] {
            let program: &mut SchedClassifier = ebpf.program_mut(name).unwrap().try_into().unwrap();
            program.load().expect("the verifier takes it");
        }
        let mut map = |name: &str| ebpf.take_map(name).expect("the object has the map");
        let mut kernel = Self {
            config: map("CONFIG").try_into().unwrap(),
            ports: map("PORTS").try_into().unwrap(),
            policies: map("POLICIES").try_into().unwrap(),
            servers: map("SERVERS").try_into().unwrap(),
            stats: map("STATS").try_into().unwrap(),
            viewer: map("VIEWER").try_into().unwrap(),
            view: map("VIEW").try_into().unwrap(),
            handshakes: Table::new(map("HANDSHAKES")),
            sessions: Table::new(map("SESSIONS")),
            expectations: Table::new(map("EXPECTATIONS")),
            flows: Table::new(map("FLOWS")),
            ranges: Table::new(map("RANGES")),
            clients: Table::new(map("CLIENTS")),
            half_open: Table::new(map("HALF_OPEN")),
            used: Table::new(map("USED")),
            closed: Table::new(map("CLOSED")),
            versions: map("VERSIONS").try_into().unwrap(),
            counts: map("COUNTS").try_into().unwrap(),
            closed_until: map("CLOSED_UNTIL").try_into().unwrap(),
            ebpf,
            prefixes: Vec::new(),
            zero: Counters::default(),
        };
        kernel.zero = kernel.totals();
        kernel
    }

    /// Brings a policy for these servers into force, and empties all maps.
    ///
    /// # Panics
    ///
    /// If a map refuses it.
    pub fn apply(&mut self, policy: &ServerPolicy, servers: &[(IpAddr, u8)]) {
        for prefix in self.prefixes.drain(..) {
            self.servers.remove(&prefix).expect("it was put there");
        }
        for (address, length) in servers {
            let before = if address.is_ipv4() { 32 + 96 } else { 32 };
            let key = ServerKey { generation: GENERATION, address: Address::from(*address) };
            let key = Key::new(before + u32::from(*length), Value(key));
            self.servers.insert(&key, 0, 0).unwrap();
            self.prefixes.push(key);
        }
        self.ports.set(GENERATION & 1, Value(classes(policy)), 0).unwrap();
        self.policies.set((GENERATION & 1) * MAX_POLICIES, Value(*policy), 0).unwrap();
        self.set_options(if policy.has(flag::MONITOR) { 0 } else { option::ENFORCES });
        self.empty();
    }

    /// Sets bits of [`ftp_common::policy::option`].
    pub fn set_options(&mut self, options: u32) {
        self.config.set(0, Value(Config { generation: GENERATION, options, seed: SEED }), 0).unwrap();
    }

    /// Somebody views until then, nanoseconds of `CLOCK_MONOTONIC`.
    pub fn view_until(&mut self, time: u64) {
        self.viewer.set(0, time, 0).unwrap();
    }

    /// What was shown to who views, since this was last asked.
    ///
    /// # Panics
    ///
    /// If it is no event.
    pub fn viewed(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(item) = self.view.next() {
            assert_eq!(item.len(), size_of::<Event>());
            // SAFETY: there are enough bytes, and any bytes make an `Event`: it consists of integers.
            events.push(unsafe { item.as_ptr().cast::<Event>().read_unaligned() });
        }
        events
    }

    /// Marks a port as guarded beside what `policy` says, as the passive range of another server would.
    pub fn mark_passive(&mut self, policy: &ServerPolicy, port: u16) {
        let mut classes = classes(policy);
        classes.mark(port, class::PASSIVE);
        self.ports.set(GENERATION & 1, Value(classes), 0).unwrap();
    }

    /// Empties all maps of connections and begins counting anew.
    pub fn empty(&mut self) {
        self.handshakes.empty();
        self.sessions.empty();
        self.expectations.empty();
        self.ranges.empty();
        self.flows.empty();
        self.clients.empty();
        self.used.empty();
        for key in self.closed.all().into_keys() {
            self.set_closed_until(&key, 0);
        }
        self.closed.empty();
        for slot in self.half_open.all().into_keys().map(|id| (id >> 32) as u32) {
            self.versions.set(slot, 0, 0).unwrap();
            self.counts.set(slot / WAYS, 0, 0).unwrap();
        }
        self.half_open.empty();
        self.zero = self.totals();
    }

    /// What the place of a connection says: see [`ftp_common::closed::until`].
    ///
    /// # Panics
    ///
    /// If the map can't be read.
    #[must_use]
    pub fn closed_until(&self, key: &ConnectionKey) -> u32 {
        self.closed_until.get(&closed::place(hash_of(key, SEED)), 0).unwrap()
    }

    /// Sets that.
    ///
    /// # Panics
    ///
    /// If the map can't be written.
    pub fn set_closed_until(&mut self, key: &ConnectionKey, until: u32) {
        self.closed_until.set(closed::place(hash_of(key, SEED)), until, 0).unwrap();
    }

    /// Runs the program of a hook on a frame.
    ///
    /// # Panics
    ///
    /// If the kernel can't run it, or it gives a verdict of another kind.
    #[must_use]
    pub fn run(&self, hook: Hook, frame: &[u8]) -> Verdict {
        self.run_marked(hook, frame, 0).0
    }

    /// As [`Self::run`], on a packet with that mark; and the mark that it leaves with.
    ///
    /// # Panics
    ///
    /// As [`Self::run`].
    #[must_use]
    pub fn run_marked(&self, hook: Hook, frame: &[u8], mark: u32) -> (Verdict, u32) {
        let came_in_by = match hook {
            Hook::Ingress => 0,
            Hook::Egress { came_in_by } => came_in_by,
        };
        let mut context = [0; size_of::<Context>()];
        // The whole of what the kernel has must fit.
        let mut left = [0; 256];
        for (at, value) in [(offset_of!(Context, ingress_ifindex), came_in_by), (offset_of!(Context, mark), mark)] {
            context[at..at + 4].copy_from_slice(&value.to_ne_bytes());
        }
        let program = self.program(hook);
        let options = TestRunOptions {
            data_in: Some(frame),
            ctx_in: Some(&context),
            ctx_out: Some(&mut left),
            ..TestRunOptions::default()
        };
        let verdict = match program.test_run(options).expect("the kernel runs it").return_value.cast_signed() {
            -1 => Verdict::Pass,
            2 => Verdict::Drop,
            other => panic!("the program answered {other}"),
        };
        let at = offset_of!(Context, mark);
        (verdict, u32::from_ne_bytes(left[at..at + 4].try_into().expect("four bytes")))
    }

    /// The program of a hook.
    ///
    /// # Panics
    ///
    /// Never: it was loaded.
    #[must_use]
    pub fn program(&self, hook: Hook) -> &SchedClassifier {
        let name = if hook == Hook::Ingress { INGRESS } else { EGRESS };
        self.ebpf.program(name).unwrap().try_into().unwrap()
    }

    /// What was counted since the maps were last emptied.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.totals().since(&self.zero)
    }

    fn totals(&self) -> Counters {
        let mut totals = Counters::default();
        for counter in Counter::ALL {
            let values = self.stats.get(&counter.index(), 0).unwrap();
            totals.add(*counter, values.iter().sum());
        }
        totals
    }

    /// Lets time pass: all times in the maps lie that much further in the past.
    pub fn age(&mut self, by: Duration) {
        let by = u64::try_from(by.as_nanos()).expect("less than centuries");
        self.sessions.change(|session| age_session(session, by));
        self.expectations.change(|expectation| age_expectation(expectation, by));
        self.flows.change(|flow| flow.since = older(flow.since, by));
        self.half_open.change(|entry| age_half_open(entry, by));
        self.closed.change(|closed| {
            closed.from = older(closed.from, by);
            closed.last_until = older(closed.last_until, by);
            for handshake in &mut closed.handshakes {
                handshake.until = handshake.until.saturating_sub(u32::try_from(by / SECOND).expect("years"));
            }
        });
        self.clients.change(|slot| slot.full_since = older(slot.full_since, by));
    }
}

/// A time that lies `by` nanoseconds further in the past; 0, which stands for "never", stays.
#[must_use]
pub const fn older(time: u64, by: u64) -> u64 {
    if time == 0 { 0 } else { time.saturating_sub(by) }
}

/// Moves the times of a session into the past. Its generation, made from a time, is only a name.
pub const fn age_session(session: &mut Session, by: u64) {
    session.since = older(session.since, by);
    session.client.last_command_at = older(session.client.last_command_at, by);
    session.server.last_reply_at = older(session.server.last_reply_at, by);
    session.unfinished.leaked_at = older(session.unfinished.leaked_at, by);
}

/// Moves the times of a half-open flow into the past.
pub const fn age_half_open(entry: &mut HalfOpenFlow, by: u64) {
    entry.until = older(entry.until, by);
    entry.flow.since = older(entry.flow.since, by);
}

/// Moves the times of an expectation into the past.
pub fn age_expectation(expectation: &mut Expectation, by: u64) {
    expectation.expires = older(expectation.expires, by);
    for place in &mut expectation.half_open {
        place.since = older(place.since, by);
    }
}

/// The classes of all ports under a policy.
#[must_use]
pub fn classes(policy: &ServerPolicy) -> PortClasses {
    let mut classes = PortClasses::NONE;
    for port in policy.control_ports.iter().filter(|port| **port != 0) {
        classes.mark(*port, class::CONTROL);
    }
    if policy.passive_first != 0 {
        for port in policy.passive_first..=policy.passive_last {
            classes.mark(port, class::PASSIVE);
        }
    }
    if policy.active_port != 0 {
        classes.mark(policy.active_port, class::ACTIVE);
    }
    classes
}

/// The beginning of `struct __sk_buff` of the kernel's `linux/bpf.h`; what isn't set here must be 0.
#[repr(C)]
struct Context {
    before: [u32; 2],
    mark: u32,
    between: [u32; 6],
    ingress_ifindex: u32,
}
