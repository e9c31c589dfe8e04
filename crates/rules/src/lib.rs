//! Detection rules: Sigma in, matches on Arrow columns out.
//!
//! The way of a rule: text → [`sigma::parse_file`] → [`ir::Rule`] → [`CompiledRules::compile`] with a [`Taxonomy`] →
//! [`CompiledRules::match_batch`] → [`Correlator::observe`] for rules over several events. Analytics rules, which are
//! queries with a schedule, are read by [`analytics::parse_file`]. What cannot run is a [`NotLoaded`] with the reason.
//!
//! This crate never performs I/O and reads no clock. Only a [`Correlator`] keeps state between batches.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod analytics;
pub mod compile;
pub mod correlation;
pub mod coverage;
pub mod error;
pub mod exception;
pub mod explain;
mod fields;
pub mod hunt;
pub mod ir;
pub mod limits;
pub mod lint;
pub mod matcher;
mod nearest;
pub mod pack;
pub mod pattern;
pub mod placeholders;
mod plan;
mod reference;
pub mod rule_tests;
pub mod sigma;
pub mod starter;
pub mod taxonomy;
pub mod tuning;
pub mod vocabulary;
mod yaml;

pub use compile::{CompiledRules, Explainer, RuleMatch};
pub use correlation::Correlator;
pub use error::{Error, NotLoaded};
pub use explain::Explanation;
pub use hunt::{HuntMatch, finding_line, hunt};
pub use ir::{LogSource, Metadata, Rule};
pub use placeholders::Placeholders;
pub use sigma::{parse_file, parse_file_with};
pub use taxonomy::Taxonomy;
