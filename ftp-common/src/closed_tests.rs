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

#[test]
fn the_last_acknowledgement_passes_once() {
    let fin = Segment { seq: 501, ack: 1, length: 0, flags: 0x11, hides_a_byte: false };
    let mut closed = closed(0);
    assert!(closed.denies(1, 502, NOW), "of a flow that ended otherwise");
    closed.await_last(&fin);
    assert!(closed.denies(0, 501, NOW) && closed.denies(1, 503, NOW) && closed.denies(2, 502, NOW), "others do not");
    assert!(!closed.denies(1, 502, NOW));
    assert!(closed.denies(1, 502, NOW));
    closed.await_again();
    assert!(!closed.denies(1, 502, NOW));
    closed.await_again();
    closed.add(flow(900), NOW, 0);
    assert!(closed.denies(1, 502, NOW), "another connection has ended since");
    closed.await_again();
    assert!(closed.denies(1, 502, NOW), "and its client had not closed");
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
