//! What an event is: tables and their columns, batches of rows, and the canonical bytes that are hashed.
//!
//! States an event passes through that live here: [`RawRecord`] (bytes as received) and [`ParsedBatch`] (rows of one
//! table). The later states belong to the crates that make them: `ScrubbedBatch` to `moneta-scrub`, `JournaledBlock`
//! to `moneta-journal`, `Segment` and `PublishedSegment` to `moneta-store`.
//!
//! This crate never performs I/O, reads no clock and holds no global state.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod batch;
pub mod block;
pub mod block_proof;
pub mod builder;
pub mod catalog;
pub mod decimal;
pub mod evidence;
pub mod fit;
pub mod frame;
pub mod json_path;
pub mod json_scan;
pub mod raw;
pub mod record;
pub mod record_proof;
pub mod root_entry;
pub mod root_history;
pub mod schema;
pub mod signed_receipt;
pub mod stored;
pub mod template;
pub mod terms;
pub mod types;

pub use batch::{ParsedBatch, QuarantinedRecord, RecordContext};
pub use block::{Block, BlockHeader, ShardId};
pub use block_proof::BlockProof;

pub use builder::{BatchBuilder, Value};
pub use catalog::TableCatalog;
pub use evidence::AlertEvidence;
pub use raw::RawRecord;
pub use record_proof::RecordProof;
pub use root_entry::{RootEntry, RootEvent, ShardGrowth};
pub use root_history::RootHistory;
pub use schema::{Column, TableSchema};
pub use signed_receipt::{ReceiptProof, SignedReceipt};
pub use types::{ColumnType, Delivery, RecordClass};
