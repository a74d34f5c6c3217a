//! Which servers, which ports, what is allowed: as the kernel reads it.

/// Ports with a meaning, as bits of a port's class in the PORTS map.
pub mod class {
    /// A control port of some server.
    pub const CONTROL: u8 = 1;
    /// In the passive range of some server.
    pub const PASSIVE: u8 = 2;
    /// The active source port of some server.
    pub const ACTIVE: u8 = 4;
    /// A client listens there for an active data connection that may come from any port. Set by the
    /// kernel program; it guards nothing.
    pub const EXPECTED: u8 = 8;
}

/// Which side of an interface the servers are on: it decides at which hook each sender's packets pass.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Side {
    /// A server host, or a gateway's outer interface: the server sends at egress, the client at ingress.
    #[default]
    ServersBehind,
    /// Servers lie beyond the interface: the other way round.
    ServersBeyond,
    /// The loopback interface, where every packet passes both hooks.
    Both,
}

impl Side {
    /// The number that the kernel program gets.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::ServersBehind => 1,
            Self::ServersBeyond => 2,
            Self::Both => 3,
        }
    }
}

/// One word that selects the active policy: value 0 of the CONFIG map.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Config {
    /// Generation of the active policy. Its parity selects the entry of PORTS and the half of
    /// POLICIES; SERVERS carries it in the key. 0 only before the first policy was applied.
    pub generation: u32,
    /// Bits of [`option`].
    pub options: u32,
    /// Seed of the hash that selects a bucket of half-open flows ([`crate::half_open::bucket`]): random, set once
    /// when the maps are made.
    pub seed: u64,
}

/// Bits of [`Config::options`]: what applies to all servers.
pub mod option {
    /// Flows carry no counts of bytes.
    pub const NO_ACCOUNTING: u32 = 1;
    /// Some policy sets a mark. Without it no packet of a flow pays for looking.
    pub const MARKS: u32 = 2;
    /// The first policy is for all addresses of this host, those too that SERVERS has not got yet.
    pub const OWN_ADDRESSES: u32 = 4;
    /// Some policy denies: not all are in monitor mode.
    pub const ENFORCES: u32 = 8;
}

/// Classes of all ports in one generation: an entry of the PORTS map (index: generation & 1).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct PortClasses {
    /// Bits of [`class`] by port, the port as it lies in packets (network byte order): a swap would cost
    /// the common packet time, and before 6.19 the verifier knows no bounds of a swapped number.
    by_port: [u8; 65536],
}

impl PortClasses {
    /// No port has a meaning.
    pub const NONE: Self = Self { by_port: [0; 65536] };

    /// Adds a bit of [`class`] to a port, host byte order.
    pub const fn mark(&mut self, port: u16, bit: u8) {
        self.by_port[port.to_be() as usize] |= bit;
    }

    /// As [`Self::mark`], network byte order.
    #[inline(always)]
    pub const fn mark_network(&mut self, port: u16, bit: u8) {
        self.by_port[port as usize] |= bit;
    }

    /// The bits of a port, network byte order.
    #[inline(always)]
    #[must_use]
    pub const fn of(&self, port: u16) -> u8 {
        self.by_port[port as usize]
    }
}

/// Control ports that one policy may name.
pub const CONTROL_PORTS: usize = 8;
/// The most that [`ServerPolicy::sessions_per_client`] can be.
pub const MAX_SESSIONS_PER_CLIENT: u32 = 128;
/// Server policies in one generation: the size of half the POLICIES map.
pub const MAX_POLICIES: u32 = 1024;

/// The policy of a server: an entry of the POLICIES map
/// (index: `(generation & 1) * MAX_POLICIES + the value found in SERVERS`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ServerPolicy {
    /// Control ports, host byte order; unused places are 0.
    pub control_ports: [u16; CONTROL_PORTS],
    /// First port of the passive range; 0 with `passive_last` 0: there is none, passive mode is refused.
    pub passive_first: u16,
    /// Last port of the passive range, inclusive.
    pub passive_last: u16,
    /// Source port of active data connections, which is guarded; 0: none is.
    pub active_port: u16,
    /// Bits of [`flag`].
    pub flags: u16,
    /// Seconds that an expectation lives after the server's reply.
    pub expectation_timeout: u32,
    /// Control connections of one client (an IPv4 address, an IPv6 /64) that are followed at a time;
    /// at most [`MAX_SESSIONS_PER_CLIENT`].
    pub sessions_per_client: u32,
    /// What the mark of an skb becomes in the bits of `mark_mask`, on data packets that were let in, at
    /// ingress.
    pub mark: u32,
    /// 0: marks stay as they are.
    pub mark_mask: u32,
}

/// Bits of [`ServerPolicy::flags`].
pub mod flag {
    /// Count and report what would be denied, and let it pass.
    pub const MONITOR: u16 = 1;
    /// Another client address may use a passive expectation.
    pub const PASV_PROMISCUOUS: u16 = 2;
    /// PORT and EPRT may name another address (FXP).
    pub const PORT_PROMISCUOUS: u16 = 4;
    /// A 227 must name the session's own server address.
    pub const ANNOUNCED_STRICT: u16 = 8;
    /// After an accepted AUTH, that client address alone may use the passive range while its session
    /// lives. Without it such a session opens nothing.
    pub const FTPS_CLIENT_RANGE: u16 = 16;
    /// After an accepted AUTH, what the process that serves the session opens is expected ([`crate::owner`]).
    pub const FTPS_LEARN: u16 = 256;
    /// PASV and EPSV are refused; the range stays guarded.
    pub const NO_PASSIVE: u16 = 32;
    /// PORT and EPRT are refused; the active port stays guarded.
    pub const NO_ACTIVE: u16 = 64;
    /// Active data connections may come from any port: none is guarded, those that are expected are
    /// tracked.
    pub const ACTIVE_ANY: u16 = 128;
}

impl ServerPolicy {
    /// Whether a bit of [`flag`] is set.
    #[inline(always)]
    #[must_use]
    pub const fn has(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }

    /// Whether `port` is one of its control ports.
    #[inline(always)]
    #[must_use]
    pub const fn is_control(&self, port: u16) -> bool {
        let p = &self.control_ports;
        p[0] == port
            || p[1] == port
            || p[2] == port
            || p[3] == port
            || p[4] == port
            || p[5] == port
            || p[6] == port
            || p[7] == port
    }

    /// Whether PASV and EPSV may open something.
    #[inline(always)]
    #[must_use]
    pub const fn allows_passive(&self) -> bool {
        self.passive_first != 0 && !self.has(flag::NO_PASSIVE)
    }

    /// Whether PORT and EPRT may open something.
    #[inline(always)]
    #[must_use]
    pub const fn allows_active(&self) -> bool {
        (self.active_port != 0 || self.has(flag::ACTIVE_ANY)) && !self.has(flag::NO_ACTIVE)
    }

    /// Whether `port` is in its passive range.
    #[inline(always)]
    #[must_use]
    pub const fn is_passive(&self, port: u16) -> bool {
        port != 0 && port >= self.passive_first && port <= self.passive_last
    }
}

const _: () = assert!(size_of::<ServerPolicy>() == 40);

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> ServerPolicy {
        let control_ports = [21, 22, 23, 24, 25, 26, 27, 28];
        ServerPolicy {
            control_ports,
            passive_first: 100,
            passive_last: 200,
            active_port: 20,
            ..ServerPolicy::default()
        }
    }

    #[test]
    fn each_of_its_control_ports_is_one() {
        for port in 0..100 {
            assert_eq!(policy().is_control(port), (21..=28).contains(&port), "{port}");
        }
    }

    #[test]
    fn the_passive_range_has_both_its_ends_and_never_port_0() {
        for port in 0..300 {
            assert_eq!(policy().is_passive(port), (100..=200).contains(&port), "{port}");
        }
        let none = ServerPolicy { passive_first: 0, passive_last: 0, ..policy() };
        assert!(!none.is_passive(0) && !none.is_passive(1));
    }

    #[test]
    fn a_mode_is_allowed_where_it_has_ports_and_is_not_switched_off() {
        let with = |flags| ServerPolicy { flags, ..policy() };
        assert!(policy().allows_passive() && policy().allows_active());
        assert!(!with(flag::NO_PASSIVE).allows_passive() && with(flag::NO_PASSIVE).allows_active());
        assert!(!with(flag::NO_ACTIVE).allows_active() && with(flag::NO_ACTIVE).allows_passive());
        let none = ServerPolicy { passive_first: 0, active_port: 0, ..policy() };
        assert!(!none.allows_passive() && !none.allows_active());
        assert!(ServerPolicy { flags: flag::ACTIVE_ANY, ..none }.allows_active());
        assert!(!ServerPolicy { flags: flag::ACTIVE_ANY | flag::NO_ACTIVE, ..none }.allows_active());
    }

    #[test]
    fn sides_have_numbers() {
        let sides = [Side::ServersBehind, Side::ServersBeyond, Side::Both];
        assert_eq!(sides.map(Side::number), [1, 2, 3]);
    }

    #[test]
    fn a_flag_is_set_or_not() {
        let policy = ServerPolicy { flags: flag::MONITOR | flag::NO_ACTIVE, ..policy() };
        assert!(policy.has(flag::MONITOR) && policy.has(flag::NO_ACTIVE) && !policy.has(flag::PASV_PROMISCUOUS));
    }

    #[test]
    fn port_classes_add_up_by_either_byte_order() {
        let mut classes = PortClasses::NONE;
        classes.mark(21, 1);
        classes.mark_network(21u16.to_be(), 2);
        classes.mark_network(21u16.to_be(), 4);
        classes.mark(21, 4);
        assert_eq!(classes.of(21u16.to_be()), 7);
        assert_eq!(classes.of(22u16.to_be()), 0);
    }
}
