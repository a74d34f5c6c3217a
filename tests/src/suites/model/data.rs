//! Packets on a guarded port.

use ftp_common::address::Address;
use ftp_common::closed::{Closed, FIN_WAIT};
use ftp_common::counter::Counter;
use ftp_common::expectation::{Expectation, Used};
use ftp_common::flow::tcp::{FIN, RST};
use ftp_common::flow::{Flow, PROMISCUOUS, is_inner, is_worth_a_look, state};
use ftp_common::half_open::{ANSWERED, HalfOpenFlow, Handshake, LIFE, Syn};
use ftp_common::keys::{ConnectionKey, ExpectationKey, Mode};
use ftp_common::policy::flag;
use ftp_common::session::{Session, opaque};

use super::control::{FAST_OPEN, has_option};
use super::{Model, Packet};
use crate::subject::test_run::frame::Tcp;
use crate::subject::test_run::{Hook, Verdict};

/// The expectation that a connection would be by.
fn expected(key: &ConnectionKey, mode: Mode, any_client: bool) -> ExpectationKey {
    ExpectationKey {
        client: if any_client { Address::ANY } else { key.client },
        server: key.server,
        port: if mode == Mode::Passive { key.server_port } else { key.client_port },
        mode: mode.number(),
        zero: 0,
        scope: key.scope,
    }
}

fn is_of(expectation: &Expectation, flow: &Flow) -> bool {
    expectation.session_id == flow.session_id && expectation.serial == flow.serial
}

/// What a SYN is to one of the two modes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Judgement {
    Unguarded,
    /// `true`: by the session of the very client that the connection is of.
    Accepted(bool),
    Denied(Counter),
}

impl Model {
    pub(super) fn data(&mut self, hook: Hook, packet: &Packet) -> Verdict {
        if packet.opens() {
            return self.syn(hook, packet);
        }
        let (from, to) = (packet.tcp.source.port(), packet.tcp.destination.port());
        if self.is_guarded(to) && self.segment(hook, packet, true) == Verdict::Drop {
            return Verdict::Drop;
        }
        if self.is_guarded(from) { self.segment(hook, packet, false) } else { Verdict::Pass }
    }

    fn is_guarded(&self, port: u16) -> bool {
        self.policy.is_passive(port) || self.policy.active_port != 0 && port == self.policy.active_port
    }

    fn syn(&mut self, hook: Hook, packet: &Packet) -> Verdict {
        let ConnectionKey { server, server_port: port, .. } = packet.as_client();
        let is_active = self.policy.active_port != 0 && port == self.policy.active_port;
        if is_active && self.is_server(server) && !self.policy.is_passive(port) {
            return self.deny(Counter::DeniedActive);
        }
        let active = self.judge(hook, packet, Mode::Active);
        if active == Judgement::Accepted(true) {
            return Verdict::Pass;
        }
        for judgement in [self.judge(hook, packet, Mode::Passive), active] {
            if let Judgement::Denied(reason) = judgement {
                return self.deny(reason);
            }
        }
        Verdict::Pass
    }

    fn judge(&mut self, hook: Hook, packet: &Packet, mode: Mode) -> Judgement {
        let passive = mode == Mode::Passive;
        let key = if passive { packet.as_client() } else { packet.as_server() };
        let policy = self.policy;
        let guarded = if passive {
            policy.is_passive(key.server_port)
        } else {
            policy.active_port != 0 && policy.active_port == key.server_port
        };
        if !guarded || !self.is_server(key.server) {
            return Judgement::Unguarded;
        }
        if packet.is_mapped() {
            Judgement::Denied(Counter::DeniedMappedAddress)
        } else if !self.is_right_direction(hook, !passive) {
            Judgement::Denied(Counter::DeniedWrongDirection)
        } else {
            self.accept(packet, key, mode).map_or_else(Judgement::Denied, Judgement::Accepted)
        }
    }

    /// Whether the client of a data connection has an encrypted session with its server.
    fn is_encrypted(&self, data: &ConnectionKey) -> bool {
        let ends = |key: &ConnectionKey| (key.client, key.server, key.scope);
        let lives = |session: &Session| session.server.opaque == opaque::ENCRYPTED && session.server.fin == 0;
        self.sessions.iter().any(|(key, session)| ends(key) == ends(data) && lives(session))
    }

    /// Has a SYN make a half-open flow, with a slot of the expectation; or what is against it.
    fn accept(&mut self, packet: &Packet, key: ConnectionKey, mode: Mode) -> Result<bool, Counter> {
        let passive = mode == Mode::Passive;
        let own = expected(&key, mode, false);
        let anyone = expected(&key, mode, true);
        let any_client = !self.expectations.contains_key(&own) && passive && self.policy.has(flag::PASV_PROMISCUOUS);
        let expected = if any_client { anyone } else { own };
        let Some(mut expectation) = self.expectations.get(&expected).copied() else {
            let used = self.used.get(&expected).is_some_and(|used| self.is_alive(&used.session, used.session_id));
            return Err(match mode {
                Mode::Passive if used => Counter::DeniedUsed,
                _ if self.is_encrypted(&key) => Counter::DeniedEncrypted,
                Mode::Active => Counter::DeniedActive,
                Mode::Passive => Counter::DeniedPassive,
            });
        };
        if self.now > expectation.expires {
            self.expectations.remove(&expected);
            return Err(Counter::DeniedExpired);
        }
        let session = expectation.session;
        let owner = self.sessions.get(&session).filter(|owner| owner.session_id == expectation.session_id);
        let Some(owner) = owner else {
            self.expectations.remove(&expected);
            return Err(Counter::DeniedSessionGone);
        };
        let transfers = owner.client.transfers;
        if packet.tcp.length() != 0 || has_option(&packet.tcp.options, FAST_OPEN) {
            return Err(Counter::DeniedFastOpen);
        }
        let accepted = session.client == key.client;
        self.forget_expired();
        if let Some(entry) = self.half_open.get_mut(&key) {
            match entry.on_syn(packet.tcp.seq, expectation.session_id, expectation.serial) {
                Syn::Repeated => {
                    entry.until = self.now + LIFE;
                    return Ok(accepted);
                }
                Syn::Occupied => return Err(Counter::DeniedTupleInUse),
                Syn::Anew => {
                    self.half_open.remove(&key);
                }
            }
        }
        if self.closed.get(&key).is_some_and(|closed| !closed.has_room(self.now)) {
            return Err(Counter::DeniedTupleInUse);
        }
        if !expectation.may_begin(transfers) {
            return Err(Counter::DeniedUsed);
        }
        if !expectation.reserve_half_open(self.now) {
            return Err(Counter::DeniedHalfOpen);
        }
        let now = self.now;
        if !self.sessions.get_mut(&session).is_some_and(|owner| owner.unfinished.take(now)) {
            return Err(Counter::DeniedHalfOpenFull);
        }
        self.expectations.insert(expected, expectation);
        if let Some(flow) = self.flows.remove(&key) {
            self.note_closed(key, &flow, 0);
        }
        let flow = Flow {
            session_id: expectation.session_id,
            since: now,
            serial: expectation.serial,
            syn_seq: packet.tcp.seq,
            control_client_port: session.client_port,
            control_server_port: session.server_port,
            mode: mode.number(),
            marks: if any_client { PROMISCUOUS } else { 0 },
            ..Flow::default()
        };
        let entry = HalfOpenFlow { key, control_client: session.client, until: now + LIFE, flow };
        self.half_open.insert(key, entry);
        Ok(accepted)
    }

    fn forget_expired(&mut self) {
        let now = self.now;
        self.half_open.retain(|_, entry| now <= entry.until);
    }

    /// A segment that is no first SYN.
    fn segment(&mut self, hook: Hook, packet: &Packet, from_client: bool) -> Verdict {
        let key = if from_client { packet.as_client() } else { packet.as_server() };
        self.forget_expired();
        let mut promoted = false;
        if let Some(entry) = self.half_open.get(&key).copied() {
            match self.of_half_open(hook, packet, entry, from_client) {
                Ok(true) => promoted = true,
                Ok(false) => return Verdict::Pass,
                Err(reason) if self.is_server(key.server) => return self.deny(reason),
                Err(_) => return Verdict::Pass,
            }
        }
        let found = self.flows.get(&key).copied();
        let genuine = self.is_right_direction(hook, !from_client);
        if genuine
            && !found.is_some_and(|flow| flow.is_open())
            && self.begins_again(packet, key, from_client, found.is_some())
            && self.is_server(key.server)
        {
            return self.deny(Counter::DeniedHandshake);
        }
        let Some(mut flow) = found else { return Verdict::Pass };
        if !genuine {
            return Verdict::Pass;
        }
        let Tcp { seq, ack, flags, .. } = packet.tcp;
        if !from_client && (promoted || !is_inner(flags) || is_worth_a_look(seq, ack, packet.tcp.length())) {
            flow.account(&packet.segment());
        }
        if flow.is_ended_by(from_client, packet.tcp.flags) {
            self.flows.remove(&key);
            self.note_closed(key, &flow, 0);
            if let Some(closed) = self.closed.get_mut(&key) {
                match (packet.has(RST), from_client) {
                    (true, _) => closed.client_resets(),
                    (false, true) => closed.client_closes(&packet.segment()),
                    (false, false) => closed.await_last(&packet.segment(), self.now),
                }
            }
            self.ended(key, &flow);
            return Verdict::Pass;
        }
        if packet.has(FIN) {
            if !from_client {
                self.note_closed(key, &flow, self.now + FIN_WAIT);
                if let Some(closed) = self.closed.get_mut(&key) {
                    closed.await_last(&packet.segment(), self.now);
                }
            }
            flow.note_fin(from_client, &packet.segment());
        }
        self.flows.insert(key, flow);
        Verdict::Pass
    }

    /// An accepted connection has ended.
    fn ended(&mut self, key: ConnectionKey, flow: &Flow) {
        self.count(Counter::FlowsEnded);
        let owner = self.sessions.get_mut(&control_of(flow, key));
        if let Some(owner) = owner.filter(|owner| owner.session_id == flow.session_id) {
            owner.server.transfer = 0;
        }
    }

    /// Whether a segment of no open flow would begin again what the server has closed; `known`: it has not ended yet.
    fn begins_again(&mut self, packet: &Packet, key: ConnectionKey, from_client: bool, known: bool) -> bool {
        let Some(closed) = self.closed.get_mut(&key) else { return false };
        match (from_client, packet.has(RST)) {
            (true, true) => closed.client_resets(),
            (true, false) => return closed.denies(packet.tcp.seq, packet.tcp.ack, self.now),
            (false, false) if !known => closed.server_says(&packet.segment(), self.now),
            (false, _) => {}
        }
        false
    }

    /// The server has closed a flow that a client opened: nothing begins by its numbers any more.
    fn note_closed(&mut self, key: ConnectionKey, flow: &Flow, from: u64) {
        if Mode::from_number(flow.mode) == Mode::Passive {
            self.closed.entry(key).or_default().add(Closed::distance(flow), self.now, from);
        }
    }

    /// Whether the flow is established now; or why the segment is denied.
    fn of_half_open(
        &mut self,
        hook: Hook,
        packet: &Packet,
        mut entry: HalfOpenFlow,
        from_client: bool,
    ) -> Result<bool, Counter> {
        let key = entry.key;
        let from_opener = (entry.flow.mode == Mode::Passive.number()) == from_client;
        if !self.is_right_direction(hook, !from_client) {
            return if from_opener { Err(Counter::DeniedWrongDirection) } else { Ok(false) };
        }
        let tcp = &packet.tcp;
        let step = entry.on_segment(from_opener, tcp.flags, tcp.seq, tcp.ack, tcp.length());
        let unconfirmed = entry.flow.state == state::UNCONFIRMED;
        if unconfirmed && from_opener && step == Handshake::Same && !self.is_owned(&entry) {
            entry.flow.state = state::DENIED;
            self.denied(&mut entry);
            return Err(Counter::DeniedSessionGone);
        }
        if step == Handshake::Unfit {
            self.denied(&mut entry);
            let denied = entry.flow.state == state::DENIED;
            return Err(if denied { Counter::DeniedUsed } else { Counter::DeniedHandshake });
        }
        if unconfirmed && packet.has(FIN) && from_opener {
            entry.flow.note_fin(from_client, &packet.segment());
        }
        let mut result = Ok(false);
        match step {
            Handshake::Answered => {
                if !entry.was_answered() {
                    entry.flow.syn_ack_seq = tcp.seq;
                    entry.flow.marks |= ANSWERED;
                }
                if entry.flow.state == state::SYN_SENT {
                    entry.flow.state = state::SYN_RECV;
                }
                entry.until = self.now + LIFE;
            }
            Handshake::AnsweredAnew => result = Err(Counter::DeniedHandshake),
            Handshake::Acknowledged => {
                if !self.establish(&mut entry) {
                    result = Err(Counter::DeniedUsed);
                }
            }
            Handshake::Confirmed => {
                if entry.flow.state != state::SYN_RECV || self.establish(&mut entry) {
                    entry.flow.state = state::ESTABLISHED;
                    self.half_open.remove(&key);
                    self.flows.insert(key, entry.flow);
                    return Ok(true);
                }
            }
            Handshake::Refused => {
                self.release(&entry);
                entry.flow.state = state::REFUSED;
                self.count(Counter::FlowsRefused);
            }
            Handshake::Reset => {
                entry.flow.state = state::DENIED;
                self.ended(key, &entry.flow);
            }
            Handshake::Gone => {
                self.note_closed(key, &entry.flow, 0);
                self.ended(key, &entry.flow);
                self.half_open.remove(&key);
                return Ok(false);
            }
            Handshake::Ignored => {
                self.release(&entry);
                self.half_open.remove(&key);
                return Ok(false);
            }
            Handshake::Same | Handshake::Unfit => {}
        }
        self.half_open.insert(key, entry);
        result
    }

    /// A segment of the opener was denied; a server may go on for long.
    fn denied(&mut self, entry: &mut HalfOpenFlow) {
        if entry.flow.mode == Mode::Active.number() {
            entry.until = self.now + LIFE;
        }
        self.half_open.insert(entry.key, *entry);
    }

    fn is_owned(&self, entry: &HalfOpenFlow) -> bool {
        let control = ConnectionKey { client: entry.control_client, ..control_of(&entry.flow, entry.key) };
        self.is_alive(&control, entry.flow.session_id) && self.sessions[&control].server.fin == 0
    }

    fn is_alive(&self, control: &ConnectionKey, session_id: u64) -> bool {
        self.sessions.get(control).is_some_and(|owner| owner.session_id == session_id)
    }

    fn release(&mut self, entry: &HalfOpenFlow) {
        if let Some(expectation) = self.expectations.get_mut(&by(entry))
            && is_of(expectation, &entry.flow)
        {
            expectation.release_half_open(entry.flow.since);
        }
    }

    /// A handshake is complete: whether this connection is the one that the expectation is for.
    fn establish(&mut self, entry: &mut HalfOpenFlow) -> bool {
        let won = self.use_up(&by(entry), &entry.flow);
        entry.flow.state = if won { state::UNCONFIRMED } else { state::DENIED };
        won
    }

    fn use_up(&mut self, by: &ExpectationKey, flow: &Flow) -> bool {
        let Some(expectation) = self.expectations.get_mut(by).filter(|expectation| is_of(expectation, flow)) else {
            return false;
        };
        let owner = self.sessions.get_mut(&expectation.session);
        let Some(owner) = owner.filter(|owner| owner.session_id == flow.session_id) else { return false };
        if !expectation.may_begin(owner.client.transfers) {
            return false;
        }
        owner.unfinished.give_back();
        if Mode::from_number(flow.mode) == Mode::Passive {
            let used = Used { session: expectation.session, session_id: expectation.session_id };
            self.used.insert(*by, used);
            self.expectations.remove(by);
        } else {
            expectation.uses = expectation.uses.wrapping_add(1);
            expectation.release_half_open(flow.since);
        }
        self.count(Counter::FlowsEstablished);
        true
    }
}

fn control_of(flow: &Flow, key: ConnectionKey) -> ConnectionKey {
    ConnectionKey { client_port: flow.control_client_port, server_port: flow.control_server_port, ..key }
}

fn by(entry: &HalfOpenFlow) -> ExpectationKey {
    expected(&entry.key, Mode::from_number(entry.flow.mode), entry.flow.marks & PROMISCUOUS != 0)
}
