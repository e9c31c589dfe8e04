//! `range x from a to b step c`.

use moneta_event::{Column, ColumnType};
use moneta_kql::syntax::RangeOperator;

use super::datatable::Rows;
use crate::binder::{Binder, Row, codes};
use crate::bound::Relation;
use crate::functions::row::long_to_real;
use crate::types;
use crate::value::Value;

/// The greatest number of rows a `range` makes.
pub const RANGE_ROWS_MAX: usize = 2_000_000;

impl Binder<'_> {
    /// `range x from a to b step c`: the bounds must be constant.
    pub(crate) fn bind_range(&mut self, node: &RangeOperator) -> Option<Relation> {
        let from = self.scalar(&node.from, &mut Row::none())?;
        let to = self.scalar(&node.to, &mut Row::none())?;
        let step = self.scalar(&node.step, &mut Row::none())?;
        let column_type = match (from.column_type, to.column_type, step.column_type) {
            (f, t, s) if types::is_number(f) && types::is_number(t) && types::is_number(s) => {
                types::widest_number(types::widest_number(f, t), s)
            }
            (ColumnType::DateTime, ColumnType::DateTime, ColumnType::TimeSpan) => ColumnType::DateTime,
            (ColumnType::TimeSpan, ColumnType::TimeSpan, ColumnType::TimeSpan) => ColumnType::TimeSpan,
            (f, t, s) => {
                let message = format!("range cannot go from {f} to {t} by {s}");
                return self.fail(codes::TYPE, node.span, message);
            }
        };
        let column = Column::new(&node.column.text, column_type);
        let step_type = if column_type == ColumnType::DateTime { ColumnType::TimeSpan } else { column_type };
        let (from, to, step) = (from.converted(column_type), to.converted(column_type), step.converted(step_type));
        let (Some(from), Some(to), Some(step)) = (from.as_literal(), to.as_literal(), step.as_literal()) else {
            return self.bind_computed_range(column, from, to, step);
        };
        match values(from, to, step) {
            Some(rows) => Some(Relation::new(vec![column], Rows { rows })),
            None => {
                let message = format!("the range has more than {RANGE_ROWS_MAX} rows");
                self.fail(codes::LIMIT, node.span, message)
            }
        }
    }
}

/// The values of a range; `None` if they are too many.
fn values(from: &Value, to: &Value, step: &Value) -> Option<Vec<Vec<Value>>> {
    let mut rows = Vec::new();
    match (from, to, step) {
        (Value::Real(from), Value::Real(to), Value::Real(step)) => {
            if *step == 0.0 || step.is_nan() {
                return Some(rows);
            }
            let mut index = 0i64;
            loop {
                let at = from + long_to_real(index) * step;
                if !(if *step > 0.0 { at <= *to } else { at >= *to }) {
                    return Some(rows);
                }
                if rows.len() >= RANGE_ROWS_MAX {
                    return None;
                }
                rows.push(vec![Value::Real(at)]);
                index += 1;
            }
        }
        _ => {
            let (Some(start), Some(end), Some(step)) = (whole(from), whole(to), whole(step)) else { return Some(rows) };
            let mut at = start;
            while step != 0 && (if step > 0 { at <= end } else { at >= end }) {
                if rows.len() >= RANGE_ROWS_MAX {
                    return None;
                }
                rows.push(vec![like(from, at)]);
                match at.checked_add(step) {
                    Some(next) => at = next,
                    None => break,
                }
            }
            Some(rows)
        }
    }
}

fn whole(value: &Value) -> Option<i64> {
    match value {
        Value::Int(value) => Some(i64::from(*value)),
        Value::Long(value) | Value::DateTime(value) | Value::TimeSpan(value) => Some(*value),
        Value::Decimal(value) => i64::try_from(value / crate::value::DECIMAL_ONE).ok(),
        _ => None,
    }
}

fn like(model: &Value, value: i64) -> Value {
    match model {
        Value::Int(_) => i32::try_from(value).map_or(Value::Null(ColumnType::Int), Value::Int),
        Value::DateTime(_) => Value::DateTime(value),
        Value::TimeSpan(_) => Value::TimeSpan(value),
        Value::Decimal(_) => Value::Decimal(i128::from(value) * crate::value::DECIMAL_ONE),
        _ => Value::Long(value),
    }
}
