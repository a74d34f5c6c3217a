//! What a root's socket says: an expectation of the only connection that it serves.

use aya_ebpf::bindings::BPF_ANY;
use aya_ebpf::btf_maps::SkStorage;
use aya_ebpf::macros::btf_map;
use aya_ebpf::programs::SockOpsContext;
use ftp_common::SECOND;
use ftp_common::address::Address;
use ftp_common::counter::Counter;
use ftp_common::dialogue::LOWEST_PORT;
use ftp_common::event::{Event, EventKind};
use ftp_common::expectation::Expectation;
use ftp_common::keys::{ConnectionKey, ExpectationKey, Mode};
use ftp_common::owner::{Connection, Process};
use ftp_common::policy::{ServerPolicy, flag};
use ftp_common::session::{LEARNED, Session, opaque};

use super::roots::{Serves, serves};
use super::{processes, sockets};
use crate::clock::now;
use crate::maps::{EVENTS, EXPECTATIONS, session};
use crate::{report, servers};

/// What a listening socket is expected for.
#[repr(C)]
#[derive(Clone, Copy)]
struct Opened {
    expected: ExpectationKey,
    session: ConnectionKey,
    session_id: u64,
}

#[btf_map]
static OPENED: SkStorage<Opened> = SkStorage::new();

/// A process listens on a port of the passive range; true if that is to be withdrawn when it closes.
#[inline(always)]
pub(super) fn passive(
    context: &SockOpsContext,
    process: &Process,
    namespace: u64,
    address: &Address,
    port: u16,
) -> bool {
    let Some(connection) = only_connection(process, namespace) else { return false };
    let Connection { key, local, since, .. } = connection;
    // A client reaches the address that it has dialled. 0.0.0.0 is mapped, :: is not.
    if *address != local && *address != Address::ANY && *address != Address::from_v4_word(0) {
        return false;
    }
    let Some((session, policy)) = encrypted(&key, since) else { return false };
    if !policy.is_passive(port) || policy.has(flag::NO_PASSIVE) {
        return false;
    }
    let expected = ExpectationKey { port, ..ExpectationKey::for_range(&key) };
    // First what it takes to withdraw it.
    let Some(opened) = sockets::kept::<_, Opened>(context, &OPENED, true) else { return false };
    *opened = Opened { expected, session: key, session_id: session.session_id };
    make(&expected, &key, session, policy)
}

/// A process connects, in active mode. `addresses`: its own and the other end's.
#[inline(always)]
pub(super) fn active(process: &Process, namespace: u64, addresses: [Address; 2], client_port: u16, server_port: u16) {
    let Some(connection) = only_connection(process, namespace) else { return };
    let Connection { key, local, since, .. } = connection;
    if addresses != [local, key.client] {
        return;
    }
    let Some((session, policy)) = encrypted(&key, since) else { return };
    let any = policy.has(flag::ACTIVE_ANY);
    if client_port < LOWEST_PORT {
        report::count(Counter::RefusedLowPort);
        return;
    }
    if policy.has(flag::NO_ACTIVE) || !any && policy.active_port != server_port {
        return;
    }
    let expected = ExpectationKey { port: client_port, mode: Mode::Active.number(), ..ExpectationKey::for_range(&key) };
    if make(&expected, &key, session, policy) && any {
        servers::expect_at(client_port);
    }
}

/// The only connection that a process's root serves, if it is of that network namespace.
#[inline(always)]
fn only_connection(process: &Process, namespace: u64) -> Option<Connection> {
    if process.root == 0 || !processes::has_its_master(process) {
        return None;
    }
    match serves(process.root) {
        Serves::One(connection) => (connection.namespace == namespace && namespace != 0).then_some(connection),
        Serves::None => None,
        Serves::Several => {
            // Those of other network namespaces may be no servers of this policy's.
            if sockets::is_here(namespace) {
                report::count(Counter::RefusedSharedProcess);
            }
            None
        }
    }
}

/// The socket no longer listens: what nobody has used is expected no longer.
#[inline(always)]
pub(super) fn withdraw(context: &SockOpsContext) {
    let Some(opened) = sockets::kept::<_, Opened>(context, &OPENED, false) else { return };
    let Some(expectation) = EXPECTATIONS.get_ptr(&opened.expected) else { return };
    // SAFETY: valid until the program returns; its content is checked.
    let expectation = unsafe { &*expectation };
    if expectation.session_id != opened.session_id || expectation.serial != LEARNED {
        return;
    }
    let unused = expectation.uses == 0;
    if EXPECTATIONS.remove(&opened.expected).is_ok() && unused {
        report::count(Counter::ExpectationsWithdrawn);
        tell(EventKind::Withdrawn, &opened.expected, &opened.session, opened.session_id);
    }
}

/// An encrypted session that lives, of a server whose policy learns. `since`: see [`Connection`].
#[inline(always)]
fn encrypted(key: &ConnectionKey, since: u64) -> Option<(&'static Session, &'static ServerPolicy)> {
    let session = session(key)?;
    if session.since > since || session.server.opaque != opaque::ENCRYPTED || session.server.fin != 0 {
        return None;
    }
    let policy = servers::policy(servers::config()?.generation, &key.server)?;
    policy.has(flag::FTPS_LEARN).then_some((session, policy))
}

#[inline(always)]
fn make(expected: &ExpectationKey, key: &ConnectionKey, session: &Session, policy: &ServerPolicy) -> bool {
    let expectation = Expectation {
        session_id: session.session_id,
        expires: now() + u64::from(policy.expectation_timeout) * SECOND,
        session: *key,
        serial: LEARNED,
        ..Expectation::default()
    };
    if EXPECTATIONS.insert(expected, &expectation, u64::from(BPF_ANY)).is_err() {
        report::count(Counter::MapErrors);
        return false;
    }
    let passive = expected.mode == Mode::Passive.number();
    report::count(if passive { Counter::ExpectationsPassive } else { Counter::ExpectationsActive });
    tell(EventKind::Expected, expected, key, session.session_id);
    true
}

#[inline(always)]
fn tell(kind: EventKind, expected: &ExpectationKey, key: &ConnectionKey, session_id: u64) {
    let passive = expected.mode == Mode::Passive.number();
    let event = Event {
        time: now(),
        session: session_id,
        client: key.client,
        server: key.server,
        client_port: if passive { 0 } else { expected.port },
        server_port: if passive { expected.port } else { 0 },
        kind: kind.number(),
        mode: expected.mode,
        flag: 1,
        ..Event::default()
    };
    if EVENTS.output::<Event>(&event, 0).is_err() {
        report::count(Counter::EventsLost);
    }
}
