//! Integration tests of the parser: goldens, corpora, bounds, properties.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test may panic, and prints its figures")]

mod bounds;
mod corpus;
mod golden;
mod properties;
