//! From decoded rows to durable, acknowledged, queryable, provable blocks.
//!
//! ```text
//! submit ─ fit ─ scrub ─► queue ─► writer thread: journal (one fsync per group) ─► reply
//!                                        ├─► store: hot rows        sealer thread: segment ─ Delta commit ─ root entry
//!                                        ├─► ledger: block header   publisher thread: checkpoint at most 1 s later
//!                                        └─► subscribers (monitor)
//! ```
//! Nothing is acknowledged before the journal is on disk (JOURNAL-1). This crate never decodes a format and never
//! answers a query.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod audit;
mod open;
mod quarantine;
mod sealer;
mod service;
mod writer;

pub use open::{OpenError, OpenReport, Parts};
pub use quarantine::encoding as quarantine_encoding;
pub use sealer::Policy;
pub use service::{Ingest, IngestStatus};
