use etherparse::PacketBuilder;
use ftp_common::flow::tcp::{ACK, RST};
use proptest::prelude::*;

use super::*;
use crate::replay::packet::{Found, find};

fn frame(v6: bool, tagged: bool, seq: u32, payload: &[u8], flags: u8, urgent: u16) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2([2; 6], [4; 6]);
    let ports = (40_000, 21, seq, 65_535);
    let step = match (v6, tagged) {
        (false, false) => builder.ipv4([10, 0, 0, 2], [10, 0, 0, 1], 64).tcp(ports.0, ports.1, ports.2, ports.3),
        (false, true) => builder
            .single_vlan(42.try_into().unwrap())
            .ipv4([10, 0, 0, 2], [10, 0, 0, 1], 64)
            .tcp(ports.0, ports.1, ports.2, ports.3),
        (true, _) => builder.ipv6([2; 16], [1; 16], 64).tcp(ports.0, ports.1, ports.2, ports.3),
    };
    let mut frame = Vec::new();
    step.ack(7).write(&mut frame, payload).unwrap();
    let Found::Tcp(tcp) = find(&frame, 0) else { panic!("TCP") };
    frame[tcp.transport + FLAGS] = flags;
    frame[tcp.transport + URGENT..tcp.transport + URGENT + 2].copy_from_slice(&urgent.to_be_bytes());
    frame
}

fn tcp(frame: &[u8]) -> Tcp {
    let Found::Tcp(tcp) = find(frame, 0) else { panic!("{frame:?}") };
    assert_eq!(tcp.cut_off, 0, "lengths are right");
    tcp
}

fn text(frame: &[u8]) -> &[u8] {
    let tcp = tcp(frame);
    &frame[tcp.payload..tcp.end]
}

proptest! {
    #[test]
    fn the_pieces_one_after_the_other_are_the_whole(
        v6: bool, tagged: bool, seq: u32, flags: u8, length in 0usize..20_000, urgent in 0u16..21_000, seed: u8,
    ) {
        let payload: Vec<u8> = (0..length).map(|at| (at as u8).wrapping_mul(31).wrapping_add(seed)).collect();
        let whole = frame(v6, tagged, seq, &payload, flags, urgent);
        let of_whole = tcp(&whole);
        let pieces = all(&whole, &of_whole, CutOff::Lost);
        prop_assert_eq!(pieces.iter().map(|piece| text(piece)).collect::<Vec<_>>().concat(), payload);
        let mut next = seq;
        for (index, piece) in pieces.iter().enumerate() {
            let of_piece = tcp(piece);
            let (is_first, is_last) = (index == 0, index + 1 == pieces.len());
            prop_assert!(piece.len() <= LIMIT);
            prop_assert_eq!(of_piece.end, piece.len(), "no byte behind what IP tells");
            prop_assert_eq!(of_piece.ends(), of_whole.ends());
            prop_assert_eq!((of_piece.seq, of_piece.ack), (next, 7));
            prop_assert_eq!(of_piece.flags & (ACK | RST), flags & (ACK | RST));
            prop_assert_eq!(of_piece.flags & SYN, if is_first { flags & SYN } else { 0 });
            prop_assert_eq!(of_piece.flags & (PSH | FIN), if is_last { flags & (PSH | FIN) } else { 0 });
            next = next.wrapping_add(u32::from(of_piece.has(SYN))).wrapping_add(of_piece.length() as u32);
        }
    }

    #[test]
    fn the_urgent_byte_stays_the_same_one(length in 4_000usize..12_000, place in 0usize..12_000) {
        let place = place % length;
        let payload: Vec<u8> = (0..length).map(|at| u8::from(at == place)).collect();
        let whole = frame(false, false, 1, &payload, ACK | URG, u16::try_from(place + 1).unwrap());
        let pieces = all(&whole, &tcp(&whole), CutOff::Lost);
        let urgent: Vec<_> = pieces.iter().filter(|piece| tcp(piece).has(URG)).collect();
        prop_assert_eq!(urgent.len(), 1);
        let header = tcp(urgent[0]).transport;
        let pointer = u16::from_be_bytes([urgent[0][header + URGENT], urgent[0][header + URGENT + 1]]);
        prop_assert_eq!(text(urgent[0])[usize::from(pointer) - 1], 1);
    }

    #[test]
    fn payload_that_was_not_captured_is_filled_or_stays_away(length in 0usize..6_000, captured in 0usize..6_000) {
        let captured = captured.min(length);
        let whole = frame(false, true, 9, &vec![1; length], ACK | FIN | PSH, 0);
        let cut_off = length - captured;
        let Found::Tcp(of_it) = find(&whole[..whole.len() - cut_off], cut_off) else { panic!("TCP") };
        prop_assert_eq!((of_it.cut_off, of_it.length()), (cut_off, length));
        for how in [CutOff::Lost, CutOff::Filled] {
            let pieces = all(&whole[..whole.len() - cut_off], &of_it, how);
            let text = pieces.iter().map(|piece| text(piece)).collect::<Vec<_>>().concat();
            let fill = if how == CutOff::Filled { cut_off } else { 0 };
            prop_assert_eq!(text, [vec![1; captured], vec![0; fill]].concat());
            let ends = tcp(pieces.last().unwrap()).has(FIN);
            prop_assert_eq!(ends, how == CutOff::Filled || cut_off == 0, "a FIN stands behind the last byte");
        }
    }

    #[test]
    fn nothing_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..9_000), cut_off in 0usize..9_000) {
        if let Found::Tcp(tcp) = find(&bytes, cut_off) {
            let _pieces = all(&bytes, &tcp, CutOff::Filled);
        }
    }

    #[test]
    fn nothing_behind_right_headers_makes_it_panic(
        at in 12usize..80, byte: u8, then: u8, length in 0usize..5_000, cut in 0usize..5_000, cut_off in 0usize..9_000,
    ) {
        let mut bytes = frame(false, false, 1, &vec![0; length], ACK, 3);
        if let Some(found) = bytes.get_mut(at) {
            *found = byte;
        }
        if let Some(found) = bytes.get_mut(at + 1) {
            *found = then;
        }
        bytes.truncate(bytes.len() - cut.min(bytes.len()));
        if let Found::Tcp(tcp) = find(&bytes, cut_off) {
            for how in [CutOff::Lost, CutOff::Filled] {
                prop_assert!(all(&bytes, &tcp, how).iter().all(|piece| piece.len() <= LIMIT));
            }
        }
    }
}

#[test]
fn a_frame_that_fits_is_handed_over_as_it_is() {
    let mut padded = frame(false, false, 1, b"QUIT\r\n", ACK, 0);
    padded.extend([0; 8]);
    let Found::Tcp(tcp) = find(&padded, 0) else { panic!("TCP") };
    assert_eq!(all(&padded, &tcp, CutOff::Lost), [padded]);
}

#[test]
fn segmentation_offload_without_a_length_counts_by_the_frame() {
    let mut whole = frame(false, false, 1, &[1; 9_000], ACK, 0);
    whole[16..18].copy_from_slice(&[0, 0]);
    let Found::Tcp(of_it) = find(&whole, 0) else { panic!("TCP") };
    assert_eq!(of_it.length(), 9_000);
    let pieces = all(&whole, &of_it, CutOff::Lost);
    assert_eq!(pieces.iter().map(|piece| text(piece).len()).sum::<usize>(), 9_000);
}

#[test]
fn the_link_layer_makes_no_difference() {
    for length in 3_000..LIMIT + 100 {
        let [plain, tagged] = [false, true].map(|tagged| {
            let whole = frame(false, tagged, 1, &vec![0; length], ACK, 0);
            let pieces = all(&whole, &tcp(&whole), CutOff::Lost);
            pieces.iter().map(|piece| text(piece).len()).collect::<Vec<_>>()
        });
        assert_eq!(plain, tagged);
    }
}
