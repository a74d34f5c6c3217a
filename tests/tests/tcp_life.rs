//! Beginnings and ends of connections that are not the usual ones.

use ftp_common::counter::Counter;
use ftptrack_tests::INSIDE;
use ftptrack_tests::ftptrack::{Ftptrack, PinDirectory};
use ftptrack_tests::network::{Family, Host, Network};
use ftptrack_tests::probe::{self, Outcome};
use ftptrack_tests::segment::{Segment, flag};
use ftptrack_tests::server::{CONTROL, Server};
use ftptrack_tests::tcp_peer::Peer;
use ftptrack_tests::wait::PATIENCE;
use ftptrack_tests::wire::Wire;
use socket2::{Domain, Socket, Type};
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd as _;

#[test]
fn a_client_that_has_closed_its_half_is_still_answered() {
    let Network { server, client, .. } = &Network::new();
    let ftp = Server::on(server, Family::V4);
    let pins = PinDirectory::new();
    let ftptrack = Ftptrack::guarding(server, &pins);
    let (mut peer, mut session) = Peer::logged_in((client, server), &ftp, 37_000);
    let last = Segment { flags: flag::ACK | flag::FIN, ..peer.segment("PASV\r\n") };
    peer.put(&last);
    peer.next = last.next();
    session.hears("PASV");
    let answer = "227 Entering Passive Mode (10,0,0,1,58,152).";
    session.say(answer);
    peer.hear(&format!("{answer}\r\n"));
    assert_eq!(ftptrack.sessions().len(), 1);
    assert!(peer.opens(INSIDE));
    assert!(!peer.opens(INSIDE), "it serves once");

    // The server closes its half, too: that is the end.
    drop(session);
    peer.hear_fin(false);
    assert_eq!(ftptrack.sessions().len(), 0);
    let stats = ftptrack.stats();
    assert_eq!((stats.of(Counter::SessionsEnded), stats.of(Counter::DeniedPassive)), (1, 1), "{stats:?}");
    ftptrack.stop();
}

/// The server closes first, so its TIME-WAIT stands when the same ports are used again
/// (RFC 9293 §3.6.1 lets a SYN with a higher number through).
#[test]
fn a_new_session_on_old_ports_does_not_inherit() {
    let Network { server, client, .. } = &Network::new();
    let ftp = Server::on(server, Family::V4);
    let inherits = |first: u16, second: u16| {
        let (mut peer, mut session) = Peer::logged_in((client, server), &ftp, first);
        peer.exchange(&mut session, "PASV", "227 Entering Passive Mode (10,0,0,1,58,152).");
        drop(session);
        peer.hear_fin(true);
        let hosts = (client, server);
        let (mut peer, mut session) = Peer::connect(hosts, &ftp, second, peer.next.wrapping_add(100_000));
        peer.log_in(&mut session);
        let inherited = peer.opens(INSIDE);
        assert!(peer.passive(&mut session, INSIDE + 1));
        inherited
    };
    assert!(inherits(38_000, 38_000), "nothing is attached");

    let pins = PinDirectory::new();
    let ftptrack = Ftptrack::guarding(server, &pins);
    assert!(!inherits(38_001, 38_001));
    let stats = ftptrack.stats();
    assert_eq!((stats.of(Counter::SessionsStarted), stats.of(Counter::SessionsEnded)), (2, 1), "{stats:?}");
    assert_eq!(stats.of(Counter::SessionsMet), 0);
    assert_eq!((stats.of(Counter::DeniedPassive), stats.of(Counter::FlowsEstablished)), (1, 1));
    ftptrack.stop();
}

/// What comes late for a connection that is over is answered by the server's TIME-WAIT: that is no
/// session.
#[test]
fn an_echo_of_a_closed_connection_makes_no_session() {
    let Network { server, client, .. } = &Network::new();
    let ftp = Server::on(server, Family::V4);
    let pins = PinDirectory::new();
    let ftptrack = Ftptrack::guarding(server, &pins);
    let (mut peer, session) = Peer::logged_in((client, server), &ftp, 38_500);
    drop(session);
    peer.hear_fin(true);
    assert_eq!(ftptrack.sessions().len(), 0);
    // The last acknowledgement was lost, say, so the client repeats its FIN.
    let last = peer.segment("");
    peer.put(&Segment { seq: last.seq.wrapping_sub(1), flags: flag::ACK | flag::FIN, ..last });
    peer.arrives();
    assert_eq!(ftptrack.sessions().len(), 0, "{:?}", ftptrack.sessions());
    assert_eq!(ftptrack.stats().of(Counter::SessionsMet), 0);
    ftptrack.stop();
}

#[test]
fn a_client_whose_last_segment_came_late_leaves_no_session() {
    let Network { server, client, .. } = &Network::new();
    let ftp = Server::on(server, Family::V4);
    let pins = PinDirectory::new();
    let ftptrack = Ftptrack::guarding(server, &pins);
    let (mut peer, mut session) = Peer::logged_in((client, server), &ftp, 38_600);
    // QUIT was lost, the FIN behind it was not; then QUIT is repeated.
    let quit = peer.segment("QUIT\r\n");
    let fin = Segment { seq: quit.next(), flags: flag::ACK | flag::FIN, ..peer.segment("") };
    peer.put(&fin);
    peer.put(&quit);
    // The early FIN was held back, and is repeated as well.
    peer.put(&fin);
    peer.next = fin.next();
    session.hears("QUIT");
    session.say("221 bye");
    peer.hear("221 bye\r\n");
    drop(session);
    peer.hear_fin(false);
    assert_eq!(ftptrack.sessions().len(), 0, "{:?}", ftptrack.sessions());
    ftptrack.stop();
}

#[test]
fn a_client_that_is_refused_may_try_again() {
    for family in Family::BOTH {
        let Network { server, client, .. } = &Network::new();
        let ftp = Server::on(server, family);
        let pins = PinDirectory::new();
        let ftptrack = Ftptrack::guarding(server, &pins);
        let (mut control, mut session) = ftp.session_with(client);
        let target = server.at(family, INSIDE);
        control.send("EPSV\r\n");
        session.hears("EPSV");
        session.say(&format!("229 Entering Extended Passive Mode (|||{INSIDE}|)"));
        control.reply().must_be(229);
        // More often than unfinished connections may stand.
        for _ in 0..9 {
            assert_eq!(probe::to(client, target), Outcome::Refused);
        }
        let _listener = probe::listen(server, target);
        assert_eq!(probe::to(client, target), Outcome::Opened);
        assert_eq!(probe::to(client, target), Outcome::Silence);
        let stats = ftptrack.stats();
        assert_eq!((stats.of(Counter::FlowsRefused), stats.of(Counter::FlowsEstablished)), (9, 1), "{stats:?}");
        assert_eq!(stats.denied(), 1);
        ftptrack.stop();
    }
}

#[test]
fn a_session_goes_on_where_its_numbers_wrap() {
    for family in Family::BOTH {
        let Network { server, client, .. } = &Network::new();
        let ftp = Server::on(server, family);
        let pins = PinDirectory::new();
        let ftptrack = Ftptrack::guarding(server, &pins);
        // USER and its line end are 16 bytes, PASV or EPSV 6.
        for before in 0u32..=24 {
            let port = 39_000 + u16::try_from(before).expect("a few");
            let hosts = (client, server);
            let (mut peer, mut session) = Peer::connect(hosts, &ftp, port, 0u32.wrapping_sub(before));
            peer.log_in(&mut session);
            peer.exchange(&mut session, "EPSV", &format!("229 Extended ({}{INSIDE}|)", "|||"));
            assert!(peer.opens(INSIDE), "{before} bytes before the wrap");
            // Ones from before the wrap are old.
            peer.put(&Segment { seq: 0u32.wrapping_sub(before), ..peer.segment("USER anonymous\r\n") });
            peer.exchange(&mut session, "NOOP", "200 ok");
        }
        let stats = ftptrack.stats();
        assert_eq!((stats.of(Counter::StepsLost), stats.of(Counter::FlowsEstablished)), (0, 25), "{stats:?}");
        ftptrack.stop();
    }
}

/// A listener that takes data in a SYN, without a cookie (`TFO_SERVER_COOKIE_NOT_REQD`), and a client
/// that sends it so (`TFO_CLIENT_NO_COOKIE`).
#[track_caller]
fn fast_open(client: &Host, server: &Host, address: SocketAddr, says: &[u8]) -> (TcpStream, TcpListener) {
    for host in [client, server] {
        let path = "/proc/sys/net/ipv4/tcp_fastopen";
        host.namespace.run(|| fs::write(path, "519")).expect("Fast Open is there");
    }
    let listener = probe::listen(server, address);
    let queue: libc::c_int = 16;
    // SAFETY: the kernel reads one int.
    let set = unsafe {
        libc::setsockopt(
            listener.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_FASTOPEN,
            (&raw const queue).cast(),
            libc::socklen_t::try_from(size_of_val(&queue)).expect("four"),
        )
    };
    assert_eq!(set, 0, "{}", io::Error::last_os_error());
    let socket = client.namespace.run(|| Socket::new(Domain::for_address(address), Type::STREAM, None));
    let socket = socket.expect("a socket");
    socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let sent = socket.send_to_with_flags(says, &address.into(), libc::MSG_FASTOPEN).expect("a connection");
    assert_eq!(sent, says.len());
    (socket.into(), listener)
}

#[test]
fn data_in_a_syn_is_denied_and_the_client_repeats_it_without() {
    let Network { server, client, .. } = &Network::new();
    let pins = PinDirectory::new();
    let target = server.at(Family::V4, INSIDE);
    let talk = |port: u16| {
        let address = server.at(Family::V4, port);
        let (mut stream, listener) = fast_open(client, server, address, b"NOOP\r\n");
        let (mut session, _) = listener.accept().expect("it gets on");
        session.set_read_timeout(Some(PATIENCE)).expect("a socket");
        let mut said = [0; 6];
        session.read_exact(&mut said).expect("what was in the SYN");
        assert_eq!(&said, b"NOOP\r\n");
        session.write_all(b"220 ready\r\n200 ok\r\n").expect("the client listens");
        stream.read_exact(&mut [0; 19]).expect("the server speaks");
        stream.write_all(b"PASV\r\n").expect("the server listens");
        session.read_exact(&mut said).expect("the client speaks");
        let answer = b"227 Entering Passive Mode (10,0,0,1,58,152)\r\n";
        session.write_all(answer).expect("the client listens");
        stream.read_exact(&mut [0; 45]).expect("the server speaks");
        let _listener = probe::listen(server, target);
        probe::to(client, target)
    };
    // That it is sent so: a SYN with data, which nobody who follows the stream can read.
    let mut link = Wire::of(server);
    assert_eq!(talk(2121), Outcome::Opened);
    link.wait_for("data in a SYN", |seen| seen.flags & flag::SYN != 0 && seen.payload == b"NOOP\r\n");

    let ftptrack = Ftptrack::guarding(server, &pins);
    assert_eq!(talk(CONTROL), Outcome::Opened);
    let stats = ftptrack.stats();
    assert_eq!((stats.of(Counter::DeniedSynData), stats.denied()), (1, 1), "{stats:?}");
    assert_eq!((stats.of(Counter::SessionsStarted), stats.of(Counter::StepsLost)), (1, 0));
    assert_eq!(stats.of(Counter::FlowsEstablished), 1);
    ftptrack.stop();
}
