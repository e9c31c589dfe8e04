//! Properties: whatever the text, parsing ends, never panics, and every range lies inside its parent's.

use moneta_kql::dump::{DumpNode, dump};
use moneta_kql::{Span, parse, render_diagnostics};
use proptest::prelude::*;

/// Pieces of the language; random sequences of them reach deeper into the grammar than random bytes.
const PIECES: &[&str] = &[
    "T",
    "x",
    "'s'",
    "@\"v\"",
    "h'k'",
    "1",
    "1.5",
    "2h",
    "0x1f",
    "true",
    "null",
    "*",
    "a*",
    "$left",
    "['a b']",
    "dynamic(",
    "datetime(2020-01-01)",
    "long(null)",
    "typeof(",
    "|",
    ";",
    ",",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ".",
    "..",
    ":",
    "=",
    "==",
    "=>",
    "<|",
    "-->",
    "-[e*1..2]->",
    "<--",
    "-",
    "+",
    "/",
    "%",
    "!=",
    "<>",
    "=~",
    "!~",
    "and",
    "or",
    "in",
    "!in",
    "in~",
    "has",
    "!has",
    "has_any",
    "between",
    "!between",
    "matches regex",
    "contains",
    "startswith",
    "let",
    "set",
    "declare pattern",
    "declare query_parameters",
    "restrict access to",
    "alias database",
    "view",
    "where",
    "extend",
    "project",
    "project-away",
    "project-reorder",
    "project-rename",
    "summarize",
    "by",
    "sort by",
    "asc",
    "nulls first",
    "top",
    "of",
    "take",
    "distinct",
    "count",
    "as",
    "union",
    "withsource=",
    "join",
    "kind=inner",
    "hint.strategy=shuffle",
    "on",
    "lookup",
    "mv-expand",
    "to",
    "limit",
    "mv-apply",
    "parse",
    "parse-where",
    "parse-kv",
    "with",
    "make-series",
    "default=",
    "from",
    "step",
    "in range",
    "render",
    "timechart",
    "evaluate",
    "invoke",
    "serialize",
    "sample",
    "sample-distinct",
    "scan",
    "step s:",
    "partition by",
    "reduce by",
    "fork",
    "facet by",
    "search",
    "find",
    "getschema",
    "consume",
    "datatable(",
    "print",
    "range",
    "externaldata(",
    "make-graph",
    "graph-match",
    "graph-to-table",
    "macro-expand",
    "top-nested",
    "top-hitters",
    "assert-schema",
    "entity_group [",
    "materialized-view-combine",
    "__contextual_datatable",
    "toscalar(",
    "f(",
    ".show",
    "\n",
    "// note\n",
    "#",
    "?",
    "\"open",
    "é",
    "\u{1F600}",
    "a:string",
    "~~~m~~~",
];

/// Whole queries, to be cut and changed.
const QUERIES: &[&str] = &[
    "let f = (T:(a:string, *), n:long = 3) { T | where a has 'x' and n between (1 .. 2) }; f(U, n = 1) | take 5",
    "T | join kind=leftouter hint.remote=left (U | summarize c = count(), arg_max(t, *) by k, bin(t, 1h)) on k, $left.a == $right.b",
    "T | parse kind=regex flags=U m with * 'a' b:long 'c' * | mv-apply x = d.y to typeof(long) limit 3 on (where x > 1 | top 2 by x desc nulls last)",
    "T | make-series n = count() default = 0 on t from ago(1d) to now() step 1h by k | render timechart with (title = 'x', ycolumns = a, b)",
    "datatable (a:string, b:dynamic) ['x', dynamic({\"k\": [1, 2.5, null, datetime(2020-01-01)]}), @'y', dynamic(null)] | extend z = b.k[0].['q w']",
    "union isfuzzy=true withsource=S (T | where x in~ ('a', 'b')), Device*, database('d').* | scan declare (s:long = 0) with (step one output=all: x > 1 => s = one.s + 1;)",
    "E | make-graph a --> b with N on id | graph-match cycles=none (p)-[e*1..3]->(q)<--(r) where p.x == 1 project p.x, e",
    "find withsource=S in (T, U*) where a == 'x' project a, b:string, pack(*); search kind=case_sensitive in (T) c:'x' and * has 'y'",
    ".show table T details | project A, B; declare query_parameters(a:string = 'x'); set notruncation; T | fork n = (take 1) (count)",
];

fn check_ranges(node: &DumpNode, parent: Span, text: &str) {
    let span = node.span;
    assert!(span.start <= span.end && parent.contains(span), "{} {span:?} outside {parent:?} in {text:?}", node.label);
    assert!(
        text.is_char_boundary(span.start) && text.is_char_boundary(span.end),
        "{} {span:?} in {text:?}",
        node.label
    );
    for child in &node.children {
        check_ranges(child, span, text);
    }
}

/// Whether the tree holds what stands for text that could not be read.
fn is_incomplete(node: &DumpNode) -> bool {
    node.label == "missing"
        || node.label.starts_with("skipped ")
        || node.label.contains("<missing>")
        || node.children.iter().any(is_incomplete)
}

pub(crate) fn check(text: &str) {
    let parsed = parse(text);
    let whole = Span::new(0, text.len());
    let tree = dump(&parsed.tree);
    check_ranges(&tree, whole, text);
    assert!(parsed.has_errors() || !is_incomplete(&tree), "no error for {text:?}: {tree}");
    for diagnostic in &parsed.diagnostics {
        assert!(whole.contains(diagnostic.span), "{diagnostic:?} in {text:?}");
    }
    let _ = render_diagnostics(text, &parsed.diagnostics);
}

#[test]
fn every_prefix_and_suffix_of_a_query_parses_to_something() {
    for query in QUERIES {
        assert!(!parse(query).has_errors(), "{}", render_diagnostics(query, &parse(query).diagnostics));
        for cut in (0..=query.len()).filter(|cut| query.is_char_boundary(*cut)) {
            check(&query[..cut]);
            check(&query[cut..]);
        }
    }
}

proptest! {
    #[test]
    fn any_string_parses_to_something(text in any::<String>()) {
        check(&text);
    }

    #[test]
    fn any_bytes_parse_to_something(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        check(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn any_sequence_of_pieces_parses_to_something(
        pieces in proptest::collection::vec(proptest::sample::select(PIECES), 0..40),
        separator in proptest::sample::select(&["", " "][..]),
    ) {
        check(&pieces.join(separator));
    }

    #[test]
    fn queries_with_pieces_put_in_or_cut_out_parse_to_something(
        query in proptest::sample::select(QUERIES),
        piece in proptest::sample::select(PIECES),
        at in any::<proptest::sample::Index>(),
        length in 0usize..12,
    ) {
        let start = query.floor_char_boundary(at.index(query.len()));
        let end = query.floor_char_boundary((start + length).min(query.len()));
        check(&format!("{}{piece}{}", &query[..start], &query[end..]));
        check(&format!("{} {piece} {}", &query[..start], &query[end..]));
    }
}
