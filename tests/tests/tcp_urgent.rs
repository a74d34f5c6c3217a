//! Urgent data (RFC 6093): the server's stack takes one byte out of the stream, so what it reads isn't
//! what passed. A Telnet ABOR is sent so; anything else opens nothing until back in step.

use ftp_common::counter::Counter;
use ftptrack_tests::INSIDE;
use ftptrack_tests::client::six_numbers;
use ftptrack_tests::file;
use ftptrack_tests::ftptrack::{Ftptrack, PinDirectory};
use ftptrack_tests::games::Bout;
use ftptrack_tests::games::urgent::{CASES, Case};
use ftptrack_tests::network::{Family, Network};
use ftptrack_tests::probe;
use ftptrack_tests::segment::Segment;
use ftptrack_tests::server::{ACTIVE, CONTROL, Server};
use ftptrack_tests::tcp_peer::{Odd, Peer};
use ftptrack_tests::vsftpd::Vsftpd;
use ftptrack_tests::wait::PATIENCE;
use socket2::SockRef;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;

#[test]
fn an_urgent_byte_opens_nothing_unless_it_is_telnet() {
    let Network { server, client, .. } = &Network::new();
    let ftp = Server::on(server, Family::V4);
    let opens_after = |case: &Case, port| {
        let mut bout = Bout::new((client, server), &ftp, port, PATIENCE);
        case.play(&mut bout).unwrap_or_else(|stuck| panic!("{}: {stuck}", case.name));
        (bout.peer.opens(INSIDE), bout)
    };
    for (case, port) in CASES.iter().zip(34_000..) {
        assert!(opens_after(case, port).0, "nothing is attached: {}", case.name);
    }

    let pins = PinDirectory::new();
    let ftptrack = Ftptrack::guarding(server, &pins);
    let mut failures = Vec::new();
    for (case, port) in CASES.iter().zip(35_000..) {
        let before = ftptrack.stats();
        let (opened, mut bout) = opens_after(case, port);
        let after = ftptrack.stats();
        let urgent = after.of(Counter::UrgentData) - before.of(Counter::UrgentData);
        if opened != case.opens || (urgent == 0) != case.opens {
            failures.push(format!("{}: opened {opened}, {urgent} urgent", case.name));
        }
        bout.peer.finds_its_footing(&mut bout.session);
    }
    assert_eq!(failures, [""; 0]);
    ftptrack.stop();
}

/// A control connection with the real server, as text.
struct Talk(BufReader<TcpStream>);

impl Talk {
    #[track_caller]
    fn ask(&mut self, command: &str) -> String {
        self.0.get_mut().write_all(command.as_bytes()).expect("the server listens");
        self.0.get_mut().write_all(b"\r\n").expect("the server listens");
        self.hear()
    }

    #[track_caller]
    fn hear(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("the server answers");
        line
    }
}

#[test]
fn after_an_urgent_abor_the_next_pasv_and_the_next_port_work() {
    let Network { server, client, .. } = &Network::new();
    let vsftpd = Vsftpd::on(server);
    file::write_random(&vsftpd.file("long"), 64 << 20);
    let pins = PinDirectory::new();
    let ftptrack = Ftptrack::guarding(server, &pins);
    let stream = probe::connect(client, server.at(Family::V4, CONTROL)).expect("it listens");
    let mut talk = Talk(BufReader::new(stream));
    assert!(talk.hear().starts_with("220"));
    assert!(talk.ask("USER anonymous").starts_with("331"));
    assert!(talk.ask("PASS test@").starts_with("230"));
    for passive in [true, false, true] {
        let mut data = if passive {
            connect_passive(client, &mut talk)
        } else {
            let listener = probe::listen(client, client.at(Family::V4, 40_000));
            let port = format!("PORT {}", six_numbers(client.at(Family::V4, 40_000)));
            assert!(talk.ask(&port).starts_with("200"));
            assert!(talk.ask("RETR long").starts_with("150"));
            let (data, from) = listener.accept().expect("the server connects");
            assert_eq!(from.port(), ACTIVE);
            data
        };
        data.read_exact(&mut [0; 4096]).expect("it is long");
        let socket = SockRef::from(talk.0.get_ref());
        socket.send(b"\xff\xf4").expect("the server listens");
        socket.send_out_of_band(b"\xff").expect("the server listens");
        socket.send(b"\xf2ABOR\r\n").expect("the server listens");
        drop(data);
        // How many replies that gets is the server's own affair.
        assert!(talk.hear().starts_with("426"));
        let mut reply = talk.ask("NOOP");
        while !reply.starts_with("200") {
            reply = talk.hear();
        }
    }
    connect_passive(client, &mut talk);
    let stats = ftptrack.stats();
    assert_eq!((stats.of(Counter::UrgentData), stats.of(Counter::StepsLost)), (0, 0), "{stats:?}");
    assert_eq!((stats.of(Counter::FlowsEstablished), stats.denied()), (4, 0));
    ftptrack.stop();
}

/// PASV and RETR: the data connection.
#[track_caller]
fn connect_passive(client: &ftptrack_tests::network::Host, talk: &mut Talk) -> TcpStream {
    let reply = talk.ask("PASV");
    let (_, numbers) = reply.split_once('(').expect("(h1,h2,h3,h4,p1,p2)");
    let numbers: Vec<u8> =
        numbers.split(|byte: char| !byte.is_ascii_digit()).take(6).map(|n| n.parse().expect("an octet")).collect();
    let address: [u8; 4] = numbers[..4].try_into().expect("four of six");
    let port = u16::from_be_bytes([numbers[4], numbers[5]]);
    let data = probe::connect(client, (address, port).into()).expect("it was negotiated");
    assert!(talk.ask("RETR long").starts_with("150"));
    data
}

#[test]
fn a_repeated_urgent_segment_is_read_once() {
    let Network { server, client, .. } = &Network::new();
    let ftp = Server::on(server, Family::V4);
    let pins = PinDirectory::new();
    let ftptrack = Ftptrack::guarding(server, &pins);
    let (mut peer, mut session) = Peer::logged_in((client, server), &ftp, 36_000);
    let urgent = Odd { urgent: Some(4), ..Odd::default() };
    let abor = peer.segment(b"\xff\xf4\xff\xf2ABOR\r\n");
    peer.put_odd(&abor, Odd { bad_checksum: true, ..urgent });
    peer.put_odd(&abor, urgent);
    peer.next = abor.next();
    session.gets(b"\xff\xf4\xffABOR\r\n");
    session.say("226 done");
    peer.hear("226 done\r\n");
    peer.put_odd(&Segment { ack: peer.heard, ..abor }, urgent);
    assert!(peer.passive(&mut session, INSIDE));
    assert_eq!(ftptrack.stats().of(Counter::StepsLost), 0);
    ftptrack.stop();
}
