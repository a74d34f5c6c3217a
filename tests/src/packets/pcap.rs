//! Captures: made by tcpdump on a host, and edited packet by packet.

use std::collections::HashSet;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::hosts::network::Host;
use crate::support::{file, process, wait};

/// LINKTYPE_ numbers (tcpdump.org/linktypes.html).
pub mod link {
    /// BSD loopback.
    pub const NULL: u32 = 0;
    /// Ethernet.
    pub const ETHERNET: u32 = 1;
    /// IP and nothing in front.
    pub const RAW: u32 = 101;
    /// OpenBSD loopback.
    pub const LOOP: u32 = 108;
    /// Linux cooked.
    pub const COOKED: u32 = 113;
    /// Linux cooked, with the interface.
    pub const COOKED2: u32 = 276;
}

/// One packet of a capture.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Packet {
    /// Microseconds since 1970.
    pub time: u64,
    /// What was captured.
    pub bytes: Vec<u8>,
    /// Bytes that it had on the wire.
    pub length: usize,
}

/// A capture with one link layer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pcap {
    /// One of [`link`].
    pub link: u32,
    /// The packets, in order.
    pub packets: Vec<Packet>,
}

impl Pcap {
    /// Ethernet frames, a millisecond apart.
    #[must_use]
    pub fn of(frames: impl IntoIterator<Item = Vec<u8>>) -> Self {
        let packets = (0..).zip(frames).map(|(at, bytes)| Packet {
            time: 1_700_000_000_000_000 + at * 1_000,
            length: bytes.len(),
            bytes,
        });
        Self { link: link::ETHERNET, packets: packets.collect() }
    }

    /// Reads what tcpdump has written so far.
    #[must_use]
    #[track_caller]
    pub fn read(path: &Path) -> Self {
        let file = fs::read(path).expect("tcpdump has made it");
        let long = |at: usize| {
            u32::from_le_bytes(file.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).unwrap_or_default())
        };
        assert_eq!(long(0), 0xa1b2_c3d4, "pcap, microseconds");
        let mut packets = Vec::new();
        let mut at = 24;
        while let Some(bytes) = file.get(at + 16..at + 16 + long(at + 8) as usize) {
            let time = u64::from(long(at)) * 1_000_000 + u64::from(long(at + 4));
            packets.push(Packet { time, bytes: bytes.to_vec(), length: long(at + 12) as usize });
            at += 16 + bytes.len();
        }
        Self { link: long(20), packets }
    }

    /// The file's bytes: pcap, microseconds.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut file = [0xa1b2_c3d4, 4 << 16 | 2, 0, 0, 262_144, self.link].map(u32::to_le_bytes).concat();
        for packet in &self.packets {
            let (seconds, rest) = (packet.time / 1_000_000, packet.time % 1_000_000);
            let (seconds, rest) = (u32::try_from(seconds).expect("before 2106"), u32::try_from(rest).expect("less"));
            file.extend([seconds, rest, length(&packet.bytes), number(packet.length)].map(u32::to_le_bytes).concat());
            file.extend(&packet.bytes);
        }
        file
    }

    /// The same as pcapng, with an interface that nothing came from in front.
    #[must_use]
    pub fn to_pcapng(&self) -> Vec<u8> {
        let section = [0x1a2b_3c4d, 1, u32::MAX, u32::MAX].map(u32::to_le_bytes).concat();
        let mut file = block(0x0a0d_0d0a, &section);
        for link in [link::RAW, self.link] {
            file.extend(block(1, &[link, 0].map(u32::to_le_bytes).concat()));
        }
        for packet in &self.packets {
            let (high, low) = ((packet.time >> 32) as u32, packet.time as u32);
            let numbers = [1, high, low, length(&packet.bytes), number(packet.length)].map(u32::to_le_bytes).concat();
            file.extend(block(6, &[numbers, packet.bytes.clone()].concat()));
        }
        file
    }

    /// The same with other bytes in each packet.
    #[must_use]
    pub fn map(&self, link: u32, change: impl Fn(&[u8]) -> Vec<u8>) -> Self {
        let packets = self.packets.iter().map(|packet| {
            let bytes = change(&packet.bytes);
            let length = (packet.length + bytes.len()).saturating_sub(packet.bytes.len());
            Packet { bytes, length, ..*packet }
        });
        Self { link, packets: packets.collect() }
    }

    /// Only the packets, by their number, that are wanted.
    #[must_use]
    pub fn filter(&self, wanted: impl Fn(usize, &Packet) -> bool) -> Self {
        let packets = self.packets.iter().enumerate().filter(|(at, packet)| wanted(*at, packet));
        Self { link: self.link, packets: packets.map(|(_, packet)| packet.clone()).collect() }
    }
}

fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    let padded = body.len().next_multiple_of(4);
    let length = number(padded + 12).to_le_bytes();
    let mut block = [kind.to_le_bytes(), length].concat();
    block.extend(body);
    block.resize(8 + padded, 0);
    block.extend(length);
    block
}

fn length(bytes: &[u8]) -> u32 {
    number(bytes.len())
}

fn number(length: usize) -> u32 {
    u32::try_from(length).expect("less than a packet")
}

/// A running tcpdump.
#[derive(Debug)]
pub struct Tcpdump {
    child: Child,
    directory: TempDir,
}

impl Tcpdump {
    /// Starts it on an interface of a host, or `any`, with more options; returns when it captures.
    #[track_caller]
    pub fn on(host: &Host, interface: &str, options: &[&str]) -> Self {
        let directory = file::directory();
        let mut command = host.namespace.command("tcpdump");
        command.args(["-i", interface, "-n", "-U", "--immediate-mode", "-Z", "root", "-B", "65536"]);
        command.args(options).arg("-w").arg(directory.path().join("capture.pcap")).arg("tcp");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = process::start(&mut command);
        let mut said = BufReader::new(child.stderr.take().expect("piped"));
        let mut lines = String::new();
        while !lines.contains("listening on") {
            let read = said.read_line(&mut lines).expect("text");
            assert_ne!(read, 0, "tcpdump ended: {lines}");
        }
        // Kept open, or its last output would end it by a broken pipe.
        child.stderr = Some(said.into_inner());
        Self { child, directory }
    }

    /// Its file.
    pub fn path(&self) -> PathBuf {
        self.directory.path().join("capture.pcap")
    }

    /// Ends it once it has seen so many ends of connections say FIN; what it has captured.
    #[track_caller]
    pub fn stop_after(mut self, fins: usize) -> Pcap {
        let captured = wait::until("all connections end in the capture", || {
            let captured = Pcap::read(&self.path());
            // TCP repeats one on a busy machine.
            let ends = captured.packets.iter().filter_map(|packet| end_that_says_fin(captured.link, &packet.bytes));
            (ends.collect::<HashSet<_>>().len() >= fins).then_some(captured)
        });
        kill_process(Pid::from_child(&self.child), Signal::INT).expect("it is our child");
        self.child.wait().expect("it is our child");
        let whole = Pcap::read(&self.path());
        assert!(whole.packets.starts_with(&captured.packets));
        whole
    }
}

impl Drop for Tcpdump {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Addresses and ports of a packet that has a FIN: IP without options or extensions.
fn end_that_says_fin(link: u32, packet: &[u8]) -> Option<(&[u8], &[u8])> {
    let network = match link {
        link::ETHERNET => 14,
        link::COOKED => 16,
        link::COOKED2 => 20,
        _ => 0,
    };
    let (addresses, header) = if packet.get(network)? >> 4 == 6 { (8..40, 40) } else { (12..20, 20) };
    let transport = network + header;
    let has_fin = packet.get(transport + 13)? & 1 != 0;
    let addresses = packet.get(network + addresses.start..network + addresses.end)?;
    has_fin.then_some((addresses, packet.get(transport..transport + 4)?))
}
