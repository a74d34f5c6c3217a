//! A journal of the test's own, in the place of systemd's: it understands the native protocol
//! (<https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>), as far as entries are not so long that they come as a file.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;

use rustix::mount::{MountFlags, mount};

use crate::subject::ftptrack::PinDirectory;
use crate::support::wait;

const DIRECTORY: &str = "/run/systemd/journal";

/// One entry: its fields.
pub type Entry = BTreeMap<String, String>;

/// It listens where systemd's does.
#[derive(Debug)]
pub struct Journal {
    socket: UnixDatagram,
}

impl Journal {
    /// Takes that place, for programs that this thread starts: it has mounts of its own since `_pins` were made.
    #[track_caller]
    pub fn instead_of_the_systems(_pins: &PinDirectory) -> Self {
        mount("tmpfs", "/run", "tmpfs", MountFlags::empty(), None).expect("root may");
        std::fs::create_dir_all(DIRECTORY).expect("our own");
        let socket = UnixDatagram::bind(format!("{DIRECTORY}/socket")).expect("our own");
        socket.set_read_timeout(Some(wait::patience())).expect("a socket");
        Self { socket }
    }

    /// The next entry, skipping the empty one that says hello.
    #[track_caller]
    pub fn next(&self) -> Entry {
        let mut bytes = vec![0; 1 << 16];
        loop {
            match self.socket.recv(&mut bytes) {
                Ok(0) => {}
                Ok(length) => return entry(&bytes[..length]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("no entry came"),
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Reads entries until one is of this event; it.
    #[track_caller]
    pub fn next_of(&self, event: &str) -> Entry {
        loop {
            let entry = self.next();
            if entry.get("FTPTRACK_EVENT").map(String::as_str) == Some(event) {
                return entry;
            }
        }
    }
}

/// `NAME=value` and a line end, or `NAME`, a line end, the length in 64 bits (little endian), the value and a line end.
#[track_caller]
fn entry(mut bytes: &[u8]) -> Entry {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
    let mut fields = BTreeMap::new();
    while !bytes.is_empty() {
        let end = bytes.iter().position(|byte| *byte == b'\n').expect("a line");
        let (line, rest) = (&bytes[..end], &bytes[end + 1..]);
        let (name, value) = match line.iter().position(|byte| *byte == b'=') {
            Some(equals) => {
                bytes = rest;
                (text(&line[..equals]), text(&line[equals + 1..]))
            }
            None => {
                let (length, rest) = rest.split_first_chunk().expect("a length");
                let length = usize::try_from(u64::from_le_bytes(*length)).expect("it fits");
                bytes = &rest[length + 1..];
                (text(line), text(&rest[..length]))
            }
        };
        assert!(fields.insert(name.clone(), value).is_none(), "{name} twice");
    }
    fields
}
