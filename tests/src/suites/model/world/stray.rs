//! Packets that belong to no good conversation on a control connection, and those of data connections.

use std::net::{IpAddr, SocketAddr};

use ftp_common::flow::tcp::{ACK, FIN, RST, SYN, URG};
use ftp_common::keys::Mode;

use super::{CLIENT, Network, SEGMENT, World};
use crate::subject::test_run::frame::Tcp;
use crate::subject::test_run::{Hook, Verdict};
use crate::suites::model::Packet;
use crate::suites::model::grammar::{ACTIVE_PORTS, PASSIVE_PORTS};
use crate::suites::model::script::{ACTIVE, Step};

impl World {
    /// A segment that nobody sent: its checksum may be wrong, so its receiver never takes it.
    pub(super) fn forge(&self, network: &mut impl Network, at: usize, [_, _, a, b, c, d, e, f]: Step) {
        const NUMBERS: [u32; 8] = [0, 0, 1, u32::MAX, 50, 50u32.wrapping_neg(), 70_000, 70_000u32.wrapping_neg()];
        const FLAGS: [u8; 10] = [ACK, ACK, ACK, RST, RST | ACK, FIN | ACK, SYN, SYN | ACK, 0, URG | ACK];
        let sender = usize::from(a & 1);
        let control = &self.controls[at];
        let total = control.ends[sender].total();
        let mut tcp = self.segment(at, sender, &(total..total));
        tcp.seq = tcp.seq.wrapping_add(NUMBERS[usize::from(b) % 8]);
        tcp.ack = tcp.ack.wrapping_add(NUMBERS[usize::from(b / 8) % 8]);
        tcp.flags = FLAGS[usize::from(c) % FLAGS.len()];
        tcp.urgent = u16::from(c / 10);
        if a & 2 != 0 {
            let text = if sender == CLIENT { control.speakers.command(d, e) } else { control.speakers.reply(d, e) };
            tcp.payload = text.into_iter().take(SEGMENT).collect();
        }
        if sender == CLIENT && a & 4 != 0 {
            // Other bytes in the place of the last ones.
            tcp.seq = tcp.seq.wrapping_sub(tcp.length());
        }
        let right = self.setting.hook(sender == CLIENT);
        let hook = if f & 7 == 7 { self.setting.hook_of(right != Hook::Ingress) } else { right };
        network.packet(hook, Packet { fragmented: f & 0x38 == 0x38, ..Packet::of(tcp) });
    }

    pub(super) fn reset(&self, network: &mut impl Network, at: usize, a: u8) {
        let sender = usize::from(a & 1);
        let total = self.controls[at].ends[sender].total();
        let mut tcp = self.segment(at, sender, &(total..total)).flags(RST);
        tcp.seq = tcp.seq.wrapping_add(u32::from(a & 6));
        self.send(network, sender == CLIENT, tcp);
    }

    /// Packets of a data connection.
    pub(super) fn data(&self, network: &mut impl Network, [_, session, a, b, c, d, e, f]: Step) {
        let expected = network.expected();
        let setting = &self.setting;
        let client = setting.clients[usize::from(c % 4 == 3)];
        let (mode, port) = match expected.get(usize::from(a) % expected.len().max(1)) {
            Some(key) if a < 220 => (Mode::from_number(key.mode), key.port),
            _ if a & 1 == 0 => (Mode::Passive, PASSIVE_PORTS[usize::from(session) % PASSIVE_PORTS.len()]),
            _ => (Mode::Active, ACTIVE_PORTS[usize::from(session) % ACTIVE_PORTS.len()]),
        };
        let (beginner, listener) = match mode {
            Mode::Passive => {
                let own = if e == 255 { 15001 } else { 50000 + u16::from(d / 4 % 8) };
                (SocketAddr::new(client, own), SocketAddr::new(setting.server, port))
            }
            Mode::Active => {
                let own = if e == 255 { 2020 } else { ACTIVE };
                (SocketAddr::new(setting.server, own), SocketAddr::new(client, port))
            }
        };
        let initial = if d & 3 != 0 { 1000 } else { 2000 };
        let off = u32::from(e % 8 == 7);
        let out = Tcp::between(beginner, listener).at(initial + 1, 5001 + off);
        let back = Tcp::between(listener, beginner).at(5001, initial + 1 + off);
        let syn = out.clone().at(initial, 0).flags(SYN);
        let syn_ack = back.clone().at(5000, initial + 1 + off).flags(SYN | ACK);
        let fin = |tcp: &Tcp| tcp.clone().flags(FIN | ACK);
        let packets = match b % 20 {
            0..5 => vec![syn, syn_ack, out],
            5 => vec![syn, syn_ack, out.clone(), out.clone().says("data"), fin(&back), fin(&out), back],
            6 => vec![syn.clone()],
            7 => vec![syn_ack],
            8 => vec![out],
            9 => vec![syn, back.flags(RST | ACK)],
            10 => vec![out.flags(RST)],
            11 => vec![fin(&out)],
            12 => vec![fin(&back)],
            13 => vec![out.says("data")],
            14 => vec![back.says("data")],
            15 => vec![syn.flags(SYN | 0xc0)],
            16 => vec![syn.flags(SYN | FIN)],
            17 => vec![syn.flags(SYN | RST)],
            18 => vec![syn.says("data")],
            _ => vec![out.flags(0)],
        };
        for tcp in packets {
            let to_server = tcp.destination.ip() == setting.server;
            let right = self.setting.hook(to_server);
            let hook = if f & 15 == 15 { self.setting.hook_of(right != Hook::Ingress) } else { right };
            if network.packet(hook, Packet::of(tcp)) == Verdict::Drop {
                break;
            }
        }
    }

    /// A packet that is nobody's business.
    pub(super) fn unrelated(&self, network: &mut impl Network, [_, _, a, b, c, d, ..]: Step) {
        let (ours, theirs) = ([22, 80, 443, 10239, 20481, 1024][usize::from(a) % 6], 30000 + u16::from(b));
        let far = SocketAddr::new(self.setting.clients[usize::from(c & 1)], theirs);
        let near = SocketAddr::new(self.setting.server, ours);
        let (source, destination) = if c & 2 == 0 { (far, near) } else { (near, far) };
        let tcp = Tcp::between(source, destination).at(u32::from(d), 0).flags(b & 0x3f).says("PASV\r\n");
        self.send(network, c & 2 == 0, tcp);
    }

    /// Both ports have a meaning; or neither address is the server's; or IPv6 has IPv4's addresses.
    pub(super) fn odd(&self, network: &mut impl Network, at: usize, [_, _, a, b, c, d, ..]: Step) {
        const PORTS: [u16; 6] = [21, 20, 15000, 10241, 40001, 80];
        let setting = &self.setting;
        let own = SocketAddr::new(setting.clients[at % 2], PORTS[usize::from(a) % 6]);
        let other = if d & 1 == 0 { setting.server } else { setting.clients[1 - at % 2] };
        let other = SocketAddr::new(other, PORTS[usize::from(b) % 6]);
        let mapped = |end: SocketAddr| match end.ip() {
            IpAddr::V4(v4) if d & 6 == 6 => SocketAddr::new(v4.to_ipv6_mapped().into(), end.port()),
            _ => end,
        };
        let (own, other) = (mapped(own), mapped(other));
        let (source, destination) = if c & 1 == 0 { (own, other) } else { (other, own) };
        let flags = [SYN, ACK, SYN | ACK, RST, FIN | ACK][usize::from(c / 2) % 5];
        self.send(network, c & 1 == 0, Tcp::between(source, destination).at(1000, 5001).flags(flags));
    }
}
