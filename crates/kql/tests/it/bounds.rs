//! Limits: nothing in a query text exhausts the stack or the time.

use moneta_kql::limits::{DIAGNOSTICS_MAX, NESTING_DEPTH_MAX, QUERY_SIZE_BYTES_MAX};
use moneta_kql::{Parse, parse};

/// What Rust and our runtime give a thread. Unoptimised, the deepest tree takes 0.7 MB to parse and 1.4 MB to print.
const STACK_BYTES: usize = 2 * 1024 * 1024;

/// Parses, prints, clones and drops on a small stack; returns the diagnostics' codes.
fn codes(text: String) -> Vec<&'static str> {
    let run = move || {
        let parsed: Parse = parse(&text);
        let copy = parsed.clone();
        assert_eq!(copy.tree, parsed.tree);
        let _ = parsed.tree.to_string();
        parsed.diagnostics.iter().map(|diagnostic| diagnostic.code).collect()
    };
    std::thread::Builder::new().stack_size(STACK_BYTES).spawn(run).unwrap().join().unwrap()
}

/// Each way to nest: what repeats before, the middle, what repeats after.
const NESTINGS: [(&str, &str, &str, &str); 16] = [
    ("print ", "(", "1", ")"),
    ("print ", "f(", "1", ")"),
    ("print ", "-", "1", ""),
    ("print ", "a[", "1", "]"),
    ("print a", ".b", "", ""),
    ("print a", "[0]", "", ""),
    ("print 1", " + 1", "", ""),
    ("print ", "1 or (2 and (3 == (4 < (5 + (6 * (", "7", "))))))"),
    ("print ", "x in (", "1", ")"),
    ("print ", "x between (1 .. ", "2", ")"),
    ("print dynamic(", "[", "1", "])"),
    ("print dynamic(", "{\"a\":", "1", "}"),
    ("", "T | join (", "T", ") on a"),
    ("T | ", "mv-apply a on (", "take 1", ")"),
    ("", "let f = () { ", "T", " };"),
    ("", "macro-expand g as X (", "T", ")"),
];

#[test]
fn deepest_accepted_query_fits_a_small_stack() {
    for (start, before, middle, after) in NESTINGS {
        for depth in [NESTING_DEPTH_MAX / 12, NESTING_DEPTH_MAX / 4, NESTING_DEPTH_MAX / 2, NESTING_DEPTH_MAX] {
            codes(format!("{start}{}{middle}{}", before.repeat(depth), after.repeat(depth)));
        }
    }
}

#[test]
fn deeper_queries_get_a_diagnostic() {
    for (start, before, middle, after) in NESTINGS {
        let found = codes(format!("{start}{}{middle}{}", before.repeat(5_000), after.repeat(5_000)));
        assert!(found.contains(&"SYN0001"), "{start}{before}: {found:?}");
    }
}

#[test]
fn twenty_levels_of_anything_are_accepted() {
    for (start, before, middle, after) in NESTINGS {
        let depth = if before.contains("and (3") { 3 } else { 20 };
        let text = format!("{start}{}{middle}{}", before.repeat(depth), after.repeat(depth));
        // The last bracket of a dynamic literal is written once.
        let text = text.replace("])])", "]])");
        let text = if start.ends_with("dynamic(") && before == "[" {
            format!("{start}{}{middle}{})", before.repeat(depth), "]".repeat(depth))
        } else if start.ends_with("dynamic(") {
            format!("{text})")
        } else {
            text
        };
        assert_eq!(codes(text.clone()), Vec::<&str>::new(), "{text}");
    }
}

#[test]
fn long_flat_queries_are_accepted() {
    let many = |part: &str, separator: &str| vec![part; 20_000].join(separator);
    assert!(codes(format!("T | where {}", many("a.b == 1", " or "))).is_empty());
    assert!(codes(format!("T | where a in ({})", many("'x'", ", "))).is_empty());
    assert!(codes(format!("T | {}", many("extend a = b.c + 1", " | "))).is_empty());
    assert!(codes(format!("print dynamic([{}])", many("{\"a\":1}", ","))).is_empty());
    assert!(codes(many("let a = 1", ";")).is_empty());
}

#[test]
fn too_large_texts_are_refused_unread() {
    assert_eq!(codes(" ".repeat(QUERY_SIZE_BYTES_MAX + 1)), ["SYN0001"]);
}

#[test]
fn mistakes_do_not_cost_more_than_their_length() {
    // Each of these made a naive parser or lexer look to the end of the text again and again.
    let started = std::time::Instant::now();
    for part in [
        "| where (a b ",
        "# # ",
        "(1 ",
        "f(a, [b {c ",
        "T | where a = 1 | ",
        "'open\n",
        "a. ",
        "let f = (a, b ",
        "((a, ",
    ] {
        codes(part.repeat(QUERY_SIZE_BYTES_MAX / 4 / part.len()));
    }
    assert!(started.elapsed().as_secs() < 60, "{:?}", started.elapsed());
}

#[test]
fn many_warnings_do_not_stop_the_parse() {
    let found = codes(format!("T {} | sumarize", "| where a = 1 ".repeat(1_000)));
    assert_eq!(found.len(), DIAGNOSTICS_MAX + 1);
}

#[test]
fn diagnostics_are_bounded() {
    assert_eq!(codes("| ) ".repeat(50_000)).len(), DIAGNOSTICS_MAX);
}
