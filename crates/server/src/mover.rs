//! Moves old segments to the bucket, and removes from it what is no longer listed: a thread of its own, since a slow
//! bucket must hold up neither checkpoints nor queries.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, TryRecvError};
use std::time::Duration;

use moneta_base::error::chain;
use moneta_base::objects::ObjectLock;
use moneta_base::{Clock, ErrorKind, IngestDay, TableName, Timestamp};
use moneta_ingest::Ingest;
use moneta_ports::{Alarm, AlarmKind, AlarmSink, Metric, Metrics};
use moneta_store::{Error, SegmentMeta, Store};

use crate::background::Background;
use crate::objects_config::{LockMode, ObjectsConfig};

/// Time between two looks at what is due.
const TICK: Duration = Duration::from_secs(10);
/// Segments moved between two looks at what is to be removed.
const MOVED_AT_ONCE: usize = 64;

/// What the mover works with.
pub(crate) struct MoverParts {
    pub(crate) ingest: Arc<Ingest>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) alarms: Arc<dyn AlarmSink>,
    pub(crate) config: ObjectsConfig,
}

/// Starts the thread; when it is stopped, it finishes the segment that is being moved.
///
/// # Errors
/// When the operating system gives no thread.
pub(crate) fn start_mover(parts: MoverParts) -> std::io::Result<Background> {
    Background::start("mover", move |stopped| {
        let is_stopped = || !matches!(stopped.try_recv(), Err(TryRecvError::Empty));
        loop {
            let is_more = parts.collect() && parts.move_some(&is_stopped);
            let pause = if is_more { Duration::ZERO } else { TICK };
            match stopped.recv_timeout(pause) {
                Err(RecvTimeoutError::Timeout) => {}
                _ => return,
            }
        }
    })
}

impl MoverParts {
    fn store(&self) -> &Store {
        self.ingest.store()
    }

    /// Removes what is due from the bucket; whether the bucket can be used.
    fn collect(&self) -> bool {
        let collected = self.store().collect_loose(self.clock.now());
        self.metrics.set(Metric::StoreLooseObjects, self.store().num_loose_objects() as u64);
        match collected {
            Ok(collected) => {
                for (key, error) in &collected.failed {
                    self.report(&format!("{key} cannot be removed: {}", chain(error)));
                }
                true
            }
            Err(error) => {
                self.report(&chain(&error));
                false
            }
        }
    }

    /// Moves some of what is due; whether more is.
    fn move_some(&self, is_stopped: &dyn Fn() -> bool) -> bool {
        let now = self.clock.now();
        let due = self.store().due_moves(self.config.local_days, now.day());
        let mut num_moved = 0;
        for segment in due.iter().take(MOVED_AT_ONCE) {
            if is_stopped() {
                return false;
            }
            match self.store().move_segment(segment, self.lock_of(segment, now), self.clock.now()) {
                Ok(()) => {
                    self.metrics.add(Metric::StoreMovedSegments, 1);
                    num_moved += 1;
                }
                // It was merged or dropped meanwhile.
                Err(Error::NotListed(_)) => {}
                Err(error) => {
                    self.report(&format!("{}: {}", segment.path, chain(&error)));
                    // Damage is of one segment; whatever else fails, fails for all.
                    if error.kind() != ErrorKind::Internal {
                        return false;
                    }
                }
            }
        }
        num_moved == MOVED_AT_ONCE
    }

    /// The lock of a segment: until the retention of its table ends. One that is only there because of a legal hold has
    /// outlived it, and no server takes a lock that ends in the past.
    fn lock_of(&self, segment: &SegmentMeta, now: Timestamp) -> Option<ObjectLock> {
        let is_compliance = match self.config.lock {
            LockMode::None => return None,
            LockMode::Governance => false,
            LockMode::Compliance => true,
        };
        let days = i64::from(self.days_of(&segment.shard.table)) + 1;
        let end = i32::try_from(i64::from(segment.shard.day.0) + days).unwrap_or(i32::MAX);
        let until = IngestDay(end).start();
        (until > now).then_some(ObjectLock { is_compliance, until })
    }

    fn days_of(&self, table: &TableName) -> u32 {
        self.ingest.policy().days_of(table)
    }

    fn report(&self, reason: &str) {
        tracing::warn!(reason, "the bucket does not do as it should; tried again");
        let subject = self.config.bucket.clone().unwrap_or_default();
        self.alarms.raise(Alarm { kind: AlarmKind::BucketFailed, subject, text: format!("{reason}.") });
    }
}

/// Removes the cache of objects, which no other process needs.
pub(crate) fn remove_cache(fs: &dyn moneta_base::fs::FileSystem, data: &std::path::Path) {
    let cache: PathBuf = data.join(crate::objects::DIR).join(moneta_store::CACHE_DIR);
    if let Err(error) = fs.remove_dir_all(&cache)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(%error, "the cache of objects stays on the disk until the next start");
    }
}
