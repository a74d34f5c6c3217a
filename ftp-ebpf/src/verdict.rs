//! What the program answers.

use aya_ebpf::bindings::{TC_ACT_SHOT, TC_ACT_UNSPEC};
use ftp_common::counter::Counter;
use ftp_common::event::EventKind;
use ftp_common::keys::ConnectionKey;
use ftp_common::policy::{ServerPolicy, flag, option};

use crate::scratch::scratch;
use crate::{report, servers};

/// Passes the packet on to the programs behind ours (TCX_NEXT has the same number).
pub(crate) const PASS: i32 = TC_ACT_UNSPEC;
/// Drops the packet.
pub(crate) const DROP: i32 = TC_ACT_SHOT;

/// Denies a packet of a connection: counted and reported. In monitor mode it passes all the same.
///
/// `mode`: [`ftp_common::keys::Mode::number`], 0 on a control connection.
#[inline(always)]
pub(crate) fn deny(policy: &ServerPolicy, reason: Counter, key: &ConnectionKey, mode: u8, interface: u32) -> i32 {
    deny_by_index(policy, reason.index(), key, mode, interface)
}

/// As [`deny`], for the index of a counter.
#[inline(never)]
pub(crate) fn deny_by_index(policy: &ServerPolicy, reason: u32, key: &ConnectionKey, mode: u8, interface: u32) -> i32 {
    let monitor = policy.has(flag::MONITOR);
    report::count_index(reason);
    if monitor {
        report::count(Counter::MonitorPassed);
    }
    if report::may_report_denial() != 0
        && let Some(scratch) = scratch()
    {
        report::event(scratch, EventKind::Denied, key, interface);
        scratch.event.mode = mode;
        scratch.event.reason = reason as u8;
        scratch.event.flag = u8::from(monitor);
        report::send();
    }
    if monitor { PASS } else { DROP }
}

/// Drops an early segment of a control connection, for TCP to retransmit.
#[inline(always)]
pub(crate) fn defer() -> i32 {
    report::count(Counter::SegmentsDeferred);
    DROP
}

/// Denies a packet behind more priority tags than are followed: where it goes is not known.
#[inline(always)]
pub(crate) fn deny_tags() -> i32 {
    report::count(Counter::DeniedVlanTags);
    if servers::options() & option::ENFORCES != 0 {
        return DROP;
    }
    report::count(Counter::MonitorPassed);
    PASS
}
