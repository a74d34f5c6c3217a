//! The interfaces' own addresses: of the servers on this host, where no others are named.

use std::collections::BTreeSet;

use ipnet::IpNet;

use crate::ebpf::interface::SideName;
use crate::error::Failure;
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
