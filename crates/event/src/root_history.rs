//! What the root log, read from its start, says of every shard, and where it contradicts itself.
//!
//! Pure bookkeeping for whoever reads the log, the server's own check and the offline verifier alike. Whether the shard
//! logs are as stated is for them to compare.

use std::collections::BTreeMap;

use moneta_base::TableName;

use crate::ShardId;
use crate::root_entry::{RootEvent, ShardGrowth};

/// Where a shard stands after the entries read so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShardState {
    /// It may grow.
    Open,
    /// It grows no more.
    Sealed,
    /// It was dropped by policy: its directory may be gone.
    Dropped,
}

/// What the root log says of one shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardStatus {
    /// Its place among the shards of its table in the order they were opened, from 0: the numbers of a table are dense,
    /// so one that is neither there nor dropped by an entry was taken away.
    pub number: u64,
    /// Its last stated size and root; none while it is opened but not yet in a tick.
    pub head: Option<ShardGrowth>,
    /// Whether it may grow.
    pub state: ShardState,
}

/// A contradiction between an entry and those before it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HistoryError {
    /// A tick states a smaller size than an earlier one, or another root for the same size.
    #[error("shard {0} shrinks or changes")]
    Shrinks(ShardId),
    /// A tick lists a shard that was sealed or dropped.
    #[error("shard {0} grows after it was sealed or dropped")]
    GrowsAfterEnd(ShardId),
    /// A tick lists a shard that no shard-opened entry announced, or an entry opens one twice.
    #[error("shard {0} is not opened exactly once")]
    Opened(ShardId),
    /// A seal or drop states another size or root than the last tick.
    #[error("shard {0} is sealed or dropped at another size or root than its last tick")]
    EndsElsewhere(ShardId),
}

/// The shards of a root log, entry by entry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RootHistory {
    shards: BTreeMap<ShardId, ShardStatus>,
    /// Shards opened so far, by table.
    opened: BTreeMap<TableName, u64>,
}

impl RootHistory {
    /// Takes the next entry's event. After an error the history goes on with what the entry says.
    ///
    /// # Errors
    /// [`HistoryError`] if the entry contradicts those before it.
    pub fn apply(&mut self, event: &RootEvent) -> Result<(), HistoryError> {
        match event {
            RootEvent::ShardOpened { shard } => {
                let is_new = !self.shards.contains_key(shard);
                self.enter(shard, None, ShardState::Open);
                if is_new { Ok(()) } else { Err(HistoryError::Opened(shard.clone())) }
            }
            RootEvent::Tick { shards } => shards.iter().map(|growth| self.grow(growth)).fold(Ok(()), Result::and),
            RootEvent::ShardSealed { growth } => self.end(growth, ShardState::Sealed),
            RootEvent::RetentionDrop { growth, .. } => self.end(growth, ShardState::Dropped),
            _ => Ok(()),
        }
    }

    /// Returns the shards by name.
    pub fn shards(&self) -> impl Iterator<Item = (&ShardId, &ShardStatus)> {
        self.shards.iter()
    }

    /// Returns what is known of a shard.
    #[must_use]
    pub fn get(&self, shard: &ShardId) -> Option<&ShardStatus> {
        self.shards.get(shard)
    }

    /// Enters what an entry says of a shard, which gets a number when it is new; returns what was known before.
    fn enter(&mut self, shard: &ShardId, head: Option<&ShardGrowth>, state: ShardState) -> Option<ShardStatus> {
        let number = self.shards.get(shard).map(|known| known.number).unwrap_or_else(|| {
            let opened = self.opened.entry(shard.table.clone()).or_default();
            *opened += 1;
            *opened - 1
        });
        self.shards.insert(shard.clone(), ShardStatus { number, head: head.cloned(), state })
    }

    fn grow(&mut self, growth: &ShardGrowth) -> Result<(), HistoryError> {
        let shard = &growth.shard;
        let Some(earlier) = self.enter(shard, Some(growth), ShardState::Open) else {
            return Err(HistoryError::Opened(shard.clone()));
        };
        if earlier.state != ShardState::Open {
            return Err(HistoryError::GrowsAfterEnd(shard.clone()));
        }
        match earlier.head {
            Some(head) if head.size > growth.size || (head.size == growth.size && head.root != growth.root) => {
                Err(HistoryError::Shrinks(shard.clone()))
            }
            _ => Ok(()),
        }
    }

    fn end(&mut self, growth: &ShardGrowth, state: ShardState) -> Result<(), HistoryError> {
        let earlier = self.enter(&growth.shard, Some(growth), state);
        match earlier.and_then(|earlier| earlier.head) {
            Some(head) if head == *growth => Ok(()),
            _ => Err(HistoryError::EndsElsewhere(growth.shard.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use moneta_merkle::sha256;

    fn growth(size: u64) -> ShardGrowth {
        let shard = ShardId::parse("Syslog/2026-01-02").unwrap();
        ShardGrowth { shard, size, root: sha256(&size.to_be_bytes()) }
    }

    fn opened() -> RootEvent {
        RootEvent::ShardOpened { shard: growth(0).shard }
    }

    fn tick(size: u64) -> RootEvent {
        RootEvent::Tick { shards: vec![growth(size)] }
    }

    fn sealed(size: u64) -> RootEvent {
        RootEvent::ShardSealed { growth: growth(size) }
    }

    fn dropped(size: u64) -> RootEvent {
        RootEvent::RetentionDrop { growth: growth(size), policy: String::new(), by: String::new() }
    }

    #[test]
    fn shards_of_a_table_are_numbered_in_the_order_they_were_opened() {
        let mut history = RootHistory::default();
        let shard = |name: &str| ShardId::parse(name).unwrap();
        for name in ["Syslog/2026-01-02", "Event/2026-01-02", "Syslog/2026-01-05", "Syslog/2026-01-06"] {
            history.apply(&RootEvent::ShardOpened { shard: shard(name) }).unwrap();
        }
        history.apply(&tick(1)).unwrap();
        let numbers = ["Syslog/2026-01-02", "Event/2026-01-02", "Syslog/2026-01-05", "Syslog/2026-01-06"]
            .map(|name| history.get(&shard(name)).unwrap().number);
        assert_eq!(numbers, [0, 0, 1, 2]);
    }

    fn check(events: &[RootEvent], expected: Result<(), HistoryError>) {
        let mut history = RootHistory::default();
        let (last, before) = events.split_last().unwrap();
        before.iter().for_each(|event| history.apply(event).unwrap());
        assert_eq!(history.apply(last), expected);
    }

    #[test]
    fn a_life_from_opening_to_drop_is_accepted() {
        check(&[opened(), tick(1), tick(1), tick(5), sealed(5), dropped(5)], Ok(()));
        check(&[opened(), tick(1), dropped(1)], Ok(()));
    }

    #[test]
    fn contradictions_are_named() {
        let shard = growth(0).shard;
        check(&[opened(), tick(5), tick(4)], Err(HistoryError::Shrinks(shard.clone())));
        check(&[tick(5)], Err(HistoryError::Opened(shard.clone())));
        check(&[opened(), opened()], Err(HistoryError::Opened(shard.clone())));
        check(&[opened(), tick(5), sealed(5), tick(6)], Err(HistoryError::GrowsAfterEnd(shard.clone())));
        check(&[opened(), tick(5), dropped(5), tick(6)], Err(HistoryError::GrowsAfterEnd(shard.clone())));
        check(&[opened(), tick(5), sealed(4)], Err(HistoryError::EndsElsewhere(shard.clone())));
        check(&[opened(), dropped(4)], Err(HistoryError::EndsElsewhere(shard)));
    }
}
