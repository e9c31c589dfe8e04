//! How far each table has been matched, in memory and for good, and how far snapshots of correlations have it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use moneta_base::{Seq, TableName, TenantId};
use moneta_ports::{IdempotencyKey, KeyLife};

/// Beginning of the producer names under which cursors stand in the journal.
const PRODUCER_PREFIX: &str = "monitor/";

/// The producer name of a table's cursor.
#[must_use]
pub fn producer_of(table: &TableName) -> String {
    format!("{PRODUCER_PREFIX}{table}")
}

/// The sequence from which a table is to be matched again, out of its mark in the journal.
#[must_use]
pub fn resume_point(mark: Option<(u128, u64)>) -> Seq {
    mark.map_or(0, |(_, sequence)| sequence)
}

/// Progress of one table: `_Seq` after the last row dealt with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Progress {
    matched: Seq,
    stored: Seq,
    /// Alerts could not be stored: the cursor stays where it is until the next start.
    stalled: bool,
    /// Rows from here on are in no snapshot of the state of correlations; `None` before the first row of this run.
    kept: Option<Seq>,
}

/// The cursors of all tables that were ever seen.
#[derive(Debug)]
pub(crate) struct Cursors {
    epoch: u128,
    tables: Mutex<BTreeMap<TableName, Progress>>,
}

impl Cursors {
    /// Cursors as they stand in the journal, and positions as they stand in the snapshot.
    pub(crate) fn new(
        tenant: TenantId,
        resume: BTreeMap<TableName, Seq>,
        positions: &BTreeMap<TableName, Seq>,
    ) -> Self {
        let progress = |seq| Progress { matched: seq, stored: seq, ..Progress::default() };
        let mut tables: BTreeMap<TableName, Progress> =
            resume.into_iter().map(|(table, seq)| (table, progress(seq))).collect();
        for (table, position) in positions {
            tables.entry(table.clone()).or_insert(progress(*position)).kept = Some(*position);
        }
        Self { epoch: u128::from_be_bytes(*tenant.as_bytes()), tables: Mutex::new(tables) }
    }

    /// Whether rows up to `end` are still to be matched or to be seen by correlations; enters a table seen for the first
    /// time.
    pub(crate) fn is_new(&self, table: &TableName, first: Seq, end: Seq) -> bool {
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let unseen = Progress { matched: first, stored: first, ..Progress::default() };
        let progress = tables.entry(table.clone()).or_insert(unseen);
        let kept = *progress.kept.get_or_insert(first);
        end > progress.stored.min(kept)
    }

    /// Whether rows up to `end` were matched before, and what they raised is stored.
    pub(crate) fn is_matched(&self, table: &TableName, end: Seq) -> bool {
        let tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        tables.get(table).is_some_and(|progress| end <= progress.stored)
    }

    /// The sequence from which a table is needed after a restart; `Seq::MAX` for one never seen.
    pub(crate) fn needed(&self, table: &TableName) -> Seq {
        let tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        tables
            .get(table)
            .map_or(Seq::MAX, |progress| progress.kept.map_or(progress.stored, |kept| kept.min(progress.stored)))
    }

    /// Notes that a snapshot has all rows before these.
    pub(crate) fn set_kept(&self, positions: &BTreeMap<TableName, Seq>) {
        for (table, position) in positions {
            self.update(table, |progress| progress.kept = Some(*position));
        }
    }

    /// Notes rows as matched, not yet for good.
    pub(crate) fn set_matched(&self, table: &TableName, end: Seq) {
        self.update(table, |progress| progress.matched = progress.matched.max(end));
    }

    /// Notes rows as matched for good.
    pub(crate) fn set_stored(&self, table: &TableName, end: Seq) {
        self.update(table, |progress| {
            progress.matched = progress.matched.max(end);
            progress.stored = progress.stored.max(end);
        });
    }

    /// Leaves the cursor of a table where it is: what was not stored is matched again by the next start.
    pub(crate) fn stall(&self, table: &TableName) {
        self.update(table, |progress| {
            progress.stalled = true;
            progress.matched = progress.stored;
        });
    }

    /// Whether the cursor of a table waits for the next start.
    pub(crate) fn is_stalled(&self, table: &TableName) -> bool {
        let tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        tables.get(table).is_some_and(|progress| progress.stalled)
    }

    fn update(&self, table: &TableName, change: impl FnOnce(&mut Progress)) {
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        change(tables.entry(table.clone()).or_default());
    }

    /// The tables whose progress is not yet stored.
    pub(crate) fn unstored(&self) -> Vec<(TableName, Seq)> {
        let tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        tables.iter().filter(|(_, p)| p.matched > p.stored).map(|(table, p)| (table.clone(), p.matched)).collect()
    }

    /// The key of the commit that moves a table's cursor to `end`.
    pub(crate) fn key(&self, table: &TableName, end: Seq) -> IdempotencyKey {
        IdempotencyKey { producer: producer_of(table), epoch: self.epoch, sequence: end, life: KeyLife::Producer }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> TableName {
        TableName::new("Syslog").unwrap()
    }

    #[test]
    fn blocks_before_the_stored_cursor_are_not_matched_again() {
        let positions = BTreeMap::from([(table(), 10)]);
        let cursors = Cursors::new(TenantId::from_random([1; 16]), positions.clone(), &positions);
        assert!(!cursors.is_new(&table(), 5, 10));
        assert!(cursors.is_new(&table(), 10, 12));
        assert_eq!(cursors.needed(&table()), 10);
    }

    #[test]
    fn blocks_that_no_snapshot_has_are_needed_again() {
        let (cursor, snapshot) = (BTreeMap::from([(table(), 10)]), BTreeMap::from([(table(), 6)]));
        let cursors = Cursors::new(TenantId::from_random([1; 16]), cursor.clone(), &snapshot);
        assert!(!cursors.is_new(&table(), 4, 6) && cursors.is_new(&table(), 6, 8));
        assert!(cursors.is_matched(&table(), 8) && !cursors.is_matched(&table(), 12));
        assert_eq!(cursors.needed(&table()), 6);
        cursors.set_kept(&BTreeMap::from([(table(), 9)]));
        assert_eq!(cursors.needed(&table()), 9);
        // Without a snapshot, everything that the journal has is needed until there is one.
        let cursors = Cursors::new(TenantId::from_random([1; 16]), cursor, &BTreeMap::new());
        assert!(cursors.is_new(&table(), 3, 5));
        assert_eq!(cursors.needed(&table()), 3);
    }

    #[test]
    fn the_journal_is_needed_from_the_stored_cursor_not_the_matched_one() {
        let cursors = Cursors::new(TenantId::from_random([1; 16]), BTreeMap::new(), &BTreeMap::new());
        assert_eq!(cursors.needed(&table()), Seq::MAX);
        assert!(cursors.is_new(&table(), 0, 4));
        cursors.set_matched(&table(), 4);
        cursors.set_kept(&BTreeMap::from([(table(), 4)]));
        assert_eq!((cursors.needed(&table()), cursors.unstored()), (0, vec![(table(), 4)]));
        cursors.set_stored(&table(), 4);
        assert_eq!((cursors.needed(&table()), cursors.unstored()), (4, vec![]));
    }
}
