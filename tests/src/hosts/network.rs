//! Three hosts on one link: an FTP server, its client, and an unrelated third host.

use std::fmt;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::actors::probe::{self, Outcome};
use crate::hosts::links::{self, Plug};
use crate::hosts::namespace::Namespace;
use crate::support::wait;

/// The interface of each host.
pub const INTERFACE: &str = "eth0";
const HUB: &str = "hub";

/// Which IP.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::V4, Self::V6];
}

impl fmt::Display for Family {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

/// One host: a namespace with one interface, [`INTERFACE`], and an address of each family.
#[derive(Debug)]
pub struct Host {
    /// Where it lives.
    pub namespace: Namespace,
    v4: Ipv4Addr,
    v6: Ipv6Addr,
    mac: [u8; 6],
}

/// The hosts, and the bridge that joins them.
#[derive(Debug)]
pub struct Network {
    /// Where the FTP server runs, and ftptrack with it.
    pub server: Host,
    /// Where the FTP client runs.
    pub client: Host,
    /// Another host of the same network.
    pub third: Host,
    _bridge: Namespace,
}

impl Network {
    /// Three hosts that reach each other over both families.
    #[track_caller]
    #[expect(clippy::new_without_default, reason = "making one is an effect, and needs rights")]
    pub fn new() -> Self {
        Self::with_mtu(1500)
    }

    /// The same, with packets of up to `mtu` bytes.
    #[track_caller]
    pub fn with_mtu(mtu: u16) -> Self {
        let bridge = bridge();
        let network = Self {
            server: Host::plugged_into(&bridge, 1, mtu),
            client: Host::plugged_into(&bridge, 2, mtu),
            third: Host::plugged_into(&bridge, 3, mtu),
            _bridge: bridge,
        };
        for family in Family::BOTH {
            for from in [&network.client, &network.third] {
                let to = network.server.at(family, 9);
                wait::until("the hosts reach each other", || (probe::to(from, to) == Outcome::Refused).then_some(()));
            }
        }
        network
    }
}

/// The address of the `number`th host of a link.
#[must_use]
pub fn address(link: u8, number: u8, family: Family) -> IpAddr {
    let (v4, v6) = addresses(link, number);
    match family {
        Family::V4 => v4.into(),
        Family::V6 => v6.into(),
    }
}

fn addresses(link: u8, number: u8) -> (Ipv4Addr, Ipv6Addr) {
    let [wide_link, wide_number] = [link, number].map(u16::from);
    (Ipv4Addr::new(10, 0, link, number), Ipv6Addr::new(0xfd00, 0xf7, 0, wide_link, 0, 0, 0, wide_number))
}

/// A namespace with a bridge to plug hosts into.
#[track_caller]
#[must_use]
pub fn bridge() -> Namespace {
    let bridge = Namespace::new();
    links::bridge(&bridge, HUB);
    bridge
}

impl Host {
    fn plugged_into(bridge: &Namespace, number: u8, mtu: u16) -> Self {
        let host = Self::new(0, number);
        host.plug(INTERFACE, bridge, mtu, &[(host.address(Family::V4), 24), (host.address(Family::V6), 64)]);
        host
    }

    /// A host without a cable, the `number`th of link `link`.
    #[track_caller]
    pub fn new(link: u8, number: u8) -> Self {
        let (v4, v6) = addresses(link, number);
        Self { namespace: Namespace::new(), v4, v6, mac: [2, 0, 0, 0, link, number] }
    }

    /// The same with addresses of the documentation prefixes (RFC 5737, RFC 3849), for people to look at.
    #[track_caller]
    pub fn documented(number: u8) -> Self {
        let v4 = Ipv4Addr::new(192, 0, 2, number);
        let v6 = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, number.into());
        Self { v4, v6, ..Self::new(0, number) }
    }

    /// Gives it an interface that leads to a [`bridge`], with these addresses and lengths of prefixes.
    #[track_caller]
    pub fn plug(&self, interface: &str, bridge: &Namespace, mtu: u16, addresses: &[(IpAddr, u8)]) {
        let plug = Plug { name: interface, mac: self.mac(), mtu, addresses };
        let [.., number] = self.mac;
        links::cable(&self.namespace, &plug, bridge, HUB, &format!("port{number}"));
    }

    /// Its address.
    pub fn address(&self, family: Family) -> IpAddr {
        match family {
            Family::V4 => self.v4.into(),
            Family::V6 => self.v6.into(),
        }
    }

    /// Its address with a port.
    pub fn at(&self, family: Family, port: u16) -> SocketAddr {
        SocketAddr::new(self.address(family), port)
    }

    /// The TCP ports that anybody listens on.
    #[track_caller]
    pub fn listening_ports(&self) -> Vec<u16> {
        let tables = self.namespace.run(|| {
            ["tcp", "tcp6"]
                .map(|table| fs::read_to_string(format!("/proc/thread-self/net/{table}")).expect("it is there"))
        });
        let lines = tables.iter().flat_map(|table| table.lines().skip(1));
        // Number, local address, remote address, state: 0A is LISTEN.
        let listening = lines.map(|line| line.split_whitespace().collect::<Vec<_>>()).filter(|words| words[3] == "0A");
        let port = |words: Vec<&str>| words[1].rsplit(':').next().and_then(|port| u16::from_str_radix(port, 16).ok());
        listening.map(|words| port(words).expect("ADDRESS:PORT")).collect()
    }

    /// The hardware address of its interface.
    pub fn mac(&self) -> [u8; 6] {
        self.mac
    }
}

impl fmt::Display for Host {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address(Family::V4).fmt(formatter)
    }
}
