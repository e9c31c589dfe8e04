//! Kusto Query Language: lexer, parser, syntax tree and diagnostics.
