//! A client that does nothing but transfer, one after the other: what is measured is not to be the client.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};

use ftptrack_tests::actors::client::active_command;
use ftptrack_tests::actors::curl::Mode;
use ftptrack_tests::support::wait::patience;

/// A control connection, logged in.
pub(crate) struct Client {
    control: BufReader<TcpStream>,
    server: IpAddr,
    own: IpAddr,
}

impl Client {
    /// Connects from the namespace of this thread, and logs in.
    pub(crate) fn login(to: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&to, patience())?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(patience()))?;
        let own = stream.local_addr()?.ip();
        let mut client = Self { control: BufReader::new(stream), server: to.ip(), own };
        client.reply("220")?;
        client.ask("USER anonymous", "331")?;
        client.ask("PASS guest", "230")?;
        client.ask("TYPE I", "200")?;
        Ok(client)
    }

    /// Negotiates a data connection and gets what `command` sends over it; how many bytes.
    pub(crate) fn get(&mut self, mode: Mode, command: &str) -> io::Result<usize> {
        let mut data = match mode {
            Mode::Pasv | Mode::Epsv => {
                let port = self.passive_port(mode)?;
                let stream = TcpStream::connect_timeout(&SocketAddr::new(self.server, port), patience())?;
                self.ask(command, "150")?;
                stream
            }
            Mode::Port | Mode::Eprt => {
                let listener = TcpListener::bind((self.own, 0))?;
                self.ask(&active_command(listener.local_addr()?), "200")?;
                self.ask(command, "150")?;
                listener.accept()?.0
            }
        };
        data.set_read_timeout(Some(patience()))?;
        let mut got = Vec::with_capacity(2048);
        data.read_to_end(&mut got)?;
        drop(data);
        self.reply("226")?;
        Ok(got.len())
    }

    /// Says goodbye and waits for the answer.
    pub(crate) fn quit(mut self) -> io::Result<()> {
        self.ask("QUIT", "221").map(drop)
    }

    fn passive_port(&mut self, mode: Mode) -> io::Result<u16> {
        if mode == Mode::Epsv {
            let reply = self.ask("EPSV", "229")?;
            let port = reply.split('|').nth(3).and_then(|port| port.parse().ok());
            return port.ok_or_else(|| io::Error::other(reply));
        }
        let reply = self.ask("PASV", "227")?;
        let inner = reply.split(['(', ')']).nth(1).unwrap_or_default();
        let numbers: Vec<u8> = inner.split(',').filter_map(|number| number.parse().ok()).collect();
        match numbers[..] {
            [_, _, _, _, high, low] => Ok(u16::from_be_bytes([high, low])),
            _ => Err(io::Error::other(reply)),
        }
    }

    fn ask(&mut self, command: &str, code: &str) -> io::Result<String> {
        self.control.get_mut().write_all(format!("{command}\r\n").as_bytes())?;
        self.reply(code)
    }

    fn reply(&mut self, code: &str) -> io::Result<String> {
        loop {
            let mut line = String::new();
            self.control.read_line(&mut line)?;
            if !line.starts_with(code) {
                return Err(io::Error::other(format!("{line:?} instead of {code}")));
            }
            if line.as_bytes().get(3) == Some(&b' ') {
                return Ok(line);
            }
        }
    }
}
