//! Helpers for tests: simulated files and object stores, fixed clocks, repeatable randomness, sample corpora,
//! temporary directories, interpreters of Python.
//!
//! A development dependency of other crates only: nothing that ships uses it. Everything here is repeatable from the
//! seed or the start value it was given; what differs between runs is left to `moneta-host`.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod clock;
pub mod corpus;
pub mod fuzz;
pub mod python;
pub mod random;
pub mod sim_fs;
pub mod sim_s3;
pub mod temporary;

pub use clock::FixedClock;
pub use corpus::{corpus, corpus_or_skip};
pub use fuzz::Fuzz;
pub use python::python_or_skip;
pub use random::{Random, SeededEntropy};
pub use sim_fs::{Call, CallKind, Fault, SimFs};
pub use sim_s3::{S3Fault, SimS3};
pub use temporary::TestDir;
