//! Tests of the rule engine through its public face, one module per subject.

#![allow(clippy::unwrap_used)]

mod conformance;
mod content;
mod correlation;
mod correlation_order;
mod differential;
mod engineering;
mod matching;
mod pack;
mod specification;
mod support;
