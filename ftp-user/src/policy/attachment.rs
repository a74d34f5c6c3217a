//! What is said of an interface: how programs hang on it, and where servers are.

use ftp_common::policy::Side;
use serde::{Deserialize, Serialize};

/// How programs hang on an interface.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Hook {
    /// A link of the kernel's own (Linux 6.6).
    Tcx,
    /// A filter on the clsact qdisc.
    Clsact,
}

impl Hook {
    /// The name in options and in output.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tcx => "tcx",
            Self::Clsact => "clsact",
        }
    }
}

/// The two directions, in the order in which they are attached.
pub const DIRECTIONS: [Direction; 2] = [Direction::Egress, Direction::Ingress];

/// A direction of packets at an interface.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Direction {
    /// Out.
    Egress,
    /// In.
    Ingress,
}

impl Direction {
    /// Its name, as at the end of a link's pin.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Egress => "egress",
            Self::Ingress => "ingress",
        }
    }
}

/// A [`Side`] as it is recorded and shown.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SideName {
    /// See [`Side::ServersBehind`].
    ServersBehind,
    /// See [`Side::ServersBeyond`].
    ServersBeyond,
    /// See [`Side::Both`].
    Both,
}

impl SideName {
    /// Whether there are interfaces, and all servers are beyond them: a gateway.
    #[must_use]
    pub fn are_beyond(sides: impl IntoIterator<Item = Self>) -> bool {
        let mut sides = sides.into_iter().peekable();
        sides.peek().is_some() && sides.all(|side| side == Self::ServersBeyond)
    }

    /// The name in options and in output.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ServersBehind => "servers-behind",
            Self::ServersBeyond => "servers-beyond",
            Self::Both => "both",
        }
    }
}

impl From<Side> for SideName {
    fn from(side: Side) -> Self {
        match side {
            Side::ServersBehind => Self::ServersBehind,
            Side::ServersBeyond => Self::ServersBeyond,
            Side::Both => Self::Both,
        }
    }
}

impl From<SideName> for Side {
    fn from(name: SideName) -> Self {
        match name {
            SideName::ServersBehind => Self::ServersBehind,
            SideName::ServersBeyond => Self::ServersBeyond,
            SideName::Both => Self::Both,
        }
    }
}

/// How much the maps have room for, where it is not as the object says. It is decided when they are made.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Sizes {
    /// Sessions, their handshakes and expectations.
    pub sessions: Option<u32>,
    /// Flows.
    pub flows: Option<u32>,
}
