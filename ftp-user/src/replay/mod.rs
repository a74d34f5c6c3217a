//! `ftptrack replay`: a capture through the very kernel program, without touching an interface.
//!
//! ```text
//! reader.rs   pcap, pcapng, gzip ─▶ link.rs  any link layer becomes ethernet ─▶ packet.rs  where is TCP, what was cut off
//!    └─ cut.rs  what is too large becomes segments ─▶ engine.rs  BPF_PROG_TEST_RUN ─▶ events
//!          ├─ time.rs   the capture's time passes in the program's maps
//!          ├─ held.rs   what the program holds back comes again, as TCP would repeat it
//!          ├─ lacks.rs  what is not in the capture
//!          └─ story.rs  what was told, in the capture's time ─▶ text.rs, json.rs
//! ```

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use ftp_common::event::{Event, EventKind};
use ftp_common::flow::tcp::{ACK, RST, SYN};
use ipnet::IpNet;

use crate::config::Flags;
use crate::failure::Failure;
use crate::policy::in_force::InForce;
use crate::policy::{FIRST_PASSIVE, Policy, PortRange};
use crate::rows::Stats;
use crate::servers::MAX_NAMED;

pub mod cut;
mod engine;
mod held;
mod json;
pub mod lacks;
pub mod link;
pub mod packet;
pub mod reader;
pub mod story;
mod text;
mod time;

pub use json::ReportRow;
pub use text::text;

use cut::CutOff;
use engine::Engine;
use held::{Direction, Held};
use lacks::{Lacks, Sum};
use link::Link;
use packet::{Found, Tcp, find};
use reader::{Capture, Damage, Record};
use story::Story;

/// What is to be replayed, and by which policy.
#[derive(Clone, Debug)]
pub struct Asked {
    file: PathBuf,
    policy: Policy,
    sizes: crate::load::Sizes,
    /// Nobody has said what the passive range is.
    range_is_assumed: bool,
}

impl Asked {
    /// What options ask for. Rules that name no server hold for whatever host answers on a control port. Where
    /// neither they nor a configuration file tell a passive range, it is all from 1024 up.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with them.
    pub fn resolve(file: &Path, flags: &Flags) -> Result<Self, Failure> {
        let configuration = flags.resolve()?;
        let mut policy = configuration.policy;
        let range_is_assumed = flags.passive_range.is_none() && !flags.no_passive && flags.file().is_none();
        if range_is_assumed {
            let all = PortRange { first: FIRST_PASSIVE, last: u16::MAX };
            policy.rules_mut().for_each(|rules| rules.passive_range = Some(all));
        }
        Ok(Self { file: file.to_owned(), policy, sizes: configuration.sizes, range_is_assumed })
    }
}

/// What a replay has shown.
#[derive(Debug)]
pub struct Report {
    /// The capture.
    pub file: PathBuf,
    /// `pcap` or `pcapng`, and whether it is compressed.
    pub format: &'static str,
    /// The policy, and the servers that were found by themselves.
    pub policy: InForce,
    /// Nobody has said what the passive range is.
    pub range_is_assumed: bool,
    /// What was read.
    pub read: Read,
    /// What happened.
    pub story: Story,
    /// Bytes that are not in the capture, by sender and receiver.
    pub missing: BTreeMap<[SocketAddr; 2], Sum>,
    /// Early segments that still wait for what is not in the capture.
    pub waiting: usize,
    /// What was counted.
    pub stats: Stats,
    /// Why it was not read to its end.
    pub damage: Option<Damage>,
}

/// Packets by what became of them.
#[derive(Clone, Debug, Default)]
pub struct Read {
    /// All.
    pub packets: u64,
    /// The first packet's time and the last one's, nanoseconds since 1970.
    pub times: Option<(i64, i64)>,
    /// Packets without a time, which are taken to be of the one before.
    pub untimed: u64,
    /// Link layers that were met.
    pub links: BTreeSet<Link>,
    /// Packets of link layers that can't be read, by LINKTYPE_ number.
    pub other_links: BTreeMap<i32, u64>,
    /// Packets that are no IP.
    pub not_ip: u64,
    /// Packets that the snap length has cut in their headers: nobody can judge them.
    pub headers_cut: u64,
    /// Segments of control connections that the snap length has cut in their text.
    pub text_cut: u64,
    /// Other segments that it has cut in their payload: zeros stand for that.
    pub payload_cut: u64,
    /// Packets that were too large for the kernel's test runs, and were cut into segments.
    pub too_large: u64,
    /// Servers beyond those that the policy has room for.
    pub servers_over_limit: u64,
}

impl Report {
    /// What the policy can't guard, and what was assumed.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let assumed = self.range_is_assumed.then(|| {
            "no passive range is given: all ports from 1024 up are taken for it, as --passive-range 1024-65535 says"
                .to_owned()
        });
        assumed.into_iter().chain(self.policy.policy.notes()).collect()
    }
}

/// Replays a capture.
///
/// # Errors
///
/// It can't be opened or is no capture, nothing in it can be read, or the kernel refuses.
pub fn replay(asked: Asked) -> Result<Report, Failure> {
    let Asked { file, policy, sizes, range_is_assumed } = asked;
    let capture = Capture::open(&file)?;
    let format = capture.format;
    let engine = Engine::load(&policy, sizes)?;
    let mut player = Player::new(policy, engine);
    let damage = capture.read(|record| player.record(&record))?;
    let stats = player.engine.stats()?;
    let Player { policy, read, story, lacks, held, servers, .. } = player;
    if let Some(number) = read.other_links.keys().next().filter(|_| read.links.is_empty()) {
        let wrong = format!("its link layer, LINKTYPE_ {number}, can't be read");
        return Err(Failure::failed(file.display(), wrong, "capture on an ethernet, IP or loopback interface"));
    }
    let own = servers.into_iter().map(IpNet::from).collect();
    Ok(Report {
        file,
        format,
        policy: InForce { generation: 1, policy, own },
        range_is_assumed,
        read,
        story,
        missing: lacks.missing,
        waiting: held.count(),
        stats,
        damage,
    })
}

/// Takes one packet after the other.
struct Player {
    policy: Policy,
    /// Of all rules.
    control_ports: BTreeSet<u16>,
    engine: Engine,
    read: Read,
    story: Story,
    lacks: Lacks,
    held: Held,
    /// Those that were found by themselves.
    servers: BTreeSet<IpAddr>,
    /// Whether an address is a server's, for those that were met.
    known: HashMap<IpAddr, bool>,
    now: i64,
    frame: Vec<u8>,
    piece: Vec<u8>,
    told: Vec<Event>,
}

impl Player {
    fn new(policy: Policy, engine: Engine) -> Self {
        Self {
            control_ports: policy.rules().flat_map(|rules| rules.control_ports.iter().copied()).collect(),
            policy,
            engine,
            read: Read::default(),
            story: Story::default(),
            lacks: Lacks::default(),
            held: Held::default(),
            servers: BTreeSet::new(),
            known: HashMap::new(),
            now: 0,
            frame: Vec::new(),
            piece: Vec::new(),
            told: Vec::new(),
        }
    }

    fn record(&mut self, record: &Record<'_>) -> Result<(), Failure> {
        self.read.packets += 1;
        match record.time {
            Some(time) => {
                self.now = time;
                let (first, _) = *self.read.times.get_or_insert((time, time));
                self.read.times = Some((first, time));
            }
            None => self.read.untimed += 1,
        }
        let Some(link) = Link::of(record.link) else {
            *self.read.other_links.entry(record.link).or_default() += 1;
            return Ok(());
        };
        self.read.links.insert(link);
        let mut frame = std::mem::take(&mut self.frame);
        let found = if link.to_ethernet(record.data, &mut frame) {
            find(&frame, record.cut_off as usize)
        } else {
            Found::NotIp
        };
        let done = match found {
            Found::NotIp => {
                self.read.not_ip += 1;
                Ok(())
            }
            Found::HeadersCut => {
                self.read.headers_cut += 1;
                Ok(())
            }
            Found::Ip => self.run(cut::headers_only(&frame)).map(drop),
            Found::Tcp(segment) => self.segment(&frame, &segment),
        };
        self.frame = frame;
        done
    }

    fn segment(&mut self, frame: &[u8], segment: &Tcp) -> Result<(), Failure> {
        self.learn(segment)?;
        let ports = segment.ends().map(|end| end.port());
        let is_control = ports.iter().any(|port| self.control_ports.contains(port));
        if segment.ends().iter().any(|end| self.is_server(end.ip())) {
            if let Some(missing) = self.lacks.see(segment) {
                self.story.miss(self.now, segment.ends(), missing);
            }
            self.pass_time(segment)?;
        }
        if segment.cut_off != 0 {
            *(if is_control { &mut self.read.text_cut } else { &mut self.read.payload_cut }) += 1;
        }
        if frame.len() > cut::LIMIT {
            self.read.too_large += 1;
        }
        let cut_off = if is_control { CutOff::Lost } else { CutOff::Filled };
        let mut piece = std::mem::take(&mut self.piece);
        let done = cut::pieces(frame, segment, cut_off, &mut piece, |piece| self.present(piece, segment.ends()));
        self.piece = piece;
        done
    }

    /// A host that answers on a control port is a server, where the policy leaves it open which are.
    fn learn(&mut self, segment: &Tcp) -> Result<(), Failure> {
        let Some(own) = &self.policy.own else { return Ok(()) };
        let (source, destination) = (segment.source, segment.destination);
        let answers = segment.has(ACK) && !segment.has(RST) && (segment.has(SYN) || segment.length() != 0);
        if !answers
            || !own.control_ports.contains(&source.port())
            || own.control_ports.contains(&destination.port())
            || self.is_server(source.ip())
        {
            return Ok(());
        }
        if self.servers.len() >= MAX_NAMED {
            self.read.servers_over_limit += 1;
            return Ok(());
        }
        self.engine.learn(source.ip())?;
        self.servers.insert(source.ip());
        self.known.insert(source.ip(), true);
        Ok(())
    }

    /// The capture's time passes for what the program will ask about this segment.
    fn pass_time(&mut self, segment: &Tcp) -> Result<(), Failure> {
        let (source, destination) = (segment.source, segment.destination);
        if self.control_ports.contains(&destination.port()) {
            self.engine.times.control(source, destination, self.now)?;
        }
        if self.control_ports.contains(&source.port()) {
            self.engine.times.control(destination, source, self.now)?;
        }
        if segment.has(SYN) && !segment.has(ACK) {
            self.engine.times.data(segment, self.now)?;
        }
        Ok(())
    }

    fn is_server(&mut self, address: IpAddr) -> bool {
        let named = &self.policy.named;
        let is_named = || named.iter().flat_map(|named| &named.prefixes).any(|prefix| prefix.contains(&address));
        *self.known.entry(address).or_insert_with(is_named)
    }

    /// Runs a frame, and those again that have waited for it.
    fn present(&mut self, frame: &[u8], direction: Direction) -> Result<(), Failure> {
        if !self.run(frame)? {
            self.hold(frame.to_vec(), direction);
            return Ok(());
        }
        while let Some((_, early)) = self.held.take(direction) {
            if !self.run(&early)? {
                self.hold(early, direction);
                break;
            }
        }
        Ok(())
    }

    fn hold(&mut self, frame: Vec<u8>, direction: Direction) {
        if let Found::Tcp(segment) = find(&frame, 0) {
            self.held.keep(direction, (segment.seq, frame));
        }
    }

    /// Runs the program on a frame. False: it holds it back. What it denies is gone for good.
    fn run(&mut self, frame: &[u8]) -> Result<bool, Failure> {
        self.told.clear();
        let passes = self.engine.run(frame, &mut self.told)?;
        for event in &self.told {
            self.story.tell(self.now, event);
        }
        Ok(passes || self.told.iter().any(|event| event.kind == EventKind::Denied.number()))
    }
}
