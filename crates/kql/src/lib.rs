//! Kusto Query Language: lexer, parser, syntax tree and diagnostics.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod limits;
pub mod syntax;
