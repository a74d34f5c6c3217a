//! Two servers and two clients, with a gateway between.

use serde::Deserialize;
use std::fs;
use std::net::IpAddr;

use crate::actors::probe::{self, Outcome};
use crate::hosts::namespace::Namespace;
use crate::hosts::network::{self, Family, Host, INTERFACE};
use crate::subject::conntrack;
use crate::support::wait;

/// What the gateway does with packets.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// It is a bridge: one network on both sides.
    Bridge,
    /// It routes between the servers' network and the clients'.
    Route,
    /// It routes, and gives the clients its own address, as the router of a home or an office does.
    Masquerade,
}

/// A host that a filter can be put on.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Where the server of the cell runs.
    Server,
    /// Where the second server runs, if there is one.
    SecondServer,
    /// Between servers and clients: its interfaces are `inner`, to the servers, and `outer`.
    Gateway,
    /// Where the client runs.
    Client,
}

/// The hosts and what joins them.
#[derive(Debug)]
pub struct Topology {
    /// On the inner side: 10.0.1.1 and .2, fd00:f7:0:1::1 and ::2.
    pub servers: [Host; 2],
    /// On the outer side: 10.0.2.1 and .2, fd00:f7:0:2::1 and ::2.
    pub clients: [Host; 2],
    gateway: Host,
    _hubs: [Namespace; 2],
}

const INNER: u8 = 1;
const OUTER: u8 = 2;
const GATEWAY: u8 = 254;
const MTU: u16 = 1500;

/// The clients' router: it gives them its own address, and its helpers put that into PORT and EPRT.
const MASQUERADE: &str = r#"
table inet home {
    ct helper ftp { type "ftp" protocol tcp; }
    chain assign {
        type filter hook prerouting priority 0; policy accept;
        iifname "outer" tcp dport 21 ct helper set "ftp"
    }
    chain translate {
        type nat hook postrouting priority 100; policy accept;
        oifname "inner" masquerade
    }
}
"#;

impl Topology {
    /// Hosts that reach each other over both families.
    #[track_caller]
    pub fn new(way: Way) -> Self {
        // A bridge joins both sides to one network.
        let lengths = if way == Way::Bridge { [16, 48] } else { [24, 64] };
        let hubs = [network::bridge(), network::bridge()];
        let hosts = |link, hub: &Namespace| {
            [1, 2].map(|number| {
                let host = Host::new(link, number);
                host.plug(INTERFACE, hub, MTU, &addresses(link, number, lengths));
                host
            })
        };
        let (servers, clients) = (hosts(INNER, &hubs[0]), hosts(OUTER, &hubs[1]));
        let gateway = Host::new(INNER, GATEWAY);
        for ((interface, hub), link) in ["inner", "outer"].into_iter().zip(&hubs).zip([INNER, OUTER]) {
            let own = if way == Way::Bridge { vec![] } else { addresses(link, GATEWAY, lengths) };
            gateway.plug(interface, hub, MTU, &own);
        }
        let topology = Self { servers, clients, gateway, _hubs: hubs };
        match way {
            Way::Bridge => topology.join(),
            Way::Route | Way::Masquerade => topology.route(),
        }
        if way == Way::Masquerade {
            conntrack::load(&topology.gateway, MASQUERADE);
        }
        for client in &topology.clients {
            for server in &topology.servers {
                for to in Family::BOTH.map(|family| server.at(family, 9)) {
                    wait::until("the hosts reach each other", || {
                        (probe::to(client, to) == Outcome::Refused).then_some(())
                    });
                }
            }
        }
        topology
    }

    /// Makes the gateway a bridge.
    fn join(&self) {
        let gateway = &self.gateway.namespace;
        gateway.ip("link add name hub type bridge mcast_snooping 0");
        gateway.ip("link set hub up");
        gateway.ip("link set inner master hub");
        gateway.ip("link set outer master hub");
    }

    /// Makes the gateway a router.
    fn route(&self) {
        self.gateway.namespace.run(|| {
            for setting in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
                fs::write(format!("/proc/sys/net/{setting}"), "1").expect("a namespace may forward");
            }
        });
        for (link, hosts) in [(INNER, &self.servers), (OUTER, &self.clients)] {
            let [v4, v6] = Family::BOTH.map(|family| network::address(link, GATEWAY, family));
            for host in hosts {
                host.namespace.ip(&format!("route add default via {v4}"));
                host.namespace.ip(&format!("-6 route add default via {v6}"));
            }
        }
    }

    /// The host of this role.
    pub const fn host(&self, role: Role) -> &Host {
        match role {
            Role::Server => &self.servers[0],
            Role::SecondServer => &self.servers[1],
            Role::Gateway => &self.gateway,
            Role::Client => &self.clients[0],
        }
    }
}

/// The addresses of a host, with prefixes of these lengths: IPv4, IPv6.
fn addresses(link: u8, number: u8, lengths: [u8; 2]) -> Vec<(IpAddr, u8)> {
    Family::BOTH.map(|family| network::address(link, number, family)).into_iter().zip(lengths).collect()
}
