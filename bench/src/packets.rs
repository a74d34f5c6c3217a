//! What one packet costs: BPF_PROG_TEST_RUN, over the empty program in the same harness.
//!
//! The same packet again and again is right where it changes nothing. Where it would (a command repeated is a
//! repetition to TCP), `bench/ebpf` makes each packet the next one of its connection, in batches so short that the
//! session's ring of waiting commands has room for them; the session is put back in between. Both are measured with
//! the same driver in front, and the difference is what counts.

use std::net::Ipv4Addr;

use aya::Ebpf;
use ftp_common::SECOND;
use ftp_common::address::Address;
use ftp_common::counter::Counter;
use ftp_common::expectation::Expectation;
use ftp_common::flow::Flow;
use ftp_common::flow::tcp::SYN;
use ftp_common::keys::{ConnectionKey, ExpectationKey};
use ftp_common::policy::option;
use ftp_common::session::Session;
use ftp_common::unfinished::MAX_UNFINISHED;
use ftptrack_tests::INSIDE;
use ftptrack_tests::packets::ip::Ipv4;
use ftptrack_tests::subject::test_run::frame::{Tcp, ethernet};
use ftptrack_tests::subject::test_run::harness::{Control, Harness};
use ftptrack_tests::subject::test_run::{Hook, Kernel, LOCAL, Setup, Verdict};

use crate::measure::{Series, Spread};
use crate::programs::{self, Drive, Pattern};
use crate::{EMPTY, FTPTRACK, Length};

const PART: &str = "packet";

/// The first client address where there are many.
pub(crate) const CLIENTS: Ipv4Addr = Ipv4Addr::new(10, 64, 0, 0);
/// Flows among which random packets choose.
const FLOWS: u32 = 10_000;
/// Packets of one control connection in a row: all are new commands, or answers to commands that wait (16 at most).
pub(crate) const IN_A_ROW: u32 = 8;
/// Connections that are expected at a time: a session may have so many that are half-open.
const EXPECTED: u32 = MAX_UNFINISHED;

/// A command of 25 bytes.
pub(crate) const NOOP: &str = "NOOP 012345678901234567\r\n";

/// Names that the table of goals asks for.
pub(crate) mod name {
    pub(crate) const UNRELATED: &str = "unrelated TCP";
    pub(crate) const DATA: &str = "data of an open flow";
    pub(crate) const DATA_OUT: &str = "data of an open flow, going out";
    pub(crate) const ACKNOWLEDGEMENT: &str = "acknowledgement on a control connection";
    pub(crate) const FIRST_SYN: &str = "first SYN of an expectation";
    pub(crate) const DENIED_SYN: &str = "denied SYN";
    pub(crate) const COMMAND: &str = "command of 25 bytes";
    pub(crate) const PORT: &str = "PORT";
    pub(crate) const REPLY: &str = "reply of 25 bytes";
    pub(crate) const ENTERED: &str = "227 that answers a PASV";
    pub(crate) const CLIENT_TEXT: &str = "1,400 bytes of a client's text, one line";
    pub(crate) const SERVER_TEXT: &str = "1,400 bytes of a server's text, lines of 70";
}

/// All of it.
pub(crate) fn measure(length: Length) -> Vec<Series> {
    let mut bench = Bench::new(length);
    bench.repeated();
    bench.random();
    bench.begins();
    bench.control();
    bench.done
}

struct Bench {
    harness: Harness,
    empty: Ebpf,
    rounds: u32,
    packets: u32,
    batches: u32,
    done: Vec<Series>,
}

impl Bench {
    fn new(length: Length) -> Self {
        let harness = Harness::alone(Kernel::load_sized(Setup::SERVERS_BEHIND, 16_384, 65_536));
        let empty = programs::empty();
        let [rounds, packets, batches] = length.pick([9, 100_000, 200], [25, 1_000_000, 1_000]);
        Self { harness, empty, rounds, packets, batches, done: Vec::new() }
    }

    /// Packets that may be repeated as they are, and a file's.
    fn repeated(&mut self) {
        let v6 = Tcp::new("[fd00::3]:50000", "[fd00::1]:443").says([0; 100]);
        let udp = {
            // Ports, length, no checksum.
            let mut datagram = vec![0xc3, 0x50, 0, 53, 0, 108, 0, 0];
            datagram.resize(108, 0);
            let mut packet = Ipv4::default().packet(Ipv4Addr::new(10, 0, 1, 3), Ipv4Addr::new(10, 0, 1, 1), &datagram);
            packet[9] = 17;
            ethernet(&packet)
        };
        let mut arp = ethernet(&[0x45; 46]);
        arp[12..14].copy_from_slice(&[8, 6]);
        let unrelated = self.harness.to_server(50000, 443).says([0; 100]).frame();
        self.same(name::UNRELATED, Hook::Ingress, &unrelated, 0);
        self.same("unrelated TCP over IPv6", Hook::Ingress, &v6.frame(), 0);
        self.same("UDP", Hook::Ingress, &udp, 0);
        self.same("ARP", Hook::Ingress, &arp, 0);

        let control = self.harness.expecting(INSIDE);
        open_data_connection(&self.harness);
        let upload = self.harness.to_server(50000, INSIDE).at(1001, 6001).says([0; 1000]);
        let download = self.harness.to_client(INSIDE, 50000).at(6001, 1001).says([0; 1000]);
        self.in_sequence(name::DATA, Hook::Ingress, &upload);
        self.in_sequence(name::DATA_OUT, LOCAL, &download);
        let [upload, download] = [upload, download].map(|tcp| tcp.frame());
        self.same("data of an open flow, no accounting", Hook::Ingress, &upload, option::NO_ACCOUNTING);
        self.same("data of an open flow, going out, no accounting", LOCAL, &download, option::NO_ACCOUNTING);
        let denied = self.harness.syn(INSIDE + 1).frame();
        self.same(name::DENIED_SYN, Hook::Ingress, &denied, 0);
        let acknowledgement = control.client_segment(&self.harness, "").frame();
        self.same(name::ACKNOWLEDGEMENT, Hook::Ingress, &acknowledgement, 0);
    }

    fn same(&mut self, what: &str, hook: Hook, frame: &[u8], options: u32) {
        self.harness.kernel.set_options(options);
        let mut series = Series::new(PART, what, "ns");
        for _ in 0..self.rounds {
            series.add(EMPTY, programs::run(programs::program(&self.empty, "empty"), frame, self.packets));
            series.add(FTPTRACK, programs::run(self.harness.kernel.program(hook), frame, self.packets));
        }
        self.harness.kernel.set_options(0);
        self.done.push(series);
    }

    /// Each packet the next of its connection, as in a file: what happens once in many packets is in it.
    fn in_sequence(&mut self, what: &str, hook: Hook, tcp: &Tcp) {
        let pattern = Pattern { advance: tcp.length(), first_sequence: tcp.seq, ..Pattern::default() };
        let [mut floor, mut ours] = self.drives(hook, pattern);
        let frame = tcp.frame();
        let mut series = Series::new(PART, what, "ns");
        for _ in 0..self.rounds {
            series.add(EMPTY, floor.run(&frame, self.packets));
            series.add(FTPTRACK, ours.run(&frame, self.packets));
        }
        self.done.push(series);
    }

    /// Data packets of many flows, at random.
    fn random(&mut self) {
        self.harness.kernel.empty();
        let (key, flow) = open_flow(&mut self.harness);
        for client in 0..FLOWS {
            self.harness.kernel.flows.put(&ConnectionKey { client: client_address(client), ..key }, &flow);
        }
        let frame = self.harness.to_server(50000, INSIDE).at(1001, 5001).says([0; 1000]).frame();
        let pattern =
            Pattern { sources: FLOWS, first_source: CLIENTS.to_bits(), at_random: true, ..Pattern::default() };
        for (what, options) in [
            ("data of 10,000 flows at random", 0),
            ("data of 10,000 flows at random, no accounting", option::NO_ACCOUNTING),
        ] {
            self.harness.kernel.set_options(options);
            let mut series = Series::new(PART, what, "ns");
            let [mut floor, mut ours] = self.drives(Hook::Ingress, pattern);
            for _ in 0..self.rounds {
                series.add(EMPTY, floor.run(&frame, self.packets));
                series.add(FTPTRACK, ours.run(&frame, self.packets));
            }
            self.done.push(series);
        }
        self.harness.kernel.set_options(0);
    }

    /// The driver in front of the empty program, and in front of ours.
    fn drives(&self, hook: Hook, pattern: Pattern) -> [Drive; 2] {
        let empty = programs::program(&self.empty, "empty");
        [empty, self.harness.kernel.program(hook)].map(|program| Drive::new(program, pattern))
    }

    /// First SYNs, each of another client and each expected.
    fn begins(&mut self) {
        self.harness.kernel.empty();
        let control = self.harness.expecting(INSIDE);
        let session = control.session(&self.harness).expect("it is followed");
        let session_key = self.key(&session);
        let all = self.harness.kernel.expectations.all();
        let (key, expectation) = all.into_iter().next().expect("it was negotiated");
        let expectation = Expectation { expires: expectation.expires + 3600 * SECOND, ..expectation };
        let frame = self.harness.to_server(50000, INSIDE).at(1000, 0).flags(SYN).frame();
        let pattern = Pattern { sources: EXPECTED, first_source: CLIENTS.to_bits(), ..Pattern::default() };
        let [mut floor, mut ours] = self.drives(Hook::Ingress, pattern);
        let mut series = Series::new(PART, name::FIRST_SYN, "ns");
        for _ in 0..self.rounds {
            let [mut without, mut with] = [const { Vec::new() }; 2];
            for _ in 0..self.batches / 5 {
                self.harness.kernel.empty();
                self.harness.kernel.sessions.put(&session_key, &session);
                for client in 0..EXPECTED {
                    let key = ExpectationKey { client: client_address(client), ..key };
                    self.harness.kernel.expectations.put(&key, &expectation);
                }
                without.push(floor.run(&frame, EXPECTED));
                with.push(ours.run(&frame, EXPECTED));
                assert_eq!(self.harness.kernel.half_open.all().len(), EXPECTED as usize, "each SYN was expected");
            }
            add(&mut series, without, with);
        }
        self.done.push(series);
    }

    /// Text of control connections, each packet the next of its connection.
    fn control(&mut self) {
        self.harness.kernel.empty();
        let mut idle = self.harness.control(40000);
        idle.exchange(&self.harness, "USER anonymous\r\n", "331 password, please\r\n");
        idle.exchange(&self.harness, "PASS guest\r\n", "230 in\r\n");
        let line = format!("SITE {}\r\n", "x".repeat(1393));
        for (what, text, counts) in [
            (name::COMMAND, NOOP, Some(Counter::Commands)),
            ("PASV", "PASV\r\n", Some(Counter::Commands)),
            (name::PORT, "PORT 10,0,1,2,156,65\r\n", Some(Counter::Commands)),
            (name::CLIENT_TEXT, &line, Some(Counter::Commands)),
        ] {
            self.in_a_row(what, Hook::Ingress, idle, text, counts);
        }

        let waiting = |commands: &str, text: &str, harness: &Harness, port: u16| {
            let mut control = harness.control(port);
            let _ = control.client(harness, &commands.repeat(IN_A_ROW as usize));
            if !text.is_empty() {
                let _ = control.server(harness, text);
            }
            control
        };
        let entered = "227 Entering Passive Mode (10,0,1,1,58,152).\r\n";
        let listing = format!("{}\r\n", "x".repeat(68)).repeat(20);
        for (port, what, commands, begun, text, counts) in [
            (40001, name::REPLY, "NOOP\r\n", "", "200 NOOP command is fine\r\n", Some(Counter::Replies)),
            (40002, name::ENTERED, "PASV\r\n", "", entered, Some(Counter::ExpectationsPassive)),
            (40003, name::SERVER_TEXT, "STAT\r\n", "213-Status\r\n", &listing, None),
        ] {
            let control = waiting(commands, begun, &self.harness, port);
            self.in_a_row(what, LOCAL, control, text, counts);
        }
    }

    /// `text` again and again, from the client or from the server, in sequence. `counts` is counted once a packet.
    fn in_a_row(&mut self, what: &str, hook: Hook, control: Control, text: &str, counts: Option<Counter>) {
        let before = control.session(&self.harness).expect("it is followed");
        let key = self.key(&before);
        let (tcp, first) = if hook == Hook::Ingress {
            (control.client_segment(&self.harness, text), control.client_next)
        } else {
            (control.server_segment(&self.harness, text), control.server_next)
        };
        let (frame, advance) = (tcp.frame(), tcp.length());
        let pattern = Pattern { advance, first_sequence: first, ..Pattern::default() };
        let [mut floor, mut ours] = self.drives(hook, pattern);
        let mut series = Series::new(PART, what, "ns");
        self.harness.forget();
        for _ in 0..self.rounds {
            let [mut without, mut with] = [const { Vec::new() }; 2];
            for _ in 0..self.batches {
                self.harness.kernel.sessions.put(&key, &before);
                without.push(floor.run(&frame, IN_A_ROW));
                with.push(ours.run(&frame, IN_A_ROW));
            }
            add(&mut series, without, with);
        }
        self.harness.kernel.sessions.put(&key, &before);
        let counted = self.harness.counts();
        assert!(counted.iter().all(|(counter, _)| *counter != Counter::Desyncs), "{what}: {counted:?}");
        if let Some(counter) = counts {
            let packets = u64::from(self.rounds * self.batches * IN_A_ROW);
            assert!(counted.contains(&(counter, packets)), "{what}: {packets} packets: {counted:?}");
        }
        self.done.push(series);
    }

    fn key(&self, session: &Session) -> ConnectionKey {
        let all = self.harness.kernel.sessions.all();
        all.into_iter().find(|(_, other)| other.session_id == session.session_id).expect("it is followed").0
    }
}

/// A data connection from port 50000 to [`INSIDE`], negotiated and established; its flow.
pub(crate) fn open_flow(harness: &mut Harness) -> (ConnectionKey, Flow) {
    let _control = harness.expecting(INSIDE);
    open_data_connection(harness);
    harness.kernel.flows.all().into_iter().next().expect("it was negotiated")
}

/// The same where it is expected. By its first bytes the server shows that it has taken the connection.
fn open_data_connection(harness: &Harness) {
    let first_bytes = harness.to_client(INSIDE, 50000).at(5001, 1001).says([0; 1000]);
    for tcp in harness.handshake(50000, INSIDE).iter().chain([&first_bytes]) {
        assert_eq!(harness.pass(tcp), Verdict::Pass);
    }
}

fn add(series: &mut Series, without: Vec<f64>, with: Vec<f64>) {
    for (filter, batches) in [(EMPTY, without), (FTPTRACK, with)] {
        series.add(filter, Spread::of(batches).expect("there were some").median);
    }
}

/// The address of the client with that number.
pub(crate) fn client_address(number: u32) -> Address {
    Address::from_v4_word((CLIENTS.to_bits() + number).to_be())
}
