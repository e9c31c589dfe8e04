//! Every bound on input, memory and recursion that more than one crate needs, each with its reason.
//!
//! A bound used by a single crate stands in that crate.

/// Rows in one block at most: the record tree of a block is recomputed in memory, and a lost acknowledgement resends
/// at most this much.
pub const BLOCK_ROWS_MAX: usize = 8_192;

/// Bytes in one raw record at most. Longer records go to quarantine: a parser never sees them.
pub const RECORD_BYTES_MAX: usize = 1 << 20;

/// Nesting of JSON, XML and the like at most.
pub const NESTING_DEPTH_MAX: usize = 64;

/// Fields in one record at most.
pub const RECORD_FIELDS_MAX: usize = 2_000;

/// Columns in one table at most; further fields go to `_Extra`.
pub const TABLE_COLUMNS_MAX: usize = 1_000;

/// Ratio of decompressed to compressed bytes at most, for archives and request bodies.
pub const DECOMPRESSION_RATIO_MAX: u64 = 100;

/// Bytes a quarantined record keeps of its original, which is enough for every record but a flood without line ends;
/// of a longer one the size and hash cover the whole.
pub const QUARANTINE_BYTES_MAX: usize = 16 << 20;

/// How far in the future an event time may lie before the record is quarantined, in days.
pub const EVENT_TIME_FUTURE_DAYS_MAX: i64 = 2;

/// The earliest event time accepted: 1990-01-01. Older stamps are clock faults, not history.
pub const EVENT_TIME_MIN: crate::Timestamp = crate::Timestamp::from_nanos(631_152_000_000_000_000);

const _: () = assert!(QUARANTINE_BYTES_MAX >= RECORD_BYTES_MAX);
