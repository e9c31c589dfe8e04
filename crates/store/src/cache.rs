//! What was read of segments and is needed again: shared among readers, bounded in bytes, the least used first to go.

use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use moneta_base::Lru;

use crate::Error;

/// Values by key, each read once while it is kept.
#[derive(Debug)]
pub(crate) struct Cache<K, V> {
    kept: Mutex<Lru<K, Arc<V>>>,
}

impl<K: Clone + Eq + Hash, V> Cache<K, V> {
    /// Room for so many bytes.
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { kept: Mutex::new(Lru::new(bytes_max)) }
    }

    /// The value of a key; one that is not kept is read, and takes as many bytes as `size_bytes` says.
    pub(crate) fn get(
        &self,
        key: K,
        size_bytes: impl FnOnce(&V) -> usize,
        read: impl FnOnce() -> Result<V, Error>,
    ) -> Result<Arc<V>, Error> {
        let lock = || self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = lock().get(&key) {
            return Ok(kept);
        }
        // Read without the lock: two readers of one value may both read it, which is harmless.
        let value = Arc::new(read()?);
        let bytes = size_bytes(&value);
        lock().put(key, value.clone(), bytes);
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_read_once_while_there_is_room_for_it() {
        let cache = Cache::new(2);
        let mut reads = Vec::new();
        for key in [1, 2, 1, 3, 1, 2] {
            let read = || {
                reads.push(key);
                Ok(key * 10)
            };
            assert_eq!(*cache.get(key, |_| 1, read).unwrap(), key * 10);
        }
        assert_eq!(reads, [1, 2, 3, 2], "the one that was used least went for the third");
        let failed = || Err(Error::corrupt(std::path::Path::new("x"), "damaged"));
        assert!(cache.get(9, |_| 1, failed).is_err());
        assert_eq!(*cache.get(9, |_| 1, || Ok(1)).unwrap(), 1);
    }
}
