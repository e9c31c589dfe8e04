//! From decoded rows to durable, acknowledged, queryable, provable blocks.
//!
//! ```text
//! submit ─ fit ─ scrub ─► queue ─► writer thread: journal (one fsync per group) ─► reply
//!                                        ├─► store: hot rows        keeper thread: segment ─ Delta commit ─ root entry,
//!                                        ├─► ledger: block header     retention, a checkpoint every second
//!                                        └─► subscribers (monitor)
//! ```
//! Nothing is acknowledged before the journal is on disk (JOURNAL-1). This crate never decodes a format and never
//! answers a query.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod audit;
mod audit_entries;
mod content;
#[cfg(test)]
mod fault_tests;
mod keeper;
mod open;
mod pressure;
mod quarantine;
mod receipts;
mod recovered;
mod room;
mod service;
mod shared;
mod writer;

pub use keeper::{BetweenChanges, JournalLengths, Policy};
pub use open::{OpenError, OpenReport, Parts};
pub use quarantine::encoding as quarantine_encoding;
pub use recovered::Recovered;
pub use room::Rung;
pub use service::Ingest;
pub use shared::{Chore, ChoreFailure, IngestStatus, LedgerFailure, LedgerOutcome, SenderConflict};
