//! Keys of the connection maps. All ports and scopes are in host byte order.

use crate::address::Address;

/// A TCP connection, named by the FTP roles of its ends and not by who opened it.
///
/// Key of the handshake, session and flow maps. For a flow, the ports are those of the data
/// connection. Shape: 40 bytes, no padding.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct ConnectionKey {
    /// Address of the FTP client.
    pub client: Address,
    /// Address of the FTP server.
    pub server: Address,
    /// The client's port.
    pub client_port: u16,
    /// The server's port.
    pub server_port: u16,
    /// The interface index if either address is link-local, else 0.
    pub scope: u32,
}

/// Who opens a data connection (RFC 959 §3.2).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Mode {
    /// After PASV or EPSV: the client connects to the server's port.
    Passive,
    /// After PORT or EPRT: the server connects to the client's port.
    Active,
}

impl Mode {
    /// The number that stands for it in keys and events.
    #[inline(always)]
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Passive => 1,
            Self::Active => 2,
        }
    }

    /// The mode that a number stands for; anything but 2 is passive.
    #[inline(always)]
    #[must_use]
    pub const fn from_number(number: u8) -> Self {
        if number == 2 { Self::Active } else { Self::Passive }
    }

    /// Its name in FTP's words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Passive => "passive",
            Self::Active => "active",
        }
    }
}

/// A data connection that was negotiated and has not been opened. 40 bytes, no padding.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct ExpectationKey {
    /// The client's address; [`Address::ANY`] where the policy lets another address connect.
    pub client: Address,
    /// The session's server address.
    pub server: Address,
    /// The listening port: the server's in passive mode, the client's in active mode.
    pub port: u16,
    /// [`Mode::number`].
    pub mode: u8,
    /// Always 0.
    pub zero: u8,
    /// As in [`ConnectionKey::scope`].
    pub scope: u32,
}

impl ExpectationKey {
    /// The expectation that a data connection needs, when its own client address is expected.
    #[inline(always)]
    #[must_use]
    pub const fn for_connection(connection: &ConnectionKey, mode: Mode) -> Self {
        let port = match mode {
            Mode::Passive => connection.server_port,
            Mode::Active => connection.client_port,
        };
        Self {
            client: connection.client,
            server: connection.server,
            port,
            mode: mode.number(),
            zero: 0,
            scope: connection.scope,
        }
    }

    /// The key of a client's range in the RANGES map. `connection`: control or data, of this client and
    /// server.
    #[inline(always)]
    #[must_use]
    pub const fn for_range(connection: &ConnectionKey) -> Self {
        let mode = Mode::Passive.number();
        Self { client: connection.client, server: connection.server, port: 0, mode, zero: 0, scope: connection.scope }
    }
}

/// Whom a limit counts together: all sessions of one client with one server. 36 bytes, no padding.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct ClientKey {
    /// An IPv4 client's address; of an IPv6 client the first 64 bits, as it can have any address in
    /// its subnet.
    pub client: Address,
    /// The server's address.
    pub server: Address,
    /// As in [`ConnectionKey::scope`].
    pub scope: u32,
}

impl From<&ConnectionKey> for ClientKey {
    #[inline(always)]
    fn from(session: &ConnectionKey) -> Self {
        let Address([a, b, c, d]) = session.client;
        let client = if session.client.is_v4() { Address([a, b, c, d]) } else { Address([a, b, 0, 0]) };
        Self { client, server: session.server, scope: session.scope }
    }
}

/// A server's address in one generation of the policy, as the LPM trie wants it: bytes from the
/// most significant on. The prefix length counts from the start of `generation`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct ServerKey {
    /// The policy generation, any byte order: it always counts whole.
    pub generation: u32,
    /// The server's address or prefix.
    pub address: Address,
}

impl ServerKey {
    /// Bits of the whole key: a prefix of `n` bits of address has the length `32 + n`.
    pub const BITS: u32 = 160;
}

const _: () = assert!(size_of::<ConnectionKey>() == 40);
const _: () = assert!(size_of::<ExpectationKey>() == 40);
const _: () = assert!(size_of::<ServerKey>() == 20);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::talk::address;

    fn connection(client: &str) -> ConnectionKey {
        ConnectionKey {
            client: address(client),
            server: address("10.0.1.1"),
            client_port: 40000,
            server_port: 10241,
            scope: 3,
        }
    }

    #[test]
    fn modes_have_numbers_and_names() {
        for (mode, number, name) in [(Mode::Passive, 1, "passive"), (Mode::Active, 2, "active")] {
            assert_eq!((mode.number(), mode.name(), Mode::from_number(number)), (number, name, mode));
        }
        assert_eq!(Mode::from_number(0), Mode::Passive);
    }

    #[test]
    fn an_expectation_is_for_the_end_that_listens() {
        let connection = connection("10.0.1.2");
        let key = |port, mode| ExpectationKey {
            client: connection.client,
            server: connection.server,
            port,
            mode,
            zero: 0,
            scope: 3,
        };
        assert_eq!(ExpectationKey::for_connection(&connection, Mode::Passive), key(10241, 1));
        assert_eq!(ExpectationKey::for_connection(&connection, Mode::Active), key(40000, 2));
        assert_eq!(ExpectationKey::for_range(&connection), key(0, 1));
    }

    #[test]
    fn a_limit_counts_an_ipv4_address_and_an_ipv6_subnet_together() {
        let of = |client| ClientKey::from(&connection(client));
        assert_eq!(of("10.0.1.2"), ClientKey { client: address("10.0.1.2"), server: address("10.0.1.1"), scope: 3 });
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), of("2001:db8:1:2::9"));
        assert_ne!(of("2001:db8:1:2::9"), of("2001:db8:1:3::9"));
        assert_ne!(of("2001:db8:1:2::9"), of("2001:db8:2:2::9"));
    }
}
