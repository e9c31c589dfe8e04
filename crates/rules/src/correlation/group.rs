//! The events of one group of one correlation, in order of time, and whether a window of them meets the condition.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use super::correlator::LeafMatch;
use super::{Correlation, Kind, RuleCondition, Threshold};
use crate::ir::{Expression, Field};

/// Values by which events are grouped.
pub(crate) type GroupKey = Arc<[String]>;

/// An event, or the finding of a correlation below, as a correlation keeps it.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// Event time, nanoseconds.
    pub time: i64,
    /// What is counted: the event, or the finding.
    pub identity: [u8; 16],
    /// The inputs it came by.
    pub inputs: u64,
    /// The event behind it.
    pub event: Arc<LeafMatch>,
    /// Positions of the values to count or compare among the event's.
    pub values: Arc<[usize]>,
}

impl Entry {
    /// Orders entries independently of their arrival.
    fn key(&self) -> (i64, &str, u64, &[u8; 16]) {
        (self.time, &self.event.table, self.event.seq, &self.identity)
    }

    /// The texts of a condition's field.
    fn texts(&self, field: usize) -> &[String] {
        self.values.get(field).and_then(|at| self.event.fields.get(*at)).map_or(&[], Vec::as_slice)
    }

    fn numbers(&self) -> impl Iterator<Item = f64> + '_ {
        self.texts(0).iter().filter_map(|text| text.trim().parse::<f64>().ok()).filter(|number| number.is_finite())
    }
}

/// One group.
#[derive(Debug, Clone, Default)]
pub(crate) struct Group {
    /// Ascending.
    pub entries: Vec<Entry>,
    /// Periods for which an alert was raised.
    pub fired: BTreeSet<i64>,
}

/// What became of an entry.
pub(crate) enum Inserted {
    /// It is there, at this place.
    At(usize),
    /// All of it was there before.
    Known,
}

impl Group {
    /// Event time of the newest entry.
    pub fn newest(&self) -> i64 {
        self.entries.last().map_or(i64::MIN, |entry| entry.time)
    }

    /// Puts an entry where it belongs. One that is there, seen through another rule, gains that rule.
    pub fn insert(&mut self, entry: Entry) -> Inserted {
        match self.entries.binary_search_by(|known| known.key().cmp(&entry.key())) {
            Ok(at) => {
                let known = &mut self.entries[at];
                if known.inputs | entry.inputs == known.inputs {
                    return Inserted::Known;
                }
                known.inputs |= entry.inputs;
                // Whichever rule came first, the same one's values count.
                if entry.event.leaf < known.event.leaf {
                    known.event = entry.event;
                    known.values = entry.values;
                }
                Inserted::At(at)
            }
            Err(at) => {
                self.entries.insert(at, entry);
                Inserted::At(at)
            }
        }
    }

    /// Forgets entries before a time, and the periods that ended before it.
    pub fn forget_before(&mut self, time: i64, span: i64) -> usize {
        let old = self.entries.partition_point(|entry| entry.time < time);
        self.entries.drain(..old);
        self.fired.retain(|period| period.saturating_add(1).saturating_mul(span) > time);
        old
    }

    /// The entries of the window that ends at an entry.
    pub fn window_until(&self, at: usize, span: i64) -> &[Entry] {
        let end = self.entries[at].time;
        let start = self.entries.partition_point(|entry| entry.time <= end.saturating_sub(span));
        &self.entries[start..=at]
    }

    /// The entries of a time, where none follows them within a span; nothing otherwise.
    pub fn unfollowed(&self, time: i64, span: i64) -> &[Entry] {
        let from = self.entries.partition_point(|entry| entry.time < time);
        let to = self.entries.partition_point(|entry| entry.time <= time);
        let is_followed = self.entries.get(to).is_some_and(|next| next.time < time.saturating_add(span));
        if is_followed { &[] } else { &self.entries[from..to] }
    }

    /// The entries of a period.
    pub fn period(&self, period: i64, span: i64) -> &[Entry] {
        let (start, end) = (period.saturating_mul(span), period.saturating_add(1).saturating_mul(span));
        let from = self.entries.partition_point(|entry| entry.time < start);
        let to = self.entries.partition_point(|entry| entry.time < end);
        &self.entries[from..to]
    }
}

/// Whether a window meets the condition. No window without entries does.
pub(crate) fn holds(definition: &Correlation, counts_findings: bool, window: &[Entry]) -> bool {
    if window.is_empty() {
        return false;
    }
    match &definition.kind {
        Kind::EventCount(threshold) => threshold.holds(as_real(count(window, counts_findings))),
        Kind::ValueCount { fields, threshold } => threshold.holds(as_real(distinct(window, fields.len()))),
        Kind::Temporal(condition) => {
            let met = window.iter().fold(0, |met, entry| met | entry.inputs);
            rules_hold(condition, &definition.rules, met)
        }
        Kind::TemporalOrdered(condition) => ordered_holds(condition, definition, window),
        Kind::ValueSum { threshold, .. } => some(window).is_some_and(|n| threshold.holds(n.iter().sum())),
        Kind::ValueAvg { threshold, .. } => {
            some(window).is_some_and(|n| threshold.holds(n.iter().sum::<f64>() / as_real(n.len())))
        }
        Kind::ValuePercentile { percent, threshold, .. } => {
            some(window).is_some_and(|numbers| threshold.holds(percentile(numbers, *percent)))
        }
        Kind::ValueShare { threshold, .. } => share_holds(window, threshold),
        Kind::FirstSeen { fields, before } => first_seen(window, fields.len(), before),
        // The window is that of an event that nothing follows.
        Kind::Absence => true,
    }
}

#[expect(clippy::cast_precision_loss, reason = "groups are bounded far below 2^53")]
fn as_real(count: usize) -> f64 {
    count as f64
}

fn count(window: &[Entry], counts_findings: bool) -> usize {
    match counts_findings {
        true => window.iter().map(|entry| &entry.identity).collect::<HashSet<_>>().len(),
        false => window.len(),
    }
}

/// Whether the last entry of a window has a value that none before it has.
fn first_seen(window: &[Entry], fields: usize, wanted: &Threshold) -> bool {
    let Some((last, before)) = window.split_last() else { return false };
    if !wanted.holds(as_real(before.len())) {
        return false;
    }
    if fields == 1 {
        let is_new = |text: &String| !before.iter().any(|entry| entry.texts(0).contains(text));
        return last.texts(0).iter().any(is_new);
    }
    let same = |entry: &Entry| (0..fields).all(|field| entry.texts(field) == last.texts(field));
    (0..fields).all(|field| !last.texts(field).is_empty()) && !before.iter().any(same)
}

/// Distinct values of one field, or distinct combinations of several. Absent values are none.
fn distinct(window: &[Entry], fields: usize) -> usize {
    if fields == 1 {
        return window.iter().flat_map(|entry| entry.texts(0)).collect::<HashSet<_>>().len();
    }
    let combination = |entry: &Entry| (0..fields).map(|field| entry.texts(field).to_vec()).collect::<Vec<_>>();
    let complete = |values: &Vec<Vec<String>>| values.iter().all(|texts| !texts.is_empty());
    window.iter().map(combination).filter(complete).collect::<HashSet<_>>().len()
}

/// The numbers of a window, in the order of its entries; `None` without any.
fn some(window: &[Entry]) -> Option<Vec<f64>> {
    let numbers: Vec<f64> = window.iter().flat_map(Entry::numbers).collect();
    (!numbers.is_empty()).then_some(numbers)
}

fn percentile(mut numbers: Vec<f64>, percent: f64) -> f64 {
    numbers.sort_by(f64::total_cmp);
    let rank = percent / 100.0 * as_real(numbers.len() - 1);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rank within the numbers")]
    let (below, above) = (rank.floor() as usize, rank.ceil() as usize);
    numbers[below] + (numbers[above] - numbers[below]) * rank.fract()
}

fn share_holds(window: &[Entry], threshold: &Threshold) -> bool {
    let mut counts: BTreeMap<&String, usize> = BTreeMap::new();
    window.iter().flat_map(|entry| entry.texts(0)).for_each(|text| *counts.entry(text).or_default() += 1);
    let total = as_real(counts.values().sum());
    counts.values().any(|count| threshold.holds(100.0 * as_real(*count) / total))
}

/// Whether a set of inputs, as bits, meets a condition over them.
fn rules_hold(condition: &RuleCondition, rules: &[String], met: u64) -> bool {
    match condition {
        RuleCondition::All => met.count_ones() as usize == rules.len(),
        RuleCondition::Count(threshold) => threshold.holds(f64::from(met.count_ones())),
        RuleCondition::Expression(expression) => expression_holds(expression, rules, met),
    }
}

fn expression_holds(expression: &Expression, rules: &[String], met: u64) -> bool {
    let inner = |part: &Expression| expression_holds(part, rules, met);
    match expression {
        Expression::Constant(value) => *value,
        Expression::Not(part) => !inner(part),
        Expression::All(parts) => parts.iter().all(inner),
        Expression::Any(parts) => parts.iter().any(inner),
        Expression::Test(test) => match &test.field {
            Field::Named(name) => rules.iter().position(|rule| **rule == **name).is_some_and(|at| met >> at & 1 == 1),
            Field::Anywhere => false,
        },
    }
}

/// Whether entries meet the rules in their order. For a condition that asks for some of the rules only, the longest
/// beginning of the list that is met in order counts as met.
fn ordered_holds(condition: &RuleCondition, definition: &Correlation, window: &[Entry]) -> bool {
    let mut steps = 0;
    for entry in window {
        // One entry is one step, even when it meets the rule after it too.
        if steps < definition.rules.len() && entry.inputs >> steps & 1 == 1 {
            steps += 1;
        }
    }
    let met = if steps == 64 { u64::MAX } else { (1 << steps) - 1 };
    rules_hold(condition, &definition.rules, met)
}
