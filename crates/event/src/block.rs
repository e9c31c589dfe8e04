//! A block: the unit of durability, and the header that commits to its rows.
//!
//! The header is what the ledger holds: with it, the rows, their order and their arrival time are provable. Its bytes
//! are hashed, chained and signed; they never change once written.
//!
//! # Header layout, version 1 (integers little-endian, under 512 bytes)
//! ```text
//! magic           4   "MBLK"
//! version         u8  = 1
//! tenant          16  UUID
//! table_len       u8
//! table           table_len bytes, ASCII
//! ingest_day      i32 days since 1970-01-01, UTC
//! shard_index     u64 position of the block in its shard (table and day), from 0
//! first_seq       u64 `_Seq` of the first row
//! num_rows        u32 1 to 8,192
//! ingest_time     i64 nanoseconds; `_IngestTime` of every row
//! event_time_min  i64 nanoseconds
//! event_time_max  i64 nanoseconds
//! record_root     32  RFC 6962 root over the rows' records (record.rs)
//! schema_id       32  SHA-256 over the lines "name type\n" of the columns present, by name
//! token_key       u32 version of the key that made the tokens in the rows
//! delivery        3 x u32 rows exactly-once, at-least-once, best-effort
//! previous        32  SHA-256 of the header before it in this table; zero for the first
//! ```

use std::fmt;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::TimestampNanosecondType;
use moneta_base::{IngestDay, Seq, TableName, TenantId, Timestamp, limits};
use moneta_merkle::{Hash, hash, sha256};

use crate::ColumnType;
use crate::record::{RecordEncoder, UnsupportedColumn};
use crate::schema::standard;
use crate::types::Delivery;

/// First bytes of every header.
pub const MAGIC: &[u8; 4] = b"MBLK";
/// Version byte of the header layout.
pub const VERSION: u8 = 1;
/// Bytes in a header at most.
pub const HEADER_BYTES_MAX: usize = 512;

/// One shard log: the blocks of one table and one ingest day.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ShardId {
    /// The table.
    pub table: TableName,
    /// The day the blocks became durable.
    pub day: IngestDay,
}

impl fmt::Display for ShardId {
    /// `Table/yyyy-MM-dd`, which is also its path below the shard directory.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.table, self.day)
    }
}

impl ShardId {
    /// Parses `Table/yyyy-MM-dd`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (table, day) = text.split_once('/')?;
        Some(Self { table: TableName::new(table).ok()?, day: IngestDay::parse(day)? })
    }
}

/// What a block commits to. See the module for the layout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockHeader {
    /// Whose rows.
    pub tenant: TenantId,
    /// Table and ingest day.
    pub shard: ShardId,
    /// Position in the shard, from 0.
    pub shard_index: u64,
    /// `_Seq` of the first row.
    pub first_seq: Seq,
    /// Number of rows.
    pub num_rows: u32,
    /// When the block was committed.
    pub ingest_time: Timestamp,
    /// Earliest event time.
    pub event_time_min: Timestamp,
    /// Latest event time.
    pub event_time_max: Timestamp,
    /// Root over the records.
    pub record_root: Hash,
    /// Which columns are present.
    pub schema_id: Hash,
    /// Version of the token key.
    pub token_key: u32,
    /// Rows per [`Delivery`], in the order of [`Delivery::ALL`].
    pub delivery: [u32; 3],
    /// Hash of the header before it in the table.
    pub previous: Hash,
}

/// Why bytes are not a header, or rows not those of their header.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// The bytes end early, have another magic, or hold a value that cannot be.
    #[error("not a block header: {0}")]
    Malformed(&'static str),
    /// A newer Moneta wrote it.
    #[error("block header version {0} is not known; use a newer Moneta")]
    Version(u8),
    /// The rows are not those the header commits to.
    #[error("rows do not match their header: {0}")]
    Mismatch(&'static str),
}

impl BlockHeader {
    /// The `_Seq` after the last row.
    #[must_use]
    pub fn end_seq(&self) -> Seq {
        self.first_seq + u64::from(self.num_rows)
    }

    /// The header's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let table = self.shard.table.as_str().as_bytes();
        let mut out = Vec::with_capacity(256);
        out.extend_from_slice(MAGIC);
        out.push(VERSION);
        out.extend_from_slice(self.tenant.as_bytes());
        out.push(u8::try_from(table.len()).expect("a table name has at most 128 bytes"));
        out.extend_from_slice(table);
        out.extend_from_slice(&self.shard.day.0.to_le_bytes());
        out.extend_from_slice(&self.shard_index.to_le_bytes());
        out.extend_from_slice(&self.first_seq.to_le_bytes());
        out.extend_from_slice(&self.num_rows.to_le_bytes());
        for time in [self.ingest_time, self.event_time_min, self.event_time_max] {
            out.extend_from_slice(&time.as_nanos().to_le_bytes());
        }
        out.extend_from_slice(self.record_root.as_bytes());
        out.extend_from_slice(self.schema_id.as_bytes());
        out.extend_from_slice(&self.token_key.to_le_bytes());
        for count in self.delivery {
            out.extend_from_slice(&count.to_le_bytes());
        }
        out.extend_from_slice(self.previous.as_bytes());
        debug_assert!(out.len() < HEADER_BYTES_MAX);
        out
    }

    /// Reads a header.
    ///
    /// # Errors
    /// [`BlockError::Malformed`] or [`BlockError::Version`]; trailing bytes are malformed too.
    pub fn decode(bytes: &[u8]) -> Result<Self, BlockError> {
        let mut input = Input(bytes);
        if input.take(4)? != MAGIC {
            return Err(BlockError::Malformed("wrong magic"));
        }
        let version = input.take(1)?[0];
        if version != VERSION {
            return Err(BlockError::Version(version));
        }
        let tenant = TenantId::from_bytes(input.array()?);
        let table_len = usize::from(input.take(1)?[0]);
        let table = std::str::from_utf8(input.take(table_len)?).ok().and_then(|name| TableName::new(name).ok());
        let table = table.ok_or(BlockError::Malformed("table name"))?;
        let header = Self {
            tenant,
            shard: ShardId { table, day: IngestDay(i32::from_le_bytes(input.array()?)) },
            shard_index: u64::from_le_bytes(input.array()?),
            first_seq: u64::from_le_bytes(input.array()?),
            num_rows: u32::from_le_bytes(input.array()?),
            ingest_time: input.time()?,
            event_time_min: input.time()?,
            event_time_max: input.time()?,
            record_root: Hash(input.array()?),
            schema_id: Hash(input.array()?),
            token_key: u32::from_le_bytes(input.array()?),
            delivery: [
                u32::from_le_bytes(input.array()?),
                u32::from_le_bytes(input.array()?),
                u32::from_le_bytes(input.array()?),
            ],
            previous: Hash(input.array()?),
        };
        header.check_values(input.0)?;
        Ok(header)
    }

    fn check_values(&self, rest: &[u8]) -> Result<(), BlockError> {
        let rows_ok = (1..=limits::BLOCK_ROWS_MAX).contains(&(self.num_rows as usize));
        let delivery_sum: u64 = self.delivery.iter().map(|count| u64::from(*count)).sum();
        match () {
            () if !rest.is_empty() => Err(BlockError::Malformed("bytes after the end")),
            () if !rows_ok => Err(BlockError::Malformed("row count")),
            () if delivery_sum != u64::from(self.num_rows) => Err(BlockError::Malformed("delivery counts")),
            () if self.first_seq.checked_add(u64::from(self.num_rows)).is_none() => {
                Err(BlockError::Malformed("sequence"))
            }
            () => Ok(()),
        }
    }

    /// SHA-256 of the header's bytes: what the next header of the table carries as `previous`.
    #[must_use]
    pub fn hash(&self) -> Hash {
        sha256(&self.encode())
    }
}

/// Reads fixed-size parts off a byte string.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], BlockError> {
        let (head, tail) = self.0.split_at_checked(len).ok_or(BlockError::Malformed("ends early"))?;
        self.0 = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], BlockError> {
        self.take(N).map(|bytes| bytes.try_into().expect("took N bytes"))
    }

    fn time(&mut self) -> Result<Timestamp, BlockError> {
        self.array().map(|bytes| Timestamp::from_nanos(i64::from_le_bytes(bytes)))
    }
}

/// Where a new block stands: all that its rows do not say themselves.
#[derive(Debug, Clone)]
pub struct BlockPosition {
    /// Whose rows.
    pub tenant: TenantId,
    /// Table and ingest day.
    pub shard: ShardId,
    /// Position in the shard.
    pub shard_index: u64,
    /// `_Seq` of the first row.
    pub first_seq: Seq,
    /// Time of the commit.
    pub ingest_time: Timestamp,
    /// Version of the token key.
    pub token_key: u32,
    /// Hash of the table's header before.
    pub previous: Hash,
}

/// A header and its rows.
///
/// # Shapes
/// `rows`: `header.num_rows` rows in order of `_Seq`; columns as [`ParsedBatch`](crate::ParsedBatch) describes.
#[derive(Debug, Clone)]
pub struct Block {
    /// What the block commits to.
    pub header: BlockHeader,
    /// The rows.
    pub rows: RecordBatch,
}

impl Block {
    /// Makes the block of `rows` at a position: computes the record tree and the statistics of the header.
    ///
    /// # Errors
    /// [`UnsupportedColumn`] when a column has no record form.
    ///
    /// # Panics
    /// When there are no rows, or more than a block may hold.
    pub fn new(position: BlockPosition, rows: RecordBatch) -> Result<Self, UnsupportedColumn> {
        assert!((1..=limits::BLOCK_ROWS_MAX).contains(&rows.num_rows()), "BLOCK-1: 1 to 8,192 rows");
        let (event_time_min, event_time_max) = event_time_range(&rows);
        let header = BlockHeader {
            tenant: position.tenant,
            shard: position.shard,
            shard_index: position.shard_index,
            first_seq: position.first_seq,
            num_rows: u32::try_from(rows.num_rows()).expect("checked above"),
            ingest_time: position.ingest_time,
            event_time_min,
            event_time_max,
            record_root: record_root(&rows)?,
            schema_id: schema_id(&rows),
            token_key: position.token_key,
            delivery: delivery_counts(&rows),
            previous: position.previous,
        };
        Ok(Self { header, rows })
    }

    /// Checks that the rows are those the header commits to (BLOCK-1).
    ///
    /// # Errors
    /// [`BlockError::Mismatch`] naming what differs.
    pub fn check(&self) -> Result<(), BlockError> {
        if self.rows.num_rows() != self.header.num_rows as usize {
            return Err(BlockError::Mismatch("number of rows"));
        }
        match record_root(&self.rows) {
            Ok(root) if root == self.header.record_root => Ok(()),
            Ok(_) => Err(BlockError::Mismatch("record root")),
            Err(_) => Err(BlockError::Mismatch("column type")),
        }
    }
}

/// The RFC 6962 root over the records of `rows`.
///
/// # Errors
/// [`UnsupportedColumn`] when a column has no record form.
pub fn record_root(rows: &RecordBatch) -> Result<Hash, UnsupportedColumn> {
    let mut leaves = RecordEncoder::new(rows)?.leaf_hashes();
    Ok(hash::root_in_place(&mut leaves))
}

/// SHA-256 over the lines `name type\n` of the columns, by name.
fn schema_id(rows: &RecordBatch) -> Hash {
    let schema = rows.schema();
    let type_name = |field| ColumnType::of_field(field).map_or("unknown", ColumnType::name);
    let mut lines: Vec<String> =
        schema.fields().iter().map(|field| format!("{} {}\n", field.name(), type_name(field))).collect();
    lines.sort_unstable();
    sha256(lines.concat().as_bytes())
}

fn event_time_range(rows: &RecordBatch) -> (Timestamp, Timestamp) {
    let times =
        rows.column_by_name(standard::TIME_GENERATED).and_then(|c| c.as_primitive_opt::<TimestampNanosecondType>());
    let min = times.and_then(arrow::compute::min).unwrap_or_default();
    let max = times.and_then(arrow::compute::max).unwrap_or_default();
    (Timestamp::from_nanos(min), Timestamp::from_nanos(max))
}

fn delivery_counts(rows: &RecordBatch) -> [u32; 3] {
    let mut counts = [0; 3];
    let column = rows.column_by_name(standard::DELIVERY).and_then(|c| c.as_string_opt::<i32>());
    for row in 0..rows.num_rows() {
        let name = column.filter(|c| c.is_valid(row)).map_or("", |c| c.value(row));
        // What does not say how it came counts as the weakest class.
        counts[Delivery::ALL.iter().position(|d| d.name() == name).unwrap_or(2)] += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use moneta_base::SourceName;

    use super::*;
    use crate::{BatchBuilder, RecordClass, TableCatalog, Value};

    fn block() -> Block {
        let schema = TableCatalog::built_in().get("Syslog").cloned().unwrap();
        let mut rows = BatchBuilder::new(Arc::clone(&schema), RecordClass::Data, Delivery::BestEffort);
        for text in ["one", "two", "three"] {
            rows.set_field("SyslogMessage", Value::Text(text));
            rows.finish_row(Timestamp::from_seconds(1_700_000_000), &SourceName::lossy("s"), text);
        }
        let shard = ShardId { table: schema.name().clone(), day: IngestDay(20_000) };
        let position = BlockPosition {
            tenant: TenantId::from_random([7; 16]),
            shard,
            shard_index: 3,
            first_seq: 40,
            ingest_time: Timestamp::from_seconds(1_728_000_001),
            token_key: 1,
            previous: Hash([9; 32]),
        };
        Block::new(position, rows.finish().unwrap().rows).unwrap()
    }

    #[test]
    fn header_survives_its_bytes() {
        let header = block().header;
        assert_eq!(BlockHeader::decode(&header.encode()).unwrap(), header);
        assert_eq!(header.delivery, [0, 0, 3]);
        assert_eq!(header.end_seq(), 43);
    }

    #[test]
    fn every_cut_or_changed_header_differs_or_is_refused() {
        let header = block().header;
        let bytes = header.encode();
        for cut in 0..bytes.len() {
            assert!(BlockHeader::decode(&bytes[..cut]).is_err());
        }
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert_ne!(BlockHeader::decode(&changed).ok(), Some(header.clone()), "byte {at}");
        }
    }

    #[test]
    fn block_1_a_changed_or_swapped_row_is_found() {
        let good = block();
        good.check().unwrap();
        let order = arrow::array::UInt32Array::from(vec![1, 0, 2]);
        let swapped = arrow::compute::take_record_batch(&good.rows, &order).unwrap();
        assert_eq!(Block { rows: swapped, ..good.clone() }.check(), Err(BlockError::Mismatch("record root")));
        assert_eq!(
            Block { rows: good.rows.slice(0, 2), ..good.clone() }.check(),
            Err(BlockError::Mismatch("number of rows"))
        );
    }

    #[test]
    fn shard_names_survive_their_text() {
        let shard = block().header.shard;
        assert_eq!(ShardId::parse(&shard.to_string()), Some(shard));
    }
}
