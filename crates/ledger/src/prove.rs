//! Proofs that leave the house: of an entry in its log, and of a block under the root checkpoint.

use moneta_event::{BlockProof, RootEntry, RootEvent, ShardId};
use moneta_merkle::proof::{prove_consistency, prove_inclusion};
use moneta_merkle::tile::{TILE_WIDTH, width_in};
use moneta_merkle::{Hash, SignedCheckpoint, TilePath, TileShelf, TlogProof};

use crate::error::{Error, Result};
use crate::files::LogFiles;
use crate::ledger::{Ledger, LogName, split_bundle};

/// A shard as a root checkpoint knows it: its blocks are proved from here without another search.
#[derive(Debug, Clone)]
pub struct ListedShard {
    shard: ShardId,
    size: u64,
    tick: Vec<u8>,
    root: TlogProof,
}

impl Ledger {
    /// Proves that an entry is in a shard log, under the shard's own checkpoint.
    ///
    /// # Errors
    /// [`Error::NotPublished`]; [`Error::Merkle`], [`Error::Corrupt`], [`Error::Io`] from the files.
    pub fn prove_entry(&self, shard: &ShardId, index: u64) -> Result<TlogProof> {
        let files = self.shard_files(shard);
        let Some(checkpoint) = self.shard_checkpoint(shard)? else {
            return Err(Error::NotPublished { log: files.origin().to_owned(), index, size: 0 });
        };
        prove(&files, index, &checkpoint)
    }

    /// Proves that an entry is in the root log, under its newest checkpoint.
    ///
    /// # Errors
    /// As [`Ledger::prove_entry`].
    pub fn prove_root_entry(&self, index: u64) -> Result<TlogProof> {
        self.prove_root_entry_under(index, &self.root_checkpoint())
    }

    /// Proves that an entry is in the root log, under a checkpoint of it.
    ///
    /// # Errors
    /// As [`Ledger::prove_entry`].
    pub fn prove_root_entry_under(&self, index: u64, checkpoint: &SignedCheckpoint) -> Result<TlogProof> {
        prove(&self.root_files(), index, checkpoint)
    }

    /// Proves that a block header is in its shard and the shard under a root checkpoint: the newest that a quorum of
    /// witnesses cosigned, if it covers the block, else the newest.
    ///
    /// # Errors
    /// As [`Ledger::prove_entry`].
    pub fn prove_block(&self, shard: &ShardId, index: u64) -> Result<BlockProof> {
        for checkpoint in self.cosigned().into_iter().chain([self.served_checkpoint()]) {
            let listed = self.listed_shard(shard, &checkpoint)?;
            if let Some(listed) = listed.filter(|listed| listed.size > index) {
                return self.prove_block_in(&listed, index);
            }
        }
        let log = self.shard_files(shard).origin().to_owned();
        Err(Error::NotPublished { log, index, size: self.shard_size(shard)? })
    }

    /// The shard as a root checkpoint knows it; none when no tick under the checkpoint lists it.
    ///
    /// # Errors
    /// As [`Ledger::prove_entry`].
    pub fn listed_shard(&self, shard: &ShardId, checkpoint: &SignedCheckpoint) -> Result<Option<ListedShard>> {
        let listed = |entry: &RootEntry| entry.tick_of(shard).map(|growth| growth.size);
        let found = self.find_last_root_entry(checkpoint.size(), &shard.to_string(), listed)?;
        let Some((index, tick, size)) = found else { return Ok(None) };
        let root = self.prove_root_entry_under(index, checkpoint)?;
        Ok(Some(ListedShard { shard: shard.clone(), size, tick, root }))
    }

    /// Proves that a block header is in its shard and the shard under the checkpoint that lists it.
    ///
    /// # Errors
    /// As [`Ledger::prove_entry`].
    pub fn prove_block_in(&self, listed: &ListedShard, index: u64) -> Result<BlockProof> {
        let ListedShard { shard, size, tick, root } = listed.clone();
        let files = self.shard_files(&shard);
        if index >= size {
            return Err(Error::NotPublished { log: files.origin().to_owned(), index, size });
        }
        let hashes = prove_inclusion(index, size, &files)?;
        Ok(BlockProof { shard, index, size, hashes, tick, root })
    }

    /// Proves that a log at size `old` is the beginning of the same log at size `new`, as witnesses ask.
    ///
    /// # Errors
    /// As [`Ledger::prove_entry`].
    pub fn prove_growth(&self, log: &LogName, old: u64, new: u64) -> Result<Vec<Hash>> {
        Ok(prove_consistency(old, new, &self.files(log))?)
    }

    /// Whether the newest entry that holds a stored file's path says that the file came into being.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Io`] from the files.
    pub fn names_object(&self, path: &str) -> Result<bool> {
        let names = |entry: &RootEntry| match &entry.event {
            RootEvent::SegmentSealed { object, .. } => Some(object.path == path),
            RootEvent::SegmentReencoded { new, .. } => Some(new.path == path),
            _ => None,
        };
        let found = self.find_last_root_entry(self.root_checkpoint().size(), path, names)?;
        Ok(found.is_some_and(|(_, _, is_named)| is_named))
    }

    /// Hands on the first `size` entries of the root log, in order.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Io`] from the files.
    pub fn scan_root(&self, size: u64, mut on_entry: impl FnMut(u64, &[u8])) -> Result<()> {
        let files = self.root_files();
        for number in 0..size.div_ceil(u64::from(TILE_WIDTH)) {
            let tile = TilePath::entries(number, width_in(size, TileShelf::Entries, number));
            let bundle = files.read_signed(tile)?;
            let first = number * u64::from(TILE_WIDTH);
            (first..).zip(split_bundle(&files, tile, &bundle)?).for_each(|(index, entry)| on_entry(index, entry));
        }
        Ok(())
    }

    /// Searches the root log backwards for the newest entry that holds the text `needle` and that `pick` takes.
    ///
    /// Bundles without the text are skipped unread by the parser, so a year of ticks is a scan over memory.
    pub(crate) fn find_last_root_entry<T>(
        &self,
        root_size: u64,
        needle: &str,
        pick: impl Fn(&RootEntry) -> Option<T>,
    ) -> Result<Option<(u64, Vec<u8>, T)>> {
        let files = self.root_files();
        let finder = memchr::memmem::Finder::new(needle);
        for number in (0..root_size.div_ceil(u64::from(TILE_WIDTH))).rev() {
            let tile = TilePath::entries(number, width_in(root_size, TileShelf::Entries, number));
            let bundle = files.read_signed(tile)?;
            if finder.find(&bundle).is_none() {
                continue;
            }
            let first = number * u64::from(TILE_WIDTH);
            let entries: Vec<(u64, &[u8])> = (first..).zip(split_bundle(&files, tile, &bundle)?).collect();
            for (index, bytes) in entries.into_iter().rev().filter(|(_, bytes)| finder.find(bytes).is_some()) {
                // An entry that a newer version wrote cannot be what is looked for.
                let Ok(entry) = RootEntry::decode(bytes) else { continue };
                if let Some(found) = pick(&entry) {
                    return Ok(Some((index, bytes.to_vec(), found)));
                }
            }
        }
        Ok(None)
    }
}

fn prove(files: &LogFiles, index: u64, checkpoint: &SignedCheckpoint) -> Result<TlogProof> {
    let size = checkpoint.size();
    if index >= size {
        return Err(Error::NotPublished { log: files.origin().to_owned(), index, size });
    }
    let hashes = prove_inclusion(index, size, files)?;
    Ok(TlogProof { extra: None, index, hashes, checkpoint: checkpoint.encode() })
}
