//! Tests of the engine through its public interface.

#![allow(missing_docs, clippy::unwrap_used)]

mod scan;
