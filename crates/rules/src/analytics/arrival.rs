//! Which queries look at every row by itself, and how such a query is asked about some rows only.
//!
//! Everything is told from the text of the query alone, and on the safe side: a query whose answer could depend on two
//! rows together is not one of these. Rows of several tables may come together in a `union`: each is still looked at by
//! itself.

use std::collections::{BTreeMap, BTreeSet};

use moneta_event::catalog::read_with;
use moneta_kql::lexer::tokenize;
use moneta_kql::parse;
use moneta_kql::syntax::{
    Expression, LetValue, LogicalOperator, Operator, OperatorParameter, PipeExpression, Span, Statement, UnionOperator,
};

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

/// A query that can be asked about a range of rows of each of its tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    query: String,
    /// Where tables are named, in order.
    sources: Vec<Source>,
}

/// A table in a query.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Source {
    table: String,
    span: Span,
    /// Whether what restricts it must stand in parentheses: among the tables of a `union`.
    in_list: bool,
}

/// One operator of a query about rows of one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// As it is written.
    pub text: String,
    /// The query without it and what follows.
    pub before: String,
    /// Of a `where`, what must all hold, as it is written.
    pub conditions: Vec<String>,
}

/// What names stand for that `let` declares.
#[derive(Default)]
struct Declared<'a> {
    /// Values, and constant tables.
    values: BTreeSet<&'a str>,
    /// Rows of tables, with where these are named.
    rows: BTreeMap<&'a str, Vec<Source>>,
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
        let mut declared = Declared::default();
        for statement in before {
            let Statement::Let(one) = statement else { return None };
            let LetValue::Expression(value) = &one.value else { return None };
            let name = one.name.text.as_str();
            declared.rows.remove(name);
            declared.values.remove(name);
            if is_value(value, query, &declared.values) {
                declared.values.insert(name);
            } else {
                let sources = sources(value, false, query, &declared)?;
                declared.rows.insert(name, sources);
            }
        }
        let Statement::Query(last) = last else { return None };
        pipe_of(&last.expression)?;
        let mut sources = sources(&last.expression, false, query, &declared)?;
        sources.sort_by_key(|source| source.span.start);
        sources.dedup_by_key(|source| source.span.start);
        (!sources.is_empty()).then(|| Self { query: query.to_owned(), sources })
    }

    /// The tables whose rows it looks at: those it names, and those that views over them read too.
    #[must_use]
    pub fn tables(&self) -> BTreeSet<&str> {
        let named = self.sources.iter().map(|source| source.table.as_str());
        named.flat_map(|table| read_with(table).iter().copied().chain([table])).collect()
    }

    /// Whether the answer depends on when it is asked.
    #[must_use]
    pub fn reads_clock(&self) -> bool {
        tokenize(&self.query).into_iter().any(|token| ["ago", "now"].contains(&token.span.text(&self.query)))
    }

    /// The query about the rows of a table with `_Seq` in `[from, to)`, and no rows of its other tables: the answers
    /// about ranges that cover all tables are together the answer about all rows.
    #[must_use]
    pub fn over(&self, table: &str, from: u64, to: u64) -> String {
        self.restricted(table, from, to, self.query.len())
    }

    /// The operators of the query about such rows, where it is one pipe that names one table; otherwise none.
    #[must_use]
    pub fn steps(&self, table: &str, from: u64, to: u64) -> Vec<Step> {
        let parsed = parse(&self.query);
        let Some(Statement::Query(last)) = parsed.tree.statements.last() else { return Vec::new() };
        let (Some(pipe), [source]) = (pipe_of(&last.expression), &self.sources[..]) else { return Vec::new() };
        if !matches!(&pipe.source, Some(Expression::Name(name)) if name.span == source.span) {
            return Vec::new();
        }
        let mut end = source.span.end;
        let step = |operator: &Operator| {
            let conditions = match operator {
                Operator::Where(filter) => conjuncts(&filter.predicate),
                _ => Vec::new(),
            };
            let written = |span: Span| span.text(&self.query).trim().to_owned();
            let before = self.restricted(table, from, to, end);
            end = operator.span().end;
            Step { text: written(operator.span()), before, conditions: conditions.into_iter().map(written).collect() }
        };
        pipe.operators.iter().map(step).collect()
    }

    /// The first bytes of the query, with its tables restricted.
    fn restricted(&self, table: &str, from: u64, to: u64, end: usize) -> String {
        let (mut text, mut at) = (String::new(), 0);
        for source in self.sources.iter().filter(|source| source.span.end <= end) {
            text.push_str(&self.query[at..source.span.start]);
            let condition = source.condition(table, from, to);
            let restricted = format!("{} | where {condition}", source.span.text(&self.query));
            text.push_str(&if source.in_list { format!("({restricted})") } else { restricted });
            at = source.span.end;
        }
        text.push_str(&self.query[at..end]);
        text
    }
}

impl Source {
    /// What the rows of a table with `_Seq` in `[from, to)` meet here. Rows of a view have the sequences of several
    /// tables.
    fn condition(&self, table: &str, from: u64, to: u64) -> String {
        let also = read_with(&self.table);
        if self.table != table && !also.contains(&table) {
            return "false".to_owned();
        }
        let of_table = if also.is_empty() { String::new() } else { format!("Type == '{table}' and ") };
        format!("{of_table}_Seq >= {from} and _Seq < {to}")
    }
}

/// The conditions after the last `summarize` of a query, as they are written.
pub(super) fn conditions_of_groups(query: &str) -> Vec<String> {
    let parsed = parse(query);
    let Some(Statement::Query(last)) = parsed.tree.statements.last() else { return Vec::new() };
    let operators = pipe_of(&last.expression).map_or(&[][..], |pipe| &pipe.operators);
    let Some(at) = operators.iter().rposition(|operator| matches!(operator, Operator::Summarize(_))) else {
        return Vec::new();
    };
    let conditions = operators[at..].iter().flat_map(|operator| match operator {
        Operator::Where(filter) => conjuncts(&filter.predicate),
        _ => Vec::new(),
    });
    conditions.map(|span| span.text(query).trim().to_owned()).collect()
}

/// The conditions of a query's own pipe, as they are written: not those within `let`, `join` or `union`.
pub(super) fn conditions(query: &str) -> Vec<String> {
    let parsed = parse(query);
    let Some(Statement::Query(last)) = parsed.tree.statements.last() else { return Vec::new() };
    let operators = pipe_of(&last.expression).map_or(&[][..], |pipe| &pipe.operators);
    let conditions = operators.iter().flat_map(|operator| match operator {
        Operator::Where(filter) => conjuncts(&filter.predicate),
        _ => Vec::new(),
    });
    conditions.map(|span| span.text(query).trim().to_owned()).collect()
}

/// The parts of a condition that must all hold.
fn conjuncts(condition: &Expression) -> Vec<Span> {
    match condition.unparenthesized() {
        Expression::Logical(chain) if chain.operator == LogicalOperator::And => {
            chain.operands.iter().flat_map(conjuncts).collect()
        }
        other => vec![other.span()],
    }
}

fn pipe_of(expression: &Expression) -> Option<&PipeExpression> {
    match expression.unparenthesized() {
        Expression::Pipe(pipe) => Some(pipe),
        _ => None,
    }
}

/// The tables of rows that are looked at one by one; `None` where they are not.
fn sources(expression: &Expression, in_list: bool, query: &str, declared: &Declared<'_>) -> Option<Vec<Source>> {
    match expression.unparenthesized() {
        Expression::Name(name) if declared.values.contains(name.text.as_str()) => None,
        Expression::Name(name) => match declared.rows.get(name.text.as_str()) {
            Some(sources) => Some(sources.clone()),
            None => Some(vec![Source { table: name.text.clone(), span: name.span, in_list }]),
        },
        Expression::Pipe(pipe) => {
            let mut found = match &pipe.source {
                Some(source) => sources(source, false, query, declared)?,
                // Only a union makes rows that were stored.
                None if matches!(pipe.operators.first(), Some(Operator::Union(_))) => Vec::new(),
                None => return None,
            };
            for operator in &pipe.operators {
                match operator {
                    Operator::Union(union) => found.extend(of_union(union, query, declared)?),
                    operator if is_row_local(operator, query, &declared.values) => {}
                    _ => return None,
                }
            }
            Some(found)
        }
        _ => None,
    }
}

fn of_union(union: &UnionOperator, query: &str, declared: &Declared<'_>) -> Option<Vec<Source>> {
    // A column with the names of the tables would tell that they are restricted.
    let keeps_rows = |parameter: &OperatorParameter| {
        let name = parameter.name.text.as_str();
        name == "kind" || name == "isfuzzy" || name.starts_with("hint.")
    };
    if !union.parameters.iter().all(keeps_rows) {
        return None;
    }
    let mut found = Vec::new();
    for source in &union.sources {
        found.extend(sources(source, true, query, declared)?);
    }
    Some(found)
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

/// Whether what a `let` names is a value or a constant table: no stored rows, no function.
fn is_value(value: &Expression, query: &str, values: &BTreeSet<&str>) -> bool {
    match value.unparenthesized() {
        Expression::Literal(_) | Expression::Datatable(_) => true,
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
        assert_eq!(arrival.tables(), BTreeSet::from(["SecurityEvent"]));
        let asked = arrival.over("SecurityEvent", 5, 9);
        assert!(
            asked.contains("SecurityEvent | where _Seq >= 5 and _Seq < 9 | where TimeGenerated > ago(age)"),
            "{asked}"
        );
        assert!(!parse(&asked).has_errors() && arrival.reads_clock());
        let steps = arrival.steps("SecurityEvent", 5, 9);
        let texts: Vec<&str> = steps.iter().map(|step| step.text.as_str()).collect();
        assert_eq!(
            texts,
            [
                "where TimeGenerated > ago(age) and Account in (bad)",
                "extend x = tolower(Account)",
                "project x, EventID"
            ]
        );
        assert_eq!(steps[0].conditions, ["TimeGenerated > ago(age)", "Account in (bad)"]);
        assert!(steps[0].before.ends_with("SecurityEvent | where _Seq >= 5 and _Seq < 9"), "{}", steps[0].before);
        assert!(steps[2].before.ends_with("| extend x = tolower(Account)"), "{}", steps[2].before);
    }

    #[test]
    fn unions_of_such_pipes_and_names_for_them_do_too() {
        let over = |query: &str, table: &str| {
            let asked = Arrival::of(query).unwrap_or_else(|| panic!("{query}")).over(table, 1, 2);
            assert!(!parse(&asked).has_errors(), "{asked}");
            asked
        };
        let (t, none) = ("T | where _Seq >= 1 and _Seq < 2", "| where false");
        assert_eq!(over("union T, U | where a == 1", "T"), format!("union ({t}), (U {none}) | where a == 1"));
        assert_eq!(
            over("union isfuzzy=true (T | where a == 1), (T | where b == 2) | project a", "T"),
            format!("union isfuzzy=true ({t} | where a == 1), ({t} | where b == 2) | project a")
        );
        assert_eq!(
            over("T | where a == 1 | union (U | where b == 2)", "U"),
            format!("T {none} | where a == 1 | union (U | where _Seq >= 1 and _Seq < 2 | where b == 2)")
        );
        assert_eq!(
            over("let x = T | where a == 1;\nlet y = U;\nx | union x | where b == 2", "T"),
            format!("let x = {t} | where a == 1;\nlet y = U;\nx | union x | where b == 2")
        );
        assert_eq!(
            over("let known = datatable(n:string)['a', 'b'];\nT | where a in (known)", "T"),
            format!("let known = datatable(n:string)['a', 'b'];\n{t} | where a in (known)")
        );
        let tables = Arrival::of("let x = U | where a; union T, x | where b").unwrap();
        assert_eq!((tables.tables(), tables.steps("T", 0, 1)), (BTreeSet::from(["T", "U"]), Vec::new()));
    }

    #[test]
    fn a_table_with_a_view_over_it_is_followed_with_all_tables_the_view_reads() {
        let arrival = Arrival::of("DeviceProcessEvents | where FileName =~ 'a.exe'").unwrap();
        assert_eq!(arrival.tables(), BTreeSet::from(["DeviceProcessEvents", "Event", "SecurityEvent"]));
        for table in ["DeviceProcessEvents", "Event"] {
            let rows = format!("DeviceProcessEvents | where Type == '{table}' and _Seq >= 1 and _Seq < 2");
            assert_eq!(arrival.over(table, 1, 2), format!("{rows} | where FileName =~ 'a.exe'"));
            assert_eq!(arrival.steps(table, 1, 2)[0].before, rows);
        }
        let beside = Arrival::of("union DeviceLogonEvents, Event | where Computer == 'x'").unwrap();
        assert_eq!(
            beside.over("Event", 1, 2),
            "union (DeviceLogonEvents | where false), (Event | where _Seq >= 1 and _Seq < 2) | where Computer == 'x'"
        );
    }

    #[test]
    fn a_query_over_several_rows_or_tables_does_not() {
        for query in [
            "T | summarize count() by a",
            "T | take 5",
            "T | distinct a",
            "T | join (U) on a",
            "union withsource=t T, U | where a == 1",
            "union T* | where a == 1",
            "union (T | summarize count() by a), (U | where b) | where a == 1",
            "let x = T | summarize count() by a; x | where a == 1",
            "let x = datatable(n:string)['a']; x | where n == 'a'",
            "let x = externaldata(n:string)['u']; T | where a in (x)",
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
