//! What is remembered of an interface.

use serde::{Deserialize, Serialize};

use crate::policy::attachment::{Hook, SideName};

/// What is remembered of an interface that is to be guarded.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Record {
    /// Name of the interface when it was attached to.
    pub name: String,
    /// Its index; 0 before it was there.
    pub index: u32,
    /// Where servers are, seen from it.
    pub side: SideName,
    /// How the programs hang on it.
    pub hook: Hook,
    /// For clsact: we made the qdisc, and remove it if nobody else uses it.
    pub made_qdisc: bool,
    /// Inode of the network namespace that the index belongs to.
    pub namespace: u64,
    /// Version of the ftptrack that attached last; empty before.
    #[serde(default)]
    pub version: String,
}
