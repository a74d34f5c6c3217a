//! The differential test: the compiled program and the model on the same packets.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use ftp_common::SECOND;
use ftp_common::expectation::{Expectation, HALF_OPEN};
use ftp_common::flow::Flow;
use ftp_common::half_open::HalfOpenFlow;
use ftp_common::keys::{ConnectionKey, ExpectationKey};
use ftp_common::session::{Handshake, Session};
use ftp_user::sys::clock;

use super::judge::Judge;
use super::script::{Script, Setting};
use super::world::{Network, World};
use super::{Model, Packet};
use crate::subject::test_run::counters::Counters;
use crate::subject::test_run::{Hook, Kernel, LOCAL, Setup, Verdict};

/// Real time that a script may take: less than the shortest time that means something.
pub(super) const PATIENCE: Duration = Duration::from_millis(300);

/// How much was run.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    /// Packets that the program was run on.
    pub packets: u64,
    /// What was counted.
    pub counters: Counters,
}

impl Coverage {
    /// Adds another run's.
    pub fn add(&mut self, other: &Self) {
        self.packets += other.packets;
        for (counter, times) in other.counters.raised() {
            self.counters.add(counter, times);
        }
    }
}

/// The programs for all settings.
pub struct Kernels([Kernel; 3]);

impl Kernels {
    /// Loads them.
    #[must_use]
    pub fn load() -> Self {
        Self([Setup::SERVERS_BEHIND, Setup::SERVERS_BEYOND, Setup::LOOPBACK].map(Kernel::load))
    }

    pub(super) fn of(&mut self, setup: Setup) -> &mut Kernel {
        match setup {
            Setup::SERVERS_BEHIND => &mut self.0[0],
            Setup::SERVERS_BEYOND => &mut self.0[1],
            _ => &mut self.0[2],
        }
    }
}

/// Runs a script on the model alone, and judges it.
///
/// # Errors
///
/// What doesn't hold, and the packets that led there.
pub fn alone(script: &Script) -> Result<Coverage, String> {
    Differential::new(Setting::of(script.head), None).run(script)
}

/// Runs a script on both; they must agree after every step.
///
/// # Errors
///
/// What doesn't hold, and the packets that led there.
pub fn both(script: &Script, kernels: &mut Kernels) -> Result<Coverage, String> {
    let setup = Setting::of(script.head).setup;
    loop {
        let begun = Instant::now();
        let result = Differential::new(Setting::of(script.head), Some(kernels.of(setup))).run(script);
        // A machine that stood still in between proves nothing.
        if begun.elapsed() < PATIENCE {
            return result;
        }
    }
}

/// The model, and the compiled program if it is there, on the same packets.
pub(super) struct Differential<'k> {
    setting: Setting,
    kernel: Option<&'k mut Kernel>,
    model: Model,
    judge: Judge,
    trace: Vec<(Hook, Packet, Verdict)>,
    wrong: Option<String>,
}

impl<'k> Differential<'k> {
    pub(super) fn new(setting: Setting, kernel: Option<&'k mut Kernel>) -> Self {
        let model = Model::new(setting.setup, setting.policy, vec![setting.server.into()]);
        let judge = Judge::default();
        Self { setting, kernel, model, judge, trace: Vec::new(), wrong: None }
    }

    /// Brings the policy into force.
    pub(super) fn begin(&mut self) {
        if let Some(kernel) = &mut self.kernel {
            let length = if self.setting.server.is_ipv4() { 32 } else { 128 };
            kernel.apply(&self.setting.policy, &[(self.setting.server, length)]);
        }
    }

    fn run(mut self, script: &Script) -> Result<Coverage, String> {
        self.begin();
        let mut world = World::new(&self.setting);
        world.begin(&mut self);
        self.compare()?;
        for step in &script.steps {
            world.step(&mut self, *step);
            self.compare()?;
        }
        Ok(self.coverage())
    }

    pub(super) fn coverage(&self) -> Coverage {
        Coverage { packets: self.trace.len() as u64, counters: self.model.counters.clone() }
    }

    fn pass(&mut self, hook: Hook, packet: &Packet) -> Verdict {
        let before = self.model.clone();
        let model = self.model.packet(hook, packet);
        let verdict = match &self.kernel {
            Some(kernel) => kernel.run(hook, &packet.frame()),
            None => model,
        };
        self.trace.push((hook, packet.clone(), verdict));
        if self.wrong.is_none() {
            self.wrong = if verdict == model {
                self.judge.judge(&self.setting, hook, packet, verdict, &before, &self.model).err()
            } else {
                Some(format!("the model says {model:?}"))
            };
            if let Some(wrong) = &mut self.wrong {
                let _ = write!(wrong, " (at packet {})", self.trace.len());
            }
        }
        verdict
    }

    /// Whether both agree on all that they know.
    pub(super) fn compare(&self) -> Result<(), String> {
        if let Some(wrong) = &self.wrong {
            return Err(self.report(wrong));
        }
        let Some(kernel) = &self.kernel else { return Ok(()) };
        let counted = kernel.counters();
        if counted != self.model.counters {
            let wrong = format!("counters: kernel {counted:?}, model {:?}", self.model.counters);
            return Err(self.report(&wrong));
        }
        let real = View::new(
            kernel.handshakes.all(),
            &kernel.sessions.all(),
            kernel.expectations.all(),
            kernel.flows.all(),
            kernel.half_open.all().into_values().map(|entry| (entry.key, entry)).collect(),
            clock::monotonic(),
        );
        let m = &self.model;
        let modelled = View::new(
            m.handshakes.clone(),
            &m.sessions,
            m.expectations.clone(),
            m.flows.clone(),
            m.half_open.clone(),
            m.now,
        );
        if real != modelled {
            return Err(self.report(&format!("maps:\nkernel {real:#?}\nmodel {modelled:#?}")));
        }
        Ok(())
    }

    /// The packets, and what is wrong.
    pub(super) fn report(&self, wrong: &str) -> String {
        let mut report = format!("{:#?}\n", self.setting);
        for (at, (hook, packet, verdict)) in self.trace.iter().enumerate() {
            let tcp = &packet.tcp;
            let _ = writeln!(
                report,
                "{:3} {hook:?} {} > {} seq {} ack {} flags {:#04x} vlans {:?} {}\"{}\" {verdict:?}",
                at + 1,
                tcp.source,
                tcp.destination,
                tcp.seq,
                tcp.ack,
                tcp.flags,
                packet.vlans,
                if packet.fragmented { "fragment " } else { "" },
                tcp.payload.escape_ascii()
            );
        }
        report + wrong
    }
}

impl Network for Differential<'_> {
    fn packet(&mut self, hook: Hook, packet: Packet) -> Verdict {
        if self.setting.setup.loopback && self.pass(LOCAL, &packet) == Verdict::Drop {
            return Verdict::Drop;
        }
        let hook = if self.setting.setup.loopback { Hook::Ingress } else { hook };
        self.pass(hook, &packet)
    }

    fn age(&mut self, by: Duration) {
        self.model.age(by);
        if let Some(kernel) = &mut self.kernel {
            kernel.age(by);
        }
    }

    fn evict(&mut self, session: &ConnectionKey) {
        if self.model.sessions.remove(session).is_some()
            && let Some(kernel) = &mut self.kernel
        {
            kernel.sessions.remove(session);
        }
    }

    fn expected(&self) -> Vec<ExpectationKey> {
        let mut keys: Vec<_> = self.model.expectations.keys().copied().collect();
        keys.sort_by_key(|key| (key.mode, key.port, key.client.to_bytes()));
        keys
    }
}

/// What must be the same in both: everything but times and the session ids made of them.
#[derive(Debug, PartialEq)]
struct View {
    handshakes: HashMap<ConnectionKey, Handshake>,
    sessions: HashMap<ConnectionKey, Session>,
    /// With each, whether its session lives; which half-open places are taken; the seconds it has left.
    expectations: HashMap<ExpectationKey, (Expectation, bool, [bool; HALF_OPEN], i64)>,
    flows: HashMap<ConnectionKey, (Flow, bool)>,
    /// Those that have not expired.
    half_open: HashMap<ConnectionKey, HalfOpenFlow>,
    /// Generations are names: none is given twice.
    session_ids: BTreeMap<u64, usize>,
}

impl View {
    fn new(
        handshakes: HashMap<ConnectionKey, Handshake>,
        sessions: &HashMap<ConnectionKey, Session>,
        expectations: HashMap<ExpectationKey, Expectation>,
        flows: HashMap<ConnectionKey, Flow>,
        half_open: HashMap<ConnectionKey, HalfOpenFlow>,
        now: u64,
    ) -> Self {
        let lives = |key: &ConnectionKey, session_id: u64| {
            sessions.get(key).is_some_and(|session| session.session_id == session_id)
        };
        let left = |expires: u64| {
            // Rounded to the nearest second: less than half of one passes in a script.
            let left = i128::from(expires) - i128::from(now) + i128::from(SECOND / 2);
            i64::try_from(left.div_euclid(i128::from(SECOND))).expect("years")
        };
        let expectation = |(key, of): (ExpectationKey, Expectation)| {
            let places = of.half_open.map(|place| place.since != 0);
            let (lives, left) = (lives(&of.session, of.session_id), left(of.expires));
            let of = Expectation { session_id: 0, expires: 0, half_open: Default::default(), ..of };
            (key, (of, lives, places, left))
        };
        let flow = |(key, of): (ConnectionKey, Flow)| {
            let control =
                ConnectionKey { client_port: of.control_client_port, server_port: of.control_server_port, ..key };
            let lives = lives(&control, of.session_id);
            (key, (Flow { session_id: 0, since: 0, ..of }, lives))
        };
        let mut seen: HashMap<u64, usize> = HashMap::new();
        for session in sessions.values() {
            *seen.entry(session.session_id).or_default() += 1;
        }
        Self {
            handshakes,
            sessions: sessions.iter().map(|(key, session)| (*key, without_times(session))).collect(),
            expectations: expectations.into_iter().map(expectation).collect(),
            flows: flows.into_iter().map(flow).collect(),
            half_open: half_open
                .into_iter()
                .filter(|(_, entry)| left(entry.until) > 0)
                .map(|(key, entry)| {
                    let flow = Flow { session_id: 0, since: 0, ..entry.flow };
                    (key, HalfOpenFlow { until: 0, flow, ..entry })
                })
                .collect(),
            session_ids: seen.into_iter().filter(|(_, times)| *times > 1).collect(),
        }
    }
}

fn without_times(session: &Session) -> Session {
    let mut session = *session;
    session.session_id = 0;
    session.since = 0;
    session.client.last_command_at = u64::from(session.client.last_command_at != 0);
    session.server.last_reply_at = u64::from(session.server.last_reply_at != 0);
    session.unfinished.leaked_at = 0;
    session
}
