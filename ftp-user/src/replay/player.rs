//! One packet after the other, from its link layer to what the program reports of it.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

use ftp_common::event::{Event, EventKind};
use ftp_common::flow::tcp::{ACK, RST, SYN};

use super::Read;
use super::engine::Engine;
use super::gaps::Gaps;
use super::link::Link;
use super::packet::{Found, Tcp, find};
use super::reader::Record;
use super::reorder::{Direction, Reorder};
use super::resegment::{self, CutOff};
use super::timeline::Timeline;
use crate::error::Failure;
use crate::policy::{MAX_NAMED, Policy};

/// Takes one packet after the other.
pub(super) struct Player {
    pub(super) policy: Policy,
    /// Of all rules.
    control_ports: BTreeSet<u16>,
    pub(super) engine: Engine,
    pub(super) read: Read,
    pub(super) timeline: Timeline,
    pub(super) gaps: Gaps,
    pub(super) reorder: Reorder,
    /// Those that were found by themselves.
    pub(super) servers: BTreeSet<IpAddr>,
    /// Whether an address is a server's, for those that occurred.
    known: HashMap<IpAddr, bool>,
    now: i64,
    frame: Vec<u8>,
    piece: Vec<u8>,
    events: Vec<Event>,
}

impl Player {
    pub(super) fn new(policy: Policy, engine: Engine) -> Self {
        Self {
            control_ports: policy.rules().flat_map(|rules| rules.control_ports.iter().copied()).collect(),
            policy,
            engine,
            read: Read::default(),
            timeline: Timeline::default(),
            gaps: Gaps::default(),
            reorder: Reorder::default(),
            servers: BTreeSet::new(),
            known: HashMap::new(),
            now: 0,
            frame: Vec::new(),
            piece: Vec::new(),
            events: Vec::new(),
        }
    }

    /// Takes a packet.
    ///
    /// # Errors
    ///
    /// The kernel's refusal.
    pub(super) fn record(&mut self, record: &Record<'_>) -> Result<(), Failure> {
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
            Found::Ip => self.run(resegment::headers_only(&frame)).map(drop),
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
            if let Some(missing) = self.gaps.see(segment) {
                self.timeline.push_gap(self.now, segment.ends(), missing);
            }
            self.pass_time(segment)?;
        }
        if segment.cut_off != 0 {
            *(if is_control { &mut self.read.text_cut } else { &mut self.read.payload_cut }) += 1;
        }
        if resegment::is_too_large(frame, segment) {
            self.read.too_large += 1;
        }
        let cut_off = if is_control { CutOff::Lost } else { CutOff::Filled };
        let mut piece = std::mem::take(&mut self.piece);
        let done = resegment::pieces(frame, segment, cut_off, &mut piece, |piece| self.present(piece, segment.ends()));
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
            self.defer(frame.to_vec(), direction);
            return Ok(());
        }
        while let Some((_, early)) = self.reorder.next(direction) {
            if !self.run(&early)? {
                self.defer(early, direction);
                break;
            }
        }
        Ok(())
    }

    fn defer(&mut self, frame: Vec<u8>, direction: Direction) {
        if let Found::Tcp(segment) = find(&frame, 0) {
            self.reorder.push(direction, (segment.seq, frame));
        }
    }

    /// Runs the program on a frame. False: it deferred it. What it denies is gone for good.
    fn run(&mut self, frame: &[u8]) -> Result<bool, Failure> {
        self.events.clear();
        let passes = self.engine.run(frame, &mut self.events)?;
        for event in &self.events {
            self.timeline.push(self.now, event);
        }
        Ok(passes || self.events.iter().any(|event| event.kind == EventKind::Denied.number()))
    }
}
