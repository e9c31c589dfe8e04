//! Evaluates a bound expression for one row at a time, for operators whose rows depend on the rows before.
//!
//! It works by putting values in place of columns and folding what then is constant, so it means what a constant
//! expression means. Queries and window functions inside an expression are not evaluated here: see [`is_plain`].

use std::cmp::Ordering;

use moneta_event::ColumnType;
use moneta_kql::syntax::ListOperator;

use crate::bound::{ScalarExpr, ScalarNode};
use crate::fold::{answer, cell, fold};
use crate::functions::row::Call;
use crate::functions::{Kernel, compare, conversion, lists, path};
use crate::json;
use crate::value::Value;

/// Whether [`evaluate`] can compute the expression: no query, no window function, no function without a row kernel.
#[must_use]
pub fn is_plain(expression: &ScalarExpr) -> bool {
    let own = match &expression.node {
        ScalarNode::Subquery(_) | ScalarNode::InTable { .. } | ScalarNode::Window { .. } => false,
        ScalarNode::Call { function, .. } => {
            let is_folded = !function.name.starts_with("hash_");
            is_folded && function.deterministic && matches!(function.kernel, Kernel::Row(_) | Kernel::Native(..))
        }
        _ => true,
    };
    own && expression.children().into_iter().all(is_plain)
}

/// The value of an expression where `column` gives the values of columns.
#[must_use]
pub fn evaluate(expression: &ScalarExpr, column: &dyn Fn(&str) -> Value) -> Value {
    let value = |inner: &ScalarExpr| evaluate(inner, column);
    match &expression.node {
        ScalarNode::Literal(value) => value.clone(),
        ScalarNode::Column(name) => column(name),
        ScalarNode::And(all) => junction(all, column, false),
        ScalarNode::Or(all) => junction(all, column, true),
        ScalarNode::Conditional { branches, otherwise } => {
            let holds = |when: &ScalarExpr| value(when) == Value::Bool(true);
            let branch = branches.iter().find(|(when, _)| holds(when));
            branch.map_or_else(|| value(otherwise), |(_, then)| value(then))
        }
        ScalarNode::List { operator, operand, items } => {
            let items: Vec<Value> = items.iter().map(value).collect();
            Value::Bool(is_listed(*operator, &value(operand), &items))
        }
        ScalarNode::Element { base, index } => {
            let (base, index) = (value(base), value(index));
            let types = [base.column_type(), index.column_type()];
            let call = Call { types: &types, return_type: expression.column_type };
            let found = answer(path::element(&[cell(&base), cell(&index)], &call), expression.column_type);
            found.unwrap_or(Value::null(expression.column_type))
        }
        _ => {
            let literal = expression.with_children(&mut |child| {
                let value = value(child);
                ScalarExpr::new(child.column_type, ScalarNode::Literal(value))
            });
            let folded = fold(literal);
            folded.as_literal().cloned().unwrap_or(Value::null(expression.column_type))
        }
    }
}

/// `and` (or `or`, where `decides` is true) over three truth values.
fn junction(all: &[ScalarExpr], column: &dyn Fn(&str) -> Value, decides: bool) -> Value {
    let mut unknown = false;
    for one in all {
        match evaluate(one, column) {
            Value::Bool(value) if value == decides => return Value::Bool(decides),
            Value::Bool(_) => {}
            _ => unknown = true,
        }
    }
    if unknown { Value::Null(ColumnType::Bool) } else { Value::Bool(!decides) }
}

/// Whether a list operator holds. Elements of arrays count as elements of the list.
fn is_listed(operator: ListOperator, operand: &Value, items: &[Value]) -> bool {
    let exact = matches!(operator, ListOperator::In | ListOperator::NotIn);
    let opened = items.iter().any(|item| matches!(item, Value::Dynamic(_)));
    if exact && !opened {
        let equal = |item: &Value| {
            let types = [operand.column_type(), item.column_type()];
            let call = Call { types: &types, return_type: ColumnType::Bool };
            compare::order(cell(operand), cell(item), &call) == Some(Ordering::Equal)
        };
        return items.iter().any(equal) == (operator == ListOperator::In);
    }
    let texts: Vec<String> = items
        .iter()
        .flat_map(|item| match item {
            Value::Dynamic(text) => match json::parse(text) {
                serde_json::Value::Array(all) => all.iter().map(|one| json::quote(&json::value_text(one))).collect(),
                one => vec![json::quote(&json::value_text(&one))],
            },
            other => vec![json::quote(&conversion::cell_text(cell(other), other.column_type()))],
        })
        .collect();
    let text = conversion::cell_text(cell(operand), operand.column_type());
    lists::Prepared::new(operator, &format!("[{}]", texts.join(","))).matches(&text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use moneta_event::Column;
    use moneta_kql::syntax::BinaryOperator;

    fn sum() -> ScalarExpr {
        let (left, right) = (Column::new("a", ColumnType::Long), Column::new("b", ColumnType::Long));
        ScalarExpr::new(
            ColumnType::Long,
            ScalarNode::Binary {
                operator: BinaryOperator::Add,
                left: Box::new(ScalarExpr::column(&left)),
                right: Box::new(ScalarExpr::column(&right)),
            },
        )
    }

    #[test]
    fn columns_are_replaced_by_values() {
        let value = evaluate(&sum(), &|name| Value::Long(if name == "a" { 2 } else { 40 }));
        assert_eq!(value, Value::Long(42));
        assert_eq!(evaluate(&sum(), &|_| Value::Null(ColumnType::Long)), Value::Null(ColumnType::Long));
    }

    #[test]
    fn one_false_decides_and_even_beside_null() {
        let literal = |value| ScalarExpr::literal(value);
        let (null, no) = (literal(Value::Null(ColumnType::Bool)), literal(Value::Bool(false)));
        let both = ScalarExpr::new(ColumnType::Bool, ScalarNode::And(vec![null.clone(), no.clone()]));
        assert_eq!(evaluate(&both, &|_| Value::Bool(true)), Value::Bool(false));
        let either = ScalarExpr::new(ColumnType::Bool, ScalarNode::Or(vec![null, no]));
        assert_eq!(evaluate(&either, &|_| Value::Bool(true)), Value::Null(ColumnType::Bool));
    }

    #[test]
    fn lists_open_arrays() {
        let items = [Value::Dynamic("[\"a\",\"b\"]".to_owned())];
        assert!(is_listed(ListOperator::In, &Value::String("b".to_owned()), &items));
        assert!(is_listed(ListOperator::NotIn, &Value::Long(3), &[Value::Long(1)]));
        assert!(is_listed(ListOperator::InCaseless, &Value::String("B".to_owned()), &items));
    }
}
