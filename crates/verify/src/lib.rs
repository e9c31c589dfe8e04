//! Checks everything stored against what was signed, without the server and without trusting it.
//!
//! The library behind `moneta-verify` and `moneta verify`. It depends on the vocabulary crates only, reads a data
//! directory or a copy of one, and never writes. What it establishes, in order:
//!
//! 1. the root checkpoint is signed by the given key, and every tile and entry of the root log is under it;
//! 2. every shard that the root log names, and did not drop by policy, holds exactly the block headers signed for;
//! 3. the shards of a table are dense in number, their headers dense in sequence and chained by hash (BLOCK-2): what is
//!    missing in between is what drop entries account for, to the row;
//! 4. the rows of every header are in a segment or in the journal, unchanged and in order (BLOCK-1, STORE-2);
//! 5. segment files are the ones the root log names, the catalog lists them all, and what they hold twice for the
//!    sake of queries (columns of paths, term index) says what the rows say;
//! 6. after a clean shutdown, every other file of the directory is the one in the signed inventory.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod case;
pub mod catalog;
pub mod copied_bucket;
mod copies;
pub mod export;
pub mod inventory;
pub mod journal;
pub mod known;
pub mod ledger;
pub mod proof;
pub mod receipt;
pub mod report;
pub mod segment;
mod store;

pub use catalog::{MovedObject, MovedSegments};
pub use copied_bucket::CopiedBucket;
pub use report::{Finding, Report};
pub use store::{Options, verify_store};
