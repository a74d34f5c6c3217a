//! The ends of a connection, as text, and what goes each way.

use std::net::SocketAddr;

use ftp_common::address::Address;
use serde::Serialize;

/// A pair of numbers, of the client and of the server.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct BothWays {
    /// From the client.
    pub client: u64,
    /// From the server.
    pub server: u64,
}

impl From<[u64; 2]> for BothWays {
    fn from([client, server]: [u64; 2]) -> Self {
        Self { client, server }
    }
}

/// `address:port`, `[address]:port` for IPv6.
#[must_use]
pub fn endpoint(address: Address, port: u16) -> String {
    SocketAddr::new(address.into(), port).to_string()
}

/// `client:port-server:port`.
#[must_use]
pub fn pair(client: Address, client_port: u16, server: Address, server_port: u16) -> String {
    format!("{}-{}", endpoint(client, client_port), endpoint(server, server_port))
}
