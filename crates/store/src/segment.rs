//! A segment: a Parquet file of one table and ingest day.
//!
//! # File
//! `store/<Table>/<yyyy-MM-dd>/<first>-<end>.parquet`: sequences `[first, end)` as 20 digits. Rows in order of `_Seq`,
//! columns as `moneta_event::stored` describes. Key-value metadata: `moneta.version` = `1`, `moneta.shard`,
//! `moneta.blocks_root` (base64 of the RFC 6962 root over the headers of the blocks inside, in order).

use std::fmt;
use std::sync::{Arc, OnceLock};

use moneta_base::{Seq, Timestamp};
use moneta_event::ShardId;
use moneta_merkle::Hash;
use parquet::arrow::arrow_reader::ArrowReaderMetadata;

/// Version of the form, in the metadata of every file.
pub const VERSION: &str = "1";
/// Metadata key of the version.
pub(crate) const VERSION_KEY: &str = "moneta.version";
/// Metadata key of the shard.
pub(crate) const SHARD_KEY: &str = "moneta.shard";
/// Metadata key of the root over the block headers.
pub(crate) const BLOCKS_ROOT_KEY: &str = "moneta.blocks_root";

/// What is known of a segment without opening it.
#[derive(Clone)]
pub struct SegmentMeta {
    /// Table and day.
    pub shard: ShardId,
    /// Path below `store`, with `/`.
    pub path: String,
    /// Size of the file.
    pub size_bytes: u64,
    /// SHA-256 of the file.
    pub hash: Hash,
    /// Root over the headers of its blocks.
    pub blocks_root: Hash,
    /// `_Seq` of the first row.
    pub first_seq: Seq,
    /// `_Seq` after the last row.
    pub end_seq: Seq,
    /// Earliest event time.
    pub event_time_min: Timestamp,
    /// Latest event time.
    pub event_time_max: Timestamp,
    /// The footer, once it was read.
    pub(crate) footer: Arc<OnceLock<ArrowReaderMetadata>>,
}

impl SegmentMeta {
    /// Number of rows.
    #[must_use]
    pub fn num_rows(&self) -> u64 {
        self.end_seq - self.first_seq
    }
}

impl fmt::Debug for SegmentMeta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SegmentMeta({}, {} bytes)", self.path, self.size_bytes)
    }
}

/// A segment file on disk that no catalog lists yet.
#[derive(Debug, Clone)]
pub struct Segment {
    /// What will be listed.
    pub(crate) meta: SegmentMeta,
}

/// A segment that the catalog lists and queries see.
#[derive(Debug, Clone)]
pub struct PublishedSegment {
    /// What the catalog says of it.
    pub meta: Arc<SegmentMeta>,
}

/// The file of `[first, end)` of a shard, relative to `store`.
pub(crate) fn file_path(shard: &ShardId, first: Seq, end: Seq) -> String {
    format!("{shard}/{first:020}-{end:020}.parquet")
}
