//! Server addresses and prefixes, as the kernel looks them up.

use std::collections::BTreeMap;
use std::net::IpAddr;

use aya::maps::lpm_trie::Key;
use ftp_common::address::Address;
use ftp_common::keys::ServerKey;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::ebpf::pod::AsPod;

/// Key of the SERVERS map.
pub type ServersKey = Key<AsPod<ServerKey>>;

/// Stands where a policy's place would: not a server. Above every place, so the kernel finds none.
const NO_POLICY: u32 = u32::MAX;
/// Bits of a key in front of the address: the generation.
const GENERATION_BITS: u32 = 32;
/// Bits in front of an IPv4 address in its mapped form.
const MAPPED_BITS: u32 = 96;

/// The entries of the SERVERS map for these servers and the places of their policies, in one
/// generation.
#[must_use]
pub fn entries(generation: u32, places: &BTreeMap<IpNet, u32>) -> Vec<(ServersKey, u32)> {
    let mut entries: Vec<_> = places.iter().map(|(net, place)| (key(generation, *net), *place)).collect();
    // In the trie an IPv4 address is one of ::ffff:0:0/96, and a short IPv6 prefix would take in all
    // of them unless they are cut out again. A longer match wins.
    let v4 = Ipv4Net::default();
    let takes_in_v4 = |net: &IpNet| matches!(net, IpNet::V6(v6) if v6.contains(&MAPPED));
    if places.keys().any(takes_in_v4) && !places.contains_key(&v4.into()) {
        entries.push((key(generation, v4.into()), NO_POLICY));
    }
    entries
}

/// 0.0.0.0 in its mapped form.
const MAPPED: std::net::Ipv6Addr = std::net::Ipv4Addr::UNSPECIFIED.to_ipv6_mapped();

fn key(generation: u32, net: IpNet) -> ServersKey {
    let before = match net {
        IpNet::V4(_) => GENERATION_BITS + MAPPED_BITS,
        IpNet::V6(_) => GENERATION_BITS,
    };
    let address = Address::from(net.addr());
    Key::new(before + u32::from(net.prefix_len()), AsPod(ServerKey { generation, address }))
}

/// The generation of an entry of the SERVERS map.
#[must_use]
pub fn generation(key: &ServersKey) -> u32 {
    key.data().0.generation
}

/// What an entry of the SERVERS map stands for: its generation, the prefix, and the policy's place.
#[must_use]
pub fn from_entry(key: &ServersKey, place: u32) -> Option<(u32, IpNet, u32)> {
    let bits = u8::try_from(key.prefix_len().checked_sub(GENERATION_BITS)?).ok()?;
    let AsPod(ServerKey { generation, address }) = key.data();
    if place == NO_POLICY {
        return None;
    }
    let net = match IpAddr::from(address) {
        IpAddr::V4(v4) => Ipv4Net::new(v4, bits.checked_sub(96)?).ok()?.into(),
        IpAddr::V6(v6) => Ipv6Net::new(v6, bits).ok()?.into(),
    };
    Some((generation, net, place))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each at a place of its own.
    fn places(texts: &[&str]) -> BTreeMap<IpNet, u32> {
        let net = |text: &str| text.parse::<IpAddr>().map(IpNet::from).or_else(|_| text.parse()).unwrap();
        (7..).zip(texts).map(|(place, text)| (net(text), place)).collect()
    }

    #[test]
    fn entries_come_back_as_the_servers_they_stand_for() {
        let places = places(&["10.0.0.1", "10.1.0.0/16", "2001:db8::/32", "::1", "0.0.0.0/0"]);
        let entries = entries(7, &places);
        let back: Vec<_> = entries.iter().map(|(key, place)| from_entry(key, *place).unwrap()).collect();
        assert_eq!(back, places.iter().map(|(net, place)| (7, *net, *place)).collect::<Vec<_>>());
        assert!(entries.iter().all(|(key, _)| generation(key) == 7));
    }

    #[test]
    fn all_of_ipv6_does_not_take_in_ipv4() {
        let only_v6 = entries(1, &places(&["::/0"]));
        assert_eq!(only_v6.len(), 2);
        let (cut, place) = &only_v6[1];
        assert_eq!((cut.prefix_len(), *place), (32 + 96, NO_POLICY));
        assert_eq!(from_entry(cut, *place), None);
        assert_eq!(entries(1, &places(&["::/0", "0.0.0.0/0"])).len(), 2);
        assert_eq!(entries(1, &places(&["2000::/3"])).len(), 1);
    }
}
