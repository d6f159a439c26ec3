//! Things by number: found in constant time, listed in order of their numbers.
//!
//! The numbers are given out by the scheduler, so nobody outside can choose ones that collide.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct Table<K, V>(HashMap<K, V, BuildHasherDefault<Spread>>);

impl<K: Copy + Ord + Hash, V> Table<K, V> {
    pub(crate) fn new() -> Self {
        Table(HashMap::default())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn contains_key(&self, key: &K) -> bool {
        self.0.contains_key(key)
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.0.get(key)
    }

    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.0.get_mut(key)
    }

    pub(crate) fn insert(&mut self, key: K, value: V) {
        self.0.insert(key, value);
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        self.0.remove(key)
    }

    /// All, by number. Sorts, so it is not for every event.
    pub(crate) fn in_order(&self) -> impl Iterator<Item = &V> {
        let mut all: Vec<(&K, &V)> = self.0.iter().collect();
        all.sort_unstable_by_key(|(key, _)| **key);
        all.into_iter().map(|(_, value)| value)
    }

    /// All, in no order: only for questions whose answer does not depend on it.
    pub(crate) fn in_any_order(&self) -> impl Iterator<Item = &V> {
        self.0.values()
    }

    /// As [`Table::in_any_order`].
    pub(crate) fn in_any_order_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.0.values_mut()
    }
}

/// Spreads consecutive numbers over the bits a hash table looks at.
#[derive(Default)]
pub(crate) struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u32(u32::from(*byte));
        }
    }

    fn write_u32(&mut self, number: u32) {
        let mixed = (self.0 ^ u64::from(number)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::JobId;

    #[test]
    fn things_are_listed_by_number() {
        let mut table = Table::new();
        for number in [5u32, 1, 900, 3] {
            table.insert(JobId(number), number);
        }
        assert_eq!(table.remove(&JobId(3)), Some(3));
        let listed: Vec<u32> = table.in_order().copied().collect();
        assert_eq!(listed, [1, 5, 900]);
        assert_eq!(table.in_any_order().count(), table.len());
    }
}
