//! Stored tables: hot blocks in memory, sealed segments on disk, and the Delta log that says which segments count.
//!
//! ```text
//! Block ── add_hot ──► hot rows ── seal ──► Segment (a Parquet file) ── publish ──► PublishedSegment (Delta commit)
//! ```
//! A query takes a [`TableSnapshot`]: every row exactly once, hot or sealed (STORE-1). Segments hold the rows of their
//! blocks unchanged and in order (STORE-2), also when small ones are merged or old ones moved to a bucket. Whole ingest
//! days are dropped, after the caller has published their drop entry (STORE-3). This crate never writes the journal or the ledger and never decides when to seal or drop.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod bucket;
mod cache;
mod columns;
mod delta;
mod delta_action;
mod delta_checkpoint;
mod encodings;
mod error;
mod file;
mod layout;
mod leftovers;
mod loose;
mod merge;
mod moving;
mod part_cache;
mod paths;
mod prune;
mod reader;
mod retention;
mod seal;
mod segment;
mod source;
mod store;
mod table;
mod templates;
mod terms;

pub use bucket::{BucketOptions, CACHE_DIR};
pub use columns::SegmentColumns;
pub use error::Error;
pub use merge::Merged;
pub use moving::Collected;
pub use prune::{Bound, Prune, TimeRange};
pub use reader::SegmentReader;
pub use retention::is_past;
pub use segment::{Moved, PublishedSegment, Segment, SegmentMeta};
pub use store::{HotStats, Store, TableSnapshot};
pub use table::rows_bytes;
