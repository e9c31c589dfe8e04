//! Fuzz target of the binder: whatever parses is bound, lowered and asked about by an editor, and nothing panics.
//!
//! `FUZZ_SECONDS=60 cargo test -p moneta-kql-plan --test it fuzz` runs it for that long.

use std::path::Path;

use moneta_event::{Column, ColumnType};
use moneta_kql::parse;
use moneta_kql_plan::assist::{complete, hover};
use moneta_kql_plan::{BindOptions, bind, lower};

use crate::engine::{Memory, now};
use crate::mutate::{fuzz, seeds};

/// Queries that are known to bind, so that mutations reach deep.
fn queries() -> Vec<String> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/logic");
    let mut texts = seeds();
    let mut paths: Vec<_> = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "kqltest"));
    paths.sort();
    for path in paths {
        let text = std::fs::read_to_string(path).unwrap();
        let cases = text.split("\n\n").filter_map(|case| case.split("\n----").next());
        texts.extend(
            cases.map(|case| case.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n")),
        );
    }
    texts
}

fn catalog() -> Memory {
    let columns = || {
        let types = [
            ("a", ColumnType::Long),
            ("b", ColumnType::String),
            ("c", ColumnType::Dynamic),
            ("d", ColumnType::Dynamic),
            ("t", ColumnType::DateTime),
            ("x", ColumnType::String),
            ("y", ColumnType::Real),
            ("k", ColumnType::Int),
            ("g", ColumnType::Guid),
            ("s", ColumnType::TimeSpan),
            ("m", ColumnType::Decimal),
            ("ok", ColumnType::Bool),
        ];
        types.into_iter().map(|(name, column_type)| Column::new(name, column_type)).collect::<Vec<_>>()
    };
    let mut catalog = Memory::default();
    for name in ["T", "U", "E", "N", "DeviceEvents"] {
        catalog.insert_rows(name, columns(), Vec::new());
    }
    catalog
}

fn target(text: &str) {
    let catalog = catalog();
    let parsed = parse(text);
    let (query, diagnostics) = bind(&parsed.tree, &catalog, &BindOptions::at(now()));
    for diagnostic in &diagnostics {
        assert!(diagnostic.span.end <= text.len(), "{diagnostic:?}");
    }
    if !parsed.has_errors() {
        for result in query.iter().flat_map(|query| &query.results) {
            // DataFusion may refuse a plan; it may not panic over one.
            let _ = lower(result, &catalog);
        }
    }
    let offset = text.len() / 2;
    for completion in complete(text, offset, &catalog) {
        assert!(text.get(completion.replaces.start..completion.replaces.end).is_some(), "{completion:?}");
    }
    let _ = hover(text, offset, &catalog);
}

#[test]
fn binder_and_editor_answer_any_text() {
    fuzz("binder", queries(), target);
}
