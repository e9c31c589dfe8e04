//! What a text condition demands of the terms of a row.

use std::fmt;

use super::tokens::{is_long, is_term_char};
use super::{TERM_CHARS_MIN, cut, may_be_cut};

/// Whether case matters to a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Case {
    /// It does.
    Sensitive,
    /// It does not.
    Insensitive,
}

/// Which ends of the needle are ends of terms too, if a letter or digit stands there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edges {
    /// Nothing of a term can stand before the needle: `==`, `has`, `hasprefix`, `startswith`.
    pub start: bool,
    /// Nothing of a term can stand after the needle: `==`, `has`, `hassuffix`, `endswith`.
    pub end: bool,
}

impl Edges {
    /// Of `==` and `has`.
    pub const BOTH: Self = Self { start: true, end: true };
    /// Of `hasprefix` and `startswith`.
    pub const START: Self = Self { start: true, end: false };
    /// Of `hassuffix` and `endswith`.
    pub const END: Self = Self { start: false, end: true };
    /// Of `contains` and of what a regular expression demands.
    pub const NONE: Self = Self { start: false, end: false };
}

/// A key that a row must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup {
    /// This one.
    Term(String),
    /// One that begins so.
    Prefix(String),
    /// One that holds this.
    Infix(String),
}

/// What a needle demands of the keys of a text that it is found in: all of the lookups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needle {
    lookups: Vec<Lookup>,
    is_one_term: bool,
}

impl Needle {
    /// Prepares a needle.
    #[must_use]
    pub fn new(text: &str, edges: Edges, case: Case) -> Self {
        let folds_all = case == Case::Insensitive && !text.is_ascii();
        let text = if folds_all { text.to_lowercase() } else { text.to_ascii_lowercase() };
        let mut lookups = Vec::new();
        let mut from = 0;
        for run in text.split(|c| !is_term_char(c)) {
            let (is_first, is_last) = (from == 0, from + run.len() == text.len());
            let (open_start, open_end) = (is_first && !edges.start, is_last && !edges.end);
            from += run.len() + text[from + run.len()..].chars().next().map_or(0, char::len_utf8);
            if !is_long(run) {
                continue;
            }
            lookups.push(match (open_start, open_end) {
                (false, false) => Lookup::Term(cut(run).to_owned()),
                (false, true) => Lookup::Prefix(cut(run).to_owned()),
                (true, _) => Lookup::Infix(run.to_owned()),
            });
        }
        let is_whole = |term: &str| term == text && text.is_ascii() && !may_be_cut(term.as_bytes());
        let is_one_term = matches!(lookups.as_slice(), [Lookup::Term(term)] if is_whole(term));
        // Going through all keys is for needles that leave no other way.
        if lookups.iter().any(|lookup| !matches!(lookup, Lookup::Infix(_))) {
            lookups.retain(|lookup| !matches!(lookup, Lookup::Infix(_)));
        }
        Self { lookups, is_one_term: is_one_term && case == Case::Insensitive && edges == Edges::BOTH }
    }

    /// What a row must have, all of it; nothing means that any row will do.
    #[must_use]
    pub fn lookups(&self) -> &[Lookup] {
        &self.lookups
    }

    /// Whether `has` with this needle is the same as having its one lookup, where keys are exact.
    #[must_use]
    pub fn is_one_term(&self) -> bool {
        self.is_one_term
    }
}

/// A condition on the texts of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TermCondition {
    /// All of these; of none, any row will do.
    All(Vec<TermCondition>),
    /// At least one of these.
    Any(Vec<TermCondition>),
    /// A column's text holds a needle.
    Has {
        /// The column.
        column: String,
        /// The needle.
        needle: Needle,
    },
}

impl TermCondition {
    /// Any row will do.
    pub const UNKNOWN: Self = Self::All(Vec::new());

    /// Whether it says nothing about any row.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(Self::is_unknown),
            Self::Any(parts) => parts.iter().any(Self::is_unknown),
            Self::Has { needle, .. } => needle.lookups.is_empty(),
        }
    }
}

impl fmt::Display for TermCondition {
    /// As plans show it: `Column:term`, `Column:term*`, `Column:*part*`, joined by `&` and `|`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (parts, sign) = match self {
            Self::All(parts) => (parts, " & "),
            Self::Any(parts) => (parts, " | "),
            Self::Has { column, needle } => {
                let lookups = needle.lookups.iter().map(|lookup| match lookup {
                    Lookup::Term(term) => format!("{column}:{term}"),
                    Lookup::Prefix(prefix) => format!("{column}:{prefix}*"),
                    Lookup::Infix(part) => format!("{column}:*{part}*"),
                });
                return f.write_str(&lookups.collect::<Vec<_>>().join(" & "));
            }
        };
        let parts: Vec<_> = parts.iter().map(ToString::to_string).collect();
        write!(f, "({})", parts.join(sign))
    }
}

const _: () = assert!(TERM_CHARS_MIN > 1, "a term of one character would be every character");
