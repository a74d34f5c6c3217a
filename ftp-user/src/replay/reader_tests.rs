use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;

use super::*;

/// What is read of a capture: times, link layers, packets, bytes cut off; and the damage.
type Records = Vec<(Option<i64>, i32, Vec<u8>, u32)>;

fn read(bytes: &[u8]) -> Result<(Records, Option<Damage>), &'static str> {
    let mut records = Vec::new();
    let capture = Capture::of(Box::new(Cursor::new(bytes.to_vec())))?;
    let damage = capture.read(|record| -> Result<(), std::convert::Infallible> {
        records.push((record.time, record.link, record.data.to_vec(), record.cut_off));
        Ok(())
    });
    let Ok(damage) = damage;
    Ok((records, damage))
}

/// Numbers of 16, 32 and 64 bits in one byte order.
struct Order {
    big: bool,
}

impl Order {
    fn short(&self, number: u16) -> [u8; 2] {
        if self.big { number.to_be_bytes() } else { number.to_le_bytes() }
    }

    fn long(&self, number: u32) -> [u8; 4] {
        if self.big { number.to_be_bytes() } else { number.to_le_bytes() }
    }

    /// A pcap file with two packets, the second cut.
    fn pcap(&self, magic: u32) -> Vec<u8> {
        let mut file = self.long(magic).to_vec();
        file.extend([self.short(2), self.short(4)].concat());
        file.extend([self.long(0), self.long(0), self.long(65_535), self.long(101)].concat());
        file.extend([self.long(1_000), self.long(5), self.long(3), self.long(3), [1, 2, 3, 0]].concat());
        file.pop();
        file.extend([self.long(1_001), self.long(6), self.long(1), self.long(9)].concat());
        file.push(7);
        file
    }

    fn block(&self, kind: u32, body: &[u8]) -> Vec<u8> {
        let padded = body.len().next_multiple_of(4);
        let length = self.long(u32::try_from(padded + 12).unwrap());
        let mut block = [self.long(kind), length].concat();
        block.extend(body);
        block.resize(8 + padded, 0);
        block.extend(length);
        block
    }

    fn section(&self) -> Vec<u8> {
        let lengths = [self.long(u32::MAX), self.long(u32::MAX)].concat();
        let body = [&self.long(0x1a2b_3c4d)[..], &self.short(1), &self.short(0), &lengths].concat();
        self.block(0x0a0d_0d0a, &body)
    }

    /// With `if_tsresol` and `if_tsoffset`, if given.
    fn interface(&self, link: u16, snaplen: u32, time: Option<(u8, i64)>) -> Vec<u8> {
        let mut body = [&self.short(link)[..], &self.short(0), &self.long(snaplen)].concat();
        if let Some((resolution, offset)) = time {
            body.extend([self.short(9), self.short(1), [resolution, 0], [0, 0]].concat());
            body.extend([self.short(14), self.short(8)].concat());
            body.extend(if self.big { offset.to_be_bytes() } else { offset.to_le_bytes() });
            body.extend([0; 4]);
        }
        self.block(1, &body)
    }

    fn enhanced(&self, interface: u32, ticks: u64, data: &[u8], length: u32) -> Vec<u8> {
        let captured = u32::try_from(data.len()).unwrap();
        let (high, low) = ((ticks >> 32) as u32, ticks as u32);
        let numbers = [interface, high, low, captured, length].map(|number| self.long(number)).concat();
        self.block(6, &[&numbers[..], data].concat())
    }
}

const LITTLE: Order = Order { big: false };
const BIG: Order = Order { big: true };

#[test]
fn pcap_is_read_in_either_byte_order_and_either_unit_of_time() {
    for order in [LITTLE, BIG] {
        for (magic, unit) in [(0xa1b2_c3d4, 1_000), (0xa1b2_3c4d, 1)] {
            let (records, damage) = read(&order.pcap(magic)).unwrap();
            assert_eq!(damage, None);
            let second = 1_000_000_000;
            let expected = [
                (Some(1_000 * second + 5 * unit), 101, vec![1, 2, 3], 0),
                (Some(1_001 * second + 6 * unit), 101, vec![7], 8),
            ];
            assert_eq!(records, expected);
        }
    }
}

#[test]
fn pcapng_tells_link_layer_and_unit_of_time_of_each_interface() {
    for order in [LITTLE, BIG] {
        let file = [
            order.section(),
            order.interface(1, 0, None),
            order.interface(276, 2, Some((9, 10))),
            order.interface(101, 0, Some((0x80 | 10, -1))),
            order.block(0x0bad, &[1, 2, 3, 4]),
            order.enhanced(0, 3_000_001, &[1, 2, 3], 3),
            order.enhanced(1, 5, &[4], 9),
            order.enhanced(2, 1_536, &[5], 1),
            order.block(3, &[&order.long(2)[..], &[6, 7]].concat()),
            order.section(),
            order.interface(0, 2, None),
            order.enhanced(0, 1, &[8], 1),
            order.block(3, &[&order.long(9)[..], &[6, 7, 0, 0]].concat()),
        ];
        let (records, damage) = read(&file.concat()).unwrap();
        assert_eq!(damage, None);
        let expected = [
            (Some(3_000_001_000), 1, vec![1, 2, 3], 0),
            (Some(10_000_000_005), 276, vec![4], 8),
            (Some(500_000_000), 101, vec![5], 0),
            (None, 1, vec![6, 7], 0),
            (Some(1_000), 0, vec![8], 0),
            (None, 0, vec![6, 7], 7),
        ];
        assert_eq!(records, expected, "{}", order.big);
    }
}

fn compressed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn gzip_is_unpacked_whatever_is_inside() {
    let pcap = LITTLE.pcap(0xa1b2_c3d4);
    assert_eq!(read(&compressed(&pcap)), read(&pcap));
    let (first, second) = pcap.split_at(30);
    assert_eq!(read(&[compressed(first), compressed(second)].concat()), read(&pcap), "two members, as cat makes");
    let packets: Vec<_> = (0..20_000u32).map(|at| LITTLE.enhanced(0, u64::from(at), &at.to_be_bytes(), 4)).collect();
    let long = [vec![LITTLE.section(), LITTLE.interface(1, 0, None)], packets].concat().concat();
    assert_eq!(read(&compressed(&long)).unwrap().0.len(), 20_000);
    let mut cut = compressed(&long);
    cut.truncate(cut.len() / 2);
    let (records, damage) = read(&cut).unwrap();
    assert!(records.len() > 5_000 && records.len() < 15_000, "{}", records.len());
    assert!(damage.unwrap().what.ends_with("its bytes can't be read"));
    let mut without_end = compressed(&pcap);
    without_end.truncate(without_end.len() - 4);
    assert!(
        read(&without_end).is_err() || read(&without_end).unwrap().1.is_some(),
        "whole packets, and cut all the same"
    );
}

#[test]
fn a_damaged_file_is_read_up_to_the_damage() {
    let whole = LITTLE.pcap(0xa1b2_c3d4);
    for length in 25..43 {
        let (records, damage) = read(&whole[..length]).unwrap();
        assert_eq!(records.len(), 0, "{length}");
        let what = "damaged at byte 24, where packet 1 should stand: it ends in the middle";
        assert_eq!(damage.unwrap().what, what, "{length}");
    }
    for length in 44..60 {
        assert_eq!(read(&whole[..length]).unwrap().0.len(), 1, "{length}");
    }
    let mut long = whole.clone();
    long[32..36].copy_from_slice(&0x0fff_ffff_u32.to_le_bytes());
    let (records, damage) = read(&[long, vec![0; 100]].concat()).unwrap();
    assert_eq!((records.len(), damage.is_some()), (0, true));
    let mut time = whole;
    time[28..32].copy_from_slice(&1_000_000_u32.to_le_bytes());
    assert!(read(&time).unwrap().1.unwrap().what.ends_with("its time is none"));
    let unknown = [LITTLE.section(), LITTLE.enhanced(0, 1, &[1], 1)].concat();
    assert!(read(&unknown).unwrap().1.unwrap().what.ends_with("an interface that was not described"));
    let old = [LITTLE.section(), LITTLE.interface(1, 0, None), LITTLE.block(2, &[0; 24])].concat();
    assert!(read(&old).unwrap().1.is_some());
}

#[test]
fn what_is_no_capture_is_said_to_be_none() {
    assert_eq!(read(b"").unwrap_err(), "it is empty");
    assert_eq!(read(b"hello, world, this is no capture").unwrap_err(), "it is no capture");
    assert_eq!(read(&LITTLE.pcap(0xa1b2_c3d4)[..20]).unwrap_err(), "it ends within its first header");
    assert_eq!(read(&compressed(b"text")).unwrap_err(), "it is no capture");
}

#[test]
fn no_more_is_cut_off_than_any_packet_has() {
    let file = [LITTLE.section(), LITTLE.interface(1, 0, None), LITTLE.enhanced(0, 1, &[1], u32::MAX)].concat();
    assert_eq!(read(&file).unwrap().0[0].3, LONGEST_PACKET);
    let mut file = LITTLE.pcap(0xa1b2_c3d4);
    file[36..40].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(read(&file).unwrap().0[0].3, LONGEST_PACKET);
}

#[test]
fn packets_longer_than_the_buffer_are_read() {
    let data = vec![3; BUFFER + 100_000];
    let length = u32::try_from(data.len()).unwrap();
    let file = [LITTLE.section(), LITTLE.interface(1, 0, None), LITTLE.enhanced(0, 1, &data, length)].concat();
    let (records, damage) = read(&file).unwrap();
    assert_eq!((records.len(), damage), (1, None));
    assert_eq!(records[0].2.len(), data.len());
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2_000)) {
        let _read = read(&bytes);
        for whole in [LITTLE.pcap(0xa1b2_c3d4), [LITTLE.section(), LITTLE.interface(1, 0, None)].concat()] {
            let _read = read(&[whole, bytes.clone()].concat());
        }
    }

    #[test]
    fn a_byte_that_is_another_never_panics(at in 0usize..400, byte: u8, big: bool) {
        let order = Order { big };
        let ng = [
            order.section(),
            order.interface(1, 3, Some((6, 0))),
            order.enhanced(0, 3_000_001, &[1, 2, 3], 3),
            order.block(3, &[&order.long(2)[..], &[6, 7]].concat()),
        ];
        for mut file in [order.pcap(0xa1b2_c3d4), ng.concat(), compressed(&ng.concat())] {
            let at = at % file.len();
            file[at] = byte;
            let _read = read(&file);
        }
    }
}
