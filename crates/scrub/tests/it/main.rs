//! Tests of scrubbing through its public interface: whole batches in, whole batches out.

mod batches;
mod corpora;
mod precision;
mod properties;
mod support;
