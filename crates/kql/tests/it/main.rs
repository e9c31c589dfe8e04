//! Integration tests of the parser and formatter: goldens, corpora, bounds, properties, fuzz targets.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test may panic, and prints its figures")]

mod bounds;
mod corpus;
mod format;
mod fuzz;
mod golden;
mod mutate;
mod properties;
