//! The interfaces' own addresses: of the servers on this host, where no others are named.

use std::collections::BTreeSet;

use ipnet::IpNet;

use crate::ebpf::policy_change::Change;
use crate::error::Failure;
use crate::pins::{Pins, Record};
use crate::policy::attachment::SideName;
use crate::sys::netlink::Netlink;

/// Interfaces whose addresses are servers'.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct OwnAddresses {
    ordinary: Vec<u32>,
    loopback: Vec<u32>,
}

impl OwnAddresses {
    /// Of these interfaces, by index. Beyond an interface with servers beyond are others' servers.
    pub fn of(interfaces: impl IntoIterator<Item = (u32, SideName)>) -> Self {
        let mut own = Self::default();
        for (index, side) in interfaces {
            match side {
                SideName::ServersBehind => own.ordinary.push(index),
                SideName::Both => own.loopback.push(index),
                SideName::ServersBeyond => {}
            }
        }
        own
    }

    /// The addresses that they have now. On loopback all of an address's prefix is the host's own.
    ///
    /// # Errors
    ///
    /// The kernel's refusal.
    pub async fn now(&self, netlink: &Netlink) -> Result<BTreeSet<IpNet>, Failure> {
        let ordinary = netlink.addresses(&self.ordinary).await?;
        let loopback = netlink.addresses(&self.loopback).await?;
        Ok(ordinary.iter().map(|net| net.addr().into()).chain(loopback.iter().map(IpNet::trunc)).collect())
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
