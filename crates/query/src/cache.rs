//! Decoded columns of sealed segments, kept in memory for the next query. Segments never change, so what is here is
//! never stale; what was not used for longest goes first.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{Array, ArrayRef};

/// Columns of which is known that some of their rows were read.
const GLIMPSED_MAX: usize = 1 << 16;

/// Which column of which row group of which segment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct CacheKey {
    /// Path of the segment.
    pub segment: Arc<str>,
    /// Row group.
    pub group: usize,
    /// Name of the column, with the path for a part of it.
    pub column: Arc<str>,
}

/// A cache of columns, bounded in bytes.
#[derive(Debug)]
pub struct ColumnCache {
    bytes_max: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    entries: HashMap<CacheKey, Entry>,
    by_use: BTreeMap<u64, CacheKey>,
    uses: u64,
    bytes: usize,
    /// Columns of which only some rows were read.
    glimpsed: HashSet<CacheKey>,
}

#[derive(Debug)]
struct Entry {
    array: ArrayRef,
    bytes: usize,
    last_use: u64,
}

impl ColumnCache {
    /// A cache of at most so many bytes; of zero bytes it keeps nothing.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        Self { bytes_max, state: Mutex::default() }
    }

    /// Bytes held.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.lock().bytes
    }

    pub(crate) fn get(&self, key: &CacheKey) -> Option<ArrayRef> {
        let mut state = self.lock();
        let state = &mut *state;
        let entry = state.entries.get_mut(key)?;
        state.by_use.remove(&entry.last_use);
        state.uses += 1;
        entry.last_use = state.uses;
        state.by_use.insert(state.uses, key.clone());
        Some(entry.array.clone())
    }

    /// Whether a column is here, without counting as a use.
    pub(crate) fn holds(&self, key: &CacheKey) -> bool {
        self.lock().entries.contains_key(key)
    }

    /// Whether rows of a column were read before without keeping it; from now on they were.
    ///
    /// What is asked for again is worth keeping, what is asked for once is not.
    pub(crate) fn glimpse(&self, key: &CacheKey) -> bool {
        let mut state = self.lock();
        if state.glimpsed.len() >= GLIMPSED_MAX {
            state.glimpsed.clear();
        }
        !state.glimpsed.insert(key.clone())
    }

    pub(crate) fn put(&self, key: CacheKey, array: &ArrayRef) {
        let bytes = array.get_array_memory_size();
        // One column that fills the cache would push out everything else.
        if bytes > self.bytes_max / 4 {
            return;
        }
        let mut state = self.lock();
        state.uses += 1;
        let last_use = state.uses;
        if let Some(old) = state.entries.insert(key.clone(), Entry { array: array.clone(), bytes, last_use }) {
            state.bytes -= old.bytes;
            state.by_use.remove(&old.last_use);
        }
        state.by_use.insert(last_use, key);
        state.bytes += bytes;
        while state.bytes > self.bytes_max
            && let Some((_, oldest)) = state.by_use.pop_first()
        {
            if let Some(gone) = state.entries.remove(&oldest) {
                state.bytes -= gone.bytes;
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::Int64Array;

    use super::*;

    fn key(group: usize) -> CacheKey {
        CacheKey { segment: "s".into(), group, column: "c".into() }
    }

    #[test]
    fn what_was_used_last_stays() {
        let array: ArrayRef = Arc::new(Int64Array::from(vec![1; 1_000]));
        let size = array.get_array_memory_size();
        let cache = ColumnCache::new(size * 5);
        (0..5).for_each(|group| cache.put(key(group), &array));
        assert!(cache.get(&key(0)).is_some());
        cache.put(key(5), &array);
        assert!(cache.holds(&key(0)) && !cache.holds(&key(1)) && cache.holds(&key(5)));
        assert_eq!(cache.bytes(), size * 5);
        cache.put(key(5), &array);
        assert_eq!(cache.bytes(), size * 5);
    }

    #[test]
    fn a_second_glimpse_is_known_as_one() {
        let cache = ColumnCache::new(0);
        assert!(!cache.glimpse(&key(0)) && cache.glimpse(&key(0)) && !cache.glimpse(&key(1)));
    }

    #[test]
    fn what_is_too_large_is_not_kept() {
        let array: ArrayRef = Arc::new(Int64Array::from(vec![1; 1_000]));
        for bytes_max in [0, array.get_array_memory_size()] {
            let cache = ColumnCache::new(bytes_max);
            cache.put(key(0), &array);
            assert_eq!(cache.bytes(), 0);
        }
    }
}
