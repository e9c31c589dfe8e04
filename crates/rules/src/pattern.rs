//! Text patterns: literals with `*` and `?`, their simple forms, and the exact match of one value.
//!
//! This module never looks at more than one pattern and one value; many patterns at once are `matcher::value_tests`.

use std::borrow::Cow;

/// A part of a pattern.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Piece {
    /// Characters that stand for themselves.
    Literal(String),
    /// Exactly one character (`?`).
    One,
    /// Any number of characters, also none (`*`).
    Many,
}

/// A text pattern: neighbouring literals are joined, neighbouring `*` are one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Pattern {
    pieces: Vec<Piece>,
}

/// The simple form of a pattern, where it has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape<'a> {
    /// No characters: the value must be absent or empty.
    Empty,
    /// Only `*`: any value that is present.
    Anything,
    /// `abc`
    Equals(&'a str),
    /// `abc*`
    StartsWith(&'a str),
    /// `*abc`
    EndsWith(&'a str),
    /// `*abc*`
    Contains(&'a str),
    /// Anything else.
    Glob,
}

impl Pattern {
    /// A pattern that matches exactly this text.
    #[must_use]
    pub fn literal(text: &str) -> Self {
        let mut pattern = Self::default();
        pattern.push(Piece::Literal(text.to_owned()));
        pattern
    }

    /// Reads a Sigma string: `*` and `?` are wildcards; a backslash makes the wildcard or backslash after it literal,
    /// and stands for itself before anything else.
    ///
    /// # Source
    /// Sigma rules specification 2.1, section "Escaping".
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut pattern = Self::default();
        let mut literal = String::new();
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '\\' => literal.push(chars.next_if(|next| matches!(next, '*' | '?' | '\\')).unwrap_or('\\')),
                '*' | '?' => {
                    pattern.push(Piece::Literal(std::mem::take(&mut literal)));
                    pattern.push(if c == '*' { Piece::Many } else { Piece::One });
                }
                other => literal.push(other),
            }
        }
        pattern.push(Piece::Literal(literal));
        pattern
    }

    /// The pieces in order.
    #[must_use]
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// Appends a piece, joining it with the one before where both are of one kind.
    pub fn push(&mut self, piece: Piece) {
        match (self.pieces.last_mut(), piece) {
            (_, Piece::Literal(text)) if text.is_empty() => {}
            (Some(Piece::Literal(before)), Piece::Literal(text)) => before.push_str(&text),
            (Some(Piece::Many), Piece::Many) => {}
            (_, piece) => self.pieces.push(piece),
        }
    }

    /// This pattern with `*` before it.
    #[must_use]
    pub fn after_anything(self) -> Self {
        let mut pattern = Self { pieces: vec![Piece::Many] };
        self.pieces.into_iter().for_each(|piece| pattern.push(piece));
        pattern
    }

    /// This pattern with `*` behind it.
    #[must_use]
    pub fn before_anything(mut self) -> Self {
        self.push(Piece::Many);
        self
    }

    /// The text, when the pattern has no wildcard.
    #[must_use]
    pub fn as_literal(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [] => Some(""),
            [Piece::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// The pattern's simple form.
    #[must_use]
    pub fn shape(&self) -> Shape<'_> {
        match self.pieces.as_slice() {
            [] => Shape::Empty,
            [Piece::Many] => Shape::Anything,
            [Piece::Literal(text)] => Shape::Equals(text),
            [Piece::Literal(text), Piece::Many] => Shape::StartsWith(text),
            [Piece::Many, Piece::Literal(text)] => Shape::EndsWith(text),
            [Piece::Many, Piece::Literal(text), Piece::Many] => Shape::Contains(text),
            _ => Shape::Glob,
        }
    }

    /// The longest literal that every match contains.
    #[must_use]
    pub fn longest_literal(&self) -> Option<&str> {
        self.pieces
            .iter()
            .filter_map(|piece| match piece {
                Piece::Literal(text) => Some(text.as_str()),
                _ => None,
            })
            .max_by_key(|text| text.len())
    }

    /// The pattern with every literal folded by [`fold`].
    #[must_use]
    pub fn folded(&self) -> Self {
        let fold_piece = |piece: &Piece| match piece {
            Piece::Literal(text) => Piece::Literal(fold(text).into_owned()),
            other => other.clone(),
        };
        Self { pieces: self.pieces.iter().map(fold_piece).collect() }
    }

    /// Whether the whole of `value` matches, character by character. Linear in the value for each `*`, never
    /// exponential: only the last `*` is ever tried again.
    #[must_use]
    pub fn matches(&self, value: &str) -> bool {
        let mut at = 0;
        let mut index = 0;
        // Where to go on when a piece after the last `*` does not fit: one character further than last time.
        let mut retry: Option<(usize, usize)> = None;
        loop {
            let advanced = match self.pieces.get(index) {
                Some(Piece::Many) => {
                    retry = Some((index + 1, at));
                    Some(at)
                }
                Some(Piece::One) => value[at..].chars().next().map(|c| at + c.len_utf8()),
                Some(Piece::Literal(text)) => value[at..].starts_with(text.as_str()).then(|| at + text.len()),
                None if at == value.len() => return true,
                None => None,
            };
            if let Some(next) = advanced {
                at = next;
                index += 1;
                continue;
            }
            let Some((piece, start)) = retry else { return false };
            let Some(skipped) = value[start..].chars().next() else { return false };
            at = start + skipped.len_utf8();
            index = piece;
            retry = Some((piece, at));
        }
    }
}

impl std::fmt::Display for Pattern {
    /// The pattern as a Sigma string.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for piece in &self.pieces {
            match piece {
                Piece::Literal(text) => f.write_str(&text.replace('*', "\\*").replace('?', "\\?"))?,
                Piece::One => f.write_str("?")?,
                Piece::Many => f.write_str("*")?,
            }
        }
        Ok(())
    }
}

/// Lower case, the form in which values and patterns are compared unless `cased` is asked for.
///
/// Letter by letter, whatever stands beside it (Greek final sigma): a part of a text folds to a part of its fold.
#[must_use]
pub fn fold(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|b| b.is_ascii() && !b.is_ascii_uppercase()) {
        return Cow::Borrowed(text);
    }
    let mut folded = String::new();
    fold_into(text, &mut folded);
    Cow::Owned(folded)
}

/// [`fold`] into a buffer that is used again.
pub fn fold_into(text: &str, folded: &mut String) {
    folded.clear();
    // Most values are ASCII, which is told and folded many bytes at a time.
    if text.is_ascii() {
        folded.push_str(text);
        folded.make_ascii_lowercase();
        return;
    }
    folded.reserve(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let ascii_len = rest.bytes().position(|b| !b.is_ascii()).unwrap_or(rest.len());
        let (ascii, tail) = rest.split_at(ascii_len);
        let start = folded.len();
        folded.push_str(ascii);
        folded[start..].make_ascii_lowercase();
        let mut chars = tail.chars();
        if let Some(c) = chars.next() {
            // Unicode counts the long s as a form of s; without this, a case-blind regex would find what its literals
            // miss.
            folded.extend(c.to_lowercase().map(|c| if c == 'ſ' { 's' } else { c }));
        }
        rest = chars.as_str();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, shape: Shape<'_>) {
        assert_eq!(Pattern::parse(pattern).shape(), shape, "{pattern}");
    }

    #[test]
    fn escapes_follow_the_specification() {
        check(r"C:\Windows", Shape::Equals(r"C:\Windows"));
        check(r"C:\\Windows", Shape::Equals(r"C:\Windows"));
        check(r"\\\\server", Shape::Equals(r"\\server"));
        check(r"\\\server", Shape::Equals(r"\\server"));
        check(r"a\*b\?", Shape::Equals("a*b?"));
        check(r"a\\*", Shape::StartsWith(r"a\"));
        check(r"a\\\*", Shape::Equals(r"a\*"));
        check(r"a\", Shape::Equals(r"a\"));
    }

    #[test]
    fn shapes_are_recognised() {
        check("", Shape::Empty);
        check("*", Shape::Anything);
        check("**", Shape::Anything);
        check("a*", Shape::StartsWith("a"));
        check("*a", Shape::EndsWith("a"));
        check("*a*", Shape::Contains("a"));
        check("a*b", Shape::Glob);
        check("?", Shape::Glob);
    }

    #[test]
    fn wildcards_match_whole_values() {
        for (pattern, value, expected) in [
            ("a*b", "ab", true),
            ("a*b", "axxb", true),
            ("a*b", "axxbc", false),
            ("a?b", "axb", true),
            ("a?b", "ab", false),
            ("a?b", "aäb", true),
            ("*a*b*", "xxaxxbxx", true),
            ("*ab*ab", "abab", true),
            ("*ab*ab", "ab", false),
            ("*aab", "aaab", true),
            ("??", "a", false),
            ("*?", "", false),
            ("a*", "a", true),
        ] {
            assert_eq!(Pattern::parse(pattern).matches(value), expected, "{pattern} {value}");
        }
    }

    #[test]
    fn many_wildcards_stay_cheap() {
        assert!(!Pattern::parse(&"*a".repeat(50)).matches(&format!("{}b", "a".repeat(5_000))));
    }

    #[test]
    fn folding_reaches_letters_outside_ascii() {
        assert_eq!(fold("ÄB"), "äb");
        assert!(matches!(fold("ab\\1"), Cow::Borrowed(_)));
    }
}
