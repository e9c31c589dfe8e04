//! Tests of scrubbing through its public interface: whole batches in, whole batches out.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod batches;
mod corpora;
mod precision;
mod properties;
mod support;
