//! The write-ahead log of blocks.
