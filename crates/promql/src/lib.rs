//! The part of PromQL that dashboards need: selectors with matchers, ranges and offsets, rates, aggregations, and
//! arithmetic and comparisons with numbers. Everything else is refused by name, and never answered half.
//!
//! [`parse()`] reads a text, [`Expression::selectors`] says which samples it needs, and [`instant`] and [`range`] evaluate
//! it over them. Nothing here reads a clock or knows where samples are.
//!
//! # Source
//! Prometheus documentation, "Querying basics", "Operators", "Functions"; time windows as in Prometheus 3: a window is
//! open at its beginning and closed at its end.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod error;
mod evaluate;
mod lexer;
mod over_time;
mod parser;
mod syntax;

pub use error::Error;
pub use evaluate::{Answer, Labels, Series, instant, range};
pub use lexer::duration_ms;
pub use parser::parse;
pub use syntax::{Expression, MatchOperator, Matcher, Selector};

/// How far back an instant selector looks for the last sample of a series, in milliseconds.
pub const LOOKBACK_MS: i64 = 5 * 60 * 1_000;
/// Steps of a range query at most, as in Prometheus.
pub const STEPS_MAX: i64 = 11_000;
/// The label that holds the name of a metric.
pub const NAME_LABEL: &str = "__name__";

/// Bytes of a query at most.
const TEXT_BYTES_MAX: usize = 64 << 10;
/// Nesting of a query at most.
const DEPTH_MAX: usize = 64;
