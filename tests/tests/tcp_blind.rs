//! Packets of somebody who knows the addresses and ports of a control connection and not its numbers,
//! or who is wrong about them: TCP ignores them, so ftptrack must. The session stays in step, its
//! expectation stands, and the next transfer works.

use ftp_common::counter::Counter;
use ftptrack_tests::INSIDE;
use ftptrack_tests::client::Client;
use ftptrack_tests::ftptrack::{Ftptrack, PinDirectory};
use ftptrack_tests::network::{Family, Host, INTERFACE, Network};
use ftptrack_tests::probe::{self, Outcome};
use ftptrack_tests::segment::{Segment, flag};
use ftptrack_tests::server::{Server, Session};
use ftptrack_tests::tcp_peer::{Odd, Peer};
use ftptrack_tests::wait;
use ftptrack_tests::wire::Wire;

struct Blind {
    name: &'static str,
    flags: u8,
    /// How far it is from the right sequence number, and from the right acknowledgement.
    seq: u32,
    ack: u32,
    payload: &'static str,
    urgent: Option<u16>,
}

const FAR: u32 = 0x4000_0000;
const NEAR: u32 = 1000;
const BEHIND: u32 = 0u32.wrapping_sub(1000);
const SAID: u8 = flag::ACK | flag::PSH;

/// What is not said otherwise.
const PLAIN: Blind = Blind { name: "", flags: SAID, seq: 0, ack: 0, payload: "", urgent: None };
const SYN_ACK: u8 = flag::SYN | flag::ACK;

#[rustfmt::skip]
const BLIND: &[Blind] = &[
    Blind { name: "RST far off", flags: flag::RST, seq: FAR, ..PLAIN },
    Blind { name: "RST in the window (RFC 5961 §3.2)", flags: flag::RST, seq: 1, ..PLAIN },
    Blind { name: "RST one before", flags: flag::RST | flag::ACK, seq: u32::MAX, ..PLAIN },
    Blind { name: "FIN far off", flags: SAID | flag::FIN, seq: FAR, ..PLAIN },
    Blind { name: "FIN in the window", flags: SAID | flag::FIN, seq: NEAR, ack: FAR, ..PLAIN },
    Blind { name: "FIN behind", flags: SAID | flag::FIN, seq: BEHIND, ..PLAIN },
    Blind { name: "data far off", seq: FAR, payload: "QUIT\r\n", ..PLAIN },
    Blind { name: "data far off that acknowledges anything", seq: FAR, ack: FAR, payload: "QUIT\r\n", ..PLAIN },
    Blind { name: "data in the window that acknowledges what was not said", seq: NEAR, ack: FAR, payload: "QUIT\r\n", ..PLAIN },
    Blind { name: "data behind", seq: BEHIND, payload: "QUIT\r\n", ..PLAIN },
    Blind { name: "an acknowledgement of what was not said", seq: NEAR, ack: FAR, ..PLAIN },
    Blind { name: "SYN on live ports", flags: flag::SYN, seq: FAR, ..PLAIN },
    Blind { name: "SYN in the window (RFC 5961 §4.2)", flags: flag::SYN, seq: NEAR, ..PLAIN },
    Blind { name: "SYN with the right number", flags: flag::SYN, ..PLAIN },
    Blind { name: "SYN-ACK", flags: SYN_ACK, seq: FAR, ack: FAR, ..PLAIN },
    Blind { name: "SYN with RST", flags: flag::SYN | flag::RST, seq: FAR, ..PLAIN },
    Blind { name: "no flag", flags: 0, seq: FAR, payload: "QUIT\r\n", ..PLAIN },
    Blind { name: "all flags", flags: 0x3f, seq: FAR, payload: "QUIT\r\n", ..PLAIN },
    Blind { name: "urgent data far off", seq: FAR, payload: "QUIT\r\n", urgent: Some(1), ..PLAIN },
];

/// They have a number in the window of 65,536 bytes (one in 32,768 by luck) or at the very place, and
/// what they acknowledge was never said, or long ago: TCP drops them (RFC 5961 §5.2).
#[rustfmt::skip]
const LUCKY: &[Blind] = &[
    Blind { name: "urgent data behind", seq: BEHIND, payload: "QUIT\r\n", urgent: Some(1), ..PLAIN },
    Blind { name: "urgent data in the window that acknowledges what was not said", seq: NEAR, ack: FAR, payload: "QUIT\r\n", urgent: Some(1), ..PLAIN },
    Blind { name: "urgent data in the window that acknowledges what was said long ago", seq: NEAR, ack: 0u32.wrapping_sub(FAR), payload: "QUIT\r\n", urgent: Some(1), ..PLAIN },
    Blind { name: "data that begins behind and ends ahead", seq: 0u32.wrapping_sub(10), ack: FAR, payload: "0123456789QUIT\r\n", ..PLAIN },
    Blind { name: "data at the place that acknowledges what was said long ago", ack: 0u32.wrapping_sub(FAR), payload: "QUIT\r\n", ..PLAIN },
    Blind { name: "data at the place that acknowledges what was not said", ack: FAR, payload: "QUIT\r\n", ..PLAIN },
    Blind { name: "a FIN at the place that acknowledges what was said long ago", flags: SAID | flag::FIN, ack: 0u32.wrapping_sub(FAR), ..PLAIN },
];

impl Blind {
    fn segment(&self, real: &Segment) -> Segment {
        Segment {
            seq: real.seq.wrapping_add(self.seq),
            ack: real.ack.wrapping_add(self.ack),
            flags: self.flags,
            payload: self.payload.as_bytes().to_vec(),
            ..real.clone()
        }
    }
}

#[track_caller]
fn none_harms_a_session(blind: &[Blind], first_port: u16) {
    let Network { server, client, .. } = &Network::new();
    let ftp = Server::on(server, Family::V4);
    let pins = PinDirectory::new();
    let ftptrack = Ftptrack::guarding(server, &pins);
    let (mut peer, mut session) = Peer::logged_in((client, server), &ftp, first_port);
    let mut failures = Vec::new();
    for (blind, port) in blind.iter().zip(INSIDE..) {
        let before = ftptrack.stats();
        let [high, low] = port.to_be_bytes();
        peer.exchange(&mut session, "PASV", &format!("227 Entering Passive Mode (10,0,0,1,{high},{low})."));
        peer.put_odd(&blind.segment(&peer.segment("")), Odd { urgent: blind.urgent, ..Odd::default() });
        let opened = peer.opens(port);
        let stats = ftptrack.stats();
        let lost = stats.of(Counter::StepsLost) - before.of(Counter::StepsLost);
        let states: Vec<_> = ftptrack.sessions().into_iter().map(|session| session.state).collect();
        let next_opens = peer.passive(&mut session, port + 1000);
        if !opened || !next_opens || lost != 0 || states != ["in step"] {
            failures.push(format!(
                "{}: opened {opened}, the next one {next_opens}, {lost} steps lost, {states:?}",
                blind.name
            ));
            peer.finds_its_footing(&mut session);
        }
    }
    assert_eq!(failures, [""; 0]);
    assert_eq!(ftptrack.stats().denied(), 0);
    // It was there to be harmed: the right numbers end it.
    peer.put(&Segment { flags: flag::RST, ..peer.segment("") });
    wait::until("the session ends", || ftptrack.sessions().is_empty().then_some(()));
    assert_eq!(ftptrack.stats().of(Counter::SessionsEnded), 1);
    ftptrack.stop();
}

#[test]
fn no_session_is_lost_to_a_blind_packet() {
    none_harms_a_session(BLIND, 32_000);
}

#[test]
fn no_session_is_lost_to_a_packet_with_a_lucky_number() {
    none_harms_a_session(LUCKY, 33_000);
}

/// A session of a real client, and the next segment that its server would send.
#[track_caller]
fn session_of(client: &Host, ftp: &Server) -> (Client, Session, Segment) {
    let (mut control, mut session) = ftp.session_with(client);
    let mut link = Wire::of(client);
    control.send("NOOP\r\n");
    session.hears("NOOP");
    session.say("200 ok");
    control.reply().must_be(200);
    let said = link.wait_for("the answer", |seen| seen.payload == b"200 ok\r\n");
    let next = Segment { seq: said.next(), payload: Vec::new(), ..said };
    (control, session, next)
}

/// Whether a few exchanges bring the one session back into step.
fn in_step_again(ftptrack: &Ftptrack<'_>, control: &mut Client, session: &mut Session) -> bool {
    for _ in 0..8 {
        control.send("NOOP\r\n");
        session.hears("NOOP");
        session.say("200 ok");
        control.reply().must_be(200);
    }
    ftptrack.sessions().iter().any(|session| session.state == "in step")
}

/// Where the servers lie beyond the interface, it is their voice that anyone can send with any number.
#[test]
fn on_a_client_host_no_session_is_lost_to_a_blind_packet_with_the_servers_address() {
    let Network { server, client, third, .. } = &Network::new();
    let ftp = Server::on(server, Family::V4);
    let pins = PinDirectory::new();
    let address = server.address(Family::V4).to_string();
    let options = ["-i", INTERFACE, "--passive-range", "10240-20480", "--side", "servers-beyond"];
    let ftptrack = Ftptrack::run(client, &pins, &[&options[..], &["--server", &address]].concat());
    let blinds = Wire::of(third);
    let mut failures = Vec::new();
    for (blind, port) in BLIND.iter().zip(INSIDE..) {
        let before = ftptrack.stats();
        let (mut control, mut session, next) = session_of(client, &ftp);
        blinds.forge(&blind.segment(&next), client.mac());
        let mut opened = Vec::new();
        for port in [port, port + 1000] {
            let target = server.at(Family::V4, port);
            let _listener = probe::listen(server, target);
            control.send("PASV\r\n");
            session.hears("PASV");
            session.say_passive(target);
            assert_eq!(control.reply().six_numbers(), target, "{}", blind.name);
            opened.push(probe::to(client, target));
        }
        let lost = ftptrack.stats().of(Counter::StepsLost) - before.of(Counter::StepsLost);
        if opened != [Outcome::Opened; 2] || lost != 0 {
            let recovers = in_step_again(&ftptrack, &mut control, &mut session);
            failures.push(format!("{}: {opened:?}, {lost} steps lost, recovers: {recovers}", blind.name));
        }
    }
    assert_eq!(failures, [""; 0]);
    ftptrack.stop();
}
