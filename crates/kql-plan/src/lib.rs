//! Binds KQL to tables and lowers it to DataFusion logical plans, with Kusto's semantics exactly.
//!
//! Text → `moneta_kql::parse` → [`bind`] → [`BoundQuery`] → [`lower()`] → DataFusion's `LogicalPlan`. This crate reads no
//! clock and does no I/O: the time of `now()` and the tables come as arguments, and others run the plan.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod aggregates;
pub mod assist;
pub mod binder;
pub mod bound;
pub mod error;
pub mod fold;
pub mod functions;
pub mod interpret;
pub mod json;
pub mod lower;
pub mod manual;
pub mod operators;
pub mod registry;
pub mod sketch;
pub mod steps;
pub mod two_phase;
pub mod types;
pub mod value;

pub use binder::{BindOptions, Catalog, bind, codes};
pub use bound::{BoundQuery, BoundResult, Relation, Render, ScalarExpr};
pub use error::{Error, Result};
pub use lower::{TableProviderSource, lower};
pub use manual::render_manual;
pub use operators::external::{EXTERNAL_BYTES_MAX, ExternalSource};
pub use operators::filter::{SimpleConjunct, simple_conjuncts};
pub use operators::gathered::{query_planner, session_config};
pub use two_phase::{Probe, bind_over_data};
pub use value::Value;
