//! Invariants: what must hold whatever the packets are. They look at what passes and what comes of it, and at nothing
//! of how.

use std::collections::{HashMap, HashSet};

use ftp_common::flow::tcp::SYN;
use ftp_common::keys::{ConnectionKey, ExpectationKey, Mode};
use ftp_common::policy::flag;

use super::script::{ACTIVE, CONTROL, Setting};
use super::{Model, Packet};
use crate::PASSIVE_RANGE;
use crate::subject::test_run::{Hook, Verdict};

/// One direction's bytes by their sequence numbers: where others came in the place of some, all of them.
type Seen = HashMap<u32, Vec<u8>>;

/// Keeps all that passes.
#[derive(Debug, Default)]
pub struct Judge {
    /// What was ever seen, by connection and whether the server sent it.
    seen: HashMap<(ConnectionKey, bool), Seen>,
}

impl Judge {
    /// Judges one packet, given what was known before and after it.
    ///
    /// # Errors
    ///
    /// What doesn't hold.
    pub fn judge(
        &mut self,
        setting: &Setting,
        hook: Hook,
        packet: &Packet,
        verdict: Verdict,
        before: &Model,
        after: &Model,
    ) -> Result<(), String> {
        let tcp = &packet.tcp;
        let dropped = verdict == Verdict::Drop;
        let ports = [tcp.source.port(), tcp.destination.port()];
        let of_control = ports.contains(&CONTROL);
        let raised = after.counters.since(&before.counters);
        let meaning = |port: &u16| [CONTROL, ACTIVE].contains(port) || PASSIVE_RANGE.contains(port);
        if dropped && !ports.iter().any(meaning) {
            return Err("a packet of ports without a meaning was dropped".into());
        }
        if dropped && setting.policy.has(flag::MONITOR) {
            return Err("monitor mode dropped a packet".into());
        }
        if packet.is_hidden() {
            return if dropped { Ok(()) } else { Err("a hidden packet passed".into()) };
        }
        if dropped && !packet.opens() && !of_control && !is_restricted(packet, before) {
            return Err("a packet was dropped that begins nothing".into());
        }
        if dropped && raised.raised().is_empty() {
            return Err("a packet was dropped and nothing counted".into());
        }
        if !dropped && packet.opens() && !setting.policy.has(flag::MONITOR) {
            begins_as_expected(setting, packet, before)?;
        }
        if !dropped {
            self.keep(packet);
        }
        let known: HashSet<_> = before.expectations.iter().map(|(key, of)| (*key, of.serial, of.session_id)).collect();
        for (key, of) in &after.expectations {
            if !known.contains(&(*key, of.serial, of.session_id)) {
                self.opened_by_the_server(setting, hook, packet, key, &of.session)?;
            }
        }
        Ok(())
    }

    fn keep(&mut self, packet: &Packet) {
        let tcp = &packet.tcp;
        let server = tcp.source.port() == CONTROL;
        let key = if server { packet.as_server() } else { packet.as_client() };
        if tcp.flags & SYN != 0 {
            return;
        }
        let seen = self.seen.entry((key, server)).or_default();
        for (offset, byte) in (0u32..).zip(&tcp.payload) {
            seen.entry(tcp.seq.wrapping_add(offset)).or_default().push(*byte);
        }
    }

    /// Whether a text was ever sent, in whatever segments.
    fn sent(&self, session: ConnectionKey, server: bool, text: &str) -> bool {
        let seen = self.seen.get(&(session, server));
        seen.is_some_and(|seen| seen.keys().any(|position| begins_with(seen, *position, text)))
    }

    /// A new expectation: the server's very packet must have ended a line, on the server's side, and
    /// the right end must have named that port.
    fn opened_by_the_server(
        &self,
        setting: &Setting,
        hook: Hook,
        packet: &Packet,
        key: &ExpectationKey,
        session: &ConnectionKey,
    ) -> Result<(), String> {
        let by_server = packet.as_server() == *session && packet.tcp.source.port() == CONTROL;
        if !by_server || !packet.tcp.payload.contains(&b'\n') {
            return Err(format!("{key:?} is expected, and it wasn't the server who ended a line"));
        }
        let egress = hook != Hook::Ingress;
        let side = setting.setup.side;
        if side.number() != 3 && (side.number() == 1) != egress {
            return Err(format!("{key:?} is expected by a packet from the wrong direction"));
        }
        let passive = Mode::from_number(key.mode) == Mode::Passive;
        let [high, low] = key.port.to_be_bytes();
        // A number may have zeros in front; before the first they are another byte's affair.
        let [one, two, three] = [1, 2, 3].map(|digits| format!("{high},{low:0digits$}"));
        let port = [one, two, three, key.port.to_string()];
        let verbs: &[&str] = if passive { &["PASV", "EPSV", "P@SW"] } else { &["PORT", "EPRT"] };
        let named = port.iter().any(|port| self.sent(*session, passive, port));
        if !named || !verbs.iter().any(|verb| self.sent(*session, false, verb)) {
            return Err(format!("{key:?} is expected, and nobody said so"));
        }
        if passive && !setting.policy.is_passive(key.port) || key.port < 1024 {
            return Err(format!("{key:?} is expected, which no policy allows"));
        }
        Ok(())
    }
}

fn begins_with(seen: &Seen, position: u32, text: &str) -> bool {
    (0u32..).zip(text.bytes()).all(|(offset, wanted)| {
        let bytes = seen.get(&position.wrapping_add(offset));
        bytes.is_some_and(|bytes| bytes.iter().any(|byte| byte.eq_ignore_ascii_case(&wanted)))
    })
}

/// Whether the handshake of a packet's connection was not over, or the server had closed.
fn is_restricted(packet: &Packet, before: &Model) -> bool {
    let half_open = [packet.as_client(), packet.as_server()].iter().any(|key| before.half_open.contains_key(key));
    half_open || before.closed.contains_key(&packet.as_client())
}

/// A beginning that passed to or from a guarded port was expected, repeated or not.
fn begins_as_expected(setting: &Setting, packet: &Packet, before: &Model) -> Result<(), String> {
    let (source, destination) = (packet.tcp.source, packet.tcp.destination);
    let passive = destination.ip() == setting.server && setting.policy.is_passive(destination.port());
    let active = source.ip() == setting.server && source.port() == setting.policy.active_port;
    let to_control = destination.ip() == setting.server && destination.port() == CONTROL;
    let is_expected = |key: &ConnectionKey, mode: Mode, own: bool| {
        let port = if mode == Mode::Passive { key.server_port } else { key.client_port };
        before.expectations.iter().any(|(expected, of)| {
            let any = !own && setting.policy.has(flag::PASV_PROMISCUOUS) && mode == Mode::Passive;
            let client = expected.client == key.client || any;
            let owner = !own || of.session.client == key.client;
            client && owner && expected.server == key.server && expected.port == port && expected.mode == mode.number()
        })
    };
    // What a client's own session expects may go to a guarded port of its own.
    if to_control || active && is_expected(&packet.as_server(), Mode::Active, true) {
        return Ok(());
    }
    for (_, key, mode) in [(passive, packet.as_client(), Mode::Passive), (active, packet.as_server(), Mode::Active)]
        .into_iter()
        .filter(|(is, ..)| *is)
    {
        if !is_expected(&key, mode, false) {
            return Err(format!("{key:?} began unexpected"));
        }
    }
    Ok(())
}
