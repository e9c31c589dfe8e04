//! Names that stand for others twice, level after level, end at a limit instead of filling memory.

use std::fmt::Write as _;

use crate::engine::{Failure, Memory, bound};

const LEVELS: usize = 60;

/// A chain of declarations: `first`, then every level made of the one before, which `of` writes twice.
fn chain(first: &str, of: impl Fn(&str) -> String) -> String {
    let mut text = format!("let n0 = {first};\n");
    for level in 1..=LEVELS {
        let _ = writeln!(text, "let n{level} = {};", of(&format!("n{}", level - 1)));
    }
    text
}

#[track_caller]
fn ends_at_the_limit(text: &str) {
    match bound(text, &Memory::default()) {
        Err(Failure::Refused(reason, _)) => assert!(reason.contains("every name replaced"), "{reason}"),
        Err(Failure::Broken(reason)) => panic!("{reason}"),
        Ok(_) => panic!("bound: {text}"),
    }
}

#[test]
fn values_that_double_end_at_the_limit() {
    ends_at_the_limit(&(chain("rand()", |n| format!("{n} + {n}")) + &format!("print n{LEVELS}")));
    ends_at_the_limit(&(chain("rand()", |n| format!("{n}() + {n}()")) + &format!("print n{LEVELS}")));
}

#[test]
fn rows_that_double_end_at_the_limit() {
    ends_at_the_limit(&(chain("datatable(x:long)[1]", |n| format!("union {n}, {n}")) + &format!("n{LEVELS}")));
    let named = |n: &str| format!("{n} | as T | join kind=inner T on x | project x");
    ends_at_the_limit(&(chain("datatable(x:long)[1]", named) + &format!("n{LEVELS}")));
}

#[test]
fn queries_inside_values_that_double_end_at_the_limit() {
    let of = |n: &str| format!("toscalar(range x from 1 to 2 step 1 | where x > {n} + {n} | count)");
    ends_at_the_limit(&(chain("rand()", of) + &format!("print n{LEVELS}")));
}

#[test]
fn arguments_that_double_end_at_the_limit() {
    let nested = (0..LEVELS).fold("rand()".to_owned(), |inner, _| format!("f({inner})"));
    ends_at_the_limit(&format!("let f = (x:real) {{ x * x + x }};\nprint {nested}"));
}

#[test]
fn pipes_through_functions_count_once_where_the_function_reads_them_once() {
    let chain = |body: &str| {
        let calls = " | invoke f()".repeat(LEVELS);
        format!("let f = (T:(x:long)) {{ {body} }};\ndatatable(x:long)[1]{calls}")
    };
    let once = bound(&chain("T | where x > 0"), &Memory::default());
    assert!(once.is_ok(), "{:?}", once.err());
    ends_at_the_limit(&chain("union T, T"));
}

#[test]
fn names_used_often_are_no_matter() {
    let sum = (0..100).map(|_| "n").collect::<Vec<_>>().join(" + ");
    let bound = bound(&format!("let n = rand() * 2;\nprint {sum}"), &Memory::default());
    assert!(bound.is_ok(), "{:?}", bound.err());
}
