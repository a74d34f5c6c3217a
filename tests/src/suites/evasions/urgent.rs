//! Urgent data (RFC 6093): the server's stack takes one byte out of the stream, so what it reads isn't
//! what passed. Each case ends with the server saying by a 227 that [`crate::INSIDE`] listens.

use super::connection::{Bout, Stuck};
use super::order::ANNOUNCES;
use crate::packets::tcp_peer::Odd;

/// One case.
#[derive(Debug)]
pub struct Case {
    /// What is urgent.
    pub name: &'static str,
    /// Segments, each with its urgent pointer.
    said: &'static [(&'static [u8], Option<u16>)],
    /// What the server reads.
    read: &'static [u8],
    /// Whether the server's 227 to that opens.
    pub opens: bool,
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

impl Case {
    /// Plays it to the server's 227, as far as words arrive.
    ///
    /// # Errors
    ///
    /// Words that must arrive did not.
    #[track_caller]
    pub fn play(&self, bout: &mut Bout<'_>) -> Result<(), Stuck> {
        for (text, urgent) in self.said {
            let segment = bout.peer.segment(text);
            bout.peer.put_odd(&segment, Odd { urgent: *urgent, ..Odd::default() });
            bout.peer.next = segment.next();
        }
        bout.gets(self.read)?;
        bout.answer(ANNOUNCES)
    }
}
