//! Packets on a guarded port.

use ftp_common::address::Address;
use ftp_common::counter::Counter;
use ftp_common::expectation::Expectation;
use ftp_common::flow::tcp::FIN;
use ftp_common::flow::{Flow, PROMISCUOUS, Transition, state};
use ftp_common::keys::{ConnectionKey, ExpectationKey, Mode};
use ftp_common::policy::flag;

use super::{Model, Packet};
use crate::subject::test_run::{Hook, INTERFACE, Verdict};

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

impl Model {
    pub(super) fn data(&mut self, hook: Hook, packet: &Packet) -> Verdict {
        let (from, to) = (packet.tcp.source.port(), packet.tcp.destination.port());
        let policy = self.policy;
        let is_active = |port| policy.active_port != 0 && port == policy.active_port;
        let is_guarded = |port| policy.is_passive(port) || is_active(port);
        if is_guarded(to) && self.on_the_way_to_server(hook, packet) == Verdict::Drop {
            return Verdict::Drop;
        }
        if is_guarded(from) {
            return self.on_the_way_from_server(hook, packet);
        }
        Verdict::Pass
    }

    fn on_the_way_to_server(&mut self, hook: Hook, packet: &Packet) -> Verdict {
        let key = packet.as_client();
        if let Some(verdict) = self.of_a_flow(hook, packet, key, true) {
            return verdict;
        }
        if packet.opens() && self.is_server(key.server) && self.policy.is_passive(key.server_port) {
            return self.begin(hook, packet, key, Mode::Passive);
        }
        Verdict::Pass
    }

    fn on_the_way_from_server(&mut self, hook: Hook, packet: &Packet) -> Verdict {
        let key = packet.as_server();
        if let Some(verdict) = self.of_a_flow(hook, packet, key, false) {
            return verdict;
        }
        if packet.opens() && self.is_server(key.server) && self.policy.active_port == key.server_port {
            return self.begin(hook, packet, key, Mode::Active);
        }
        Verdict::Pass
    }

    fn begin(&mut self, hook: Hook, packet: &Packet, key: ConnectionKey, mode: Mode) -> Verdict {
        match self.claim(hook, packet, key, mode) {
            Ok(flow) => {
                self.flows.insert(key, flow);
                Verdict::Pass
            }
            Err(reason) => self.deny(reason),
        }
    }

    /// The flow that a SYN begins, having taken a place on the expectation; or what is against it.
    fn claim(&mut self, hook: Hook, packet: &Packet, key: ConnectionKey, mode: Mode) -> Result<Flow, Counter> {
        if packet.is_mapped() {
            return Err(Counter::DeniedMappedAddress);
        }
        let passive = mode == Mode::Passive;
        let own = expected(&key, mode, false);
        let anyone = expected(&key, mode, true);
        let any_client = !self.expectations.contains_key(&own) && passive && self.policy.has(flag::PASV_PROMISCUOUS);
        let expected = if any_client { anyone } else { own };
        let Some(mut expectation) = self.expectations.get(&expected).copied() else {
            return Err(if passive { Counter::DeniedPassive } else { Counter::DeniedActive });
        };
        if self.now > expectation.expires {
            self.expectations.remove(&expected);
            return Err(Counter::DeniedExpired);
        }
        let owner = self.sessions.get(&expectation.session).filter(|owner| owner.session_id == expectation.session_id);
        let Some(owner) = owner else {
            self.expectations.remove(&expected);
            return Err(Counter::DeniedSessionGone);
        };
        if !expectation.may_begin(owner.client.transfers) {
            return Err(Counter::DeniedUsed);
        }
        if !expectation.reserve_half_open(self.now) {
            return Err(Counter::DeniedHalfOpen);
        }
        self.expectations.insert(expected, expectation);
        Ok(Flow {
            session_id: expectation.session_id,
            since: self.now,
            last_seen: self.now,
            packets: if passive { [1, 0] } else { [0, 1] },
            serial: expectation.serial,
            syn_seq: packet.tcp.seq,
            interface: INTERFACE,
            control_client_port: expectation.session.client_port,
            control_server_port: expectation.session.server_port,
            mode: mode.number(),
            opened_at_egress: u8::from(hook != Hook::Ingress),
            marks: if any_client { PROMISCUOUS } else { 0 },
            ..Flow::default()
        })
    }

    /// The verdict on a packet of a connection that was let in; `None` if it isn't of one.
    fn of_a_flow(&mut self, hook: Hook, packet: &Packet, key: ConnectionKey, from_client: bool) -> Option<Verdict> {
        let mut flow = self.flows.get(&key).copied()?;
        let mode = Mode::from_number(flow.mode);
        let from_opener = (mode == Mode::Passive) == from_client;
        let transition = flow.transition(from_opener, from_client, packet.tcp.flags, packet.tcp.seq, packet.tcp.ack);
        let by = expected(&key, mode, flow.marks & PROMISCUOUS != 0);
        match transition {
            Transition::NewSyn => return None,
            Transition::Established => {
                let won = self.use_up(&by, &flow);
                flow.state = if won { state::ESTABLISHED } else { state::DENIED };
            }
            _ => {}
        }
        if flow.state == state::DENIED {
            self.flows.insert(key, flow);
            let has_policy = self.is_server(key.server);
            return Some(if has_policy { self.deny(Counter::DeniedUsed) } else { Verdict::Pass });
        }
        if flow.counts_here(INTERFACE, hook != Hook::Ingress, self.setup.loopback, from_opener) {
            let way = usize::from(!from_client);
            flow.packets[way] += 1;
            flow.bytes[way] += u64::from(packet.tcp.length());
            flow.last_seen = self.now;
        }
        match transition {
            Transition::SynAck => {
                flow.syn_ack_seq = packet.tcp.seq;
                flow.state = state::SYN_RECV;
            }
            Transition::Refused => {
                if let Some(expectation) = self.expectations.get_mut(&by)
                    && is_of(expectation, &flow)
                {
                    expectation.release_half_open(flow.since);
                }
                self.count(Counter::FlowsRefused);
            }
            Transition::Ended => {
                self.count(Counter::FlowsEnded);
                let control = ConnectionKey {
                    client_port: flow.control_client_port,
                    server_port: flow.control_server_port,
                    ..key
                };
                if let Some(owner) = self.sessions.get_mut(&control)
                    && owner.session_id == flow.session_id
                {
                    owner.server.transfer = 0;
                }
            }
            _ => {}
        }
        if matches!(transition, Transition::Refused | Transition::Ended) {
            self.flows.remove(&key);
        } else {
            if packet.has(FIN) && flow.state == state::ESTABLISHED {
                flow.marks |= if from_client { 1 } else { 2 };
            }
            self.flows.insert(key, flow);
        }
        Some(Verdict::Pass)
    }

    /// A handshake is complete: whether this connection is the one that the expectation is for.
    fn use_up(&mut self, by: &ExpectationKey, flow: &Flow) -> bool {
        let Some(expectation) = self.expectations.get_mut(by).filter(|expectation| is_of(expectation, flow)) else {
            return false;
        };
        if Mode::from_number(flow.mode) == Mode::Passive {
            self.expectations.remove(by);
        } else {
            let owner = self.sessions.get(&expectation.session);
            if !expectation.may_begin(owner.map_or(0, |owner| owner.client.transfers)) {
                return false;
            }
            expectation.uses = expectation.uses.wrapping_add(1);
            expectation.release_half_open(flow.since);
        }
        self.count(Counter::FlowsEstablished);
        true
    }
}
