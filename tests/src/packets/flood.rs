//! Packets by the hundred thousand: given to the attached program by BPF_PROG_TEST_RUN, so that it
//! meets them with the maps that real traffic uses meanwhile.

use aya::programs::{ProgramFd, loaded_programs};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd as _, AsRawFd as _};

use crate::actors::client::six_numbers;
use crate::hosts::network::Host;
use crate::packets::segment::{Segment, flag};
use crate::subject::hooks;

/// The verdict TC_ACT_SHOT.
pub const DROPPED: u32 = 2;
/// Where the IPv4 source address lies in a [`frame`].
const SOURCE: usize = 14 + 12;
/// Where the ports and numbers of TCP lie in one.
const TCP: usize = 14 + 20;

/// A program that is attached to the interface of a host.
#[derive(Debug)]
pub struct Attached {
    program: ProgramFd,
}

/// `union bpf_attr` as BPF_PROG_TEST_RUN reads it.
#[repr(C)]
#[derive(Default)]
struct TestRun {
    program: u32,
    verdict: u32,
    data_size_in: u32,
    data_size_out: u32,
    data_in: u64,
    data_out: u64,
    repeat: u32,
    duration: u32,
    context_size_in: u32,
    context_size_out: u32,
    context_in: u64,
    context_out: u64,
    flags: u32,
    cpu: u32,
    batch_size: u32,
    padding: u32,
}

const BPF_PROG_TEST_RUN: libc::c_int = 10;

impl Attached {
    /// The programs that see what comes in, and what goes out.
    #[track_caller]
    pub fn to(host: &Host) -> [Self; 2] {
        let programs = hooks::attached(host);
        // The kernel keeps fifteen bytes of a name.
        ["ftptrack_ingres", "ftptrack_egress"].map(|name| {
            let id = programs.iter().find(|program| program.name == name).expect("it is attached").id;
            let info = loaded_programs().flatten().find(|info| info.id() == id).expect("it is attached");
            Self { program: info.fd().expect("root may") }
        })
    }

    /// Its verdict on a frame (at most about 4,000 bytes).
    #[track_caller]
    pub fn verdict(&self, frame: &[u8]) -> u32 {
        let mut run = TestRun {
            program: u32::try_from(self.program.as_fd().as_raw_fd()).expect("a descriptor"),
            data_size_in: u32::try_from(frame.len()).expect("a frame"),
            data_in: frame.as_ptr() as u64,
            repeat: 1,
            ..TestRun::default()
        };
        // SAFETY: the kernel reads the frame and writes into `run`, for as long as the call lasts.
        let done = unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_TEST_RUN, &raw mut run, size_of::<TestRun>()) };
        assert_eq!(done, 0, "BPF_PROG_TEST_RUN: {}", io::Error::last_os_error());
        run.verdict
    }

    /// Whether it lets a segment pass.
    #[track_caller]
    pub fn passes(&self, segment: &Segment) -> bool {
        self.verdict(&frame(segment)) != DROPPED
    }
}

/// A segment with an Ethernet header.
#[must_use]
pub fn frame(segment: &Segment) -> Vec<u8> {
    let mut frame = vec![0; 12];
    let protocol = if segment.source.is_ipv4() { libc::ETH_P_IP } else { libc::ETH_P_IPV6 };
    frame.extend(u16::try_from(protocol).expect("an EtherType").to_be_bytes());
    frame.extend(segment.to_packet());
    frame
}

/// Says that a [`frame`] comes from elsewhere. Its checksums are wrong then, which is for the stack to
/// find.
pub fn set_source(frame: &mut [u8], address: Ipv4Addr, port: u16) {
    frame[SOURCE..SOURCE + 4].copy_from_slice(&address.octets());
    frame[TCP..TCP + 2].copy_from_slice(&port.to_be_bytes());
}

/// Says that a [`frame`] goes elsewhere.
pub fn set_destination(frame: &mut [u8], address: Ipv4Addr, port: u16) {
    frame[SOURCE + 4..SOURCE + 8].copy_from_slice(&address.octets());
    frame[TCP + 2..TCP + 4].copy_from_slice(&port.to_be_bytes());
}

/// Gives a [`frame`] other numbers.
pub fn set_numbers(frame: &mut [u8], seq: u32, ack: u32) {
    frame[TCP + 4..TCP + 8].copy_from_slice(&seq.to_be_bytes());
    frame[TCP + 8..TCP + 12].copy_from_slice(&ack.to_be_bytes());
}

/// The `n`th of many source addresses, all outside of the test's network.
#[must_use]
pub fn spoofed(n: u32) -> Ipv4Addr {
    // 11.0.0.0/8, each next one far from the one before.
    Ipv4Addr::from(0x0b00_0000 | n.wrapping_mul(0x9e_3779) & 0xff_ffff)
}

/// A control connection whose packets no wire has seen: both of its ends are given to the programs.
#[derive(Debug)]
pub struct Talk<'a> {
    hooks: &'a [Attached; 2],
    /// The client's end.
    pub client: SocketAddr,
    /// The server's end.
    pub server: SocketAddr,
    /// Positions of the next bytes.
    pub said: [u32; 2],
}

impl<'a> Talk<'a> {
    /// No handshake yet; the first bytes of client and server will have these numbers.
    #[must_use]
    pub const fn of(hooks: &'a [Attached; 2], client: SocketAddr, server: SocketAddr, first: [u32; 2]) -> Self {
        Self { hooks, client, server, said: first }
    }

    /// A handshake.
    #[track_caller]
    pub fn begin(hooks: &'a [Attached; 2], client: SocketAddr, server: SocketAddr, first: [u32; 2]) -> Self {
        let talk = Self::of(hooks, client, server, first);
        talk.syn_and_answer();
        assert!(hooks[0].passes(&talk.of_client("")));
        talk
    }

    /// The first two packets of a handshake.
    #[track_caller]
    pub fn syn_and_answer(&self) {
        let [client, server] = self.said;
        let syn = Segment { seq: client.wrapping_sub(1), ack: 0, flags: flag::SYN, ..self.of_client("") };
        assert!(self.hooks[0].passes(&syn), "{syn:?}");
        let flags = flag::SYN | flag::ACK;
        let answer = Segment { seq: server.wrapping_sub(1), flags, ..self.of_server("") };
        assert!(self.hooks[1].passes(&answer), "{answer:?}");
    }

    /// The client's next segment.
    #[must_use]
    pub fn of_client(&self, text: &str) -> Segment {
        Segment {
            source: self.client,
            destination: self.server,
            seq: self.said[0],
            ack: self.said[1],
            flags: flag::ACK | flag::PSH,
            payload: text.as_bytes().to_vec(),
        }
    }

    /// The server's next segment.
    #[must_use]
    pub fn of_server(&self, text: &str) -> Segment {
        let [client, server] = self.said;
        let segment = self.of_client(text);
        Segment { source: segment.destination, destination: segment.source, seq: server, ack: client, ..segment }
    }

    /// The client says something; whether that passes.
    #[track_caller]
    pub fn client_says(&mut self, text: &str) -> bool {
        let segment = self.of_client(text);
        self.said[0] = segment.next();
        self.hooks[0].passes(&segment)
    }

    /// The server says something, and the client acknowledges it.
    #[track_caller]
    pub fn server_says(&mut self, text: &str) {
        let segment = self.of_server(text);
        self.said[1] = segment.next();
        assert!(self.hooks[1].passes(&segment), "{segment:?}");
        assert!(self.hooks[0].passes(&self.of_client("")));
    }

    /// Greeting, a command and its answer.
    #[track_caller]
    pub fn log_in(&mut self) {
        self.server_says("220 ready\r\n");
        self.exchange("USER anonymous\r\n", "230 in\r\n");
    }

    /// A command and its answer.
    #[track_caller]
    pub fn exchange(&mut self, command: &str, answer: &str) {
        assert!(self.client_says(command), "{command}");
        self.server_says(answer);
    }

    /// PASV, and that the server listens on a port of its own.
    #[track_caller]
    pub fn passive(&mut self, port: u16) {
        let at = SocketAddr::new(self.server.ip(), port);
        self.exchange("PASV\r\n", &format!("227 Entering Passive Mode ({}).\r\n", six_numbers(at)));
    }

    /// Whether the SYN of a data connection passes.
    #[track_caller]
    pub fn begins(&self, from: u16, to: u16, seq: u32) -> bool {
        self.hooks[0].passes(&self.data(from, to, seq))
    }

    /// Whether all of a data connection's handshake passes, and the server's first bytes.
    #[track_caller]
    #[must_use]
    pub fn opens(&self, from: u16, to: u16, seq: u32) -> bool {
        let syn = self.data(from, to, seq);
        let syn_ack = Segment { seq: 9, ..syn.answer(flag::SYN | flag::ACK, b"") };
        let ack = syn_ack.answer(flag::ACK, b"");
        let bytes = Segment { payload: b"data".to_vec(), ..ack.answer(flag::ACK, b"") };
        [(0, syn), (1, syn_ack), (0, ack), (1, bytes)].iter().all(|(hook, segment)| self.hooks[*hook].passes(segment))
    }

    /// The SYN of a data connection.
    #[must_use]
    pub fn data(&self, from: u16, to: u16, seq: u32) -> Segment {
        Segment {
            source: SocketAddr::new(self.client.ip(), from),
            destination: SocketAddr::new(self.server.ip(), to),
            seq,
            ack: 0,
            flags: flag::SYN,
            payload: Vec::new(),
        }
    }

    /// The server closes, and the client acknowledges that.
    #[track_caller]
    pub fn server_closes(&mut self) {
        let fin = Segment { flags: flag::ACK | flag::FIN, ..self.of_server("") };
        self.said[1] = fin.next();
        assert!(self.hooks[1].passes(&fin));
    }
}
