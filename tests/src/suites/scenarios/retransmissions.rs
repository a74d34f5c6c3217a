//! Retransmissions, and urgent data with the real server.

use socket2::SockRef;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;

use super::encapsulations::ANNOUNCES;
use super::{Location, Scenario, access};
use crate::INSIDE;
use crate::actors::client::six_numbers;
use crate::actors::probe;
use crate::actors::server::{ACTIVE, CONTROL, Server};
use crate::actors::vsftpd::Vsftpd;
use crate::hosts::network::{Family, Host, Network};
use crate::packets::segment::Segment;
use crate::packets::tcp_peer::Odd;
use crate::suites::evasions::order::{BAD_CHECKSUM, instead, line};
use crate::support::file;

const GROUP: &str = "Retransmissions and urgent data";
pub(super) const ALL: &[&Scenario] = &[&REPEATED, &URGENT_AGAIN, &ABORTED];

/// The path behind a gateway loses a segment that the gateway has read, and the client repeats it.
pub static REPEATED: Scenario = Scenario {
    group: GROUP,
    name: "a segment with a PASV at its end, of 26 to 1,406 bytes, that the server gets only when it is repeated",
    must: "it is the same segment, and the port opens",
    expected: &["open"; 7],
    unguarded: &[],
    filter_at: Location::Server,
    play: |testbed| {
        let ftp = Server::on(&testbed.network.server, Family::V4);
        let mut observed = Vec::new();
        for (length, port) in [20, 100, 122, 123, 150, 500, 1400].into_iter().zip(32_500..) {
            let mut connection = testbed.connection(&ftp, port);
            let text = format!("{}PASV\r\n", line(length));
            instead(&mut connection.peer, &text, BAD_CHECKSUM, &text);
            connection.hears(line(length).trim_end())?;
            connection.hears("PASV")?;
            connection.answer("200 ok")?;
            connection.answer(ANNOUNCES)?;
            observed.push(access(connection.peer.opens(INSIDE)));
        }
        Ok(observed)
    },
};

/// A Telnet ABOR, which the server takes and the client repeats.
pub static URGENT_AGAIN: Scenario = Scenario {
    group: GROUP,
    name: "a segment with a Telnet ABOR in urgent data that only the filter saw, then the one that the server gets, \
           then that again",
    must: "it is read once, and the next transfer opens",
    expected: &["open"],
    unguarded: &[],
    filter_at: Location::Server,
    play: |testbed| {
        let ftp = Server::on(&testbed.network.server, Family::V4);
        let mut connection = testbed.connection(&ftp, 36_000);
        let urgent = Odd { urgent: Some(4), ..Odd::default() };
        let abor = connection.peer.segment(b"\xff\xf4\xff\xf2ABOR\r\n");
        connection.peer.put_odd(&abor, Odd { bad_checksum: true, ..urgent });
        connection.peer.put_odd(&abor, urgent);
        connection.peer.next = abor.next();
        connection.gets(b"\xff\xf4\xffABOR\r\n")?;
        connection.answer("226 done")?;
        connection.peer.put_odd(&Segment { ack: connection.peer.heard, ..abor }, urgent);
        Ok(vec![access(connection.passive(INSIDE)?)])
    },
};

/// A control connection with the real server, as text.
struct Talk(BufReader<TcpStream>);

impl Talk {
    fn ask(&mut self, command: &str) -> io::Result<String> {
        self.0.get_mut().write_all(format!("{command}\r\n").as_bytes())?;
        self.hear()
    }

    fn hear(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        Ok(line)
    }

    /// PASV: the data connection, if it begins.
    #[track_caller]
    fn passive(&mut self, client: &Host) -> io::Result<Option<TcpStream>> {
        let reply = self.ask("PASV")?;
        let (_, numbers) = reply.split_once('(').expect("(h1,h2,h3,h4,p1,p2)");
        let numbers: Vec<u8> =
            numbers.split(|byte: char| !byte.is_ascii_digit()).take(6).map(|n| n.parse().expect("an octet")).collect();
        let address: [u8; 4] = numbers[..4].try_into().expect("four of six");
        let port = u16::from_be_bytes([numbers[4], numbers[5]]);
        Ok(probe::connect(client, (address, port).into()).ok())
    }

    /// PORT: its answer must come. The data connection begins with the transfer.
    #[track_caller]
    fn active(&mut self, client: &Host) -> io::Result<Option<TcpStream>> {
        let own = client.at(Family::V4, 40_000);
        let listener = probe::listen(client, own);
        assert!(self.ask(&format!("PORT {}", six_numbers(own)))?.starts_with("200"));
        if !self.ask("RETR long")?.starts_with("150") {
            return Ok(None);
        }
        let (data, from) = listener.accept()?;
        assert_eq!(from.port(), ACTIVE);
        Ok(Some(data))
    }
}

/// In the middle of three transfers.
pub static ABORTED: Scenario = Scenario {
    group: GROUP,
    name: "transfers from vsftpd by PASV, PORT, PASV, each ended by a Telnet ABOR with the urgent byte that RFC 959 \
           wants, and one more PASV",
    must: "each transfer begins",
    expected: &["open"; 4],
    unguarded: &[],
    filter_at: Location::Server,
    play: |testbed| {
        let Network { server, client, .. } = testbed.network;
        let vsftpd = Vsftpd::on(server);
        file::write_random(&vsftpd.file("long"), 64 << 20);
        let stream = probe::connect(client, server.at(Family::V4, CONTROL))?;
        let mut talk = Talk(BufReader::new(stream));
        assert!(talk.hear()?.starts_with("220"));
        assert!(talk.ask("USER anonymous")?.starts_with("331"));
        assert!(talk.ask("PASS test@")?.starts_with("230"));
        let mut observed = Vec::new();
        for passive in [true, false, true] {
            let data = if passive { talk.passive(client)? } else { talk.active(client)? };
            observed.push(access(data.is_some()));
            let Some(mut data) = data else { return Ok(observed) };
            if passive {
                assert!(talk.ask("RETR long")?.starts_with("150"));
            }
            data.read_exact(&mut [0; 4096])?;
            let socket = SockRef::from(talk.0.get_ref());
            socket.send(b"\xff\xf4")?;
            socket.send_out_of_band(b"\xff")?;
            socket.send(b"\xf2ABOR\r\n")?;
            drop(data);
            // How many replies that gets is the server's own affair.
            assert!(talk.hear()?.starts_with("426"));
            let mut reply = talk.ask("NOOP")?;
            while !reply.starts_with("200") {
                reply = talk.hear()?;
            }
        }
        observed.push(access(talk.passive(client)?.is_some()));
        Ok(observed)
    },
};
