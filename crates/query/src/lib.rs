//! Answers KQL over stored tables, within limits, and says what it read.
//!
//! The way of a query: text → `moneta_kql::parse` → `moneta_kql_plan::bind` → scope → `moneta_kql_plan::lower` →
//! DataFusion → [`ResultTable`](moneta_ports::ResultTable)s with [`Completeness`](moneta_ports::Completeness) and an
//! audit record. `explain` prints every stage. Rules, pages and programs all come this way.
//!
//! This crate never parses or types a query itself, never writes a table, and never answers in part without saying so.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod cache;
mod engine;
mod grouped;
mod limits;
mod prune;
mod render;
mod scan;
mod tables;

pub use cache::ColumnCache;
pub use engine::Engine;
pub use limits::Limits;
pub use scan::{ScanCounters, ScanTable, ScanUnit, SegmentSource};
pub use tables::{MemoryTables, StoreTables, Tables};
