//! The interface to attach to: which it is, and how its packets begin.

use ftp_common::policy::Side;

use crate::error::Failure;
use crate::policy::attachment::SideName;
use crate::sys::netlink::{Link, Netlink};

/// `ARPHRD_` types whose packets begin with an ethernet header at TC.
const ETHERNET: [u16; 2] = [1, LOOPBACK];
const LOOPBACK: u16 = 772;
/// `ARPHRD_` types whose packets begin with the IP header at TC: SLIP and its compressed form, PPP,
/// RAWIP, IPIP, IP6IP6, SIT, GRE, GRE over IPv6, NONE (tun, WireGuard).
const NO_HEADER: [u16; 10] = [256, 257, 512, 519, 768, 769, 776, 778, 823, 65534];

/// An interface that the kernel program can read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its index.
    pub index: u32,
    /// Bytes of link header in front of the network header: 14 or 0.
    pub link_header: u8,
    /// Whether it is the loopback interface, where each packet passes both hooks.
    pub loopback: bool,
}

impl Interface {
    /// Finds interfaces by their names, all or none.
    ///
    /// # Errors
    ///
    /// The first name that is unknown, given twice, or of a link type that can't be read.
    pub async fn find(names: &[String], netlink: &Netlink) -> Result<Vec<Self>, Failure> {
        let links = netlink.links().await?;
        let mut found: Vec<Self> = Vec::new();
        for name in names {
            if found.iter().any(|interface| interface.name == *name) {
                return Err(Failure::usage(format_args!("-i {name}"), "it is given twice", "name each interface once"));
            }
            found.push(Self::among(&links, name)?);
        }
        Ok(found)
    }

    fn among(links: &[Link], name: &str) -> Result<Self, Failure> {
        let given = format!("-i {name}");
        let Some(link) = links.iter().find(|link| link.name == name) else {
            let names: Vec<_> = links.iter().map(|link| link.name.as_str()).collect();
            return Err(Failure::failed(
                given,
                "there is no such interface",
                format_args!("choose one of {}", names.join(", ")),
            ));
        };
        Self::of(link)
    }

    /// The interface that the kernel describes.
    ///
    /// # Errors
    ///
    /// It is of a link type that can't be read.
    pub fn of(link: &Link) -> Result<Self, Failure> {
        let link_header = link_header(link.kind).ok_or_else(|| {
            Failure::failed(
                format_args!("-i {}", link.name),
                format_args!("packets of its link type ({}) can't be read", link.kind),
                "attach to an ethernet, tunnel or point-to-point interface",
            )
        })?;
        Ok(Self { name: link.name.clone(), index: link.index, link_header, loopback: link.kind == LOOPBACK })
    }

    /// Where servers are, seen from this interface, given what was asked for.
    #[must_use]
    pub const fn side(&self, asked: Side) -> SideName {
        match (self.loopback, asked) {
            (true, _) | (_, Side::Both) => SideName::Both,
            (_, Side::ServersBehind) => SideName::ServersBehind,
            (_, Side::ServersBeyond) => SideName::ServersBeyond,
        }
    }
}

/// By the type alone: bytes could be forged.
fn link_header(kind: u16) -> Option<u8> {
    if ETHERNET.contains(&kind) {
        Some(14)
    } else if NO_HEADER.contains(&kind) {
        Some(0)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links() -> Vec<Link> {
        [(1, "lo", 772), (2, "eth0", 1), (3, "wg0", 65534), (4, "ib0", 32)]
            .map(|(index, name, kind)| Link { index, name: name.to_owned(), kind, is_up: true })
            .to_vec()
    }

    fn found(name: &str) -> Result<Interface, String> {
        Interface::among(&links(), name).map_err(|failure| failure.to_string())
    }

    #[test]
    fn an_unknown_interface_is_answered_with_those_there_are() {
        assert_eq!(found("eth1").unwrap_err(), "-i eth1: there is no such interface; choose one of lo, eth0, wg0, ib0");
    }

    #[test]
    fn the_link_header_goes_by_the_link_type() {
        let header = |name| found(name).map(|interface| interface.link_header);
        assert_eq!(header("eth0"), Ok(14));
        assert_eq!(header("lo"), Ok(14));
        assert_eq!(header("wg0"), Ok(0));
        assert!(header("ib0").unwrap_err().contains("link type (32) can't be read"));
    }

    #[test]
    fn on_loopback_both_sides_speak() {
        assert_eq!(found("lo").unwrap().side(Side::ServersBeyond), SideName::Both);
        assert_eq!(found("eth0").unwrap().side(Side::ServersBeyond), SideName::ServersBeyond);
    }
}
