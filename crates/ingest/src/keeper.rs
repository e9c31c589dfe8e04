//! The keeper thread: signs checkpoints, seals blocks into segments, drops days past their retention.
//!
//! Order matters and is the same every time: a segment is written and committed to the catalog, its root entry is
//! under a checkpoint, and only then may the journal forget its blocks. A day's drop entry is under a checkpoint
//! before a file of it is deleted (STORE-3).

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use moneta_base::error::chain;
use moneta_base::{Clock, ErrorKind, Seq, TableName, Timestamp};
use moneta_event::ShardId;
use moneta_event::root_entry::{ObjectRef, RootEntry, RootEvent, SegmentRows};
use moneta_ledger::Ledger;
use moneta_ports::operations::Hold;
use moneta_ports::{Metric, PortError};
use moneta_store::{HotStats, Merged, SegmentMeta, Store};

use crate::pressure::{Full, tables_to_seal};
use crate::room::Stream;
use crate::shared::{Chore, ChoreFailure, Shared, publish};
use crate::writer::WriterHandle;

/// Time between two looks: a record is under a checkpoint at most this long after its acknowledgement.
const TICK: Duration = Duration::from_secs(1);
/// Age at which blocks are sealed while the journal fills: one block of a quiet table keeps all files since then.
const ROOM_AGE: Duration = Duration::from_secs(30);
/// Time between two looks for days past their retention.
const RETENTION_INTERVAL: Duration = Duration::from_secs(3600);

/// When blocks become segments, and how long days are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Age at which the oldest unsealed block of a table is sealed.
    pub seal_age: Duration,
    /// Unsealed bytes of a table at which it is sealed.
    pub seal_bytes: usize,
    /// Unsealed bytes of all tables at which senders are told to come back.
    pub hot_bytes_max: usize,
    /// Bytes of journal files at which senders are told to come back.
    pub journal_bytes_max: u64,
    /// Days a table is kept unless it has a number of its own.
    pub retention_days_default: u32,
    /// Days single tables are kept.
    pub retention_days: BTreeMap<TableName, u32>,
    /// The fewest days any table is kept, whatever the numbers above say.
    pub retention_floor_days: u32,
    /// What must not be dropped, whatever the days say.
    pub holds: Vec<Hold>,
}

impl Policy {
    /// Days a table is kept.
    #[must_use]
    pub fn days_of(&self, table: &TableName) -> u32 {
        let days = self.retention_days.get(table).copied().unwrap_or(self.retention_days_default);
        days.max(self.retention_floor_days)
    }

    /// Whether a hold keeps a day of a table.
    #[must_use]
    pub fn holds_shard(&self, shard: &ShardId) -> bool {
        self.holds.iter().any(|hold| hold.covers(&shard.table, shard.day))
    }
}

/// Tells the journal's files, with the bytes of each that are durable when it is called: ingest goes on.
pub type JournalLengths<'a> = dyn Fn() -> Result<Vec<(PathBuf, u64)>, PortError> + 'a;

/// What is done while nothing is sealed, merged, dropped or signed: it sees the ledger, and may ask how far the journal
/// is. What follows the journal must be copied before it asks: state that is newer than its journal passes rows over.
pub type BetweenChanges = Box<dyn FnOnce(&Ledger, &JournalLengths<'_>) -> Result<u64, PortError> + Send>;

pub(crate) enum Command {
    Between(BetweenChanges, mpsc::SyncSender<Result<u64, PortError>>),
    SealAll(mpsc::SyncSender<Result<usize, PortError>>),
    Stop,
}

/// The way to the keeper thread.
pub(crate) struct KeeperHandle {
    commands: Sender<Command>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl KeeperHandle {
    /// Does something between two changes of the store.
    pub(crate) fn between_changes(&self, act: BetweenChanges) -> Result<u64, PortError> {
        let stopped = || PortError::new(ErrorKind::OPERATOR, "the keeper thread has stopped; see the log and restart");
        let (reply, answer) = mpsc::sync_channel(1);
        self.commands.send(Command::Between(act, reply)).map_err(|_| stopped())?;
        answer.recv().map_err(|_| stopped())?
    }

    /// Seals everything now; returns the number of segments.
    pub(crate) fn seal_all(&self) -> Result<usize, PortError> {
        let stopped = || PortError::new(ErrorKind::OPERATOR, "the keeper thread has stopped; see the log and restart");
        let (reply, answer) = mpsc::sync_channel(1);
        self.commands.send(Command::SealAll(reply)).map_err(|_| stopped())?;
        answer.recv().map_err(|_| stopped())?
    }

    pub(crate) fn stop(&self) {
        let _ = self.commands.send(Command::Stop);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the keeper thread panicked");
        }
    }
}

/// What the keeper thread reaches.
pub(crate) struct Keeper {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) store: Arc<Store>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) policy: Arc<RwLock<Policy>>,
    pub(crate) writer: Arc<WriterHandle>,
    /// Paths of segments at which merges failed for good.
    pub(crate) unmergeable: Mutex<BTreeSet<String>>,
    /// Tables and first sequences of segments that the catalog may list without a root entry: a call failed in between.
    pub(crate) unsettled: Mutex<BTreeSet<(TableName, Seq)>>,
}

/// The way to a keeper that does not run yet, and what it will listen to.
pub(crate) fn keeper_handle() -> (KeeperHandle, Receiver<Command>) {
    let (commands, inbox) = mpsc::channel();
    (KeeperHandle { commands, thread: Mutex::default() }, inbox)
}

impl Keeper {
    /// Starts the thread behind a handle.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub(crate) fn start(self, handle: &KeeperHandle, inbox: Receiver<Command>) -> std::io::Result<()> {
        let thread = std::thread::Builder::new().name("keeper".to_owned()).spawn(move || self.run(&inbox))?;
        *handle.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        Ok(())
    }

    fn run(&self, inbox: &Receiver<Command>) {
        // Sealing keeps a core busy for a second or two: on a small machine records and alerts would wait for it.
        if let Err(error) = moneta_host::yield_to_others() {
            tracing::warn!(%error, "the keeper thread works beside others, not after them");
        }
        let mut retention_due = self.clock.now();
        loop {
            match inbox.recv_timeout(TICK) {
                Ok(Command::SealAll(reply)) => {
                    let _ = reply.send(self.settle().and_then(|()| self.seal(|_, _| true)));
                }
                Ok(Command::Between(act, reply)) => {
                    let _ = reply.send(self.between_changes(act));
                }
                Ok(Command::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => self.tick(&mut retention_due),
            }
        }
    }

    pub(crate) fn tick(&self, retention_due: &mut Timestamp) {
        let now = self.clock.now();
        if let Err(error) = publish(&self.ledger, &self.shared, now) {
            tracing::error!(%error, "no checkpoint could be signed; it is tried again");
        }
        if self.shared.headers_behind.load(Ordering::Acquire) > 0 {
            self.writer.append_headers();
        }
        self.note(Chore::Settling, self.settle());
        let policy = self.policy();
        let hot = self.store.hot_stats();
        self.note_state(now, &hot);
        let for_room = tables_to_seal(&hot, policy.hot_bytes_max / 2);
        let journal_fills = self.shared.waiting(&self.store).journal_bytes >= policy.journal_bytes_max / 2;
        let seal_age = if journal_fills { policy.seal_age.min(ROOM_AGE) } else { policy.seal_age };
        let due = |table: &TableName, hot: &HotStats| {
            hot.bytes >= policy.seal_bytes || now.since(hot.oldest) >= seal_age || for_room.contains(table)
        };
        self.note(Chore::Sealing, self.seal(due).map(drop));
        self.note(Chore::MakingRoom, self.make_room(&policy));
        self.note(Chore::Merging, self.merge_one(now));
        self.note(Chore::Removing, self.remove_retired(now));
        self.note(Chore::Catalogs, self.checkpoint_catalogs(now));
        if now >= *retention_due {
            *retention_due = now.saturating_add(RETENTION_INTERVAL);
            self.note(Chore::Retention, self.drop_expired(now).map(drop));
        }
    }

    fn between_changes(&self, act: BetweenChanges) -> Result<u64, PortError> {
        publish(&self.ledger, &self.shared, self.clock.now())?;
        let stopped = || PortError::new(ErrorKind::OPERATOR, "the journal writer has stopped; see the log and restart");
        let lengths = || self.writer.files().ok_or_else(stopped);
        self.ledger.hold_still(|| act(&self.ledger, &lengths)).map_err(ledger_failed)?
    }

    fn note_state(&self, now: Timestamp, hot: &BTreeMap<TableName, HotStats>) {
        let hot_blocks: usize = hot.values().map(|hot| hot.num_blocks).sum();
        self.shared.metrics.set(Metric::StoreHotBlocks, hot_blocks as u64);
        let covered_at = self.shared.status.lock().unwrap_or_else(PoisonError::into_inner).covered_at;
        self.shared.metrics.set(Metric::LedgerCheckpointAge, covered_at.map_or(0, |at| now.since(at).as_secs()));
    }

    fn policy(&self) -> Policy {
        self.policy.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Looks whether senders are kept out by what waits to be sealed.
    fn make_room(&self, policy: &Policy) -> Result<(), PortError> {
        let waiting = self.shared.waiting(&self.store);
        let Some(full) = Full::of(waiting, policy, Stream::Data) else { return Ok(()) };
        // Where nothing is taken in, nothing is sealed: subscribers may have got on all the same.
        self.release_journal()?;
        Err(full.complaint(waiting))
    }

    /// Notes how a chore went, and since when it fails.
    fn note(&self, chore: Chore, result: Result<(), PortError>) {
        let mut status = self.shared.status.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(()) => drop(status.failing_chores.remove(&chore)),
            Err(error) => {
                tracing::error!(%error, chore = chore.name(), "the keeper could not finish and will try again");
                let since = status.failing_chores.get(&chore).map_or_else(|| self.clock.now(), |failure| failure.since);
                status.failing_chores.insert(chore, ChoreFailure { since, reason: chain(&error) });
            }
        }
    }

    /// Seals the tables for which `due` holds; returns the number of segments. What cannot be sealed of one table keeps no
    /// other from being sealed.
    ///
    /// # Errors
    /// The first failure, after all that could be done.
    pub(crate) fn seal(&self, due: impl Fn(&TableName, &HotStats) -> bool) -> Result<usize, PortError> {
        let mut num_segments = 0;
        let hot = self.store.hot_stats();
        let due = hot.iter().filter(|(table, hot)| due(table, hot));
        let sealed = first_failure(due.map(|(table, hot)| self.seal_table(table, hot.end_seq, &mut num_segments)));
        if num_segments > 0 {
            self.release_journal()?;
        }
        sealed.map(|()| num_segments)
    }

    /// Seals what is hot of a table up to a row: what comes meanwhile waits until it is due, for a busy table would never
    /// be done, in ever smaller segments.
    fn seal_table(&self, table: &TableName, end: Seq, num_segments: &mut usize) -> Result<(), PortError> {
        let failed = |error: moneta_store::Error| {
            PortError::caused_by(error.kind(), format!("a segment of {table} could not be sealed"), error)
        };
        while let Some(segment) = self.store.seal(table).map_err(failed)? {
            let place = (table.clone(), segment.meta().first_seq);
            self.unsettled().insert(place.clone());
            let published = self.store.publish(segment, self.clock.now()).map_err(failed)?;
            self.append(&segment_entry(&published.meta, self.clock.now()))?;
            self.unsettled().remove(&place);
            self.shared.metrics.add(Metric::StoreSegments, 1);
            *num_segments += 1;
            if published.meta.end_seq >= end {
                break;
            }
        }
        Ok(())
    }

    /// Appends the root entries of segments that turned out to be listed though a call failed: without them nobody could
    /// say which rows went with their day.
    fn settle(&self) -> Result<(), PortError> {
        let mut unsettled = self.unsettled();
        for place in unsettled.clone() {
            if let Some(segment) = self.store.segment_beginning_at(&place.0, place.1) {
                self.append(&segment_entry(&segment, self.clock.now()))?;
                unsettled.remove(&place);
            }
        }
        Ok(())
    }

    fn unsettled(&self) -> MutexGuard<'_, BTreeSet<(TableName, Seq)>> {
        self.unsettled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Merges one run of small segments, if any is due: a checkpoint never waits for more than one. A table whose merge
    /// fails keeps no other from being merged.
    fn merge_one(&self, now: Timestamp) -> Result<(), PortError> {
        let mut unmergeable = self.unmergeable.lock().unwrap_or_else(PoisonError::into_inner);
        let mut failed = Ok(());
        for table in self.store.tables_with_rows() {
            let leave = |segment: &SegmentMeta| unmergeable.contains(&segment.path);
            let Some(run) = self.store.due_merge(&table, now.day(), &leave) else { continue };
            let first = &run[0];
            let merged = self.merge(&run, now);
            if merged.as_ref().is_err_and(|error| !matches!(error.kind, ErrorKind::Environment { .. })) {
                // Damage does not go away by trying again; `verify` says more. The next start looks once more.
                unmergeable.insert(first.path.clone());
            }
            let is_merged = merged.is_ok();
            failed = failed.and(merged);
            if is_merged {
                break;
            }
        }
        failed
    }

    fn merge(&self, run: &[Arc<SegmentMeta>], now: Timestamp) -> Result<(), PortError> {
        let (first, last) = (&run[0], &run[run.len() - 1]);
        let headers = self.ledger.headers_of(&first.shard, first.first_seq, last.end_seq).map_err(ledger_failed)?;
        let merged = self.store.merge(run, &headers, now).map_err(|error| {
            PortError::caused_by(error.kind(), format!("small segments of {} could not be merged", first.shard), error)
        })?;
        self.append(&merge_entry(&merged, now))?;
        publish(&self.ledger, &self.shared, now)?;
        self.shared.metrics.add(Metric::StoreMergedSegments, run.len() as u64);
        Ok(())
    }

    fn remove_retired(&self, now: Timestamp) -> Result<(), PortError> {
        let removed = self.store.remove_retired(now);
        removed
            .map(drop)
            .map_err(|error| PortError::caused_by(error.kind(), "a merged file could not be removed", error))
    }

    fn checkpoint_catalogs(&self, now: Timestamp) -> Result<(), PortError> {
        self.store
            .checkpoint_catalogs(now)
            .map(drop)
            .map_err(|error| PortError::caused_by(error.kind(), "a catalog could not be checkpointed", error))
    }

    /// Signs a checkpoint, and lets the journal forget what is sealed, under it, and dealt with by every subscriber.
    ///
    /// # Errors
    /// When no checkpoint can be signed. The journal then keeps everything: what the ledger holds in memory only would be
    /// nowhere after a crash.
    fn release_journal(&self) -> Result<(), PortError> {
        let is_all_named = self.shared.headers_behind.load(Ordering::Acquire) == 0 && self.unsettled().is_empty();
        publish(&self.ledger, &self.shared, self.clock.now())?;
        if is_all_named {
            self.writer.release(self.shared.releasable(self.store.sealed_ends()));
        }
        Ok(())
    }

    /// Drops every ingest day past its table's retention; returns the number of days. One that cannot be dropped keeps no
    /// other from being dropped.
    fn drop_expired(&self, now: Timestamp) -> Result<usize, PortError> {
        // A write that failed may have left rows of a day in the journal, which the next start brings back: a day that was
        // dropped meanwhile would open again.
        if self.shared.status.lock().unwrap_or_else(PoisonError::into_inner).stopped.is_some() {
            return Ok(0);
        }
        // Also what this very look at the store left open.
        self.settle()?;
        let policy = self.policy();
        let due = self.store.due_drops(&|table| policy.days_of(table), now.day());
        let mut num_dropped = 0;
        first_failure(due.iter().map(|shard| {
            num_dropped += usize::from(self.drop_shard(shard, now)?);
            Ok(())
        }))?;
        Ok(num_dropped)
    }

    /// Drops a day, unless it is to be kept by now; returns whether it was dropped.
    fn drop_shard(&self, shard: &ShardId, now: Timestamp) -> Result<bool, PortError> {
        let growth = self.ledger.shard_head(shard).map_err(ledger_failed)?;
        let days = {
            // Held until the entry is in its place: what is placed or kept longer before that, counts.
            let policy = self.policy.read().unwrap_or_else(PoisonError::into_inner);
            let days = policy.days_of(&shard.table);
            if policy.holds_shard(shard) || !moneta_store::is_past(shard.day, days, now.day()) {
                return Ok(false);
            }
            let event =
                RootEvent::RetentionDrop { growth, policy: format!("retention {days} days"), by: "keeper".to_owned() };
            self.append(&RootEntry { at: now, event })?;
            days
        };
        publish(&self.ledger, &self.shared, now)?;
        let failed = |error: moneta_store::Error| {
            PortError::caused_by(error.kind(), format!("the day {shard} could not be dropped"), error)
        };
        self.store.drop_shard(shard, now).map_err(failed)?;
        self.ledger.remove_shard(shard).map_err(ledger_failed)?;
        tracing::info!(shard = %shard, days, "dropped a day past its retention");
        Ok(true)
    }

    fn append(&self, entry: &RootEntry) -> Result<(), PortError> {
        self.ledger.append_root(entry).map(drop).map_err(ledger_failed)
    }
}

/// Does everything, and returns the first failure.
fn first_failure(all: impl Iterator<Item = Result<(), PortError>>) -> Result<(), PortError> {
    let mut first = Ok(());
    for result in all {
        first = first.and(result);
    }
    first
}

fn ledger_failed(error: moneta_ledger::Error) -> PortError {
    PortError::caused_by(error.kind(), "the ledger failed", error)
}

/// The root entry of a published segment.
pub(crate) fn segment_entry(segment: &SegmentMeta, now: Timestamp) -> RootEntry {
    RootEntry { at: now, event: RootEvent::SegmentSealed { rows: rows_of(segment), object: object_of(segment) } }
}

/// The root entry of a merge: the same blocks, so the same records, in another file.
pub(crate) fn merge_entry(merged: &Merged, now: Timestamp) -> RootEntry {
    let (rows, new) = (rows_of(&merged.new), object_of(&merged.new));
    RootEntry { at: now, event: RootEvent::SegmentReencoded { rows, old: merged.old.clone(), new } }
}

fn rows_of(segment: &SegmentMeta) -> SegmentRows {
    SegmentRows {
        shard: segment.shard.clone(),
        start: segment.first_seq,
        end: segment.end_seq,
        blocks: segment.blocks_root,
    }
}

fn object_of(segment: &SegmentMeta) -> ObjectRef {
    ObjectRef { path: segment.path.clone(), size_bytes: segment.size_bytes, hash: segment.hash }
}
