//! Arithmetic: `+ - * / %` for every pair of types that has it.
//!
//! Whole numbers wrap, their division cuts toward zero and is null by zero; `%` is never negative; times saturate.

use arrow::datatypes::{Decimal256Type, DecimalType, i256};
use datafusion::logical_expr::{Expr, Operator, binary_expr, cast};
use moneta_event::ColumnType;
use moneta_event::decimal::{self, decimal_of, parse_decimal};
use moneta_kql::syntax::BinaryOperator;
use serde_json::json;

use super::row::{Answer, Call, Cell, RowKernel, long_to_real, real_to_long};
use super::udf::RowFunction;

/// The expression of an arithmetic operation whose operands have been freed of `dynamic` where the other side is not.
#[must_use]
pub fn lower(
    operator: BinaryOperator,
    left: (Expr, ColumnType),
    right: (Expr, ColumnType),
    result: ColumnType,
) -> Expr {
    let native = match (operator, result) {
        (BinaryOperator::Add, ColumnType::Long | ColumnType::Real) => Some(Operator::Plus),
        (BinaryOperator::Subtract, ColumnType::Long | ColumnType::Real) => Some(Operator::Minus),
        (BinaryOperator::Multiply, ColumnType::Long | ColumnType::Real) => Some(Operator::Multiply),
        (BinaryOperator::Divide, ColumnType::Real) => Some(Operator::Divide),
        _ => None,
    };
    let numbers = crate::types::is_number(left.1) && crate::types::is_number(right.1);
    if let (Some(native), true) = (native, numbers) {
        let convert =
            |(expr, from): (Expr, ColumnType)| if from == result { expr } else { cast(expr, result.computed()) };
        return binary_expr(convert(left), native, convert(right));
    }
    let (name, kernel): (&'static str, RowKernel) = match operator {
        BinaryOperator::Add => ("kql_add", |args, call| evaluate(BinaryOperator::Add, args, call)),
        BinaryOperator::Subtract => ("kql_subtract", |args, call| evaluate(BinaryOperator::Subtract, args, call)),
        BinaryOperator::Multiply => ("kql_multiply", |args, call| evaluate(BinaryOperator::Multiply, args, call)),
        BinaryOperator::Divide => ("kql_divide", |args, call| evaluate(BinaryOperator::Divide, args, call)),
        _ => ("kql_modulo", |args, call| evaluate(BinaryOperator::Modulo, args, call)),
    };
    RowFunction::call(name, kernel, true, true, &[left.1, right.1], result, vec![left.0, right.0])
}

/// The operation on two cells.
#[must_use]
pub fn evaluate<'a>(operator: BinaryOperator, args: &[Cell<'a>], call: &Call<'_>) -> Answer<'a> {
    let (left, right) = (args[0], args[1]);
    if left.is_null() || right.is_null() {
        return Answer::Null;
    }
    match call.return_type {
        ColumnType::Dynamic => dynamic(operator, left, right, call),
        ColumnType::Decimal => decimal(operator, left, right).into(),
        ColumnType::Real => real(operator, left, right).into(),
        ColumnType::DateTime | ColumnType::TimeSpan => time(operator, left, right).map_or(Answer::Null, Answer::Time),
        _ => long(operator, left.long(), right.long()).into(),
    }
}

fn long(operator: BinaryOperator, left: Option<i64>, right: Option<i64>) -> Option<i64> {
    let (left, right) = (left?, right?);
    match operator {
        BinaryOperator::Add => Some(left.wrapping_add(right)),
        BinaryOperator::Subtract => Some(left.wrapping_sub(right)),
        BinaryOperator::Multiply => Some(left.wrapping_mul(right)),
        BinaryOperator::Divide => (right != 0).then(|| left.wrapping_div(right)),
        _ => (right != 0).then(|| left.wrapping_rem_euclid(right)),
    }
}

fn real(operator: BinaryOperator, left: Cell<'_>, right: Cell<'_>) -> Option<f64> {
    if let (BinaryOperator::Divide, Cell::Time(left), Cell::Time(right)) = (operator, left, right) {
        return Some(ratio(left, right));
    }
    let (left, right) = (left.real()?, right.real()?);
    Some(match operator {
        BinaryOperator::Add => left + right,
        BinaryOperator::Subtract => left - right,
        BinaryOperator::Multiply => left * right,
        BinaryOperator::Divide => left / right,
        _ => left.rem_euclid(right),
    })
}

/// How often one duration holds another, which is exact where the division is: nanoseconds since 1970 have more digits
/// than a real.
fn ratio(left: i64, right: i64) -> f64 {
    match (left.checked_div(right), left.checked_rem(right)) {
        (Some(quotient), Some(rest)) => long_to_real(quotient) + long_to_real(rest) / long_to_real(right),
        _ => long_to_real(left) / long_to_real(right),
    }
}

fn decimal(operator: BinaryOperator, left: Cell<'_>, right: Cell<'_>) -> Option<i256> {
    let scaled = |cell: Cell<'_>| match cell {
        Cell::Decimal(value) => Some(value),
        Cell::Long(value) => Some(decimal_of(value)),
        Cell::Real(value) => parse_decimal(&value.to_string()),
        _ => None,
    };
    let (left, right) = (scaled(left)?, scaled(right)?);
    let result = match operator {
        BinaryOperator::Add => left.checked_add(right),
        BinaryOperator::Subtract => left.checked_sub(right),
        BinaryOperator::Multiply => multiply_scaled(left, right),
        BinaryOperator::Divide => divide_scaled(left, right),
        _ => remainder(left, right),
    };
    result.filter(fits)
}

/// Whether a decimal has no more digits than its type.
fn fits(value: &i256) -> bool {
    Decimal256Type::is_valid_decimal_precision(*value, decimal::PRECISION)
}

/// The remainder that is never negative; `None` by zero.
pub(super) fn remainder(left: i256, right: i256) -> Option<i256> {
    let remainder = left.checked_rem(right)?;
    if remainder.is_negative() { remainder.checked_add(right.checked_abs()?) } else { Some(remainder) }
}

/// The parts before and after the point are multiplied apart, because the product of all digits overflows.
fn multiply_scaled(left: i256, right: i256) -> Option<i256> {
    let whole = |value: i256| value.wrapping_div(decimal::ONE);
    let fraction = |value: i256| value.wrapping_rem(decimal::ONE);
    let high = left.checked_mul(whole(right))?;
    let middle = whole(left).checked_mul(fraction(right))?;
    let low = fraction(left).checked_mul(fraction(right))?.wrapping_div(decimal::ONE);
    high.checked_add(middle)?.checked_add(low)
}

fn divide_scaled(left: i256, right: i256) -> Option<i256> {
    let ten = i256::from_i128(10);
    let mut quotient = left.checked_div(right)?;
    let mut remainder = left.checked_rem(right)?;
    for _ in 0..decimal::SCALE {
        remainder = remainder.checked_mul(ten)?;
        quotient = quotient.checked_mul(ten)?.checked_add(remainder.wrapping_div(right))?;
        remainder = remainder.wrapping_rem(right);
    }
    Some(quotient)
}

fn time(operator: BinaryOperator, left: Cell<'_>, right: Cell<'_>) -> Option<i64> {
    match (left, right) {
        (Cell::Time(left), Cell::Time(right)) => match operator {
            BinaryOperator::Add => Some(left.saturating_add(right)),
            BinaryOperator::Subtract => Some(left.saturating_sub(right)),
            BinaryOperator::Modulo => (right != 0).then(|| left.wrapping_rem_euclid(right)),
            // A product of two timespans counts in ticks.
            _ => Some((left / 100).saturating_mul(right / 100).saturating_mul(100)),
        },
        (Cell::Time(time), number) | (number, Cell::Time(time)) => scale(operator, time, number),
        _ => None,
    }
}

/// A time multiplied or divided by a number, in whole ticks.
fn scale(operator: BinaryOperator, time: i64, number: Cell<'_>) -> Option<i64> {
    let ticks = time / 100;
    let result = match (operator, number) {
        (BinaryOperator::Multiply, Cell::Long(factor)) => ticks.saturating_mul(factor),
        (BinaryOperator::Divide, Cell::Long(divisor)) => ticks.checked_div(divisor)?,
        (BinaryOperator::Modulo, Cell::Long(divisor)) => ticks.checked_rem_euclid(divisor)?,
        (BinaryOperator::Multiply, factor) => real_to_long((long_to_real(ticks) * factor.real()?).round())?,
        (BinaryOperator::Divide, divisor) => real_to_long((long_to_real(ticks) / divisor.real()?).round())?,
        (_, divisor) => real_to_long(long_to_real(ticks).rem_euclid(divisor.real()?))?,
    };
    Some(result.saturating_mul(100))
}

/// Two dynamics: numbers are computed, anything else gives null.
fn dynamic<'a>(operator: BinaryOperator, left: Cell<'a>, right: Cell<'a>, call: &Call<'_>) -> Answer<'a> {
    let number = |cell: Cell<'_>, column_type: ColumnType| match cell {
        Cell::Text(json) if column_type == ColumnType::Dynamic => crate::json::parse(json),
        Cell::Long(value) => json!(value),
        Cell::Real(value) => json!(value),
        _ => serde_json::Value::Null,
    };
    let (left, right) = (number(left, call.types[0]), number(right, call.types[1]));
    if let (Some(a), Some(b)) = (left.as_i64(), right.as_i64()) {
        return long(operator, Some(a), Some(b)).map_or(Answer::Null, |value| json!(value).into());
    }
    match (left.as_f64(), right.as_f64()) {
        (Some(a), Some(b)) => {
            real(operator, Cell::Real(a), Cell::Real(b)).map_or(Answer::Null, |value| json!(value).into())
        }
        _ => Answer::Null,
    }
}
