//! Comparison: `== != < <= > >=` for every pair of types.
//!
//! Equality is total: one null side gives false (`!=`: true), both give null. Order is three-valued. Where a native
//! expression says exactly that, it is used, so that scans can recognise it.

use std::cmp::Ordering;

use datafusion::logical_expr::{Expr, Operator, binary_expr, cast};
use moneta_event::ColumnType;
use moneta_kql::syntax::BinaryOperator;

use super::row::{Answer, Call, Cell};
use super::udf::RowFunction;
use crate::json;
use crate::types;

/// The expression of a comparison.
///
/// `as_filter` says that null may stand for false, as in `where`; then more comparisons are native.
#[must_use]
pub fn lower(operator: BinaryOperator, left: (Expr, ColumnType), right: (Expr, ColumnType), as_filter: bool) -> Expr {
    let (left, left_type) = left;
    let (right, right_type) = right;
    if let Some(common) = native_type(left_type, right_type) {
        let convert = |expr: Expr, from: ColumnType| if from == common { expr } else { cast(expr, common.computed()) };
        let (left_is_constant, right_is_constant) = (is_constant(&left), is_constant(&right));
        let (left, right) = (convert(left, left_type), convert(right, right_type));
        let constant = left_is_constant || right_is_constant;
        let never_null = left_type == ColumnType::String && right_type == ColumnType::String;
        let native = match operator {
            BinaryOperator::Equal if as_filter || never_null => Some(Operator::Eq),
            BinaryOperator::Equal if constant => Some(Operator::IsNotDistinctFrom),
            BinaryOperator::NotEqual if never_null => Some(Operator::NotEq),
            BinaryOperator::NotEqual if as_filter || constant => Some(Operator::IsDistinctFrom),
            BinaryOperator::Less => Some(Operator::Lt),
            BinaryOperator::LessOrEqual => Some(Operator::LtEq),
            BinaryOperator::Greater => Some(Operator::Gt),
            BinaryOperator::GreaterOrEqual => Some(Operator::GtEq),
            _ => None,
        };
        if let Some(native) = native {
            return binary_expr(left, native, right);
        }
        return call(operator, (left, common), (right, common));
    }
    call(operator, (left, left_type), (right, right_type))
}

fn call(operator: BinaryOperator, left: (Expr, ColumnType), right: (Expr, ColumnType)) -> Expr {
    let (name, kernel): (&'static str, super::row::RowKernel) = match operator {
        BinaryOperator::Equal => ("kql_equal", |args, call| evaluate(BinaryOperator::Equal, args, call)),
        BinaryOperator::NotEqual => ("kql_not_equal", |args, call| evaluate(BinaryOperator::NotEqual, args, call)),
        BinaryOperator::Less => ("kql_less", |args, call| evaluate(BinaryOperator::Less, args, call)),
        BinaryOperator::LessOrEqual => {
            ("kql_less_or_equal", |args, call| evaluate(BinaryOperator::LessOrEqual, args, call))
        }
        BinaryOperator::Greater => ("kql_greater", |args, call| evaluate(BinaryOperator::Greater, args, call)),
        _ => ("kql_greater_or_equal", |args, call| evaluate(BinaryOperator::GreaterOrEqual, args, call)),
    };
    RowFunction::call(name, kernel, false, true, &[left.1, right.1], ColumnType::Bool, vec![left.0, right.0])
}

/// Whether an expression is a literal other than null.
fn is_constant(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(value, _) if !value.is_null())
}

/// The one type two operands are natively compared in; `None` if they need our own comparison.
fn native_type(left: ColumnType, right: ColumnType) -> Option<ColumnType> {
    match (left, right) {
        (ColumnType::Dynamic, _) | (_, ColumnType::Dynamic) => None,
        (l, r) if l == r => Some(l),
        (l, r) if types::is_number(l) && types::is_number(r) => Some(types::widest_number(l, r)),
        _ => None,
    }
}

/// The comparison of two cells, for folding and for what is not native.
#[must_use]
pub fn evaluate<'a>(operator: BinaryOperator, args: &[Cell<'a>], call: &Call<'_>) -> Answer<'a> {
    let (left, right) = (args[0], args[1]);
    let is_text = |index: usize| call.types[index] == ColumnType::String;
    match operator {
        BinaryOperator::Equal | BinaryOperator::NotEqual => {
            let negated = operator == BinaryOperator::NotEqual;
            match (left.is_null(), right.is_null()) {
                // A string has no null: against the null of another type it is unequal.
                (true, true) if !is_text(0) && !is_text(1) => Answer::Null,
                (true, _) | (_, true) => {
                    let both_absent = (left.is_null() || left.text().is_empty() && is_text(0))
                        && (right.is_null() || right.text().is_empty() && is_text(1));
                    Answer::Bool(both_absent != negated)
                }
                (false, false) => Answer::Bool((order(left, right, call) == Some(Ordering::Equal)) != negated),
            }
        }
        _ if left.is_null() || right.is_null() => Answer::Null,
        _ => match order(left, right, call) {
            None => Answer::Bool(false),
            Some(order) => Answer::Bool(match operator {
                BinaryOperator::Less => order.is_lt(),
                BinaryOperator::LessOrEqual => order.is_le(),
                BinaryOperator::Greater => order.is_gt(),
                _ => order.is_ge(),
            }),
        },
    }
}

/// How two cells of known types stand to each other; `None` if they cannot be compared (NaN, number with text).
#[must_use]
pub fn order(left: Cell<'_>, right: Cell<'_>, call: &Call<'_>) -> Option<Ordering> {
    let dynamic = |index: usize| call.types.get(index) == Some(&ColumnType::Dynamic);
    match (left, right) {
        (Cell::Text(a), Cell::Text(b)) => Some(match (dynamic(0), dynamic(1)) {
            (true, true) => return order_dynamic(a, b),
            (true, false) => json::to_text(a).as_ref().cmp(b),
            (false, true) => a.cmp(&json::to_text(b)),
            (false, false) => a.cmp(b),
        }),
        (Cell::Text(a), other) => {
            order_text(a, dynamic(0), other, call.types.get(1)).map(|(x, y)| compare_texts(&x, &y))
        }
        (other, Cell::Text(b)) => {
            order_text(b, dynamic(1), other, call.types.first()).map(|(x, y)| compare_texts(&y, &x))
        }
        (Cell::Long(a) | Cell::Time(a), Cell::Long(b) | Cell::Time(b)) => Some(a.cmp(&b)),
        (Cell::Bool(a), Cell::Bool(b)) => Some(a.cmp(&b)),
        (Cell::Decimal(a), Cell::Decimal(b)) => Some(a.cmp(&b)),
        (a, b) => a.real()?.partial_cmp(&b.real()?),
    }
}

/// Two operands as texts or, where both are numbers, as numbers.
enum Comparable {
    Number(f64),
    Text(String),
}

fn compare_texts(left: &Comparable, right: &Comparable) -> Ordering {
    match (left, right) {
        (Comparable::Number(a), Comparable::Number(b)) => a.partial_cmp(b).unwrap_or(Ordering::Less),
        (Comparable::Text(a), Comparable::Text(b)) => a.cmp(b),
        (Comparable::Number(_), Comparable::Text(_)) => Ordering::Less,
        (Comparable::Text(_), Comparable::Number(_)) => Ordering::Greater,
    }
}

/// A text or dynamic beside a value of another type.
fn order_text(
    text: &str,
    is_dynamic: bool,
    other: Cell<'_>,
    other_type: Option<&ColumnType>,
) -> Option<(Comparable, Comparable)> {
    let shown = if is_dynamic { json::to_text(text).into_owned() } else { text.to_owned() };
    let is_json_number = is_dynamic && text.starts_with(['-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9']);
    let comparable = (is_json_number || !is_dynamic) && !matches!(other, Cell::Time(_) | Cell::Bool(_));
    if comparable && let (Ok(a), Some(b)) = (shown.trim().parse::<f64>(), other.real()) {
        return Some((Comparable::Number(a), Comparable::Number(b)));
    }
    let other = super::conversion::cell_text(other, *other_type?);
    Some((Comparable::Text(shown.to_lowercase()), Comparable::Text(other.to_lowercase())))
}

fn order_dynamic(left: &str, right: &str) -> Option<Ordering> {
    if left == right {
        return Some(Ordering::Equal);
    }
    let (left, right) = (json::parse(left), json::parse(right));
    match (left.as_f64(), right.as_f64()) {
        (Some(a), Some(b)) => a.partial_cmp(&b),
        _ if left == right => Some(Ordering::Equal),
        _ => Some(json::value_text(&left).cmp(&json::value_text(&right)).then(Ordering::Less)),
    }
}
