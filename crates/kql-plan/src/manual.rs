//! The manual of functions, made from their declarations: what it says is what the binder takes.

use std::fmt::Write as _;

use crate::aggregates;
use crate::functions::{self, Kernel, Nulls};

/// The tabular operators that bind and run, for the support table.
pub const OPERATORS: &[&str] = &[
    "as",
    "count",
    "datatable",
    "distinct",
    "evaluate",
    "extend",
    "getschema",
    "graph-mark-components",
    "graph-match",
    "graph-shortest-paths",
    "graph-to-table",
    "graph-where-edges",
    "graph-where-nodes",
    "invoke",
    "join",
    "lookup",
    "make-graph",
    "mv-apply",
    "mv-expand",
    "parse",
    "parse-where",
    "print",
    "project",
    "project-away",
    "project-keep",
    "project-rename",
    "project-reorder",
    "range",
    "render",
    "serialize",
    "sort",
    "summarize",
    "take",
    "top",
    "union",
    "where",
];

/// Renders the manual as Markdown: operators, scalar functions, aggregation functions, each once.
#[must_use]
pub fn render_manual() -> String {
    let mut out = String::from("# KQL: what is supported\n\n## Tabular operators\n\n");
    for operator in OPERATORS {
        line(&mut out, &format!("- `{operator}`"));
    }
    out.push_str("\n## Scalar functions\n");
    for function in functions::registry().iter() {
        let signatures = function.signatures.iter().map(|s| format!("`{}{s}`", function.name));
        entry(&mut out, function.name, function.aliases, signatures.collect(), function.doc);
        if function.nulls == Nulls::Propagate && !matches!(function.kernel, Kernel::Special | Kernel::Window) {
            line(&mut out, "A null argument gives null.");
        }
        for (call, result) in function.examples {
            line(&mut out, &format!("\n    {call}  // {result}"));
        }
    }
    out.push_str("\n## Aggregation functions\n");
    for function in aggregates::registry().iter() {
        let signatures = function.signatures.iter().map(|s| format!("`{}{s}`", function.name));
        entry(&mut out, function.name, function.aliases, signatures.collect(), function.doc);
        for (query, result) in function.examples {
            line(&mut out, &format!("\n    {query}  // {result}"));
        }
    }
    out
}

fn entry(out: &mut String, name: &str, aliases: &[&str], signatures: Vec<String>, doc: &str) {
    line(out, &format!("\n### {name}\n\n{doc}\n\n{}", signatures.join("\\\n")));
    if !aliases.is_empty() {
        line(out, &format!("\nAlso: {}.", aliases.join(", ")));
    }
}

fn line(out: &mut String, text: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_every_function_once() {
        let manual = render_manual();
        for function in functions::registry().iter() {
            // A few names are a scalar function and an aggregate too.
            let shared = aggregates::registry().get(function.name).is_some_and(|a| a.name == function.name);
            let entries = manual.matches(&format!("\n### {}\n", function.name)).count();
            assert_eq!(entries, 1 + usize::from(shared), "{}", function.name);
        }
    }
}
