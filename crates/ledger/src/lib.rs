//! The transparency log: shard logs under one root log.
