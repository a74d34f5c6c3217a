//! An FTP server whose sessions do what their clients tell them to, in processes as the first argument says; on the
//! addresses that follow. After AUTH it goes on in clear text: what matters is that nobody may read it.
//!
//! - `fork`: a child for each session, as vsftpd, proftpd and pure-ftpd have;
//! - `greedy`: a child for the first session, and that serves all further ones as well;
//! - `late`: as `fork`, but the process that listens greets;
//! - `one`: all sessions in the process that listens, as pyftpdlib has;
//! - `workers`: all in one child of it, which accepts on the listener that it has inherited;
//! - `orphans`: the same, and the process that has opened the listener ends.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::process::exit;
use std::thread;
use std::time::Duration;

use rustix::process::{Signal, WaitOptions, kill_process, waitpid};
use socket2::{Domain, Socket, Type};

const ACTIVE: u16 = 20;
/// No test takes longer.
const AT_MOST: Duration = Duration::from_secs(600);

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mode = arguments.next().expect("a mode");
    let listeners: Vec<_> = arguments
        .map(|address| listen(address.parse().expect("an address and a port")).expect("the port is free"))
        .collect();
    match mode.as_str() {
        "fork" => each(listeners, |stream| in_a_child(stream, true)),
        "late" => each(listeners, |mut stream| {
            say(&mut stream, "220 ready");
            in_a_child(stream, false);
        }),
        "greedy" => {
            ready();
            let (first, _) = listeners[0].accept().expect("somebody connects");
            if !fork() {
                thread::spawn(move || session(first, true));
                threads(listeners);
            }
        }
        "one" => {
            ready();
            threads(listeners);
        }
        "workers" if fork() => {}
        "workers" => {
            ready();
            threads(listeners);
        }
        "orphans" if fork() => exit(0),
        "orphans" => {
            ready();
            threads(listeners);
        }
        other => panic!("{other}: no such mode"),
    }
    // A child works.
    thread::sleep(AT_MOST);
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(16)?;
    Ok(socket.into())
}

/// True in the parent.
fn fork() -> bool {
    // SAFETY: this process has no other threads where it is called.
    match unsafe { libc::fork() } {
        -1 => panic!("no child: {}", std::io::Error::last_os_error()),
        child => child != 0,
    }
}

/// Says that whoever is to serve is there by now.
fn ready() {
    println!("ready");
}

/// Takes connections of the first listener, one after the other.
fn each(listeners: Vec<TcpListener>, mut serve: impl FnMut(TcpStream)) {
    ready();
    for stream in listeners[0].incoming() {
        serve(stream.expect("somebody connects"));
        // Those that have ended.
        while waitpid(None, WaitOptions::NOHANG).is_ok_and(|ended| ended.is_some()) {}
    }
}

fn in_a_child(stream: TcpStream, greets: bool) {
    if !fork() {
        session(stream, greets);
        exit(0);
    }
}

fn threads(listeners: Vec<TcpListener>) {
    for listener in listeners {
        thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.expect("somebody connects");
                thread::spawn(move || session(stream, true));
            }
        });
    }
    thread::sleep(AT_MOST);
}

fn say(stream: &mut TcpStream, line: &str) {
    // A client that is gone hears nothing.
    let _gone = stream.write_all(format!("{line}\r\n").as_bytes());
}

fn session(mut stream: TcpStream, greets: bool) {
    let _delayed = stream.set_nodelay(true);
    if greets {
        say(&mut stream, "220 ready");
    }
    let mut lines = BufReader::new(stream.try_clone().expect("a socket")).lines();
    let mut open = Vec::new();
    while let Some(Ok(line)) = lines.next() {
        let (verb, argument) = line.split_once(' ').unwrap_or((&line, ""));
        let port = || argument.parse().expect("a port");
        let reply = match verb {
            "AUTH" => "234 go on".to_owned(),
            // Opens a port, as for a PASV.
            "LISTEN" => answer(listen((Ipv6Addr::UNSPECIFIED, port()).into()).map(|listener| open.push(listener))),
            // Closes them.
            "CLOSE" => {
                open.clear();
                "200 done".to_owned()
            }
            // Connects to its client, as after a PORT, or to somebody else.
            "CONNECT" => {
                let client = || stream.peer_addr().map(|client| SocketAddr::new(client.ip(), port()));
                answer(argument.parse().or_else(|_| client()).and_then(|to| connect(&stream, to)))
            }
            // Goes on in a child, which the client speaks to from now on.
            "DESCEND" => {
                if fork() {
                    let _ended = waitpid(None, WaitOptions::empty());
                    exit(0);
                }
                "200 done".to_owned()
            }
            // Ends without a word.
            "DIE" => {
                let _ = kill_process(rustix::process::getpid(), Signal::KILL);
                return;
            }
            _ => "200 done".to_owned(),
        };
        say(&mut stream, &reply);
    }
}

fn answer(result: std::io::Result<()>) -> String {
    result.map_or_else(|error| format!("425 {error}"), |()| "200 done".to_owned())
}

fn connect(control: &TcpStream, to: SocketAddr) -> std::io::Result<()> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_linger(Some(Duration::ZERO))?;
    socket.bind(&SocketAddr::new(control.local_addr()?.ip(), ACTIVE).into())?;
    socket.connect_timeout(&to.into(), Duration::from_millis(600))
}
