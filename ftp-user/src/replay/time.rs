//! Time: the kernel program asks the kernel for it, a capture has its own, and a replay takes no time at all. So what
//! has passed in the capture is taken off the times of a session and of its expectation, in front of each packet
//! that the program compares them at: to the program they lie as far in the past as they do in the capture.

use std::collections::HashMap;
use std::net::SocketAddr;

use aya::Ebpf;
use aya::maps::{HashMap as BpfHashMap, MapData};
use ftp_common::address::Address;
use ftp_common::expectation::Expectation;
use ftp_common::keys::{ConnectionKey, ExpectationKey, Mode};
use ftp_common::session::Session;

use super::engine::take;
use super::packet::Tcp;
use crate::failure::{Failure, OrFail as _};
use crate::wire::Wire;

/// Less than that is let go by: a tenth of the shortest time that the program knows, which is half a second.
/// Nanoseconds.
const GRAIN: i64 = 50_000_000;
/// The interface that frames of BPF_PROG_TEST_RUN belong to: it tells link-local addresses apart.
const INTERFACE: u32 = 1;
/// The entry is there, and is to be changed (linux/bpf.h).
const BPF_EXIST: u64 = 2;
const REMEDY: &str = "report this with the output of uname -r";

/// The maps that hold times.
pub(super) struct Times {
    sessions: BpfHashMap<MapData, Wire<ConnectionKey>, Wire<Session>>,
    expectations: BpfHashMap<MapData, Wire<ExpectationKey>, Wire<Expectation>>,
    /// Until when the capture's time was taken off, by control connection.
    until: HashMap<ConnectionKey, i64>,
}

impl Times {
    pub(super) fn of(ebpf: &mut Ebpf) -> Result<Self, Failure> {
        Ok(Self { sessions: take(ebpf, "SESSIONS")?, expectations: take(ebpf, "EXPECTATIONS")?, until: HashMap::new() })
    }

    /// A segment of a control connection comes at this time, nanoseconds since 1970.
    ///
    /// # Errors
    ///
    /// The kernel's refusal.
    pub(super) fn control(&mut self, client: SocketAddr, server: SocketAddr, now: i64) -> Result<(), Failure> {
        self.pass(key(client, server), now)
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
            let expected = ExpectationKey {
                client,
                server: ends.server,
                port: destination.port(),
                mode: mode.number(),
                zero: 0,
                scope: ends.scope,
            };
            if let Ok(Wire(expectation)) = self.expectations.get(&Wire(expected), 0) {
                self.pass(expectation.session, now)?;
            }
        }
        Ok(())
    }

    fn pass(&mut self, key: ConnectionKey, now: i64) -> Result<(), Failure> {
        let until = self.until.entry(key).or_insert(now);
        let passed = now.saturating_sub(*until);
        // Packets of several interfaces may come a little out of order.
        let Some(by) = u64::try_from(passed).ok().filter(|_| passed >= GRAIN) else { return Ok(()) };
        *until = now;
        let Ok(Wire(mut session)) = self.sessions.get(&Wire(key), 0) else { return Ok(()) };
        session.client.last_line = older(session.client.last_line, by);
        session.server.last_word = older(session.server.last_word, by);
        self.sessions.insert(Wire(key), Wire(session), BPF_EXIST).or_fail("SESSIONS", REMEDY)?;
        let standing = session.server.standing;
        let expected = ExpectationKey {
            client: standing.client,
            server: key.server,
            port: standing.port,
            mode: standing.mode,
            zero: 0,
            scope: key.scope,
        };
        let Ok(Wire(mut expectation)) = self.expectations.get(&Wire(expected), 0) else { return Ok(()) };
        if standing.mode != 0 && expectation.generation == session.generation {
            expectation.expires = older(expectation.expires, by);
            self.expectations.insert(Wire(expected), Wire(expectation), BPF_EXIST).or_fail("EXPECTATIONS", REMEDY)?;
        }
        Ok(())
    }
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
