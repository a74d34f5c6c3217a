//! Time: the kernel program asks the kernel for it, a capture has its own, and a replay takes no time at all. So what
//! has passed in the capture is taken off the times of a session, of its expectation and of its client's limit, in front
//! of each packet that the program compares them at: to it they lie as far in the past as they do in the capture.

use std::collections::HashMap;
use std::net::SocketAddr;

use aya::Ebpf;
use aya::maps::{HashMap as BpfHashMap, MapData};
use ftp_common::address::Address;
use ftp_common::expectation::Expectation;
use ftp_common::half_open::{HalfOpenFlow, Id};
use ftp_common::keys::{ClientKey, ConnectionKey, ExpectationKey, Mode};
use ftp_common::limit::{Slot, SlotKey};
use ftp_common::session::Session;

use super::maps::take;
use super::packet::Tcp;
use crate::ebpf::pod::AsPod;
use crate::error::{Failure, OrFail as _};

/// Less than that is let go by: a tenth of the shortest time that the program knows, which is half a second.
/// Nanoseconds.
const GRAIN: i64 = 50_000_000;
/// The interface that frames of BPF_PROG_TEST_RUN belong to: it tells link-local addresses apart.
const INTERFACE: u32 = 1;
/// The entry is there, and is to be changed (linux/bpf.h).
const BPF_EXIST: u64 = 2;
const HINT: &str = "report this with the output of uname -r";

/// The maps that hold times.
pub(super) struct Times {
    sessions: BpfHashMap<MapData, AsPod<ConnectionKey>, AsPod<Session>>,
    expectations: BpfHashMap<MapData, AsPod<ExpectationKey>, AsPod<Expectation>>,
    half_open: BpfHashMap<MapData, Id, AsPod<HalfOpenFlow>>,
    clients: BpfHashMap<MapData, AsPod<SlotKey>, AsPod<Slot>>,
    /// Connections that occurred, by control connection.
    tracked: HashMap<ConnectionKey, Tracked>,
    /// Until when the capture's time was taken off the limit of a client.
    limited: HashMap<ClientKey, i64>,
}

/// A control connection.
struct Tracked {
    /// Until when the capture's time was taken off.
    until: i64,
    /// Data connections that have taken a place on its expectation, each by a time that both remember.
    unfinished: Vec<ConnectionKey>,
}

impl Times {
    pub(super) fn of(ebpf: &mut Ebpf) -> Result<Self, Failure> {
        Ok(Self {
            sessions: take(ebpf, "SESSIONS")?,
            expectations: take(ebpf, "EXPECTATIONS")?,
            half_open: take(ebpf, "HALF_OPEN")?,
            clients: take(ebpf, "CLIENTS")?,
            tracked: HashMap::new(),
            limited: HashMap::new(),
        })
    }

    /// A segment of a control connection comes at this time, nanoseconds since 1970.
    ///
    /// # Errors
    ///
    /// The kernel's refusal.
    pub(super) fn control(&mut self, client: SocketAddr, server: SocketAddr, now: i64) -> Result<(), Failure> {
        let session = key(client, server);
        self.pass_for_client(ClientKey::from(&session), now)?;
        self.pass(session, now)
    }

    /// A segment that begins a data connection, if one is expected, comes at this time.
    ///
    /// # Errors
    ///
    /// The kernel's refusal.
    pub(super) fn data(&mut self, segment: &Tcp, now: i64) -> Result<(), Failure> {
        let (source, destination) = (segment.source, segment.destination);
        let passive = key(source, destination);
        let active = key(destination, source);
        for (ends, client, mode) in [
            (passive, passive.client, Mode::Passive),
            (passive, Address::ANY, Mode::Passive),
            (active, active.client, Mode::Active),
        ] {
            let expected = ExpectationKey { client, ..ExpectationKey::for_connection(&ends, mode) };
            if let Ok(AsPod(expectation)) = self.expectations.get(&AsPod(expected), 0) {
                self.pass(expectation.session, now)?;
                // Its SYN may come again.
                if let Some(tracked) = self.tracked.get_mut(&expectation.session)
                    && !tracked.unfinished.contains(&ends)
                {
                    tracked.unfinished.push(ends);
                }
            }
        }
        Ok(())
    }

    fn pass(&mut self, key: ConnectionKey, now: i64) -> Result<(), Failure> {
        let tracked = self.tracked.entry(key).or_insert(Tracked { until: now, unfinished: Vec::new() });
        let Some(by) = passed(&mut tracked.until, now) else { return Ok(()) };
        let Ok(AsPod(mut session)) = self.sessions.get(&AsPod(key), 0) else { return Ok(()) };
        session.client.last_command_at = older(session.client.last_command_at, by);
        session.server.last_reply_at = older(session.server.last_reply_at, by);
        session.unfinished.leaked_at = older(session.unfinished.leaked_at, by);
        self.sessions.insert(AsPod(key), AsPod(session), BPF_EXIST).or_fail("SESSIONS", HINT)?;
        let unfinished = std::mem::take(&mut tracked.unfinished);
        for flow in unfinished {
            self.pass_for_flow(key, flow, by)?;
        }
        self.pass_for_expectation(key, &session, by)
    }

    fn pass_for_expectation(&mut self, key: ConnectionKey, session: &Session, by: u64) -> Result<(), Failure> {
        let standing = session.server.standing;
        let expected = standing.key(&key);
        let Ok(AsPod(mut expectation)) = self.expectations.get(&AsPod(expected), 0) else { return Ok(()) };
        if standing.mode == 0 || expectation.session_id != session.session_id {
            return Ok(());
        }
        expectation.expires = older(expectation.expires, by);
        for place in &mut expectation.half_open {
            place.since = older(place.since, by);
        }
        self.expectations.insert(AsPod(expected), AsPod(expectation), BPF_EXIST).or_fail("EXPECTATIONS", HINT)
    }

    /// Until it is established or gone, it remembers its slot by its time, and stays until another.
    fn pass_for_flow(&mut self, session: ConnectionKey, key: ConnectionKey, by: u64) -> Result<(), Failure> {
        let mut entries = self.half_open.iter().filter_map(Result::ok);
        let Some((id, AsPod(mut entry))) = entries.find(|(_, entry)| entry.0.key == key) else {
            return Ok(());
        };
        entry.flow.since = older(entry.flow.since, by);
        entry.until = older(entry.until, by);
        if let Some(tracked) = self.tracked.get_mut(&session) {
            tracked.unfinished.push(key);
        }
        self.half_open.insert(id, AsPod(entry), BPF_EXIST).or_fail("HALF_OPEN", HINT)
    }

    fn pass_for_client(&mut self, key: ClientKey, now: i64) -> Result<(), Failure> {
        let Some(by) = passed(self.limited.entry(key).or_insert(now), now) else { return Ok(()) };
        let first = SlotKey { client: key, slot: 0 };
        let Ok(AsPod(mut slot)) = self.clients.get(&AsPod(first), 0) else { return Ok(()) };
        if slot.full_since == 0 {
            return Ok(());
        }
        slot.full_since = older(slot.full_since, by);
        self.clients.insert(AsPod(first), AsPod(slot), BPF_EXIST).or_fail("CLIENTS", HINT)
    }
}

/// What has passed of the capture's time, nanoseconds, if it is worth the trouble.
fn passed(until: &mut i64, now: i64) -> Option<u64> {
    let passed = now.saturating_sub(*until);
    // Packets of several interfaces may come a little out of order: then it is less than nothing.
    if passed < GRAIN {
        return None;
    }
    *until = now;
    u64::try_from(passed).ok()
}

/// 0 stands for never, and stays. What lies in front of the machine's start becomes that.
const fn older(time: u64, by: u64) -> u64 {
    time.saturating_sub(by)
}

fn key(client: SocketAddr, server: SocketAddr) -> ConnectionKey {
    let (from, to) = (Address::from(client.ip()), Address::from(server.ip()));
    let link_local = from.is_link_local() || to.is_link_local();
    ConnectionKey {
        client: from,
        server: to,
        client_port: client.port(),
        server_port: server.port(),
        scope: if link_local { INTERFACE } else { 0 },
    }
}
