//! What an editor asks while a query is written: what may stand here, and what does this mean.
//!
//! Answers come from the same tokens, tree, catalog, binder and function registry as the query itself, and from texts
//! that are not finished: the text up to the cursor is bound as far as it goes (`binder::sight::see`).
//! Nothing is run and nothing of the data is shown.

mod complete;
mod hover;
mod keywords;
mod place;

use moneta_kql::syntax::Span;

pub use complete::complete;
pub use hover::hover;

/// Completions given at most: more than the language has words and functions, so that only huge catalogs are cut.
pub const COMPLETIONS_MAX: usize = 1_000;

/// One thing that may stand at the cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// What it is.
    pub kind: CompletionKind,
    /// How it is shown.
    pub label: String,
    /// Its type, signature or first sentence.
    pub detail: String,
    /// What is put in.
    pub insert: String,
    /// The part of the text it replaces, in bytes; empty at the cursor if nothing was typed yet.
    pub replaces: Span,
}

/// The kinds of completions, in the order in which they are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CompletionKind {
    /// A value a parameter takes, such as a kind of join.
    Value,
    /// A column in scope.
    Column,
    /// A name declared by `let` or a parameter of a function.
    Variable,
    /// A table.
    Table,
    /// A parameter of an operator.
    Parameter,
    /// A tabular operator.
    Operator,
    /// An aggregation function.
    Aggregate,
    /// A scalar function.
    Function,
    /// A plugin of `evaluate`.
    Plugin,
    /// A scalar type.
    Type,
    /// Any other word of the language.
    Keyword,
}

impl CompletionKind {
    /// The name of the kind on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Value => "value",
            Self::Column => "column",
            Self::Variable => "variable",
            Self::Table => "table",
            Self::Parameter => "parameter",
            Self::Operator => "operator",
            Self::Aggregate => "aggregate",
            Self::Function => "function",
            Self::Plugin => "plugin",
            Self::Type => "type",
            Self::Keyword => "keyword",
        }
    }
}

/// What the thing under the cursor is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hover {
    /// The part of the text it is about, in bytes.
    pub span: Span,
    /// One line of code: a name with its type, a signature, a syntax.
    pub title: String,
    /// Sentences about it; may be empty.
    pub text: String,
}

#[cfg(test)]
mod tests;
