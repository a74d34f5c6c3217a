//! Whole transfers of the scripted client: negotiate, connect or be connected to, carry a file.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};

use crate::actors::client::{Client, active_command};
use crate::actors::curl::Mode;
use crate::actors::probe;
use crate::hosts::network::Host;

/// Gets a file.
#[track_caller]
pub fn download(client: &mut Client, host: &Host, mode: Mode, name: &str) -> Vec<u8> {
    let mut content = Vec::new();
    carry(client, host, mode, &format!("RETR {name}"), |data| {
        data.read_to_end(&mut content).expect("the server sends it");
    });
    content
}

/// Puts a file.
#[track_caller]
pub fn upload(client: &mut Client, host: &Host, mode: Mode, name: &str, content: &[u8]) {
    carry(client, host, mode, &format!("STOR {name}"), |data| {
        data.write_all(content).expect("the server takes it");
        data.shutdown(Shutdown::Write).expect("it is open");
    });
}

/// What a client has of a data connection that was negotiated.
enum Half {
    Connected(TcpStream),
    Listening(TcpListener),
}

#[track_caller]
fn carry(client: &mut Client, host: &Host, mode: Mode, command: &str, work: impl FnOnce(&mut TcpStream)) {
    let half = negotiate(client, host, mode);
    client.command(command).must_be(150);
    let mut data = match half {
        Half::Connected(stream) => stream,
        Half::Listening(listener) => listener.accept().expect("the server connects").0,
    };
    work(&mut data);
    drop(data);
    client.reply().must_be(226);
}

#[track_caller]
fn negotiate(client: &mut Client, host: &Host, mode: Mode) -> Half {
    let connect = |target| Half::Connected(probe::connect(host, target).expect("the server said so"));
    match mode {
        Mode::Pasv => connect(client.passive()),
        Mode::Epsv => {
            let port = client.extended_passive();
            connect(SocketAddr::new(client.peer().ip(), port))
        }
        Mode::Port | Mode::Eprt => {
            let listener = probe::listen(host, SocketAddr::new(client.address().ip(), 0));
            let own = listener.local_addr().expect("a listener");
            let command = match (mode, own) {
                (Mode::Eprt, SocketAddr::V4(v4)) => format!("EPRT |1|{}|{}|", v4.ip(), v4.port()),
                _ => active_command(own),
            };
            client.command(&command).must_be(200);
            Half::Listening(listener)
        }
    }
}
