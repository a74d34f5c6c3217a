extern crate std;
use super::*;
use core::net::IpAddr;
use proptest::prelude::*;
use std::{format, string::ToString as _};

fn port(text: &str) -> Option<HostPort> {
    let mut argument = Argument::default();
    argument.begin();
    text.bytes().for_each(|b| argument.push_port(b));
    let mut named = HostPort::default();
    argument.end_port(&mut named).then_some(named)
}

fn eprt(text: &str) -> Option<HostPort> {
    let mut argument = Argument::default();
    argument.begin();
    text.bytes().for_each(|b| argument.push_eprt(b));
    let mut named = HostPort::default();
    argument.end_eprt(&mut named).then_some(named)
}

fn says(address: &str, port: u16) -> Option<HostPort> {
    let address = address.parse::<IpAddr>().unwrap().into();
    Some(HostPort { address, port })
}

#[test]
fn port_takes_six_octets() {
    assert_eq!(port("10,0,0,2,40,1"), says("10.0.0.2", 10241));
    assert_eq!(port("010,000,000,002,040,001"), says("10.0.0.2", 10241));
    assert_eq!(port("255,255,255,255,255,255"), says("255.255.255.255", 65535));
    assert_eq!(port("10,0,0,2,0,0"), says("10.0.0.2", 0));
}

#[test]
fn port_takes_nothing_else() {
    for text in [
        "",
        "10",
        "10,0,0,2,40",
        "10,0,0,2,40,",
        "10,0,0,2,40,1,",
        "10,0,0,2,40,1,1",
        "10,0,0,2,40,256",
        "10,0,0,258,40,1",
        "10,0,0,300,40,1",
        "10,0,0,2,0x28,1",
        "10,0,0,2,-40,1",
        "10,0,0,2,+40,1",
        "10, 0,0,2,40,1",
        "10,0,0,2,40,1 ",
        "10,0,0,2,0040,1",
        ",0,0,2,40,1",
        "10,,0,2,40,1",
        "10.0.0.2.40.1",
        "4294967306,0,0,2,40,1",
        "10,0,0,2,40,1x",
    ] {
        assert_eq!(port(text), None, "{text:?}");
    }
}

#[test]
fn eprt_takes_both_families_and_any_delimiter() {
    assert_eq!(eprt("|1|132.235.1.2|6275|"), says("132.235.1.2", 6275));
    assert_eq!(eprt("|2|1080::8:800:200C:417A|5282|"), says("1080::8:800:200c:417a", 5282));
    assert_eq!(eprt("!1!132.235.1.2!6275!"), says("132.235.1.2", 6275));
    assert_eq!(eprt("~2~::1~06275~"), says("::1", 6275));
    assert_eq!(eprt("|1|010.000.000.002|1025|"), says("10.0.0.2", 1025));
}

#[test]
fn eprt_takes_every_spelling_of_rfc_4291() {
    for text in [
        "2001:DB8:0:0:8:800:200C:417A",
        "2001:db8::8:800:200C:417A",
        "FF01:0:0:0:0:0:0:101",
        "FF01::101",
        "::1",
        "::",
        "0:0:0:0:0:0:0:1",
        "0:0:0:0:0:0:13.1.68.3",
        "::13.1.68.3",
        "::FFFF:129.144.52.38",
        "0:0:0:0:0:FFFF:129.144.52.38",
        "1::",
        "1:2:3:4:5:6:7::",
        "::2:3:4:5:6:7:8",
        "0001:02::0003",
        "64:ff9b::192.0.2.33",
        "1:2:3:4:5::13.1.68.3",
    ] {
        assert_eq!(eprt(&format!("|2|{text}|1025|")), says(text, 1025), "{text}");
    }
}

#[test]
fn eprt_takes_no_other_address() {
    for text in [
        "",
        ":",
        ":::",
        "1",
        "1:2:3:4:5:6:7",
        "1:2:3:4:5:6:7:8:9",
        "1::2::3",
        "12345::",
        "g::",
        "fe80::1%eth0",
        "1:2:3:4:5:6:7:8::",
        "::1:2:3:4:5:6:7:8",
        ":1:2:3:4:5:6:7",
        ":1:2:3:4:5:6:7:8",
        ":1::",
        ":1",
        ":1:2:3:4:5:6:7",
        "1:2:3:4:5:6:7:",
        "1.2.3.4",
        "::1.2.3",
        "::1.2.3.4.5",
        "::1.2.3.256",
        "::1.2.3.4:5",
        "1:2:3:4:5:6:7:1.2.3.4",
        "::a.2.3.4",
        "::1.2.3.",
        " ::1",
        "::1..2.3",
        "::1g2g3g4",
        "::1%2%3%4",
        "[::1]",
    ] {
        assert_eq!(eprt(&format!("|2|{text}|1025|")), None, "{text:?}");
    }
}

#[test]
fn eprt_takes_no_other_form() {
    for text in [
        "",
        "|",
        "|1|10.0.0.2|1025",
        "|1|10.0.0.2|65558|",
        "|1|10.0.0.2|65536|",
        "|1|10.0.0.2||",
        "|1|10.0.0.2|-5|",
        "|1|10.0.0.2|0x22|",
        "|1|10.0.0.2|001025|",
        "|3|10.0.0.2|1025|",
        "||10.0.0.2|1025|",
        "|1|10.0.0|1025|",
        "|1|10.0.0.2.3|1025|",
        "|1|10.0.0.256|1025|",
        "|1|::1|1025|",
        "|2|10.0.0.2|1025|",
        "|1|10.0.0.2|1025|x",
        "|1|10.0.0.2|1025||",
        " |1|10.0.0.2|1025|",
        "|1!10.0.0.2|1025|",
        "|01|10.0.0.2|1025|",
    ] {
        assert_eq!(eprt(text), None, "{text:?}");
    }
}

proptest! {
    #[test]
    fn eprt_reads_what_the_standard_library_reads(address in any::<core::net::Ipv6Addr>(), number in any::<u16>()) {
        let text = address.to_string();
        prop_assert_eq!(eprt(&format!("|2|{text}|{number}|")), says(&text, number));
    }

    #[test]
    fn eprt_agrees_with_the_standard_library_on_what_is_an_address(text in "[0-9a-fA-F:.]{0,24}") {
        let ours = eprt(&format!("|2|{text}|1025|")).map(|named| IpAddr::from(named.address).to_canonical());
        // Zero-padded octets are decimal to FTP servers, and refused by the standard library.
        let padded = text.split([':', '.']).any(|part| part.len() > 1 && part.starts_with('0'));
        if !(padded && text.contains('.')) {
            let theirs = text.parse::<core::net::Ipv6Addr>().ok().map(|a| IpAddr::V6(a).to_canonical());
            prop_assert_eq!(ours, theirs);
        }
    }

    #[test]
    fn port_reads_what_was_written(b in any::<[u8; 6]>()) {
        let text = format!("{},{},{},{},{},{}", b[0], b[1], b[2], b[3], b[4], b[5]);
        let address = format!("{}.{}.{}.{}", b[0], b[1], b[2], b[3]);
        prop_assert_eq!(port(&text), says(&address, u16::from_be_bytes([b[4], b[5]])));
    }
}
