//! Making and withdrawing expectations.

use aya_ebpf::bindings::BPF_ANY;
use ftp_common::SECOND;
use ftp_common::counter::Counter;
use ftp_common::event::EventKind;
use ftp_common::expectation::Expectation;
use ftp_common::keys::{ConnectionKey, ExpectationKey, Mode};
use ftp_common::policy::{ServerPolicy, flag};
use ftp_common::session::{Negotiated, Session, decision};

use crate::clock::now;
use crate::maps::EXPECTATIONS;
use crate::scratch::Scratch;
use crate::{report, servers};

/// The entry of an expectation, whoever owns it.
#[inline(always)]
pub(crate) fn get(key: &ExpectationKey) -> Option<&'static mut Expectation> {
    let expectation = EXPECTATIONS.get_ptr_mut(key)?;
    // SAFETY: as for sessions: the memory stays valid until the program returns, and its content
    // is checked against the session's id and serial.
    Some(unsafe { &mut *expectation })
}

/// Carries out what a segment of the server decided.
#[inline(never)]
pub(crate) fn carry_out(
    scratch: &mut Scratch,
    key: &ConnectionKey,
    session: &mut Session,
    policy: &ServerPolicy,
    interface: u32,
) {
    let decided = session.server.decision;
    session.server.decision = decision::KEEP;
    if decided == decision::KEEP {
        if session.server.renew != 0 {
            renew(key, session, policy);
        }
        session.server.renew = 0;
        return;
    }
    session.server.renew = 0;
    let standing = session.server.standing;
    session.server.standing = Negotiated::default();
    withdraw_standing(scratch, key, session, &standing, interface);
    if decided == decision::REPLACE {
        make(scratch, key, session, policy, interface);
    }
}

#[inline(always)]
fn make(scratch: &mut Scratch, key: &ConnectionKey, session: &mut Session, policy: &ServerPolicy, interface: u32) {
    let wanted = session.server.wanted;
    session.server.serial = session.server.serial.wrapping_add(1);
    session.server.standing = wanted;
    let passive = wanted.mode == Mode::Passive.number();
    scratch.expectation = Expectation {
        session_id: session.session_id,
        expires: now() + u64::from(policy.expectation_timeout) * SECOND,
        session: *key,
        serial: session.server.serial,
        uses: 0,
        transfers_before: wanted.transfers_before,
        ..Expectation::default()
    };
    // It replaces another session's expectation of the same port, client and server: the server's latest
    // reply counts.
    let expected = wanted.key(key);
    if EXPECTATIONS.insert(&expected, &scratch.expectation, u64::from(BPF_ANY)).is_err() {
        report::count(Counter::MapErrors);
        return;
    }
    if !passive && policy.has(flag::ACTIVE_ANY) {
        servers::expect_at(wanted.port);
    }
    report::count(if passive { Counter::ExpectationsPassive } else { Counter::ExpectationsActive });
    report_expectation(scratch, EventKind::Expected, key, &wanted, session.session_id, interface);
}

/// Removes the session's expectation, if there is one and it is still this session's own.
#[inline(always)]
pub(crate) fn withdraw(scratch: &mut Scratch, key: &ConnectionKey, session: &Session, interface: u32) {
    withdraw_standing(scratch, key, session, &session.server.standing, interface);
}

/// As [`withdraw`]. What makes it withdrawn ([`Session::stands`]) is written before: another CPU that makes it at this
/// moment, so that it is missed here, makes what nobody can use.
#[inline(always)]
fn withdraw_standing(
    scratch: &mut Scratch,
    key: &ConnectionKey,
    session: &Session,
    standing: &Negotiated,
    interface: u32,
) {
    if standing.mode == 0 {
        return;
    }
    let expected = standing.key(key);
    let Some(expectation) = get(&expected) else { return };
    if expectation.session_id != session.session_id || expectation.serial != session.server.serial {
        return;
    }
    let unused = expectation.uses == 0;
    if EXPECTATIONS.remove(&expected).is_ok() && unused {
        report::count(Counter::ExpectationsWithdrawn);
        report_expectation(scratch, EventKind::Withdrawn, key, standing, session.session_id, interface);
    }
}

/// Restarts the expectation's time: a transfer command or a 1xx shows that it is still wanted.
#[inline(always)]
pub(crate) fn renew(key: &ConnectionKey, session: &Session, policy: &ServerPolicy) {
    let standing = session.server.standing;
    if standing.mode == 0 {
        return;
    }
    if let Some(expectation) = get(&standing.key(key))
        && expectation.session_id == session.session_id
    {
        expectation.expires = now() + u64::from(policy.expectation_timeout) * SECOND;
    }
}

#[inline(always)]
fn report_expectation(
    scratch: &mut Scratch,
    kind: EventKind,
    key: &ConnectionKey,
    negotiated: &Negotiated,
    session: u64,
    interface: u32,
) {
    report::event(scratch, kind, key, interface);
    scratch.event.session = session;
    scratch.event.mode = negotiated.mode;
    scratch.event.client = negotiated.client;
    let passive = negotiated.mode == Mode::Passive.number();
    // The data connection's ports, 0 where it is not known yet; the session names the rest.
    scratch.event.client_port = if passive { 0 } else { negotiated.port };
    scratch.event.server_port = if passive { negotiated.port } else { 0 };
    report::send();
}
