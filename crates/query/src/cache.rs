//! Decoded columns of sealed segments, kept in memory for the next query. Segments never change, so what is here is
//! never stale; what was not used for longest goes first.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{Array, ArrayRef};
use moneta_base::Lru;

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
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    columns: Lru<CacheKey, ArrayRef>,
    /// Columns of which only some rows were read.
    glimpsed: HashSet<CacheKey>,
}

impl ColumnCache {
    /// A cache of at most so many bytes; of zero bytes it keeps nothing.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        Self { state: Mutex::new(State { columns: Lru::new(bytes_max), glimpsed: HashSet::new() }) }
    }

    /// Bytes held.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.lock().columns.bytes()
    }

    pub(crate) fn get(&self, key: &CacheKey) -> Option<ArrayRef> {
        self.lock().columns.get(key)
    }

    /// Whether a column is here, without counting as a use.
    pub(crate) fn holds(&self, key: &CacheKey) -> bool {
        self.lock().columns.holds(key)
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
        let mut state = self.lock();
        // One column that fills the cache would push out everything else.
        if bytes <= state.columns.bytes_max() / 4 {
            state.columns.put(key, array.clone(), bytes);
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
