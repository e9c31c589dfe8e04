//! How much may wait to be sealed: rows in memory, and journal files on disk. Past either bound senders are told to come
//! back until there is room; a start needs as much memory as the process before it had.
//!
//! ```text
//! from 50 % of the rows in memory   the largest tables are sealed first, however small and young
//! from 100 % of either              records from outside are refused
//! from 125 % of either, and 128 MiB more at least
//!                                   so is what Moneta itself tells
//! ```
//! This decides and tells nobody: the keeper notes what stays full.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use moneta_base::{ErrorKind, TableName};
use moneta_ports::PortError;
use moneta_store::HotStats;

use crate::keeper::Policy;
use crate::room::Stream;
use crate::service::QUEUE_BYTES_MAX;

/// What Moneta itself may tell beyond a bound at least: twice what records from outside may pass it by, for as much may be
/// queued when it is reached.
const OWN_BYTES_MIN: u64 = 2 * QUEUE_BYTES_MAX as u64;

/// What waits to be sealed, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Waiting {
    /// Rows in memory.
    pub(crate) hot_bytes: usize,
    /// Journal files.
    pub(crate) journal_bytes: u64,
}

/// Which bound is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    Hot,
    Journal,
}

impl Full {
    /// The bound that keeps a stream out, if one does.
    pub(crate) fn of(waiting: Waiting, policy: &Policy, stream: Stream) -> Option<Self> {
        let reserve = |bound: u64| if stream == Stream::Own { OWN_BYTES_MIN.max(bound / 4) } else { 0 };
        let own = |bound: u64| bound.saturating_add(reserve(bound));
        let hot_bytes_max = u64::try_from(policy.hot_bytes_max).unwrap_or(u64::MAX);
        if waiting.hot_bytes as u64 >= own(hot_bytes_max) {
            return Some(Self::Hot);
        }
        (waiting.journal_bytes >= own(policy.journal_bytes_max)).then_some(Self::Journal)
    }

    /// The reason under which refusals are counted.
    pub(crate) const fn reason(self) -> &'static str {
        match self {
            Self::Hot => "hot_full",
            Self::Journal => "journal_full",
        }
    }

    /// What a sender is told.
    pub(crate) fn refusal(self) -> PortError {
        let what = match self {
            Self::Hot => "as many rows wait in memory to be sealed as may: send again in a second",
            Self::Journal => "the journal is as large as it may be: send again in a second",
        };
        PortError::new(ErrorKind::RETRY, what)
    }

    /// What people are told when it stays so.
    pub(crate) fn complaint(self, waiting: Waiting) -> PortError {
        let Waiting { hot_bytes, journal_bytes } = waiting;
        let what = match self {
            Self::Hot => format!(
                "senders are told to come back, for {hot_bytes} bytes of rows wait in memory, as many as `store.hot_bytes_max` \
                 allows: segments cannot be written, or not as fast as records come"
            ),
            Self::Journal => format!(
                "senders are told to come back, for the journal has {journal_bytes} bytes, as many as \
                 `store.journal_bytes_max` allows: rows of some table cannot be sealed, or detection does not get on with them"
            ),
        };
        PortError::new(ErrorKind::OPERATOR, what)
    }
}

/// The tables to seal so that no more than `bytes_max` stay in memory: the largest first.
pub(crate) fn tables_to_seal(hot: &BTreeMap<TableName, HotStats>, bytes_max: usize) -> BTreeSet<&TableName> {
    let mut left: usize = hot.values().map(|hot| hot.bytes).sum();
    let mut by_size: Vec<(usize, &TableName)> = hot.iter().map(|(table, hot)| (hot.bytes, table)).collect();
    by_size.sort_unstable_by_key(|size| Reverse(*size));
    let mut tables = BTreeSet::new();
    for (bytes, table) in by_size {
        if left <= bytes_max {
            break;
        }
        left -= bytes;
        tables.insert(table);
    }
    tables
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use moneta_base::Timestamp;

    use super::*;

    #[test]
    fn who_is_let_in_follows_from_what_waits() {
        let policy = Policy {
            seal_age: Duration::ZERO,
            seal_bytes: 0,
            hot_bytes_max: 100,
            journal_bytes_max: 1_000,
            retention_days_default: 1,
            retention_days: BTreeMap::new(),
            retention_floor_days: 1,
            holds: Vec::new(),
        };
        let full = |hot_bytes, journal_bytes, stream| Full::of(Waiting { hot_bytes, journal_bytes }, &policy, stream);
        for stream in [Stream::Data, Stream::Other] {
            assert_eq!(full(99, 999, stream), None);
            assert_eq!(full(100, 0, stream), Some(Full::Hot));
            assert_eq!(full(0, 1_000, stream), Some(Full::Journal));
        }
        let small = OWN_BYTES_MIN + 100;
        assert_eq!(full(usize::try_from(small).unwrap() - 1, small, Stream::Own), None);
        assert_eq!(full(usize::try_from(small).unwrap(), 0, Stream::Own), Some(Full::Hot));
        let policy = Policy { journal_bytes_max: 8 << 30, ..policy };
        let full = |journal_bytes| Full::of(Waiting { hot_bytes: 0, journal_bytes }, &policy, Stream::Own);
        assert_eq!((full((10 << 30) - 1), full(10 << 30)), (None, Some(Full::Journal)));
    }

    #[test]
    fn the_largest_tables_make_room() {
        let stats = |bytes| HotStats { num_blocks: 1, bytes, oldest: Timestamp::default(), end_seq: 1 };
        let tables = [("A", 30), ("B", 10), ("C", 25), ("D", 5)];
        let hot = tables.map(|(table, bytes)| (TableName::new(table).unwrap(), stats(bytes)));
        let hot = BTreeMap::from(hot);
        let chosen = |bytes_max| tables_to_seal(&hot, bytes_max).into_iter().map(TableName::as_str).collect::<String>();
        assert_eq!(["", "A", "AC", "ABCD"], [70, 40, 39, 0].map(chosen).each_ref().map(String::as_str));
    }
}
