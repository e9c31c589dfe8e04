//! Functions over text. Positions count code points from 0.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use moneta_event::ColumnType;
use regex::{Regex, RegexBuilder};
use serde_json::Value as Json;

use super::conversion::{cell_text, to_text};
use super::row::{Answer, Call, Cell};
use super::{Function, Naming};
use crate::json;

/// The greatest size of a compiled regular expression in bytes.
const REGEX_SIZE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Compiled regular expressions kept per thread.
const REGEXES_KEPT_MAX: usize = 64;
/// The greatest text `strrep` and its kin make, in bytes.
const TEXT_SIZE_BYTES_MAX: usize = 1024 * 1024;

/// The declarations.
pub const FUNCTIONS: &[Function] = &[
    Function::row("strlen", &["(source: text) -> long"], |a, _| a[0].text().chars().count().into())
        .naming(Naming::Prefix("strlen_"))
        .doc("Counts the characters of a text.", &[("strlen('h\u{e9}llo')", "5")]),
    Function::row("string_size", &["(source: text) -> long"], |a, _| a[0].text().len().into())
        .naming(Naming::Prefix("string_size_"))
        .doc("Counts the bytes of a text in UTF-8.", &[("string_size('h\u{e9}llo')", "6")]),
    Function::row("tolower", &["(source: astext) -> string"], |a, _| a[0].text().to_lowercase().into())
        .doc("Makes a text lower case.", &[("tolower('AbC')", "\"abc\"")]),
    Function::row("toupper", &["(source: astext) -> string"], |a, _| a[0].text().to_uppercase().into())
        .doc("Makes a text upper case.", &[("toupper('AbC')", "\"ABC\"")]),
    Function::row("strcat", &["(value: astext...) -> string"], |a, _| concat(a, "").into())
        .doc("Joins texts.", &[("strcat('a', 1, true)", "\"a1True\"")]),
    Function::row("strcat_delim", &["(delimiter: astext, value: astext, other: astext...) -> string"], |a, _| {
        concat(&a[1..], a[0].text()).into()
    })
    .doc("Joins texts with a delimiter.", &[("strcat_delim('-', 1, 2, 3)", "\"1-2-3\"")]),
    Function::row("substring", &["(source: astext, start: integer, [length: integer]) -> string"], |a, _| {
        substring(a[0].text(), a[1].long().unwrap_or(0), a.get(2).map(|n| n.long().unwrap_or(0))).into()
    })
    .doc(
        "Cuts a part out of a text, from a position counted from 0 (negative: from the end).",
        &[("substring('ABCD', 1, 2)", "\"BC\""), ("substring('123456', -2, 2)", "\"56\"")],
    ),
    Function::row(
        "indexof",
        &["(source: astext, lookup: astext, [start: integer], [length: integer], [occurrence: integer]) -> long"],
        |a, _| {
            let number = |position: usize| a.get(position).and_then(|cell| cell.long());
            index_of(a[0].text(), a[1].text(), number(2).unwrap_or(0), number(3).unwrap_or(-1), number(4).unwrap_or(1))
                .into()
        },
    )
    .doc(
        "The position of a text in another, or -1.",
        &[("indexof('abcdefg', 'cde')", "2"), ("indexof('abcabc', 'c', 0, -1, 2)", "5"), ("indexof('abc', 'x')", "-1")],
    ),
    Function::row("countof", &["(source: text, search: text, [kind: string]) -> long"], |a, _| {
        count_of(a[0].text(), a[1].text(), a.get(2).is_some_and(|kind| kind.text() == "regex")).into()
    })
    .doc(
        "Counts the places of a text in another; they may overlap, unless the kind is `regex`.",
        &[("countof('aaa', 'aa')", "2"), ("countof('abcabc', 'a.', 'regex')", "2")],
    ),
    Function::row("replace_string", &["(text: text, lookup: text, rewrite: text) -> string"], |a, _| {
        if a[1].text().is_empty() { a[0].into() } else { a[0].text().replace(a[1].text(), a[2].text()).into() }
    })
    .doc("Replaces every place of a text by another.", &[("replace_string('abcab', 'ab', 'x')", "\"xcx\"")]),
    Function::row("replace_regex", &["(text: text, lookup: text, rewrite: text) -> string"], |a, _| {
        match regex(a[1].text()) {
            Some(regex) => regex.replace_all(a[0].text(), rewrite(a[2].text()).as_str()).into(),
            None => a[0].into(),
        }
    })
    .doc(
        "Replaces every match of a regular expression; `\\1` stands for its first group.",
        &[("replace_regex('a1b22', @'(\\d+)', @'<\\1>')", "\"a<1>b<22>\"")],
    ),
    Function::row("replace", &["(lookup: text, rewrite: text, text: text) -> string"], |a, _| {
        match regex(a[0].text()) {
            Some(regex) => regex.replace_all(a[2].text(), rewrite(a[1].text()).as_str()).into(),
            None => a[2].into(),
        }
    })
    .doc("The older form of `replace_regex`.", &[("replace('b+', 'x', 'abbc')", "\"axc\"")]),
    Function::row("replace_strings", &["(text: text, lookups: dynamic, rewrites: dynamic) -> string"], replace_strings)
        .doc(
            "Replaces every place of each lookup by the rewrite of the same position.",
            &[("replace_strings('a-b', dynamic(['a','b']), dynamic(['1','2']))", "\"1-2\"")],
        ),
    Function::row("trim", &["(regex: text, text: text) -> string"], |a, _| {
        trim(a[0].text(), a[1].text(), true, true).into()
    })
    .doc(
        "Removes matches of a regular expression from both ends.",
        &[("trim('-', '--a-b--')", "\"-a-b-\""), ("trim(@'[^\\w]+', '- a-b!')", "\"a-b\"")],
    ),
    Function::row("trim_start", &["(regex: text, text: text) -> string"], |a, _| {
        trim(a[0].text(), a[1].text(), true, false).into()
    })
    .doc("Removes a match of a regular expression from the start.", &[("trim_start('x+', 'xxa')", "\"a\"")]),
    Function::row("trim_end", &["(regex: text, text: text) -> string"], |a, _| {
        trim(a[0].text(), a[1].text(), false, true).into()
    })
    .doc("Removes a match of a regular expression from the end.", &[("trim_end('x+', 'axx')", "\"a\"")]),
    Function::row("split", &["(source: astext, delimiter: astext, [index: integer]) -> dynamic"], split)
        .naming(Naming::First)
        .handles_nulls()
        .doc(
            "Splits a text into an array; with an index, an array of that part alone.",
            &[("split('a_b', '_')", "dynamic([\"a\",\"b\"])"), ("split('a_b', '_', 1)", "dynamic([\"b\"])")],
        ),
    Function::row(
        "extract",
        &[
            "(regex: text, group: integer, source: text) -> string",
            "(regex: text, group: integer, source: text, type: scalar) -> string",
        ],
        |a, _| extract(a[0].text(), a[1].long().unwrap_or(0), a[2].text()).into(),
    )
    .doc(
        "The text of a group of the first match of a regular expression.",
        &[("extract('x=([0-9.]+)', 1, 'a x=45.6|w')", "\"45.6\"")],
    ),
    Function::row(
        "extract_all",
        &["(regex: text, source: text) -> dynamic", "(regex: text, groups: dynamic, source: text) -> dynamic"],
        |a, _| {
            let groups = (a.len() > 2).then(|| json::parse(a[1].text()));
            extract_all(a[0].text(), groups.as_ref(), a[a.len() - 1].text())
        },
    )
    .aliases(&["extractall"])
    .doc(
        "The texts of the groups of all matches of a regular expression.",
        &[("extract_all(@'(\\d+)', 'a1b22')", "dynamic([\"1\",\"22\"])")],
    ),
    Function::row("regex_quote", &["(source: astext) -> string"], |a, _| regex::escape(a[0].text()).into())
        .doc("Escapes what a regular expression would treat as special.", &[("regex_quote('a.b')", "\"a\\\\.b\"")]),
    Function::row("reverse", &["(source: astext) -> string"], |a, _| {
        a[0].text().chars().rev().collect::<String>().into()
    })
    .doc("Turns the order of the characters round.", &[("reverse('abc')", "\"cba\"")]),
    Function::row("strcmp", &["(left: astext, right: astext) -> long"], |a, _| {
        (a[0].text().cmp(a[1].text()) as i64).into()
    })
    .doc("-1, 0 or 1 as the first text stands before, with or after the second.", &[("strcmp('a', 'b')", "-1")]),
    Function::row("strrep", &["(value: astext, times: integer, [delimiter: astext]) -> string"], |a, _| {
        repeat(a[0].text(), a[1].long().unwrap_or(0), a.get(2).map_or("", |d| d.text())).into()
    })
    .doc("Repeats a text.", &[("strrep('ab', 3)", "\"ababab\""), ("strrep(1, 2, '-')", "\"1-1\"")]),
    Function::row("translate", &["(from: text, to: text, text: text) -> string"], |a, _| {
        translate(a[0].text(), a[1].text(), a[2].text()).into()
    })
    .doc(
        "Replaces characters one by one; without a counterpart they are removed.",
        &[("translate('krasp', 'otsku', 'spark')", "\"kusto\"")],
    ),
    Function::row("isascii", &["(source: astext) -> bool"], |a, _| a[0].text().is_ascii().into())
        .doc("Whether a text holds ASCII only.", &[("isascii('a')", "true")]),
    Function::row("isutf8", &["(source: astext) -> bool"], |_, _| true.into())
        .doc("Whether a text is valid UTF-8: always.", &[("isutf8('a')", "true")]),
    Function::row("to_utf8", &["(source: astext) -> dynamic"], |a, _| {
        Json::from(a[0].text().chars().map(u32::from).collect::<Vec<_>>()).into()
    })
    .aliases(&["unicode_codepoints_from_string"])
    .doc("The code points of a text.", &[("to_utf8('ab')", "dynamic([97,98])")]),
    Function::row("make_string", &["(value: scalar...) -> string"], code_points)
        .aliases(&["unicode_codepoints_to_string"])
        .doc("The text of code points.", &[("make_string(72, 105)", "\"Hi\"")]),
    Function::row("has_any_index", &["(source: text, values: dynamic) -> long"], |a, _| {
        let values = json::elements(a[1].text()).unwrap_or_default();
        let found = values.iter().position(|value| {
            super::terms::Matcher::new(super::terms::TextTest::Has, false, &json::to_text(value)).matches(a[0].text())
        });
        found.map_or(Answer::Long(-1), Into::into)
    })
    .doc(
        "The position of the first term of a list that a text has, or -1.",
        &[("has_any_index('this is', dynamic(['x','is']))", "1")],
    ),
];

/// A compiled regular expression, kept per thread; `None` if it does not compile.
#[must_use]
pub fn regex(pattern: &str) -> Option<Arc<Regex>> {
    type Last = Option<(String, Option<Arc<Regex>>)>;
    thread_local! {
        static KEPT: RefCell<HashMap<String, Option<Arc<Regex>>>> = RefCell::new(HashMap::new());
        // Rows of one call ask for the same expression one after the other.
        static LAST: RefCell<Last> = const { RefCell::new(None) };
    }
    let last =
        LAST.with_borrow(|last| last.as_ref().filter(|(known, _)| known == pattern).map(|(_, regex)| regex.clone()));
    if let Some(regex) = last {
        return regex;
    }
    let regex = KEPT.with_borrow_mut(|kept| {
        if let Some(regex) = kept.get(pattern) {
            return regex.clone();
        }
        if kept.len() >= REGEXES_KEPT_MAX {
            kept.clear();
        }
        let regex = compile(pattern).ok().map(Arc::new);
        kept.insert(pattern.to_owned(), regex.clone());
        regex
    });
    LAST.with_borrow_mut(|last| *last = Some((pattern.to_owned(), regex.clone())));
    regex
}

/// Compiles a regular expression within the size limit.
///
/// # Errors
/// What the expression does wrong, or that it is too large.
pub fn compile(pattern: &str) -> Result<Regex, regex::Error> {
    let build = |pattern: &str| RegexBuilder::new(pattern).size_limit(REGEX_SIZE_BYTES_MAX).build();
    build(pattern).or_else(|error| build(&with_literal_brackets(pattern)).map_err(|_| error))
}

/// Escapes brackets that Kusto's expressions take literally: `{` that opens no count, `[` inside a class, and
/// escapes of letters that mean nothing inside a class.
fn with_literal_brackets(pattern: &str) -> String {
    let chars: Vec<char> = pattern.chars().collect();
    let mut out = String::with_capacity(pattern.len() + 8);
    let mut in_class = false;
    let mut at = 0;
    while at < chars.len() {
        let c = chars[at];
        match c {
            '\\' if at + 1 < chars.len() => {
                let next = chars[at + 1];
                let letter = next.is_ascii_alphabetic() && !"dDsSwWpPabfnrtvxuU".contains(next);
                let unknown = in_class && (letter || matches!(next, '<' | '>'));
                if next == '0' {
                    // `\0` and up to two octal digits: a character by its number.
                    let digits = chars[at + 2..].iter().take(2).take_while(|c| c.is_digit(8)).count();
                    let number =
                        chars[at + 1..=at + 1 + digits].iter().fold(0, |sum, c| sum * 8 + c.to_digit(8).unwrap_or(0));
                    out.push_str(&format!("\\x{{{number:x}}}"));
                    at += 2 + digits;
                    continue;
                }
                if !unknown {
                    out.push(c);
                }
                out.push(next);
                at += 1;
            }
            '[' if in_class && chars.get(at + 1) != Some(&':') => out.push_str("\\["),
            '[' => {
                in_class = true;
                out.push(c);
                // A bracket that closes directly after the opening one is literal.
                if chars.get(at + 1) == Some(&'^') {
                    out.push('^');
                    at += 1;
                }
                if chars.get(at + 1) == Some(&']') {
                    out.push_str("\\]");
                    at += 1;
                }
            }
            ']' if in_class => {
                in_class = false;
                out.push(c);
            }
            '{' if !in_class && !opens_count(&chars[at + 1..]) && !out.ends_with("\\p") => out.push_str("\\{"),
            _ => out.push(c),
        }
        at += 1;
    }
    out
}

/// Whether what follows a `{` is a count such as `2}`, `2,}` or `2,3}`.
fn opens_count(rest: &[char]) -> bool {
    let Some(end) = rest.iter().position(|c| *c == '}') else { return false };
    let inner = &rest[..end];
    !inner.is_empty() && inner[0].is_ascii_digit() && inner.iter().all(|c| c.is_ascii_digit() || *c == ',')
}

/// A rewrite in Kusto's form (`\1`) as the regex library wants it (`${1}`).
fn rewrite(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '$' => out.push_str("$$"),
            '\\' => match chars.peek() {
                Some(digit) if digit.is_ascii_digit() => {
                    out.push_str(&format!("${{{digit}}}"));
                    chars.next();
                }
                Some('\\') => {
                    out.push('\\');
                    chars.next();
                }
                _ => out.push('\\'),
            },
            _ => out.push(c),
        }
    }
    out
}

fn concat(args: &[Cell<'_>], delimiter: &str) -> String {
    let mut out = String::new();
    for (index, arg) in args.iter().enumerate() {
        if index > 0 {
            out.push_str(delimiter);
        }
        out.push_str(arg.text());
    }
    out
}

/// Part of a text by code points.
#[must_use]
pub fn substring(text: &str, start: i64, length: Option<i64>) -> &str {
    let total = || i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
    let start = if start < 0 { (total() + start).max(0) } else { start };
    let length = length.unwrap_or(i64::MAX).max(0);
    let offset = |position: i64| {
        usize::try_from(position).ok().and_then(|n| text.char_indices().nth(n)).map_or(text.len(), |(at, _)| at)
    };
    if text.is_ascii() {
        let from = usize::try_from(start).unwrap_or(usize::MAX).min(text.len());
        let to = from.saturating_add(usize::try_from(length).unwrap_or(usize::MAX)).min(text.len());
        return &text[from..to];
    }
    let from = offset(start);
    let to = offset(start.saturating_add(length));
    &text[from..to.max(from)]
}

fn index_of(text: &str, lookup: &str, start: i64, length: i64, occurrence: i64) -> Option<i64> {
    let chars: Vec<char> = text.chars().collect();
    let wanted: Vec<char> = lookup.chars().collect();
    let total = i64::try_from(chars.len()).ok()?;
    if occurrence < 1 || length < -1 {
        return None;
    }
    let start = if start < 0 { (total + start).max(0) } else { start };
    let mut start = usize::try_from(start).ok()?;
    // Each occurrence is looked for anew in that many characters behind the one before.
    for left in (1..=occurrence).rev() {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let end = start.saturating_add(length).min(chars.len());
        let at = (start..=end.saturating_sub(wanted.len())).find(|at| chars[*at..end].starts_with(&wanted));
        match at {
            Some(at) if left == 1 => return i64::try_from(at).ok(),
            Some(at) => start = at + 1,
            None => break,
        }
    }
    Some(-1)
}

fn count_of(text: &str, search: &str, is_regex: bool) -> usize {
    if is_regex {
        return regex(search).map_or(0, |regex| regex.find_iter(text).count());
    }
    if search.is_empty() {
        return 0;
    }
    let finder = memchr::memmem::Finder::new(search.as_bytes());
    let (mut count, mut at) = (0, 0);
    while let Some(found) = finder.find(&text.as_bytes()[at..]) {
        count += 1;
        at += found + 1;
    }
    count
}

fn trim<'a>(pattern: &str, text: &'a str, start: bool, end: bool) -> &'a str {
    let mut text = text;
    if start && let Some(found) = regex(&format!("^(?:{pattern})")).and_then(|r| r.find(text)) {
        text = &text[found.end()..];
    }
    if end && let Some(found) = regex(&format!("(?:{pattern})$")).and_then(|r| r.find(text)) {
        text = &text[..found.start()];
    }
    text
}

fn split<'a>(args: &[Cell<'a>], _: &Call<'_>) -> Answer<'a> {
    let (text, delimiter) = (args[0].text(), args[1].text());
    let parts: Vec<&str> = if delimiter.is_empty() { vec![text] } else { text.split(delimiter).collect() };
    match args.get(2).map(|index| index.long()) {
        None => Json::from(parts).into(),
        Some(index) => {
            let part = index.and_then(|index| usize::try_from(index).ok()).and_then(|index| parts.get(index));
            part.map_or(Json::Array(Vec::new()), |part| Json::from(vec![*part])).into()
        }
    }
}

fn extract<'a>(pattern: &str, group: i64, text: &'a str) -> Option<&'a str> {
    let regex = regex(pattern)?;
    let found = regex.captures(text)?.get(usize::try_from(group).ok()?)?;
    Some(&text[found.range()])
}

fn extract_all<'a>(pattern: &str, groups: Option<&Json>, text: &str) -> Answer<'a> {
    let Some(regex) = regex(pattern) else { return Answer::Null };
    let wanted: Vec<usize> = match groups.and_then(Json::as_array) {
        Some(groups) => groups
            .iter()
            .filter_map(|group| match group {
                Json::String(name) => regex.capture_names().position(|known| known == Some(name)),
                number => number.as_u64().and_then(|n| usize::try_from(n).ok()),
            })
            .collect(),
        None if regex.captures_len() == 1 => vec![0],
        None => (1..regex.captures_len()).collect(),
    };
    let mut all = Vec::new();
    for captures in regex.captures_iter(text) {
        let texts: Vec<Json> =
            wanted.iter().map(|group| captures.get(*group).map_or("", |found| found.as_str()).into()).collect();
        all.push(if texts.len() == 1 { texts.into_iter().next().unwrap_or(Json::Null) } else { Json::Array(texts) });
    }
    if all.is_empty() { Answer::Null } else { Json::Array(all).into() }
}

fn repeat(text: &str, times: i64, delimiter: &str) -> String {
    let times = usize::try_from(times).unwrap_or(0).min(1024);
    let mut out = String::new();
    for index in 0..times {
        if out.len() + text.len() > TEXT_SIZE_BYTES_MAX {
            break;
        }
        if index > 0 {
            out.push_str(delimiter);
        }
        out.push_str(text);
    }
    out
}

fn translate(from: &str, to: &str, text: &str) -> String {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    text.chars()
        .filter_map(|c| match from.iter().position(|known| *known == c) {
            None => Some(c),
            Some(at) => to.get(at).or(to.last()).copied(),
        })
        .collect()
}

fn replace_strings<'a>(args: &[Cell<'a>], _: &Call<'_>) -> Answer<'a> {
    let texts = |cell: Cell<'a>| -> Vec<Cow<'a, str>> {
        json::elements(cell.text()).unwrap_or_default().into_iter().map(json::to_text).collect()
    };
    let (lookups, rewrites) = (texts(args[1]), texts(args[2]));
    // One lookup after the other, but what a rewrite made is seen by no later one.
    let mut pieces: Vec<(Cow<'_, str>, bool)> = vec![(args[0].text().into(), false)];
    for (lookup, rewrite) in lookups.iter().zip(&rewrites).filter(|(lookup, _)| !lookup.is_empty()) {
        if !pieces.iter().any(|(piece, made)| !made && piece.contains(&**lookup)) {
            continue;
        }
        let mut next = Vec::with_capacity(pieces.len());
        for (piece, made) in pieces {
            if made || !piece.contains(&**lookup) {
                next.push((piece, made));
                continue;
            }
            for (index, part) in piece.split(&**lookup).enumerate() {
                if index > 0 {
                    next.push((rewrite.clone(), true));
                }
                if !part.is_empty() {
                    next.push((part.to_owned().into(), false));
                }
            }
        }
        pieces = next;
    }
    pieces.iter().map(|(piece, _)| piece.as_ref()).collect::<String>().into()
}

fn code_points<'a>(args: &[Cell<'a>], call: &Call<'_>) -> Answer<'a> {
    let mut out = String::new();
    for (cell, column_type) in args.iter().zip(call.types) {
        let numbers: Vec<u64> = match column_type {
            ColumnType::Dynamic => {
                json::parse(cell.text()).as_array().into_iter().flatten().filter_map(Json::as_u64).collect()
            }
            _ => cell_text(*cell, *column_type).parse().into_iter().collect(),
        };
        out.extend(numbers.into_iter().filter_map(|n| u32::try_from(n).ok().and_then(char::from_u32)));
    }
    out.into()
}

/// The text of an argument of any type, for functions that take `scalar`.
#[must_use]
pub fn argument_text<'a>(args: &[Cell<'a>], call: &Call<'_>, position: usize) -> Cow<'a, str> {
    to_text(args[position], call.types[position])
}
