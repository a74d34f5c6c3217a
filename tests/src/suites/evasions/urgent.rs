//! Urgent data (RFC 6093): the server's stack takes one byte out of the stream, so it reads another stream
//! than the one that passed.

use ftp_common::counter::Counter;

use super::StreamCase;
use super::connection::{Connection, Hang};
use super::order::ANNOUNCES;
use crate::packets::tcp_peer::Odd;

/// One case.
#[derive(Debug)]
pub struct Case {
    /// What is urgent.
    pub(super) name: &'static str,
    /// Segments, each with its urgent pointer.
    said: &'static [(&'static [u8], Option<u16>)],
    /// What the server reads.
    read: &'static [u8],
    /// Whether the server's 227 to that opens.
    pub(super) opens: bool,
}

/// All of them.
#[rustfmt::skip]
pub const CASES: &[Case] = &[
    Case { name: "a byte in the middle", opens: false,
        said: &[(b"PASXV\r\n", Some(4))], read: b"PASV\r\n" },
    Case { name: "the first byte", opens: false,
        said: &[(b"XPASV\r\n", Some(1))], read: b"PASV\r\n" },
    Case { name: "a pointer of zero, which Linux takes for the first byte", opens: false,
        said: &[(b"PASV\r\n", Some(0))], read: b"ASV\r\n" },
    Case { name: "a pointer to the first byte of the segment behind", opens: false,
        said: &[(b"NOOP\r\n", Some(7)), (b"PASV\r\n", None)], read: b"NOOP\r\nASV\r\n" },
    Case { name: "a pointer from a segment without data", opens: false,
        said: &[(b"", Some(1)), (b"PASV\r\n", None)], read: b"ASV\r\n" },
    Case { name: "the pointer moves", opens: false,
        said: &[(b"NOOP\r\n", Some(100)), (b"PASV\r\n", Some(2))], read: b"NOOP\r\nPASV\r\n" },
    Case { name: "a Telnet ABOR as RFC 959 wants it", opens: true,
        said: &[(b"\xff\xf4\xff\xf2", Some(4)), (b"PASV\r\n", None)], read: b"\xff\xf4\xffPASV\r\n" },
    Case { name: "a Telnet ABOR whose last byte alone is urgent", opens: true,
        said: &[(b"\xff\xf4", None), (b"\xff", Some(1)), (b"\xf2PASV\r\n", None)], read: b"\xff\xf4\xf2PASV\r\n" },
];

impl StreamCase for Case {
    fn name(&self) -> &'static str {
        self.name
    }

    fn opens(&self) -> bool {
        self.opens
    }

    fn counter(&self) -> Counter {
        Counter::UrgentData
    }

    /// A Telnet ABOR is ordinary.
    fn is_counted(&self) -> bool {
        !self.opens
    }

    #[track_caller]
    fn play(&self, connection: &mut Connection<'_>) -> Result<(), Hang> {
        for (text, urgent) in self.said {
            let segment = connection.peer.segment(text);
            connection.peer.put_odd(&segment, Odd { urgent: *urgent, ..Odd::default() });
            connection.peer.next = segment.next();
        }
        connection.gets(self.read)?;
        connection.answer(ANNOUNCES)
    }
}
