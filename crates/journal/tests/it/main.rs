//! Tests of the journal through its public interface.

#![allow(missing_docs, clippy::unwrap_used)]

mod behaviour;
mod compat;
mod crash;
mod damage;
mod memory;
mod support;
