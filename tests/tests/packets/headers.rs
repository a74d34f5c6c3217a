//! What can stand between the link and TCP, and what a TCP header can say.

use ftp_common::counter::Counter;
use ftp_common::flow::tcp::{ACK, FIN, RST, SYN, URG};
use ftptrack_tests::INSIDE;
use ftptrack_tests::packets::ip::{DESTINATION_OPTIONS, FRAGMENT, Ipv4, destination_options, fragment};
use ftptrack_tests::subject::test_run::Setup;
use ftptrack_tests::subject::test_run::frame::{Tcp, ethernet};
use ftptrack_tests::subject::test_run::harness::{Addresses, Harness, usual_policy};

use crate::{IS_DENIED, PASSES};

const ECE: u8 = 0x40;
const CWR: u8 = 0x80;
const PSH: u8 = 8;

fn v6() -> Harness {
    Harness::of(Setup::SERVERS_BEHIND, Addresses::v6(), usual_policy())
}

/// Both families, and the port of a running expectation in each.
fn both_families() -> [fn() -> Harness; 2] {
    [Harness::new, v6]
}

#[test]
fn a_first_fragment_without_the_whole_tcp_header_is_denied() {
    for harness in both_families() {
        let mut harness = harness();
        let syn = harness.syn(INSIDE);
        for length in [0, 8, 16] {
            let frame = ethernet(&syn.fragment(&syn.bytes()[..length], 0, true));
            assert_eq!(harness.pass_frame(true, &frame), IS_DENIED, "{length}");
            assert_eq!(harness.counts(), [(Counter::DeniedFragment, 1)], "{length}");
        }
    }
}

#[test]
fn a_later_fragment_is_denied_where_it_could_overwrite_a_tcp_header_and_passes_behind_it() {
    for harness in both_families() {
        let mut harness = harness();
        let syn = harness.syn(80);
        for offset in (8..=56).step_by(8) {
            let frame = ethernet(&syn.fragment(&[0; 64], offset, false));
            assert_eq!(harness.pass_frame(true, &frame), IS_DENIED, "{offset}");
            assert_eq!(harness.counts(), [(Counter::DeniedFragment, 1)], "{offset}");
        }
        for offset in [64, 72, 1480, 8 * 8000] {
            let frame = ethernet(&syn.fragment(&[0; 64], offset, false));
            assert_eq!(harness.pass_frame(true, &frame), PASSES, "{offset}");
            assert_eq!(harness.counts(), [], "{offset}");
        }
    }
}

#[test]
fn fragments_that_do_not_go_to_a_server_pass() {
    for harness in both_families() {
        let mut harness = harness();
        let tcp = harness.to_client(80, 50000);
        for (length, offset) in [(8, 0), (64, 8), (64, 64)] {
            let frame = ethernet(&tcp.fragment(&[0; 64][..length], offset, true));
            assert_eq!(harness.pass_frame(false, &frame), PASSES);
        }
        assert_eq!(harness.counts(), []);
    }
}

#[test]
fn a_first_fragment_with_the_whole_header_is_classified_by_its_ports() {
    for harness in both_families() {
        let mut harness = harness();
        let frame = ethernet(&harness.syn(INSIDE).says([0; 64]).first_fragment());
        assert_eq!(harness.pass_frame(true, &frame), IS_DENIED);
        assert_eq!(harness.counts(), [(Counter::DeniedPassive, 1)]);
        let frame = ethernet(&harness.syn(80).says([0; 64]).first_fragment());
        assert_eq!(harness.pass_frame(true, &frame), PASSES);
        assert_eq!(harness.counts(), []);
    }
}

#[test]
fn the_payload_of_a_fragmented_control_segment_is_not_read_and_its_acknowledgement_desyncs() {
    for harness in both_families() {
        let mut harness = harness();
        let mut control = harness.control(40000);
        harness.forget();
        let segment = control.client_segment(&harness, "EPSV\r\n");
        assert_eq!(harness.pass_frame(true, &ethernet(&segment.first_fragment())), PASSES);
        control.client_next = control.client_next.wrapping_add(segment.length());
        assert_eq!(control.server(&harness, "229 (|||15000|)\r\n"), PASSES);
        assert_eq!(
            harness.counts(),
            [
                (Counter::RefusedUnsolicited, 1),
                (Counter::Replies, 1),
                (Counter::RepliesUnsolicited, 1),
                (Counter::Desyncs, 1)
            ]
        );
        assert_eq!(harness.expected(), 0);
    }
}

#[test]
fn the_payload_of_a_fragmented_reply_is_not_read() {
    for harness in both_families() {
        let mut harness = harness();
        let mut control = harness.control(40000);
        assert_eq!(control.client(&harness, "EPSV\r\n"), PASSES);
        harness.forget();
        let reply = harness.to_client(21, 40000).at(control.server_next, control.client_next);
        let reply = reply.says(format!("229 (|||{INSIDE}|)\r\n"));
        assert_eq!(harness.pass_frame(false, &ethernet(&reply.first_fragment())), PASSES);
        assert_eq!((harness.counts(), harness.expected()), (vec![], 0));
    }
}

fn behind_headers(tcp: &Tcp, count: usize) -> Vec<u8> {
    let headers: Vec<_> = (0..count).map(|_| (DESTINATION_OPTIONS, destination_options(6, 8))).collect();
    ethernet(&tcp.around(&tcp.bytes(), Ipv4::default(), &headers))
}

#[test]
fn up_to_eight_ipv6_extension_headers_change_nothing() {
    for count in 1..=8 {
        let mut harness = v6();
        let expected = harness.expecting(INSIDE);
        assert_eq!(harness.pass_frame(true, &behind_headers(&harness.syn(INSIDE + 1), count)), IS_DENIED, "{count}");
        assert_eq!(harness.counts(), [(Counter::DeniedPassive, 1)]);
        assert_eq!(harness.pass_frame(true, &behind_headers(&harness.syn(INSIDE), count)), PASSES, "{count}");
        let noop = expected.client_segment(&harness, "NOOP\r\n");
        assert_eq!(harness.pass_frame(true, &behind_headers(&noop, count)), PASSES);
        assert_eq!(harness.counts(), [(Counter::Commands, 1)]);
        assert_eq!(harness.pass_frame(true, &behind_headers(&harness.syn(80), count)), PASSES);
        assert_eq!(harness.counts(), []);
    }
}

#[test]
fn more_than_eight_ipv6_extension_headers_are_denied_on_the_way_to_a_server_only() {
    let mut harness = v6();
    for tcp in [harness.syn(INSIDE), harness.syn(80), harness.to_server(50000, 21)] {
        assert_eq!(harness.pass_frame(true, &behind_headers(&tcp, 9)), IS_DENIED);
        assert_eq!(harness.counts(), [(Counter::DeniedExtensionHeaders, 1)]);
    }
    assert_eq!(harness.pass_frame(false, &behind_headers(&harness.to_client(80, 50000), 9)), PASSES);
    assert_eq!(harness.counts(), []);
}

#[test]
fn every_kind_of_ipv6_extension_header_is_followed() {
    // Hop-by-hop, routing, authentication, destination options, mobility, HIP, shim6.
    for number in [0, 43, 51, 60, 135, 139, 140] {
        let mut harness = v6();
        let syn = harness.syn(INSIDE);
        // An authentication header counts words and not eights.
        let header = if number == 51 {
            vec![6, 4, 0, 0].into_iter().chain([0; 20]).collect()
        } else {
            vec![6, 0, 1, 4, 0, 0, 0, 0]
        };
        let frame = ethernet(&syn.around(&syn.bytes(), Ipv4::default(), &[(number, header)]));
        assert_eq!(harness.pass_frame(true, &frame), IS_DENIED, "{number}");
        assert_eq!(harness.counts(), [(Counter::DeniedPassive, 1)], "{number}");
    }
}

#[test]
fn an_ipv6_fragment_header_that_stands_for_the_whole_packet_changes_nothing() {
    let mut harness = v6();
    let syn = harness.syn(INSIDE);
    let headers = [(DESTINATION_OPTIONS, destination_options(6, 16)), (FRAGMENT, fragment(6, 0, false, 9))];
    let frame = ethernet(&syn.around(&syn.bytes(), Ipv4::default(), &headers));
    assert_eq!(harness.pass_frame(true, &frame), IS_DENIED);
    assert_eq!(harness.counts(), [(Counter::DeniedPassive, 1)]);
}

#[test]
fn a_chain_of_ipv6_extension_headers_that_is_cut_is_denied() {
    let mut harness = v6();
    let syn = harness.syn(INSIDE);
    let mut packet = syn.around(&[], Ipv4::default(), &[(DESTINATION_OPTIONS, destination_options(60, 8))]);
    packet[40] = DESTINATION_OPTIONS;
    assert_eq!(harness.pass_frame(true, &ethernet(&packet)), IS_DENIED);
    assert_eq!(harness.counts(), [(Counter::DeniedFragment, 1)]);
}

#[test]
fn ipv4_options_change_nothing() {
    for length in [4, 20, 40] {
        let mut harness = Harness::new();
        let expected = harness.expecting(INSIDE);
        let with_options = |tcp: &Tcp| {
            ethernet(&tcp.around(&tcp.bytes(), Ipv4 { options: &[1; 40][..length], ..Ipv4::default() }, &[]))
        };
        assert_eq!(harness.pass_frame(true, &with_options(&harness.syn(INSIDE + 1))), IS_DENIED);
        assert_eq!(harness.counts(), [(Counter::DeniedPassive, 1)]);
        assert_eq!(harness.pass_frame(true, &with_options(&harness.syn(INSIDE))), PASSES);
        let noop = expected.client_segment(&harness, "NOOP\r\n");
        assert_eq!(harness.pass_frame(true, &with_options(&noop)), PASSES);
        assert_eq!(harness.counts(), [(Counter::Commands, 1)]);
    }
}

#[test]
fn padding_behind_a_short_packet_is_no_text() {
    for harness in both_families() {
        let mut harness = harness();
        let control = harness.control(40000);
        harness.forget();
        let mut frame = control.client_segment(&harness, "").frame();
        frame.extend(b"NOOP\r\n");
        assert_eq!(harness.pass_frame(true, &frame), PASSES);
        assert_eq!(harness.counts(), []);
        assert_eq!(control.session(&harness).unwrap().client.next, control.client_next);
    }
}

#[test]
fn a_data_offset_that_no_stack_takes_passes_and_does_nothing() {
    let mut harness = Harness::new();
    let control = harness.control(40000);
    harness.forget();
    for words in [0, 4, 15] {
        let tcp = Tcp { data_offset: Some(words), ..control.client_segment(&harness, "NOOP\r\n") };
        assert_eq!(harness.pass(&tcp), PASSES, "{words}");
        let tcp = Tcp { data_offset: Some(words), ..harness.syn(INSIDE) };
        assert_eq!(harness.pass(&tcp), PASSES, "{words}");
    }
    assert_eq!(harness.counts(), []);
}

#[test]
fn a_syn_is_one_whatever_else_it_says_and_a_syn_ack_is_none() {
    for others in [0, ECE, CWR, ECE | CWR, FIN, RST, URG, PSH, FIN | RST | URG | PSH | ECE | CWR] {
        let mut harness = Harness::new();
        assert_eq!(harness.pass(&harness.syn(INSIDE).flags(SYN | others)), IS_DENIED, "{others:#x}");
        assert_eq!(harness.counts(), [(Counter::DeniedPassive, 1)]);
        assert_eq!(harness.pass(&harness.syn(INSIDE).flags(SYN | ACK | others)), PASSES, "{others:#x}");
        assert_eq!(harness.counts(), []);
    }
}

#[test]
fn without_syn_nothing_begins_whatever_else_it_says() {
    let mut harness = Harness::new();
    for flags in (0..=255).filter(|flags| flags & SYN == 0) {
        assert_eq!(harness.pass(&harness.syn(INSIDE).flags(flags)), PASSES, "{flags:#x}");
    }
    assert_eq!(harness.counts(), []);
}

#[test]
fn tcp_options_are_no_text() {
    let mut harness = Harness::new();
    let control = harness.control(40000);
    harness.forget();
    let tcp = Tcp { options: b"NOOP\r\nNOOP\r\n".to_vec(), ..control.client_segment(&harness, "NOOP\r\n") };
    assert_eq!(harness.pass(&tcp), PASSES);
    assert_eq!(harness.counts(), [(Counter::Commands, 1)]);
}

#[test]
fn a_long_segment_is_read_to_its_end() {
    let mut harness = Harness::new();
    let mut control = harness.control(40000);
    harness.forget();
    let text = format!("{}\r\n{}EPSV\r\n", "X".repeat(3500), "NOOP\r\n".repeat(3));
    assert_eq!(control.client(&harness, &text), PASSES);
    assert_eq!(control.server(&harness, "500 a\r\n200 b\r\n200 c\r\n200 d\r\n229 (|||15000|)\r\n"), PASSES);
    assert_eq!(harness.counts(), [(Counter::Commands, 5), (Counter::Replies, 5), (Counter::ExpectationsPassive, 1)]);
}
