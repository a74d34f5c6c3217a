use ftp_common::flow::tcp::ACK;

use super::*;

fn ends() -> [SocketAddr; 2] {
    ["10.0.0.2:40000".parse().unwrap(), "10.0.0.1:21".parse().unwrap()]
}

fn segment(from_client: bool, seq: u32, length: usize, ack: u32, flags: u8) -> Tcp {
    let [client, server] = ends();
    let (source, destination) = if from_client { (client, server) } else { (server, client) };
    let (payload, end) = (54, 54 + length);
    Tcp { network: 14, transport: 34, payload, end, cut_off: 0, source, destination, seq, ack, flags }
}

/// What is missing, after these segments: from the client, sequence number, bytes, acknowledgement number.
fn missing(segments: &[(bool, u32, usize, u32)]) -> Vec<(bool, u64)> {
    let mut gaps = Gaps::default();
    let seen = segments
        .iter()
        .filter_map(|(from_client, seq, length, ack)| gaps.see(&segment(*from_client, *seq, *length, *ack, ACK)));
    seen.map(|missing| (missing.sender == ends()[0], missing.bytes)).collect()
}

const CLIENT: bool = true;
const SERVER: bool = false;

#[test]
fn a_whole_connection_lacks_nothing_however_it_is_ordered_and_repeated() {
    let near_wrap = u32::MAX - 3;
    assert_eq!(missing(&[(CLIENT, near_wrap, 6, 1), (SERVER, 1, 10, 2), (CLIENT, 2, 0, 11)]), []);
    assert_eq!(missing(&[(CLIENT, 1, 6, 1), (CLIENT, 13, 4, 1), (CLIENT, 7, 6, 1), (SERVER, 1, 0, 17)]), []);
    assert_eq!(missing(&[(CLIENT, 1, 6, 1), (CLIENT, 1, 6, 1), (CLIENT, 4, 9, 1), (SERVER, 1, 0, 13)]), []);
}

#[test]
fn bytes_that_were_acknowledged_and_not_seen_are_missing_once() {
    let segments = [(CLIENT, 1, 6, 1), (SERVER, 1, 10, 20), (SERVER, 11, 3, 20), (CLIENT, 20, 0, 40)];
    assert_eq!(missing(&segments), [(CLIENT, 13), (SERVER, 26)]);
}

#[test]
fn what_was_seen_behind_a_hole_is_not_missing() {
    let segments = [(CLIENT, 1, 6, 1), (CLIENT, 10, 5, 1), (CLIENT, 20, 5, 1), (SERVER, 1, 0, 22), (SERVER, 1, 0, 25)];
    assert_eq!(missing(&segments), [(CLIENT, 3 + 5)]);
}

#[test]
fn a_connection_begins_anew_with_its_syn_and_a_reset_acknowledges_nothing() {
    let mut gaps = Gaps::default();
    assert_eq!(gaps.see(&segment(CLIENT, 1, 6, 1, ACK)), None);
    assert_eq!(gaps.see(&segment(SERVER, 0, 0, 99, RST | ACK)), None);
    assert_eq!(gaps.see(&segment(CLIENT, 5_000, 0, 0, SYN)), None);
    assert_eq!(gaps.see(&segment(SERVER, 9, 0, 5_001, SYN | ACK)), None);
    assert_eq!(gaps.see(&segment(CLIENT, 5_001, 0, 10, ACK)), None);
    assert_eq!(gaps.missing, BTreeMap::new());
    assert_eq!(gaps.see(&segment(SERVER, 10, 0, 5_004, ACK)), Some(Missing { sender: ends()[0], bytes: 3 }));
    assert_eq!(gaps.missing, BTreeMap::from([(ends(), Sum { bytes: 3, places: 1 })]));
}
