//! Plugins that look for sequences of events: `sequence_detect`, `funnel_sequence`, `funnel_sequence_completion`; and
//! `new_activity_metrics`, which follows cohorts.

use std::collections::{BTreeMap, HashMap, HashSet};

use arrow::array::{ArrayRef, RecordBatch};
use moneta_event::{Column, ColumnType};
use moneta_kql::syntax::{EvaluateOperator, NamedExpression};

use super::activity::{Step, known_column, share, step, units};
use super::arguments::Arguments;
use super::rows::{column, groups, picked};
use crate::binder::{Binder, Names, Row, codes};
use crate::bound::{Relation, ScalarExpr};
use crate::functions::conversion::{cell_json, cell_text};
use crate::functions::row::{Answer, Reader};
use crate::json;
use crate::operators::gathered::{Gathered, Gathering, Work};
use crate::operators::project::Project;
use crate::value::Value;

/// An event: its time, its row, and its state as text.
type Event = (i64, usize, String);

/// The greatest number of sample ids of one row of `funnel_sequence`.
const SAMPLES_MAX: usize = 128;
/// The greatest number of rows that pairs of bins may make in `new_activity_metrics`.
const COHORT_ROWS_MAX: usize = 1_000_000;

/// `sequence_detect(time, step window, span, e1 = condition, ..., dimensions...)`
pub(super) fn sequence_detect(b: &mut Binder<'_>, input: Relation, node: &EvaluateOperator) -> Option<Relation> {
    let [time, window, span, rest @ ..] = node.call.arguments.as_slice() else {
        let message = "sequence_detect() takes a time column, two windows, and conditions";
        return b.fail(codes::ARGUMENTS, node.call.span, message);
    };
    let time = known_column(b, &input, time)?;
    let window = constant_units(b, window)?;
    let span = constant_units(b, span)?;
    let mut outputs = vec![(time.clone(), ScalarExpr::column(&time))];
    let mut names = Names::default();
    let (mut steps, mut dimensions) = (Vec::new(), Vec::new());
    for argument in rest {
        let bound = b.scalar(&argument.expression, &mut Row::of(&input))?;
        if bound.column_type == ColumnType::Bool && (argument.name().is_some() || bound.as_column().is_none()) {
            let name = argument.name().map_or_else(|| format!("Expr{}", steps.len() + 1), |name| name.text.clone());
            steps.push((name, bound));
        } else {
            dimensions.push(known_column(b, &input, argument)?);
        }
    }
    if steps.is_empty() {
        return b.fail(
            codes::ARGUMENTS,
            node.call.span,
            "sequence_detect() needs conditions, such as e1 = (State == 'a')",
        );
    }
    let count = steps.len();
    let mut columns: Vec<Column> = Vec::new();
    for dimension in &dimensions {
        columns.push(Column::new(&names.unique(&dimension.name), dimension.column_type));
    }
    for (name, condition) in steps {
        columns.push(Column::new(&names.unique(&format!("{name}_{}", time.name)), time.column_type));
        outputs.push((Column::new(&format!("__e{}", outputs.len()), ColumnType::Bool), condition));
    }
    let is_time = matches!(time.column_type, ColumnType::DateTime | ColumnType::TimeSpan);
    let duration = if is_time { ColumnType::TimeSpan } else { ColumnType::Long };
    columns.push(Column::new(&names.unique("Duration"), duration));
    let hidden = dimensions.iter().enumerate();
    outputs.extend(hidden.map(|(at, c)| (Column::new(&format!("__d{at}"), c.column_type), ScalarExpr::column(c))));
    let rows = Project::relation("project", input, outputs);
    let work = Detect { window, span, steps: count, time_type: time.column_type, duration };
    Some(Gathered::relation(vec![rows], columns, work))
}

fn constant_units(binder: &mut Binder<'_>, argument: &NamedExpression) -> Option<i64> {
    let bound = binder.scalar(&argument.expression, &mut Row::none())?;
    match bound.as_literal().and_then(units) {
        Some(number) => Some(number),
        None => binder.fail(codes::CONSTANT_EXPECTED, argument.span, "a constant is expected here"),
    }
}

/// Over columns time, conditions, dimensions.
#[derive(Debug)]
struct Detect {
    window: i64,
    span: i64,
    steps: usize,
    time_type: ColumnType,
    duration: ColumnType,
}

impl Gathering for Detect {
    fn name(&self) -> &'static str {
        "sequence_detect"
    }

    fn details(&self) -> String {
        format!("{} steps", self.steps)
    }

    fn run(&self, inputs: &[RecordBatch], work: &Work) -> Result<Vec<ArrayRef>, String> {
        let rows = &inputs[0];
        let dimensions = &rows.columns()[1 + self.steps..];
        let by_dimensions = groups(dimensions, rows.num_rows())?;
        let times = Reader::of(rows.column(0));
        let conditions: Vec<Reader<'_>> = rows.columns()[1..=self.steps].iter().map(Reader::of).collect();
        let mut events: Vec<Vec<(i64, usize)>> = vec![Vec::new(); by_dimensions.firsts.len()];
        for row in 0..rows.num_rows() {
            if let Some(time) = times.get(row).long() {
                events[by_dimensions.of_rows[row]].push((time, row));
            }
        }
        let mut found: Vec<(u32, Vec<i64>)> = Vec::new();
        for (events, first) in events.iter_mut().zip(&by_dimensions.firsts) {
            events.sort_unstable();
            for at in 0..events.len() {
                if at % 1024 == 0 {
                    work.check()?;
                }
                found.extend(self.from(&events[at..], &conditions).map(|times| (*first, times)));
            }
        }
        let mut arrays = picked(dimensions, found.iter().map(|(row, _)| *row).collect())?;
        for step in 0..self.steps {
            arrays.push(column(self.time_type, found.iter().map(|(_, times)| Answer::Time(times[step]))));
        }
        let duration = |(_, times): &(u32, Vec<i64>)| {
            Answer::Time(times.last().zip(times.first()).map_or(0, |(last, first)| last.saturating_sub(*first)))
        };
        arrays.push(column(self.duration, found.iter().map(duration)));
        Ok(arrays)
    }
}

impl Detect {
    /// The times of the steps of a sequence that begins with the first event.
    fn from(&self, events: &[(i64, usize)], conditions: &[Reader<'_>]) -> Option<Vec<i64>> {
        let holds = |step: usize, row: usize| conditions[step].get(row).bool() == Some(true);
        let (start, row) = *events.first()?;
        if !holds(0, row) {
            return None;
        }
        let mut times = vec![start];
        for (time, row) in &events[1..] {
            let last = *times.last()?;
            if times.len() == self.steps {
                break;
            }
            if time.saturating_sub(start) > self.span || time.saturating_sub(last) > self.window {
                return None;
            }
            if holds(times.len(), *row) {
                times.push(*time);
            }
        }
        (times.len() == self.steps).then_some(times)
    }
}

/// `funnel_sequence_completion(id, time, start, end, step, state, sequence, periods)`
pub(super) fn funnel_sequence_completion(
    b: &mut Binder<'_>,
    input: Relation,
    n: &EvaluateOperator,
) -> Option<Relation> {
    let names =
        ["IdColumn", "TimelineColumn", "Start", "End", "BinSize", "StateColumn", "Sequence", "MaxSequencePeriods"];
    let mut arguments = Arguments::new(&n.call, &names);
    let mut funnel = funnel(b, &input, &mut arguments, "BinSize")?;
    let periods = match arguments.value(b, "MaxSequencePeriods")? {
        Value::Dynamic(text) => text,
        _ => return b.fail(codes::TYPE, n.call.span, "MaxSequencePeriods is a dynamic array"),
    };
    arguments.finish(b)?;
    let is_time = matches!(funnel.time.column_type, ColumnType::DateTime | ColumnType::TimeSpan);
    let period_type = if is_time { ColumnType::TimeSpan } else { ColumnType::Long };
    let period = |text: &str| {
        ScalarExpr::literal(Value::Dynamic(text.to_owned())).converted(period_type).as_literal().and_then(units)
    };
    funnel.windows = json::elements(&periods).unwrap_or_default().into_iter().filter_map(period).collect();
    let columns = vec![
        funnel.time.clone(),
        funnel.state.clone(),
        Column::new("Period", period_type),
        Column::new("dcount", ColumnType::Long),
    ];
    let rows = funnel.rows(input);
    Some(Gathered::relation(vec![rows], columns, Completion { funnel, period_type }))
}

/// `funnel_sequence(id, time, start, end, step window, step, state, sequence)`: what comes before and after.
pub(super) fn funnel_sequence(b: &mut Binder<'_>, input: Relation, n: &EvaluateOperator) -> Option<Relation> {
    let names =
        ["IdColumn", "TimelineColumn", "Start", "End", "MaxSequenceStepWindow", "Step", "StateColumn", "Sequence"];
    let mut arguments = Arguments::new(&n.call, &names);
    let window = arguments.value(b, "MaxSequenceStepWindow")?;
    let mut funnel = funnel(b, &input, &mut arguments, "Step")?;
    arguments.finish(b)?;
    funnel.windows = units(&window).into_iter().collect();
    let columns = vec![
        funnel.time.clone(),
        Column::new("prev", funnel.state.column_type),
        Column::new("next", funnel.state.column_type),
        Column::new("dcount", ColumnType::Long),
        Column::new("samples", ColumnType::Dynamic),
    ];
    let rows = funnel.rows(input);
    Some(Gathered::relation(vec![rows], columns, Around { funnel }))
}

/// The arguments funnels share. Rows have the columns time, id, state.
#[derive(Debug)]
struct Funnel {
    id: Column,
    time: Column,
    state: Column,
    start: i64,
    end: i64,
    step: Step,
    sequence: Vec<String>,
    windows: Vec<i64>,
}

fn funnel(
    binder: &mut Binder<'_>,
    input: &Relation,
    arguments: &mut Arguments<'_>,
    step_name: &'static str,
) -> Option<Funnel> {
    let id = arguments.column(binder, "IdColumn", input)?;
    let time = arguments.column(binder, "TimelineColumn", input)?;
    let (start, end) = (arguments.value(binder, "Start")?, arguments.value(binder, "End")?);
    let step_value = arguments.value(binder, step_name)?;
    let state = arguments.column(binder, "StateColumn", input)?;
    let sequence = arguments.texts(binder, "Sequence")?.unwrap_or_default();
    let (Some(start), Some(end), Some(step)) = (units(&start), units(&end), step(&step_value)) else {
        let message = format!("Start, End and {step_name} are constants of the timeline's kind");
        return binder.fail(codes::TYPE, arguments.span(), message);
    };
    if sequence.is_empty() {
        return binder.fail(codes::ARGUMENTS, arguments.span(), "the sequence has no steps");
    }
    Some(Funnel { id, time, state, start, end, step, sequence, windows: Vec::new() })
}

impl Funnel {
    fn rows(&self, input: Relation) -> Relation {
        let column = |name: &str, source: &Column| (Column::new(name, source.column_type), ScalarExpr::column(source));
        let outputs = vec![column("__time", &self.time), column("__id", &self.id), column("__state", &self.state)];
        Project::relation("project", input, outputs)
    }

    /// The events of each id in the order of time: time, row, and the state as text.
    fn events(&self, rows: &RecordBatch) -> Result<Vec<Vec<Event>>, String> {
        let ids = groups(&rows.columns()[1..2], rows.num_rows())?;
        let (times, states) = (Reader::of(rows.column(0)), Reader::of(rows.column(2)));
        let mut events: Vec<Vec<Event>> = vec![Vec::new(); ids.firsts.len()];
        for row in 0..rows.num_rows() {
            if let Some(time) = times.get(row).long().filter(|time| (self.start..=self.end).contains(time)) {
                events[ids.of_rows[row]].push((time, row, cell_text(states.get(row), self.state.column_type)));
            }
        }
        events.iter_mut().for_each(|events| events.sort());
        Ok(events)
    }
}

#[derive(Debug)]
struct Completion {
    funnel: Funnel,
    period_type: ColumnType,
}

impl Gathering for Completion {
    fn name(&self) -> &'static str {
        "funnel_sequence_completion"
    }

    fn details(&self) -> String {
        self.funnel.sequence.join(" -> ")
    }

    fn run(&self, inputs: &[RecordBatch], work: &Work) -> Result<Vec<ArrayRef>, String> {
        let funnel = &self.funnel;
        // By bin, step and window: how many ids got that far.
        let mut counts: BTreeMap<(i64, usize, usize), usize> = BTreeMap::new();
        for events in funnel.events(&inputs[0])? {
            work.check()?;
            let mut by_bin: BTreeMap<i64, Vec<(i64, String)>> = BTreeMap::new();
            for (time, _, state) in events {
                by_bin.entry(funnel.step.floor(time, funnel.start)).or_default().push((time, state));
            }
            for (bin, events) in by_bin {
                for (at, window) in funnel.windows.iter().enumerate() {
                    for step in 0..completed(&events, &funnel.sequence, *window) {
                        *counts.entry((bin, step, at)).or_default() += 1;
                    }
                }
            }
        }
        let state = |step: usize| {
            let text = Value::String(funnel.sequence[step].clone());
            let value = ScalarExpr::literal(text).converted(funnel.state.column_type);
            value.as_literal().cloned().unwrap_or(Value::null(funnel.state.column_type))
        };
        let states: Vec<Value> = (0..funnel.sequence.len()).map(state).collect();
        let states = counts.keys().map(|(_, step, _)| Answer::from(crate::fold::cell(&states[*step])));
        Ok(vec![
            column(funnel.time.column_type, counts.keys().map(|(bin, ..)| Answer::Time(*bin))),
            column(funnel.state.column_type, states),
            column(self.period_type, counts.keys().map(|(.., at)| Answer::Time(funnel.windows[*at]))),
            column(ColumnType::Long, counts.values().copied()),
        ])
    }
}

/// How many steps of a sequence were taken, in order, within a window from the first.
fn completed(events: &[(i64, String)], sequence: &[String], window: i64) -> usize {
    let mut best = 0;
    for (at, (start, state)) in events.iter().enumerate() {
        if sequence.first() != Some(state) {
            continue;
        }
        let mut reached = 1;
        for (time, state) in &events[at + 1..] {
            if time.saturating_sub(*start) > window {
                break;
            }
            if sequence.get(reached) == Some(state) {
                reached += 1;
            }
        }
        best = best.max(reached);
    }
    best
}

#[derive(Debug)]
struct Around {
    funnel: Funnel,
}

/// What `funnel_sequence` counts by: bin, row of the state before, row of the state after.
type Neighbours = (i64, Option<String>, Option<String>);

impl Gathering for Around {
    fn name(&self) -> &'static str {
        "funnel_sequence"
    }

    fn details(&self) -> String {
        self.funnel.sequence.join(" -> ")
    }

    fn run(&self, inputs: &[RecordBatch], work: &Work) -> Result<Vec<ArrayRef>, String> {
        let (rows, funnel) = (&inputs[0], &self.funnel);
        let window = funnel.windows.first().copied().unwrap_or(i64::MAX);
        let mut counted: BTreeMap<Neighbours, Vec<usize>> = BTreeMap::new();
        let mut cells: HashMap<String, usize> = HashMap::new();
        for events in funnel.events(rows)? {
            work.check()?;
            let mut seen: HashSet<Neighbours> = HashSet::new();
            for at in 0..events.len() {
                let Some(last) = self.ends(&events, at, window) else { continue };
                let near = |other: Option<&(i64, usize, String)>, time: i64| {
                    let (other_time, row, state) = other?;
                    (other_time.abs_diff(time) <= window.unsigned_abs()).then(|| {
                        cells.entry(state.clone()).or_insert(*row);
                        state.clone()
                    })
                };
                let mut near = near;
                let before = near(at.checked_sub(1).and_then(|before| events.get(before)), events[at].0);
                let after = near(events.get(last + 1), events[last].0);
                let key = (funnel.step.floor(events[at].0, funnel.start), before, after);
                if seen.insert(key.clone()) {
                    counted.entry(key).or_default().push(events[at].1);
                }
            }
        }
        let (states, ids) = (Reader::of(rows.column(2)), Reader::of(rows.column(1)));
        let state = |text: &Option<String>| {
            let row = text.as_ref().and_then(|text| cells.get(text));
            row.map_or(Answer::Null, |row| Answer::from(states.get(*row)))
        };
        let samples = |rows: &Vec<usize>| {
            let texts = rows.iter().take(SAMPLES_MAX).filter_map(|row| cell_json(ids.get(*row), funnel.id.column_type));
            format!("[{}]", texts.collect::<Vec<_>>().join(","))
        };
        Ok(vec![
            column(funnel.time.column_type, counted.keys().map(|(bin, ..)| Answer::Time(*bin))),
            column(funnel.state.column_type, counted.keys().map(|(_, before, _)| state(before))),
            column(funnel.state.column_type, counted.keys().map(|(.., after)| state(after))),
            column(ColumnType::Long, counted.values().map(Vec::len)),
            column(ColumnType::Dynamic, counted.values().map(samples)),
        ])
    }
}

impl Around {
    /// The place of the last step of a sequence that begins at an event, each step following at once within the window.
    fn ends(&self, events: &[(i64, usize, String)], at: usize, window: i64) -> Option<usize> {
        let sequence = &self.funnel.sequence;
        for (offset, wanted) in sequence.iter().enumerate() {
            let (time, _, state) = events.get(at + offset)?;
            let late = offset > 0 && time.saturating_sub(events[at + offset - 1].0) > window;
            if state != wanted || late {
                return None;
            }
        }
        Some(at + sequence.len() - 1)
    }
}

/// `new_activity_metrics(id, time, start, end, window, cohort, dimensions..., lookback)`
pub(super) fn new_activity_metrics(b: &mut Binder<'_>, input: Relation, node: &EvaluateOperator) -> Option<Relation> {
    let mut arguments = Arguments::new(&node.call, &["IdColumn", "TimelineColumn", "Start", "End", "Window"]);
    let id = arguments.column(b, "IdColumn", &input)?;
    let time = arguments.column(b, "TimelineColumn", &input)?;
    let (start, end) = (arguments.value(b, "Start")?, arguments.value(b, "End")?);
    let window = arguments.value(b, "Window")?;
    let (Some(start), Some(end), Some(step)) = (units(&start), units(&end), step(&window)) else {
        return b.fail(codes::TYPE, node.call.span, "Start, End and Window are constants of the timeline's kind");
    };
    let (mut cohort, mut dimensions, mut lookback) = (None, Vec::new(), None);
    for argument in arguments.rest() {
        match b.any(&argument.expression, &mut Row::of(&input))? {
            crate::binder::Bound::Table(relation) => lookback = Some(relation),
            crate::binder::Bound::Scalar(bound) => match bound.as_literal() {
                Some(value) if dimensions.is_empty() => cohort = units(value),
                _ => dimensions.push(known_column(b, &input, argument)?),
            },
        }
    }
    let mut names = Names::default();
    let mut columns = vec![
        Column::new(&names.unique(&format!("from_{}", time.name)), time.column_type),
        Column::new(&names.unique(&format!("to_{}", time.name)), time.column_type),
    ];
    for name in ["dcount_new_values", "dcount_retained_values", "dcount_churn_values"] {
        columns.push(Column::new(&names.unique(name), ColumnType::Long));
    }
    columns.push(Column::new(&names.unique("retention_rate"), ColumnType::Real));
    columns.push(Column::new(&names.unique("churn_rate"), ColumnType::Real));
    columns.extend(dimensions.iter().map(|d| Column::new(&names.unique(&d.name), d.column_type)));
    let text = |column: &Column| ScalarExpr::column(column).converted(ColumnType::String);
    let hidden_id = Column::new("__id", ColumnType::String);
    let mut outputs = vec![(time.clone(), ScalarExpr::column(&time)), (hidden_id.clone(), text(&id))];
    let hidden = dimensions.iter().enumerate();
    outputs.extend(hidden.map(|(at, c)| (Column::new(&format!("__d{at}"), c.column_type), ScalarExpr::column(c))));
    let mut inputs = vec![Project::relation("project", input, outputs)];
    if let Some(lookback) = lookback {
        let (Some(id), Some(time)) = (lookback.column(&id.name).cloned(), lookback.column(&time.name).cloned()) else {
            let message = "the lookback has not the id and time columns of the input";
            return b.fail(codes::UNRESOLVED, node.call.span, message);
        };
        let outputs = vec![(time.clone(), ScalarExpr::column(&time)), (hidden_id, text(&id))];
        inputs.push(Project::exact("project", lookback, outputs));
    }
    let work = Cohorts { start, end, step, cohort, time_type: time.column_type };
    Some(Gathered::relation(inputs, columns, work))
}

/// Over columns time, id as text, dimensions; and perhaps a lookback of time, id.
#[derive(Debug)]
struct Cohorts {
    start: i64,
    end: i64,
    step: Step,
    cohort: Option<i64>,
    time_type: ColumnType,
}

/// A row: both bins, new, retained, the cohort's size, and a row of the dimensions.
type CohortRow = (i64, i64, usize, usize, usize, u32);

impl Gathering for Cohorts {
    fn name(&self) -> &'static str {
        "new_activity_metrics"
    }

    fn details(&self) -> String {
        format!("per {:?}", self.step)
    }

    fn run(&self, inputs: &[RecordBatch], work: &Work) -> Result<Vec<ArrayRef>, String> {
        let rows = &inputs[0];
        let known = self.known_before(inputs.get(1));
        let dimensions = groups(&rows.columns()[2..], rows.num_rows())?;
        let (times, ids) = (Reader::of(rows.column(0)), Reader::of(rows.column(1)));
        let mut bins: Vec<BTreeMap<i64, HashSet<&str>>> = vec![BTreeMap::new(); dimensions.firsts.len()];
        for row in 0..rows.num_rows() {
            if let Some(time) = times.get(row).long().filter(|time| (self.start..=self.end).contains(time)) {
                let bin = self.step.floor(time, self.start);
                bins[dimensions.of_rows[row]].entry(bin).or_default().insert(ids.get(row).text());
            }
        }
        let mut found: Vec<CohortRow> = Vec::new();
        for (bins, first) in bins.iter().zip(&dimensions.firsts) {
            work.check()?;
            self.pairs(bins, &known, *first, &mut found)?;
        }
        let measures = [
            column(ColumnType::Long, found.iter().map(|row| row.2)),
            column(ColumnType::Long, found.iter().map(|row| row.3)),
            column(ColumnType::Long, found.iter().map(|row| row.4 - row.3)),
            column(ColumnType::Real, found.iter().map(|row| share(row.3, row.4))),
            column(ColumnType::Real, found.iter().map(|row| share(row.4 - row.3, row.4))),
        ];
        let mut arrays = vec![
            column(self.time_type, found.iter().map(|row| Answer::Time(row.0))),
            column(self.time_type, found.iter().map(|row| Answer::Time(row.1))),
        ];
        arrays.extend(measures);
        arrays.extend(picked(&rows.columns()[2..], found.iter().map(|row| row.5).collect())?);
        Ok(arrays)
    }
}

impl Cohorts {
    /// The ids that were there before the start.
    fn known_before(&self, lookback: Option<&RecordBatch>) -> HashSet<String> {
        let Some(rows) = lookback else { return HashSet::new() };
        let (times, ids) = (Reader::of(rows.column(0)), Reader::of(rows.column(1)));
        let early = (0..rows.num_rows()).filter(|row| times.get(*row).long().is_some_and(|time| time < self.start));
        early.map(|row| ids.get(row).text().to_owned()).collect()
    }

    fn pairs(
        &self,
        bins: &BTreeMap<i64, HashSet<&str>>,
        known: &HashSet<String>,
        first_row: u32,
        found: &mut Vec<CohortRow>,
    ) -> Result<(), String> {
        let mut first_seen: HashMap<&str, i64> = HashMap::new();
        for (bin, people) in bins {
            people.iter().for_each(|id| {
                first_seen.entry(id).or_insert(if known.contains(*id) { i64::MIN } else { *bin });
            });
        }
        let wanted = self.cohort.map(|cohort| self.step.floor(cohort, self.start));
        for (from, people) in bins.iter().filter(|(from, _)| wanted.is_none_or(|wanted| wanted == **from)) {
            let cohort: HashSet<&str> = people.iter().filter(|id| first_seen.get(*id) == Some(from)).copied().collect();
            for (to, people) in bins.range(*from..) {
                let later = |id: &&&str| first_seen.get(**id).is_some_and(|seen| seen > from);
                let new = if to == from { cohort.len() } else { people.iter().filter(later).count() };
                if found.len() >= COHORT_ROWS_MAX {
                    return Err("new_activity_metrics would make too many rows; take a longer window".to_owned());
                }
                found.push((*from, *to, new, cohort.intersection(people).count(), cohort.len(), first_row));
            }
        }
        Ok(())
    }
}
