//! The object's maps, and the kernel's functions.

use std::collections::HashMap;

use aya_obj::Map;
use aya_obj::generated::bpf_map_type;

use super::Run;
use super::memory::Memory;

/// What stands for a map in a register.
const REFERENCE: u64 = 1 << 48;

pub(super) fn reference(number: i32) -> u64 {
    REFERENCE | u64::from(number.cast_unsigned())
}

/// The object's maps by number.
pub(super) struct Maps(Vec<Named>);

struct Named {
    name: String,
    key: usize,
    value: usize,
    entries: Entries,
}

enum Entries {
    /// All values, one behind the other; per CPU as well: there is one.
    Array { address: u64, count: u64 },
    /// Where each value lies. Nothing is ever pushed out.
    Hash(HashMap<Vec<u8>, u64>),
    /// Likewise; the keys begin with the length of the prefix.
    Prefixes(HashMap<Vec<u8>, u64>),
    /// What is sent to user space goes nowhere.
    Ring,
}

impl Maps {
    pub(super) fn new(memory: &mut Memory, all: &[(String, Map)]) -> Self {
        const ARRAY: u32 = bpf_map_type::BPF_MAP_TYPE_ARRAY as u32;
        const PER_CPU_ARRAY: u32 = bpf_map_type::BPF_MAP_TYPE_PERCPU_ARRAY as u32;
        const PREFIXES: u32 = bpf_map_type::BPF_MAP_TYPE_LPM_TRIE as u32;
        const RING: u32 = bpf_map_type::BPF_MAP_TYPE_RINGBUF as u32;
        let maps = all.iter().map(|(name, map)| {
            let value = map.value_size() as usize;
            let entries = match map.map_type() {
                ARRAY | PER_CPU_ARRAY => {
                    let count = map.max_entries() as usize;
                    let mut bytes = map.data().to_vec();
                    bytes.resize(value.next_multiple_of(8) * count, 0);
                    Entries::Array { address: memory.add(bytes), count: count as u64 }
                }
                PREFIXES => Entries::Prefixes(HashMap::new()),
                RING => Entries::Ring,
                _ => Entries::Hash(HashMap::new()),
            };
            Named { name: name.clone(), key: map.key_size() as usize, value, entries }
        });
        Self(maps.collect())
    }

    #[track_caller]
    pub(super) fn number(&self, name: &str) -> usize {
        self.0.iter().position(|map| map.name == name).unwrap_or_else(|| panic!("there is no map {name}"))
    }

    #[track_caller]
    pub(super) fn entries(&self, name: &str) -> usize {
        match &self.0[self.number(name)].entries {
            Entries::Hash(entries) | Entries::Prefixes(entries) => entries.len(),
            _ => panic!("{name} has no entries to count"),
        }
    }

    /// Where the one value of global variables lies.
    pub(super) fn value(&self, number: i32) -> u64 {
        match self.0[usize::try_from(number).expect("a number")].entries {
            Entries::Array { address, .. } => address,
            _ => panic!("no array"),
        }
    }

    fn lookup(&self, number: usize, key: &[u8]) -> u64 {
        let map = &self.0[number];
        match &map.entries {
            Entries::Array { address, count } => {
                let index = u64::from(u32::from_ne_bytes(key.try_into().expect("four bytes")));
                if index < *count { address + index * map.value.next_multiple_of(8) as u64 } else { 0 }
            }
            Entries::Hash(entries) => entries.get(key).copied().unwrap_or(0),
            Entries::Prefixes(entries) => longest(entries, key),
            Entries::Ring => panic!("{} has no keys", map.name),
        }
    }

    pub(super) fn update(&mut self, memory: &mut Memory, number: usize, key: &[u8], value: &[u8]) {
        let mut place =
            if matches!(self.0[number].entries, Entries::Array { .. }) { self.lookup(number, key) } else { 0 };
        if let Entries::Hash(entries) | Entries::Prefixes(entries) = &mut self.0[number].entries {
            // In a place of its own: who holds the old value keeps it.
            place = memory.add(vec![0; value.len()]);
            entries.insert(key.to_vec(), place);
        }
        memory.bytes_mut(place, value.len()).copy_from_slice(value);
    }

    fn remove(&mut self, number: usize, key: &[u8]) -> bool {
        match &mut self.0[number].entries {
            Entries::Hash(entries) | Entries::Prefixes(entries) => entries.remove(key).is_some(),
            _ => false,
        }
    }
}

/// Of the prefixes that the key begins with, the longest one's value.
fn longest(entries: &HashMap<Vec<u8>, u64>, key: &[u8]) -> u64 {
    let bits = |prefix: &[u8]| u32::from_ne_bytes(prefix[..4].try_into().expect("four bytes")) as usize;
    let bit = |bytes: &[u8], at: usize| bytes[4 + at / 8] >> (7 - at % 8) & 1;
    let fits = |prefix: &[u8]| (0..bits(prefix)).all(|at| bit(prefix, at) == bit(key, at));
    let found = entries.iter().filter(|(prefix, _)| fits(prefix)).max_by_key(|(prefix, _)| bits(prefix));
    found.map_or(0, |(_, place)| *place)
}

impl Run<'_> {
    /// Calls a function of the kernel, by its number in `linux/bpf.h`.
    pub(super) fn kernel(&mut self, number: i32) {
        const LOOKUP: i32 = 1;
        const UPDATE: i32 = 2;
        const DELETE: i32 = 3;
        const LOAD_BYTES: i32 = 26;
        const PULL_DATA: i32 = 39;
        const LOOKUP_SOCKET: i32 = 84;
        const RING_OUTPUT: i32 = 130;
        const RING_RESERVE: i32 = 131;
        const JIFFIES: i32 = 118;
        let [_, first, second, third, fourth, ..] = self.registers;
        // Reading the jiffies is put in line, too.
        self.calls += u64::from(number != JIFFIES);
        let result = match number {
            LOOKUP => {
                let (map, key) = self.map_and_key(first, second);
                if matches!(self.machine.maps.0[map].entries, Entries::Array { .. }) {
                    self.calls -= 1;
                }
                self.machine.maps.lookup(map, &key)
            }
            UPDATE => {
                let (map, key) = self.map_and_key(first, second);
                let value = self.machine.memory.bytes(third, self.machine.maps.0[map].value).to_vec();
                // BPF_NOEXIST
                let exists = fourth == 1 && self.machine.maps.lookup(map, &key) != 0;
                if !exists {
                    self.machine.maps.update(&mut self.machine.memory, map, &key, &value);
                }
                if exists { failure(libc::EEXIST) } else { 0 }
            }
            DELETE => {
                let (map, key) = self.map_and_key(first, second);
                if self.machine.maps.remove(map, &key) { 0 } else { failure(libc::ENOENT) }
            }
            LOAD_BYTES => self.load_bytes(second & 0xffff_ffff, third, fourth & 0xffff_ffff),
            PULL_DATA | RING_OUTPUT => 0,
            // There is no socket, and no room in the ring.
            LOOKUP_SOCKET | RING_RESERVE => 0,
            time if [5, JIFFIES, 125, 160].contains(&time) => 1_000_000_000_000,
            random_or_cpu if [7, 8].contains(&random_or_cpu) => 0,
            other => panic!("the kernel's function {other} is not known here: add it"),
        };
        self.registers[0] = result;
    }

    fn map_and_key(&self, map: u64, key: u64) -> (usize, Vec<u8>) {
        let number = usize::try_from(map & !REFERENCE).expect("a number");
        (number, self.machine.memory.bytes(key, self.machine.maps.0[number].key).to_vec())
    }

    fn load_bytes(&mut self, offset: u64, to: u64, length: u64) -> u64 {
        if offset + length > self.frame {
            return failure(libc::EFAULT);
        }
        let length = usize::try_from(length).expect("64 bits");
        let bytes = self.machine.memory.bytes(self.machine.packet + offset, length).to_vec();
        self.machine.memory.bytes_mut(to, length).copy_from_slice(&bytes);
        0
    }
}

fn failure(error: i32) -> u64 {
    i64::from(-error).cast_unsigned()
}
