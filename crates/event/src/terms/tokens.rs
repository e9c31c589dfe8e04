//! Cuts texts into terms.

use super::{TERM_CHARS_MIN, cut};

/// Whether a character is part of a term; all others separate terms, `_` included.
#[must_use]
pub fn is_term_char(c: char) -> bool {
    c.is_alphanumeric()
}

/// What kind of text a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextKind {
    /// Text as it is.
    Plain,
    /// JSON: what stands between quotes may be written with escapes.
    Json,
}

/// What the keys of a text say about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Accuracy {
    /// Each key is a term of the text, ASCII letters lowered.
    Exact,
    /// Some keys are terms of another form of the text only.
    Generous,
}

/// Calls `each` with every key of a text, repeated ones again.
pub(super) fn each_key(text: &str, kind: TextKind, scratch: &mut String, each: &mut dyn FnMut(&str)) -> Accuracy {
    let mut accuracy = each_key_of_form(text, scratch, each);
    if kind == TextKind::Json && text.contains('\\') {
        each_key_of_form(&without_escapes(text), scratch, each);
        accuracy = Accuracy::Generous;
    }
    accuracy
}

fn each_key_of_form(text: &str, scratch: &mut String, each: &mut dyn FnMut(&str)) -> Accuracy {
    let mut lowered = |term: &str| {
        scratch.clear();
        scratch.push_str(cut(term));
        scratch.make_ascii_lowercase();
        each(scratch);
    };
    if text.is_ascii() {
        let runs = text.as_bytes().split(|byte| !byte.is_ascii_alphanumeric());
        for run in runs.filter(|run| run.len() >= TERM_CHARS_MIN) {
            // A run of ASCII letters and digits is a text of its own.
            lowered(std::str::from_utf8(run).unwrap_or_default());
        }
        return Accuracy::Exact;
    }
    long_terms(text).for_each(&mut lowered);
    long_terms(&text.to_lowercase()).for_each(&mut lowered);
    Accuracy::Generous
}

/// The terms of a text that are long enough to be indexed.
pub(super) fn long_terms(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c| !is_term_char(c)).filter(|term| is_long(term))
}

/// Whether a term is long enough to be indexed.
pub(super) fn is_long(term: &str) -> bool {
    term.chars().nth(TERM_CHARS_MIN - 1).is_some()
}

/// A JSON text with the escapes of its strings undone. Quotes and escapes that cannot be become separators: all that
/// matters here is which letters stand together.
fn without_escapes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        match rest.chars().next() {
            Some('u') => {
                let (c, len) = unicode_escape(rest);
                out.push(c);
                rest = &rest[len..];
            }
            Some(c) => {
                out.push(' ');
                rest = &rest[c.len_utf8()..];
            }
            None => {}
        }
    }
    out.push_str(rest);
    out
}

/// The character of `uXXXX` or `uXXXX\uXXXX`, and how many bytes it takes.
fn unicode_escape(text: &str) -> (char, usize) {
    let unit = |from: usize| {
        let digits = text.get(from..from + 4).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        digits.and_then(|digits| u16::from_str_radix(digits, 16).ok())
    };
    let Some(first) = unit(1) else { return (' ', 1) };
    if let Some(c) = char::from_u32(u32::from(first)) {
        return (c, 5);
    }
    let second = text.get(5..7).filter(|mark| *mark == "\\u").and_then(|_| unit(7));
    match second.and_then(|second| char::decode_utf16([first, second]).next()?.ok()) {
        Some(c) => (c, 11),
        None => (' ', 5),
    }
}
