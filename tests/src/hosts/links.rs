//! Interfaces, their addresses and what hangs on them, through the kernel's routing socket: no other
//! program is needed, and none has to be started.

use aya::programs::TcAttachType;
use ftp_user::error::Failure;
use ftp_user::sys::netlink::Netlink;
use futures_util::TryStreamExt as _;
use rtnetlink::packet_route::address::{AddressAttribute, AddressHeaderFlags};
use rtnetlink::packet_route::tc::{TcAttribute, TcHandle};
use rtnetlink::{Error, Handle, LinkBridge, LinkUnspec, LinkVeth};
use std::net::IpAddr;
use std::os::fd::RawFd;

use crate::hosts::namespace::Namespace;
use crate::support::wait;

/// One end of a cable.
#[derive(Clone, Copy, Debug)]
pub struct Plug<'a> {
    /// The interface's name.
    pub name: &'a str,
    /// Its hardware address.
    pub mac: [u8; 6],
    /// The largest packet that it sends.
    pub mtu: u16,
    /// Its addresses and the lengths of their prefixes.
    pub addresses: &'a [(IpAddr, u8)],
}

/// Brings an interface up.
#[track_caller]
pub fn up(namespace: &Namespace, name: &str) {
    let set = LinkUnspec::new_with_name(name).up().build();
    done(name, namespace.route(async |handle| handle.link().set(set).execute().await));
}

/// Makes a bridge that is up and passes everything on.
#[track_caller]
pub fn bridge(namespace: &Namespace, name: &str) {
    let bridge = LinkBridge::new(name).mcast_snooping(false).up().build();
    done(name, namespace.route(async |handle| handle.link().add(bridge).execute().await));
}

/// Lays a cable between `plug`, which is made in `namespace`, and a port of a bridge. Both are up.
#[track_caller]
pub fn cable(namespace: &Namespace, plug: &Plug<'_>, hub: &Namespace, bridge: &str, port: &str) {
    let mtu = u32::from(plug.mtu);
    let there = hub.descriptor();
    done(plug.name, namespace.route(async |handle| lay(&handle, plug, port, there).await));
    let attached = hub.route(async |handle| {
        let controller = index(&handle, bridge).await?;
        let set = LinkUnspec::new_with_name(port).mtu(mtu).controller(controller).up().build();
        handle.link().set(set).execute().await
    });
    done(port, attached);
    done(plug.name, namespace.route(async |handle| address(&handle, plug).await));
    // The kernel adds it by itself, some time after the link is up. What a server's addresses are is not to change
    // under a test.
    wait::until("the link-local address is there", || {
        let has = namespace.route(async |handle| has_link_local(&handle, plug.name).await);
        done(plug.name, has).then_some(())
    });
}

async fn has_link_local(handle: &Handle, name: &str) -> Result<bool, Error> {
    let index = index(handle, name).await?;
    let all: Vec<_> = handle.address().get().set_link_index_filter(index).execute().try_collect().await?;
    Ok(all.iter().flat_map(|message| &message.attributes).any(|attribute| {
        matches!(attribute, AddressAttribute::Address(IpAddr::V6(address)) if address.is_unicast_link_local())
    }))
}

async fn lay(handle: &Handle, plug: &Plug<'_>, port: &str, there: RawFd) -> Result<(), Error> {
    let pair = LinkVeth::new(plug.name, port).address(plug.mac.to_vec()).mtu(plug.mtu.into()).build();
    handle.link().add(pair).execute().await?;
    handle.link().set(LinkUnspec::new_with_name(port).setns_by_fd(there).build()).execute().await
}

async fn address(handle: &Handle, plug: &Plug<'_>) -> Result<(), Error> {
    handle.link().set(LinkUnspec::new_with_name(plug.name).up().build()).execute().await?;
    let index = index(handle, plug.name).await?;
    for (address, length) in plug.addresses {
        let mut request = handle.address().add(index, *address, *length);
        if address.is_ipv6() {
            // It is there at once, not after a second of asking whose it is.
            request.message_mut().header.flags |= AddressHeaderFlags::Nodad;
        }
        request.execute().await?;
    }
    Ok(())
}

/// The queueing disciplines of an interface, by kind, and where they hang.
#[track_caller]
pub fn disciplines(namespace: &Namespace, name: &str) -> Vec<String> {
    let listed = namespace.route(async |handle| {
        let index = index(&handle, name).await?.cast_signed();
        let all: Vec<_> = handle.qdisc().get().index(index).execute().try_collect().await?;
        // An old kernel answers with those of all interfaces.
        Ok(all
            .into_iter()
            .filter(|message| message.header.index == index)
            .map(|message| {
                let kind = message.attributes.iter().find_map(|attribute| match attribute {
                    TcAttribute::Kind(kind) => Some(kind.as_str()),
                    _ => None,
                });
                let TcHandle { major, minor } = message.header.parent;
                format!("{} at {major:x}:{minor:x}", kind.unwrap_or("?"))
            })
            .collect())
    });
    done(name, listed)
}

/// IDs of the programs that filters at clsact run, at these hooks one after the other.
#[track_caller]
pub fn filter_programs(namespace: &Namespace, name: &str, hooks: [TcAttachType; 2]) -> Vec<u32> {
    let found: Result<Vec<_>, Failure> = namespace.on_runtime(async || {
        let netlink = Netlink::open()?;
        let links = netlink.links().await?;
        let link = links.iter().find(|link| link.name == name).expect("the interface is there");
        let mut programs = Vec::new();
        for hook in hooks {
            let filters = netlink.filters(link.index, hook).await?;
            programs.extend(filters.into_iter().filter_map(|filter| filter.program));
        }
        Ok(programs)
    });
    found.unwrap_or_else(|error| panic!("{name}: {error}"))
}

async fn index(handle: &Handle, name: &str) -> Result<u32, Error> {
    let found = handle.link().get().match_name(name.to_owned()).execute().try_next().await?;
    Ok(found.ok_or(Error::RequestFailed)?.header.index)
}

#[track_caller]
fn done<T>(what: &str, result: Result<T, Error>) -> T {
    result.unwrap_or_else(|error| panic!("{what}: {error}"))
}
