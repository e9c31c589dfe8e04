//! The memory of one query: its own limit, inside the one that all queries share. A stopped query gets no more.
//!
//! Operators that can spill get equal parts of the query's memory, and spill beyond. What cannot get any fails the
//! query with an error that names the limit by its setting.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::{FairSpillPool, MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation};

use crate::pauses::Stop;

/// Setting that bounds one query.
pub(crate) const PER_QUERY: &str = "query.memory_per_query_bytes";
/// Setting that bounds all queries together.
pub(crate) const ALL_QUERIES: &str = "query.memory_bytes";

/// The memory that all queries share.
#[derive(Debug)]
pub(crate) struct SharedMemory {
    bytes_max: usize,
    used: AtomicUsize,
}

impl SharedMemory {
    pub(crate) fn new(bytes_max: usize) -> Arc<Self> {
        Arc::new(Self { bytes_max, used: AtomicUsize::new(0) })
    }

    fn try_take(&self, bytes: usize) -> bool {
        let take = |used: usize| used.checked_add(bytes).filter(|after| *after <= self.bytes_max);
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }
}

/// The memory of one query.
#[derive(Debug)]
pub(crate) struct QueryMemory {
    own: FairSpillPool,
    shared: Arc<SharedMemory>,
    bytes_max: usize,
    used: AtomicUsize,
    peak: AtomicUsize,
    stop: Stop,
}

impl QueryMemory {
    pub(crate) fn new(shared: &Arc<SharedMemory>, bytes_max: usize, stop: &Stop) -> Arc<Self> {
        let bytes_max = bytes_max.min(shared.bytes_max);
        Arc::new(Self {
            own: FairSpillPool::new(bytes_max),
            shared: shared.clone(),
            bytes_max,
            used: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
            stop: stop.clone(),
        })
    }

    /// Bytes it may hold.
    pub(crate) fn bytes_max(&self) -> usize {
        self.bytes_max
    }

    /// What stops the query.
    pub(crate) fn stop(&self) -> &Stop {
        &self.stop
    }

    /// The most bytes held at one time.
    pub(crate) fn peak(&self) -> usize {
        self.peak.load(Ordering::Relaxed)
    }

    fn note(&self, additional: usize) {
        let used = self.used.fetch_add(additional, Ordering::Relaxed) + additional;
        self.peak.fetch_max(used, Ordering::Relaxed);
    }
}

impl Drop for QueryMemory {
    /// Gives back what an aborted operator did not.
    fn drop(&mut self) {
        self.shared.used.fetch_sub(*self.used.get_mut(), Ordering::Relaxed);
    }
}

impl fmt::Display for QueryMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PER_QUERY} = {}", self.bytes_max)
    }
}

impl MemoryPool for QueryMemory {
    fn name(&self) -> &'static str {
        "query"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.own.register(consumer);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.own.unregister(consumer);
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.own.grow(reservation, additional);
        self.shared.used.fetch_add(additional, Ordering::Relaxed);
        self.note(additional);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.own.shrink(reservation, shrink);
        self.shared.used.fetch_sub(shrink, Ordering::Relaxed);
        self.used.fetch_sub(shrink, Ordering::Relaxed);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        self.stop.check()?;
        if self.own.try_grow(reservation, additional).is_err() {
            return Err(exhausted(PER_QUERY, self.bytes_max, reservation, additional));
        }
        if !self.shared.try_take(additional) {
            self.own.shrink(reservation, additional);
            return Err(exhausted(ALL_QUERIES, self.shared.bytes_max, reservation, additional));
        }
        self.note(additional);
        Ok(())
    }

    fn reserved(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.bytes_max)
    }
}

fn exhausted(setting: &str, bytes_max: usize, reservation: &MemoryReservation, additional: usize) -> DataFusionError {
    DataFusionError::ResourcesExhausted(format!(
        "{} wants {additional} bytes beside the {} it has, and {setting} = {bytes_max}",
        reservation.consumer().name(),
        reservation.size(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reservation(pool: &Arc<QueryMemory>, name: &str) -> MemoryReservation {
        let pool: Arc<dyn MemoryPool> = pool.clone();
        MemoryConsumer::new(name).register(&pool)
    }

    #[test]
    fn each_limit_is_named_by_the_setting_that_makes_it() {
        let shared = SharedMemory::new(1_000);
        let (first, second) =
            (QueryMemory::new(&shared, 700, &Stop::default()), QueryMemory::new(&shared, 700, &Stop::default()));
        let own = reservation(&first, "sort");
        own.try_grow(600).unwrap();
        assert!(own.try_grow(200).unwrap_err().to_string().contains(PER_QUERY));
        let other = reservation(&second, "join");
        assert!(other.try_grow(500).unwrap_err().to_string().contains(ALL_QUERIES));
        other.try_grow(400).unwrap();
        drop(own);
        assert_eq!((first.peak(), first.reserved()), (600, 0));
        other.try_grow(300).unwrap();
    }

    #[test]
    fn what_a_query_holds_when_it_is_dropped_is_given_back() {
        let shared = SharedMemory::new(1_000);
        let memory = QueryMemory::new(&shared, 1_000, &Stop::default());
        memory.note(300);
        shared.used.fetch_add(300, Ordering::Relaxed);
        drop(memory);
        assert_eq!(shared.used.load(Ordering::Relaxed), 0);
    }
}
