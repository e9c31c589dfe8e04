//! Plugins that count who was active when: `activity_counts_metrics`, `activity_metrics`, `activity_engagement`,
//! `active_users_count`, `session_count`, `sliding_window_counts`, and `rolling_percentile`.
//!
//! All work alike: the input becomes *events* (time, who, dimensions) per combination of dimensions, the time from start
//! to end is cut into bins counted from the start, and each bin gives a row. Start and end both belong to the time.

use std::collections::{BTreeMap, HashMap, HashSet};

use arrow::array::{ArrayRef, RecordBatch};
use moneta_event::{Column, ColumnType};
use moneta_kql::syntax::{EvaluateOperator, NamedExpression};

use super::rows::{column, groups, picked};
use crate::binder::{Binder, Names, Row, codes};
use crate::bound::{Relation, ScalarExpr};
use crate::functions::datetime::calendar_start;
use crate::functions::row::{Answer, Reader};
use crate::operators::gathered::{Gathered, Gathering, Work};
use crate::operators::project::Project;
use crate::value::Value;

/// The greatest number of bins between start and end: a wrong step must not fill the memory.
const BINS_MAX: usize = 100_000;

/// What is counted per bin.
#[derive(Debug, Clone, PartialEq)]
enum Metric {
    /// Rows, people, new people, people so far.
    Counts,
    /// People, those not in the bin before, and the shares of the bin before that stayed and left.
    Retention,
    /// People in the bin, in the longer window that ends with it, and their ratio.
    Engagement { outer: i64 },
    /// People active in enough periods of a window before their event.
    ActiveUsers { lookback: i64, period: i64, periods: i64 },
    /// Rows of people that come after a pause longer than a window.
    Sessions { lookback: i64 },
    /// Rows and people in the window that ends with the bin.
    Sliding { lookback: i64 },
}

impl Metric {
    fn columns(&self) -> &'static [(&'static str, ColumnType)] {
        use ColumnType::{Long, Real};
        match self {
            Self::Counts => &[("count", Long), ("dcount", Long), ("new_dcount", Long), ("aggregated_dcount", Long)],
            Self::Retention => {
                &[("dcount_values", Long), ("dcount_newvalues", Long), ("retention_rate", Real), ("churn_rate", Real)]
            }
            Self::Engagement { .. } => {
                &[("dcount_activities_inner", Long), ("dcount_activities_outer", Long), ("activity_ratio", Real)]
            }
            Self::ActiveUsers { .. } => &[("dcount", Long)],
            Self::Sessions { .. } => &[("count_sessions", Long)],
            Self::Sliding { .. } => &[("count", Long), ("dcount", Long)],
        }
    }

    /// Whether the dimensions stand behind what is counted.
    fn dimensions_last(&self) -> bool {
        matches!(self, Self::Retention | Self::Engagement { .. })
    }

    /// How long before the start events still matter.
    fn reach(&self) -> i64 {
        match self {
            Self::Counts | Self::Retention => 0,
            Self::Engagement { outer: window }
            | Self::ActiveUsers { lookback: window, .. }
            | Self::Sessions { lookback: window }
            | Self::Sliding { lookback: window } => *window,
        }
    }
}

/// The length of a bin.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    /// Units of the time column.
    Units(i64),
    /// `week`, `month` or `year`.
    Calendar(String),
}

impl Step {
    /// The bin an event belongs to.
    pub(super) fn floor(&self, time: i64, start: i64) -> i64 {
        match self {
            Self::Units(size) => time.saturating_sub(time.saturating_sub(start).rem_euclid(*size)),
            Self::Calendar(unit) => calendar_start(time, unit, 0).unwrap_or(time),
        }
    }

    /// The bin after a bin.
    fn next(&self, bin: i64) -> i64 {
        match self {
            Self::Units(size) => bin.saturating_add(*size),
            Self::Calendar(unit) => calendar_start(bin, unit, 1).unwrap_or(i64::MAX),
        }
    }
}

/// The arguments all these plugins have: columns, then constants, then columns.
struct Parts {
    id: ScalarExpr,
    time: Column,
    constants: Vec<Value>,
    dimensions: Vec<Column>,
}

fn parts(binder: &mut Binder<'_>, input: &Relation, node: &EvaluateOperator) -> Option<Parts> {
    let name = &node.call.function.text;
    let [id, time, rest @ ..] = node.call.arguments.as_slice() else {
        return binder.fail(codes::ARGUMENTS, node.call.span, format!("{name}() takes an id and a time column first"));
    };
    let id = binder.scalar(&id.expression, &mut Row::of(input))?;
    let time = known_column(binder, input, time)?;
    if !matches!(time.column_type, ColumnType::DateTime | ColumnType::TimeSpan | ColumnType::Int | ColumnType::Long) {
        let message =
            format!("the timeline of {name}() is a datetime, timespan, int or long, not a {}", time.column_type);
        return binder.fail(codes::TYPE, node.call.span, message);
    }
    let (mut constants, mut dimensions) = (Vec::new(), Vec::new());
    for argument in rest {
        let bound = binder.scalar(&argument.expression, &mut Row::of(input))?;
        match bound.as_literal() {
            Some(value) if dimensions.is_empty() => constants.push(value.clone()),
            _ => dimensions.push(known_column(binder, input, argument)?),
        }
    }
    Some(Parts { id, time, constants, dimensions })
}

pub(super) fn known_column(binder: &mut Binder<'_>, input: &Relation, argument: &NamedExpression) -> Option<Column> {
    let bound = binder.scalar(&argument.expression, &mut Row::of(input))?;
    match bound.as_column().and_then(|name| input.column(name)) {
        Some(column) => Some(column.clone()),
        None => binder.fail(codes::NAME_EXPECTED, argument.span, "a column of the input is expected here"),
    }
}

/// A constant in units of the time column.
pub(super) fn units(value: &Value) -> Option<i64> {
    match value {
        Value::DateTime(nanos) | Value::TimeSpan(nanos) => Some(*nanos),
        other => other.as_long(),
    }
}

pub(super) fn step(value: &Value) -> Option<Step> {
    match value {
        Value::String(text) if matches!(text.as_str(), "week" | "month" | "year") => Some(Step::Calendar(text.clone())),
        other => units(other).filter(|size| *size > 0).map(Step::Units),
    }
}

/// What a plugin computes, over columns time, id, dimensions.
#[derive(Debug)]
struct Activity {
    name: &'static str,
    metric: Metric,
    /// Start and end; `None` means the first and last event.
    range: Option<(i64, i64)>,
    step: Step,
    time_type: ColumnType,
}

fn relation(input: Relation, parts: Parts, work: Activity) -> Relation {
    let id = Column::new("__id", parts.id.column_type);
    let mut outputs = vec![(parts.time.clone(), ScalarExpr::column(&parts.time)), (id, parts.id)];
    let dimensions = parts.dimensions.iter().enumerate();
    outputs.extend(dimensions.map(|(at, c)| (Column::new(&format!("__d{at}"), c.column_type), ScalarExpr::column(c))));
    let mut names = Names::default();
    let mut columns = vec![Column::new(&names.unique(&parts.time.name), parts.time.column_type)];
    let measures = work.metric.columns().iter().map(|(name, t)| Column::new(name, *t));
    let dimensions = parts.dimensions.iter().cloned();
    let rest: Vec<Column> = if work.metric.dimensions_last() {
        measures.chain(dimensions).collect()
    } else {
        dimensions.chain(measures).collect()
    };
    columns.extend(rest.into_iter().map(|c| Column::new(&names.unique(&c.name), c.column_type)));
    let events = Project::relation("project", input, outputs);
    Gathered::relation(vec![events], columns, work)
}

/// Reads a plugin's constants, given as units and as values: what it counts, over which range, in which steps.
type ReadConstants = fn(&[i64], &[Value]) -> Option<(Metric, Option<(i64, i64)>, Step)>;

/// Binds a plugin whose constants are these many, of which some are optional at the front.
fn bind(
    binder: &mut Binder<'_>,
    input: Relation,
    node: &EvaluateOperator,
    name: &'static str,
    read: ReadConstants,
) -> Option<Relation> {
    let parts = parts(binder, &input, node)?;
    let numbers: Vec<i64> = parts.constants.iter().map(|value| units(value).unwrap_or(0)).collect();
    let Some((metric, range, step)) = read(&numbers, &parts.constants) else {
        let message = format!("the constants of {name}() are not those it takes: see the order of its arguments");
        return binder.fail(codes::ARGUMENTS, node.call.span, message);
    };
    let time_type = parts.time.column_type;
    Some(relation(input, parts, Activity { name, metric, range, step, time_type }))
}

/// `activity_counts_metrics(id, time, start, end, step, dimensions...)`
pub(super) fn activity_counts_metrics(b: &mut Binder<'_>, input: Relation, n: &EvaluateOperator) -> Option<Relation> {
    bind(b, input, n, "activity_counts_metrics", |numbers, values| match numbers {
        [start, end, _] => Some((Metric::Counts, Some((*start, *end)), step(&values[2])?)),
        _ => None,
    })
}

/// `activity_metrics(id, time, [start, end,] step, dimensions...)`
pub(super) fn activity_metrics(b: &mut Binder<'_>, input: Relation, n: &EvaluateOperator) -> Option<Relation> {
    bind(b, input, n, "activity_metrics", |numbers, values| match numbers {
        [start, end, _] => Some((Metric::Retention, Some((*start, *end)), step(&values[2])?)),
        [_] => Some((Metric::Retention, None, step(&values[0])?)),
        _ => None,
    })
}

/// `activity_engagement(id, time, [start, end,] inner, outer, dimensions...)`
pub(super) fn activity_engagement(b: &mut Binder<'_>, input: Relation, n: &EvaluateOperator) -> Option<Relation> {
    bind(b, input, n, "activity_engagement", |numbers, values| match numbers {
        [start, end, _, outer] => Some((Metric::Engagement { outer: *outer }, Some((*start, *end)), step(&values[2])?)),
        [_, outer] => Some((Metric::Engagement { outer: *outer }, None, step(&values[0])?)),
        _ => None,
    })
}

/// `active_users_count(id, time, start, end, lookback, period, periods, step, dimensions...)`
pub(super) fn active_users_count(b: &mut Binder<'_>, input: Relation, n: &EvaluateOperator) -> Option<Relation> {
    bind(b, input, n, "active_users_count", |numbers, values| match numbers {
        [start, end, lookback, period, periods, _] if *period > 0 => {
            let metric = Metric::ActiveUsers { lookback: *lookback, period: *period, periods: *periods };
            Some((metric, Some((*start, *end)), step(&values[5])?))
        }
        _ => None,
    })
}

/// `session_count(id, time, start, end, step, lookback, dimensions...)`
pub(super) fn session_count(b: &mut Binder<'_>, input: Relation, n: &EvaluateOperator) -> Option<Relation> {
    bind(b, input, n, "session_count", |numbers, values| match numbers {
        [start, end, _, lookback] => {
            Some((Metric::Sessions { lookback: *lookback }, Some((*start, *end)), step(&values[2])?))
        }
        _ => None,
    })
}

/// `sliding_window_counts(id, time, start, end, lookback, step, dimensions...)`
pub(super) fn sliding_window_counts(b: &mut Binder<'_>, input: Relation, n: &EvaluateOperator) -> Option<Relation> {
    bind(b, input, n, "sliding_window_counts", |numbers, values| match numbers {
        [start, end, lookback, _] => {
            Some((Metric::Sliding { lookback: *lookback }, Some((*start, *end)), step(&values[3])?))
        }
        _ => None,
    })
}

/// An event of one combination of dimensions.
#[derive(Debug, Clone, Copy)]
struct Event {
    time: i64,
    id: usize,
}

/// A row of the result: its bin and what was counted.
type Counted = (i64, Vec<Answer<'static>>);

impl Gathering for Activity {
    fn name(&self) -> &'static str {
        self.name
    }

    fn details(&self) -> String {
        format!("{:?} per {:?}", self.metric, self.step)
    }

    fn run(&self, inputs: &[RecordBatch], work: &Work) -> Result<Vec<ArrayRef>, String> {
        let rows = &inputs[0];
        let dimensions = &rows.columns()[2..];
        let (by_dimensions, first_rows) = self.events(rows)?;
        let mut counted: Vec<(i64, usize, Vec<Answer<'static>>)> = Vec::new();
        let all = by_dimensions.iter().flat_map(|events| events.first().into_iter().chain(events.last()));
        let seen = all.fold(None, |range: Option<(i64, i64)>, event| {
            let (from, to) = range.unwrap_or((event.time, event.time));
            Some((from.min(event.time), to.max(event.time)))
        });
        let Some(range) = self.range.or(seen) else { return self.columns(&[], dimensions, &[]) };
        for (place, events) in by_dimensions.iter().enumerate() {
            work.check()?;
            let bins = self.bins(events, range)?;
            counted.extend(bins.into_iter().map(|(bin, answers)| (bin, place, answers)));
        }
        counted.sort_by_key(|(bin, place, _)| (*bin, *place));
        self.columns(&counted, dimensions, &first_rows)
    }
}

impl Activity {
    /// The events by dimensions, in the order of time, and a row of each combination.
    fn events(&self, rows: &RecordBatch) -> Result<(Vec<Vec<Event>>, Vec<u32>), String> {
        let dimensions = groups(&rows.columns()[2..], rows.num_rows())?;
        let ids = groups(&rows.columns()[1..2], rows.num_rows())?;
        let times = Reader::of(rows.column(0));
        let mut events: Vec<Vec<Event>> = vec![Vec::new(); dimensions.firsts.len()];
        for row in 0..rows.num_rows() {
            if let Some(time) = times.get(row).long() {
                events[dimensions.of_rows[row]].push(Event { time, id: ids.of_rows[row] });
            }
        }
        events.iter_mut().for_each(|events| events.sort_by_key(|event| event.time));
        Ok((events, dimensions.firsts))
    }

    fn columns(
        &self,
        counted: &[(i64, usize, Vec<Answer<'static>>)],
        dimensions: &[ArrayRef],
        first_rows: &[u32],
    ) -> Result<Vec<ArrayRef>, String> {
        let mut arrays = vec![column(self.time_type, counted.iter().map(|(bin, ..)| Answer::Time(*bin)))];
        let sources = counted.iter().filter_map(|(_, place, _)| first_rows.get(*place).copied()).collect();
        let dimensions = picked(dimensions, sources)?;
        let measure = |(at, (_, column_type)): (usize, &(&str, ColumnType))| {
            column(*column_type, counted.iter().map(|(.., answers)| answers[at].clone()))
        };
        let measures = self.metric.columns().iter().enumerate().map(measure);
        if self.metric.dimensions_last() {
            arrays.extend(measures.chain(dimensions));
        } else {
            arrays.extend(dimensions.into_iter().chain(measures));
        }
        Ok(arrays)
    }

    /// The rows of one combination of dimensions. Events come in the order of time.
    fn bins(&self, events: &[Event], (start, end): (i64, i64)) -> Result<Vec<Counted>, String> {
        let from = start.saturating_sub(self.metric.reach());
        let events: Vec<Event> = events.iter().filter(|e| e.time >= from && e.time <= end).copied().collect();
        let mut by_bin: BTreeMap<i64, Vec<Event>> = BTreeMap::new();
        for event in events.iter().filter(|event| event.time >= start) {
            by_bin.entry(self.step.floor(event.time, start)).or_default().push(*event);
        }
        Ok(match &self.metric {
            Metric::Counts => counts(&by_bin),
            Metric::Retention => retention(&by_bin, &self.step),
            Metric::Engagement { outer } => engagement(&by_bin, &events, *outer, &self.step),
            Metric::ActiveUsers { lookback, period, periods } => {
                active_users(&events, (start, *lookback, *period, *periods), &self.step)
            }
            Metric::Sessions { lookback } => sessions(&events, start, *lookback, &self.step),
            Metric::Sliding { lookback } => return self.sliding(&events, (start, end), *lookback),
        })
    }

    /// Windows that end with each bin from start to end.
    fn sliding(&self, events: &[Event], (start, end): (i64, i64), lookback: i64) -> Result<Vec<Counted>, String> {
        // The window is a whole number of bins, at least the bin itself.
        let lookback = match &self.step {
            Step::Units(size) => (lookback / size).max(1).saturating_mul(*size),
            Step::Calendar(_) => lookback,
        };
        let (mut bin, mut counted, mut first) = (self.step.floor(start, start), Vec::new(), 0);
        let mut steps = 0;
        while bin <= end {
            steps += 1;
            if steps > BINS_MAX {
                return Err(format!("{} would make more than {BINS_MAX} bins; take a longer step", self.name));
            }
            let to = self.step.next(bin);
            let from = to.saturating_sub(lookback);
            first += events[first..].iter().take_while(|event| event.time < from).count();
            let window: Vec<&Event> = events[first..].iter().take_while(|event| event.time < to).collect();
            if !window.is_empty() {
                let people: HashSet<usize> = window.iter().map(|event| event.id).collect();
                counted.push((bin, vec![window.len().into(), people.len().into()]));
            }
            bin = to;
        }
        Ok(counted)
    }
}

fn people(events: &[Event]) -> HashSet<usize> {
    events.iter().map(|event| event.id).collect()
}

fn counts(by_bin: &BTreeMap<i64, Vec<Event>>) -> Vec<Counted> {
    let mut seen: HashSet<usize> = HashSet::new();
    let mut counted = Vec::new();
    for (bin, events) in by_bin {
        let (here, before) = (people(events), seen.len());
        seen.extend(&here);
        let new = seen.len() - before;
        counted.push((*bin, vec![events.len().into(), here.len().into(), new.into(), seen.len().into()]));
    }
    counted
}

/// `part` of `whole`; NaN of nothing.
pub(super) fn share(part: usize, whole: usize) -> Answer<'static> {
    let real = |count: usize| crate::functions::row::long_to_real(i64::try_from(count).unwrap_or(i64::MAX));
    Answer::Real(real(part) / real(whole))
}

fn retention(by_bin: &BTreeMap<i64, Vec<Event>>, step: &Step) -> Vec<Counted> {
    let mut before: Option<(i64, HashSet<usize>)> = None;
    let mut counted = Vec::new();
    for (bin, events) in by_bin {
        let here = people(events);
        // Only the bin directly before counts: a gap between them is a bin nobody was in.
        let last = before.take().filter(|(last, _)| step.next(*last) == *bin).map_or_else(HashSet::new, |(_, p)| p);
        let stayed = here.intersection(&last).count();
        let answers = vec![
            here.len().into(),
            (here.len() - stayed).into(),
            share(stayed, last.len()),
            share(last.len() - stayed, last.len()),
        ];
        counted.push((*bin, answers));
        before = Some((*bin, here));
    }
    counted
}

fn engagement(by_bin: &BTreeMap<i64, Vec<Event>>, events: &[Event], outer: i64, step: &Step) -> Vec<Counted> {
    let window = |bin: &i64| {
        let to = step.next(*bin);
        let from = to.saturating_sub(outer);
        let first = events.partition_point(|event| event.time < from);
        let last = events.partition_point(|event| event.time < to);
        people(&events[first.min(last)..last]).len()
    };
    let row = |(bin, inside): (&i64, &Vec<Event>)| {
        let (inner, outer) = (people(inside).len(), window(bin));
        (*bin, vec![inner.into(), outer.into(), share(inner, outer)])
    };
    by_bin.iter().map(row).collect()
}

fn active_users(events: &[Event], limits: (i64, i64, i64, i64), step: &Step) -> Vec<Counted> {
    let (start, lookback, period, periods) = limits;
    let mut by_person: HashMap<usize, Vec<i64>> = HashMap::new();
    events.iter().for_each(|event| by_person.entry(event.id).or_default().push(event.time));
    let mut active: BTreeMap<i64, HashSet<usize>> = BTreeMap::new();
    for (id, times) in &by_person {
        let mut first = 0;
        for (at, time) in times.iter().enumerate() {
            first += times[first..at].iter().take_while(|old| **old <= time.saturating_sub(lookback)).count();
            let mut seen: Vec<i64> =
                times[first..=at].iter().map(|t| t.saturating_sub(start).div_euclid(period)).collect();
            seen.dedup();
            if *time >= start && i64::try_from(seen.len()).is_ok_and(|count| count >= periods) {
                active.entry(step.floor(*time, start)).or_default().insert(*id);
            }
        }
    }
    active.into_iter().map(|(bin, people)| (bin, vec![people.len().into()])).collect()
}

fn sessions(events: &[Event], start: i64, lookback: i64, step: &Step) -> Vec<Counted> {
    let mut last: HashMap<usize, i64> = HashMap::new();
    let mut begun: BTreeMap<i64, usize> = BTreeMap::new();
    for event in events {
        let goes_on = last.insert(event.id, event.time).is_some_and(|old| event.time.saturating_sub(old) <= lookback);
        if event.time >= start {
            *begun.entry(step.floor(event.time, start)).or_default() += usize::from(!goes_on);
        }
    }
    begun.into_iter().map(|(bin, count)| (bin, vec![count.into()])).collect()
}

/// `rolling_percentile(value, percentile, index, bin, bins per window, dimensions...)`
pub(super) fn rolling_percentile(b: &mut Binder<'_>, input: Relation, node: &EvaluateOperator) -> Option<Relation> {
    let [value, percentile, index, bin, bins, dimensions @ ..] = node.call.arguments.as_slice() else {
        let message = "rolling_percentile() takes a value, a percentile, an index, a bin size and a number of bins";
        return b.fail(codes::ARGUMENTS, node.call.span, message);
    };
    let (value, index) = (known_column(b, &input, value)?, known_column(b, &input, index)?);
    let mut constant = |argument: &NamedExpression| b.scalar(&argument.expression, &mut Row::none());
    let (percentile, bin, bins) = (constant(percentile)?, constant(bin)?, constant(bins)?);
    let rank = percentile.as_literal().and_then(|v| crate::fold::cell(v).real());
    let shown = percentile.as_literal().map(|v| v.to_string().replace('.', "_")).unwrap_or_default();
    let (bin, bins) = (bin.as_literal().and_then(units), bins.as_literal().and_then(Value::as_long));
    let (Some(rank), Some(bin), Some(bins)) = (rank, bin.filter(|b| *b > 0), bins.filter(|b| *b > 0)) else {
        let message = "percentile, bin size and number of bins of rolling_percentile() are constants above 0";
        return b.fail(codes::CONSTANT_EXPECTED, node.call.span, message);
    };
    let mut outputs = vec![(index.clone(), ScalarExpr::column(&index))];
    outputs.push((Column::new("__value", value.column_type), ScalarExpr::column(&value)));
    let mut columns = vec![index.clone()];
    for (at, argument) in dimensions.iter().enumerate() {
        let dimension = known_column(b, &input, argument)?;
        let hidden = Column::new(&format!("__d{at}"), dimension.column_type);
        outputs.push((hidden, ScalarExpr::column(&dimension)));
        columns.push(dimension);
    }
    columns.push(Column::new(&format!("rolling_{bins}_percentile_{}_{shown}", value.name), value.column_type));
    let work = Rolling { rank, bin, bins, types: (index.column_type, value.column_type) };
    let rows = Project::relation("project", input, outputs);
    Some(Gathered::relation(vec![rows], columns, work))
}

/// A percentile over windows of bins, over columns index, value, dimensions.
#[derive(Debug)]
struct Rolling {
    rank: f64,
    bin: i64,
    bins: i64,
    types: (ColumnType, ColumnType),
}

impl Gathering for Rolling {
    fn name(&self) -> &'static str {
        "rolling_percentile"
    }

    fn details(&self) -> String {
        format!("{} over {} bins", self.rank, self.bins)
    }

    fn run(&self, inputs: &[RecordBatch], work: &Work) -> Result<Vec<ArrayRef>, String> {
        let rows = &inputs[0];
        let dimensions = groups(&rows.columns()[2..], rows.num_rows())?;
        let (index, values) = (Reader::of(rows.column(0)), Reader::of(rows.column(1)));
        let mut bins: Vec<BTreeMap<i64, Vec<usize>>> = vec![BTreeMap::new(); dimensions.firsts.len()];
        for row in 0..rows.num_rows() {
            if let (Some(at), Some(_)) = (index.get(row).long(), values.get(row).real()) {
                // Bins of times are counted from year 1, as bin() does.
                let bin = if self.types.0 == ColumnType::DateTime {
                    crate::functions::datetime::floor_datetime(at, self.bin)
                } else {
                    at.saturating_sub(at.rem_euclid(self.bin))
                };
                bins[dimensions.of_rows[row]].entry(bin).or_default().push(row);
            }
        }
        let mut out: Vec<(i64, u32, usize)> = Vec::new();
        for (by_bin, first) in bins.iter().zip(&dimensions.firsts) {
            let (Some((from, _)), Some((to, _))) = (by_bin.first_key_value(), by_bin.last_key_value()) else {
                continue;
            };
            let mut at = *from;
            while at <= *to {
                work.check()?;
                if out.len() > BINS_MAX {
                    return Err(format!("rolling_percentile would make more than {BINS_MAX} rows; take larger bins"));
                }
                let oldest = at.saturating_sub((self.bins - 1).saturating_mul(self.bin));
                let window: Vec<usize> = by_bin.range(oldest..=at).flat_map(|(_, rows)| rows.iter().copied()).collect();
                if let Some(row) = self.pick(window, &values) {
                    out.push((at, *first, row));
                }
                at = at.saturating_add(self.bin);
            }
        }
        let mut arrays = vec![column(self.types.0, out.iter().map(|(bin, ..)| Answer::Time(*bin)))];
        arrays.extend(picked(&rows.columns()[2..], out.iter().map(|(_, first, _)| *first).collect())?);
        arrays.push(column(self.types.1, out.iter().map(|(.., row)| Answer::from(values.get(*row)))));
        Ok(arrays)
    }
}

impl Rolling {
    /// The row whose value has the nearest rank.
    fn pick(&self, mut window: Vec<usize>, values: &Reader<'_>) -> Option<usize> {
        let real = |row: &usize| values.get(*row).real().unwrap_or(f64::NAN);
        window.sort_by(|a, b| real(a).total_cmp(&real(b)));
        let count = crate::functions::row::long_to_real(i64::try_from(window.len()).ok()?);
        let rank = crate::functions::row::real_to_long((count * self.rank / 100.0).ceil())?.max(1);
        window.get(usize::try_from(rank).ok()?.min(window.len()).checked_sub(1)?).copied()
    }
}
