//! Dropping whole ingest days. The caller publishes the drop entry first (STORE-3).

use std::collections::BTreeSet;

use moneta_base::{IngestDay, TableName, Timestamp};
use moneta_event::ShardId;

use crate::table::Table;
use crate::{Error, Store};

/// Whether a day is past a retention of so many days: as many whole days have passed since it ended.
#[must_use]
pub fn is_past(day: IngestDay, days: u32, today: IngestDay) -> bool {
    i64::from(today.0) - i64::from(day.0) > i64::from(days)
}

impl Store {
    /// The sealed days that are older than their table is kept, by [`is_past`].
    #[must_use]
    pub fn due_drops(&self, retention_days: &dyn Fn(&TableName) -> u32, today: IngestDay) -> Vec<ShardId> {
        let mut due = BTreeSet::new();
        for (name, table) in self.read().iter() {
            let days = retention_days(name);
            let shards = table.segments.iter().map(|segment| &segment.shard);
            let shards = shards.filter(|shard| is_past(shard.day, days, today));
            due.extend(shards.cloned());
        }
        due.into_iter().collect()
    }

    /// The days of which there are rows, sealed or not.
    #[must_use]
    pub fn shards(&self) -> BTreeSet<ShardId> {
        let tables = self.read();
        let of_table = |table: &Table| {
            let sealed = table.segments.iter().map(|segment| segment.shard.clone());
            sealed.chain(table.hot.iter().map(|block| block.header.shard.clone())).collect::<BTreeSet<_>>()
        };
        tables.values().flat_map(of_table).collect()
    }

    /// Drops every segment of a shard: from the catalog, from what queries see, then from disk; objects go with the next
    /// [`Store::collect_loose`]. A shard that is gone already is no error.
    ///
    /// # Errors
    /// [`Error::NotSealed`] while rows of the day are hot; [`Error::Io`]: what remains is removed at the next start.
    pub fn drop_shard(&self, shard: &ShardId, now: Timestamp) -> Result<(), Error> {
        let mut logs = self.lock_logs();
        let log = self.certain_log(&mut logs, &shard.table)?;
        let dropped: Vec<_> = {
            let tables = self.read();
            let Some(table) = tables.get(&shard.table) else { return Ok(()) };
            if table.has_hot_on(shard.day) {
                return Err(Error::NotSealed(shard.clone()));
            }
            table.segments.iter().filter(|segment| segment.shard == *shard).cloned().collect()
        };
        if dropped.is_empty() {
            return Ok(());
        }
        self.loosen_dropped(&dropped)?;
        log.commit_removal(&**self.file_system(), &dropped, now)?;
        if let Some(table) = self.write().get_mut(&shard.table) {
            table.segments.retain(|segment| segment.shard != *shard);
        }
        let fs = self.file_system();
        for segment in dropped.into_iter().filter(|segment| segment.moved.is_none()) {
            let path = self.file_of(&segment.path);
            self.remove_if_there(&path)?;
        }
        let day_dir = self.file_of(&shard.to_string());
        self.remove_retired_below(&day_dir)?;
        if fs.list(&day_dir).map_err(Error::io("list", &day_dir))?.is_empty() {
            fs.remove_dir_all(&day_dir).map_err(Error::io("remove", &day_dir))?;
        }
        Ok(())
    }
}
