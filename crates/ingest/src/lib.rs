//! Takes scrubbed batches to durable, acknowledged, queryable, provable blocks.
