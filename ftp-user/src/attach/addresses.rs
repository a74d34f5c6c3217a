//! The interfaces' own addresses: of the servers on this host, where no others are named.

use std::collections::BTreeSet;

use ipnet::IpNet;

use crate::ebpf::policy_change::Change;
use crate::error::Failure;
use crate::pins::{Pins, Record};
use crate::policy::attachment::SideName;
use crate::sys::netlink::Netlink;

/// Whose addresses are servers': all of the host's where servers are behind an interface, since a packet for any of them
/// may come in by each (the weak host model, RFC 1122 §3.3.4.2).
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct OwnAddresses {
    /// Servers are behind one interface at least.
    behind: bool,
    /// Interfaces with servers beyond: by them the host is spoken to as if it was a client.
    beyond: Vec<u32>,
    loopback: Vec<u32>,
}

impl OwnAddresses {
    /// Of these interfaces, by index. Beyond an interface with servers beyond are others' servers.
    pub fn of(interfaces: impl IntoIterator<Item = (u32, SideName)>) -> Self {
        let mut own = Self::default();
        for (index, side) in interfaces {
            match side {
                SideName::ServersBehind => own.behind = true,
                SideName::Both => own.loopback.push(index),
                SideName::ServersBeyond => own.beyond.push(index),
            }
        }
        own
    }

    /// The addresses that there are now.
    ///
    /// # Errors
    ///
    /// The kernel's refusal.
    pub async fn now(&self, netlink: &Netlink) -> Result<BTreeSet<IpNet>, Failure> {
        Ok(self.among(&netlink.addresses().await?))
    }

    /// Those of all addresses, with the interface that each is on. On loopback all of an address's prefix is the
    /// host's own.
    #[must_use]
    pub fn among(&self, all: &[(u32, IpNet)]) -> BTreeSet<IpNet> {
        // Those that no packet may have that comes from elsewhere, but on loopback.
        let is_own =
            |(index, net): &&(u32, IpNet)| self.behind && !self.beyond.contains(index) && !net.addr().is_loopback();
        let own = all.iter().filter(is_own).map(|(_, net)| net.addr().into());
        let loopback = all.iter().filter(|(index, _)| self.loopback.contains(index));
        own.chain(loopback.map(|(_, net)| net.trunc())).collect()
    }
}

/// Makes the addresses that the interfaces have now active, if the policy follows them and they have changed.
/// Returns them then.
///
/// # Errors
///
/// It can't be done; then what was active still is.
pub async fn reconcile_addresses(pins: &Pins, netlink: &Netlink) -> Result<Option<BTreeSet<IpNet>>, Failure> {
    // Whatever policy is active by now, it goes by the addresses of now. They are read while nobody else
    // can change it: whoever is next reads later ones.
    let mut change = Change::begin(pins).await?;
    let active = change.active()?;
    let own = own_addresses(&pins.records()?).now(netlink).await?;
    if active.policy.own.is_none() || active.policy.without_named(&own) == active.own {
        return Ok(None);
    }
    change.apply(&active.policy, &own)?;
    Ok(Some(own))
}

/// Those of the interfaces that are to be guarded.
#[must_use]
pub fn own_addresses(records: &[Record]) -> OwnAddresses {
    OwnAddresses::of(records.iter().map(|record| (record.index, record.side)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(interfaces: &[(u32, SideName)]) -> Vec<String> {
        let all = [
            (1, "127.0.0.1/8"),
            (1, "::1/128"),
            (1, "198.51.100.1/32"),
            (2, "192.0.2.10/24"),
            (2, "fe80::2/64"),
            (3, "203.0.113.3/24"),
        ];
        let all = all.map(|(index, net)| (index, net.parse().unwrap()));
        OwnAddresses::of(interfaces.iter().copied()).among(&all).iter().map(crate::policy::summary::shown).collect()
    }

    #[test]
    fn own_addresses_are_all_of_the_host_whichever_interface_they_are_on() {
        let behind = own(&[(2, SideName::ServersBehind)]);
        assert_eq!(behind, ["192.0.2.10", "198.51.100.1", "203.0.113.3", "fe80::2"]);
        let gateway = own(&[(2, SideName::ServersBehind), (3, SideName::ServersBeyond)]);
        assert_eq!(gateway, ["192.0.2.10", "198.51.100.1", "fe80::2"], "a client's side");
        assert_eq!(own(&[(3, SideName::ServersBeyond)]), [""; 0]);
    }

    #[test]
    fn loopback_is_the_hosts_own_where_it_is_guarded() {
        assert_eq!(own(&[(1, SideName::Both)]), ["127.0.0.0/8", "198.51.100.1", "::1"]);
        let both = own(&[(1, SideName::Both), (2, SideName::ServersBehind)]);
        assert_eq!(both, ["127.0.0.0/8", "192.0.2.10", "198.51.100.1", "203.0.113.3", "::1", "fe80::2"]);
    }
}
