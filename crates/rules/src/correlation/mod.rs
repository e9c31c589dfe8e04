//! Correlation: rules over what other rules found, keyed by group, in event time.
//!
//! A correlation is a function of the *set* of events, so that every order of arrival and every division of the stream
//! gives the same alerts, as long as no event comes behind the watermark, and no bound of [`Settings`] is met:
//!
//! - Bounds from below on counts (`gt`, `gte`), and rules that must all be met, can only become true by more events. They
//!   are looked at in the window that ends at each event (`timespan` long, its beginning left out), as soon as the event
//!   is there.
//! - `value_sum` with bounds from below, and `first_seen`, are looked at in the same windows, once the watermark has
//!   passed them.
//! - `absence` is looked at in the window that begins at each event, once the watermark has passed its end. The end of the
//!   data is no absence: there, the newest event of all is the watermark.
//! - Everything else (bounds from above, averages, percentiles, shares, `not`) is looked at in whole periods of
//!   `timespan`, counted from 1970, once the watermark has passed their end.
//!
//! A group raises at most one alert in each period of `timespan`: the period is part of the alert's identity. An event
//! that comes late is put where it belongs, and the windows it touches are looked at again. What an alert that was
//! raised says is never taken back. Memory is bounded by [`Settings`]; what is given up is counted in [`Counters`].
//!
//! A filter that names a correlation keeps events of its log source from counting in it, and events of other log sources
//! count on; in other correlations, and by themselves, all count on. Of a correlation over correlations it narrows only
//! what comes straight from rules over single events.
//!
//! This module never performs I/O and reads no clock: the watermark is given to it.

mod correlator;
mod explain;
mod finding;
mod group;
mod plan;
mod snapshot;

use std::collections::BTreeMap;
use std::fmt;

use crate::ir::Expression;

pub use correlator::{Correlator, Counters, Settings};
pub use explain::{CorrelationExplanation, GroupState};
pub use finding::{EventRef, Finding, FoundEvent};
pub(crate) use plan::{Plan, Resolved, resolve};
pub use snapshot::{Snapshot, SnapshotError};

/// A condition on what other rules found.
#[derive(Debug, Clone, PartialEq)]
pub struct Correlation {
    /// What is counted or compared.
    pub kind: Kind,
    /// Ids or names of the rules it refers to, in order.
    pub rules: Vec<String>,
    /// Fields or aliases of which all events must have the same values.
    pub group_by: Vec<String>,
    /// The time within which it must happen.
    pub span_nanos: i64,
    /// Per alias: the field of each rule's events.
    pub aliases: BTreeMap<String, BTreeMap<String, String>>,
    /// Whether the rules it refers to raise alerts of their own.
    pub generate: bool,
}

/// What a correlation counts or compares.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// The number of events. One that meets several of the rules is one event.
    EventCount(Threshold),
    /// The number of distinct values; of several fields, of their combinations.
    ValueCount {
        /// The fields.
        fields: Vec<String>,
        /// What the number must be.
        threshold: Threshold,
    },
    /// Rules are met, in any order.
    Temporal(RuleCondition),
    /// Rules are met one after another, in the order of the list, each by another event.
    TemporalOrdered(RuleCondition),
    /// The sum of a field's numbers.
    ValueSum {
        /// The field.
        field: String,
        /// What the sum must be.
        threshold: Threshold,
    },
    /// Their mean.
    ValueAvg {
        /// The field.
        field: String,
        /// What the mean must be.
        threshold: Threshold,
    },
    /// The number below or at which a percentage of them lies, interpolated between neighbours.
    ValuePercentile {
        /// The field.
        field: String,
        /// The percentage.
        percent: f64,
        /// What the number must be.
        threshold: Threshold,
    },
    /// Values that no event of the window before has.
    FirstSeen {
        /// The fields; of several, their combination.
        fields: Vec<String>,
        /// How many events of the window before there must be, so that "not seen" says something.
        before: Threshold,
    },
    /// No event follows one within the timespan.
    Absence,
    /// The percentage that any single value has among all values of the field: finds what is rare or dominant.
    ValueShare {
        /// The field.
        field: String,
        /// What the percentage must be.
        threshold: Threshold,
    },
}

/// Bounds that must all hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Threshold {
    /// The bounds.
    pub bounds: Vec<(Bound, f64)>,
}

/// How a number is bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// `gt`
    Above,
    /// `gte`
    AtLeast,
    /// `lt`
    Below,
    /// `lte`
    AtMost,
    /// `eq`
    Equal,
    /// `neq`
    Different,
}

/// Which rules of a temporal correlation must be met.
#[derive(Debug, Clone, PartialEq)]
pub enum RuleCondition {
    /// All of them.
    All,
    /// So many different ones.
    Count(Threshold),
    /// As an expression over them says; its tests are named like the rules.
    Expression(Expression),
}

/// When a correlation can be decided, and over which windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Windows that end at an event, at once.
    Growing,
    /// Windows that end at an event, once the watermark has passed it.
    Closed,
    /// Whole periods, once the watermark has passed their end.
    Whole,
    /// Windows that begin at an event, once the watermark has passed their end.
    Following,
}

impl Threshold {
    /// Whether a number is within all bounds.
    #[must_use]
    pub fn holds(&self, value: f64) -> bool {
        self.bounds.iter().all(|(bound, limit)| match bound {
            Bound::Above => value > *limit,
            Bound::AtLeast => value >= *limit,
            Bound::Below => value < *limit,
            Bound::AtMost => value <= *limit,
            Bound::Equal => value == *limit,
            Bound::Different => value != *limit,
        })
    }

    fn only_from_below(&self) -> bool {
        self.bounds.iter().all(|(bound, _)| matches!(bound, Bound::Above | Bound::AtLeast))
    }
}

impl Correlation {
    pub(crate) fn mode(&self) -> Mode {
        let growing = match &self.kind {
            Kind::EventCount(threshold) | Kind::ValueCount { threshold, .. } => threshold.only_from_below(),
            Kind::Temporal(condition) | Kind::TemporalOrdered(condition) => match condition {
                RuleCondition::All => true,
                RuleCondition::Count(threshold) => threshold.only_from_below(),
                RuleCondition::Expression(expression) => !has_negation(expression),
            },
            Kind::ValueSum { threshold, .. } if threshold.only_from_below() => return Mode::Closed,
            Kind::FirstSeen { .. } => return Mode::Closed,
            Kind::Absence => return Mode::Following,
            _ => false,
        };
        if growing { Mode::Growing } else { Mode::Whole }
    }

    /// The number of events that must be told apart to decide the condition.
    pub(crate) fn counts_to(&self) -> usize {
        let threshold = match &self.kind {
            Kind::EventCount(threshold)
            | Kind::ValueCount { threshold, .. }
            | Kind::FirstSeen { before: threshold, .. } => threshold,
            _ => return 0,
        };
        let largest = threshold.bounds.iter().map(|(_, limit)| limit.ceil()).fold(0.0, f64::max);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, and is not negative")]
        let whole = largest as usize;
        whole
    }

    /// The condition in words: `event_count gte 5 within 10m`.
    #[must_use]
    pub fn describe(&self) -> String {
        let of = |fields: &[String]| fields.join(", ");
        let what = match &self.kind {
            Kind::EventCount(threshold) => format!("event_count {threshold}"),
            Kind::ValueCount { fields, threshold } => format!("value_count of {} {threshold}", of(fields)),
            Kind::ValueSum { field, threshold } => format!("value_sum of {field} {threshold}"),
            Kind::ValueAvg { field, threshold } => format!("value_avg of {field} {threshold}"),
            Kind::ValuePercentile { field, percent, threshold } => {
                format!("the {percent}th percentile of {field} {threshold}")
            }
            Kind::ValueShare { field, threshold } => format!("the share in percent of a value of {field} {threshold}"),
            Kind::FirstSeen { fields, before } => {
                format!("a value of {} that none of the events before has, their number {before},", of(fields))
            }
            Kind::Absence => "no event after one".to_owned(),
            Kind::Temporal(condition) => format!("temporal, {}", condition.describe(&self.rules)),
            Kind::TemporalOrdered(condition) => format!("temporal_ordered, {}", condition.describe(&self.rules)),
        };
        format!("{what} within {}", span_text(self.span_nanos))
    }

    /// The fields whose values are counted or compared.
    pub(crate) fn value_fields(&self) -> &[String] {
        match &self.kind {
            Kind::EventCount(_) | Kind::Temporal(_) | Kind::TemporalOrdered(_) | Kind::Absence => &[],
            Kind::ValueCount { fields, .. } | Kind::FirstSeen { fields, .. } => fields,
            Kind::ValueSum { field, .. }
            | Kind::ValueAvg { field, .. }
            | Kind::ValuePercentile { field, .. }
            | Kind::ValueShare { field, .. } => std::slice::from_ref(field),
        }
    }
}

impl RuleCondition {
    fn describe(&self, rules: &[String]) -> String {
        match self {
            Self::All => format!("all of {}", rules.join(", ")),
            Self::Count(threshold) => format!("the number of rules met among {} {threshold}", rules.join(", ")),
            Self::Expression(_) => format!("the condition over {}", rules.join(", ")),
        }
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (bound, limit)) in self.bounds.iter().enumerate() {
            let between = if number == 0 { "" } else { " and " };
            write!(f, "{between}{} {limit}", bound.name())?;
        }
        Ok(())
    }
}

impl Bound {
    /// Its key in a rule.
    const fn name(self) -> &'static str {
        match self {
            Self::Above => "gt",
            Self::AtLeast => "gte",
            Self::Below => "lt",
            Self::AtMost => "lte",
            Self::Equal => "eq",
            Self::Different => "neq",
        }
    }
}

/// A timespan in the largest unit of rules that divides it.
fn span_text(nanos: i64) -> String {
    let seconds = nanos / 1_000_000_000;
    let units = [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")];
    let fits = units.iter().find(|(size, _)| seconds % size == 0);
    fits.map_or_else(String::new, |(size, unit)| format!("{}{unit}", seconds / size))
}

fn has_negation(expression: &Expression) -> bool {
    match expression {
        Expression::Not(_) => true,
        Expression::Constant(_) | Expression::Test(_) => false,
        Expression::All(parts) | Expression::Any(parts) => parts.iter().any(has_negation),
    }
}
