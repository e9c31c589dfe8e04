//! Which event times a query can want at all, read off its filters.
//!
//! Only plain comparisons of `TimeGenerated` with a constant count, joined by `and`; everything else is taken as "any
//! time", so that pruning can only be too generous.

use datafusion::logical_expr::{BinaryExpr, Expr, Operator};
use datafusion::scalar::ScalarValue;
use moneta_base::Timestamp;
use moneta_event::schema::standard;
use moneta_store::{Bound, Prune, TimeRange};

/// What row groups must be able to hold for `filters` to let a row of theirs pass: the times, and the constants that
/// columns are compared with.
pub(crate) fn prunes_of_filters(filters: &[Expr], times: TimeRange) -> Vec<Prune> {
    let mut prunes = if times == TimeRange::ALL { Vec::new() } else { times.prunes().to_vec() };
    filters.iter().for_each(|filter| add_prunes(filter, &mut prunes));
    prunes
}

fn add_prunes(filter: &Expr, prunes: &mut Vec<Prune>) {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = filter else { return };
    if *op == Operator::And {
        add_prunes(left, prunes);
        return add_prunes(right, prunes);
    }
    let (column, op, value) = match (&**left, &**right) {
        (Expr::Column(column), Expr::Literal(value, _)) => (column, *op, value),
        (Expr::Literal(value, _), Expr::Column(column)) => (column, op.swap().unwrap_or(Operator::NotEq), value),
        _ => return,
    };
    let mut add = |bound| prunes.push(Prune { column: column.name.clone(), bound });
    let long = match value {
        ScalarValue::Int64(Some(value)) => Some(*value),
        ScalarValue::Int32(Some(value)) => Some(i64::from(*value)),
        _ => None,
    };
    match (op, long, value) {
        (Operator::Eq, Some(value), _) => {
            add(Bound::LongFrom(value));
            add(Bound::LongTo(value));
        }
        (Operator::Gt | Operator::GtEq, Some(value), _) => add(Bound::LongFrom(value)),
        (Operator::Lt | Operator::LtEq, Some(value), _) => add(Bound::LongTo(value)),
        (Operator::Eq, None, ScalarValue::Utf8(Some(text))) => add(Bound::Text(text.clone())),
        _ => {}
    }
}

/// The times that can pass all of `filters`.
pub(crate) fn times_of_filters(filters: &[Expr]) -> TimeRange {
    filters.iter().fold(TimeRange::ALL, |range, filter| range.intersect(times_of_filter(filter)))
}

fn times_of_filter(filter: &Expr) -> TimeRange {
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
            times_of_filter(left).intersect(times_of_filter(right))
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => times_of_comparison(left, *op, right),
        Expr::Between(between) if !between.negated && is_time_column(&between.expr) => TimeRange {
            from: constant_time(&between.low).unwrap_or(Timestamp::MIN),
            to: constant_time(&between.high).unwrap_or(Timestamp::MAX),
        },
        _ => TimeRange::ALL,
    }
}

fn times_of_comparison(left: &Expr, op: Operator, right: &Expr) -> TimeRange {
    let (op, time) = if is_time_column(left) {
        (op, constant_time(right))
    } else if is_time_column(right) {
        (op.swap().unwrap_or(op), constant_time(left))
    } else {
        return TimeRange::ALL;
    };
    let Some(time) = time else { return TimeRange::ALL };
    match op {
        Operator::Gt | Operator::GtEq => TimeRange { from: time, ..TimeRange::ALL },
        Operator::Lt | Operator::LtEq => TimeRange { to: time, ..TimeRange::ALL },
        Operator::Eq => TimeRange { from: time, to: time },
        _ => TimeRange::ALL,
    }
}

/// Whether a filter says nothing but between which times rows lie: then every row well within them passes.
pub(crate) fn is_only_times(filter: &Expr) -> bool {
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => is_only_times(left) && is_only_times(right),
        Expr::BinaryExpr(BinaryExpr { op: Operator::Gt | Operator::GtEq | Operator::Lt | Operator::LtEq, .. }) => {
            times_of_filter(filter) != TimeRange::ALL
        }
        Expr::Between(between) => {
            let is_bounded = constant_time(&between.low).is_some() && constant_time(&between.high).is_some();
            !between.negated && is_time_column(&between.expr) && is_bounded
        }
        _ => false,
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
        let range = times_of_filters(&[filter]);
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
    fn filters_that_are_nothing_but_times_are_told_from_others() {
        for filter in [time().gt(at(5)), at(5).gt_eq(time()).and(time().gt(at(1))), time().between(at(2), at(3))] {
            assert!(is_only_times(&filter), "{filter}");
        }
        let other = col("x").gt(lit(1));
        for filter in [
            other.clone(),
            time().gt(at(5)).and(other),
            time().eq(at(5)),
            time().not_between(at(1), at(2)),
            time().between(at(1), col("x")),
            time().gt(col("x")),
        ] {
            assert!(!is_only_times(&filter), "{filter}");
        }
    }

    #[test]
    fn constants_bound_their_columns() {
        let bounds = |filter: Expr| {
            let prunes = prunes_of_filters(&[filter], TimeRange::ALL);
            prunes.into_iter().map(|prune| prune.bound).collect::<Vec<_>>()
        };
        assert_eq!(bounds(col("x").eq(lit("a"))), [Bound::Text("a".to_owned())]);
        assert_eq!(bounds(col("x").eq(lit(5i64))), [Bound::LongFrom(5), Bound::LongTo(5)]);
        assert_eq!(bounds(lit(5i64).lt(col("x")).and(col("x").lt(lit(9i32)))), [Bound::LongFrom(5), Bound::LongTo(9)]);
        assert_eq!(bounds(col("x").eq(lit("a")).or(col("x").eq(lit("b")))), []);
        assert_eq!(bounds(col("x").not_eq(lit(1i64))), []);
    }

    #[test]
    fn anything_else_prunes_nothing() {
        for filter in [time().gt(at(5)).or(col("x").eq(lit(1))), time().not_between(at(1), at(2)), col("x").gt(at(5))] {
            assert_eq!(times_of_filters(&[filter]), TimeRange::ALL);
        }
    }
}
