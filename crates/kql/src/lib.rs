//! Kusto Query Language: lexer, parser, syntax tree and diagnostics.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod diagnostic;
pub mod lexer;
pub mod limits;
pub mod nearest;
pub mod syntax;
pub mod token;

pub use diagnostic::{Diagnostic, LineColumn, Severity, line_column, render_diagnostics};
pub use nearest::nearest;
pub use syntax::{Span, SyntaxTree};

/// What parsing returns: always a tree, and what is wrong with it.
#[derive(Debug, Clone, PartialEq)]
pub struct Parse {
    /// The tree, complete if there are no errors among the diagnostics.
    pub tree: SyntaxTree,
    /// What is wrong, in order of the text.
    pub diagnostics: Vec<Diagnostic>,
}

impl Parse {
    /// Says whether any diagnostic is an error, so that the tree must not be run.
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
    }
}
