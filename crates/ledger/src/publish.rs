//! Publishing: what waits becomes part of a signed tree.
//!
//! Order, each step durable before the next: tiles and bundles of all grown logs; recomputation from bytes read back;
//! root checkpoint (the commit point); shard checkpoints; removal of outgrown partial tiles.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::PoisonError;

use moneta_base::Timestamp;
use moneta_event::root_entry::TICK_SHARDS_MAX;
use moneta_event::{RootEntry, RootEvent, ShardGrowth, ShardId};
use moneta_merkle::SignedCheckpoint;
use moneta_merkle::audit::audit_growth;

use crate::append::{Appends, Queue};
use crate::edge::{Edge, Growth};
use crate::error::{Error, Result};
use crate::files::{KnownDirs, LogFiles, WriteBatch};
use crate::ledger::{Ledger, sign, write_empty_checkpoint};

/// Most shards kept ready to grow between publishes; older ones are loaded again when needed. An edge is at most about
/// 150 KB, so this bounds memory to tens of megabytes.
pub const OPEN_SHARDS_MAX: usize = 512;

/// What only the publishing thread touches.
#[derive(Debug, Default)]
pub(crate) struct Publisher {
    pub(crate) root: Edge,
    pub(crate) shards: BTreeMap<ShardId, Edge>,
    pub(crate) known_dirs: KnownDirs,
    /// Shards whose shard-opened entry is queued or published.
    announced: BTreeSet<ShardId>,
    /// Shards whose checkpoint could not be written after the root checkpoint named their size.
    lagging: BTreeSet<ShardId>,
    stopped: bool,
}

/// What the last publish cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PublishStats {
    /// Shards that grew.
    pub num_shards: u64,
    /// Blocks published.
    pub num_blocks: u64,
    /// Root entries published, ticks included.
    pub num_root_entries: u64,
    /// Files written.
    pub num_files: u64,
    /// Syncs of files and directories.
    pub num_syncs: u64,
    /// Bytes written.
    pub num_bytes: u64,
}

/// What one publish takes from the queues.
struct Taken {
    root: Queue,
    shards: BTreeMap<ShardId, Queue>,
}

/// One log while it grows.
struct GrowingLog {
    files: LogFiles,
    old_size: u64,
    edge: Edge,
    growth: Growth,
}

impl Ledger {
    /// Does something while no file of the ledger is written, replaced or removed, but for tiles that nothing needs.
    /// Entries are appended meanwhile, also to new shards: whoever waits here may wait for an append.
    ///
    /// # Errors
    /// [`Error::Stopped`]; then nothing was done.
    pub fn hold_still<T>(&self, act: impl FnOnce() -> T) -> Result<T> {
        let _changes = self.lock_changes()?;
        Ok(act())
    }

    /// Publishes everything that waits under a new root checkpoint; none if nothing waits.
    ///
    /// Each grown shard is listed in a tick with its new size and root. `now` becomes the ticks' time.
    ///
    /// # Errors
    /// [`Error::Io`] leaves everything queued for the next try. [`Error::SyncFailed`] and [`Error::ReadBack`] stop the
    /// ledger: every later publish gives [`Error::Stopped`] until it is opened again.
    pub fn publish(&self, now: Timestamp) -> Result<Option<SignedCheckpoint>> {
        let _changes = self.lock_changes()?;
        let mut publisher = self.lock_publisher()?;
        if publisher.stopped {
            return Err(Error::Stopped);
        }
        if let Err(error) = self.write_lagging(&mut publisher) {
            publisher.fail(&error);
            return Err(error);
        }
        let Some(mut taken) = self.take(&mut publisher)? else { return Ok(None) };
        match self.publish_taken(&mut publisher, &mut taken, now) {
            Ok(checkpoint) => {
                self.evict(&mut publisher)?;
                Ok(Some(checkpoint))
            }
            Err(error) => {
                publisher.fail(&error);
                self.lock_appends()?.put_back(&taken);
                Err(error)
            }
        }
    }

    /// Returns what the last publish cost.
    #[must_use]
    pub fn last_publish(&self) -> PublishStats {
        *self.stats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes all queues, reserving the places of the entries that the publish itself adds to the root log.
    fn take(&self, publisher: &mut Publisher) -> Result<Option<Taken>> {
        let mut appends = self.lock_appends()?;
        let waiting = appends.shards.iter_mut().filter(|(_, queue)| queue.count > 0);
        let shards: BTreeMap<ShardId, Queue> = waiting.map(|(shard, queue)| (shard.clone(), queue.take())).collect();
        if shards.is_empty() && appends.root.count == 0 {
            return Ok(None);
        }
        let root = appends.root.take();
        let opened = shards.keys().filter(|shard| publisher.is_unannounced(shard)).count();
        appends.root.next += (opened + shards.len().div_ceil(TICK_SHARDS_MAX)) as u64;
        appends.pending_bytes = 0;
        Ok(Some(Taken { root, shards }))
    }

    fn publish_taken(&self, publisher: &mut Publisher, taken: &mut Taken, now: Timestamp) -> Result<SignedCheckpoint> {
        let shards = self.grow_shards(publisher, taken)?;
        add_root_entries(publisher, taken, &shards, now)?;
        let mut root = grow(self.root_files(), &publisher.root, &taken.root)?;
        let mut stats = PublishStats {
            num_shards: taken.shards.len() as u64,
            num_blocks: taken.shards.values().map(|queue| queue.count).sum(),
            num_root_entries: taken.root.count,
            ..PublishStats::default()
        };
        let mut batch = WriteBatch::new(&self.fs, &self.dir, &mut publisher.known_dirs);
        for log in shards.values().chain([&root]) {
            if log.old_size == 0 && !self.fs.exists(&log.files.checkpoint_path()) {
                write_empty_checkpoint(&mut batch, &log.files, self.signer.as_ref())?;
            }
            for (tile, bytes) in &log.growth.tiles {
                batch.write(log.files.path(*tile), bytes)?;
            }
        }
        batch.sync()?;
        shards.values().chain([&root]).try_for_each(read_back)?;

        assert!(root.edge.size() > root.old_size, "LEDGER-1: the published tree only grows");
        let checkpoint = sign(&root.files, root.edge.size(), root.edge.root(), self.signer.as_ref())?;
        batch.replace(&[(root.files.checkpoint_path(), checkpoint.encode())])?;

        (stats.num_files, stats.num_syncs, stats.num_bytes) = (batch.num_files, batch.num_syncs, batch.num_bytes);
        // From here on the root checkpoint is public: nothing below may undo it, so no error is returned.
        *self.checkpoint.write().unwrap_or_else(PoisonError::into_inner) = checkpoint.clone();
        publisher.root = std::mem::take(&mut root.edge);
        let mut outgrown = vec![(root.files, root.growth.outgrown)];
        for (shard, log) in shards {
            publisher.lagging.insert(shard.clone());
            publisher.shards.insert(shard, log.edge);
            outgrown.push((log.files, log.growth.outgrown));
        }
        match self.write_lagging(publisher) {
            Ok(syncs) => stats.num_syncs += syncs,
            Err(error) => publisher.fail(&error),
        }
        remove_outgrown(publisher, &outgrown);
        *self.stats.lock().unwrap_or_else(PoisonError::into_inner) = stats;
        Ok(checkpoint)
    }

    fn grow_shards(&self, publisher: &Publisher, taken: &Taken) -> Result<BTreeMap<ShardId, GrowingLog>> {
        let mut logs = BTreeMap::new();
        for (shard, queue) in &taken.shards {
            let edge = publisher.shards.get(shard).expect("a queue is made after its edge and let go with it");
            logs.insert(shard.clone(), grow(self.shard_files(shard), edge, queue)?);
        }
        Ok(logs)
    }

    /// Writes the checkpoints of shards that the root checkpoint already names; returns the syncs it took.
    fn write_lagging(&self, publisher: &mut Publisher) -> Result<u64> {
        if publisher.lagging.is_empty() {
            return Ok(0);
        }
        let mut checkpoints = Vec::new();
        for shard in &publisher.lagging {
            let Some(edge) = publisher.shards.get(shard) else { continue };
            let files = self.shard_files(shard);
            let checkpoint = sign(&files, edge.size(), edge.root(), self.signer.as_ref())?;
            checkpoints.push((files.checkpoint_path(), checkpoint.encode()));
        }
        let mut batch = WriteBatch::new(&self.fs, &self.dir, &mut publisher.known_dirs);
        batch.replace(&checkpoints)?;
        let syncs = batch.num_syncs;
        publisher.lagging.clear();
        Ok(syncs)
    }

    /// Lets go of shards for which nothing waits, once too many are open.
    pub(crate) fn evict(&self, publisher: &mut Publisher) -> Result<()> {
        if publisher.shards.len() <= OPEN_SHARDS_MAX {
            return Ok(());
        }
        let mut appends = self.lock_appends()?;
        let idle: Vec<ShardId> = publisher
            .shards
            .keys()
            .filter(|shard| !publisher.lagging.contains(*shard))
            .filter(|shard| appends.shards.get(*shard).is_none_or(|queue| queue.count == 0))
            .cloned()
            .collect();
        for shard in idle {
            publisher.forget(&shard, &self.shard_files(&shard));
            appends.shards.remove(&shard);
        }
        Ok(())
    }
}

impl Publisher {
    /// Forgets all about a shard; it is loaded again from its files when needed.
    pub(crate) fn forget(&mut self, shard: &ShardId, files: &LogFiles) {
        self.shards.remove(shard);
        self.announced.remove(shard);
        self.known_dirs.forget(files.dir());
    }

    fn is_unannounced(&self, shard: &ShardId) -> bool {
        !self.announced.contains(shard) && self.shards.get(shard).is_none_or(|edge| edge.size() == 0)
    }

    fn fail(&mut self, error: &Error) {
        self.known_dirs.clear();
        self.stopped |= !error.leaves_disk_known();
    }
}

impl Appends {
    /// Puts back in front what a failed publish had taken.
    fn put_back(&mut self, taken: &Taken) {
        self.pending_bytes +=
            taken.root.bytes.len() + taken.shards.values().map(|queue| queue.bytes.len()).sum::<usize>();
        self.root.put_back(&taken.root);
        for (shard, queue) in &taken.shards {
            self.shards.entry(shard.clone()).or_default().put_back(queue);
        }
    }
}

fn grow(files: LogFiles, edge: &Edge, queue: &Queue) -> Result<GrowingLog> {
    let mut edge = edge.clone();
    let old_size = edge.size();
    let growth = edge.extend(queue.entries())?;
    Ok(GrowingLog { files, old_size, edge, growth })
}

/// Adds shard-opened entries and ticks after what waits for the root log. If the publish then fails, they stay queued:
/// they remain true, and the indexes given out meanwhile remain right.
fn add_root_entries(
    publisher: &mut Publisher,
    taken: &mut Taken,
    shards: &BTreeMap<ShardId, GrowingLog>,
    now: Timestamp,
) -> Result<()> {
    for shard in shards.keys() {
        if publisher.is_unannounced(shard) {
            let entry = RootEntry { at: now, event: RootEvent::ShardOpened { shard: shard.clone() } };
            taken.root.push_reserved(&entry.encode()?)?;
            publisher.announced.insert(shard.clone());
        }
    }
    let growth = |(shard, log): (&ShardId, &GrowingLog)| ShardGrowth {
        shard: shard.clone(),
        size: log.edge.size(),
        root: log.edge.root(),
    };
    let growths: Vec<ShardGrowth> = shards.iter().map(growth).collect();
    RootEntry::ticks(now, &growths).iter().try_for_each(|tick| taken.root.push_reserved(&tick.encode()?))
}

/// Recomputes what was written from the bytes the disk gives back.
fn read_back(log: &GrowingLog) -> Result<()> {
    let findings = audit_growth(log.old_size, log.edge.size(), &log.edge.root(), &log.files, &mut |_, _| {});
    match findings.into_iter().next() {
        None => Ok(()),
        Some(finding) => {
            let path = finding.tile.map_or_else(|| log.files.dir().to_owned(), |tile| log.files.path(tile));
            Err(Error::ReadBack { path, reason: finding.reason })
        }
    }
}

/// Removes outgrown partial tiles. A failure leaves a file too many, which the next opening removes.
fn remove_outgrown(publisher: &mut Publisher, outgrown: &[(LogFiles, Vec<moneta_merkle::TilePath>)]) {
    for (files, tiles) in outgrown {
        for tile in tiles {
            let edge_moved_on = files.remove_outgrown(*tile).unwrap_or(false);
            if edge_moved_on {
                publisher.known_dirs.forget(&files.dir().join(tile.directory()));
            }
        }
    }
}
