//! Dropping a shard, after the root log says so.

use std::io;

use moneta_event::{RootEntry, RootEvent, ShardGrowth, ShardId};

use crate::error::{Error, Result};
use crate::ledger::Ledger;

impl Ledger {
    /// Deletes a shard's directory, if a retention-drop entry of it is under the root checkpoint (STORE-3). Returns
    /// whether there was one to delete; calling again is harmless, also after a crash in the middle.
    ///
    /// # Errors
    /// [`Error::NotDropped`] without that entry; [`Error::ShardMismatch`] if blocks still wait; [`Error::Io`].
    pub fn remove_shard(&self, shard: &ShardId) -> Result<bool> {
        // Searched before anything is locked: a published entry stays.
        let root_size = self.root_checkpoint().size();
        let dropped = self.find_last_root_entry(root_size, &shard.to_string(), |entry| dropped(entry, shard))?;
        let Some((_, _, head)) = dropped else { return Err(Error::NotDropped(shard.clone())) };
        let _changes = self.lock_changes()?;
        let mut publisher = self.lock_publisher()?;
        let mut appends = self.lock_appends()?;
        if let Some(queue) = appends.shards.get(shard).filter(|queue| queue.count > 0) {
            return Err(Error::ShardMismatch { shard: shard.clone(), size: head.size, pending: queue.count });
        }
        appends.shards.remove(shard);
        appends.closed.insert(shard.clone());
        let files = self.shard_files(shard);
        publisher.forget(shard, &files);
        let failed = |source| Error::Io { path: files.dir().to_owned(), source };
        match self.fs.remove_dir_all(files.dir()) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(source) => return Err(failed(source)),
        }
        let parent = files.dir().parent().expect("a shard is below its table");
        self.fs.sync_dir(parent).map_err(failed)?;
        Ok(true)
    }
}

fn dropped(entry: &RootEntry, shard: &ShardId) -> Option<ShardGrowth> {
    match &entry.event {
        RootEvent::RetentionDrop { growth, .. } if growth.shard == *shard => Some(growth.clone()),
        _ => None,
    }
}
