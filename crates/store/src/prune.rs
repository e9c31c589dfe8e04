//! Which row groups a filter can skip, judged by their statistics.
//!
//! Pruning is only ever too generous: a row group without statistics, or with ones of an unexpected kind, is read.

use std::fmt;

use moneta_base::Timestamp;
use moneta_event::schema::standard;
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::statistics::Statistics;

/// Nanoseconds in one microsecond.
const NANOS_PER_MICRO: i64 = 1_000;

/// Event times, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeRange {
    /// The earliest.
    pub from: Timestamp,
    /// The latest.
    pub to: Timestamp,
}

impl TimeRange {
    /// Every time.
    pub const ALL: Self = Self { from: Timestamp::MIN, to: Timestamp::MAX };

    /// Whether any time in `[from, to]` lies in this range.
    #[must_use]
    pub fn overlaps(self, from: Timestamp, to: Timestamp) -> bool {
        self.from <= to && from <= self.to
    }

    /// The times in both ranges.
    #[must_use]
    pub fn intersect(self, other: Self) -> Self {
        Self { from: self.from.max(other.from), to: self.to.min(other.to) }
    }

    /// Whether all rows of a row group have a time within the range, neither end included; `false` when its statistics do
    /// not say so.
    pub(crate) fn encloses(self, group: &RowGroupMetaData) -> bool {
        let column = group.columns().iter().find(|column| column.column_path().parts() == [standard::TIME_GENERATED]);
        let Some(Statistics::Int64(times)) = column.and_then(|column| column.statistics()) else { return false };
        let (Some(0), Some(min), Some(max)) = (times.null_count_opt(), times.min_opt(), times.max_opt()) else {
            return false;
        };
        // A whole microsecond away from the ends: the digits below it stand in another column.
        let micros = |time: Timestamp| time.as_nanos().div_euclid(NANOS_PER_MICRO);
        micros(self.from) < *min && *max < micros(self.to)
    }

    /// This range as conditions on `TimeGenerated`.
    #[must_use]
    pub fn prunes(self) -> [Prune; 2] {
        let on_time = |bound| Prune { column: standard::TIME_GENERATED.to_owned(), bound };
        [on_time(Bound::TimeFrom(self.from)), on_time(Bound::TimeTo(self.to))]
    }
}

impl fmt::Display for TimeRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.from > Timestamp::MIN, self.to < Timestamp::MAX) {
            (false, false) => f.write_str("all"),
            (true, false) => write!(f, "from {}", self.from),
            (false, true) => write!(f, "to {}", self.to),
            (true, true) => write!(f, "{} to {}", self.from, self.to),
        }
    }
}

/// A condition that every wanted row meets.
#[derive(Debug, Clone, PartialEq)]
pub struct Prune {
    /// The column.
    pub column: String,
    /// What its value must be.
    pub bound: Bound,
}

/// A bound on the values of a column; nulls never meet one.
#[derive(Debug, Clone, PartialEq)]
pub enum Bound {
    /// A `datetime` not before.
    TimeFrom(Timestamp),
    /// A `datetime` not after.
    TimeTo(Timestamp),
    /// An `int` or `long` at least.
    LongFrom(i64),
    /// An `int` or `long` at most.
    LongTo(i64),
    /// A `string` or `guid` equal to.
    Text(String),
}

impl Prune {
    /// Whether a row group can hold a row that meets the condition. A column that the file lacks holds no time and no
    /// number, but may hold the empty text.
    #[must_use]
    pub(crate) fn may_match(&self, group: &RowGroupMetaData) -> bool {
        let column = group.columns().iter().find(|column| column.column_path().parts() == [self.column.as_str()]);
        let Some(column) = column else {
            return matches!(&self.bound, Bound::Text(text) if text.is_empty());
        };
        let Some(statistics) = column.statistics() else { return true };
        if statistics.null_count_opt() == u64::try_from(group.num_rows()).ok() {
            return false;
        }
        self.bound.may_lie_in(statistics)
    }
}

impl Bound {
    fn may_lie_in(&self, statistics: &Statistics) -> bool {
        // A column of times holds whole microseconds: the digit below makes the largest up to one microsecond later.
        let micros = |time: &Timestamp| time.as_nanos().div_euclid(NANOS_PER_MICRO);
        let (min, max) = match statistics {
            Statistics::Int64(values) => (values.min_opt().copied(), values.max_opt().copied()),
            Statistics::Int32(values) => {
                (values.min_opt().map(|v| i64::from(*v)), values.max_opt().map(|v| i64::from(*v)))
            }
            Statistics::ByteArray(values) => {
                let Self::Text(text) = self else { return true };
                let text = text.as_bytes();
                return values.min_opt().is_none_or(|min| min.data() <= text)
                    && values.max_opt().is_none_or(|max| text <= max.data());
            }
            _ => return true,
        };
        match self {
            Self::TimeFrom(time) => max.is_none_or(|max| micros(time) <= max),
            Self::TimeTo(time) => min.is_none_or(|min| min <= micros(time)),
            Self::LongFrom(value) => max.is_none_or(|max| *value <= max),
            Self::LongTo(value) => min.is_none_or(|min| min <= *value),
            Self::Text(_) => true,
        }
    }
}
