extern crate std;
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};

use super::tcp::{ACK, FIN, RST, SYN};
use super::*;
use crate::address::Address;

const OPENER: bool = true;
const LISTENER: bool = false;

fn flow(state: u8, marks: u8) -> HalfOpenFlow {
    let flow = Flow { session_id: 1, serial: 2, syn_seq: 100, syn_ack_seq: 500, state, marks, ..Flow::default() };
    HalfOpenFlow { flow, ..HalfOpenFlow::default() }
}

fn syn_sent() -> HalfOpenFlow {
    let mut entry = flow(state::SYN_SENT, 0);
    entry.flow.syn_ack_seq = 0;
    entry
}

fn syn_recv() -> HalfOpenFlow {
    flow(state::SYN_RECV, ANSWERED)
}

#[test]
fn a_syn_is_repeated_only_while_half_open_on_its_own_expectation() {
    assert_eq!(syn_sent().on_syn(100, 1, 2), Syn::Repeated);
    assert_eq!(syn_recv().on_syn(100, 1, 2), Syn::Repeated);
    assert_eq!(syn_recv().on_syn(100, 1, 3), Syn::Occupied, "another expectation");
    assert_eq!(syn_recv().on_syn(100, 9, 2), Syn::Occupied, "another session");
    assert_eq!(syn_recv().on_syn(101, 1, 2), Syn::Occupied, "another number");
    for state in [state::UNCONFIRMED, state::DENIED, state::REFUSED] {
        assert_eq!(flow(state, ANSWERED).on_syn(100, 1, 2), Syn::Occupied);
    }
    assert_eq!(flow(state::DENIED, 0).on_syn(100, 1, 2), Syn::Occupied);
    assert_eq!(flow(state::REFUSED, 0).on_syn(101, 1, 2), Syn::Anew, "no SYN-ACK that could be completed");
}

#[test]
fn an_entry_outlives_what_the_host_could_still_complete() {
    assert_eq!(LIFE, 130_000_000_000, "a SYN-ACK comes again after 120 s, a cookie counts for 128 s");
}

#[test]
fn only_the_number_of_the_syn_ack_completes_a_handshake() {
    let step = |entry: HalfOpenFlow, flags, seq, ack| entry.on_segment(OPENER, flags, seq, ack, 0);
    assert_eq!(step(syn_recv(), ACK, 101, 501), Handshake::Acknowledged);
    assert_eq!(step(syn_recv(), ACK, 105, 501), Handshake::Acknowledged, "in the window");
    assert_eq!(step(syn_recv(), ACK, 101, 502), Handshake::Unfit);
    assert_eq!(step(syn_recv(), FIN, 101, 501), Handshake::Unfit);
    assert_eq!(step(syn_recv(), SYN | ACK, 101, 501), Handshake::Unfit);
    assert_eq!(step(syn_sent(), ACK, 101, 1), Handshake::Unfit, "no SYN-ACK was seen");
    for state in [state::DENIED, state::REFUSED] {
        assert_eq!(step(flow(state, ANSWERED), ACK, 101, 501), Handshake::Unfit);
    }
    let unconfirmed = flow(state::UNCONFIRMED, ANSWERED);
    assert_eq!(step(unconfirmed, ACK, 150, 501), Handshake::Same);
    assert_eq!(step(unconfirmed, ACK, 101, 502), Handshake::Unfit, "another cookie");
    assert_eq!(step(unconfirmed, FIN, 101, 502), Handshake::Same, "no acknowledgement");
}

#[test]
fn the_openers_reset_refuses_what_it_does_not_know() {
    let step = |entry: HalfOpenFlow, seq| entry.on_segment(OPENER, RST, seq, 0, 0);
    assert_eq!(step(syn_recv(), 101), Handshake::Refused);
    assert_eq!(step(syn_recv(), 102), Handshake::Same);
    assert_eq!(step(syn_sent(), 101), Handshake::Same);
    assert_eq!(step(flow(state::UNCONFIRMED, ANSWERED), 150), Handshake::Reset);
    assert_eq!(step(flow(state::UNCONFIRMED, ANSWERED), 1 << 30), Handshake::Same);
    let active = |state, seq| {
        let mut entry = flow(state, ANSWERED);
        entry.flow.mode = Mode::Active.number();
        step(entry, seq)
    };
    assert_eq!(active(state::UNCONFIRMED, 150), Handshake::Gone, "a server's");
    assert_eq!(active(state::UNCONFIRMED, 1 << 30), Handshake::Same);
    assert_eq!(active(state::SYN_RECV, 101), Handshake::Refused);
    assert_eq!(step(flow(state::DENIED, ANSWERED), 101), Handshake::Same);
}

#[test]
fn a_syn_ack_counts_when_it_answers_the_syn_and_the_first_number_stays() {
    let step = |entry: HalfOpenFlow, seq, ack| entry.on_segment(LISTENER, SYN | ACK, seq, ack, 0);
    assert_eq!(step(syn_sent(), 500, 101), Handshake::Answered);
    assert_eq!(step(syn_sent(), 500, 102), Handshake::Same);
    assert_eq!(step(syn_recv(), 500, 101), Handshake::Answered);
    assert_eq!(step(syn_recv(), 501, 101), Handshake::AnsweredAnew);
    assert_eq!(step(flow(state::UNCONFIRMED, ANSWERED), 501, 101), Handshake::AnsweredAnew);
    assert_eq!(step(flow(state::REFUSED, ANSWERED), 500, 101), Handshake::Answered);
    let simultaneous = syn_sent().on_segment(LISTENER, SYN, 500, 101, 0);
    assert_eq!(simultaneous, Handshake::Same, "a SYN of the listener");
}

#[test]
fn the_listener_refuses_only_by_a_reset_that_answers_the_syn() {
    let step = |entry: HalfOpenFlow, flags, ack| entry.on_segment(LISTENER, flags, 0, ack, 0);
    assert_eq!(step(syn_sent(), RST | ACK, 101), Handshake::Refused);
    assert_eq!(step(syn_recv(), RST | ACK, 101), Handshake::Refused);
    assert_eq!(step(syn_sent(), RST, 101), Handshake::Same);
    assert_eq!(step(syn_sent(), RST | ACK, 102), Handshake::Same);
    let after = |seq| flow(state::UNCONFIRMED, ANSWERED).on_segment(LISTENER, RST, seq, 0, 0);
    assert_eq!(after(501), Handshake::Gone);
    assert_eq!(after(500), Handshake::Same, "it answers a segment that acknowledged something else");
    assert_eq!(after(0), Handshake::Same);
}

#[test]
fn the_listener_confirms_by_more_than_a_bare_acknowledgement_of_the_syn() {
    let step = |entry: HalfOpenFlow, flags, ack, length| entry.on_segment(LISTENER, flags, 501, ack, length);
    for entry in [syn_recv(), flow(state::UNCONFIRMED, ANSWERED)] {
        assert_eq!(step(entry, ACK, 101, 10), Handshake::Confirmed, "payload");
        assert_eq!(step(entry, ACK, 102, 0), Handshake::Confirmed, "it took payload");
        assert_eq!(step(entry, ACK | FIN, 101, 0), Handshake::Confirmed, "it closes");
        assert_eq!(step(entry, ACK, 101, 0), Handshake::Same);
        assert_eq!(step(entry, 0, 102, 0), Handshake::Same, "it acknowledges nothing");
    }
    assert_eq!(step(syn_sent(), ACK, 7000, 0), Handshake::Ignored, "an open connection answers the SYN");
    assert_eq!(step(flow(state::DENIED, ANSWERED), ACK, 102, 10), Handshake::Same);
}

fn bucket_of(key: &ConnectionKey, seed: u64) -> u32 {
    bucket(hash_of(key, seed))
}

#[test]
fn a_client_that_listens_is_believed_nothing_before_the_server_has_acknowledged_its_syn_ack() {
    let active = |mut entry: HalfOpenFlow| {
        entry.flow.mode = Mode::Active.number();
        entry
    };
    let step = |entry: HalfOpenFlow, flags, ack, length| active(entry).on_segment(LISTENER, flags, 501, ack, length);
    for (flags, ack, length) in [(ACK, 7000, 0), (ACK, 101, 0), (ACK, 101, 10), (ACK, 102, 0), (FIN, 0, 0)] {
        assert_eq!(step(syn_sent(), flags, ack, length), Handshake::Same);
        assert_eq!(step(syn_recv(), flags, ack, length), Handshake::Same);
    }
    assert_eq!(step(flow(state::UNCONFIRMED, ANSWERED), ACK, 101, 10), Handshake::Confirmed);
}

#[test]
fn each_word_of_a_connection_moves_it_to_another_bucket() {
    let key = ConnectionKey {
        client: Address([1, 2, 3, 4]),
        server: Address([5, 6, 7, 8]),
        client_port: 9,
        server_port: 10,
        scope: 11,
    };
    let mut buckets = HashSet::from([bucket_of(&key, 7)]);
    for word in 0..4 {
        for bit in [0, 13, 31] {
            let (mut client, mut server) = (key, key);
            client.client.0[word] ^= 1 << bit;
            server.server.0[word] ^= 1 << bit;
            buckets.extend([bucket_of(&client, 7), bucket_of(&server, 7)]);
        }
    }
    buckets.insert(bucket_of(&ConnectionKey { client_port: 8, ..key }, 7));
    buckets.insert(bucket_of(&ConnectionKey { server_port: 11, ..key }, 7));
    buckets.insert(bucket_of(&ConnectionKey { client_port: 10, server_port: 9, ..key }, 7));
    buckets.insert(bucket_of(&ConnectionKey { scope: 12, ..key }, 7));
    buckets.insert(bucket_of(&key, 7 ^ 1 << 63));
    assert!(buckets.len() > 28, "{} of 30", buckets.len());
}

#[test]
fn buckets_depend_on_all_of_a_connection_and_on_the_seed() {
    let key = |low: u32, port: u16| {
        let address = |last| Address::from_v4_word(u32::from_ne_bytes([10, 0, 0, last]));
        ConnectionKey { client: address(2), server: address(1), client_port: port, server_port: 20, scope: low }
    };
    let spread: HashSet<u32> = (1..=1000).map(|port| bucket_of(&key(0, port), 7)).collect();
    assert!(spread.len() > 850, "{} of 1000", spread.len());
    assert!((1..=1000).filter(|port| bucket_of(&key(0, *port), 7) == bucket_of(&key(0, *port), 8)).count() < 10);
    assert_ne!(bucket_of(&key(0, 1), 7), bucket_of(&key(1, 1), 7));
    assert!((1..=1000).all(|port| bucket_of(&key(0, port), 7) < BUCKETS));
    let hosts = (0..=255).flat_map(|last| {
        let of = |client, server| ConnectionKey { client, server, ..key(0, 1) };
        let (other, usual) = (Address::from_v4_word(u32::from_ne_bytes([10, 0, 0, last])), key(0, 1).client);
        [bucket_of(&of(other, usual), 7), bucket_of(&of(usual, other), 7)]
    });
    assert!(hosts.collect::<HashSet<_>>().len() > 450, "of 511");
}

/// The maps; `own` is whose entry is in question, `until` what a new one gets.
#[derive(Default)]
struct Maps {
    entries: RefCell<HashMap<Id, (u32, u64)>>,
    versions: RefCell<HashMap<u32, u32>>,
    counts: RefCell<HashMap<u32, i64>>,
    own: u32,
    until: u64,
    /// The next version that is asked for, as it was a while ago.
    stale: Cell<Option<u32>>,
    /// Who deletes next finds that it was deleted, and counted, by another CPU.
    too_late: Cell<bool>,
}

impl Table for Maps {
    type Entry = (u32, u64);
    fn version(&self, slot: u32) -> u32 {
        self.stale.take().unwrap_or_else(|| self.versions.borrow().get(&slot).copied().unwrap_or_default())
    }
    fn set_version(&self, slot: u32, version: u32) {
        self.versions.borrow_mut().insert(slot, version);
    }
    fn get(&self, id: Id) -> Option<Self::Entry> {
        self.entries.borrow().get(&id).copied()
    }
    fn is_own(&self, entry: Self::Entry) -> bool {
        entry.0 == self.own
    }
    fn until(&self, entry: Self::Entry) -> u64 {
        entry.1
    }
    fn insert(&self, id: Id) -> bool {
        self.entries.borrow_mut().insert(id, (self.own, self.until)).is_none()
    }
    fn delete(&self, id: Id) -> bool {
        let deleted = self.entries.borrow_mut().remove(&id).is_some();
        if self.too_late.take() {
            self.count_down((id >> 32) as u32 / WAYS);
            return false;
        }
        deleted
    }
    fn fence(&self) {}
    fn count_up(&self, bucket: u32) {
        *self.counts.borrow_mut().entry(bucket).or_default() += 1;
    }
    fn count_down(&self, bucket: u32) {
        *self.counts.borrow_mut().entry(bucket).or_default() -= 1;
    }
}

#[test]
fn a_bucket_takes_as_many_as_it_has_ways_and_forgets_none() {
    let mut maps = Maps { until: 10, ..Maps::default() };
    for own in 0..WAYS {
        maps.own = own;
        assert!(insert(&maps, 3).is_some());
    }
    maps.own = WAYS;
    assert!(insert(&maps, 3).is_none(), "full");
    assert!(insert(&maps, 4).is_some(), "another bucket");
    assert!(find(&maps, 3, 10).is_none(), "it is not in the one before");
    assert_eq!(maps.counts.borrow()[&3], i64::from(WAYS));
    for own in 0..WAYS {
        maps.own = own;
        assert_eq!(find(&maps, 3, 10).map(|(entry, _)| entry.0), Some(own));
        assert!(find(&maps, 4, 10).is_none());
    }
}

#[test]
fn expired_entries_make_room_when_they_are_met() {
    let mut maps = Maps { until: 10, ..Maps::default() };
    for own in 0..WAYS {
        maps.own = own;
        maps.until = 10 + u64::from(own);
        assert!(insert(&maps, 0).is_some());
    }
    maps.own = WAYS;
    assert!(find(&maps, 0, 11).is_none());
    assert_eq!(maps.counts.borrow()[&0], i64::from(WAYS) - 1, "one was older");
    assert!(insert(&maps, 0).is_some());
    assert!(insert(&maps, 0).is_none());
}

#[test]
fn who_removes_an_entry_late_hits_no_later_one() {
    let mut maps = Maps { until: 10, ..Maps::default() };
    assert!(insert(&maps, 0).is_some());
    let (_, first) = find(&maps, 0, 0).unwrap();
    assert!(remove(&maps, first));
    maps.own = 1;
    assert!(insert(&maps, 0).is_some());
    assert!(!remove(&maps, first), "that one is gone");
    assert!(find(&maps, 0, 0).is_some());
    assert_eq!(maps.counts.borrow()[&0], 1);
}

#[test]
fn a_removal_counts_for_the_bucket_that_it_is_in() {
    let mut maps = Maps { until: 10, ..Maps::default() };
    for own in 0..3 {
        maps.own = own;
        assert!(insert(&maps, 5).is_some());
    }
    let (_, last) = find(&maps, 5, 0).unwrap();
    assert_eq!((last >> 32) as u32, 5 * WAYS + 2);
    assert!(remove(&maps, last));
    assert_eq!(*maps.counts.borrow(), HashMap::from([(5, 2)]));
    assert!(find(&maps, 5, 0).is_none());
}

#[test]
fn a_version_that_was_read_too_early_leaves_nothing_behind() {
    for too_late in [false, true] {
        let mut maps = Maps { until: 10, ..Maps::default() };
        assert!(insert(&maps, 5).is_some());
        let (_, first) = find(&maps, 5, 0).unwrap();
        assert!(remove(&maps, first));
        // Read before all that:
        maps.own = 1;
        maps.stale.set(Some(0));
        maps.too_late.set(too_late);
        assert!(insert(&maps, 5).is_some(), "in another slot");
        assert_eq!(maps.versions.borrow()[&(5 * WAYS)], 2, "the version never goes back");
        assert_eq!((maps.entries.borrow().len(), maps.counts.borrow()[&5]), (1, 1));
        let (_, found) = find(&maps, 5, 0).unwrap();
        assert_eq!((found >> 32) as u32, 5 * WAYS + 1);
    }
}

#[test]
fn a_late_removal_does_not_set_the_version_back() {
    let maps = Maps { until: 10, ..Maps::default() };
    assert!(insert(&maps, 0).is_some());
    let (_, id) = find(&maps, 0, 0).unwrap();
    maps.versions.borrow_mut().insert(0, 6); // of an entry that lies there for a moment only
    assert!(remove(&maps, id));
    assert_eq!(maps.versions.borrow()[&0], 6);
}

#[test]
fn who_makes_a_second_entry_steps_back() {
    let maps = Maps { until: 10, ..Maps::default() };
    // Another CPU has made it between this one's look and its own entry.
    assert!(insert(&maps, 0).is_some());
    let (_, first) = find(&maps, 0, 0).unwrap();
    assert!(!insert_once(&maps, 0));
    assert_eq!(find(&maps, 0, 0).map(|(_, id)| id), Some(first));
    assert_eq!((maps.entries.borrow().len(), maps.counts.borrow()[&0]), (1, 1));
}

#[test]
fn who_makes_the_only_entry_keeps_it_whoever_is_beside_it() {
    for (bucket, others) in [0, 3].into_iter().flat_map(|bucket| (0..WAYS).map(move |others| (bucket, others))) {
        let mut maps = Maps { until: 10, ..Maps::default() };
        assert!(insert(&maps, bucket + 1).is_some(), "its own, as it were, in the next bucket");
        for other in 1..=others {
            maps.own = other;
            assert!(insert(&maps, bucket).is_some());
        }
        maps.own = 0;
        assert!(insert_once(&maps, bucket), "bucket {bucket}, {others} others");
        let (_, first) = find(&maps, bucket, 0).unwrap();
        assert!(!insert_once(&maps, bucket));
        assert_eq!(find(&maps, bucket, 0).map(|(_, id)| id), Some(first));
    }
}
