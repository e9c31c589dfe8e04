//! A record as it was received: the first state of an event.

use moneta_base::{SourceName, Timestamp};

use crate::types::Delivery;

/// Bytes as received from one source, before any decoding.
#[derive(Debug, Clone)]
pub struct RawRecord {
    /// The bytes, framing removed.
    pub bytes: Vec<u8>,
    /// Where they came from.
    pub source: SourceName,
    /// When they were received: the fallback for records without a time of their own.
    pub received: Timestamp,
    /// How sure the path was.
    pub delivery: Delivery,
}
