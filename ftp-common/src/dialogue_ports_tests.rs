//! Which ports and addresses a negotiation may name, and how many transfers it stands before.

extern crate std;
use std::format;

use crate::counter::Counter;
use crate::policy::flag;
use crate::talk::Talk;

#[test]
fn ports_from_1024_on_can_be_negotiated() {
    for (port, expected) in [(1023, None), (1024, Some(1024))] {
        let mut talk = Talk::greeted();
        talk.policy.passive_first = 1000;
        talk.exchange("EPSV\r\n", &format!("229 (|||{port}|)\r\n"));
        assert_eq!(talk.port(), expected);
        let mut talk = Talk::greeted();
        talk.exchange(&format!("EPRT |1|10.0.1.2|{port}|\r\n"), "200 OK\r\n");
        assert_eq!(talk.port(), expected);
    }
}

#[test]
fn a_229_names_no_address_that_could_differ() {
    let mut talk = Talk::greeted();
    talk.policy.flags = flag::ANNOUNCED_STRICT;
    talk.exchange("EPSV\r\n", "229 (|||10241|)\r\n");
    assert_eq!((talk.port(), talk.count(Counter::AnnouncedAddressDiffers)), (Some(10241), 0));
    talk.exchange("PASV\r\n", "227 (10,0,1,1,40,2)\r\n");
    assert_eq!((talk.port(), talk.count(Counter::AnnouncedAddressDiffers)), (Some(10242), 0));
}

#[test]
fn a_port_stands_behind_the_transfers_that_were_asked_for_before_it() {
    let mut talk = Talk::greeted();
    talk.exchange("RETR a\r\n", "226 Done\r\n");
    talk.exchange("RETR b\r\n", "226 Done\r\n");
    talk.client("PORT 10,0,1,2,40,1\r\nRETR c\r\nNOOP\r\nRETR d\r\n");
    talk.server("200 OK\r\n");
    assert_eq!(talk.session.client.transfers, 4);
    assert_eq!(talk.expected.unwrap().transfers_before, 2);
}
