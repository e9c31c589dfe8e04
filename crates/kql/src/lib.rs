//! Kusto Query Language: lexer, parser, syntax tree and diagnostics.
//!
//! [`parse`] turns any text into a [`SyntaxTree`] and a list of [`Diagnostic`]s and never fails. The tree covers the
//! whole language: every statement, tabular operator, literal form and client command. What a name means and which
//! types meet is not known here; there is no catalog, no function list, no clock and no I/O.
//!
//! Text of a query -> [`lexer`] (tokens) -> `parser` (tree and diagnostics) -> [`dump`] (the tree as text). [`format()`]
//! lays a text out anew.
//!
//! **Invariants**: no input makes it panic, recurse deeper than [`limits::NESTING_DEPTH_MAX`] or read more than
//! [`limits::QUERY_SIZE_BYTES_MAX`]; the range of a node lies inside the range of its parent; a tree without errors
//! holds no missing and no skipped node; a dump never shows a hidden string.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod diagnostic;
pub mod dump;
pub mod format;
pub mod lexer;
pub mod limits;
pub mod nearest;
mod parser;
pub mod syntax;
pub mod time;
pub mod token;

pub use diagnostic::{Diagnostic, LineColumn, Severity, line_column, line_span, render_diagnostics, render_place};
pub use format::format;
pub use nearest::nearest;
pub use parser::{Parse, parse};
pub use syntax::{Span, SyntaxTree};
