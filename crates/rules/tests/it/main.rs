//! Tests of the rule engine through its public face, one module per subject.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod conformance;
mod content;
mod correlation;
mod correlation_order;
mod differential;
mod engineering;
mod events;
#[path = "../../examples/support/export.rs"]
mod export;
mod matching;
mod pack;
mod peer;
mod reasons;
mod specification;
mod support;
