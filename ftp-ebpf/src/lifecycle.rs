//! A session's beginning and end.

use aya_ebpf::bindings::BPF_NOEXIST;
use ftp_common::counter::Counter;
use ftp_common::event::EventKind;
use ftp_common::keys::ConnectionKey;
use ftp_common::policy::ServerPolicy;
use ftp_common::session::{Session, opaque};

use crate::maps::{BLANK, SESSIONS};
use crate::scratch::Scratch;
use crate::{expectations, limit, report};

/// A zeroed session under this key, if there was none and its client may have one more.
#[inline(always)]
pub(crate) fn make_session(
    key: &ConnectionKey,
    policy: &ServerPolicy,
    session_id: u64,
) -> Option<&'static mut Session> {
    if limit::admits(session_id, policy.sessions_per_client) == 0 {
        return None;
    }
    let blank = BLANK.get(0)?;
    if SESSIONS.insert(key, blank, u64::from(BPF_NOEXIST)).is_err() {
        report::count(Counter::MapErrors);
        return None;
    }
    let made = SESSIONS.get_ptr_mut(key)?;
    // SAFETY: as in `maps::session`; its id is 0, so nobody else takes it for a session yet.
    Some(unsafe { &mut *made })
}

/// Ends a session: its expectation goes with it, its open transfers go on.
#[inline(never)]
pub(crate) fn end_session(scratch: &mut Scratch, key: &ConnectionKey, session: &mut Session, interface: u32) {
    expectations::withdraw(scratch, key, session, interface);
    begin_event(scratch, EventKind::SessionEnded, key, session, interface);
    if SESSIONS.remove(key).is_err() {
        return; // another CPU, with the other direction's last packet, was first
    }
    report::count(Counter::SessionsEnded);
    report::send();
}

#[inline(always)]
pub(crate) fn report_session(
    scratch: &mut Scratch,
    kind: EventKind,
    key: &ConnectionKey,
    session: &Session,
    interface: u32,
) {
    begin_event(scratch, kind, key, session, interface);
    report::send();
}

#[inline(always)]
fn begin_event(scratch: &mut Scratch, kind: EventKind, key: &ConnectionKey, session: &Session, interface: u32) {
    report::event(scratch, kind, key, interface);
    scratch.event.session = session.session_id;
    let multipath = session.server.opaque == opaque::MULTIPATH;
    scratch.event.reason = (if multipath { Counter::SessionsMultipath } else { Counter::SessionsEncrypted }) as u8;
}
