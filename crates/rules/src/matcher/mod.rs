//! The vectorised matcher: all rules of a table against one block.
//!
//! 1. Row conditions of the log sources (gates) choose rows; a gate without rows costs nothing more.
//! 2. Columns that hold the witnesses of the open gates' rules are read: each distinct value once, against all tests.
//! 3. A rule is looked at when one of its witnesses was met; its condition is then algebra over sets of rows.
//!
//! The expression of a rule has a witness when it cannot hold unless some test of a known set holds. Rules that have
//! none (only negations, or tests for absent values) are looked at whenever their gate is open.

mod block_view;
pub mod cells;
mod evaluation;
mod extra;
mod keywords;
mod literals;
pub(crate) mod rows;
pub(crate) mod value_tests;

pub(crate) use block_view::{BlockView, SlotReader};
pub(crate) use evaluation::Evaluation;
