//! The words of the language as an editor offers them: operators with syntax and parameters, and what parameters take.

/// An operator as an editor knows it.
#[derive(Debug)]
pub struct OperatorWords {
    pub keyword: &'static str,
    pub syntax: &'static str,
    pub doc: &'static str,
    /// Parameters right after the keyword.
    pub parameters: &'static [&'static str],
    /// Words that may follow an operand.
    pub clauses: &'static [&'static str],
    pub operands: Operands,
}

/// What an operator works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operands {
    /// Expressions over the columns.
    Expressions,
    /// Columns alone.
    Columns,
    /// Aggregates, and expressions after `by`.
    Aggregates,
    /// Other tables.
    Tables,
    /// A number of rows.
    Count,
    /// Words of its own first: `by`, `with`, a chart, a plugin.
    Words(&'static [&'static str]),
    /// A chart.
    Chart,
    /// A plugin.
    Plugin,
    /// Nothing.
    None,
}

const fn words(
    keyword: &'static str,
    operands: Operands,
    syntax: &'static str,
    doc: &'static str,
    parameters: &'static [&'static str],
    clauses: &'static [&'static str],
) -> OperatorWords {
    OperatorWords { keyword, syntax, doc, parameters, clauses, operands }
}

use Operands as O;

/// The tabular operators.
pub const OPERATORS: &[OperatorWords] = &[
    words("as", O::None, "as Name", "Names the rows for the rest of the query.", &["hint.materialized"], &[]),
    words(
        "assert-schema",
        O::None,
        "assert-schema (Column:type, ...)",
        "Fails unless the rows have these columns.",
        &[],
        &[],
    ),
    words("consume", O::None, "consume", "Reads all rows and returns none.", &["decodeblocks"], &[]),
    words("count", O::None, "count", "Counts the rows.", &[], &["as"]),
    words(
        "distinct",
        O::Expressions,
        "distinct Column, ...",
        "Keeps one row of each combination.",
        &["hint.strategy"],
        &[],
    ),
    words(
        "evaluate",
        O::Plugin,
        "evaluate plugin(arguments) : (Column:type, ...)",
        "Runs a plugin over the rows.",
        &["hint.distribution", "hint.pass_filters"],
        &[],
    ),
    words("extend", O::Expressions, "extend Name = expression, ...", "Adds or replaces columns.", &[], &[]),
    words(
        "facet",
        O::Words(&["by"]),
        "facet by Column, ... with (query)",
        "Counts the values of columns, one table each.",
        &[],
        &["with"],
    ),
    words(
        "find",
        O::Words(&["in", "where"]),
        "find in (Table, ...) where predicate project columns",
        "Finds rows in several tables.",
        &["withsource", "datascope"],
        &["project", "project-smart", "project-away"],
    ),
    words("fork", O::Words(&["("]), "fork Name = (query) ...", "Runs several queries over the same rows.", &[], &[]),
    words("getschema", O::None, "getschema", "Returns the columns and their types.", &["kind"], &[]),
    words(
        "graph-mark-components",
        O::None,
        "graph-mark-components kind=weak with_component_id=Column",
        "Finds the connected parts of a graph.",
        &["kind", "with_component_id"],
        &[],
    ),
    words(
        "graph-match",
        O::None,
        "graph-match (a)-[e]->(b) where predicate project columns",
        "Finds patterns in a graph.",
        &["cycles"],
        &["where", "project"],
    ),
    words(
        "graph-shortest-paths",
        O::None,
        "graph-shortest-paths (a)-[e*1..5]->(b) where predicate project columns",
        "Finds the shortest paths of a graph.",
        &["output"],
        &["where", "project"],
    ),
    words(
        "graph-to-table",
        O::Words(&["nodes", "edges"]),
        "graph-to-table nodes, edges",
        "Turns a graph into tables.",
        &[],
        &["as", "with_node_id", "with_source_id", "with_target_id"],
    ),
    words(
        "invoke",
        O::Words(&[]),
        "invoke function(arguments)",
        "Gives the rows to a function as its first argument.",
        &[],
        &[],
    ),
    words(
        "join",
        O::Tables,
        "join kind=inner (query) on Column",
        "Joins the rows with those of another query.",
        &["kind", "hint.strategy", "hint.remote", "hint.shufflekey"],
        &["on", "where"],
    ),
    words("limit", O::Count, "limit count", "Keeps some rows.", &[], &[]),
    words(
        "lookup",
        O::Tables,
        "lookup kind=leftouter (query) on Column",
        "Adds the columns of a dimension table.",
        &["kind"],
        &["on"],
    ),
    words(
        "macro-expand",
        O::Words(&["entity_group"]),
        "macro-expand group as Name (query)",
        "Runs a query for each member of a group.",
        &["isfuzzy", "kind"],
        &["as"],
    ),
    words(
        "make-graph",
        O::Columns,
        "make-graph Source --> Target with Nodes on Id",
        "Makes a graph of edges.",
        &["with_node_id"],
        &["with", "on", "partitioned-by"],
    ),
    words(
        "make-series",
        O::Aggregates,
        "make-series Name = aggregate default=0 on Time from start to end step width by Key",
        "Makes arrays of values over a regular axis.",
        &["kind"],
        &["default", "on", "from", "to", "step", "by", "in range"],
    ),
    words(
        "mv-apply",
        O::Expressions,
        "mv-apply Name = array to typeof(type) on (query)",
        "Runs a query over the elements of each row's array.",
        &["with_itemindex"],
        &["to typeof(", "limit", "on"],
    ),
    words(
        "mv-expand",
        O::Expressions,
        "mv-expand Name = array to typeof(type)",
        "Makes a row of each element.",
        &["kind", "bagexpansion", "with_itemindex"],
        &["to typeof(", "limit"],
    ),
    words(
        "order",
        O::Words(&["by"]),
        "order by Column asc nulls first, ...",
        "Sorts the rows.",
        &[],
        &["asc", "desc", "nulls first", "nulls last"],
    ),
    words(
        "parse",
        O::Expressions,
        "parse kind=simple expression with * \"text\" Name:type *",
        "Takes a text apart by a pattern.",
        &["kind", "flags"],
        &["with"],
    ),
    words(
        "parse-kv",
        O::Expressions,
        "parse-kv expression as (Name:type, ...) with (pair_delimiter=\",\")",
        "Takes keys and values out of a text.",
        &[],
        &["as", "with"],
    ),
    words(
        "parse-where",
        O::Expressions,
        "parse-where expression with \"text\" Name:type",
        "Takes a text apart and drops rows that do not fit.",
        &["kind", "flags"],
        &["with"],
    ),
    words(
        "partition",
        O::Words(&["by"]),
        "partition hint.strategy=native by Column (query)",
        "Runs a query over the rows of each key.",
        &["hint.strategy", "hint.concurrency", "hint.spread"],
        &["in"],
    ),
    words("print", O::Expressions, "print Name = expression, ...", "Makes one row of values.", &[], &[]),
    words("project", O::Expressions, "project Name = expression, ...", "Chooses and computes columns.", &[], &[]),
    words("project-away", O::Columns, "project-away Column, Pattern*, ...", "Leaves columns out.", &[], &[]),
    words(
        "project-by-names",
        O::Columns,
        "project-by-names Column, ...",
        "Chooses columns by computed names.",
        &[],
        &[],
    ),
    words("project-keep", O::Columns, "project-keep Column, Pattern*, ...", "Keeps columns in their order.", &[], &[]),
    words("project-rename", O::Columns, "project-rename New = Old, ...", "Renames columns.", &[], &[]),
    words(
        "project-reorder",
        O::Columns,
        "project-reorder Column asc, ...",
        "Puts columns first.",
        &[],
        &["asc", "desc", "granny-asc", "granny-desc"],
    ),
    words(
        "range",
        O::None,
        "range Name from start to end step width",
        "Makes rows of a range of values.",
        &[],
        &["from", "to", "step"],
    ),
    words(
        "reduce",
        O::Words(&["by"]),
        "reduce by Column with threshold=0.1",
        "Groups similar texts.",
        &["kind"],
        &["with"],
    ),
    words("render", O::Chart, "render chart with (title=\"...\")", "Says how to show the result.", &[], &["with"]),
    words("sample", O::Count, "sample count", "Keeps random rows.", &[], &[]),
    words(
        "sample-distinct",
        O::Count,
        "sample-distinct count of Column",
        "Keeps some values of a column.",
        &[],
        &["of"],
    ),
    words(
        "scan",
        O::Words(&["declare", "order by", "partition by", "with ("]),
        "scan declare (Name:type = value) with (step name: condition => Name = value;)",
        "Finds sequences of rows.",
        &["with_match_id", "with_step_name"],
        &["declare", "with", "step"],
    ),
    words(
        "search",
        O::Expressions,
        "search in (Table, ...) \"term\"",
        "Looks for a term in all columns.",
        &["kind"],
        &["in"],
    ),
    words("serialize", O::Expressions, "serialize Name = expression", "Fixes the order of the rows.", &[], &[]),
    words(
        "sort",
        O::Words(&["by"]),
        "sort by Column asc nulls first, ...",
        "Sorts the rows.",
        &[],
        &["asc", "desc", "nulls first", "nulls last"],
    ),
    words(
        "summarize",
        O::Aggregates,
        "summarize Name = aggregate, ... by Key, ...",
        "Aggregates groups of rows.",
        &["hint.strategy", "hint.shufflekey", "hint.num_partitions"],
        &["by"],
    ),
    words("take", O::Count, "take count", "Keeps some rows.", &[], &[]),
    words(
        "top",
        O::Count,
        "top count by Column desc",
        "Keeps the first rows of an order.",
        &[],
        &["by", "asc", "desc", "nulls first", "nulls last"],
    ),
    words(
        "top-hitters",
        O::Count,
        "top-hitters count of Column by Weight",
        "Finds the most frequent values.",
        &[],
        &["of", "by"],
    ),
    words(
        "top-nested",
        O::Count,
        "top-nested count of Column with others=\"rest\" by aggregate",
        "Finds the top values level by level.",
        &[],
        &["of", "with others", "by"],
    ),
    words(
        "union",
        O::Tables,
        "union kind=outer withsource=Name Table, Pattern*, ...",
        "Puts the rows of several tables together.",
        &["kind", "withsource", "isfuzzy"],
        &[],
    ),
    words("where", O::Expressions, "where predicate", "Keeps the rows for which the predicate holds.", &[], &[]),
];

/// The operator of a keyword.
pub fn operator(keyword: &str) -> Option<&'static OperatorWords> {
    OPERATORS.iter().find(|operator| operator.keyword == keyword)
}

/// Operators that may begin a query.
pub const SOURCE_OPERATORS: [&str; 7] = ["print", "range", "union", "search", "find", "evaluate", "macro-expand"];

/// Words that begin a statement or a table written out.
pub const STATEMENTS: [(&str, &str); 10] = [
    ("let", "let Name = expression"),
    ("set", "set option = value"),
    ("declare query_parameters", "declare query_parameters (Name:type = value)"),
    ("declare pattern", "declare pattern Name = (a:string) { (\"value\") = { query }; }"),
    ("restrict access to", "restrict access to (Table, ...)"),
    ("alias database", "alias database Name = cluster(\"c\").database(\"d\")"),
    ("datatable", "datatable (Column:type, ...) [values]"),
    ("externaldata", "externaldata (Column:type, ...) [locations]"),
    ("materialize", "materialize (query)"),
    ("view", "view () { query }"),
];

const JOIN_KINDS: &[&str] =
    &["inner", "innerunique", "leftouter", "rightouter", "fullouter", "leftanti", "rightanti", "leftsemi", "rightsemi"];

/// What a parameter of an operator takes.
pub fn parameter_values(operator: &str, parameter: &str) -> &'static [&'static str] {
    match (operator, parameter) {
        ("join", "kind") => JOIN_KINDS,
        ("lookup", "kind") => &["leftouter", "inner"],
        ("union" | "macro-expand", "kind") => &["outer", "inner"],
        ("mv-expand" | "mv-apply", "kind" | "bagexpansion") => &["bag", "array"],
        ("parse" | "parse-where", "kind") => &["simple", "regex", "relaxed"],
        ("make-series", "kind") => &["nonempty"],
        ("search", "kind") => &["case_sensitive", "case_insensitive"],
        ("graph-mark-components", "kind") => &["weak", "strong"],
        ("graph-match", "cycles") => &["all", "none", "unique_edges"],
        ("graph-shortest-paths", "output") => &["any", "all"],
        ("scan", "output") => &["all", "last", "none"],
        ("partition", "hint.strategy") => &["native", "shuffle", "legacy"],
        (_, "hint.strategy") => &["shuffle", "broadcast"],
        (_, "hint.remote") => &["auto", "left", "right", "local"],
        (_, "hint.distribution") => &["single", "per_node", "per_shard"],
        (_, "datascope") => &["all", "hotcache"],
        (_, "isfuzzy" | "hint.materialized" | "decodeblocks" | "hint.pass_filters") => &["true", "false"],
        _ => &[],
    }
}

/// The charts of `render` that the pages draw; others are answered all the same, for clients that draw them.
pub const CHARTS: [&str; 12] = [
    "anomalychart",
    "areachart",
    "barchart",
    "card",
    "columnchart",
    "ladderchart",
    "linechart",
    "piechart",
    "scatterchart",
    "stackedareachart",
    "table",
    "timechart",
];

/// Operators between operands.
pub const INFIX: [&str; 30] = [
    "and",
    "or",
    "==",
    "!=",
    "=~",
    "!~",
    "<",
    "<=",
    ">",
    ">=",
    "in (",
    "!in (",
    "in~ (",
    "!in~ (",
    "between (",
    "!between (",
    "has",
    "!has",
    "has_any (",
    "has_all (",
    "has_cs",
    "contains",
    "!contains",
    "contains_cs",
    "startswith",
    "!startswith",
    "endswith",
    "!endswith",
    "hasprefix",
    "matches regex",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operator_is_one_of_the_language() {
        for operator in OPERATORS {
            let parsed = moneta_kql::parse(&format!("T | {} ", operator.keyword));
            let unknown = format!("unknown operator `{}`", operator.keyword);
            assert!(parsed.diagnostics.iter().all(|d| d.message != unknown), "{unknown}");
            assert!(operator.syntax.starts_with(operator.keyword) && operator.doc.ends_with('.'), "{operator:?}");
        }
        for keyword in SOURCE_OPERATORS {
            assert!(operator(keyword).is_some(), "{keyword}");
        }
    }
}
