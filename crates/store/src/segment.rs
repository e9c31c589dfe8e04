//! A segment: a Parquet file of one table and ingest day.
//!
//! # File
//! `store/<Table>/<yyyy-MM-dd>/<first>-<end>.parquet`: sequences `[first, end)` as 20 digits. Rows in order of `_Seq`,
//! columns as `moneta_event::stored` describes. Key-value metadata of the Parquet footer:
//! ```text
//! moneta.version      3 (1: no column is a template, 2: only `_Raw`, of at most 16 texts)
//! moneta.shard        <Table>/<yyyy-MM-dd>
//! moneta.blocks_root  base64 of the RFC 6962 root over the headers of the blocks inside, in order
//! moneta.blocks       <rows of the first block>,<rows of the second>,… in decimal: where the blocks begin
//! moneta.crc32c       CRC32C of every 64 KiB of the file before the footer, the last part shorter; 8 hexadecimal
//!                     digits each, without separators
//! moneta.terms        3;<offset>,<bytes of blocks>,<bytes of head>;…: where the term index of each row group stands,
//!                     between the last column and the footer (moneta_event::terms)
//! ```
//! The footer (page indexes included) begins where the term index ends; its offset and its own CRC32C stand in
//! the catalog (delta_action.rs). So every byte a query reads is checked. Parquet has a place for checksums in its page
//! headers, but the writer in use leaves it empty.

use std::sync::Arc;

use moneta_base::{Seq, Timestamp};
use moneta_event::ShardId;
use moneta_merkle::Hash;

/// Version of the form, in the metadata of every file written.
pub(crate) const VERSION: &str = "3";
/// Versions that are read.
pub(crate) const VERSIONS: [&str; 3] = ["1", "2", VERSION];
/// Metadata key of the version.
pub(crate) const VERSION_KEY: &str = "moneta.version";
/// Metadata key of the shard.
pub(crate) const SHARD_KEY: &str = "moneta.shard";
/// Metadata key of the root over the block headers.
pub(crate) const BLOCKS_ROOT_KEY: &str = "moneta.blocks_root";
/// Metadata key of the numbers of rows of the blocks.
pub(crate) const BLOCKS_KEY: &str = "moneta.blocks";
/// Metadata key of the checksums.
pub(crate) const CHECKSUMS_KEY: &str = "moneta.crc32c";

/// Bytes under one checksum: what a reader must read at least.
pub(crate) const CHECKED_BYTES: usize = 64 << 10;

/// What is known of a segment without opening it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentMeta {
    /// Table and day.
    pub shard: ShardId,
    /// Path below `store`, with `/`: the name by which the root log knows it, wherever it lies.
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
    /// Where the Parquet footer begins.
    pub footer_start: u64,
    /// CRC32C of the footer.
    pub footer_checksum: u32,
    /// Where it lies when it was moved to object storage; none in the directory.
    pub moved: Option<Moved>,
}

/// Where a segment lies that is not in the directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// The address of the object: `s3://<bucket>/<key>`.
    pub uri: String,
    /// Its version, where the bucket keeps versions.
    pub version: Option<String>,
}

impl SegmentMeta {
    /// Number of rows.
    #[must_use]
    pub fn num_rows(&self) -> u64 {
        self.end_seq - self.first_seq
    }

    /// The path below the table's directory.
    pub(crate) fn path_in_table(&self) -> &str {
        self.path.split_once('/').map_or(self.path.as_str(), |(_, within)| within)
    }

    /// The path that the catalog lists: relative to the table's directory, or the address of the object.
    pub(crate) fn listed_path(&self) -> &str {
        self.moved.as_ref().map_or_else(|| self.path_in_table(), |moved| &moved.uri)
    }

    /// The name of its object below a prefix: with its digest, so that a key never stands for two contents.
    pub(crate) fn object_name(&self) -> String {
        let name = self.path.strip_suffix(SUFFIX).unwrap_or(&self.path);
        format!("{name}-{}{SUFFIX}", &self.hash.to_hex()[..DIGEST_DIGITS])
    }
}

const SUFFIX: &str = ".parquet";
/// Digits of the digest in the name of an object.
const DIGEST_DIGITS: usize = 16;

/// The path within its table of a segment whose object has this address; `None` when it is none of the table.
pub(crate) fn path_of_object(uri: &str, table: &str) -> Option<String> {
    let mut parts = uri.rsplitn(4, '/');
    let (file, day, of_table) = (parts.next()?, parts.next()?, parts.next()?);
    let (name, digest) = file.strip_suffix(SUFFIX)?.rsplit_once('-')?;
    let is_own = of_table == table && digest.len() == DIGEST_DIGITS;
    is_own.then(|| format!("{day}/{name}{SUFFIX}"))
}

/// A segment file on disk that no catalog lists yet.
#[derive(Debug, Clone)]
pub struct Segment {
    /// What will be listed.
    pub(crate) meta: SegmentMeta,
}

impl Segment {
    /// What will be listed.
    #[must_use]
    pub fn meta(&self) -> &SegmentMeta {
        &self.meta
    }
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

/// The sequences in a file name, `[first, end)`.
pub(crate) fn parse_file_name(name: &str) -> Option<(Seq, Seq)> {
    let (first, end) = name.strip_suffix(".parquet")?.split_once('-')?;
    let number = |text: &str| (text.len() == 20).then(|| text.parse().ok()).flatten();
    Some((number(first)?, number(end)?))
}
