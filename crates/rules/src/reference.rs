//! The meaning of a rule on a single row, written as plainly as possible.
//!
//! It explains matches, and tests hold the vectorised matcher against it. It shares no code with the column tests.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use regex::Regex;

use crate::ir::{Expression, Field, Matcher, Test};
use crate::matcher::BlockView;
use crate::matcher::cells::Cell;
use crate::pattern;
use crate::plan::{TablePlan, TargetPlan, cells_relate};
use crate::sigma::compile_regex;

/// One row of a block, seen through the fields of one rule.
pub(crate) struct RowView<'s, 'a> {
    pub plan: &'s TablePlan,
    pub target: &'s TargetPlan,
    pub view: &'s BlockView<'a>,
    pub row: usize,
    pub regexes: &'s RegexCache,
}

/// Regular expressions compiled so far: compiling one takes far longer than running it.
#[derive(Debug, Default)]
pub(crate) struct RegexCache(RefCell<HashMap<Arc<str>, Option<Regex>>>);

impl RegexCache {
    fn is_match(&self, source: &Arc<str>, value: &str) -> bool {
        let mut compiled = self.0.borrow_mut();
        let regex = compiled.entry(Arc::clone(source)).or_insert_with(|| compile_regex(source).ok());
        regex.as_ref().is_some_and(|regex| regex.is_match(value))
    }
}

impl<'s> RowView<'s, '_> {
    /// The value of a field.
    pub fn cell(&self, field: &Field) -> Cell<'s> {
        let slot = self.target.fields.iter().find(|(known, _)| known == field).map(|(_, slot)| *slot);
        let Some(slot) = slot.map(|slot| &self.plan.slots[slot as usize]) else { return Cell::Absent };
        if slot.anywhere.is_some() {
            return self.view.texts(self.row);
        }
        self.view.reader(slot).cell(self.row)
    }

    /// Whether the rule's condition looks at every field of an expression.
    pub fn knows(&self, expression: &Expression) -> bool {
        let known = |field: &Field| self.target.fields.iter().any(|(known, _)| known == field);
        match expression {
            Expression::Constant(_) => true,
            Expression::Not(inner) => self.knows(inner),
            Expression::All(parts) | Expression::Any(parts) => parts.iter().all(|part| self.knows(part)),
            Expression::Test(test) => match &test.matcher {
                Matcher::Other { field, .. } => known(&test.field) && known(&Field::Named(Arc::clone(field))),
                _ => known(&test.field),
            },
        }
    }

    /// Whether the row is one of the rule's log source.
    pub fn in_source(&self) -> bool {
        self.plan.gates[self.target.gate as usize].conditions.iter().all(|(slot, patterns)| {
            let cell = self.view.reader(&self.plan.slots[*slot as usize]).cell(self.row);
            cell.values().iter().any(|value| patterns.iter().any(|pattern| pattern.matches(&pattern::fold(value))))
        })
    }

    /// What rows of the log source have: per column the patterns of which one must match, the values of this row, and
    /// whether one does.
    pub fn source_conditions(&self) -> impl Iterator<Item = (String, Vec<String>, Vec<String>, bool)> + '_ {
        self.plan.gates[self.target.gate as usize].conditions.iter().map(|(slot, patterns)| {
            let slot = &self.plan.slots[*slot as usize];
            let cell = self.view.reader(slot).cell(self.row);
            let holds = |value: &str| patterns.iter().any(|pattern| pattern.matches(&pattern::fold(value)));
            (
                slot.columns.first().map(|column| column.name.clone()).unwrap_or_default(),
                patterns.iter().map(ToString::to_string).collect(),
                cell.values().iter().map(ToString::to_string).collect(),
                cell.values().iter().any(|value| holds(value)),
            )
        })
    }

    /// Whether the expression holds.
    pub fn holds(&self, expression: &Expression) -> bool {
        match expression {
            Expression::Constant(value) => *value,
            Expression::Test(test) => self.test_holds(&test.field, &test.matcher).is_some(),
            Expression::Not(inner) => !self.holds(inner),
            Expression::All(parts) => parts.iter().all(|part| self.holds(part)),
            Expression::Any(parts) => parts.iter().any(|part| self.holds(part)),
        }
    }

    /// The value that meets a test; an absent one shows as an empty text.
    fn test_holds(&self, field: &Field, matcher: &Matcher) -> Option<String> {
        let cell = self.cell(field);
        if let Matcher::Other { field: other, relation, cased } = matcher {
            let other = self.cell(&Field::Named(other.clone()));
            let shown = cell.values().first().map(|value| value.to_string()).unwrap_or_default();
            return cells_relate(*relation, *cased, &cell, &other).then_some(shown);
        }
        match &cell {
            Cell::Absent => self.value_meets(matcher, None).then(String::new),
            present => present.values().iter().find(|v| self.value_meets(matcher, Some(v))).map(|v| v.to_string()),
        }
    }

    /// Fields and values that made the expression hold: tests outside of negations, each field and value once.
    pub fn evidence(&self, expression: &Expression) -> Vec<(String, String)> {
        let (mut pairs, mut known) = (Vec::new(), HashSet::new());
        self.each_met(expression, &mut |test, value| {
            let pair = (test.field.to_string(), value);
            if known.insert(pair.clone()) {
                pairs.push(pair);
            }
        });
        pairs
    }

    /// Calls back with every test outside of negations that made the expression hold, and the value that met it.
    pub fn each_met(&self, expression: &Expression, found: &mut impl FnMut(&Test, String)) {
        match expression {
            Expression::Constant(_) | Expression::Not(_) => {}
            Expression::Test(test) => {
                if let Some(value) = self.test_holds(&test.field, &test.matcher) {
                    found(test, value);
                }
            }
            Expression::All(parts) => parts.iter().for_each(|part| self.each_met(part, found)),
            Expression::Any(parts) => {
                parts.iter().filter(|part| self.holds(part)).for_each(|part| self.each_met(part, found));
            }
        }
    }

    /// Whether one value, or its absence, meets a test.
    fn value_meets(&self, matcher: &Matcher, value: Option<&str>) -> bool {
        let Some(value) = value else { return matches!(matcher, Matcher::Absent) };
        let number = || value.trim().parse::<f64>().ok();
        match matcher {
            Matcher::Absent | Matcher::Other { .. } => false,
            Matcher::Present => true,
            Matcher::Text { pattern, cased: true } => pattern.matches(value),
            Matcher::Text { pattern, cased: false } => pattern.folded().matches(&pattern::fold(value)),
            Matcher::Regex(source) => self.regexes.is_match(source, value),
            Matcher::Cidr(network) => network.contains(value),
            Matcher::Number(comparison, limit) => number().is_some_and(|value| comparison.holds(value, limit.0)),
            Matcher::Time(part, comparison, limit) => {
                part.of(value).is_some_and(|value| comparison.holds(value, limit.0))
            }
        }
    }
}
