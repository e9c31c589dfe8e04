//! The real outside world behind the traits of `moneta-base`: files, clock, randomness; and what only a real machine
//! has: a directory lock, free disk space, and threads that let others go first.
//!
//! No durable format and no policy lives here. Tests of other crates use `moneta-testkit` instead.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod clock;
mod digest;
mod disk;
mod entropy;
mod error;
mod lock;
mod priority;
mod real_fs;

pub use clock::SystemClock;
pub use digest::{Sha256, sha256_of_file};
pub use disk::{DiskSpace, allocate, disk_free};
pub use entropy::SystemEntropy;
pub use error::Error;
pub use lock::DirectoryLock;
pub use priority::yield_to_others;
pub use real_fs::RealFs;
