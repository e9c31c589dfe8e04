//! What was appended and not yet published.
//!
//! Appending is a copy under a short lock; a running publish does not hold it, and only the first block of a shard waits
//! for one. Indexes are given out at once and kept:
//! a publish reserves the root log's places for its own entries before it lets new ones in, and puts back in front what
//! it could not publish.

use std::collections::{BTreeMap, BTreeSet};

use moneta_event::{RootEntry, RootEvent, ShardGrowth, ShardId};
use moneta_merkle::bundle;

use crate::error::{Error, Result};
use crate::ledger::{Ledger, LogName};

/// Most bytes that wait to be published: about 200,000 block headers, an hour of heavy ingest with a full disk.
pub const PENDING_BYTES_MAX: usize = 64 << 20;

/// Most shards with queues at once.
pub const SHARDS_PENDING_MAX: usize = 65_536;

/// Entries of one log that wait, in the form of a bundle.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    /// Index the next entry gets.
    pub(crate) next: u64,
    /// Entries waiting, each behind its length.
    pub(crate) bytes: Vec<u8>,
    /// How many they are.
    pub(crate) count: u64,
}

impl Queue {
    pub(crate) fn starting_at(next: u64) -> Queue {
        Queue { next, ..Queue::default() }
    }

    fn push(&mut self, entry: &[u8]) -> Result<u64> {
        bundle::push_entry(&mut self.bytes, entry)?;
        self.count += 1;
        self.next += 1;
        Ok(self.next - 1)
    }

    /// Takes what waits, keeping the place of the next entry.
    pub(crate) fn take(&mut self) -> Queue {
        let next = self.next;
        std::mem::replace(self, Queue::starting_at(next))
    }

    /// Puts back in front what was taken.
    pub(crate) fn put_back(&mut self, taken: &Queue) {
        self.bytes.splice(..0, taken.bytes.iter().copied());
        self.count += taken.count;
    }

    /// Returns the waiting entries.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.bytes.as_slice();
        std::iter::from_fn(move || {
            let (length, after) = rest.split_first_chunk::<2>()?;
            let (entry, after) = after.split_at(usize::from(u16::from_be_bytes(*length)));
            rest = after;
            Some(entry)
        })
    }

    /// Adds an entry whose place is already reserved.
    pub(crate) fn push_reserved(&mut self, entry: &[u8]) -> Result<()> {
        bundle::push_entry(&mut self.bytes, entry)?;
        self.count += 1;
        Ok(())
    }
}

/// The queues of all logs.
#[derive(Debug, Default)]
pub(crate) struct Appends {
    pub(crate) root: Queue,
    pub(crate) shards: BTreeMap<ShardId, Queue>,
    pub(crate) closed: BTreeSet<ShardId>,
    pub(crate) pending_bytes: usize,
}

impl Appends {
    fn reserve(&mut self, entry: &[u8]) -> Result<()> {
        if entry.len() > bundle::ENTRY_BYTES_MAX {
            return Err(moneta_merkle::Error::EntryTooLong(entry.len()).into());
        }
        if self.pending_bytes + entry.len() > PENDING_BYTES_MAX || self.shards.len() > SHARDS_PENDING_MAX {
            return Err(Error::Full { pending_bytes: self.pending_bytes });
        }
        self.pending_bytes += entry.len();
        Ok(())
    }
}

impl Ledger {
    /// Queues a block header for its shard log and returns its index there. It is published by the next
    /// [`Ledger::publish`]; until then the journal must be able to bring it again.
    ///
    /// # Errors
    /// [`Error::Full`] if too much waits; [`Error::Closed`] if the shard was sealed or dropped; [`Error::Corrupt`] and
    /// [`Error::Io`] when the shard is touched for the first time.
    pub fn append_block(&self, shard: &ShardId, header_bytes: &[u8]) -> Result<u64> {
        loop {
            let mut appends = self.lock_appends()?;
            if appends.closed.contains(shard) {
                return Err(Error::Closed(shard.clone()));
            }
            if appends.shards.contains_key(shard) {
                appends.reserve(header_bytes)?;
                let queue = appends.shards.get_mut(shard).expect("looked up above");
                return queue.push(header_bytes);
            }
            drop(appends);
            self.shard_head(shard)?;
        }
    }

    /// Queues an entry for the root log and returns its index there.
    ///
    /// # Errors
    /// [`Error::Reserved`] for ticks and shard-opened entries; [`Error::ShardMismatch`] if a shard-sealed or
    /// retention-drop entry does not state the shard's published size and root, or blocks of it still wait;
    /// [`Error::Full`]; [`Error::RootEntry`] if the entry is too long.
    pub fn append_root(&self, entry: &RootEntry) -> Result<u64> {
        let bytes = entry.encode()?;
        let closing = match &entry.event {
            RootEvent::Tick { .. } | RootEvent::ShardOpened { .. } => {
                return Err(Error::Reserved(entry.event.type_name()));
            }
            RootEvent::ShardSealed { growth } | RootEvent::RetentionDrop { growth, .. } => Some(growth),
            _ => None,
        };
        let head = closing.map(|growth| self.shard_head(&growth.shard)).transpose()?;
        let mut appends = self.lock_appends()?;
        if let (Some(stated), Some(head)) = (closing, head) {
            let pending = appends.shards.get(&head.shard).map_or(0, |queue| queue.count);
            if *stated != head || pending > 0 {
                return Err(Error::ShardMismatch { shard: head.shard, size: head.size, pending });
            }
        }
        appends.reserve(&bytes)?;
        appends.closed.extend(closing.map(|growth| growth.shard.clone()));
        appends.root.push(&bytes)
    }

    /// Returns how many blocks of a shard are under the root checkpoint. After opening, the journal's blocks from this
    /// index on are to be appended again.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if the shard's last tiles are damaged; [`Error::Io`].
    pub fn shard_size(&self, shard: &ShardId) -> Result<u64> {
        self.shard_head(shard).map(|head| head.size)
    }

    /// Returns a shard's published size and root, as a shard-sealed or retention-drop entry must state them.
    ///
    /// # Errors
    /// As [`Ledger::shard_size`].
    pub fn shard_head(&self, shard: &ShardId) -> Result<ShardGrowth> {
        // Before the lock is taken: the search may be long, and what is published stays. A word that is published
        // meanwhile closes the shard by itself.
        let has_ended = self.is_unknown_log(shard)? && self.has_ended(shard)?;
        let mut publisher = self.lock_publisher()?;
        if !publisher.shards.contains_key(shard) {
            self.evict(&mut publisher)?;
        }
        let (size, root) = {
            let edge = self.load_shard(&mut publisher, shard)?;
            (edge.size(), edge.root())
        };
        let mut appends = self.lock_appends()?;
        if has_ended {
            appends.closed.insert(shard.clone());
        }
        appends.shards.entry(shard.clone()).or_insert_with(|| Queue::starting_at(size));
        Ok(ShardGrowth { shard: shard.clone(), size, root })
    }

    /// Whether a shard has a log that was not looked at since the ledger was opened or let go of it.
    fn is_unknown_log(&self, shard: &ShardId) -> Result<bool> {
        if self.lock_publisher()?.shards.contains_key(shard) {
            return Ok(false);
        }
        let checkpoint = self.shard_files(shard).read_checkpoint(&self.keys)?;
        Ok(checkpoint.is_some_and(|checkpoint| checkpoint.size() > 0))
    }

    /// Reports whether the last published word on a shard is its seal or drop. For a shard in use that word is a recent
    /// tick, so the search is short.
    fn has_ended(&self, shard: &ShardId) -> Result<bool> {
        let ended = |entry: &RootEntry| match &entry.event {
            RootEvent::Tick { .. } => entry.tick_of(shard).map(|_| false),
            RootEvent::ShardSealed { growth } | RootEvent::RetentionDrop { growth, .. } => {
                (growth.shard == *shard).then_some(true)
            }
            _ => None,
        };
        let found = self.find_last_root_entry(self.root_checkpoint().size(), &shard.to_string(), ended)?;
        Ok(found.is_some_and(|(_, _, ended)| ended))
    }

    /// Returns the index that the next entry of a log gets, counting those that wait.
    ///
    /// # Errors
    /// As [`Ledger::shard_size`].
    pub fn next_index(&self, log: &LogName) -> Result<u64> {
        let LogName::Shard(shard) = log else { return Ok(self.lock_appends()?.root.next) };
        loop {
            if let Some(queue) = self.lock_appends()?.shards.get(shard) {
                return Ok(queue.next);
            }
            self.shard_head(shard)?;
        }
    }
}
