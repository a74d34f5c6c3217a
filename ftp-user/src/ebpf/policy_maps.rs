//! The active policy, read back from the kernel's maps: they alone say which it is, whoever set it.

use std::collections::BTreeSet;

use aya::maps::{Array, LpmTrie, MapData};
use ftp_common::keys::ServerKey;
use ftp_common::policy::{Config, MAX_POLICIES, PortClasses, ServerPolicy, option};
use ipnet::IpNet;

use crate::ebpf::maps::PinnedMaps;
use crate::ebpf::pod::AsPod;
use crate::ebpf::server_keys;
use crate::error::{Failure, OrFail as _};
use crate::pins::Pins;
use crate::policy::encode::OWN;
use crate::policy::{Named, Policy, Rules};

/// Reads of it that another process may spoil by bringing the next one, before that is an error.
const ATTEMPTS: u32 = 100;

/// What the kernel goes by.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ActivePolicy {
    /// Its generation; 0 before the first policy.
    pub generation: u32,
    /// The policy.
    pub policy: Policy,
    /// The interfaces' own addresses that it goes by; empty where it doesn't follow them.
    pub own: BTreeSet<IpNet>,
}

/// The active policy.
///
/// # Errors
///
/// A map can't be read, or no policy is active yet.
pub fn active(pins: &Pins) -> Result<ActivePolicy, Failure> {
    let active = PolicyMaps::open(PinnedMaps::new(pins))?.active()?;
    if active.generation == 0 {
        let given = pins.maps().display().to_string();
        return Err(Failure::failed(given, "no policy is active yet", "wait until ftptrack has started"));
    }
    Ok(active)
}

/// The maps of the policy.
pub struct PolicyMaps {
    pub(crate) config: Array<MapData, AsPod<Config>>,
    pub(crate) policies: Array<MapData, AsPod<ServerPolicy>>,
    pub(crate) servers: LpmTrie<MapData, AsPod<ServerKey>, u32>,
    pub(crate) ports: Array<MapData, AsPod<PortClasses>>,
}

impl PolicyMaps {
    /// Opens them.
    ///
    /// # Errors
    ///
    /// A map can't be opened, or is of another shape.
    pub fn open(maps: PinnedMaps<'_>) -> Result<Self, Failure> {
        Ok(Self { config: maps.config()?, policies: maps.policies()?, servers: maps.servers()?, ports: maps.ports()? })
    }

    /// The active generation; 0 before the first.
    ///
    /// # Errors
    ///
    /// The kernel's refusal.
    pub fn generation(&self) -> Result<u32, Failure> {
        Ok(self.config()?.generation)
    }

    fn config(&self) -> Result<Config, Failure> {
        Ok(self.config.get(&0, 0).or_fail("CONFIG", HINT)?.0)
    }

    /// The active policy, whole, though others may change it meanwhile.
    ///
    /// # Errors
    ///
    /// The kernel's refusal, or it changes all the time.
    pub fn active(&self) -> Result<ActivePolicy, Failure> {
        for _ in 0..ATTEMPTS {
            let active = self.read(self.config()?)?;
            if self.generation()? == active.generation {
                return Ok(active);
            }
        }
        Err(Failure::failed("policy", "it changes faster than it can be read", "try again"))
    }

    fn read(&self, Config { generation, options, .. }: Config) -> Result<ActivePolicy, Failure> {
        if generation == 0 {
            return Ok(ActivePolicy::default());
        }
        let own = self.rules(generation, OWN)?;
        let mut named = Vec::new();
        while let Some(rules) = self.rules(generation, named.len() as u32 + 1)? {
            named.push(Named { prefixes: Vec::new(), rules });
        }
        let policy = Policy { own, named, accounting: options & option::NO_ACCOUNTING == 0 };
        let mut active = ActivePolicy { generation, policy, own: BTreeSet::new() };
        // A walk through a trie that is being changed may begin again: each prefix once.
        let mut found = BTreeSet::new();
        for entry in self.servers.iter() {
            let (key, place) = entry.or_fail("SERVERS", HINT)?;
            found.extend(server_keys::from_entry(&key, place).filter(|(of, ..)| *of == generation));
        }
        for (_, net, place) in found {
            if place == OWN {
                active.own.insert(net);
            } else if let Some(named) = active.policy.named.get_mut(place as usize - 1) {
                named.prefixes.push(net);
            }
        }
        Ok(active)
    }

    fn rules(&self, generation: u32, place: u32) -> Result<Option<Rules>, Failure> {
        if place >= MAX_POLICIES {
            return Ok(None);
        }
        let index = (generation & 1) * MAX_POLICIES + place;
        let policy = self.policies.get(&index, 0).or_fail("POLICIES", HINT)?;
        Ok(Rules::from_kernel(&policy.0))
    }
}

const HINT: &str = "run as root";
