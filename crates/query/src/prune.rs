//! Which event times a query can want at all, read off its filters.
//!
//! Only plain comparisons of `TimeGenerated` with a constant count, joined by `and`; everything else is taken as "any
//! time", so that pruning can only be too generous.

use std::fmt;

use datafusion::logical_expr::{BinaryExpr, Expr, Operator};
use datafusion::scalar::ScalarValue;
use moneta_base::Timestamp;
use moneta_event::schema::standard;

/// A range of event times, both ends included.
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

    /// The times that can pass all of `filters`.
    #[must_use]
    pub fn of_filters(filters: &[Expr]) -> Self {
        filters.iter().fold(Self::ALL, |range, filter| range.intersect(Self::of_filter(filter)))
    }

    /// Whether any time in `[from, to]` lies in this range.
    #[must_use]
    pub fn overlaps(self, from: Timestamp, to: Timestamp) -> bool {
        self.from <= to && from <= self.to
    }

    fn intersect(self, other: Self) -> Self {
        Self { from: self.from.max(other.from), to: self.to.min(other.to) }
    }

    fn of_filter(filter: &Expr) -> Self {
        match filter {
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
                Self::of_filter(left).intersect(Self::of_filter(right))
            }
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => Self::of_comparison(left, *op, right),
            Expr::Between(between) if !between.negated && is_time_column(&between.expr) => {
                let bound = |expr| constant_time(expr);
                Self {
                    from: bound(&between.low).unwrap_or(Timestamp::MIN),
                    to: bound(&between.high).unwrap_or(Timestamp::MAX),
                }
            }
            _ => Self::ALL,
        }
    }

    fn of_comparison(left: &Expr, op: Operator, right: &Expr) -> Self {
        let (op, time) = if is_time_column(left) {
            (op, constant_time(right))
        } else if is_time_column(right) {
            (op.swap().unwrap_or(op), constant_time(left))
        } else {
            return Self::ALL;
        };
        let Some(time) = time else { return Self::ALL };
        match op {
            Operator::Gt | Operator::GtEq => Self { from: time, ..Self::ALL },
            Operator::Lt | Operator::LtEq => Self { to: time, ..Self::ALL },
            Operator::Eq => Self { from: time, to: time },
            _ => Self::ALL,
        }
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

fn is_time_column(expr: &Expr) -> bool {
    matches!(expr, Expr::Column(column) if column.name == standard::TIME_GENERATED)
}

fn constant_time(expr: &Expr) -> Option<Timestamp> {
    match expr {
        Expr::Literal(ScalarValue::TimestampNanosecond(Some(nanos), _), _) => Some(Timestamp::from_nanos(*nanos)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use datafusion::prelude::{col, lit};

    use super::*;

    fn at(nanos: i64) -> Expr {
        lit(ScalarValue::TimestampNanosecond(Some(nanos), Some("UTC".into())))
    }

    fn time() -> Expr {
        Expr::Column(datafusion::common::Column::from_name(standard::TIME_GENERATED))
    }

    fn check(filter: Expr, from: i64, to: i64) {
        let range = TimeRange::of_filters(&[filter]);
        assert_eq!((range.from, range.to), (Timestamp::from_nanos(from), Timestamp::from_nanos(to)));
    }

    #[test]
    fn comparisons_narrow_the_range() {
        let (min, max) = (Timestamp::MIN.as_nanos(), Timestamp::MAX.as_nanos());
        check(time().gt(at(5)), 5, max);
        check(at(5).gt(time()), min, 5);
        check(time().gt_eq(at(5)).and(time().lt(at(9))), 5, 9);
        check(time().between(at(2), at(3)), 2, 3);
        check(time().eq(at(4)), 4, 4);
    }

    #[test]
    fn anything_else_prunes_nothing() {
        for filter in [time().gt(at(5)).or(col("x").eq(lit(1))), time().not_between(at(1), at(2)), col("x").gt(at(5))] {
            assert_eq!(TimeRange::of_filters(&[filter]), TimeRange::ALL);
        }
    }
}
