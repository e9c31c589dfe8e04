//! Kusto Query Language: lexer, parser, syntax tree and diagnostics.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod diagnostic;
pub mod dump;
pub mod lexer;
pub mod limits;
pub mod nearest;
mod parser;
pub mod syntax;
pub mod time;
pub mod token;

pub use diagnostic::{Diagnostic, LineColumn, Severity, line_column, render_diagnostics};
pub use nearest::nearest;
pub use parser::{Parse, parse};
pub use syntax::{Span, SyntaxTree};
