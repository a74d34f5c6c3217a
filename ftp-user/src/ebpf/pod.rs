//! The shared types of ftp-common, as values that aya may copy to and from the kernel.

use aya::Pod;
use ftp_common::expectation::Expectation;
use ftp_common::flow::Flow;
use ftp_common::half_open::HalfOpenFlow;
use ftp_common::keys::{ClientKey, ConnectionKey, ExpectationKey, ServerKey};
use ftp_common::limit::{Slot, SlotKey};
use ftp_common::owner::{Connection, Listener, Process, Root};
use ftp_common::policy::{Config, PortClasses, ServerPolicy};
use ftp_common::range::Range;
use ftp_common::session::{Handshake, Session};

/// A map's key or value. The wrapper is needed because neither the types nor [`Pod`] are ours.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(transparent)]
pub struct AsPod<T>(pub T);

macro_rules! pod {
    ($($shared:ty),+ $(,)?) => {$(
        // SAFETY: the type is `repr(C)`, consists of integers only and has no padding.
        unsafe impl Pod for AsPod<$shared> {}
    )+};
}

pod!(
    ClientKey,
    HalfOpenFlow,
    Slot,
    SlotKey,
    Config,
    ConnectionKey,
    Expectation,
    ExpectationKey,
    Flow,
    PortClasses,
    ServerKey,
    ServerPolicy,
    Session,
    Handshake,
    Range,
    Connection,
    Listener,
    Process,
    Root,
);
