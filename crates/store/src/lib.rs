//! Segments, Delta catalog, hot blocks and retention.
