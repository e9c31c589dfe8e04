//! Which rows cannot hold any keyword: the bytes of a whole column are read as one text, without looking at single
//! values.
//!
//! The answer is a set of rows to look at more closely, never one to report. A row is left out only when none of the
//! literals stands in it; one that spans two neighbouring values merely names a row too many.

use aho_corasick::{AhoCorasick, Input, Span, packed};
use arrow::array::StringArray;

use super::rows::Rows;

/// Literals up to which a vectorised search is made.
const PACKED_LITERALS_MAX: usize = 64;
/// Bytes that are folded and searched at a time: they stay in the core's own cache.
const CHUNK_BYTES: usize = 32 << 10;
/// Shorter parts of a literal stand in nearly every JSON text.
const SAFE_BYTES_MIN: usize = 3;

/// How a character that folds to one of ASCII begins when JSON escapes it: those of ASCII, `ſ` and the Kelvin sign.
const ESCAPES: [&str; 3] = ["\\u0", "\\u1", "\\u2"];

/// Characters of numbers as texts, infinity and what is none among them.
const OF_NUMBERS: &str = "0123456789.-infa";

/// Finds rows that may hold a literal.
#[derive(Debug)]
pub(crate) struct KeywordFilter {
    in_numbers: bool,
    text: Search,
    /// For JSON text, in which some characters are escaped.
    json: Option<Search>,
}

#[derive(Debug)]
enum Search {
    Packed(packed::Searcher),
    Automaton(AhoCorasick),
}

impl KeywordFilter {
    /// A filter for folded literals; `None` without any.
    pub fn new(literals: &[String]) -> Option<Self> {
        let safe: Option<Vec<&str>> = literals.iter().map(|literal| longest_safe_part(literal)).collect();
        let with_escapes = |parts: Vec<&str>| Search::new(&[parts, ESCAPES.to_vec()].concat());
        let in_numbers = literals.iter().any(|literal| literal.chars().all(|c| OF_NUMBERS.contains(c)));
        Some(Self { in_numbers, text: Search::new(literals)?, json: safe.and_then(with_escapes) })
    }

    /// Whether a number may hold a literal.
    pub fn may_be_in_numbers(&self) -> bool {
        self.in_numbers
    }

    /// Rows among `wanted` whose text may hold a literal, ascending.
    pub fn suspects(&self, array: &StringArray, wanted: &Rows, buffer: &mut Vec<u8>) -> Vec<usize> {
        scan(&self.text, array, wanted, buffer)
    }

    /// Rows among `wanted` whose JSON text may hold a literal within its strings, ascending.
    pub fn suspects_in_json(&self, array: &StringArray, wanted: &Rows, buffer: &mut Vec<u8>) -> Vec<usize> {
        let Some(search) = &self.json else { return wanted.iter().map(|row| row as usize).collect() };
        scan(search, array, wanted, buffer)
    }
}

/// The longest run of characters that JSON never writes otherwise than as themselves, or as `\u`.
fn longest_safe_part(literal: &str) -> Option<&str> {
    let is_safe = |c: char| c.is_ascii() && !c.is_ascii_control() && !matches!(c, '"' | '\\' | '/');
    let longest = literal.split(|c| !is_safe(c)).max_by_key(|part| part.len())?;
    (longest.len() >= SAFE_BYTES_MIN).then_some(longest)
}

impl Search {
    fn new<S: AsRef<str>>(literals: &[S]) -> Option<Self> {
        if literals.is_empty() {
            return None;
        }
        let literals: Vec<&str> = literals.iter().map(AsRef::as_ref).collect();
        if literals.len() <= PACKED_LITERALS_MAX {
            let mut builder = packed::Config::new().match_kind(packed::MatchKind::LeftmostFirst).builder();
            if let Some(searcher) = builder.extend(&literals).build() {
                return Some(Self::Packed(searcher));
            }
        }
        AhoCorasick::new(&literals).ok().map(Self::Automaton)
    }

    /// Where the next literal begins, from `at` on.
    fn find(&self, bytes: &[u8], at: usize) -> Option<usize> {
        match self {
            Self::Packed(searcher) => {
                searcher.find_in(bytes, Span { start: at, end: bytes.len() }).map(|found| found.start())
            }
            Self::Automaton(automaton) => {
                automaton.find(Input::new(bytes).span(at..bytes.len())).map(|found| found.start())
            }
        }
    }
}

fn scan(search: &Search, array: &StringArray, wanted: &Rows, buffer: &mut Vec<u8>) -> Vec<usize> {
    let offsets = array.value_offsets();
    let end_of = |row: usize| usize::try_from(offsets[row + 1]).unwrap_or_default();
    let start_of = |row: usize| usize::try_from(offsets[row]).unwrap_or_default();
    let mut suspects = Vec::new();
    let mut rows = wanted.iter().map(|row| row as usize).peekable();
    while let Some(first) = rows.next() {
        let mut last = first;
        let full = start_of(first) + CHUNK_BYTES;
        while let Some(next) = rows.next_if(|next| *next == last + 1 && end_of(*next) <= full) {
            last = next;
        }
        let bytes = &array.value_data()[start_of(first)..end_of(last)];
        if !bytes.is_ascii() {
            // Folding changes lengths there. Few rows are so.
            suspects.extend(first..=last);
            continue;
        }
        buffer.clear();
        buffer.extend_from_slice(bytes);
        buffer.make_ascii_lowercase();
        let mut at = 0;
        let mut row = first;
        while let Some(found) = search.find(buffer, at) {
            let position = start_of(first) + found;
            row += offsets[row + 1..=last + 1].partition_point(|end| usize::try_from(*end).unwrap_or(0) <= position);
            suspects.push(row);
            at = end_of(row) - start_of(first);
            row += 1;
            if row > last {
                break;
            }
        }
    }
    suspects
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suspects(literals: &[&str], values: &[&str], wanted: &[usize], json: bool) -> Vec<usize> {
        let literals: Vec<String> = literals.iter().map(|literal| (*literal).to_owned()).collect();
        let filter = KeywordFilter::new(&literals).unwrap();
        let mut rows = Rows::none(values.len());
        wanted.iter().for_each(|row| rows.insert(*row));
        let array = StringArray::from(values.to_vec());
        match json {
            true => filter.suspects_in_json(&array, &rows, &mut Vec::new()),
            false => filter.suspects(&array, &rows, &mut Vec::new()),
        }
    }

    #[test]
    fn rows_with_a_literal_are_suspects_whatever_their_case() {
        let values = ["an Alpha", "", "beta", "none", "xALPHAx", "alpha"];
        assert_eq!(suspects(&["alpha", "beta"], &values, &[0, 1, 2, 3, 4], false), [0, 2, 4]);
        assert_eq!(suspects(&["alpha", "beta"], &values, &[1, 3], false), [0; 0]);
        assert_eq!(suspects(&["alpha"], &["alphaalpha", "alpha", "é", "x"], &[0, 1], false), [0, 1]);
    }

    #[test]
    fn a_text_that_folds_otherwise_is_always_a_suspect() {
        assert_eq!(suspects(&["sss"], &["plain", "ſſs"], &[1], false), [1]);
    }

    #[test]
    fn what_spans_two_values_hides_nothing() {
        // The first hit begins in the first value and ends in the second, which holds one of its own.
        assert!(suspects(&["abcabd", "abd"], &["xabc", "abd"], &[0, 1], false).contains(&1));
    }

    #[test]
    fn escapes_of_json_hide_nothing() {
        let literal = ["a\\b long"];
        assert_eq!(suspects(&literal, &[r#"{"x":"a\\b long"}"#, r#"{"x":"a\\c"}"#], &[0, 1], true), [0]);
        assert_eq!(suspects(&["alpha"], &[r#"{"x":"\u0061lpha"}"#, r#"{"x":"y"}"#], &[0, 1], true), [0]);
        // Nothing of this literal stands for itself for sure.
        assert_eq!(suspects(&["\"\\"], &["{}", "{}"], &[0, 1], true), [0, 1]);
    }

    #[test]
    fn many_literals_and_long_columns_are_searched_too() {
        let literals: Vec<String> = (0..200).map(|number| format!("needle-{number:03}")).collect();
        let literals: Vec<&str> = literals.iter().map(String::as_str).collect();
        let filler = "x".repeat(CHUNK_BYTES / 3);
        let values: Vec<String> =
            (0..20).map(|row| format!("{filler}{}", if row % 7 == 3 { "NEEDLE-123" } else { "" })).collect();
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        assert_eq!(suspects(&literals, &values, &(0..20).collect::<Vec<_>>(), false), [3, 10, 17]);
    }
}
