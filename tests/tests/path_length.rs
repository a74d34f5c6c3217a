//! How many instructions the compiled program takes for a packet: a guard against gross regressions that needs no
//! quiet machine. `cargo xtask bench` has the times; run with `--nocapture` to see the numbers.

use std::net::IpAddr;
use std::slice;

use aya::Pod;
use ftp_common::address::Address;
use ftp_common::flow::tcp::{ACK, SYN};
use ftp_common::keys::ServerKey;
use ftp_common::policy::{Config, MAX_POLICIES};
use ftptrack_tests::INSIDE;
use ftptrack_tests::packets::ip::Ipv4;
use ftptrack_tests::subject::interpret::{Interpreter, Path};
use ftptrack_tests::subject::test_run::frame::{Tcp, ethernet};
use ftptrack_tests::subject::test_run::harness::usual_policy;
use ftptrack_tests::subject::test_run::tables::Value;
use ftptrack_tests::subject::test_run::{Hook, LOCAL, classes};

const PASS: i32 = -1;
const DROP: i32 = 2;

const SERVER: &str = "10.0.1.1";
const CLIENT: &str = "10.0.1.2";

/// A control connection at the interpreted program: what each end says next.
struct Ground {
    machine: Interpreter,
    client_next: u32,
    server_next: u32,
}

impl Ground {
    /// The usual policy, and a client that has logged in.
    fn new() -> Self {
        let mut machine = Interpreter::new();
        let address: IpAddr = SERVER.parse().expect("an address");
        let key = ServerKey { generation: 1, address: Address::from(address) };
        let prefix = [&ServerKey::BITS.to_ne_bytes()[..], bytes_of(&Value(key))].concat();
        machine.set("CONFIG", &index(0), bytes_of(&Value(Config { generation: 1, options: 0, seed: 1 })));
        machine.set("PORTS", &index(1), bytes_of(&Value(classes(&usual_policy()))));
        machine.set("POLICIES", &index(MAX_POLICIES), bytes_of(&Value(usual_policy())));
        machine.set("SERVERS", &prefix, &index(0));
        let mut ground = Self { machine, client_next: 1001, server_next: 5001 };
        let [syn, syn_ack] = [(1000, 0, SYN), (5000, 1001, SYN | ACK)];
        ground.pass(Hook::Ingress, &to_server(40000, 21).at(syn.0, syn.1).flags(syn.2));
        ground.pass(LOCAL, &to_client(21, 40000).at(syn_ack.0, syn_ack.1).flags(syn_ack.2));
        ground.client("");
        assert_eq!(ground.machine.entries("SESSIONS"), 1);
        ground.server("220 hello\r\n");
        ground.client("USER anonymous\r\n");
        ground.server("331 password, please\r\n");
        ground.client("PASS guest\r\n");
        ground.server("230 in\r\n");
        ground
    }

    fn run(&mut self, hook: Hook, tcp: &Tcp) -> Path {
        self.machine.run(hook, &tcp.frame())
    }

    #[track_caller]
    fn pass(&mut self, hook: Hook, tcp: &Tcp) -> Path {
        let path = self.run(hook, tcp);
        assert_eq!(path.verdict, PASS, "{tcp:?}");
        path
    }

    #[track_caller]
    fn client(&mut self, text: &str) -> Path {
        let tcp = to_server(40000, 21).at(self.client_next, self.server_next).says(text);
        self.client_next += tcp.length();
        self.pass(Hook::Ingress, &tcp)
    }

    #[track_caller]
    fn server(&mut self, text: &str) -> Path {
        let tcp = to_client(21, 40000).at(self.server_next, self.client_next).says(text);
        self.server_next += tcp.length();
        self.pass(LOCAL, &tcp)
    }
}

fn to_server(from: u16, to: u16) -> Tcp {
    Tcp::new(&format!("{CLIENT}:{from}"), &format!("{SERVER}:{to}"))
}

fn to_client(from: u16, to: u16) -> Tcp {
    Tcp::new(&format!("{SERVER}:{from}"), &format!("{CLIENT}:{to}"))
}

fn index(number: u32) -> [u8; 4] {
    number.to_ne_bytes()
}

fn bytes_of<T: Pod>(value: &T) -> &[u8] {
    // SAFETY: plain old data has no padding that could not be read, and lives as long as the borrow.
    unsafe { slice::from_raw_parts((&raw const *value).cast(), size_of::<T>()) }
}

/// A path: what it is, most instructions, most calls of the kernel's functions. The first is about 1.3 times what it
/// took when this was written.
type Bound = (&'static str, u64, u64);

#[track_caller]
fn check((what, instructions, calls): Bound, path: Path) {
    println!("{what}: {} instructions, {} calls of the kernel", path.instructions, path.calls);
    assert!(path.instructions <= instructions, "{what}: {path:?}, and at most {instructions} instructions");
    assert!(path.calls <= calls, "{what}: {path:?}, and at most {calls} calls of the kernel");
}

#[test]
fn packets_that_are_none_of_our_business_end_early() {
    let mut ground = Ground::new();
    let unrelated = to_server(50000, 443).says([0; 100]);
    check(("unrelated TCP", 116, 0), ground.pass(Hook::Ingress, &unrelated));
    let v6 = Tcp::new("[fd00::3]:50000", "[fd00::1]:443").says([0; 100]);
    check(("unrelated TCP over IPv6", 116, 0), ground.pass(Hook::Ingress, &v6));
    let mut udp = unrelated.packet();
    udp[9] = 17;
    check(("UDP", 48, 0), ground.machine.run(Hook::Ingress, &ethernet(&udp)));
    let other = Ipv4::default().packet([10, 0, 1, 2].into(), [10, 0, 1, 1].into(), &[0; 28]);
    let mut arp = ethernet(&other);
    arp[12..14].copy_from_slice(&[8, 6]);
    check(("ARP", 43, 0), ground.machine.run(Hook::Ingress, &arp));
}

#[test]
fn data_connections_take_few_instructions() {
    let mut ground = Ground::new();
    ground.client("EPSV\r\n");
    ground.server(&format!("229 Entering Extended Passive Mode (|||{INSIDE}|)\r\n"));
    assert_eq!(ground.machine.entries("EXPECTATIONS"), 1);
    let denied = ground.run(Hook::Ingress, &to_server(50000, INSIDE + 1).at(1000, 0).flags(SYN));
    assert_eq!(denied.verdict, DROP);
    check(("denied SYN", 950, 5), denied);
    // The events of a second: nobody reads more.
    for port in 0..100 {
        ground.run(Hook::Ingress, &to_server(50001 + port, INSIDE + 1).at(1000, 0).flags(SYN));
    }
    let denied = ground.run(Hook::Ingress, &to_server(50000, INSIDE + 1).at(1000, 0).flags(SYN));
    assert_eq!(denied.verdict, DROP);
    check(("denied SYN of a flood", 850, 3), denied);

    let syn = ground.pass(Hook::Ingress, &to_server(50000, INSIDE).at(1000, 0).flags(SYN));
    assert_eq!(ground.machine.entries("HALF_OPEN"), 1);
    check(("first SYN of an expectation", 1520, 7), syn);
    ground.pass(LOCAL, &to_client(INSIDE, 50000).at(5000, 1001).flags(SYN | ACK));
    ground.pass(Hook::Ingress, &to_server(50000, INSIDE).at(1001, 5001));
    assert_eq!(ground.machine.entries("EXPECTATIONS"), 0, "it is used up");
    ground.pass(LOCAL, &to_client(INSIDE, 50000).at(5001, 1001).says("data"));
    assert_eq!((ground.machine.entries("HALF_OPEN"), ground.machine.entries("FLOWS")), (0, 1));

    let data = ground.pass(Hook::Ingress, &to_server(50000, INSIDE).at(1001, 5001).says([0; 1000]));
    check(("data of an open flow", 230, 0), data);
}

#[test]
fn text_takes_few_instructions() {
    let mut ground = Ground::new();
    let command = ground.client("NOOP 012345678901234567\r\n");
    check(("command of 25 bytes", 2310, 5), command);
    let reply = ground.server("200 NOOP command is fine\r\n");
    check(("reply of 25 bytes", 2190, 5), reply);
    let line = format!("SITE {}\r\n", "x".repeat(1393));
    check(("1,400 bytes of a client's text, one line", 10_400, 6), ground.client(&line));
    ground.server("200 fine\r\n");
    ground.client("STAT\r\n");
    ground.server("213-Status\r\n");
    let lines = format!("{}\r\n", "x".repeat(68)).repeat(20);
    check(("1,400 bytes of a server's text, lines of 70", 15_700, 4), ground.server(&lines));
    ground.server("213 that was it\r\n");
    // Still in sync: what the server names is expected.
    ground.client("EPSV\r\n");
    let expects = ground.server(&format!("229 Entering Extended Passive Mode (|||{INSIDE}|)\r\n"));
    check(("229 that answers an EPSV", 5_260, 9), expects);
    assert_eq!(ground.machine.entries("EXPECTATIONS"), 1);
}
