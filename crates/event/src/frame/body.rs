//! Bodies of journal frames: commits and snapshots.
//!
//! # Layout, version 1 (integers little-endian; text is `len u16` and UTF-8)
//! ```text
//! commit body
//!   num_blocks    u32
//!   num_blocks times:
//!     header_len  u16
//!     header      block header (block.rs)
//!     rows        rows.rs, with a checksum of their own
//!   marks         as below
//!
//! snapshot body
//!   ingest_time   i64 nanoseconds; no later commit is earlier
//!   num_tables    u32
//!   num_tables times, by name:
//!     table       text
//!     next_seq    u64
//!     last_header 32  SHA-256 of the table's last block header; zero when there is none
//!     day         i32 ingest day of the last block
//!     next_index  u64 position the next block of that day takes in its shard
//!   marks         as below, oldest first
//!
//! marks
//!   num_marks     u32
//!   num_marks times:
//!     kind        u8  1 producer, 2 idempotency key, 3 cursor
//!     producer    text, at most 256 bytes
//!     epoch       u128
//!     sequence    u64
//!     hash        32
//!     ingest_time i64 nanoseconds
//!     num_ranges  u32
//!     num_ranges times: table text, first_seq u64, end_seq u64 (rows stored under the mark, [first, end))
//! ```

use moneta_base::{IngestDay, Seq, TableName, Timestamp};
use moneta_merkle::Hash;

use super::wire::{Reader, put_count, put_text};
use super::{FrameError, rows};
use crate::{Block, BlockHeader};

/// Bytes of a producer's name at most.
pub const PRODUCER_BYTES_MAX: usize = 256;

/// How long a mark is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MarkKind {
    /// For ever, with the newest commits: an agent or a forwarder, several of whose commits are under way at once. A
    /// resend is recognised with no time window.
    Producer,
    /// Until newer ones push it out: a client's idempotency key, which names one request.
    IdempotencyKey,
    /// Until it is forgotten, the newest commit only: whoever reads something from front to back, one commit after the
    /// other.
    Cursor,
    /// Not at all: it takes the marks of its producer away, if its position is the producer's highest.
    Forgotten,
}

/// Who sent a commit and which of its commits it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProducerMark {
    /// How long it is remembered.
    pub kind: MarkKind,
    /// Name of the producer, or the idempotency key with its credential; at most 256 bytes.
    pub producer: String,
    /// Random identity of the producer's spool: a new spool counts from the start again.
    pub epoch: u128,
    /// Position in the spool.
    pub sequence: u64,
    /// Hash of what was sent.
    pub hash: Hash,
}

/// Rows of one table, `[first, end)`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SeqRange {
    /// The table.
    pub table: TableName,
    /// `_Seq` of the first row.
    pub first: Seq,
    /// `_Seq` after the last row.
    pub end: Seq,
}

/// What was stored for one commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// When it became durable.
    pub ingest_time: Timestamp,
    /// The rows, per table.
    pub ranges: Vec<SeqRange>,
}

/// A mark and what was stored under it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredMark {
    /// The mark.
    pub mark: ProducerMark,
    /// What was stored.
    pub receipt: Receipt,
}

/// Blocks and marks that become durable together.
#[derive(Debug, Clone)]
pub struct Commit {
    /// The blocks, tables mixed, each table's in order.
    pub blocks: Vec<Block>,
    /// The marks of the commits that the blocks' rows came from.
    pub marks: Vec<StoredMark>,
}

/// Where a table stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableState {
    /// The table.
    pub table: TableName,
    /// `_Seq` of its next row.
    pub next_seq: Seq,
    /// Hash of its last block header.
    pub last_header: Hash,
    /// Ingest day of its last block.
    pub day: IngestDay,
    /// Position of the day's next block in its shard.
    pub next_index: u64,
}

/// All that a journal must know of files before this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Time of the last commit.
    pub ingest_time: Timestamp,
    /// The tables, by name.
    pub tables: Vec<TableState>,
    /// The marks still remembered, oldest first.
    pub marks: Vec<StoredMark>,
}

impl Commit {
    pub(super) fn encode(&self) -> Result<Vec<u8>, FrameError> {
        let mut out = Vec::with_capacity(64 << 10);
        put_count(&mut out, self.blocks.len());
        for block in &self.blocks {
            let header = block.header.encode();
            out.extend_from_slice(&u16::try_from(header.len()).expect("a header is under 512 bytes").to_le_bytes());
            out.extend_from_slice(&header);
            rows::encode(&block.rows, &mut out)?;
        }
        put_marks(&mut out, &self.marks);
        Ok(out)
    }

    pub(super) fn decode(body: &[u8]) -> Result<Self, FrameError> {
        let mut input = Reader::new(body);
        let mut index = 0;
        let blocks = input.items(|input| {
            let block = decode_block(input)
                .map_err(|error: FrameError| FrameError::Block { index, what: error.to_string() })?;
            index += 1;
            Ok(block)
        })?;
        let marks = input.items(read_mark)?;
        input.finish()?;
        Ok(Self { blocks, marks })
    }
}

fn decode_block(input: &mut Reader<'_>) -> Result<Block, FrameError> {
    let header_len = usize::from(input.u16()?);
    let header = BlockHeader::decode(input.take(header_len)?).map_err(|_| FrameError::Malformed("block header"))?;
    let rows = rows::decode(input)?;
    match rows.num_rows() == header.num_rows as usize {
        true => Ok(Block { header, rows }),
        false => Err(FrameError::Malformed("number of rows")),
    }
}

impl Snapshot {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(&self.ingest_time.as_nanos().to_le_bytes());
        put_count(&mut out, self.tables.len());
        for state in &self.tables {
            put_text(&mut out, state.table.as_str());
            out.extend_from_slice(&state.next_seq.to_le_bytes());
            out.extend_from_slice(state.last_header.as_bytes());
            out.extend_from_slice(&state.day.0.to_le_bytes());
            out.extend_from_slice(&state.next_index.to_le_bytes());
        }
        put_marks(&mut out, &self.marks);
        out
    }

    pub(super) fn decode(body: &[u8]) -> Result<Self, FrameError> {
        let mut input = Reader::new(body);
        let ingest_time = input.time()?;
        let tables = input.items(|input| {
            Ok(TableState {
                table: input.table()?,
                next_seq: input.u64()?,
                last_header: input.hash()?,
                day: IngestDay(input.i32()?),
                next_index: input.u64()?,
            })
        })?;
        let marks = input.items(read_mark)?;
        input.finish()?;
        Ok(Self { ingest_time, tables, marks })
    }
}

fn put_marks(out: &mut Vec<u8>, marks: &[StoredMark]) {
    put_count(out, marks.len());
    for StoredMark { mark, receipt } in marks {
        out.push(match mark.kind {
            MarkKind::Producer => 1,
            MarkKind::IdempotencyKey => 2,
            MarkKind::Cursor => 3,
            MarkKind::Forgotten => 4,
        });
        put_text(out, &mark.producer);
        out.extend_from_slice(&mark.epoch.to_le_bytes());
        out.extend_from_slice(&mark.sequence.to_le_bytes());
        out.extend_from_slice(mark.hash.as_bytes());
        out.extend_from_slice(&receipt.ingest_time.as_nanos().to_le_bytes());
        put_count(out, receipt.ranges.len());
        for range in &receipt.ranges {
            put_text(out, range.table.as_str());
            out.extend_from_slice(&range.first.to_le_bytes());
            out.extend_from_slice(&range.end.to_le_bytes());
        }
    }
}

fn read_mark(input: &mut Reader<'_>) -> Result<StoredMark, FrameError> {
    let kind = match input.u8()? {
        1 => MarkKind::Producer,
        2 => MarkKind::IdempotencyKey,
        3 => MarkKind::Cursor,
        4 => MarkKind::Forgotten,
        _ => return Err(FrameError::Malformed("mark kind")),
    };
    let producer = input.text()?;
    if producer.len() > PRODUCER_BYTES_MAX {
        return Err(FrameError::Malformed("producer name"));
    }
    let mark = ProducerMark {
        kind,
        producer: producer.to_owned(),
        epoch: input.u128()?,
        sequence: input.u64()?,
        hash: input.hash()?,
    };
    let ingest_time = input.time()?;
    let ranges = input.items(|input| Ok(SeqRange { table: input.table()?, first: input.u64()?, end: input.u64()? }))?;
    Ok(StoredMark { mark, receipt: Receipt { ingest_time, ranges } })
}
