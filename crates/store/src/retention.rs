//! Dropping whole ingest days. The caller publishes the drop entry first (STORE-3).

use std::collections::BTreeSet;

use moneta_base::{IngestDay, TableName, Timestamp};
use moneta_event::ShardId;

use crate::{Error, Store};

impl Store {
    /// The sealed days that are older than their table is kept: a day with a retention of `n` days is due when `n`
    /// whole days have passed since it ended.
    #[must_use]
    pub fn due_drops(&self, retention_days: &dyn Fn(&TableName) -> u32, today: IngestDay) -> Vec<ShardId> {
        let mut due = BTreeSet::new();
        for (name, table) in self.read().iter() {
            let days = i64::from(retention_days(name));
            let is_due = |day: IngestDay| i64::from(today.0) - i64::from(day.0) > days;
            due.extend(
                table.segments.iter().filter(|segment| is_due(segment.shard.day)).map(|segment| segment.shard.clone()),
            );
        }
        due.into_iter().collect()
    }

    /// Drops every segment of a shard: from the catalog, from what queries see, then from disk.
    ///
    /// # Errors
    /// [`Error::NotSealed`] while rows of the day are hot; [`Error::Io`]: what remains is removed at the next start.
    pub fn drop_shard(&self, shard: &ShardId, now: Timestamp) -> Result<(), Error> {
        let mut tables = self.write();
        let Some(table) = tables.get_mut(&shard.table) else { return Ok(()) };
        if table.has_hot_on(shard.day) {
            return Err(Error::NotSealed(shard.clone()));
        }
        let (dropped, kept): (Vec<_>, Vec<_>) =
            table.segments.iter().cloned().partition(|segment| segment.shard == *shard);
        table.delta.commit_removal(&*self.fs, &dropped, now)?;
        table.segments = kept;
        drop(tables);
        let day_dir = self.dir.join(shard.to_string());
        self.fs.remove_dir_all(&day_dir).map_err(|source| Error::io("remove", &day_dir, source))
    }
}
