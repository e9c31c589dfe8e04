//! Sketches: small summaries of many values, as `hll` and `tdigest` make them and as they lie in `dynamic` columns.

pub mod hll;
pub mod tdigest;
