//! Column names found for expressions, and names made unique.

use std::collections::HashSet;

use moneta_event::Column;
use moneta_kql::syntax::{Expression, LiteralValue, NamedExpression, PathMember, Target};

use super::{Binder, Row};
use crate::functions::{Naming, registry};

/// The names used so far in a list of columns.
#[derive(Debug, Clone, Default)]
pub struct Names {
    used: HashSet<String>,
    unnamed: usize,
}

impl Names {
    /// The names of columns.
    #[must_use]
    pub fn of(columns: &[Column]) -> Self {
        Self { used: columns.iter().map(|c| c.name.to_string()).collect(), unnamed: 0 }
    }

    /// Whether a name is used.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.used.contains(name)
    }

    /// Uses a name.
    pub fn insert(&mut self, name: &str) {
        self.used.insert(name.to_owned());
    }

    /// Uses the name, or the name with the first free number behind it.
    pub fn unique(&mut self, wanted: &str) -> String {
        let mut name = wanted.to_owned();
        let mut number = 0;
        while !self.used.insert(name.clone()) {
            number += 1;
            name = format!("{wanted}{number}");
        }
        name
    }

    /// Uses the next free of `Column1`, `Column2`, ...
    pub fn numbered(&mut self, base: &str) -> String {
        loop {
            self.unnamed += 1;
            let name = format!("{base}{}", self.unnamed);
            if self.used.insert(name.clone()) {
                return name;
            }
        }
    }
}

impl Binder<'_> {
    /// The name an expression gives its column: its own, or its argument's. `None` if it has none.
    pub(crate) fn name_of(&self, expression: &Expression, row: &Row) -> Option<String> {
        let name = match expression {
            Expression::Name(name) => name.text.clone(),
            Expression::Parenthesized(node) => return self.name_of(&node.inner, row),
            Expression::Path(node) => match &node.member {
                PathMember::Name(member) => match node.object.as_name() {
                    Some(side) if side.text == "$left" || side.text == "$right" => member.text.clone(),
                    _ => {
                        let object = self.name_of(&node.object, row).unwrap_or_default();
                        if object.is_empty() { member.text.clone() } else { format!("{object}_{}", member.text) }
                    }
                },
                _ => return None,
            },
            Expression::Element(node) => {
                let object = self.name_of(&node.object, row)?;
                let index = match &node.index.as_literal()?.value {
                    LiteralValue::Long(Some(index)) => index.to_string(),
                    LiteralValue::Int(Some(index)) => index.to_string(),
                    LiteralValue::String(text) => text.value.clone(),
                    _ => return None,
                };
                format!("{object}_{index}")
            }
            Expression::Call(node) => {
                if self.is_user_function(&node.function.text) {
                    return None;
                }
                if let (true, Some(aggregate)) =
                    (row.aggregates.is_some(), crate::aggregates::registry().get(&node.function.text))
                {
                    return self.aggregate_name(aggregate, node, row);
                }
                let first = || node.arguments.first().and_then(|a| self.argument_name(a, row));
                match registry().get(&node.function.text)?.naming {
                    Naming::None => return None,
                    Naming::First => first()?,
                    Naming::Prefix(prefix) => format!("{prefix}{}", first().unwrap_or_default()),
                    Naming::Suffix(suffix) => format!("{}{suffix}", first()?),
                    Naming::Fixed(name) => name.to_owned(),
                }
            }
            _ => return None,
        };
        (!name.is_empty()).then_some(name)
    }

    /// The name of an argument: the one it is given (`round(Rate = x)`), or that of its expression.
    pub(crate) fn argument_name(&self, argument: &NamedExpression, row: &Row) -> Option<String> {
        match &argument.target {
            Some(Target::Name(name)) => Some(name.text.clone()),
            _ => self.name_of(&argument.expression, row),
        }
    }

    fn aggregate_name(
        &self,
        aggregate: &crate::aggregates::Aggregate,
        node: &moneta_kql::syntax::CallExpression,
        row: &Row,
    ) -> Option<String> {
        use crate::aggregates::AggregateNaming;
        let first = node.arguments.first().and_then(|a| self.argument_name(a, row)).unwrap_or_default();
        let name = match aggregate.naming {
            AggregateNaming::Prefix(prefix)
            | AggregateNaming::FirstPrefixed(prefix)
            | AggregateNaming::EachPrefixed(prefix) => {
                format!("{prefix}{first}")
            }
            AggregateNaming::Arguments => first,
            AggregateNaming::Percentiles | AggregateNaming::WeightedPercentiles => format!("percentile_{first}_"),
        };
        (!name.is_empty()).then_some(name)
    }
}
