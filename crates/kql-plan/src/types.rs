//! Which types meet in an operator, and what comes out. Checked against the reference analyzer's type matrix.

use moneta_event::ColumnType;
use moneta_event::ColumnType::{Bool, DateTime, Decimal, Dynamic, Int, Long, Real, TimeSpan};
use moneta_kql::syntax::BinaryOperator;

/// Whether values of the type are numbers.
#[must_use]
pub fn is_number(column_type: ColumnType) -> bool {
    matches!(column_type, Int | Long | Real | Decimal)
}

/// Whether values of the type are whole numbers.
#[must_use]
pub fn is_integer(column_type: ColumnType) -> bool {
    matches!(column_type, Int | Long)
}

/// The wider of two number types.
#[must_use]
pub fn widest_number(left: ColumnType, right: ColumnType) -> ColumnType {
    let rank = |t| match t {
        Int => 0,
        Long => 1,
        Real => 2,
        _ => 3,
    };
    if rank(left) >= rank(right) { left } else { right }
}

/// The type of `left operator right` for `+ - * / %`; `None` if there is no such operation.
#[must_use]
pub fn arithmetic(operator: BinaryOperator, left: ColumnType, right: ColumnType) -> Option<ColumnType> {
    use BinaryOperator::{Add, Divide, Modulo, Multiply, Subtract};
    let number = |t: ColumnType| if t == Int { Long } else { t };
    Some(match (left, right) {
        (l, r) if is_number(l) && is_number(r) => number(widest_number(l, r)),
        (l, Dynamic) if is_number(l) => number(l),
        (Dynamic, r) if is_number(r) => number(r),
        (Dynamic, Dynamic) => Dynamic,
        (DateTime | Dynamic, DateTime) | (DateTime, Dynamic) if operator == Subtract => TimeSpan,
        (DateTime, DateTime) => match operator {
            Add => DateTime,
            Divide => Real,
            Modulo => TimeSpan,
            _ => return None,
        },
        (DateTime, TimeSpan) => match operator {
            Add | Subtract => DateTime,
            Divide => Real,
            Modulo => TimeSpan,
            _ => return None,
        },
        (TimeSpan, DateTime) if matches!(operator, Add | Subtract) => DateTime,
        (TimeSpan, TimeSpan) => match operator {
            Divide => Real,
            _ => TimeSpan,
        },
        (DateTime, Dynamic) | (Dynamic, DateTime) if operator == Add => DateTime,
        (TimeSpan, Dynamic) | (Dynamic, TimeSpan) if matches!(operator, Add | Subtract) => TimeSpan,
        (n, t @ (DateTime | TimeSpan)) if is_number(n) && operator == Multiply => t,
        (t @ (DateTime | TimeSpan), n) if is_number(n) && matches!(operator, Multiply | Divide | Modulo) => t,
        _ => return None,
    })
}

/// Whether `< <= > >=` compares the two types.
#[must_use]
pub fn orderable(left: ColumnType, right: ColumnType) -> bool {
    let numeric = |t| is_number(t);
    match (left, right) {
        (l, r) if (numeric(l) || l == Bool) && (numeric(r) || r == Bool) => true,
        (l, Dynamic) | (Dynamic, l) => numeric(l) || l == Dynamic,
        (DateTime, DateTime) | (TimeSpan, TimeSpan) => true,
        _ => false,
    }
}

/// The common type of the branches of `iff` and `case`: equal types stay, numbers widen, a dynamic gives way to the
/// other, everything else becomes dynamic.
#[must_use]
pub fn common_branch(left: ColumnType, right: ColumnType) -> ColumnType {
    match (left, right) {
        (l, r) if l == r => l,
        (l, r) if is_number(l) && is_number(r) => widest_number(l, r),
        (Dynamic, other) | (other, Dynamic) => other,
        _ => Dynamic,
    }
}

/// The common type of the arguments of `coalesce`, `max_of` and `min_of`; `None` if there is none.
#[must_use]
pub fn common_strict(left: ColumnType, right: ColumnType) -> Option<ColumnType> {
    match (left, right) {
        (l, r) if l == r => Some(l),
        (l, r) if is_number(l) && is_number(r) => Some(widest_number(l, r)),
        _ => None,
    }
}

/// The type of `bin(value, size)`; `None` if there is no such operation.
#[must_use]
pub fn binned(value: ColumnType, size: ColumnType) -> Option<ColumnType> {
    match (value, size) {
        (v, s) if is_number(v) && is_number(s) => {
            Some(if widest_number(v, s) == Int { Long } else { widest_number(v, s) })
        }
        (DateTime, DateTime | TimeSpan) => Some(DateTime),
        (TimeSpan, TimeSpan) => Some(TimeSpan),
        _ => None,
    }
}
