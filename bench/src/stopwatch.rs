//! The time that each kind of packet takes of the programs at a host's interface: two programs of `bench/ebpf` stand
//! around them, the first in the chain and the last.

use aya::Ebpf;
use aya::maps::{HashMap, MapData};
use aya::programs::LinkOrder;
use aya::programs::tc::{TcAttachOptions, TcAttachType};
use ftptrack_tests::hosts::network::{Host, INTERFACE};
use ftptrack_tests::subject::hooks;

use crate::programs;

/// Whether this kernel's chains of programs can have ours at both ends.
pub(crate) fn is_possible() -> bool {
    hooks::known().contains(&"tcx")
}

/// The two programs, attached for as long as this lives.
pub(crate) struct Stopwatch {
    object: Ebpf,
}

/// What packets of one kind took.
#[derive(Clone, Debug)]
pub(crate) struct Kind {
    pub(crate) name: String,
    pub(crate) nanoseconds: u64,
    pub(crate) packets: u64,
}

impl Kind {
    /// Nanoseconds of one packet.
    pub(crate) fn each(&self) -> f64 {
        self.nanoseconds as f64 / self.packets as f64
    }
}

/// As `bench/ebpf` has it: out, control, flags, carries; the first four bytes of a control connection's text.
type Key = [u8; 8];
/// Nanoseconds, packets.
type Value = [u64; 2];

impl Stopwatch {
    /// Around all that is attached to a host's interface now.
    #[track_caller]
    pub(crate) fn around(host: &Host) -> Self {
        let object = host.namespace.run(|| {
            let mut object = programs::object();
            for name in ["before", "after"] {
                let program = programs::loaded(&mut object, name);
                for way in [TcAttachType::Ingress, TcAttachType::Egress] {
                    let order = if name == "before" { LinkOrder::first() } else { LinkOrder::last() };
                    let options = TcAttachOptions::TcxOrder(order);
                    program.attach_with_options(INTERFACE, way, options).expect("root may");
                }
            }
            object
        });
        Self { object }
    }

    /// Forgets what it has measured.
    pub(crate) fn reset(&mut self) {
        let mut spent = self.spent();
        let keys: Vec<Key> = spent.keys().map(|key| key.expect("the map is readable")).collect();
        for key in keys {
            // Removing would let a packet in hand write to what is another's by then.
            spent.insert(key, [0; 2], 0).expect("the map is writable");
        }
    }

    /// What was measured since.
    pub(crate) fn read(&mut self) -> Vec<Kind> {
        let spent = self.spent();
        let all = spent.iter().map(|entry| entry.expect("the map is readable"));
        let seen = all.filter(|(_, [_, packets])| *packets != 0);
        seen.map(|(key, [nanoseconds, packets])| Kind { name: name(key), nanoseconds, packets }).collect()
    }

    fn spent(&mut self) -> HashMap<&mut MapData, Key, Value> {
        self.object.map_mut("SPENT").expect("the object has it").try_into().expect("of this shape")
    }
}

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;

/// In words.
fn name([out, control, flags, carries, word @ ..]: Key) -> String {
    let way = if out == 0 { "in" } else { "out" };
    if control != 0 && carries != 0 {
        return format!("{} {way}", String::from_utf8_lossy(&word).trim_end());
    }
    let what = match (flags, carries != 0) {
        (0, true) => "bytes",
        (0, false) => "acknowledgement",
        (FIN, true) => "bytes with FIN",
        (flags, _) if flags & RST != 0 => "RST",
        (flags, _) if flags & SYN != 0 => "SYN",
        _ => "FIN",
    };
    format!("{} {what} {way}", if control != 0 { "control" } else { "data" })
}

/// Kinds in the order in which a transfer has them, as far as it is always the same.
const ORDER: [&str; 18] = [
    "PASV in",
    "227 out",
    "PORT in",
    "200 out",
    "data SYN in",
    "data SYN out",
    "RETR in",
    "150 out",
    "data bytes out",
    "data bytes with FIN out",
    "data acknowledgement in",
    "data acknowledgement out",
    "data FIN out",
    "data FIN in",
    "226 out",
    "control acknowledgement in",
    "control acknowledgement out",
    "data RST in",
];

/// Where a series stands among all.
pub(crate) fn place(what: &str) -> (bool, usize) {
    let (mode, kind) = what.split_once(": ").unwrap_or_default();
    (mode == "PORT", ORDER.iter().position(|other| *other == kind).unwrap_or(ORDER.len()))
}
