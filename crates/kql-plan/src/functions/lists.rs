//! The operators that take a list: `in`, `in~`, `has_any`, `has_all` over lists that are not simply native.
//!
//! DataFusion sees `kql_in(text, list)` where the list is a JSON array of texts: a literal, or the result of a scalar
//! subquery. It is prepared once and kept for the following batches.

use std::collections::HashSet;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{Array, AsArray, BooleanArray};
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::scalar::ScalarValue;
use moneta_event::ColumnType;
use moneta_kql::syntax::ListOperator;

use super::row::plain;
use super::terms::{Matcher, TextTest, evaluate};
use crate::json;

/// A list operator as DataFusion sees it: `name(text, list)`.
#[derive(Debug)]
pub struct ListFunction {
    operator: ListOperator,
    signature: Signature,
    prepared: Mutex<Option<(String, Arc<Prepared>)>>,
}

impl ListFunction {
    /// The expression of `text operator (list)`; the list is a `dynamic` array, or a single value.
    #[must_use]
    pub fn call(operator: ListOperator, text: Expr, list: Expr) -> Expr {
        let signature = Signature::any(2, Volatility::Immutable);
        ScalarUDF::new_from_impl(Self { operator, signature, prepared: Mutex::new(None) }).call(vec![text, list])
    }

    /// The operator.
    #[must_use]
    pub fn operator(&self) -> ListOperator {
        self.operator
    }

    fn prepare(&self, list: &str) -> Arc<Prepared> {
        let mut kept = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        match kept.as_ref() {
            Some((text, prepared)) if text == list => Arc::clone(prepared),
            _ => {
                let prepared = Arc::new(Prepared::new(self.operator, list));
                *kept = Some((list.to_owned(), Arc::clone(&prepared)));
                prepared
            }
        }
    }
}

/// A list made ready for many texts.
#[derive(Debug)]
pub enum Prepared {
    /// Exact members.
    Set {
        /// The members, lower case if `caseless`.
        members: HashSet<String>,
        /// Whether case is ignored.
        caseless: bool,
        /// Whether the result is turned round.
        negated: bool,
    },
    /// At least one term, or every one.
    Terms {
        /// The terms.
        matchers: Vec<Matcher>,
        /// Whether all must be there.
        all: bool,
    },
}

impl Prepared {
    /// Prepares a JSON array; any other value counts as its only element.
    #[must_use]
    pub fn new(operator: ListOperator, list: &str) -> Self {
        let items: Vec<String> = match json::elements(list) {
            Some(elements) => elements.iter().map(|element| json::to_text(element).into_owned()).collect(),
            None if list.is_empty() || list == "null" => Vec::new(),
            None => vec![json::to_text(list).into_owned()],
        };
        match operator {
            ListOperator::HasAny | ListOperator::HasAll => Self::Terms {
                matchers: items.iter().map(|item| Matcher::new(TextTest::Has, false, item)).collect(),
                all: operator == ListOperator::HasAll,
            },
            _ => {
                let caseless = matches!(operator, ListOperator::InCaseless | ListOperator::NotInCaseless);
                let negated = matches!(operator, ListOperator::NotIn | ListOperator::NotInCaseless);
                let fold = |item: String| if caseless { item.to_lowercase() } else { item };
                Self::Set { members: items.into_iter().map(fold).collect(), caseless, negated }
            }
        }
    }

    /// Whether the text passes.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        match self {
            Self::Set { members, caseless: false, negated } => members.contains(text) != *negated,
            Self::Set { members, negated, .. } => {
                let upper = text.bytes().any(|b| b.is_ascii_uppercase() || !b.is_ascii());
                let found = if upper { members.contains(&text.to_lowercase()) } else { members.contains(text) };
                found != *negated
            }
            Self::Terms { matchers, all: true } => matchers.iter().all(|matcher| matcher.matches(text)),
            Self::Terms { matchers, all: false } => matchers.iter().any(|matcher| matcher.matches(text)),
        }
    }
}

impl PartialEq for ListFunction {
    fn eq(&self, other: &Self) -> bool {
        self.operator == other.operator
    }
}

impl Eq for ListFunction {}

impl Hash for ListFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.operator.hash(state);
    }
}

impl ScalarUDFImpl for ListFunction {
    fn name(&self) -> &str {
        match self.operator {
            ListOperator::In => "kql_in",
            ListOperator::NotIn => "kql_not_in",
            ListOperator::InCaseless => "kql_in_caseless",
            ListOperator::NotInCaseless => "kql_not_in_caseless",
            ListOperator::HasAny => "kql_has_any",
            ListOperator::HasAll => "kql_has_all",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        Ok(Arc::new(ColumnType::Bool.field(self.name()).with_nullable(false)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [text, list] = datafusion::common::utils::take_function_args(self.name(), args.args)?;
        match (text, list) {
            (ColumnarValue::Scalar(text), ColumnarValue::Scalar(list)) => {
                let prepared = self.prepare(list.try_as_str().flatten().unwrap_or(""));
                let found = prepared.matches(text.try_as_str().flatten().unwrap_or(""));
                Ok(ColumnarValue::Scalar(ScalarValue::Boolean(Some(found))))
            }
            (ColumnarValue::Array(array), ColumnarValue::Scalar(list)) => {
                let prepared = self.prepare(list.try_as_str().flatten().unwrap_or(""));
                evaluate(&array, &|text| prepared.matches(text)).map(ColumnarValue::Array)
            }
            (text, list) => {
                let (texts, lists) =
                    (plain(&text.into_array(args.number_rows)?)?, plain(&list.into_array(args.number_rows)?)?);
                let (texts, lists) = (texts.as_string::<i32>(), lists.as_string::<i32>());
                let found: BooleanArray = (0..args.number_rows)
                    .map(|row| {
                        let text = if texts.is_null(row) { "" } else { texts.value(row) };
                        let list = if lists.is_null(row) { "" } else { lists.value(row) };
                        Some(Prepared::new(self.operator, list).matches(text))
                    })
                    .collect();
                Ok(ColumnarValue::Array(Arc::new(found)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_match_as_sets_or_terms() {
        let check = |operator, list: &str, text: &str, expected: bool| {
            assert_eq!(Prepared::new(operator, list).matches(text), expected, "{operator:?} {list} {text}");
        };
        check(ListOperator::In, r#"["a", 1]"#, "1", true);
        check(ListOperator::In, r#"["a"]"#, "A", false);
        check(ListOperator::InCaseless, r#"["A"]"#, "a", true);
        check(ListOperator::NotInCaseless, r#"["A"]"#, "a", false);
        check(ListOperator::HasAny, "[]", "a", false);
        check(ListOperator::HasAll, "[]", "a", true);
        check(ListOperator::HasAll, r#"["b","a"]"#, "a b", true);
        check(ListOperator::HasAny, r#"["cmd","x"]"#, "/cmd.exe", true);
    }
}
