//! Tests of the rule engine through its public face, one module per subject.

#![allow(clippy::unwrap_used)]

mod conformance;
mod differential;
mod matching;
mod support;
