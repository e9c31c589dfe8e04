//! The typed syntax tree of the whole Kusto Query Language.
//!
//! Plain enums and structs, each with the byte range ([`Span`]) it came from. The tree says only what was written:
//! whether a name is a column, a table, a variable or a function, and whether an expression is scalar or tabular,
//! is the binder's business. It is never a proof of correctness: after a syntax error the tree holds
//! [`Expression::Missing`], [`Expression::Error`], [`Operator::Unknown`] and [`Statement::Error`] nodes and empty
//! names ([`Name::is_missing`]) in place of what could not be read.
//!
//! # Limits
//! Nesting is bounded by [`crate::limits::NESTING_DEPTH_MAX`], so a recursive walk over a tree made by
//! [`crate::parse`] cannot exhaust the stack; long `and`/`or` chains are lists, not nests.

mod expression;
mod literal;
mod operator;
mod statement;

pub use expression::*;
pub use literal::*;
pub use operator::*;
pub use statement::*;

/// A byte range `[start, end)` of the query text. Both ends lie on character boundaries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span {
    /// Offset of the first byte.
    pub start: usize,
    /// Offset after the last byte; equal to `start` for a missing node.
    pub end: usize,
}

impl Span {
    /// Returns the range `[start, end)`.
    pub fn new(start: usize, end: usize) -> Span {
        Span { start, end }
    }

    /// Returns the empty range at `offset`.
    pub fn empty(offset: usize) -> Span {
        Span { start: offset, end: offset }
    }

    /// Returns the smallest range that holds both.
    pub fn to(self, other: Span) -> Span {
        Span { start: self.start.min(other.start), end: self.end.max(other.end) }
    }

    /// Says whether the range holds no byte.
    pub fn is_empty(self) -> bool {
        self.start >= self.end
    }

    /// Returns the number of bytes.
    pub fn len(self) -> usize {
        self.end.saturating_sub(self.start)
    }

    /// Says whether `other` lies inside this range (ends may coincide).
    pub fn contains(self, other: Span) -> bool {
        self.start <= other.start && other.end <= self.end
    }

    /// Returns the text of the range, or "" if `text` is not the text it was made from.
    pub fn text(self, text: &str) -> &str {
        text.get(self.start..self.end).unwrap_or("")
    }
}

/// A whole query text: statements in order of writing.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SyntaxTree {
    /// The statements, separated by `;` in the text.
    pub statements: Vec<Statement>,
    /// The whole text.
    pub span: Span,
}

/// An identifier: plain (`Device`), a keyword used as a name (`title`), or bracketed (`['a b']`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Name {
    /// The name itself, without brackets and quotes; empty if the name is missing.
    pub text: String,
    /// Whether it was written in brackets: `['a b']`.
    pub bracketed: bool,
    /// Where it was written, brackets included.
    pub span: Span,
}

impl Name {
    /// Says whether the parser expected a name here and found none.
    pub fn is_missing(&self) -> bool {
        self.text.is_empty() && !self.bracketed
    }

    /// Returns the name's text.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// A name with at least one `*` in it: `Device*`, `*_s`, `a*b`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WildcardName {
    /// The pattern as written; `*` stands for any run of characters, everything else for itself.
    pub pattern: String,
    /// Where it was written.
    pub span: Span,
}

impl WildcardName {
    /// Says whether `name` matches the pattern. Case matters, as everywhere in names.
    pub fn matches(&self, name: &str) -> bool {
        let mut parts = self.pattern.split('*');
        let Some(mut rest) = parts.next().and_then(|prefix| name.strip_prefix(prefix)) else { return false };
        let mut last: Option<&str> = None;
        for part in parts {
            if let Some(previous) = last.replace(part) {
                match rest.find(previous) {
                    Some(at) => rest = &rest[at + previous.len()..],
                    None => return false,
                }
            }
        }
        last.map_or(rest.is_empty(), |suffix| rest.ends_with(suffix))
    }
}

/// The scalar types of the language.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ScalarType {
    /// `bool`, `boolean`.
    Bool,
    /// `int`, `int32` and smaller.
    Int,
    /// `long`, `int64` and the unsigned spellings.
    Long,
    /// `real`, `double`, `float`.
    Real,
    /// `decimal`.
    Decimal,
    /// `string`.
    String,
    /// `datetime`, `date`.
    Datetime,
    /// `timespan`, `time`.
    Timespan,
    /// `guid`, `uuid`, `uniqueid`.
    Guid,
    /// `dynamic`.
    Dynamic,
}

impl ScalarType {
    /// Every scalar type, in the order of the language reference.
    pub const ALL: [ScalarType; 10] = [
        ScalarType::Bool,
        ScalarType::Int,
        ScalarType::Long,
        ScalarType::Real,
        ScalarType::Decimal,
        ScalarType::String,
        ScalarType::Datetime,
        ScalarType::Timespan,
        ScalarType::Guid,
        ScalarType::Dynamic,
    ];

    /// Returns the type a name in a declaration means, aliases included. Case does not matter (`DateTime`).
    pub fn from_name(name: &str) -> Option<ScalarType> {
        Some(match name.to_ascii_lowercase().as_str() {
            "bool" | "boolean" => ScalarType::Bool,
            "int" | "int32" | "int16" | "int8" | "uint8" | "uint16" | "byte" | "char" => ScalarType::Int,
            "long" | "int64" | "uint" | "uint32" | "uint64" | "ulong" => ScalarType::Long,
            "real" | "double" | "float" => ScalarType::Real,
            "decimal" => ScalarType::Decimal,
            "string" => ScalarType::String,
            "datetime" | "date" => ScalarType::Datetime,
            "timespan" | "time" => ScalarType::Timespan,
            "guid" | "uuid" | "uniqueid" => ScalarType::Guid,
            "dynamic" => ScalarType::Dynamic,
            _ => return None,
        })
    }

    /// Returns the canonical name, as `getschema` shows it.
    pub fn name(self) -> &'static str {
        match self {
            ScalarType::Bool => "bool",
            ScalarType::Int => "int",
            ScalarType::Long => "long",
            ScalarType::Real => "real",
            ScalarType::Decimal => "decimal",
            ScalarType::String => "string",
            ScalarType::Datetime => "datetime",
            ScalarType::Timespan => "timespan",
            ScalarType::Guid => "guid",
            ScalarType::Dynamic => "dynamic",
        }
    }
}

/// A type name in a declaration.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TypeName {
    /// The type; `None` if the name is none the language knows (a diagnostic was given).
    pub scalar: Option<ScalarType>,
    /// The name as written; empty if missing.
    pub text: String,
    /// Where it was written.
    pub span: Span,
}

/// Tokens the parser could not place. They are kept so that an editor can show and repair them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// The text that was skipped.
    pub text: String,
    /// Where it was.
    pub span: Span,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcard_names_match_like_file_patterns() {
        let check = |pattern: &str, name: &str, expected: bool| {
            let wildcard = WildcardName { pattern: pattern.into(), span: Span::default() };
            assert_eq!(wildcard.matches(name), expected, "{pattern} against {name}");
        };
        check("*", "", true);
        check("Device*", "DeviceEvents", true);
        check("Device*", "device", false);
        check("*_s", "url_s", true);
        check("*_s", "url_d", false);
        check("a*b*c", "a--b--c", true);
        check("a*b*c", "a--c--b", false);
        check("ab*ba", "aba", false);
    }
}
