//! The policy in force, read back from the kernel's maps: they alone say what holds, whoever brought it.

use std::collections::BTreeSet;

use aya::maps::{Array, LpmTrie, MapData};
use ftp_common::keys::ServerKey;
use ftp_common::policy::{Config, MAX_POLICIES, PortClasses, ServerPolicy, option};
use ipnet::IpNet;

use crate::ebpf::maps::Tables;
use crate::ebpf::pod::Wire;
use crate::ebpf::server_keys;
use crate::error::{Failure, OrFail as _};
use crate::pins::Pins;
use crate::policy::encode::OWN;
use crate::policy::{Named, Policy, Rules};

/// Reads of it that another process may spoil by bringing the next one, before that is an error.
const ATTEMPTS: u32 = 100;

/// What the kernel goes by.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct InForce {
    /// Its generation; 0 before the first policy.
    pub generation: u32,
    /// The policy.
    pub policy: Policy,
    /// The interfaces' own addresses that it goes by; empty where it doesn't follow them.
    pub own: BTreeSet<IpNet>,
}

/// What is in force.
///
/// # Errors
///
/// A map can't be read, or no policy is active yet.
pub fn in_force(pins: &Pins) -> Result<InForce, Failure> {
    let in_force = PolicyMaps::open(Tables::new(pins))?.in_force()?;
    if in_force.generation == 0 {
        let given = pins.maps().display().to_string();
        return Err(Failure::failed(given, "no policy is active yet", "wait until ftptrack has started"));
    }
    Ok(in_force)
}

/// The maps that hold the policy.
pub struct PolicyMaps {
    pub(crate) config: Array<MapData, Wire<Config>>,
    pub(crate) policies: Array<MapData, Wire<ServerPolicy>>,
    pub(crate) servers: LpmTrie<MapData, Wire<ServerKey>, u32>,
    pub(crate) ports: Array<MapData, Wire<PortClasses>>,
}

impl PolicyMaps {
    /// Opens them.
    ///
    /// # Errors
    ///
    /// A map can't be opened, or is of another shape.
    pub fn open(tables: Tables<'_>) -> Result<Self, Failure> {
        Ok(Self {
            config: tables.config()?,
            policies: tables.policies()?,
            servers: tables.servers()?,
            ports: tables.ports()?,
        })
    }

    /// The generation in force; 0 before the first.
    ///
    /// # Errors
    ///
    /// The kernel's refusal.
    pub fn generation(&self) -> Result<u32, Failure> {
        Ok(self.config()?.generation)
    }

    fn config(&self) -> Result<Config, Failure> {
        Ok(self.config.get(&0, 0).or_fail("CONFIG", REMEDY)?.0)
    }

    /// What is in force, whole, though others may change it meanwhile.
    ///
    /// # Errors
    ///
    /// The kernel's refusal, or it changes all the time.
    pub fn in_force(&self) -> Result<InForce, Failure> {
        for _ in 0..ATTEMPTS {
            let in_force = self.read(self.config()?)?;
            if self.generation()? == in_force.generation {
                return Ok(in_force);
            }
        }
        Err(Failure::failed("policy", "it changes faster than it can be read", "try again"))
    }

    fn read(&self, Config { generation, options }: Config) -> Result<InForce, Failure> {
        if generation == 0 {
            return Ok(InForce::default());
        }
        let own = self.rules(generation, OWN)?;
        let mut named = Vec::new();
        while let Some(rules) = self.rules(generation, named.len() as u32 + 1)? {
            named.push(Named { prefixes: Vec::new(), rules });
        }
        let policy = Policy { own, named, accounting: options & option::NO_ACCOUNTING == 0 };
        let mut in_force = InForce { generation, policy, own: BTreeSet::new() };
        // A walk through a trie that is being changed may begin again: each prefix once.
        let mut found = BTreeSet::new();
        for entry in self.servers.iter() {
            let (key, place) = entry.or_fail("SERVERS", REMEDY)?;
            found.extend(server_keys::from_entry(&key, place).filter(|(of, ..)| *of == generation));
        }
        for (_, net, place) in found {
            if place == OWN {
                in_force.own.insert(net);
            } else if let Some(named) = in_force.policy.named.get_mut(place as usize - 1) {
                named.prefixes.push(net);
            }
        }
        Ok(in_force)
    }

    fn rules(&self, generation: u32, place: u32) -> Result<Option<Rules>, Failure> {
        if place >= MAX_POLICIES {
            return Ok(None);
        }
        let index = (generation & 1) * MAX_POLICIES + place;
        let policy = self.policies.get(&index, 0).or_fail("POLICIES", REMEDY)?;
        Ok(Rules::from_kernel(&policy.0))
    }
}

const REMEDY: &str = "run as root";
