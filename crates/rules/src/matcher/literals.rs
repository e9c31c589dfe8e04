//! The literals without which a regular expression cannot match, so that it runs only where one of them occurs.

use regex_syntax::hir::{Class, Hir, HirKind};

use crate::pattern::fold;

/// Literals in one alternation at most: beyond, the expression runs on every value.
const ALTERNATIVES_MAX: usize = 64;
/// Shorter literals occur in nearly every value.
const LITERAL_CHARS_MIN: usize = 3;

/// Folded literals, at least one of which every match contains; `None` when there are no useful ones.
pub(crate) fn required(source: &str) -> Option<Vec<String>> {
    let hir = regex_syntax::parse(source).ok()?;
    of(&hir).filter(|literals| literals.iter().all(|literal| literal.chars().count() >= LITERAL_CHARS_MIN))
}

fn of(hir: &Hir) -> Option<Vec<String>> {
    match hir.kind() {
        HirKind::Literal(literal) => std::str::from_utf8(&literal.0).ok().map(|text| vec![fold(text).into_owned()]),
        HirKind::Capture(capture) => of(&capture.sub),
        HirKind::Repetition(repetition) if repetition.min > 0 => of(&repetition.sub),
        HirKind::Alternation(parts) => {
            let found: Option<Vec<_>> = parts.iter().map(of).collect();
            found.map(|lists| lists.concat()).filter(|literals| literals.len() <= ALTERNATIVES_MAX)
        }
        HirKind::Concat(parts) => of_concat(parts),
        _ => None,
    }
}

/// The best of: runs of neighbouring literals, and what the parts require by themselves.
fn of_concat(parts: &[Hir]) -> Option<Vec<String>> {
    let mut candidates: Vec<Vec<String>> = Vec::new();
    let mut run = String::new();
    for part in parts {
        match letters(part) {
            Some(text) => run.push_str(&text),
            None => {
                candidates.push(vec![std::mem::take(&mut run)]);
                candidates.extend(of(part));
            }
        }
    }
    candidates.push(vec![run]);
    let shortest = |literals: &Vec<String>| literals.iter().map(|literal| literal.chars().count()).min().unwrap_or(0);
    candidates.into_iter().filter(|literals| shortest(literals) > 0).max_by_key(shortest)
}

/// The folded text of a part that is a literal, or one letter in either case.
fn letters(part: &Hir) -> Option<String> {
    match part.kind() {
        HirKind::Literal(literal) => std::str::from_utf8(&literal.0).ok().map(|text| fold(text).into_owned()),
        HirKind::Class(Class::Unicode(class)) => {
            let mut chars = class.iter().flat_map(|range| range.start()..=range.end());
            let first = chars.next()?;
            let folded = fold(first.encode_utf8(&mut [0; 4])).into_owned();
            // At most a handful of characters fold to one; a wide class ends the search at its second member.
            let same = chars.take(4).all(|c| fold(c.encode_utf8(&mut [0; 4])) == folded);
            (same && class.iter().map(|range| range.len()).sum::<usize>() <= 4).then_some(folded)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(source: &str, expected: Option<&[&str]>) {
        let found = required(source);
        assert_eq!(found, expected.map(|list| list.iter().map(|s| (*s).to_owned()).collect()), "{source}");
    }

    #[test]
    fn finds_what_every_match_contains() {
        check(r"\\powershell\.exe", Some(&["\\powershell.exe"]));
        check(r"(?i)PowerShell\s+-e", Some(&["powershell"]));
        check(r"a.*longest.*bc", Some(&["longest"]));
        check(r"(cmd|powershell)\.exe", Some(&[".exe"]));
        check(r"(command|powershell)x", Some(&["command", "powershell"]));
        check(r"(abc)+", Some(&["abc"]));
        check(r"(abc)*", None);
        check(r"[0-9]{10}", None);
        check(r"ab", None);
    }
}
