//! A policy comes into force: its entries are written beside the present ones, then one word
//! selects them.

use std::collections::BTreeSet;

use aya::maps::{Array, LpmTrie, MapData};
use ftp_common::keys::ServerKey;
use ftp_common::policy::{Config, MAX_POLICIES, PortClasses, ServerPolicy};
use ipnet::IpNet;
use rustix::thread::{MembarrierCommand, membarrier};

use crate::failure::{Failure, OrFail as _};
use crate::policy::Policy;
use crate::servers::{self, ServersKey};
use crate::tables::Tables;
use crate::wire::Wire;

const REMEDY: &str = "name prefixes instead of single addresses with --server";

/// The maps that hold the policy, and what is in force.
pub struct Applier {
    config: Array<MapData, Wire<Config>>,
    ports: Array<MapData, Wire<PortClasses>>,
    policies: Array<MapData, Wire<ServerPolicy>>,
    servers: LpmTrie<MapData, Wire<ServerKey>, u32>,
    generation: u32,
    keys: Vec<ServersKey>,
}

impl Applier {
    /// For maps that hold no policy yet.
    ///
    /// # Errors
    ///
    /// A map can't be opened.
    pub fn new(tables: Tables<'_>) -> Result<Self, Failure> {
        Ok(Self {
            config: tables.config()?,
            ports: tables.ports()?,
            policies: tables.policies()?,
            servers: tables.servers()?,
            generation: 0,
            keys: Vec::new(),
        })
    }

    /// The generation in force; 0 before the first.
    #[must_use]
    pub const fn generation(&self) -> u32 {
        self.generation
    }

    /// Brings a policy for these servers into force, all at once.
    ///
    /// # Errors
    ///
    /// The kernel's refusal; then what was in force still is.
    pub fn apply(&mut self, policy: &Policy, servers: &BTreeSet<IpNet>) -> Result<(), Failure> {
        let generation = self.generation.wrapping_add(1).max(1);
        let servers: Vec<_> = servers.iter().copied().collect();
        let entries = servers::entries(generation, &servers);
        let result = self.write(generation, policy, &entries);
        let keys = entries.into_iter().map(|(key, _)| key).collect();
        if let Err(failure) = result {
            self.forget(&keys);
            return Err(failure);
        }
        let before = std::mem::replace(&mut self.keys, keys);
        self.generation = generation;
        if !before.is_empty() {
            wait_for_readers();
            self.forget(&before);
        }
        Ok(())
    }

    fn write(&mut self, generation: u32, policy: &Policy, entries: &[(ServersKey, u32)]) -> Result<(), Failure> {
        let half = generation & 1;
        let classes = Wire(*policy.port_classes());
        self.ports.set(half, classes, 0).or_fail("port classes", REMEDY)?;
        self.policies.set(half * MAX_POLICIES, Wire(policy.to_kernel()), 0).or_fail("policy", REMEDY)?;
        for (key, place) in entries {
            self.servers.insert(key, place, 0).or_fail(format_args!("{} server addresses", entries.len()), REMEDY)?;
        }
        self.config.set(0, Wire(Config { generation, options: 0 }), 0).or_fail("policy generation", REMEDY)
    }

    fn forget(&mut self, keys: &Vec<ServersKey>) {
        for key in keys {
            // One that was never written isn't there.
            let _ = self.servers.remove(key);
        }
    }
}

/// A packet that is being looked at may still use the generation before. The kernel's membarrier
/// waits for all such readers (it is `synchronize_rcu`); without it they'd find no server and pass.
fn wait_for_readers() {
    if membarrier(MembarrierCommand::Global).is_err() {
        eprintln!("note: membarrier is refused here: a packet in flight may have passed unguarded");
    }
}
