//! Cuts texts into terms.

use super::{PART_MARK, TERM_CHARS_MIN, cut, parts};

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

/// The forms of a text of which a key is a term, ASCII letters lowered: bits of the two below, or neither.
pub(super) type Forms = u8;
/// The text as it stands.
const AS_IT_STANDS: Forms = 1;
/// The text with its escapes undone.
const AS_IT_READS: Forms = 2;
/// Every form: whichever of them is asked about, it has the term.
pub(super) const ALL_FORMS: Forms = AS_IT_STANDS | AS_IT_READS;

/// Calls `each` with every key of a text and forms it is a term of, repeated ones again.
pub(super) fn each_key(text: &str, kind: TextKind, scratch: &mut String, each: &mut dyn FnMut(&str, Forms)) {
    if kind == TextKind::Json && text.contains('\\') {
        each_key_of_form(text, AS_IT_STANDS, scratch, each);
        each_key_of_form(&without_escapes(text), AS_IT_READS, scratch, each);
    } else {
        each_key_of_form(text, ALL_FORMS, scratch, each);
    }
}

fn each_key_of_form(text: &str, form: Forms, scratch: &mut String, each: &mut dyn FnMut(&str, Forms)) {
    let mut lowered = |term: &str, forms: Forms| {
        scratch.clear();
        scratch.push_str(cut(term));
        scratch.make_ascii_lowercase();
        each(scratch, forms);
        for part in parts(term) {
            scratch.clear();
            scratch.push(PART_MARK);
            scratch.push_str(part);
            scratch.make_ascii_lowercase();
            each(scratch, forms);
        }
    };
    if text.is_ascii() {
        let runs = text.as_bytes().split(|byte| !byte.is_ascii_alphanumeric());
        for run in runs.filter(|run| run.len() >= TERM_CHARS_MIN) {
            // A run of ASCII letters and digits is a text of its own.
            lowered(std::str::from_utf8(run).unwrap_or_default(), form);
        }
        return;
    }
    long_terms(text).for_each(|term| lowered(term, form));
    long_terms(&text.to_lowercase()).for_each(|term| lowered(term, 0));
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
