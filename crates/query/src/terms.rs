//! What filters demand of the words of a row, for the term index of a segment.
//!
//! Only what certainly holds for every row that passes counts; all else is "any row", so that asking the index can only
//! be too generous. The filters themselves are still applied to the rows that are left.

use datafusion::logical_expr::expr::{InList, ScalarFunction};
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};
use datafusion::scalar::ScalarValue;
use moneta_event::terms::{Case, Edges, Needle, TermCondition, TextKind};
use moneta_event::{Column, ColumnType};
use moneta_kql::syntax::ListOperator;
use moneta_kql_plan::functions::lists::ListFunction;
use moneta_kql_plan::functions::path::PathFunction;
use moneta_kql_plan::functions::terms::{TextFunction, TextOperator, TextTest};
use moneta_kql_plan::json;
use moneta_store::TimeRange;
use regex_syntax::hir::{Hir, HirKind};

use crate::prune::{is_only_times, times_of_filters};

/// Filters within filters that are looked into.
const DEPTH_MAX: usize = 32;
/// Values of a list that are looked up at most; a longer list reads the column.
const LIST_MAX: usize = 1_024;

/// What rows must have for all of `filters` to let them pass.
pub(crate) fn terms_of_filters(filters: &[Expr], columns: &[Column]) -> TermCondition {
    let table = Table { columns };
    all(filters.iter().map(|filter| table.condition(filter, 0)).collect())
}

/// What filters come to when the rows that pass them may be counted without reading one.
#[derive(Debug, Clone)]
pub(crate) struct Counted {
    /// The times that rows lie between.
    pub(crate) times: TimeRange,
    /// The term they have; none when only times are asked for.
    pub(crate) term: Option<CountedTerm>,
}

/// A term, and the column whose texts are to have it.
pub(crate) type CountedTerm = (String, Needle);

/// What all of `filters` come to, if they are bounds of time and at most one `has` of one word in one column.
pub(crate) fn counted(filters: &[Expr], columns: &[Column]) -> Option<Counted> {
    let mut others = filters.iter().filter(|filter| !is_only_times(filter));
    let term = match (others.next(), others.next()) {
        (None, _) => None,
        (Some(only), None) => Some(counted_term(only, columns)?),
        _ => return None,
    };
    Some(Counted { times: times_of_filters(filters), term })
}

fn counted_term(filter: &Expr, columns: &[Column]) -> Option<CountedTerm> {
    let Expr::ScalarFunction(call) = without_alias(filter) else { return None };
    let operator = call.func.inner().downcast_ref::<TextFunction>()?.operator();
    if operator != (TextOperator { test: TextTest::Has, case_sensitive: false, negated: false }) {
        return None;
    }
    let [text, needle] = call.args.as_slice() else { return None };
    let needle = Needle::new(constant(needle)?, Edges::BOTH, Case::Insensitive);
    let column = match without_alias(text) {
        Expr::Column(column) => column,
        Expr::ScalarFunction(call) if is_to_string(call) => match call.args.as_slice() {
            [Expr::Column(column)] => column,
            _ => return None,
        },
        _ => return None,
    };
    let own = columns.iter().find(|own| *own.name == *column.name)?;
    let is_indexed = TextKind::of(own.column_type).is_some();
    (is_indexed && needle.is_one_term()).then(|| (column.name.clone(), needle))
}

/// Whether a function only writes a value as text.
fn is_to_string(call: &ScalarFunction) -> bool {
    call.func.name() == "kql_to_string"
}

fn without_alias(expr: &Expr) -> &Expr {
    match expr {
        Expr::Alias(alias) => without_alias(&alias.expr),
        other => other,
    }
}

/// All of some conditions, without those that say nothing.
fn all(mut parts: Vec<TermCondition>) -> TermCondition {
    parts.retain(|part| !part.is_unknown());
    match <[TermCondition; 1]>::try_from(parts) {
        Ok([only]) => only,
        Err(parts) => TermCondition::All(parts),
    }
}

/// One of some conditions.
fn any(parts: Vec<TermCondition>) -> TermCondition {
    if parts.iter().any(TermCondition::is_unknown) { TermCondition::UNKNOWN } else { TermCondition::Any(parts) }
}

/// No row.
fn none() -> TermCondition {
    TermCondition::Any(Vec::new())
}

/// The text that a filter looks at.
enum Text<'a> {
    /// A column's, or what stands in it.
    Indexed(&'a str),
    /// What a value of another type reads like.
    Rendered(ColumnType),
}

struct Table<'a> {
    columns: &'a [Column],
}

impl Table<'_> {
    fn condition(&self, filter: &Expr, depth: usize) -> TermCondition {
        if depth > DEPTH_MAX {
            return TermCondition::UNKNOWN;
        }
        match filter {
            Expr::Alias(alias) => self.condition(&alias.expr, depth + 1),
            Expr::BinaryExpr(BinaryExpr { op: Operator::And, .. }) => {
                let parts = operands(filter, Operator::And);
                all(parts.into_iter().map(|part| self.condition(part, depth + 1)).collect())
            }
            Expr::BinaryExpr(BinaryExpr { op: Operator::Or, .. }) => {
                let parts = operands(filter, Operator::Or);
                any(parts.into_iter().map(|part| self.condition(part, depth + 1)).collect())
            }
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => {
                let (text, value) = if constant(left).is_some() { (right, left) } else { (left, right) };
                self.equal(text, constant(value))
            }
            Expr::InList(InList { expr, list, negated: false }) if list.len() <= LIST_MAX => {
                any(list.iter().map(|value| self.equal(expr, constant(value))).collect())
            }
            Expr::ScalarFunction(call) => self.call(call),
            _ => TermCondition::UNKNOWN,
        }
    }

    fn equal(&self, text: &Expr, value: Option<&str>) -> TermCondition {
        match (self.text(text), value) {
            // Only columns of text are compared with texts as they are.
            (Some(Text::Indexed(_)), Some(value)) => self.has(text, value, Edges::BOTH, Case::Sensitive),
            _ => TermCondition::UNKNOWN,
        }
    }

    fn call(&self, call: &ScalarFunction) -> TermCondition {
        let [text, needle] = call.args.as_slice() else { return TermCondition::UNKNOWN };
        let Some(needle) = constant(needle) else { return TermCondition::UNKNOWN };
        if let Some(function) = call.func.inner().downcast_ref::<TextFunction>() {
            return self.text_operator(text, function.operator(), needle);
        }
        match call.func.inner().downcast_ref::<ListFunction>() {
            Some(function) => self.list_operator(text, function.operator(), needle),
            None => TermCondition::UNKNOWN,
        }
    }

    fn text_operator(&self, text: &Expr, operator: TextOperator, needle: &str) -> TermCondition {
        if operator.negated {
            return TermCondition::UNKNOWN;
        }
        let edges = match operator.test {
            TextTest::Equal | TextTest::Has => Edges::BOTH,
            TextTest::HasPrefix | TextTest::StartsWith => Edges::START,
            TextTest::HasSuffix | TextTest::EndsWith => Edges::END,
            TextTest::Contains => Edges::NONE,
            TextTest::Regex => {
                let parsed = regex_syntax::parse(needle);
                return parsed.map_or(TermCondition::UNKNOWN, |hir| self.regex(text, &hir, 0));
            }
        };
        let case = if operator.case_sensitive { Case::Sensitive } else { Case::Insensitive };
        self.has(text, needle, edges, case)
    }

    /// What stands in every text that an expression matches.
    fn regex(&self, text: &Expr, hir: &Hir, depth: usize) -> TermCondition {
        if depth > DEPTH_MAX {
            return TermCondition::UNKNOWN;
        }
        let each = |parts: &[Hir]| parts.iter().map(|part| self.regex(text, part, depth + 1)).collect();
        match hir.kind() {
            HirKind::Literal(literal) => match std::str::from_utf8(&literal.0) {
                Ok(literal) => self.has(text, literal, Edges::NONE, Case::Sensitive),
                Err(_) => TermCondition::UNKNOWN,
            },
            HirKind::Capture(capture) => self.regex(text, &capture.sub, depth + 1),
            HirKind::Repetition(repetition) if repetition.min > 0 => self.regex(text, &repetition.sub, depth + 1),
            HirKind::Concat(parts) => all(each(parts)),
            HirKind::Alternation(parts) => any(each(parts)),
            _ => TermCondition::UNKNOWN,
        }
    }

    fn list_operator(&self, text: &Expr, operator: ListOperator, list: &str) -> TermCondition {
        let Some(elements) = json::elements(list).filter(|elements| elements.len() <= LIST_MAX) else {
            return TermCondition::UNKNOWN;
        };
        let case = if operator == ListOperator::In { Case::Sensitive } else { Case::Insensitive };
        let has = |element: &&str| self.has(text, &json::to_text(element), Edges::BOTH, case);
        let parts = elements.iter().map(has).collect();
        match operator {
            ListOperator::In | ListOperator::InCaseless | ListOperator::HasAny => any(parts),
            ListOperator::HasAll => all(parts),
            ListOperator::NotIn | ListOperator::NotInCaseless => TermCondition::UNKNOWN,
        }
    }

    fn has(&self, text: &Expr, needle: &str, edges: Edges, case: Case) -> TermCondition {
        match self.text(text) {
            Some(Text::Indexed(column)) => {
                TermCondition::Has { column: column.to_owned(), needle: Needle::new(needle, edges, case) }
            }
            Some(Text::Rendered(column_type)) if !may_read(column_type, needle) => none(),
            Some(Text::Rendered(_)) | None => TermCondition::UNKNOWN,
        }
    }

    /// What a filter looks at, as far as it is a column, the text of one, or the text at a path of one: both stand in
    /// the column's JSON text.
    fn text<'e>(&self, expr: &'e Expr) -> Option<Text<'e>> {
        match expr {
            Expr::Column(column) => {
                let own = self.columns.iter().find(|own| *own.name == *column.name)?;
                Some(match TextKind::of(own.column_type) {
                    Some(_) => Text::Indexed(&column.name),
                    None => Text::Rendered(own.column_type),
                })
            }
            Expr::ScalarFunction(call) => {
                let [inner] = call.args.as_slice() else { return None };
                let is_path = call.func.inner().downcast_ref::<PathFunction>().is_some();
                (is_path || is_to_string(call)).then(|| self.text(inner)).flatten()
            }
            _ => None,
        }
    }
}

/// The parts that an operator joins, however they are nested.
fn operands(expr: &Expr, operator: Operator) -> Vec<&Expr> {
    let (mut parts, mut pending) = (Vec::new(), vec![expr]);
    while let Some(next) = pending.pop() {
        match next {
            Expr::BinaryExpr(BinaryExpr { left, op, right }) if *op == operator => pending.extend([&**right, &**left]),
            part => parts.push(part),
        }
    }
    parts
}

fn constant(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Literal(ScalarValue::Utf8(Some(text)), _) => Some(text),
        _ => None,
    }
}

/// Whether the text of a value can hold a needle: numbers and times have few letters.
fn may_read(column_type: ColumnType, needle: &str) -> bool {
    let letters = match column_type {
        ColumnType::Int | ColumnType::Long | ColumnType::TimeSpan => "",
        ColumnType::Decimal => "e",
        ColumnType::DateTime => "tz",
        ColumnType::Bool => "trufals",
        ColumnType::Real => "naiftye",
        ColumnType::String | ColumnType::Dynamic | ColumnType::Guid => return true,
    };
    needle.chars().all(|c| !c.is_alphabetic() || c.to_lowercase().all(|c| letters.contains(c)))
}

#[cfg(test)]
mod tests {
    use datafusion::prelude::{col, lit};
    use moneta_event::schema::standard;
    use moneta_kql::syntax::BinaryOperator;

    use super::*;

    fn columns() -> Vec<Column> {
        let column = |name: &str, column_type| Column::new(name, column_type);
        vec![column("s", ColumnType::String), column("d", ColumnType::Dynamic), column("n", ColumnType::Long)]
    }

    fn text(operator: BinaryOperator, column: Expr, needle: &str) -> Expr {
        TextFunction::call(TextOperator::of(operator).unwrap(), column, lit(needle))
    }

    fn check(filter: Expr, expected: &str) {
        assert_eq!(terms_of_filters(&[filter], &columns()).to_string(), expected);
    }

    #[test]
    fn text_operators_demand_words() {
        use BinaryOperator as B;
        check(text(B::Has, col("s"), "cmd.exe"), "s:cmd & s:exe");
        check(text(B::HasPrefix, col("s"), "Pow"), "s:pow*");
        check(text(B::Contains, col("s"), "ower"), "s:*ower*");
        check(text(B::Contains, col("s"), "a b.exe -nop c"), "s:exe & s:nop");
        check(text(B::EndsWith, col("s"), "cmd.exe"), "s:exe");
        check(text(B::EqualCaseless, col("d"), "Admin"), "d:admin");
        check(text(B::MatchesRegex, col("s"), "^(abc|bcd)+x[0-9]evil$"), "((s:*abc* | s:*bcd*) & s:*evil*)");
        check(text(B::NotHas, col("s"), "word"), "()");
        check(text(B::Has, col("s"), "ab"), "()");
        check(text(B::MatchesRegex, col("s"), "(?i)evil"), "()");
    }

    #[test]
    fn conditions_are_joined_and_lists_looked_up() {
        check(col("s").eq(lit("one two")), "s:one & s:two");
        check(col("s").eq(lit("one")).and(col("n").eq(lit(4i64))), "s:one");
        check(col("s").eq(lit("one")).or(col("n").eq(lit(4i64))), "()");
        check(col("s").in_list(vec![lit("one"), lit("two")], false), "(s:one | s:two)");
        check(col("s").in_list(vec![lit("one"), lit("x")], false), "()");
        let list = |operator| ListFunction::call(operator, col("s"), lit(r#"["Any","All"]"#));
        check(list(ListOperator::HasAny), "(s:any | s:all)");
        check(list(ListOperator::HasAll), "(s:any & s:all)");
        check(list(ListOperator::NotInCaseless), "()");
    }

    #[test]
    fn one_word_of_one_column_can_be_counted() {
        use BinaryOperator as B;
        let counted = |filters: &[Expr]| counted(filters, &columns());
        let column = |filters: &[Expr]| counted(filters).and_then(|counted| counted.term).map(|(column, _)| column);
        let word = || text(B::Has, col("s"), "Word");
        assert_eq!(column(&[word()]).as_deref(), Some("s"));
        assert_eq!(column(&[word().alias("x")]).as_deref(), Some("s"));
        for other in [
            text(B::HasCs, col("s"), "word"),
            text(B::NotHas, col("s"), "word"),
            text(B::EqualCaseless, col("s"), "word"),
            text(B::HasPrefix, col("s"), "word"),
            text(B::Has, col("s"), "two words"),
            text(B::Has, col("s"), "ab"),
            text(B::Has, col("n"), "1234"),
            word().and(col("n").eq(lit(4i64))),
        ] {
            assert!(counted(&[other]).is_none());
        }
        assert!(counted(&[word(), word()]).is_none());
        let time = Expr::Column(datafusion::common::Column::from_name(standard::TIME_GENERATED));
        let at = |nanos| lit(ScalarValue::TimestampNanosecond(Some(nanos), Some("UTC".into())));
        let within = counted(&[time.clone().gt(at(3)), word(), time.lt(at(9))]).unwrap();
        assert!(within.term.is_some());
        assert_eq!((within.times.from.as_nanos(), within.times.to.as_nanos()), (3, 9));
        assert!(counted(&[]).is_some_and(|counted| counted.term.is_none() && counted.times == TimeRange::ALL));
    }

    #[test]
    fn words_are_not_sought_in_numbers() {
        let has =
            |needle: &str| text(BinaryOperator::Has, col("s"), needle).or(text(BinaryOperator::Has, col("n"), needle));
        check(has("word"), "(s:word | ())");
        check(has("4624"), "()");
    }
}
