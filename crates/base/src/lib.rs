//! The vocabulary every other crate shares: typed identifiers, time, limits, invariants, error kinds,
//! and the traits behind which the outside world (files, object stores, clock, randomness) stands.
//!
//! This crate never performs I/O, never reads a clock, holds no configuration and no global state. The traits
//! here have their real implementations in `moneta-host` and their simulated ones in `moneta-testkit`, so that
//! fault injection needs no rewrite of the code that uses them.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod address;
pub mod clock;
pub mod error;
pub mod fs;
pub mod id;
pub mod invariants;
pub mod level;
pub mod limits;
pub mod lru;
pub mod objects;
pub mod percent;
pub mod time;
pub mod xml;

pub use clock::{Clock, Entropy};
pub use error::ErrorKind;
pub use id::{IdError, RuleId, Seq, SourceName, TableName, TenantId};
pub use level::Level;
pub use lru::Lru;
pub use time::{IngestDay, Timestamp};
