//! A policy as the kernel program reads it, and back.
//!
//! Rules stand at places: those for this host's own addresses at place 0, which is empty if
//! there are none, the named ones behind it without a gap. So all of a policy can be read back.

use std::collections::{BTreeMap, BTreeSet};

use ftp_common::policy::{CONTROL_PORTS, PortClasses, ServerPolicy, class, flag, option};
use ipnet::IpNet;

use super::{ActivePort, Ftps, Mark, Policy, PortRange, Rules};

/// The place of the rules for this host's own addresses.
pub(crate) const OWN: u32 = 0;

impl Policy {
    /// The rules, each at its place.
    #[must_use]
    pub fn to_kernel(&self) -> Vec<ServerPolicy> {
        let own = self.own.as_ref().map(Rules::to_kernel).unwrap_or_default();
        std::iter::once(own).chain(self.named.iter().map(|named| named.rules.to_kernel())).collect()
    }

    /// The place of each server prefix, given this host's own addresses. A name goes before.
    #[must_use]
    pub fn places(&self, own: &BTreeSet<IpNet>) -> BTreeMap<IpNet, u32> {
        let own = self.own.iter().flat_map(|_| own).map(|net| (*net, OWN));
        let named =
            (1..).zip(&self.named).flat_map(|(place, named)| named.prefixes.iter().map(move |net| (*net, place)));
        own.chain(named).collect()
    }

    /// Those of this host's own addresses that are not named.
    #[must_use]
    pub fn without_named(&self, own: &BTreeSet<IpNet>) -> BTreeSet<IpNet> {
        let is_named = |net: &IpNet| self.named.iter().any(|named| named.prefixes.contains(net));
        own.iter().copied().filter(|net| !is_named(net)).collect()
    }

    /// What each port means to any server: which server's it is, is asked later.
    #[must_use]
    pub fn port_classes(&self) -> Box<PortClasses> {
        let mut classes = Box::new(PortClasses::NONE);
        let mut mark = |port: u16, bit: u8| classes.mark(port, bit);
        for rules in self.rules() {
            rules.control_ports.iter().for_each(|port| mark(*port, class::CONTROL));
            rules.passive_range.iter().flat_map(PortRange::ports).for_each(|port| mark(port, class::PASSIVE));
            if let ActivePort::Port(port) = rules.active_port {
                mark(port, class::ACTIVE);
            }
        }
        classes
    }

    /// Bits of [`option`].
    #[must_use]
    pub fn options(&self) -> u32 {
        let marks = self.rules().any(|rules| rules.mark.is_some());
        let enforces = self.rules().any(|rules| !rules.monitor);
        [
            (!self.accounting, option::NO_ACCOUNTING),
            (marks, option::MARKS),
            (self.own.is_some(), option::OWN_ADDRESSES),
            (enforces, option::ENFORCES),
        ]
        .iter()
        .fold(0, |options, (holds, bit)| if *holds { options | bit } else { options })
    }

    /// All rules, those for this host's own addresses first.
    pub fn rules(&self) -> impl Iterator<Item = &Rules> {
        self.own.iter().chain(self.named.iter().map(|named| &named.rules))
    }

    /// All rules, to change.
    pub fn rules_mut(&mut self) -> impl Iterator<Item = &mut Rules> {
        self.own.iter_mut().chain(self.named.iter_mut().map(|named| &mut named.rules))
    }
}

impl Rules {
    /// They as the kernel program reads them.
    #[must_use]
    pub fn to_kernel(&self) -> ServerPolicy {
        let mut control_ports = [0; CONTROL_PORTS];
        control_ports.iter_mut().zip(&self.control_ports).for_each(|(place, port)| *place = *port);
        ServerPolicy {
            control_ports,
            passive_first: self.passive_range.map_or(0, |range| range.first),
            passive_last: self.passive_range.map_or(0, |range| range.last),
            active_port: if let ActivePort::Port(port) = self.active_port { port } else { 0 },
            flags: self.flags().into_iter().filter(|(is, _)| *is).fold(0, |flags, (_, flag)| flags | flag),
            expectation_timeout: self.expectation_timeout,
            sessions_per_client: self.sessions_per_client,
            mark: self.mark.map_or(0, |mark| mark.value),
            mark_mask: self.mark.map_or(0, |mark| mark.mask),
        }
    }

    fn flags(&self) -> [(bool, u16); 9] {
        [
            (self.monitor, flag::MONITOR),
            (self.pasv_promiscuous, flag::PASV_PROMISCUOUS),
            (self.port_promiscuous, flag::PORT_PROMISCUOUS),
            (self.announced_strict, flag::ANNOUNCED_STRICT),
            (self.ftps == Ftps::ClientRange, flag::FTPS_CLIENT_RANGE),
            (self.ftps == Ftps::Learn, flag::FTPS_LEARN),
            (!self.passive, flag::NO_PASSIVE),
            (!self.active, flag::NO_ACTIVE),
            (self.active_port == ActivePort::Any, flag::ACTIVE_ANY),
        ]
    }

    /// What the kernel program reads at a place; `None` if nothing is there.
    #[must_use]
    pub fn from_kernel(policy: &ServerPolicy) -> Option<Self> {
        let control_ports: Vec<_> = policy.control_ports.into_iter().filter(|port| *port != 0).collect();
        if control_ports.is_empty() {
            return None;
        }
        let range = PortRange { first: policy.passive_first, last: policy.passive_last };
        Some(Self {
            control_ports,
            passive_range: (range.last != 0).then_some(range),
            passive: !policy.has(flag::NO_PASSIVE),
            active_port: match policy.active_port {
                _ if policy.has(flag::ACTIVE_ANY) => ActivePort::Any,
                0 => ActivePort::None,
                port => ActivePort::Port(port),
            },
            active: !policy.has(flag::NO_ACTIVE),
            pasv_promiscuous: policy.has(flag::PASV_PROMISCUOUS),
            port_promiscuous: policy.has(flag::PORT_PROMISCUOUS),
            announced_strict: policy.has(flag::ANNOUNCED_STRICT),
            expectation_timeout: policy.expectation_timeout,
            sessions_per_client: policy.sessions_per_client,
            ftps: match policy {
                policy if policy.has(flag::FTPS_CLIENT_RANGE) => Ftps::ClientRange,
                policy if policy.has(flag::FTPS_LEARN) => Ftps::Learn,
                _ => Ftps::Deny,
            },
            monitor: policy.has(flag::MONITOR),
            mark: (policy.mark_mask != 0).then_some(Mark { value: policy.mark, mask: policy.mark_mask }),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Named;

    fn nets(texts: &[&str]) -> Vec<IpNet> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    /// Unlike the default in every respect.
    fn unusual() -> Rules {
        Rules {
            control_ports: vec![2121, 2122],
            passive_range: Some(PortRange { first: 10240, last: 20480 }),
            passive: false,
            active_port: ActivePort::Any,
            active: false,
            pasv_promiscuous: true,
            port_promiscuous: true,
            announced_strict: true,
            expectation_timeout: 60,
            sessions_per_client: 3,
            ftps: Ftps::ClientRange,
            monitor: true,
            mark: Some(Mark { value: 1, mask: 3 }),
        }
    }

    #[test]
    fn rules_come_back_as_they_went() {
        for rules in [
            Rules::default(),
            unusual(),
            Rules { ftps: Ftps::Learn, ..unusual() },
            Rules { active_port: ActivePort::None, ..Rules::default() },
        ] {
            assert_eq!(Rules::from_kernel(&rules.to_kernel()), Some(rules));
        }
        assert_eq!(Rules::from_kernel(&ServerPolicy::default()), None);
    }

    #[test]
    fn each_choice_is_a_flag_of_its_own() {
        let all = unusual().to_kernel().flags;
        let learns = Rules { ftps: Ftps::Learn, ..unusual() }.to_kernel().flags;
        assert_eq!((all, learns), (0xff, 0xff & !flag::FTPS_CLIENT_RANGE | flag::FTPS_LEARN));
        assert_eq!(Rules::default().to_kernel().flags, 0);
        let bits = unusual().flags().map(|(_, bit)| bit);
        assert!(bits.iter().all(|bit| bit.count_ones() == 1), "{bits:x?}");
    }

    #[test]
    fn what_holds_for_all_servers_is_an_option() {
        assert_eq!(
            Policy { own: Some(Rules::default()), ..Policy::default() }.options(),
            option::OWN_ADDRESSES | option::ENFORCES
        );
        assert_eq!(
            Policy { own: Some(unusual()), ..Policy::default() }.options(),
            option::MARKS | option::OWN_ADDRESSES
        );
        let neither = Policy { own: Some(unusual()), accounting: false, ..Policy::default() };
        assert_eq!(neither.options(), option::MARKS | option::NO_ACCOUNTING | option::OWN_ADDRESSES);
        assert_eq!(Policy::default().options(), 0);
    }

    #[test]
    fn place_0_is_for_own_addresses_and_empty_without() {
        let named = Named { prefixes: nets(&["192.0.2.0/24"]), rules: unusual() };
        let policy = Policy { named: vec![named], ..Policy::default() };
        assert_eq!(policy.to_kernel()[0], ServerPolicy::default());
        let own = nets(&["192.0.2.1/32", "198.51.100.1/32"]).into_iter().collect();
        assert_eq!(policy.places(&own).into_iter().collect::<Vec<_>>(), [(nets(&["192.0.2.0/24"])[0], 1)]);

        let both = Policy { own: Some(Rules::default()), ..policy };
        assert_eq!(both.to_kernel().len(), 2);
        assert_eq!(both.places(&own).into_values().collect::<Vec<_>>(), [1, 0, 0]);
    }

    #[test]
    fn an_own_address_that_is_named_is_a_named_one() {
        let named = Named { prefixes: nets(&["192.0.2.1/32"]), rules: unusual() };
        let policy = Policy { own: Some(Rules::default()), named: vec![named], ..Policy::default() };
        let own = nets(&["192.0.2.1/32", "192.0.2.2/32"]).into_iter().collect();
        assert_eq!(policy.places(&own).into_values().collect::<Vec<_>>(), [1, 0]);
    }

    #[test]
    fn classes_are_the_union_and_any_active_port_has_none() {
        let named = Named { prefixes: nets(&["192.0.2.1/32"]), rules: unusual() };
        let classes = Policy { own: Some(Rules::default()), named: vec![named], ..Policy::default() }.port_classes();
        let of = |port: u16| classes.of(port.to_be());
        assert_eq!([of(20), of(21), of(22), of(2121)], [class::ACTIVE, class::CONTROL, 0, class::CONTROL]);
        assert_eq!([of(10239), of(10240), of(20480), of(20481)], [0, class::PASSIVE, class::PASSIVE, 0]);
        let active_any = Policy { own: Some(unusual()), ..Policy::default() }.port_classes();
        assert_eq!(active_any.of(20u16.to_be()), 0);
    }
}
