//! Captures, up to the kernel program: whatever a file says of itself, its reading ends, and what comes of it is no
//! longer than the file is. The program itself takes root; its packets are [`super::super::model::fuzz`]'s.

use std::convert::Infallible;
use std::io::Cursor;

use ftp_common::sequence::before;
use ftp_user::replay::gaps::Gaps;
use ftp_user::replay::link::Link;
use ftp_user::replay::packet::{Found, Tcp, find};
use ftp_user::replay::reader::{Capture, LONGEST_PACKET, Record};
use ftp_user::replay::reorder::{MAX_BYTES, MAX_SEGMENTS, Reorder};
use ftp_user::replay::resegment::{self, CutOff, LIMIT};
use ftp_user::replay::timeline;

/// Bytes in front of a packet, once it is ethernet.
const ETHERNET: usize = 14;
/// What begins a gzip file.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Any bytes as a capture.
pub fn capture(bytes: &[u8]) {
    let capture = match Capture::of(Box::new(Cursor::new(bytes.to_vec()))) {
        Ok(capture) => capture,
        Err(what) => {
            assert!(what.starts_with("it"), "{what:?}");
            return;
        }
    };
    let (mut packets, mut captured, mut player) = (0_usize, 0_usize, Player::default());
    let damage = capture.read(|record| -> Result<(), Infallible> {
        packets += 1;
        captured += record.data.len();
        player.record(&record);
        Ok(())
    });
    let Ok(damage) = damage;
    if let Some(damage) = damage {
        assert!(damage.what.contains(&format!("where packet {} should stand: it", packets + 1)), "{damage:?}");
    }
    // What gzip has pressed together may be a thousand times longer.
    if !bytes.starts_with(&GZIP) {
        assert!(captured <= bytes.len() && packets <= bytes.len() / 12, "{captured} bytes in {packets} packets");
    }
}

/// What `replay` keeps from one packet to the next, and a kernel program that defers every other segment.
#[derive(Default)]
struct Player {
    frame: Vec<u8>,
    gaps: Gaps,
    reorder: Reorder,
    /// Segments that came, and those that were taken up again.
    deferred: u64,
    taken: u64,
}

impl Player {
    fn record(&mut self, record: &Record<'_>) {
        assert!(record.cut_off <= LONGEST_PACKET, "{}", record.cut_off);
        if let Some(time) = record.time {
            assert!(!timeline::shown(time).is_empty());
        }
        let Some(link) = Link::of(record.link) else { return };
        let mut frame = std::mem::take(&mut self.frame);
        let is_ip = link.to_ethernet(record.data, &mut frame);
        assert!(frame.len() <= record.data.len() + ETHERNET, "{link:?}");
        if is_ip {
            match find(&frame, record.cut_off as usize) {
                Found::Tcp(segment) => self.segment(&frame, &segment, record.cut_off as usize),
                Found::Ip => assert!(resegment::headers_only(&frame).len() <= LIMIT),
                Found::NotIp | Found::HeadersCut => {}
            }
        }
        self.frame = frame;
    }

    fn segment(&mut self, frame: &[u8], segment: &Tcp, cut_off: usize) {
        let Tcp { network, transport, payload, end, .. } = *segment;
        assert!(
            network < transport && transport + 20 <= payload && payload <= end && end <= frame.len(),
            "{segment:?}"
        );
        assert!(segment.cut_off <= cut_off && segment.length() <= frame.len() + cut_off, "{segment:?}");
        if let Some(missing) = self.gaps.see(segment) {
            assert!(missing.bytes != 0 && missing.sender == segment.destination, "{missing:?}");
        }
        for fill in [CutOff::Lost, CutOff::Filled] {
            pieces_are_the_segment(frame, segment, fill);
        }
        self.defer(frame, segment);
    }

    /// Segments with an odd sequence number wait for the next one of their direction, as far as there is room.
    fn defer(&mut self, frame: &[u8], segment: &Tcp) {
        let direction = segment.ends();
        if segment.seq % 2 == 1 {
            self.deferred += 1;
            self.reorder.push(direction, (segment.seq, frame.to_vec()));
        } else {
            let mut last = None;
            while let Some((seq, early)) = self.reorder.next(direction) {
                self.taken += 1;
                assert!(matches!(find(&early, 0), Found::Tcp(of) if of.seq == seq), "{early:?}");
                // Half of the numbers lie in front of any: then there is no order.
                let order = last.is_none_or(|last: u32| !before(seq, last) || last.abs_diff(segment.seq) > 1 << 29);
                assert!(order, "{seq} behind {last:?}");
                last = Some(seq);
            }
        }
        let (waiting, dropped) = (self.reorder.count(), self.reorder.dropped());
        assert_eq!(self.deferred, self.taken + dropped + waiting as u64);
        assert!(waiting <= MAX_SEGMENTS && self.reorder.bytes() <= MAX_BYTES, "{waiting}");
    }
}

/// Pieces are as long as the kernel takes, and have the segment's payload in its order.
fn pieces_are_the_segment(frame: &[u8], segment: &Tcp, fill: CutOff) {
    let pieces = resegment::all(frame, segment, fill);
    assert!(!pieces.is_empty());
    assert!(pieces.iter().all(|piece| piece.len() <= LIMIT), "{segment:?}");
    let room = LIMIT.saturating_sub(segment.payload);
    if room == 0 {
        assert_eq!(pieces.len(), 1, "its headers alone are too long");
        return;
    }
    if pieces.len() == 1 && pieces[0] == frame {
        return;
    }
    let text: Vec<u8> = pieces.iter().flat_map(|piece| &piece[segment.payload..]).copied().collect();
    let (there, filled) = text.split_at(segment.end - segment.payload);
    assert_eq!(there, &frame[segment.payload..segment.end]);
    let expected = if fill == CutOff::Filled { segment.cut_off } else { 0 };
    assert!(filled.len() == expected && filled.iter().all(|byte| *byte == 0), "{segment:?}");
}
