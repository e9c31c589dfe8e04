//! The formatter over the goldens and both corpora: same tokens, same comments, same tree, and nothing left to change.

use moneta_kql::lexer::tokenize;
use moneta_kql::{format, parse, render_diagnostics};
use std::path::Path;

/// Checks that a formatted text means what it meant and is its own layout.
pub(crate) fn check_format(text: &str, formatted: &str) {
    assert_eq!(tokens(text), tokens(formatted), "tokens of {text:?} as {formatted:?}");
    let (before, after) = (parse(text), parse(formatted));
    assert!(!after.has_errors(), "{text:?}\n{}", render_diagnostics(formatted, &after.diagnostics));
    assert_eq!(before.tree.to_string(), after.tree.to_string(), "tree of {text:?} as {formatted:?}");
    assert_eq!(letters(text), letters(formatted), "comments of {text:?} as {formatted:?}");
    let again = format(formatted).unwrap_or_default();
    assert_eq!(again, formatted, "formatted twice: {text:?}");
}

/// The texts of all tokens. A command's own tokens are among them.
fn tokens(text: &str) -> Vec<&str> {
    tokenize(text).iter().map(|token| token.span.text(text)).collect()
}

/// Everything but white space: a lost or moved comment shows here.
fn letters(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace() && !matches!(c, '\u{180e}' | '\u{200b}' | '\u{feff}')).collect()
}

#[test]
fn goldens_keep_their_trees() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/ok");
    let mut count = 0;
    for entry in std::fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "kql") {
            let text = std::fs::read_to_string(&path).unwrap();
            check_format(&text, &format(&text).unwrap());
            count += 1;
        }
    }
    assert!(count > 50, "{count}");
}

#[test]
fn corpus_queries_keep_their_trees() {
    for (file, rows) in crate::corpus::FILES {
        let mut longest = 0;
        for row in crate::corpus::rows(file, rows) {
            let text = row["query"].as_str().unwrap();
            let formatted = format(text).unwrap_or_else(|errors| panic!("{text}: {errors:?}"));
            check_format(text, &formatted);
            longest = longest.max(formatted.lines().count());
        }
        println!("{file}: {rows} formatted, the longest has {longest} lines");
    }
}
