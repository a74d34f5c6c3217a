//! What was to be reached, and what was.

mod found;

use ftptrack_tests::actors::curl::Mode;

use crate::machine::Machine;
use crate::measure::Series;
use crate::packets::name;
use crate::{FTPTRACK, RUN, WATCH, bulk, live, rate, scale, start, transfer};
use found::Found;

/// One line of the table of goals.
pub(crate) struct Goal {
    pub(crate) what: String,
    pub(crate) goal: String,
    pub(crate) measured: String,
    /// Whether the median is as good as it was to be.
    pub(crate) reached: bool,
}

/// Nanoseconds over the empty program: on newer CPUs, and on AMD's first Zen. One number holds for both.
const PACKETS: [(&str, f64, f64); 12] = [
    (name::UNRELATED, 4.0, 6.0),
    (name::DATA, 10.0, 15.0),
    (name::DATA_OUT, 10.0, 15.0),
    (name::ACKNOWLEDGEMENT, 60.0, 60.0),
    (name::COMMAND, 180.0, 180.0),
    (name::REPLY, 180.0, 180.0),
    (name::ENTERED, 600.0, 600.0),
    (name::PORT, 350.0, 350.0),
    (name::FIRST_SYN, 250.0, 250.0),
    (name::DENIED_SYN, 90.0, 90.0),
    // At random, as the next ones: by BPF_PROG_TEST_RUN, and between two hosts.
    (scale::AMONG_A_MILLION, 15.0, 15.0),
    (live::AMONG_A_MILLION, 30.0, 30.0),
];

/// Nanoseconds that a byte of a line takes.
const A_BYTE: f64 = 0.3;
/// Microseconds of a whole transfer, over the empty program's.
const A_TRANSFER: f64 = 5.0;
/// Transfers a second, no filter = 1, by who reads the events.
const TRANSFERS: [(&str, f64); 3] = [(FTPTRACK, 0.99), (WATCH, 0.99), (RUN, 0.97)];
/// Large files: throughput, no filter = 1; the same in relation to the empty program; processor time, no filter = 1.
const THROUGHPUT: f64 = 0.99;
const OF_THE_EMPTY: f64 = 0.995;
const PROCESSOR: f64 = 1.01;
/// One flow on two CPUs, in relation to two flows.
const SHARED: f64 = 1.1;
/// The most that the verifier may go through, on any kernel.
const VERIFIED: u32 = 120_000;

/// All goals whose numbers were measured.
pub(crate) fn all(series: &[Series], machine: &Machine) -> Vec<Goal> {
    let found = Found(series);
    let mut goals = Vec::new();
    for (what, newer, first_zen) in PACKETS {
        goals.push(found.packet(what, if machine.is_first_zen() { first_zen } else { newer }));
    }
    goals.extend([
        found.two_cpus(SHARED),
        found.text("a client's text", name::CLIENT_TEXT, name::COMMAND, A_BYTE),
        found.text("a server's text", name::SERVER_TEXT, name::REPLY, A_BYTE),
    ]);
    goals.extend([Mode::Pasv, Mode::Port].map(|mode| found.transfer(&transfer::name(mode), A_TRANSFER)));
    for what in rate::names() {
        goals.extend(TRANSFERS.map(|(reader, least)| found.transfers(&what, reader, least)));
    }
    for offloads in [true, false] {
        for download in [true, false] {
            let what = bulk::name(download, offloads, bulk::THROUGHPUT);
            goals.push(found.throughput(&what, THROUGHPUT, OF_THE_EMPTY));
        }
    }
    for offloads in [true, false] {
        for download in [true, false] {
            goals.push(found.processor(&bulk::name(download, offloads, bulk::PROCESSOR), PROCESSOR));
        }
    }
    goals.extend([
        found.at_most(start::ATTACH, 110.0),
        found.at_most(&start::attach_sized(), 150.0),
        found.at_most(&live::query_name(1_000_000), 1_000.0),
        found.at_most(live::FLOW_BYTES, 128.0),
        found.at_most(live::SESSION_BYTES, 512.0),
        found.verified(VERIFIED),
    ]);
    goals.into_iter().flatten().collect()
}
