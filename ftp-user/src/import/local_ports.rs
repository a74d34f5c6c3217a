//! The ports that the kernel gives to this host's own connections.

use std::fs;

use crate::policy::PortRange;

/// Those ports.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct LocalPorts {
    /// `net.ipv4.ip_local_port_range`.
    pub(crate) range: PortRange,
    /// `net.ipv4.ip_local_reserved_ports`: those that are not given.
    pub(crate) reserved: Vec<PortRange>,
}

impl LocalPorts {
    /// As this network namespace has them; none if it can't be asked.
    pub(crate) fn of_this_host() -> Option<Self> {
        let setting = |name: &str| fs::read_to_string(format!("/proc/sys/net/ipv4/{name}"));
        Self::read(&setting("ip_local_port_range").ok()?, &setting("ip_local_reserved_ports").unwrap_or_default())
    }

    /// `32768 60999`, and `8080,9000-9010`.
    pub(crate) fn read(range: &str, reserved: &str) -> Option<Self> {
        let mut ends = range.split_ascii_whitespace().map(str::parse);
        let range = PortRange { first: ends.next()?.ok()?, last: ends.next()?.ok()? };
        let port_range = |text: &str| {
            let (first, last) = text.split_once('-').unwrap_or((text, text));
            Some(PortRange { first: first.parse().ok()?, last: last.parse().ok()? })
        };
        Some(Self { range, reserved: reserved.trim().split(',').filter_map(port_range).collect() })
    }

    /// What a passive range has in common with them, unless all of that is reserved.
    pub(crate) fn common(&self, passive: PortRange) -> Option<PortRange> {
        let common = PortRange { first: passive.first.max(self.range.first), last: passive.last.min(self.range.last) };
        let is_reserved = |port: u16| self.reserved.iter().any(|range| range.contains(port));
        (!common.ports().all(is_reserved)).then_some(common)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn common(reserved: &str, first: u16, last: u16) -> Option<String> {
        let local = LocalPorts::read("32768\t60999\n", reserved).unwrap();
        local.common(PortRange { first, last }).map(|range| range.to_string())
    }

    #[test]
    fn an_overlap_is_found_unless_it_is_reserved() {
        assert_eq!(common("\n", 10240, 20480), None);
        assert_eq!(common("\n", 10240, 32768).as_deref(), Some("32768-32768"));
        assert_eq!(common("\n", 40000, 50000).as_deref(), Some("40000-50000"));
        assert_eq!(common("\n", 60000, 65535).as_deref(), Some("60000-60999"));
        assert_eq!(common("8080,40000-45000,45001-50000\n", 40000, 50000), None);
        assert!(common("40000-45000,45002-50000\n", 40000, 50000).is_some());
    }
}
