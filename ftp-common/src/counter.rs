//! Every verdict and every refusal has a counter of its own; this is the one list of them.

use core::mem;

use crate::plain::before_first;

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+) => {
        /// Index into the STATS map, and the reason in events and flow refusals.
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        #[repr(u8)]
        pub enum Counter { $($(#[doc = $doc])+ $variant,)+ }

        impl Counter {
            /// All of them, in the order of their indices.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// Its stable name, for programs.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// What it counts, one sentence.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc,)+).trim_ascii(),)+ }
            }
        }
    };
}

counters! {
    /// Negotiations refused: a 227 or 229 came while no PASV or EPSV waited for it.
    RefusedUnsolicited = "refused_unsolicited",
    /// Negotiations refused: a 227 without six numbers, or a 229 without a port.
    RefusedMalformedReply = "refused_malformed_reply",
    /// Negotiations refused: the server accepted a PORT or EPRT that is malformed.
    RefusedMalformedCommand = "refused_malformed_command",
    /// Negotiations refused: a PORT or EPRT names an address that isn't the client's own.
    RefusedForeignAddress = "refused_foreign_address",
    /// Negotiations refused: a port below 1024.
    RefusedLowPort = "refused_low_port",
    /// Negotiations refused: a passive port outside the policy's passive range, where nothing is guarded.
    RefusedOutOfRange = "refused_out_of_range",
    /// Negotiations refused: the session is out of sync: picked up midstream, or resynchronizing.
    RefusedOutOfSync = "refused_out_of_sync",
    /// Negotiations refused: a PORT whose reply may belong to another command.
    RefusedAmbiguous = "refused_ambiguous",
    /// Negotiations refused: the policy does not allow passive mode.
    RefusedPassiveOff = "refused_passive_off",
    /// Negotiations refused: the policy does not allow active mode.
    RefusedActiveOff = "refused_active_off",
    /// Negotiations refused: a 227 names another address and the policy is strict about it.
    RefusedAnnouncedAddress = "refused_announced_address",
    /// Negotiations refused: a port was opened by a process that serves several encrypted sessions.
    RefusedSharedProcess = "refused_shared_process",
    /// Commands that negotiate a data connection and that the server refused (4xx or 5xx).
    RejectedByServer = "rejected_by_server",
    /// 227 replies that name another address than the session's server; opened on the session's own.
    AnnouncedAddressDiffers = "announced_address_differs",
    /// Command lines seen.
    Commands = "commands",
    /// Whole replies seen.
    Replies = "replies",
    /// Final replies that answered no pending command.
    RepliesUnsolicited = "replies_unsolicited",
    /// Pending commands dropped because the server left them without a reply.
    CommandsUnanswered = "commands_unanswered",
    /// Sessions that had more pending commands than the ring holds, and lost synchronization.
    CommandsOverflow = "commands_overflow",
    /// Command lines over 4,096 bytes.
    LongLines = "long_lines",
    /// Times that a session lost synchronization: bytes passed that could not be attributed.
    Desyncs = "desyncs",
    /// Times that a client sent other bytes in the place of ones not yet acknowledged.
    OverlapsDiffer = "overlaps_differ",
    /// Times that a session regained synchronization, after a loss or a midstream pickup.
    Resyncs = "resyncs",
    /// Sessions that became opaque: an accepted AUTH, or TLS in the place of the greeting.
    SessionsEncrypted = "sessions_encrypted",
    /// REIN commands that the server accepted.
    SessionsReinitialized = "sessions_reinitialized",
    /// Client segments whose urgent byte is no Telnet command: which bytes the server reads can't be known.
    UrgentData = "urgent_data",

    /// Sessions followed from their handshake on.
    SessionsStarted = "sessions_started",
    /// Sessions that were idle when the filter came, followed from their next command on.
    SessionsAdopted = "sessions_adopted",
    /// Sessions picked up midstream.
    SessionsMidstream = "sessions_midstream",
    /// Sessions that ended by FIN or RST.
    SessionsEnded = "sessions_ended",
    /// Sessions that are opaque because the handshake agreed on Multipath TCP.
    SessionsMultipath = "sessions_multipath",
    /// Control connections not followed: their client had as many as the policy allows.
    SessionsOverLimit = "sessions_over_limit",
    /// Resets on a control connection that were out of sequence and ignored.
    ResetsIgnored = "resets_ignored",
    /// Early segments on a control connection that were dropped, for TCP to retransmit in order.
    SegmentsDeferred = "segments_deferred",

    /// Expectations made: passive mode.
    ExpectationsPassive = "expectations_passive",
    /// Expectations made: active mode.
    ExpectationsActive = "expectations_active",
    /// Expectations that ended unused: replaced, or gone with their session.
    ExpectationsWithdrawn = "expectations_withdrawn",
    /// Encrypted sessions whose client may use the whole passive range while they live.
    RangesOpened = "ranges_opened",
    /// Data connections established, on an expectation or in an opened range.
    FlowsEstablished = "flows_established",
    /// Data connections that ended by FIN or RST after they were established.
    FlowsEnded = "flows_ended",
    /// Expected data connections that the listening end refused; the expectation stays.
    FlowsRefused = "flows_refused",

    /// Denied: a connection to the passive range that nobody negotiated.
    DeniedPassive = "denied_passive",
    /// Denied: a data connection that nobody negotiated in clear text; its client has an encrypted session.
    DeniedEncrypted = "denied_encrypted",
    /// Denied: a connection from the active port that nobody negotiated, or one to it.
    DeniedActive = "denied_active",
    /// Denied: its expectation had expired.
    DeniedExpired = "denied_expired",
    /// Denied: the session of its expectation was gone.
    DeniedSessionGone = "denied_session_gone",
    /// Denied: its port was used by another connection already; an expectation serves one.
    DeniedUsed = "denied_used",
    /// Denied: its expectation had four half-open connections already.
    DeniedHalfOpen = "denied_half_open",
    /// Denied: no room for one more half-open connection: too many in this session, or in the table.
    DeniedHalfOpenFull = "denied_half_open_full",
    /// Denied: a SYN on the addresses and ports of a connection whose handshake is not over, or was refused.
    DeniedTupleInUse = "denied_tuple_in_use",
    /// Denied: a segment that fits no SYN-ACK, or would begin a closed connection again.
    DeniedHandshake = "denied_handshake",
    /// Denied: a SYN with data or a Fast Open cookie on a guarded port; the client repeats it without.
    DeniedFastOpen = "denied_fast_open",
    /// Denied: a segment in a direction in which its sender cannot be.
    DeniedWrongDirection = "denied_wrong_direction",
    /// Denied: a fragment that hides the TCP header, on the way to a guarded server.
    DeniedFragment = "denied_fragment",
    /// Denied: too many IPv6 extension headers, on the way to a guarded server.
    DeniedExtensionHeaders = "denied_extension_headers",
    /// Denied: more stacked priority tags (VLAN 0) than are followed.
    DeniedVlanTags = "denied_vlan_tags",
    /// Denied: an IPv6 packet with an IPv4-mapped address, to or from a guarded server.
    DeniedMappedAddress = "denied_mapped_address",
    /// Denied: a SYN with data on a control port (TCP Fast Open); the client repeats it without.
    DeniedSynData = "denied_syn_data",
    /// Packets that monitor mode let pass and that would have been denied.
    MonitorPassed = "monitor_passed",

    /// Events lost because the ring buffer was full.
    EventsLost = "events_lost",
    /// Events that a live view (`ftptrack top`) was too slow for.
    ViewLost = "view_lost",
    /// Denials that were counted and not reported, to keep the rate of events down.
    EventsSuppressed = "events_suppressed",
    /// Map updates that the kernel refused.
    MapErrors = "map_errors",
}

impl Counter {
    /// How many there are; the size of the STATS map.
    pub const COUNT: u32 = Self::ALL.len() as u32;

    /// The counters below this index can be raised while a control segment is being parsed.
    pub const PER_SEGMENT: usize = 32;

    /// Its index in the STATS map.
    #[inline(always)]
    #[must_use]
    pub const fn index(self) -> u32 {
        self as u32
    }

    /// The counter at an index.
    #[must_use]
    pub fn from_index(index: u32) -> Option<Self> {
        Self::ALL.get(usize::try_from(index).ok()?).copied()
    }

    /// Whether it counts negotiations refused by ftptrack: the first ones of the list.
    #[inline(always)]
    #[must_use]
    pub const fn index_is_refusal(index: u32) -> bool {
        index <= Self::RefusedSharedProcess as u32
    }
}

const _: () = assert!((Counter::UrgentData as usize) < Counter::PER_SEGMENT);
// The kernel program masks an index with it.
const _: () = assert!(Counter::PER_SEGMENT.is_power_of_two());

/// Counters raised while one segment is parsed; flushed to STATS, and reported, when it is done. The
/// kernel keeps one for each CPU.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// How often, saturating, by counter index.
    pub raised: [u8; Counter::PER_SEGMENT],
    /// How many of them are not zero.
    pub dirty: u8,
    zero: [u8; 7],
}

impl Counts {
    /// Index of the first that is not zero; [`u32::MAX`] if there is none. Eight at a time, as most are zero.
    #[inline(always)]
    #[must_use]
    pub fn first(&self) -> u32 {
        let (words, _) = self.raised.as_chunks::<8>();
        let mut index = 0;
        for word in words {
            let word = u64::from_le_bytes(*word);
            if word != 0 {
                return index + before_first(word);
            }
            index += 8;
        }
        u32::MAX
    }

    /// One's value, which was not zero and is from then on. `index`: modulo [`Counter::PER_SEGMENT`].
    #[inline(always)]
    pub fn take(&mut self, index: usize) -> u8 {
        self.dirty = self.dirty.wrapping_sub(1);
        mem::take(&mut self.raised[index & (Counter::PER_SEGMENT - 1)])
    }

    /// Raises one; it must be among the first [`Counter::PER_SEGMENT`].
    #[inline(always)]
    pub fn raise(&mut self, counter: Counter) {
        if let Some(mark) = self.raised.get_mut(counter as usize) {
            self.dirty += u8::from(*mark == 0);
            *mark = mark.saturating_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_unique_and_meanings_are_there() {
        let names: HashSet<_> = Counter::ALL.iter().map(|c| c.name()).collect();
        assert_eq!(names.len(), Counter::ALL.len());
        for counter in Counter::ALL {
            assert!(counter.meaning().ends_with('.'), "{counter:?}: {}", counter.meaning());
            assert_eq!(Counter::from_index(counter.index()), Some(*counter));
        }
    }

    #[test]
    fn refusals_are_the_first_of_the_list() {
        for counter in Counter::ALL {
            let named = counter.name().starts_with("refused_");
            assert_eq!(Counter::index_is_refusal(counter.index()), named, "{counter:?}");
        }
    }

    #[test]
    fn an_index_without_a_counter_has_none() {
        assert_eq!(Counter::from_index(Counter::COUNT), None);
        assert_eq!(Counter::COUNT as usize, Counter::ALL.len());
    }

    #[test]
    fn raised_counters_are_found_and_saturate() {
        let mut counts = Counts::default();
        assert_eq!(counts.first(), u32::MAX);
        let last = Counter::ALL[Counter::PER_SEGMENT - 1];
        for counter in Counter::ALL.iter().take(Counter::PER_SEGMENT - 1) {
            counts.raise(last);
            assert_eq!((counts.first(), counts.dirty), (last.index(), 1));
            counts.raise(*counter);
            counts.raise(*counter);
            assert_eq!((counts.first(), counts.dirty), (counter.index(), 2));
            assert_eq!((counts.take(counter.index() as usize), counts.dirty), (2, 1));
            assert_eq!((counts.take(last.index() as usize), counts.first()), (1, u32::MAX));
            assert_eq!(counts, Counts::default());
        }
        for _ in 0..300 {
            counts.raise(Counter::RefusedActiveOff);
        }
        assert_eq!((counts.dirty, counts.take(Counter::RefusedActiveOff as usize)), (1, 255));
        let before = counts;
        counts.raise(Counter::MapErrors);
        assert_eq!(counts, before, "none that is raised while a segment is parsed");
    }
}
