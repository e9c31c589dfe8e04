//! `parse` and `parse-where`: columns cut out of a text by a pattern.

use std::sync::Arc;

use moneta_event::{Column, ColumnType};
use moneta_kql::syntax::{LiteralValue, ParseOperator, ParsePart};

use super::filter::Filter;
use super::project::Project;
use crate::binder::{Binder, Names, Row, codes};
use crate::bound::{Relation, ScalarExpr, ScalarNode};
use crate::functions::row::Answer;
use crate::functions::{Function, Nulls, registry};
use crate::json::Step;
use crate::value::Value;

/// A pattern as a regular expression with one group per column.
struct Pattern {
    regex: String,
    columns: Vec<Column>,
}

/// Matches a text against a regular expression: `[group, ...]`, or null.
static MATCH: Function = Function {
    nulls: Nulls::Handled,
    ..Function::row("kql_parse", &["(regex: string, text: string) -> dynamic"], |args, _| {
        let Some(regex) = crate::functions::string::regex(args[0].text()) else { return Answer::Null };
        let Some(found) = regex.captures(args[1].text()) else { return Answer::Null };
        let groups: Vec<serde_json::Value> =
            found.iter().skip(1).map(|group| group.map_or("", |g| g.as_str()).into()).collect();
        serde_json::Value::Array(groups).into()
    })
};

impl Binder<'_> {
    /// `parse kind=simple x with * "text" column:type *`.
    pub(crate) fn bind_parse(&mut self, input: Relation, node: &ParseOperator, filters: bool) -> Option<Relation> {
        let word = |name: &str| node.parameters.iter().find(|p| p.name.text == name).and_then(|p| p.word());
        let kind = word("kind").unwrap_or("simple").to_owned();
        let flags = word("flags").unwrap_or("").to_owned();
        let text = self.scalar(&node.expression, &mut Row::of(&input))?;
        let text = text.converted(ColumnType::String);
        let pattern = self.pattern(node, &kind, &flags)?;
        let regex = ScalarExpr::literal(Value::String(pattern.regex.clone()));
        self.check_regex(&regex, node.span)?;
        let matched_name: Arc<str> = format!("__parse{}", self.fresh()).into();
        let matched =
            ScalarExpr::new(ColumnType::Dynamic, ScalarNode::Call { function: &MATCH, args: vec![regex, text] });
        let mut with_match: Vec<(Column, ScalarExpr)> =
            input.columns.iter().map(|c| (c.clone(), ScalarExpr::column(c))).collect();
        let matched_column = Column { name: matched_name, column_type: ColumnType::Dynamic };
        with_match.push((matched_column.clone(), matched));
        let original: Vec<Column> = input.columns.to_vec();
        let staged = Project::relation("parse", input, with_match);
        let complete = self.all_converted(&matched_column, &pattern, kind != "relaxed");
        let staged = if filters { Filter::relation(staged, complete.clone()) } else { staged };
        self.parsed_columns(staged, original, &matched_column, &pattern, complete)
    }

    /// Whether the text matched and, unless relaxed, every conversion worked.
    fn all_converted(&mut self, matched: &Column, pattern: &Pattern, strict: bool) -> ScalarExpr {
        let test = |expression: ScalarExpr| {
            let function = registry().get("isnotnull").expect("isnotnull is declared");
            ScalarExpr::new(ColumnType::Bool, ScalarNode::Call { function, args: vec![expression] })
        };
        let mut tests = vec![test(ScalarExpr::column(matched))];
        if strict {
            let typed = pattern
                .columns
                .iter()
                .enumerate()
                .filter(|(_, c)| !matches!(c.column_type, ColumnType::String | ColumnType::Dynamic));
            tests.extend(typed.map(|(index, c)| test(group(matched, index).converted(c.column_type))));
        }
        ScalarExpr::new(ColumnType::Bool, ScalarNode::And(tests))
    }

    fn parsed_columns(
        &mut self,
        staged: Relation,
        original: Vec<Column>,
        matched: &Column,
        pattern: &Pattern,
        complete: ScalarExpr,
    ) -> Option<Relation> {
        let mut outputs: Vec<(Column, ScalarExpr)> =
            original.iter().map(|c| (c.clone(), ScalarExpr::column(c))).collect();
        let mut names = Names::of(&original);
        for (index, column) in pattern.columns.iter().enumerate() {
            let text = group(matched, index);
            let value = match column.column_type {
                ColumnType::Dynamic => {
                    let function = registry().get("parse_json")?;
                    let args = vec![text.converted(ColumnType::String)];
                    ScalarExpr::new(ColumnType::Dynamic, ScalarNode::Call { function, args })
                }
                other => text.converted(other),
            };
            let absent = ScalarExpr::literal(Value::null(column.column_type));
            let branches = vec![(complete.clone(), value)];
            let chosen = ScalarNode::Conditional { branches, otherwise: Box::new(absent) };
            let chosen = ScalarExpr::new(column.column_type, chosen);
            match outputs.iter_mut().find(|(known, _)| *known == *column) {
                Some(place) => place.1 = chosen,
                // A column of the same name and another type stays.
                None => outputs.push((Column::new(&names.unique(&column.name), column.column_type), chosen)),
            }
        }
        Some(Project::relation("parse", staged, outputs))
    }

    fn pattern(&mut self, node: &ParseOperator, kind: &str, flags: &str) -> Option<Pattern> {
        let is_regex = kind == "regex";
        let mut regex = String::new();
        let mut columns: Vec<Column> = Vec::new();
        let mut names = Names::default();
        let own_flags: String = flags.chars().filter(|c| "imsU".contains(*c)).collect();
        match (is_regex, own_flags.is_empty()) {
            (true, true) => {}
            (true, false) => regex.push_str(&format!("(?{own_flags})")),
            (false, _) => regex.push_str("(?s)^"),
        }
        for (position, part) in node.pattern.iter().enumerate() {
            let is_last = position + 1 == node.pattern.len();
            match part {
                ParsePart::Star(_) if is_regex => regex.push_str(".*?"),
                ParsePart::Star(_) => regex.push_str(if is_last { ".*" } else { ".*?" }),
                ParsePart::Text(expression) => {
                    let Some(LiteralValue::String(text)) = expression.as_literal().map(|l| &l.value) else {
                        let bound = self.scalar(expression, &mut Row::none())?;
                        match bound.as_literal().and_then(Value::as_str) {
                            Some(text) => regex.push_str(&regex::escape(text)),
                            None => {
                                return self.fail(
                                    codes::CONSTANT_EXPECTED,
                                    expression.span(),
                                    "a constant text is expected",
                                );
                            }
                        }
                        continue;
                    };
                    if is_regex {
                        regex.push_str(&format!("(?:{})", text.value))
                    } else {
                        regex.push_str(&regex::escape(&text.value))
                    }
                }
                ParsePart::Column(column) => {
                    let column_type = match &column.ty {
                        Some(name) => self.declared_type(name)?,
                        None => ColumnType::String,
                    };
                    // A relaxed column takes any text, and is null if it is no number.
                    let numeric = match column_type {
                        _ if kind == "relaxed" => None,
                        ColumnType::Int | ColumnType::Long => Some(r"\s*(-?\d+)\s*"),
                        ColumnType::Real | ColumnType::Decimal => Some(r"\s*(-?\d*\.?\d+(?:[eE][-+]?\d+)?)\s*"),
                        _ => None,
                    };
                    let greedy = is_regex || is_last;
                    regex.push_str(numeric.unwrap_or(if greedy { "(.*)" } else { "(.*?)" }));
                    if names.contains(&column.name.text) {
                        let message = format!("the column `{}` is parsed twice", column.name.text);
                        return self.fail(codes::DUPLICATE, column.span, message);
                    }
                    names.insert(&column.name.text);
                    columns.push(Column::new(&column.name.text, column_type));
                }
            }
        }
        if !is_regex {
            regex.push('$');
        }
        Some(Pattern { regex, columns })
    }
}

/// The text of a group of a match.
fn group(matched: &Column, index: usize) -> ScalarExpr {
    let step = Step::Index(i64::try_from(index).unwrap_or(i64::MAX));
    let node = ScalarNode::Path { base: Box::new(ScalarExpr::column(matched)), steps: vec![step] };
    ScalarExpr::new(ColumnType::Dynamic, node)
}
