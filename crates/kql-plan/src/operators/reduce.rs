//! `reduce by text`: groups texts that are alike.
//!
//! Each text is cut into terms. A term is frequent at its position if it stands there in more than `threshold` of all
//! texts; the frequent terms of a text, with `*` for the others, are its pattern. Whole numbers are never frequent:
//! they tell texts apart, not kinds of texts. Texts without a frequent term fall into one group called `others`.
//!
//! # Source
//! Vaarandi, A Data Clustering Algorithm for Mining Patterns From Event Logs (2003), which Kusto names; the treatment
//! of numbers and of separators beside a `*` is ours, chosen to fit the documented results.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use moneta_event::{Column, ColumnType};
use moneta_kql::syntax::ReduceOperator;

use super::gathered::{Gathered, Gathering, Work};
use super::project::Project;
use crate::binder::{Binder, Names, Row, codes};
use crate::bound::{Relation, ScalarExpr};
use crate::functions::row::{Builder, Reader};
use crate::value::Value;

/// The share of texts a term must stand in where nothing is said.
const THRESHOLD: f64 = 0.1;
/// The terms of a text that are looked at; the rest counts as different.
const TERMS_MAX: usize = 1_024;
/// The name of the group of texts that are like no others.
const OTHERS: &str = "others";

/// The operator.
#[derive(Debug)]
struct Reduce {
    threshold: f64,
    /// What separates terms; `None` for whatever is not a letter or digit.
    separators: Option<Vec<char>>,
    /// Whether the pattern is added to each row.
    kind_source: bool,
}

/// A term with the separators before it.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Term<'t> {
    before: &'t str,
    text: &'t str,
}

/// A group of texts.
struct Group<'t> {
    count: i64,
    representative: &'t str,
}

impl Gathering for Reduce {
    fn name(&self) -> &'static str {
        "reduce"
    }

    fn details(&self) -> String {
        format!("threshold {}", self.threshold)
    }

    fn run(&self, inputs: &[RecordBatch], work: &Work) -> Result<Vec<ArrayRef>, String> {
        let (texts, own) = inputs[0].columns().split_last().ok_or("there is nothing to reduce")?;
        let reader = Reader::of(texts);
        let texts: Vec<&str> = (0..inputs[0].num_rows()).map(|row| reader.get(row).text()).collect();
        let patterns = self.patterns(&texts, work)?;
        if self.kind_source {
            let mut builder = Builder::new(ColumnType::String, texts.len());
            patterns.iter().for_each(|pattern| builder.push(pattern.as_str().into()));
            return Ok(own.iter().cloned().chain([builder.finish()]).collect());
        }
        Ok(grouped(&texts, &patterns))
    }
}

impl Reduce {
    /// The terms of a text, and what stands after the last.
    fn terms<'t>(&self, text: &'t str) -> (Vec<Term<'t>>, &'t str) {
        let separates = |c: char| match &self.separators {
            Some(separators) => separators.contains(&c),
            None => !c.is_alphanumeric(),
        };
        let mut terms = Vec::new();
        let mut rest = text;
        while terms.len() < TERMS_MAX {
            let Some(start) = rest.find(|c| !separates(c)) else { break };
            let end = rest[start..].find(separates).map_or(rest.len(), |length| start + length);
            terms.push(Term { before: &rest[..start], text: &rest[start..end] });
            rest = &rest[end..];
        }
        (terms, rest)
    }

    /// The pattern of each text.
    fn patterns(&self, texts: &[&str], work: &Work) -> Result<Vec<String>, String> {
        let mut counts: HashMap<(usize, &str), usize> = HashMap::new();
        for (row, text) in texts.iter().enumerate() {
            if row % 4_096 == 0 {
                work.check()?;
            }
            for (position, term) in self.terms(text).0.into_iter().enumerate() {
                *counts.entry((position, term.text)).or_default() += 1;
            }
        }
        let least = self.threshold * count_real(texts.len());
        let frequent = |position: usize, term: &Term<'_>| {
            let is_number = term.text.bytes().all(|b| b.is_ascii_digit());
            !is_number && counts.get(&(position, term.text)).is_some_and(|count| count_real(*count) > least)
        };
        Ok(texts.iter().map(|text| self.pattern(text, &frequent)).collect())
    }

    fn pattern(&self, text: &str, frequent: &dyn Fn(usize, &Term<'_>) -> bool) -> String {
        let (terms, rest) = self.terms(text);
        if !terms.iter().enumerate().any(|(position, term)| frequent(position, term)) {
            return OTHERS.to_owned();
        }
        let mut pattern = String::new();
        for (position, term) in terms.iter().enumerate() {
            let kept = frequent(position, term);
            // Separators the query chose itself belong to the wildcard beside them.
            if self.separators.is_none() || (kept && !pattern.ends_with('*')) {
                pattern.push_str(term.before);
            }
            if kept {
                pattern.push_str(term.text);
            } else if !pattern.ends_with('*') {
                pattern.push('*');
            }
        }
        pattern.push_str(rest);
        pattern
    }
}

fn count_real(count: usize) -> f64 {
    crate::functions::row::long_to_real(i64::try_from(count).unwrap_or(i64::MAX))
}

/// Pattern, count and representative of each group, the largest first, and `others` last.
fn grouped(texts: &[&str], patterns: &[String]) -> Vec<ArrayRef> {
    let mut groups: HashMap<&str, Group<'_>> = HashMap::new();
    let mut order: Vec<&str> = Vec::new();
    for (text, pattern) in texts.iter().zip(patterns) {
        let group = groups.entry(pattern).or_insert_with(|| {
            order.push(pattern);
            Group { count: 0, representative: if pattern == OTHERS { "" } else { text } }
        });
        group.count += 1;
    }
    order.sort_by_key(|pattern| (*pattern == OTHERS, -groups.get(pattern).map_or(0, |group| group.count)));
    let mut builders = [ColumnType::String, ColumnType::Long, ColumnType::String].map(|t| Builder::new(t, order.len()));
    for pattern in order {
        let Some(group) = groups.get(pattern) else { continue };
        builders[0].push(pattern.into());
        builders[1].push(group.count.into());
        builders[2].push(group.representative.into());
    }
    builders.into_iter().map(Builder::finish).collect()
}

impl Binder<'_> {
    /// `reduce kind=source by x with threshold = 0.1, characters = "-"`.
    pub(crate) fn bind_reduce(&mut self, input: Relation, node: &ReduceOperator) -> Option<Relation> {
        let kind = node.parameters.iter().find(|p| p.name.text == "kind");
        let kind_source = match kind.map(|p| (p.word(), p.span)) {
            None => false,
            Some((Some("source"), _)) => true,
            Some((_, span)) => return self.fail(codes::UNKNOWN_WORD, span, "reduce knows only kind=source"),
        };
        let text = self.scalar(&node.by.expression, &mut Row::of(&input))?.converted(ColumnType::String);
        let mut reduce = Reduce { threshold: THRESHOLD, separators: None, kind_source };
        for setting in &node.with {
            let name = setting.name().map_or("", |name| name.text.as_str());
            let bound = self.scalar(&setting.expression, &mut Row::none())?;
            match (name, bound.as_literal()) {
                ("threshold", Some(value))
                    if crate::fold::cell(value).real().is_some_and(|t| (0.0..=1.0).contains(&t)) =>
                {
                    reduce.threshold = crate::fold::cell(value).real().unwrap_or(THRESHOLD);
                }
                ("characters", Some(Value::String(characters))) => {
                    reduce.separators = Some(characters.chars().collect());
                }
                _ => {
                    let message = "reduce takes a threshold from 0 to 1 and a text of characters";
                    return self.fail(codes::UNKNOWN_WORD, setting.span, message);
                }
            }
        }
        let own: Vec<Column> = Row::of(&input).columns.to_vec();
        let mut names = Names::of(&own);
        let string = |name: &str| Column::new(name, ColumnType::String);
        let columns = if kind_source {
            own.iter().cloned().chain([string(&names.unique("Pattern"))]).collect()
        } else {
            vec![string("Pattern"), Column::new("Count", ColumnType::Long), string("Representative")]
        };
        let order = Arc::clone(&input.order);
        let kept = if kind_source { own } else { Vec::new() };
        let mut staged: Vec<(Column, ScalarExpr)> =
            kept.into_iter().map(|c| (c.clone(), ScalarExpr::column(&c))).collect();
        staged.push((string("__text"), text));
        let staged = Project::relation("reduce", input, staged);
        let result = Gathered::relation(vec![staged], columns, reduce);
        Some(if kind_source { result.ordered(order) } else { result })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(characters: Option<&str>, threshold: f64, texts: &[&str], expected: &[&str]) {
        let separators = characters.map(|c| c.chars().collect());
        let reduce = Reduce { threshold, separators, kind_source: false };
        assert_eq!(reduce.patterns(texts, &Work::default()).unwrap(), expected);
    }

    #[test]
    fn terms_that_vary_become_stars() {
        let texts = ["user anna logged in", "user bob logged in", "user carl logged in"];
        check(None, 0.4, &texts, &["user * logged in"; 3]);
    }

    #[test]
    fn chosen_separators_belong_to_the_star() {
        check(Some("Z"), 0.1, &["fooZ1", "fooZ2", "fooZ3"], &["foo*"; 3]);
    }

    #[test]
    fn texts_like_no_other_are_others() {
        check(None, 0.5, &["alpha", "beta", "gamma"], &["others"; 3]);
    }
}
