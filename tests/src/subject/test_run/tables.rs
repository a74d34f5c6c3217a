//! The maps of connections, read and changed from user space.

use std::collections::HashMap;
use std::hash::Hash;

use aya::Pod;
use aya::maps::{self, Map, MapData};
use ftp_common::closed::Closed;
use ftp_common::expectation::{Expectation, Used};
use ftp_common::flow::Flow;
use ftp_common::half_open::HalfOpenFlow;
use ftp_common::keys::{ConnectionKey, ExpectationKey, ServerKey};
use ftp_common::limit::{Slot, SlotKey};
use ftp_common::policy::{Config, PortClasses, ServerPolicy};
use ftp_common::range::Range;
use ftp_common::session::{Handshake, Session};

/// A map's key or value: neither its type nor [`Pod`] is ours.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Value<T>(pub T);

macro_rules! pod {
    ($($shared:ty),+ $(,)?) => {$(
        // SAFETY: the type is `repr(C)`, consists of integers only and has no padding.
        unsafe impl Pod for Value<$shared> {}
    )+};
}

pod!(Config, PortClasses, ServerPolicy, ServerKey, ConnectionKey, ExpectationKey, SlotKey, u64);
pod!(Handshake, Session, Expectation, Used, Range, Flow, Closed, HalfOpenFlow, Slot, u32);

/// A hash map of the kernel.
pub struct Table<K, V>(maps::HashMap<MapData, Value<K>, Value<V>>)
where
    Value<K>: Pod,
    Value<V>: Pod;

impl<K: Copy + Eq + Hash, V: Copy> Table<K, V>
where
    Value<K>: Pod,
    Value<V>: Pod,
{
    /// A map.
    ///
    /// # Panics
    ///
    /// If the map has another shape.
    #[must_use]
    pub fn new(map: Map) -> Self {
        Self(map.try_into().expect("the map has this shape"))
    }

    /// The value of one key.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<V> {
        self.0.get(&Value(*key), 0).ok().map(|value| value.0)
    }

    /// All entries.
    ///
    /// # Panics
    ///
    /// If the kernel refuses to read it.
    #[must_use]
    pub fn all(&self) -> HashMap<K, V> {
        self.0.iter().map(|entry| entry.expect("the map is readable")).map(|(key, value)| (key.0, value.0)).collect()
    }

    /// Puts an entry there.
    ///
    /// # Panics
    ///
    /// If the kernel refuses to write it.
    pub fn put(&mut self, key: &K, value: &V) {
        self.0.insert(Value(*key), Value(*value), 0).expect("the map is writable");
    }

    /// Changes every value.
    ///
    /// # Panics
    ///
    /// If the kernel refuses to write it.
    pub fn change(&mut self, change: impl Fn(&mut V)) {
        for (key, mut value) in self.all() {
            change(&mut value);
            self.0.insert(Value(key), Value(value), 0).expect("the map is writable");
        }
    }

    /// Removes an entry, as eviction does.
    ///
    /// # Panics
    ///
    /// If it isn't there.
    pub fn remove(&mut self, key: &K) {
        self.0.remove(&Value(*key)).expect("it is there");
    }

    /// Removes all entries.
    pub fn empty(&mut self) {
        for key in self.all().into_keys() {
            self.remove(&key);
        }
    }
}
