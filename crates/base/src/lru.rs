//! A map bounded in bytes: what was not used for longest goes first. It knows nothing of what it holds.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

/// A map bounded in bytes, by what callers say their values take.
#[derive(Debug)]
pub struct Lru<K, V> {
    bytes_max: usize,
    entries: HashMap<K, Entry<V>>,
    by_use: BTreeMap<u64, K>,
    uses: u64,
    bytes: usize,
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    bytes: usize,
    last_use: u64,
}

impl<K: Clone + Eq + Hash, V: Clone> Lru<K, V> {
    /// Room for so many bytes; of zero bytes it keeps nothing.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        Self { bytes_max, entries: HashMap::new(), by_use: BTreeMap::new(), uses: 0, bytes: 0 }
    }

    /// Bytes held.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes that there is room for.
    #[must_use]
    pub fn bytes_max(&self) -> usize {
        self.bytes_max
    }

    /// A value, which counts as a use.
    pub fn get(&mut self, key: &K) -> Option<V> {
        let entry = self.entries.get_mut(key)?;
        self.by_use.remove(&entry.last_use);
        self.uses += 1;
        entry.last_use = self.uses;
        self.by_use.insert(self.uses, key.clone());
        Some(entry.value.clone())
    }

    /// Whether a value is here, without counting as a use.
    #[must_use]
    pub fn holds(&self, key: &K) -> bool {
        self.entries.contains_key(key)
    }

    /// Keeps a value in place of another of its key.
    pub fn put(&mut self, key: K, value: V, bytes: usize) {
        self.uses += 1;
        let last_use = self.uses;
        if let Some(old) = self.entries.insert(key.clone(), Entry { value, bytes, last_use }) {
            self.bytes -= old.bytes;
            self.by_use.remove(&old.last_use);
        }
        self.by_use.insert(last_use, key);
        self.bytes += bytes;
        while self.bytes > self.bytes_max
            && let Some((_, oldest)) = self.by_use.pop_first()
        {
            if let Some(gone) = self.entries.remove(&oldest) {
                self.bytes -= gone.bytes;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_last_stays() {
        let mut lru = Lru::new(50);
        (0..5).for_each(|key| lru.put(key, "value", 10));
        assert_eq!(lru.get(&0), Some("value"));
        lru.put(5, "value", 10);
        assert!(lru.holds(&0) && !lru.holds(&1) && lru.holds(&5));
        assert_eq!(lru.bytes(), 50);
        lru.put(5, "other", 20);
        assert_eq!((lru.get(&5), lru.bytes()), (Some("other"), 50));
        lru.put(6, "too large", 51);
        assert_eq!((lru.get(&6), lru.bytes()), (None, 0));
    }
}
