//! Integration tests: queries over an in-memory catalog, and the conformance corpus as a report with a ratchet.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod bounds;
mod compare;
mod conformance;
mod corpora;
mod engine;
mod examples;
mod fuzz;
mod known_errors;
mod logic;
mod manual;
mod matrix;
#[path = "../../../kql/tests/it/mutate.rs"]
mod mutate;
mod report;
mod sample;
mod wide;
