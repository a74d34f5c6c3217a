//! Control connections in every encapsulation ([`ftptrack_tests::suites::scenarios::encapsulations`]), with what ftptrack counts.

use ftp_common::counter::Counter;
use ftptrack_tests::suites::scenarios::encapsulations;

#[test]
fn commands_in_fragments_open_nothing_and_stop_nothing() {
    encapsulations::FRAGMENTED.must_hold(|_| ());
}

#[test]
fn commands_behind_ipv6_extension_headers_are_read() {
    encapsulations::EXTENDED.must_hold(|ftptrack| {
        assert_eq!((ftptrack.stats().of(Counter::Desyncs), ftptrack.stats().denied()), (0, 0));
    });
}

#[test]
fn a_priority_tag_hides_nothing() {
    encapsulations::TAGGED.must_hold(|ftptrack| assert_eq!(ftptrack.stats().of(Counter::DeniedPassive), 4));
}

#[test]
fn stacked_priority_tags_hide_nothing() {
    encapsulations::STACKED.must_hold(|ftptrack| {
        let stats = ftptrack.stats();
        assert_eq!((stats.of(Counter::DeniedPassive), stats.of(Counter::DeniedVlanTags)), (3, 1), "{stats:?}");
    });
}

#[test]
fn with_the_cards_help_and_without_the_same_is_read() {
    encapsulations::HELPED.must_hold(|ftptrack| {
        let stats = ftptrack.stats();
        assert_eq!((stats.of(Counter::FlowsEstablished), stats.denied()), (6, 0), "{stats:?}");
        assert_eq!(stats.of(Counter::Desyncs), 0);
    });
}

#[test]
fn a_segment_of_sixty_kibibytes_is_read_to_its_end() {
    encapsulations::LONG.must_hold(|ftptrack| {
        let stats = ftptrack.stats();
        assert_eq!((stats.of(Counter::Commands), stats.of(Counter::Replies)), (30, 32), "{stats:?}");
        assert_eq!((stats.of(Counter::Desyncs), stats.of(Counter::LongLines)), (0, 0), "{stats:?}");
    });
}

#[test]
fn an_ipv4_mapped_address_on_the_wire_is_denied() {
    encapsulations::MAPPED.must_hold(|ftptrack| {
        let stats = ftptrack.stats();
        assert_eq!((stats.of(Counter::DeniedMappedAddress), stats.denied()), (2, 2), "{stats:?}");
    });
}
