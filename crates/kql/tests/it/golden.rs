//! Goldens: `testdata/ok/*.kql` parse to the tree beside them, `testdata/err/*.kql` to diagnostics and tree.
//!
//! `UPDATE_EXPECT=1` writes what is missing or different; a person reads the difference.

use moneta_kql::{parse, render_diagnostics};
use std::path::{Path, PathBuf};

#[test]
fn accepted_queries_have_their_trees() {
    check_folder("ok", |text| {
        let parsed = parse(text);
        assert_eq!(render_diagnostics(text, &parsed.diagnostics), "", "{text}");
        format!("{}\n", parsed.tree)
    });
}

#[test]
fn refused_queries_have_their_diagnostics_and_recovered_trees() {
    check_folder("err", |text| {
        let parsed = parse(text);
        assert!(!parsed.diagnostics.is_empty(), "no diagnostic for {text}");
        format!("{}\n{}\n", render_diagnostics(text, &parsed.diagnostics), parsed.tree)
    });
}

fn check_folder(folder: &str, print: impl Fn(&str) -> String) {
    let update = std::env::var_os("UPDATE_EXPECT").is_some();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(folder);
    let mut cases: Vec<PathBuf> = std::fs::read_dir(&root)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "kql"))
        .collect();
    cases.sort();
    assert!(!cases.is_empty(), "no cases in {}", root.display());
    let mut failures = Vec::new();
    for case in cases {
        let text = std::fs::read_to_string(&case).unwrap();
        let actual = print(&text);
        let golden = case.with_extension("ast");
        if std::fs::read_to_string(&golden).ok().as_deref() == Some(actual.as_str()) {
            continue;
        }
        if update {
            std::fs::write(&golden, &actual).unwrap();
        } else {
            failures.push(format!("== {}\n{actual}", golden.display()));
        }
    }
    assert!(failures.is_empty(), "trees differ; UPDATE_EXPECT=1 accepts them:\n{}", failures.join("\n"));
}
