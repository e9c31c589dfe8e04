//! Tests of the store through its public interface.

#![allow(missing_docs, clippy::unwrap_used)]

mod checkpoint;
mod compat;
mod crash;
mod damage;
mod interop;
mod merge;
mod moving;
mod retention;
mod seal;
mod support;
mod templates;
mod terms;
