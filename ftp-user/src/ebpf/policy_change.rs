//! A policy becomes active: its entries are written beside the present ones, then one word
//! selects them.
//!
//! The active policy stands in the kernel's maps alone, so whoever changes a part of it (`run` the
//! host's own addresses, `policy apply` all the rest) reads it from there first. A lock on the
//! directory of the maps keeps such changes apart; the kernel releases it when its holder ends.

use std::collections::BTreeSet;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};

use ftp_common::policy::{Config, MAX_POLICIES, ServerPolicy, class};
use ipnet::IpNet;
use log::warn;
use rustix::thread::{MembarrierCommand, membarrier};

use crate::ebpf::maps::PinnedMaps;
use crate::ebpf::pod::AsPod;
use crate::ebpf::policy_maps::{ActivePolicy, PolicyMaps};
use crate::ebpf::server_keys::{self, ServersKey};
use crate::error::{Failure, OrFail as _};
use crate::pins::Pins;
use crate::pins::lock::{self, Lock};
use crate::policy::Policy;

const HINT: &str = "name networks instead of single addresses";
/// A change of the policy, during which nobody else changes it.
pub struct Change {
    maps: PolicyMaps,
    _lock: Lock,
}

impl Change {
    /// Waits until nobody else changes the policy.
    ///
    /// # Errors
    ///
    /// Another process doesn't finish, or the maps can't be opened.
    pub async fn begin(pins: &Pins) -> Result<Self, Failure> {
        let lock = lock::policy(pins).await?;
        Ok(Self { maps: PolicyMaps::open(PinnedMaps::new(pins))?, _lock: lock })
    }

    /// The active policy, until this change applies another.
    ///
    /// # Errors
    ///
    /// The kernel's refusal.
    pub fn active(&self) -> Result<ActivePolicy, Failure> {
        self.maps.active()
    }

    /// Makes a policy active, all at once, and returns its generation. `own` are the addresses of the
    /// interfaces, for a policy that follows them.
    ///
    /// # Errors
    ///
    /// The kernel's refusal; then what was active still is.
    pub fn apply(&mut self, policy: &Policy, own: &BTreeSet<IpNet>) -> Result<u32, Failure> {
        let present = self.maps.generation()?;
        // Of a writer that was killed. A packet in flight may still go by it.
        let left_over = self.keys_but(present)?;
        if !left_over.is_empty() {
            wait_for_readers();
            self.forget(&left_over);
        }
        let generation = following(present);
        let entries = server_keys::entries(generation, &policy.places(own));
        if let Err(failure) = self.maps.write(generation, policy, &entries) {
            self.forget(&entries.into_iter().map(|(key, _)| key).collect());
            return Err(failure);
        }
        let before = self.keys_but(generation)?;
        if !before.is_empty() {
            wait_for_readers();
            self.forget(&before);
        }
        Ok(generation)
    }

    /// The keys of servers of all generations but one.
    fn keys_but(&self, generation: u32) -> Result<Vec<ServersKey>, Failure> {
        let keys: Result<Vec<_>, _> = self.maps.servers.keys().collect();
        let keys = keys.or_fail("SERVERS", "run as root")?;
        Ok(keys.into_iter().filter(|key| server_keys::generation(key) != generation).collect())
    }

    fn forget(&mut self, keys: &Vec<ServersKey>) {
        for key in keys {
            // One that was never written isn't there.
            let _ = self.maps.servers.remove(key);
        }
    }
}

impl PolicyMaps {
    /// Writes a policy as a generation, with these entries of the SERVERS map, and then the word that selects it.
    ///
    /// # Errors
    ///
    /// The kernel's refusal; entries of the SERVERS map may be left.
    pub(crate) fn write(
        &mut self,
        generation: u32,
        policy: &Policy,
        entries: &[(ServersKey, u32)],
    ) -> Result<(), Failure> {
        let half = generation & 1;
        // An empty place ends them, where there is room for one.
        let places = policy.to_kernel().into_iter().chain([ServerPolicy::default()]);
        for (place, rules) in (0..MAX_POLICIES).zip(places) {
            self.policies.set(half * MAX_POLICIES + place, AsPod(rules), 0).or_fail("policy", HINT)?;
        }
        for (key, place) in entries {
            let given = format_args!("{} server addresses", entries.len());
            self.servers.insert(key, place, 0).or_fail(given, HINT)?;
        }
        self.write_ports(half, policy)?;
        let seed = self.config.get(&0, 0).map_or(0, |config| config.0.seed);
        let seed = if seed == 0 { random_seed() } else { seed };
        let config = Config { generation, options: policy.options(), seed };
        self.config.set(0, AsPod(config), 0).or_fail("policy generation", HINT)
    }

    /// The classes of ports, with what the kernel program has marked in the present ones: where clients
    /// listen for connections from any port. It may mark more meanwhile, so they are looked at again.
    fn write_ports(&mut self, half: u32, policy: &Policy) -> Result<(), Failure> {
        let mut marked = self.expected_ports(half ^ 1)?;
        loop {
            let mut classes = policy.port_classes();
            marked.iter().for_each(|port| classes.mark(*port, class::EXPECTED));
            self.ports.set(half, AsPod(*classes), 0).or_fail("port classes", HINT)?;
            let again = self.expected_ports(half ^ 1)?;
            if again == marked {
                return Ok(());
            }
            marked = again;
        }
    }

    fn expected_ports(&self, half: u32) -> Result<Vec<u16>, Failure> {
        let classes = self.ports.get(&half, 0).or_fail("port classes", HINT)?.0;
        let is_expected = |port: &u16| classes.of(port.to_be()) & class::EXPECTED != 0;
        Ok((0..=u16::MAX).filter(is_expected).collect())
    }
}

/// The generation after another: never 0, which stands for none, and always of the other parity.
const fn following(generation: u32) -> u32 {
    match generation.wrapping_add(1) {
        0 => 2,
        next => next,
    }
}

/// A packet that is being looked at may still use the generation before. The kernel's membarrier
/// waits for all such readers (it is `synchronize_rcu`); without it they'd find no server and pass.
fn wait_for_readers() {
    if membarrier(MembarrierCommand::Global).is_err() {
        warn!("membarrier is refused here: a packet in flight may have passed unguarded");
    }
}

/// A number that nobody can guess: std keys its hashers by the kernel's random numbers.
fn random_seed() -> u64 {
    RandomState::new().build_hasher().finish() | 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generations_alternate_in_parity_and_are_never_0() {
        assert_eq!(following(0), 1);
        assert_eq!(following(1), 2);
        assert_eq!(following(u32::MAX), 2);
    }
}
