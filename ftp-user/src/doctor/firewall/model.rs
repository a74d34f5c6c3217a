//! Rules of a packet filter, as far as it matters whether the beginning of a data connection passes them.

use crate::policy::Mark;

/// IPv4 or IPv6.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::doctor) enum Family {
    V4,
    V6,
}

/// All chains of one packet filter.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(in crate::doctor) struct Ruleset {
    pub(super) chains: Vec<Chain>,
    /// Rules that give control connections to the kernel's own FTP helper, and the command that removes each.
    pub(in crate::doctor) helpers: Vec<(String, String)>,
    /// Whether a rule gives connections another destination.
    pub(super) translates: bool,
}

/// The command that the rules belong to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Tool {
    /// `nft`, with the table's family.
    Nft(String),
    /// `iptables-nft`, `ip6tables-legacy` and so on.
    Iptables(String),
}

/// A list of rules.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Chain {
    pub(super) tool: Tool,
    pub(super) table: String,
    pub(super) name: String,
    /// The families whose packets it sees.
    pub(super) families: Vec<Family>,
    /// Where packets come into it; none: from other chains.
    pub(super) base: Option<Base>,
    pub(super) rules: Vec<Rule>,
}

/// What makes a chain one of the kernel's.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Base {
    /// In lower case: `input`, `forward`, `prerouting`.
    pub(super) hook: String,
    /// What becomes of packets that no rule decides.
    pub(super) drops: bool,
}

/// Conditions, and what is done if all of them hold.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Rule {
    /// The handle of nft, or the number of iptables.
    pub(super) number: u64,
    pub(super) conditions: Vec<Condition>,
    pub(super) action: Action,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Condition {
    /// The destination port is, or isn't, in one of these ranges.
    Port {
        is: bool,
        ranges: Vec<(u16, u16)>,
    },
    /// Of all packets: whether TCP is meant.
    Tcp(bool),
    /// Whether packets of new connections are meant.
    New(bool),
    Family(Family),
    /// The interface that it came in by is, or isn't, one of these; a `*` or `+` at the end stands for anything.
    Interface {
        is: bool,
        names: Vec<String>,
    },
    /// The mark's bits of `mask` are, or aren't, `value`.
    Mark {
        is: bool,
        value: u32,
        mask: u32,
    },
    /// Whether connections are meant whose destination a rule has changed.
    Translated(bool),
    /// Something that is true of the first packet of any TCP connection.
    Syn,
    /// The sender's address.
    Source,
    /// What can't be judged from here.
    Unknown,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Action {
    Accept,
    Drop,
    /// A packet comes back from there if it isn't decided.
    Jump(String),
    /// It does not.
    Goto(String),
    Return,
    /// Counting, logging and the like.
    GoOn,
    /// By port, by state: a rule for each.
    Map(Vec<(Condition, Action)>),
    /// What can't be judged from here.
    Unknown,
}

/// The first packet of a TCP connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packet<'a> {
    pub(super) family: Family,
    pub(super) port: u16,
    pub(super) interface: Option<&'a str>,
    /// What ftptrack has put into its mark.
    pub(super) mark: Option<Mark>,
    /// Whether there are rules that might have changed its destination.
    pub(super) may_be_translated: bool,
}

/// Whether a condition holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Holds {
    Yes,
    No,
    /// For some senders, or at some times.
    Perhaps,
    /// That can't be judged from here.
    Unknown,
}

impl Condition {
    /// What is asked of the flags `of`, in lower case: `set` of them are to be set, and no others. Of a first packet that
    /// is known, but for what it says of congestion.
    pub(super) fn flags(is: bool, of: &[&str], set: &[&str]) -> Self {
        const KNOWN: [&str; 6] = ["fin", "syn", "rst", "psh", "ack", "urg"];
        if of.iter().chain(set).any(|flag| !KNOWN.contains(flag)) {
            return Self::Unknown;
        }
        let first: &[&str] = if of.contains(&"syn") { &["syn"] } else { &[] };
        let is_so = set.iter().all(|flag| first.contains(flag)) && first.iter().all(|flag| set.contains(flag));
        if is_so == is { Self::Syn } else { Self::New(false) }
    }

    pub(super) fn holds(&self, packet: &Packet<'_>) -> Holds {
        let known = |holds: bool| if holds { Holds::Yes } else { Holds::No };
        match self {
            Self::Port { is, ranges } => {
                known(ranges.iter().any(|(first, last)| (*first..=*last).contains(&packet.port)) == *is)
            }
            Self::Tcp(is) | Self::New(is) => known(*is),
            Self::Family(family) => known(*family == packet.family),
            Self::Interface { is, names } => match packet.interface {
                Some(interface) => known(names.iter().any(|name| names_interface(name, interface)) == *is),
                // On any host there is another than loopback.
                None => known(!*is).or_perhaps(names.iter().all(|name| name == "lo")),
            },
            Self::Mark { is, value, mask } => match packet.mark {
                // All bits that are looked at are ours.
                Some(ours) if mask & !ours.mask == 0 => known((ours.value & mask == *value) == *is),
                _ => Holds::Perhaps,
            },
            // No rule does that: then it goes where its sender sent it.
            Self::Translated(_) if packet.may_be_translated => Holds::Unknown,
            Self::Translated(is) => known(!*is),
            Self::Syn => Holds::Yes,
            Self::Source => Holds::Perhaps,
            Self::Unknown => Holds::Unknown,
        }
    }
}

impl Holds {
    /// It, if that is certain.
    fn or_perhaps(self, is_certain: bool) -> Self {
        if is_certain { self } else { Self::Perhaps }
    }

    /// Whether both hold.
    pub(super) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::No, _) | (_, Self::No) => Self::No,
            (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
            (Self::Perhaps, _) | (_, Self::Perhaps) => Self::Perhaps,
            (Self::Yes, Self::Yes) => Self::Yes,
        }
    }
}

fn names_interface(pattern: &str, interface: &str) -> bool {
    match pattern.strip_suffix(['*', '+']) {
        Some(start) => interface.starts_with(start),
        None => pattern == interface,
    }
}
