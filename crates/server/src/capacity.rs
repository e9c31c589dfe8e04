//! How much room the tables take, and will take once they hold as many days as they are kept.

use std::collections::BTreeMap;

use moneta_base::IngestDay;
use moneta_event::ShardId;
use moneta_ingest::Policy;
use moneta_ports::operations::TableStatus;
use moneta_store::SegmentMeta;

/// Whole days whose mean is taken.
const DAYS_MEASURED: usize = 7;
/// Days beyond which a forecast is "for ever".
const FORECAST_DAYS_MAX: u64 = 3_650;

/// A table's room by ingest day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Room {
    by_day: BTreeMap<IngestDay, u64>,
    retention_days: u64,
    held_days: u64,
    today: IngestDay,
}

impl Room {
    pub(crate) fn of<'a>(segments: impl Iterator<Item = &'a SegmentMeta>, policy: &Policy, today: IngestDay) -> Self {
        let mut room = Self { by_day: BTreeMap::new(), retention_days: 0, held_days: 0, today };
        let mut shards: BTreeMap<&ShardId, ()> = BTreeMap::new();
        for segment in segments {
            *room.by_day.entry(segment.shard.day).or_default() += segment.size_bytes;
            room.retention_days = u64::from(policy.days_of(&segment.shard.table));
            shards.insert(&segment.shard, ());
        }
        room.held_days = shards.keys().filter(|shard| policy.holds_shard(shard)).count() as u64;
        room
    }

    /// Writes what it knows into a table's status.
    pub(crate) fn describe(&self, status: &mut TableStatus) {
        status.oldest_day = self.by_day.keys().next().map(ToString::to_string);
        status.held_days = self.held_days;
        status.bytes_per_day = self.bytes_per_day();
        status.forecast_bytes = self.bytes_per_day().saturating_mul(self.retention_days + 1);
    }

    /// The mean of the last whole days with rows; of today while there are no others.
    fn bytes_per_day(&self) -> u64 {
        let whole: Vec<u64> =
            self.by_day.range(..self.today).rev().take(DAYS_MEASURED).map(|(_, bytes)| *bytes).collect();
        match whole.len() as u64 {
            0 => self.by_day.values().copied().next_back().unwrap_or(0),
            count => whole.iter().sum::<u64>() / count,
        }
    }

    /// Bytes that are dropped `ahead` days from now.
    fn dropped_in(&self, ahead: u64) -> u64 {
        let expired = i64::from(self.today.0) + i64::try_from(ahead).unwrap_or(i64::MAX)
            - i64::try_from(self.retention_days).unwrap_or(i64::MAX)
            - 1;
        match i32::try_from(expired).map(IngestDay) {
            Ok(day) if day >= self.today => self.bytes_per_day(),
            Ok(day) => self.by_day.get(&day).copied().unwrap_or(0),
            Err(_) => 0,
        }
    }
}

/// Whole days until `available_bytes` are used up; `None` when they last.
pub(crate) fn days_until_full(rooms: &[Room], available_bytes: u64) -> Option<u64> {
    let grows: u64 = rooms.iter().map(Room::bytes_per_day).sum();
    let mut available = available_bytes;
    for ahead in 1..=FORECAST_DAYS_MAX {
        // A day is full before what is due at its end is dropped.
        let Some(left) = available.checked_sub(grows) else { return Some(ahead - 1) };
        let dropped: u64 = rooms.iter().map(|room| room.dropped_in(ahead)).sum();
        available = left.saturating_add(dropped);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(days: &[(i32, u64)], retention_days: u64) -> Room {
        let by_day = days.iter().map(|(day, bytes)| (IngestDay(*day), *bytes)).collect();
        Room { by_day, retention_days, held_days: 0, today: IngestDay(100) }
    }

    #[test]
    fn whole_days_make_the_mean_and_the_forecast() {
        let mut status = TableStatus::default();
        room(&[(98, 10), (99, 30), (100, 1)], 9).describe(&mut status);
        assert_eq!((status.bytes_per_day, status.forecast_bytes), (20, 200));
        assert_eq!(room(&[(100, 7)], 9).bytes_per_day(), 7);
        assert_eq!(room(&[], 9).bytes_per_day(), 0);
    }

    #[test]
    fn a_disk_lasts_for_ever_once_as_much_goes_as_comes() {
        let steady = room(&[(97, 10), (98, 10), (99, 10)], 3);
        assert_eq!(days_until_full(std::slice::from_ref(&steady), 9), Some(0));
        assert_eq!(
            days_until_full(std::slice::from_ref(&steady), 10),
            None,
            "one day more than is kept is there at a time"
        );
        let kept_long = room(&[(99, 10)], 1_000);
        assert_eq!(days_until_full(std::slice::from_ref(&kept_long), 55), Some(5));
        assert_eq!(days_until_full(&[steady, kept_long], 45), Some(3));
        assert_eq!(days_until_full(&[], 0), None);
    }
}
