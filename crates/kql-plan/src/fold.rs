//! Computes constant expressions while binding, so that `ago(1d)` or a `let` value is one literal in every plan.

use moneta_event::ColumnType;
use moneta_kql::syntax::BinaryOperator;

use crate::bound::{ScalarExpr, ScalarNode};
use crate::functions::row::{Answer, Builder, Call, Cell};
use crate::functions::terms::{Matcher, TextOperator};
use crate::functions::{Kernel, Nulls, arithmetic, compare, conversion, location};
use crate::json;
use crate::value::Value;

/// Replaces an expression whose operands are literals by its value, where that is possible.
#[must_use]
pub fn fold(expression: ScalarExpr) -> ScalarExpr {
    match evaluate(&expression) {
        Some(value) => ScalarExpr::literal(value),
        None => expression,
    }
}

/// The longest text computed while a query is bound.
const FOLDED_BYTES_MAX: usize = 8 << 20;

fn evaluate(expression: &ScalarExpr) -> Option<Value> {
    let target = expression.column_type;
    match &expression.node {
        ScalarNode::Binary { operator, left, right } => {
            let (left, right) = (left.as_literal()?, right.as_literal()?);
            binary(*operator, left, right, target)
        }
        ScalarNode::Convert(inner) => {
            let value = inner.as_literal()?;
            let call = Call { types: &[value.column_type()], return_type: target };
            answer(conversion::convert(cell(value), &call), target)
        }
        ScalarNode::Path { base, steps } => {
            let Value::Dynamic(text) = base.as_literal()? else { return Some(Value::Null(target)) };
            Some(json::follow(text, steps).map_or(Value::Null(target), |found| Value::Dynamic(found.to_owned())))
        }
        ScalarNode::Call { function, args } if function.deterministic => {
            let values = args.iter().map(ScalarExpr::as_literal).collect::<Option<Vec<_>>>()?;
            let kernel = match function.kernel {
                Kernel::Row(kernel) | Kernel::Native(_, kernel)
                    if !function.name.starts_with("hash_") && function.name != location::NAME =>
                {
                    kernel
                }
                _ => return None,
            };
            let types: Vec<ColumnType> = args.iter().map(|arg| arg.column_type).collect();
            let cells: Vec<Cell<'_>> = values.iter().map(|value| cell(value)).collect();
            if function.nulls == Nulls::Propagate && cells.iter().any(|cell| cell.is_null()) {
                return Some(Value::null(target));
            }
            match kernel(&cells, &Call { types: &types, return_type: target }) {
                // Texts that grow from call to call are left to the run, whose memory is counted.
                Answer::Text(text) if text.len() > FOLDED_BYTES_MAX => None,
                result => answer(result, target),
            }
        }
        ScalarNode::Conditional { branches, otherwise } => {
            for (condition, value) in branches {
                match condition.as_literal()? {
                    Value::Bool(true) => return value.as_literal().cloned(),
                    _ => continue,
                }
            }
            otherwise.as_literal().cloned()
        }
        _ => None,
    }
}

fn binary(operator: BinaryOperator, left: &Value, right: &Value, target: ColumnType) -> Option<Value> {
    let types = [left.column_type(), right.column_type()];
    let call = Call { types: &types, return_type: target };
    let cells = [cell(left), cell(right)];
    if let Some(text) = TextOperator::of(operator) {
        let (subject, needle) = (conversion::to_text(cells[0], types[0]), conversion::to_text(cells[1], types[1]));
        let found = Matcher::new(text.test, text.case_sensitive, &needle).matches(&subject);
        return Some(Value::Bool(found != text.negated));
    }
    match operator {
        BinaryOperator::Add
        | BinaryOperator::Subtract
        | BinaryOperator::Multiply
        | BinaryOperator::Divide
        | BinaryOperator::Modulo => answer(arithmetic::evaluate(operator, &cells, &call), target),
        _ => answer(compare::evaluate(operator, &cells, &call), target),
    }
}

/// A value as a kernel reads it.
#[must_use]
pub fn cell(value: &Value) -> Cell<'_> {
    match value {
        Value::Null(_) => Cell::Null,
        Value::Bool(value) => Cell::Bool(*value),
        Value::Int(value) => Cell::Long(i64::from(*value)),
        Value::Long(value) => Cell::Long(*value),
        Value::Real(value) => Cell::Real(*value),
        Value::Decimal(value) => Cell::Decimal(*value),
        Value::String(text) | Value::Dynamic(text) | Value::Guid(text) => Cell::Text(text),
        Value::DateTime(nanos) | Value::TimeSpan(nanos) => Cell::Time(*nanos),
    }
}

/// A kernel's answer as a value of a type.
pub(crate) fn answer(answer: Answer<'_>, column_type: ColumnType) -> Option<Value> {
    let mut builder = Builder::new(column_type, 1);
    builder.push(answer);
    let scalar = datafusion::scalar::ScalarValue::try_from_array(&builder.finish(), 0).ok()?;
    Value::from_scalar(column_type, &scalar)
}
