//! Answers KQL and SQL over stored tables, within limits, and says what it read.
//!
//! The way of a query: text → `moneta_kql::parse` → `moneta_kql_plan::bind` → scope → `moneta_kql_plan::lower` →
//! DataFusion → [`ResultTable`](moneta_ports::ResultTable)s with [`Completeness`](moneta_ports::Completeness) and an
//! audit record. `explain` prints every stage. Rules, pages and programs all come this way.
//!
//! This crate never parses or types a query itself, never writes a table, and never answers in part without saying so.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod auditor;
mod cache;
mod engine;
mod grouped;
mod limits;
mod memory;
mod objects;
mod outside;
mod pauses;
mod prune;
mod recall;
mod render;
mod running;
mod scan;
mod snapshot;
mod sql;
mod stream;
mod tables;
mod terms;
mod views;

pub use cache::ColumnCache;
pub use engine::Engine;
pub use limits::{Limits, Spill};
pub use objects::Objects;
pub use outside::{Outside, OutsideError};
pub use scan::{ScanCounters, ScanTable, ScanUnit, SegmentSource};
pub use tables::{MemoryTables, StoreTables, Tables};
