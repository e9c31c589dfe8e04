//! Which queries look at every row by itself, and how such a query is asked about some rows only.
//!
//! Everything is told from the text of the query alone, and on the safe side: a query whose answer could depend on two
//! rows, or on another table, is not one of these.

use std::collections::BTreeSet;

use moneta_kql::lexer::tokenize;
use moneta_kql::parse;
use moneta_kql::syntax::{Expression, LetValue, Operator, PipeExpression, Span, Statement};

/// Functions that look beyond the row they stand in, or bring rows of elsewhere.
const BEYOND_THE_ROW: [&str; 19] = [
    "toscalar",
    "totable",
    "materialize",
    "prev",
    "next",
    "row_number",
    "row_cumsum",
    "row_rank_dense",
    "row_rank_min",
    "row_window_session",
    "table",
    "database",
    "cluster",
    "workspace",
    "app",
    "external_table",
    "materialized_view",
    "cursor_after",
    "rand",
];

/// A query that can be asked about a range of rows of its one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// The table.
    pub table: String,
    query: String,
    /// Where the table is named.
    source: Span,
}

impl Arrival {
    /// The query as one on arriving rows, if it is.
    #[must_use]
    pub fn of(query: &str) -> Option<Self> {
        let parsed = parse(query);
        if parsed.has_errors() {
            return None;
        }
        let (last, before) = parsed.tree.statements.split_last()?;
        let mut values = BTreeSet::new();
        for statement in before {
            let Statement::Let(declared) = statement else { return None };
            let LetValue::Expression(value) = &declared.value else { return None };
            if !is_value(value, query, &values) {
                return None;
            }
            values.insert(declared.name.text.as_str());
        }
        let Statement::Query(last) = last else { return None };
        let pipe = pipe_of(&last.expression)?;
        let Some(Expression::Name(table)) = &pipe.source else { return None };
        let is_local = |operator| is_row_local(operator, query, &values);
        if values.contains(table.text.as_str()) || !pipe.operators.iter().all(is_local) {
            return None;
        }
        Some(Self { table: table.text.clone(), query: query.to_owned(), source: table.span })
    }

    /// The query about the rows with `_Seq` in `[from, to)`.
    #[must_use]
    pub fn over(&self, from: u64, to: u64) -> String {
        let (before, after) = (&self.query[..self.source.start], &self.query[self.source.end..]);
        let table = self.source.text(&self.query);
        format!("{before}{table} | where _Seq >= {from} and _Seq < {to}{after}")
    }
}

fn pipe_of(expression: &Expression) -> Option<&PipeExpression> {
    match expression.unparenthesized() {
        Expression::Pipe(pipe) => Some(pipe),
        _ => None,
    }
}

fn is_row_local(operator: &Operator, query: &str, values: &BTreeSet<&str>) -> bool {
    let works_by_row = matches!(
        operator,
        Operator::Where(_)
            | Operator::Extend(_)
            | Operator::Project(_)
            | Operator::ProjectAway(_)
            | Operator::ProjectKeep(_)
            | Operator::ProjectRename(_)
            | Operator::ProjectReorder(_)
            | Operator::Parse(_)
            | Operator::ParseWhere(_)
            | Operator::ParseKv(_)
            | Operator::MvExpand(_)
            | Operator::Sort(_)
    );
    works_by_row && stays_in_the_row(operator.span(), query, values)
}

/// Whether what a `let` names is a value: no rows, no function.
fn is_value(value: &Expression, query: &str, values: &BTreeSet<&str>) -> bool {
    match value.unparenthesized() {
        Expression::Literal(_) => true,
        Expression::Name(name) => values.contains(name.text.as_str()),
        Expression::Call(_)
        | Expression::Unary(_)
        | Expression::Binary(_)
        | Expression::Logical(_)
        | Expression::Element(_)
        | Expression::Path(_) => stays_in_the_row(value.span(), query, values),
        _ => false,
    }
}

/// Whether an expression reads nothing but its row: no query inside, no function of its own kind, no list that is a
/// table.
fn stays_in_the_row(span: Span, query: &str, values: &BTreeSet<&str>) -> bool {
    let text = span.text(query);
    let tokens: Vec<&str> = tokenize(text).into_iter().map(|token| token.span.text(text)).collect();
    // The bar before the operator is not part of it; one inside begins a query of its own.
    if tokens.iter().any(|token| *token == "|" || token.eq_ignore_ascii_case("datatable") || *token == "externaldata") {
        return false;
    }
    let is_word = |token: &str| token.starts_with(|c: char| c.is_alphabetic() || c == '_');
    let calls_beyond = tokens.windows(2).any(|pair| {
        // Built-in functions begin with a small letter; others may read tables.
        let is_built_in = pair[0].starts_with(|c: char| c.is_ascii_lowercase());
        pair[1] == "(" && is_word(pair[0]) && (!is_built_in || BEYOND_THE_ROW.contains(&pair[0]))
    });
    let reads_table = tokens.windows(4).any(|four| {
        let takes_list = four[0].trim_start_matches('!').trim_end_matches('~');
        let takes_list = takes_list == "in" || takes_list == "has_any" || takes_list == "has_all";
        takes_list && four[1] == "(" && is_word(four[2]) && four[3] == ")" && !values.contains(four[2])
    });
    let bare_list = tokens.windows(2).any(|pair| {
        let takes_list = ["in", "!in", "in~", "!in~", "has_any", "has_all"].contains(&pair[0]);
        takes_list && is_word(pair[1]) && !values.contains(pair[1])
    });
    !calls_beyond && !reads_table && !bare_list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_of_filters_and_columns_over_one_table_runs_on_arrival() {
        let query = "let age = 1d;\nlet bad = dynamic(['a', 'b']);\nSecurityEvent | where TimeGenerated > ago(age) and Account in (bad)\n| extend x = tolower(Account) | project x, EventID";
        let arrival = Arrival::of(query).unwrap();
        assert_eq!(arrival.table, "SecurityEvent");
        let asked = arrival.over(5, 9);
        assert!(
            asked.contains("SecurityEvent | where _Seq >= 5 and _Seq < 9 | where TimeGenerated > ago(age)"),
            "{asked}"
        );
        assert!(!parse(&asked).has_errors());
    }

    #[test]
    fn a_query_over_several_rows_or_tables_does_not() {
        for query in [
            "T | summarize count() by a",
            "T | take 5",
            "T | distinct a",
            "T | join (U) on a",
            "union T, U | where a == 1",
            "T | where a in ((U | project a))",
            "T | where a in (U)",
            "let x = U | project a; T | where a in (x)",
            "let x = U; T | where a in (x)",
            "let f = () { U }; T | where a == 1",
            "let m = toscalar(U | summarize max(a)); T | where a == m",
            "T | where a == toscalar(U | count)",
            "T | extend p = prev(a)",
            "let T2 = 5; T2 | where a == 1",
            "T | where Custom(a)",
            "T",
            "T | where a in (_GetWatchlist('x'))",
            "_Im_Dns() | where a == 1",
            "print 1",
            "T | where a ==",
        ] {
            assert_eq!(Arrival::of(query), None, "{query}");
        }
    }
}
