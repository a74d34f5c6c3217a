extern crate std;
use super::*;

const NOW: u64 = 1000 * SECOND;

fn flow(syn_ack_seq: u32) -> u32 {
    Closed::distance(&Flow { syn_seq: u32::MAX, syn_ack_seq, ..Flow::default() })
}

fn closed(from: u64) -> Closed {
    let mut closed = Closed::default();
    closed.add(flow(500), NOW, from);
    closed
}

#[test]
fn the_distance_of_the_numbers_makes_a_cookie() {
    let denies = |seq, ack| closed(0).denies(seq, ack, NOW);
    assert!(denies(0, 501));
    assert!(denies(1000, 1501), "both further on");
    for off in 1..=3 {
        assert!(denies(0, 501 + off) && denies(off, 501), "another segment size");
    }
    assert!(!denies(0, 505) && !denies(4, 501));
    assert!(!denies(501, 0));
    assert!(!Closed::default().denies(0, 0, NOW), "nothing is known");
}

#[test]
fn a_place_is_over_after_two_minutes_at_the_earliest() {
    for begun in [0, 1, 1 << 31, u64::from(u32::MAX) - 100, 1 << 40] {
        let until = until(begun);
        assert_ne!(until, 0, "that stands for none");
        // 1,200 jiffies a second are the most.
        assert!(!is_over(until, begun) && !is_over(until, begun + 1200 * LIFE / SECOND - 1));
        assert!(is_over(until, begun + 1200 * LIFE / SECOND + 1) && is_over(until, begun + (1 << 30)));
    }
}

#[test]
fn places_are_spread() {
    assert_eq!((place(0), place(u64::MAX), place(1 << 20)), (0, PLACES - 1, 1));
}

#[test]
fn a_cookie_is_good_for_two_minutes() {
    assert!(closed(0).denies(0, 501, NOW + LIFE - 1));
    assert!(!closed(0).denies(0, 501, NOW + LIFE));
}

#[test]
fn a_client_has_five_seconds_to_close_after_the_server() {
    assert_eq!(FIN_WAIT, 5_000_000_000);
    let mut closed = closed(NOW + FIN_WAIT);
    assert!(!closed.denies(0, 501, NOW + FIN_WAIT - 1));
    assert!(closed.denies(0, 501, NOW + FIN_WAIT));
    closed.add(flow(500), NOW, 0);
    assert!(closed.denies(0, 501, NOW), "it has ended");
}

fn fin() -> Segment {
    Segment { seq: 501, ack: 1, length: 0, flags: 0x11, hides_a_byte: false }
}

fn awaiting() -> Closed {
    let mut closed = closed(0);
    closed.await_last(&fin(), NOW);
    closed
}

#[test]
fn the_last_acknowledgement_passes_once_for_each_fin() {
    assert!(closed(0).denies(1, 502, NOW), "of a flow that ended otherwise");
    let mut closed = awaiting();
    assert!(closed.denies(0, 501, NOW) && closed.denies(1, 503, NOW) && closed.denies(3, 502, NOW), "others do not");
    assert!(!closed.denies(1, 502, NOW));
    assert!(closed.denies(1, 502, NOW));
    closed.server_says(&Segment { flags: 0x10, ..fin() }, NOW);
    assert!(closed.denies(1, 502, NOW), "that was no FIN");
    closed.server_says(&fin(), NOW + SECOND);
    assert!(!closed.denies(1, 502, NOW + SECOND));
}

#[test]
fn it_must_come_soon_and_before_a_reset_and_another_connection() {
    assert!(!awaiting().denies(1, 502, NOW + LAST_ACK));
    assert!(awaiting().denies(1, 502, NOW + LAST_ACK + 1));
    let mut reset = awaiting();
    reset.client_resets();
    assert!(reset.denies(1, 502, NOW));
    let mut late = Closed { from: u64::MAX, ..closed(0) };
    late.client_resets();
    assert!(late.denies(1, 502, NOW));
    let mut another = awaiting();
    another.add(flow(900), NOW, 0);
    assert!(another.denies(1, 502, NOW));
    another.server_says(&fin(), NOW);
    assert!(another.denies(1, 502, NOW), "and its client had not closed");
}

#[test]
fn a_client_that_closes_with_the_servers_fin_in_hand_has_no_more_to_say() {
    let mut closed = awaiting();
    closed.client_closes(&Segment { ack: 501, ..fin() });
    assert!(!closed.denies(1, 502, NOW), "both closed at once");
    let mut closed = awaiting();
    closed.client_closes(&Segment { ack: 502, ..fin() });
    assert!(closed.denies(1, 502, NOW));
}

#[test]
fn where_both_close_at_once_the_server_says_later_that_it_has_the_clients_fin() {
    let mut closed = closed(0);
    closed.await_last(&Segment { ack: u32::MAX, ..fin() }, NOW);
    assert!(closed.denies(1, 502, NOW));
    closed.server_says(&Segment { flags: 0x10, seq: 502, ..fin() }, NOW);
    assert!(!closed.denies(1, 502, NOW));
    closed.await_last(&Segment { ack: 0, ..fin() }, NOW);
    assert!(!closed.denies(1, 502, NOW), "the FIN is on its way");
    assert!(closed.denies(0, 502, NOW), "one of both");
    closed.await_last(&Segment { ack: 900, ..fin() }, NOW);
    assert!(!closed.denies(900, 502, NOW) && closed.denies(1, 502, NOW), "it passes once, if it is no cookie, too");
}

#[test]
fn four_connections_are_remembered_and_a_syn_waits_for_room_for_two() {
    let mut closed = Closed::default();
    for n in 0..3 {
        assert!(closed.has_room(NOW + n * SECOND));
        closed.add(flow(n as u32 * 100), NOW + n * SECOND, 0);
    }
    assert!(!closed.has_room(NOW + LIFE - 1), "one may be there that nobody has closed");
    closed.add(flow(200), NOW + 2 * SECOND, 0);
    closed.add(flow(300), NOW + 3 * SECOND, 0);
    assert!((0..4).all(|n| closed.denies(0, n * 100 + 1, NOW)), "the same again takes no other's place");
    assert!(!closed.has_room(NOW + LIFE + SECOND - 1));
    assert!(closed.has_room(NOW + LIFE + SECOND));
    closed.add(flow(700), NOW + LIFE + SECOND, 0);
    let now = NOW + LIFE + SECOND;
    let known: std::vec::Vec<u32> =
        [0, 100, 200, 300, 700].into_iter().filter(|d| closed.denies(0, d + 1, now)).collect();
    assert_eq!(known, [200, 300, 700]);
}
