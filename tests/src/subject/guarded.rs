//! What most tests begin with: a network, a server that a test speaks for, ftptrack on its host, and a session.

use std::net::SocketAddr;

use crate::actors::client::Client;
use crate::actors::probe::Outcome;
use crate::actors::server::{self, Server, Session};
use crate::hosts::network::{Family, Network};
use crate::subject::ftptrack::{Ftptrack, PinDirectory, USUAL};

/// The hosts and the server, not guarded yet.
#[derive(Debug)]
pub struct Testbed {
    /// The hosts.
    pub network: Network,
    /// The server, on its host's IPv4 address.
    pub ftp: Server,
    /// Where ftptrack pins.
    pub pins: PinDirectory,
}

/// ftptrack on the server's host, and a session of the client that began after it.
#[derive(Debug)]
pub struct Guarded<'a> {
    /// The command.
    pub ftptrack: Ftptrack<'a>,
    /// The client's end of the control connection.
    pub control: Client,
    /// The server's end.
    pub session: Session,
    network: &'a Network,
}

impl Testbed {
    /// Makes them.
    #[track_caller]
    #[expect(clippy::new_without_default, reason = "making one is an effect, and needs rights")]
    pub fn new() -> Self {
        let network = Network::new();
        let ftp = Server::on(&network.server, Family::V4);
        Self { network, ftp, pins: PinDirectory::new() }
    }

    /// Attaches ftptrack.
    #[track_caller]
    pub fn ftptrack(&self) -> Ftptrack<'_> {
        Ftptrack::guarding(&self.network.server, &self.pins)
    }

    /// Attaches ftptrack, and then logs the client in.
    #[track_caller]
    pub fn guarded(&self) -> Guarded<'_> {
        self.guarded_with(&[])
    }

    /// The same with more options of `run`.
    #[track_caller]
    pub fn guarded_with(&self, more: &[&str]) -> Guarded<'_> {
        let ftptrack = Ftptrack::run(&self.network.server, &self.pins, &[&USUAL[..], more].concat());
        let (control, session) = self.ftp.session_with(&self.network.client);
        Guarded { ftptrack, control, session, network: &self.network }
    }
}

impl Guarded<'_> {
    /// PASV, answered by `port` of the server's: where the client may connect now.
    #[track_caller]
    pub fn negotiated(&mut self, port: u16) -> SocketAddr {
        let target = self.network.server.at(Family::V4, port);
        server::negotiated((&mut self.control, &mut self.session), target);
        target
    }

    /// A whole transfer's beginning at `port`: listening, negotiating and connecting.
    #[track_caller]
    pub fn transfer(&mut self, port: u16) -> Outcome {
        let Network { server, client, .. } = self.network;
        server::transfer(client, server, (&mut self.control, &mut self.session), port)
    }

    /// A NOOP and its reply.
    #[track_caller]
    pub fn noop(&mut self) {
        server::exchange((&mut self.control, &mut self.session), "NOOP", "200 ok");
    }
}
