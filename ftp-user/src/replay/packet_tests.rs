use etherparse::PacketBuilder;

use super::*;

fn frame(payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    let builder = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4([10, 0, 0, 2], [10, 0, 0, 1], 64);
    builder.tcp(40_000, 21, 5, 9).ack(7).write(&mut frame, payload).unwrap();
    frame
}

fn tcp(frame: &[u8], cut_off: usize) -> Tcp {
    let Found::Tcp(tcp) = find(frame, cut_off) else { panic!("TCP") };
    tcp
}

#[test]
fn a_segment_is_found_with_its_numbers() {
    let found = tcp(&frame(b"QUIT\r\n"), 0);
    assert_eq!((found.network, found.transport, found.payload, found.end), (14, 34, 54, 60));
    assert_eq!((found.seq, found.ack, found.length(), found.cut_off), (5, 7, 6, 0));
    assert_eq!(found.ends(), ["10.0.0.2:40000".parse().unwrap(), "10.0.0.1:21".parse().unwrap()]);
    assert!(found.has(tcp::ACK) && !found.has(tcp::SYN));
}

#[test]
fn padding_is_no_payload_and_what_was_cut_off_is_some() {
    let mut padded = frame(b"");
    padded.extend([0; 6]);
    assert_eq!((tcp(&padded, 0).length(), tcp(&padded, 0).end), (0, 54));
    // Only the padding was cut off.
    assert_eq!((tcp(&padded, 9).length(), tcp(&padded, 9).cut_off), (0, 0));
    let whole = frame(b"QUIT\r\n");
    let cut = tcp(&whole[..57], 3);
    assert_eq!((cut.length(), cut.end, cut.cut_off), (6, 57, 3));
}

#[test]
fn headers_that_were_cut_are_told_apart_from_headers_that_are_wrong() {
    let whole = frame(b"QUIT\r\n");
    for length in 15..54 {
        let cut_off = whole.len() - length;
        assert_eq!(find(&whole[..length], cut_off), Found::HeadersCut, "{length}");
        assert_ne!(find(&whole[..length], 0), Found::HeadersCut, "{length}");
    }
    assert_eq!(find(&whole[..53], 0), Found::Ip, "the program judges what is really so short");
}

#[test]
fn fragments_and_other_protocols_are_ip_and_nothing_more() {
    let mut fragment = frame(b"QUIT\r\n");
    fragment[20] = 0x20;
    assert_eq!(find(&fragment, 0), Found::Ip);
    let mut udp = Vec::new();
    let builder = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv6([1; 16], [2; 16], 64);
    builder.udp(53, 53).write(&mut udp, &[1; 99]).unwrap();
    assert_eq!(find(&udp, 0), Found::Ip);
    assert_eq!(find(&udp[..80], 50), Found::Ip, "what is cut there doesn't matter");
    assert_eq!(find(&[0xff; 60], 0), Found::NotIp);
    assert_eq!(find(&[], 0), Found::NotIp);
}
