//! A small FTP server that keeps its files in memory: for machines where no other is installed.

use socket2::{Domain, Socket, Type};
use std::collections::HashMap;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::PASSIVE_RANGE;
use crate::actors::client::six_numbers;
use crate::actors::probe;
use crate::actors::server::{ACTIVE, CONTROL};
use crate::hosts::network::{Family, Host};
use crate::support::wait::patience;

/// It serves whoever connects until it is dropped. Names are whole; there are no directories.
#[derive(Debug)]
pub struct FtpServer {
    listener: TcpListener,
    files: Files,
}

type Files = Arc<Mutex<HashMap<String, Vec<u8>>>>;

impl FtpServer {
    /// Listens on the control port of `host`.
    #[track_caller]
    pub fn on(host: &Host, family: Family) -> Self {
        let listener = probe::listen(host, host.at(family, CONTROL));
        let files = Files::default();
        let (accepting, served) = (listener.try_clone().expect("a descriptor"), Arc::clone(&files));
        // A thread that is begun inside the namespace is inside it, too.
        host.namespace.run(|| thread::spawn(move || accept(&accepting, &served)));
        Self { listener, files }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().expect("a listener")
    }

    /// Gives it a file.
    pub fn keep(&self, name: &str, content: Vec<u8>) {
        self.files.lock().expect("nobody panics there").insert(name.to_owned(), content);
    }

    /// A file that it has.
    #[track_caller]
    pub fn file(&self, name: &str) -> Vec<u8> {
        self.files.lock().expect("nobody panics there").get(name).expect("it was stored").clone()
    }
}

impl Drop for FtpServer {
    fn drop(&mut self) {
        // Wakes the thread that accepts.
        let _ = socket2::SockRef::from(&self.listener).shutdown(Shutdown::Both);
    }
}

fn accept(listener: &TcpListener, files: &Files) {
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                let files = Arc::clone(files);
                thread::spawn(move || Session::new(stream, files).and_then(Session::serve));
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}

/// Where the next data connection comes from or goes to.
enum Data {
    None,
    Passive(TcpListener),
    Active(SocketAddr),
}

struct Session {
    control: BufReader<TcpStream>,
    own: SocketAddr,
    files: Files,
    data: Data,
}

impl Session {
    fn new(stream: TcpStream, files: Files) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        let own = stream.local_addr()?;
        Ok(Self { control: BufReader::new(stream), own, files, data: Data::None })
    }

    /// Answers commands until the client hangs up. Whatever goes wrong ends the session: the client notices.
    fn serve(mut self) -> io::Result<()> {
        self.say("220 ready")?;
        loop {
            let mut line = String::new();
            if self.control.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let line = line.trim_end();
            let (verb, argument) = line.split_once(' ').unwrap_or((line, ""));
            match verb {
                "USER" => self.say("331 password, please")?,
                "PASS" => self.say("230 in")?,
                "TYPE" => self.say("200 ok")?,
                "PASV" | "EPSV" => self.listen(verb)?,
                "PORT" | "EPRT" => {
                    let target = address(verb, argument).ok_or(io::ErrorKind::InvalidInput)?;
                    self.data = Data::Active(target);
                    self.say("200 ok")?;
                }
                "RETR" => self.send(argument)?,
                "STOR" => self.store(argument)?,
                "QUIT" => return self.say("221 goodbye"),
                _ => self.say("500 what?")?,
            }
        }
    }

    fn say(&mut self, line: &str) -> io::Result<()> {
        self.control.get_mut().write_all(format!("{line}\r\n").as_bytes())
    }

    fn listen(&mut self, verb: &str) -> io::Result<()> {
        let listener = in_range(self.own.ip())?;
        let address = listener.local_addr()?;
        self.data = Data::Passive(listener);
        match verb {
            "PASV" => self.say(&format!("227 Entering Passive Mode ({}).", six_numbers(address))),
            _ => self.say(&format!("229 Entering Extended Passive Mode (|||{}|)", address.port())),
        }
    }

    fn connected(&mut self) -> io::Result<TcpStream> {
        self.say("150 here it comes")?;
        let stream = match std::mem::replace(&mut self.data, Data::None) {
            Data::None => return Err(io::ErrorKind::NotConnected.into()),
            Data::Passive(listener) => listener.accept()?.0,
            Data::Active(target) => {
                let socket = Socket::new(Domain::for_address(target), Type::STREAM, None)?;
                socket.set_reuse_address(true)?;
                socket.bind(&SocketAddr::new(self.own.ip(), ACTIVE).into())?;
                socket.connect_timeout(&target.into(), patience())?;
                socket.into()
            }
        };
        stream.set_read_timeout(Some(patience()))?;
        stream.set_write_timeout(Some(patience()))?;
        Ok(stream)
    }

    fn send(&mut self, name: &str) -> io::Result<()> {
        let content = self.files.lock().expect("nobody panics there").get(name).cloned();
        let Some(content) = content else { return self.say("550 there is no such file") };
        self.connected()?.write_all(&content)?;
        self.say("226 that was it")
    }

    fn store(&mut self, name: &str) -> io::Result<()> {
        let mut content = Vec::new();
        self.connected()?.read_to_end(&mut content)?;
        self.files.lock().expect("nobody panics there").insert(name.to_owned(), content);
        self.say("226 I have it")
    }
}

/// Listens on a port of the passive range, another one each time.
fn in_range(address: IpAddr) -> io::Result<TcpListener> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let (first, last) = (*PASSIVE_RANGE.start(), *PASSIVE_RANGE.end());
    let listener = loop {
        let port = first + NEXT.fetch_add(1, Ordering::Relaxed) % (last - first + 1);
        match TcpListener::bind((address, port)) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            other => break other?,
        }
    };
    // Linux lets accept time out by this, too.
    socket2::SockRef::from(&listener).set_read_timeout(Some(patience()))?;
    Ok(listener)
}

/// What a PORT (RFC 959 §4.1.2) or EPRT (RFC 2428 §2) names.
fn address(verb: &str, argument: &str) -> Option<SocketAddr> {
    if verb == "PORT" {
        let numbers: Vec<u8> = argument.split(',').map(|number| number.parse().ok()).collect::<Option<_>>()?;
        let [a, b, c, d, high, low] = numbers[..] else { return None };
        return Some((Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([high, low])).into());
    }
    let [_, family, address, port, _] = argument.split('|').collect::<Vec<_>>()[..] else { return None };
    let address: IpAddr = match family {
        "1" => address.parse::<Ipv4Addr>().ok()?.into(),
        _ => address.parse::<Ipv6Addr>().ok()?.into(),
    };
    Some(SocketAddr::new(address, port.parse().ok()?))
}
