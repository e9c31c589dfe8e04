//! Patterns in many columns: `basket`, `autocluster`, `diffpatterns`.
//!
//! A pattern fixes the values of some columns; its rows are those with these values. Nulls and empty texts are no
//! values. A pattern is *closed* when no other column is equal in all its rows: columns that go together are fixed
//! together, so that each set of rows is told once.

use std::collections::{BTreeMap, HashMap, HashSet};

use arrow::array::{ArrayRef, RecordBatch};
use moneta_event::{Column, ColumnType};
use moneta_kql::syntax::{EvaluateOperator, NamedExpression};

use super::rows::column;
use crate::binder::{Binder, Row, codes};
use crate::bound::{Relation, ScalarExpr};
use crate::fold;
use crate::functions::conversion::cell_text;
use crate::functions::row::{Answer, Reader, long_to_real, real_to_long};
use crate::operators::apply::is_hidden;
use crate::operators::gathered::{Gathered, Gathering, Work};
use crate::operators::project::Project;
use crate::types;
use crate::value::Value;

/// The greatest number of patterns looked at: more are no summary.
const PATTERNS_MAX: usize = 20_000;
/// The greatest number of rows looked at, over all patterns: mining must end.
const STEPS_MAX: usize = 400_000_000;
/// The share of a cluster's rows that no better cluster may hold.
const CLUSTER_NEW_SHARE: f64 = 0.5;

/// What is looked for.
#[derive(Debug, Clone)]
enum Search {
    /// Patterns of at least this share of the rows, of so many independent columns.
    Frequent { share: f64, columns_max: usize },
    /// The best patterns around this many rows, weighing size against columns.
    Clusters { size_weight: f64, seeds: usize },
    /// Patterns whose shares in two sets of rows differ by at least this much.
    Differences { share: f64, columns_max: usize },
}

/// A bound call. The input's columns: those of the patterns, then weight, then set (0 or 1; null for neither).
#[derive(Debug)]
struct Patterns {
    name: &'static str,
    search: Search,
    columns: Vec<Column>,
    weighted: bool,
    wildcards: Vec<Value>,
}

/// `basket(threshold, weight, columns, wildcards...)`
pub(super) fn basket(binder: &mut Binder<'_>, input: Relation, node: &EvaluateOperator) -> Option<Relation> {
    let options = options(binder, &input, &node.call.arguments)?;
    let share = options.real(0).unwrap_or(0.05);
    if !(0.015..=1.0).contains(&share) {
        return binder.fail(codes::RANGE, node.call.span, "the threshold of basket() is between 0.015 and 1");
    }
    let search = Search::Frequent { share, columns_max: options.count(2).unwrap_or(5) };
    mined(binder, input, "basket", search, options, None)
}

/// `autocluster(size weight, weight, seeds, wildcards...)`
pub(super) fn autocluster(binder: &mut Binder<'_>, input: Relation, node: &EvaluateOperator) -> Option<Relation> {
    let options = options(binder, &input, &node.call.arguments)?;
    let size_weight = options.real(0).unwrap_or(0.5);
    if !(0.0..=1.0).contains(&size_weight) {
        return binder.fail(codes::RANGE, node.call.span, "the size weight of autocluster() is between 0 and 1");
    }
    let search = Search::Clusters { size_weight, seeds: options.count(2).unwrap_or(25) };
    mined(binder, input, "autocluster", search, options, None)
}

/// `diffpatterns(split column, value a, value b, weight, threshold, columns, wildcards...)`
pub(super) fn diffpatterns(binder: &mut Binder<'_>, input: Relation, node: &EvaluateOperator) -> Option<Relation> {
    let [split, a, b, rest @ ..] = node.call.arguments.as_slice() else {
        return binder.fail(codes::ARGUMENTS, node.call.span, "diffpatterns() takes a column and two of its values");
    };
    let split = binder.scalar(&split.expression, &mut Row::of(&input))?;
    let side = |binder: &mut Binder<'_>, argument: &NamedExpression| {
        let value = binder.scalar(&argument.expression, &mut Row::none())?.converted(ColumnType::String);
        let text = split.clone().converted(ColumnType::String);
        binder.operation(moneta_kql::syntax::BinaryOperator::Equal, text, value, argument.span)
    };
    let (is_a, is_b) = (side(binder, a)?, side(binder, b)?);
    // The order of the options differs from the other plugins': weight, threshold, columns.
    let mut options = options(binder, &input, rest)?;
    if options.given.len() >= 2 {
        options.given.swap(0, 1);
    } else if options.given.len() == 1 {
        options.given.insert(0, Given::Default);
    }
    let share = options.real(0).unwrap_or(0.05);
    if !(0.015..=1.0).contains(&share) {
        return binder.fail(codes::RANGE, node.call.span, "the threshold of diffpatterns() is between 0.015 and 1");
    }
    let search = Search::Differences { share, columns_max: options.count(2).unwrap_or(5) };
    let value = |number| ScalarExpr::literal(Value::Long(number));
    let branches = vec![(is_a, value(0)), (is_b, value(1))];
    let otherwise = Box::new(ScalarExpr::literal(Value::Null(ColumnType::Long)));
    let set = ScalarExpr::new(ColumnType::Long, crate::bound::ScalarNode::Conditional { branches, otherwise });
    let without = split.as_column().cloned();
    mined(binder, input, "diffpatterns", search, options, Some((set, without)))
}

/// One optional argument.
#[derive(Debug, Clone)]
enum Given {
    /// `'~'`
    Default,
    Constant(Value),
    Column(Column),
}

struct Options {
    given: Vec<Given>,
}

impl Options {
    fn real(&self, at: usize) -> Option<f64> {
        match self.given.get(at)? {
            Given::Constant(value) => fold::cell(value).real(),
            _ => None,
        }
    }

    fn count(&self, at: usize) -> Option<usize> {
        match self.given.get(at)? {
            Given::Constant(value) => usize::try_from(value.as_long()?).ok(),
            _ => None,
        }
    }
}

fn options(binder: &mut Binder<'_>, input: &Relation, arguments: &[NamedExpression]) -> Option<Options> {
    let mut given = Vec::new();
    for argument in arguments {
        let bound = binder.scalar(&argument.expression, &mut Row::of(input))?;
        given.push(match (bound.as_literal(), bound.as_column().and_then(|name| input.column(name))) {
            (Some(Value::String(text)), _) if text == "~" => Given::Default,
            (Some(value), _) => Given::Constant(value.clone()),
            (None, Some(column)) => Given::Column(column.clone()),
            _ => return binder.fail(codes::CONSTANT_EXPECTED, argument.span, "a constant or a column is expected"),
        });
    }
    Some(Options { given })
}

fn mined(
    binder: &mut Binder<'_>,
    input: Relation,
    name: &'static str,
    search: Search,
    options: Options,
    split: Option<(ScalarExpr, Option<std::sync::Arc<str>>)>,
) -> Option<Relation> {
    let weight = match options.given.get(1) {
        Some(Given::Column(column)) if types::is_number(column.column_type) => Some(column.clone()),
        None | Some(Given::Default) => None,
        _ => {
            let message = format!("the weight of {name}() is a column of numbers, or '~' for none");
            return binder.fail(codes::TYPE, moneta_kql::syntax::Span::default(), message);
        }
    };
    let wildcards = options.given.iter().skip(3).filter_map(|given| match given {
        Given::Constant(value) => Some(value.clone()),
        _ => None,
    });
    let without = split.as_ref().and_then(|(_, name)| name.clone());
    let left_out = |c: &&Column| {
        !is_hidden(&c.name) && Some(&c.name) != without.as_ref() && weight.as_ref().is_none_or(|w| w.name != c.name)
    };
    let columns: Vec<Column> = input.columns.iter().filter(left_out).cloned().collect();
    let mut outputs: Vec<(Column, ScalarExpr)> = columns.iter().map(|c| (c.clone(), ScalarExpr::column(c))).collect();
    let one = ScalarExpr::literal(Value::Real(1.0));
    let weighted = weight.is_some();
    let weight = weight.map_or(one, |column| ScalarExpr::column(&column).converted(ColumnType::Real));
    outputs.push((Column::new("__weight", ColumnType::Real), weight));
    let set = split.map_or_else(|| ScalarExpr::literal(Value::Long(0)), |(set, _)| set);
    outputs.push((Column::new("__set", ColumnType::Long), set));
    let mut found: Vec<Column> = match search {
        Search::Differences { .. } => ["SegmentId", "CountA", "CountB"]
            .iter()
            .map(|name| Column::new(name, ColumnType::Long))
            .chain(["PercentA", "PercentB", "PercentDiffAB"].iter().map(|name| Column::new(name, ColumnType::Real)))
            .collect(),
        _ => vec![
            Column::new("SegmentId", ColumnType::Long),
            Column::new("Count", ColumnType::Long),
            Column::new("Percent", ColumnType::Real),
        ],
    };
    let mut names = crate::binder::Names::of(&found);
    found.extend(columns.iter().map(|c| Column::new(&names.unique(&c.name), c.column_type)));
    let work = Patterns { name, search, columns, weighted, wildcards: wildcards.collect() };
    let rows = Project::relation("project", input, outputs);
    Some(Gathered::relation(vec![rows], found, work))
}

/// A pattern: for each column the number of its value, if it is fixed.
type Pattern = Vec<Option<u32>>;

/// Rows as numbers of values.
struct Items {
    /// By column, by row; `None` for null and empty.
    values: Vec<Vec<Option<u32>>>,
    weights: Vec<f64>,
    sets: Vec<Option<usize>>,
    totals: [f64; 2],
}

/// A found pattern with its weight in both sets.
#[derive(Debug, Clone)]
struct Found {
    pattern: Pattern,
    rows: Vec<u32>,
    weights: [f64; 2],
}

impl Items {
    fn new(rows: &RecordBatch, columns: &[Column]) -> Self {
        let numbers = |(array, column): (&ArrayRef, &Column)| {
            let reader = Reader::of(array);
            let mut known: HashMap<String, u32> = HashMap::new();
            let number = |row| {
                let cell = reader.get(row);
                let text = cell_text(cell, column.column_type);
                if cell.is_null() || text.is_empty() {
                    return None;
                }
                let next = u32::try_from(known.len()).unwrap_or(u32::MAX);
                Some(*known.entry(text).or_insert(next))
            };
            (0..rows.num_rows()).map(number).collect()
        };
        let values = rows.columns().iter().zip(columns).map(numbers).collect();
        let (weight, set) = (Reader::of(rows.column(columns.len())), Reader::of(rows.column(columns.len() + 1)));
        let weights: Vec<f64> = (0..rows.num_rows()).map(|row| weight.get(row).real().unwrap_or(0.0)).collect();
        let sets: Vec<Option<usize>> =
            (0..rows.num_rows()).map(|row| set.get(row).long().and_then(|n| usize::try_from(n).ok())).collect();
        let mut totals = [0.0; 2];
        weights.iter().zip(&sets).for_each(|(weight, set)| {
            if let Some(set) = set {
                totals[*set] += weight;
            }
        });
        Self { values, weights, sets, totals }
    }

    fn weights_of(&self, rows: &[u32]) -> [f64; 2] {
        let mut weights = [0.0; 2];
        for row in rows {
            if let Some(set) = self.sets[*row as usize] {
                weights[set] += self.weights[*row as usize];
            }
        }
        weights
    }

    /// The greater of the shares in the two sets.
    fn share(&self, weights: [f64; 2]) -> f64 {
        let share = |set: usize| if self.totals[set] > 0.0 { weights[set] / self.totals[set] } else { 0.0 };
        share(0).max(share(1))
    }

    /// All columns that have one value in these rows.
    fn closure(&self, rows: &[u32]) -> Pattern {
        let common = |values: &Vec<Option<u32>>| {
            let first = rows.first().and_then(|row| values[*row as usize])?;
            rows.iter().all(|row| values[*row as usize] == Some(first)).then_some(first)
        };
        self.values.iter().map(common).collect()
    }

    fn found(&self, rows: Vec<u32>) -> Found {
        Found { pattern: self.closure(&rows), weights: self.weights_of(&rows), rows }
    }
}

/// Walks closed patterns from general to special.
struct Miner<'a> {
    items: &'a Items,
    work: &'a Work,
    share: f64,
    columns_max: usize,
    seen: HashSet<Pattern>,
    found: Vec<Found>,
    steps: usize,
}

impl Miner<'_> {
    fn extend(&mut self, from: &Found, depth: usize) -> Result<(), String> {
        if depth >= self.columns_max {
            return Ok(());
        }
        for at in (0..from.pattern.len()).filter(|at| from.pattern[*at].is_none()) {
            self.work.check()?;
            self.steps = self.steps.saturating_add(from.rows.len());
            if self.steps > STEPS_MAX || self.seen.len() > PATTERNS_MAX {
                return Err("there are too many patterns; raise the threshold, or project fewer columns".to_owned());
            }
            let mut by_value: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
            for row in &from.rows {
                if let Some(value) = self.items.values[at][*row as usize] {
                    by_value.entry(value).or_default().push(*row);
                }
            }
            for rows in by_value.into_values() {
                if self.items.share(self.items.weights_of(&rows)) < self.share {
                    continue;
                }
                let found = self.items.found(rows);
                if self.seen.insert(found.pattern.clone()) {
                    self.extend(&found, depth + 1)?;
                    self.found.push(found);
                }
            }
        }
        Ok(())
    }
}

impl Patterns {
    fn frequent(&self, items: &Items, share: f64, columns_max: usize, work: &Work) -> Result<Vec<Found>, String> {
        let all = (0..u32::try_from(items.weights.len()).map_err(|_| "there are too many rows".to_owned())?)
            .filter(|row| items.sets[*row as usize].is_some())
            .collect::<Vec<u32>>();
        let start = items.found(all);
        let mut miner = Miner { items, work, share, columns_max, seen: HashSet::new(), found: Vec::new(), steps: 0 };
        if start.pattern.iter().any(Option::is_some) {
            miner.seen.insert(start.pattern.clone());
            miner.found.push(start.clone());
        }
        miner.extend(&start, 0)?;
        let mut found = miner.found;
        found.sort_by(|a, b| b.weights[0].total_cmp(&a.weights[0]).then_with(|| a.pattern.cmp(&b.pattern)));
        Ok(found)
    }

    fn differences(&self, items: &Items, share: f64, columns_max: usize, work: &Work) -> Result<Vec<Found>, String> {
        let difference = |found: &Found| {
            let part = |set: usize| if items.totals[set] > 0.0 { found.weights[set] / items.totals[set] } else { 0.0 };
            (part(0) - part(1)).abs()
        };
        let mut found = self.frequent(items, share, columns_max, work)?;
        found.retain(|found| difference(found) >= share);
        found.sort_by(|a, b| difference(b).total_cmp(&difference(a)));
        Ok(distinct_rows(found))
    }

    fn clusters(&self, items: &Items, size_weight: f64, seeds: usize, work: &Work) -> Result<Vec<Found>, String> {
        let mut by_row: HashMap<Pattern, f64> = HashMap::new();
        for row in 0..items.weights.len() {
            let pattern = items.values.iter().map(|values| values[row]).collect();
            *by_row.entry(pattern).or_default() += items.weights[row];
        }
        let mut starts: Vec<(Pattern, f64)> = by_row.into_iter().collect();
        starts.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let (mut clusters, mut seen) = (Vec::new(), HashSet::new());
        for (start, _) in starts.into_iter().take(seeds) {
            work.check()?;
            let (pattern, score) = grown(items, start, size_weight);
            if pattern.iter().any(Option::is_some) && seen.insert(pattern.clone()) {
                clusters.push((score, items.found(rows_of(items, &pattern))));
            }
        }
        clusters.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.pattern.cmp(&b.1.pattern)));
        Ok(distinct_rows(clusters.into_iter().map(|(_, found)| found).collect()))
    }
}

/// Leaves out patterns most of whose rows better ones hold.
fn distinct_rows(found: Vec<Found>) -> Vec<Found> {
    let mut covered: HashSet<u32> = HashSet::new();
    let real = |count: usize| long_to_real(i64::try_from(count).unwrap_or(i64::MAX));
    let mut kept = Vec::new();
    for one in found {
        let new = one.rows.iter().filter(|row| !covered.contains(row)).count();
        if real(new) >= CLUSTER_NEW_SHARE * real(one.rows.len()) {
            covered.extend(&one.rows);
            kept.push(one);
        }
    }
    kept
}

fn rows_of(items: &Items, pattern: &Pattern) -> Vec<u32> {
    let fits = |row: &u32| {
        pattern.iter().zip(&items.values).all(|(wanted, values)| wanted.is_none() || values[*row as usize] == *wanted)
    };
    (0..u32::try_from(items.weights.len()).unwrap_or(u32::MAX)).filter(fits).collect()
}

/// How good a cluster is: the weighted geometric mean of the share of rows and the share of fixed columns.
fn score(items: &Items, pattern: &Pattern, size_weight: f64) -> f64 {
    let real = |count: usize| long_to_real(i64::try_from(count).unwrap_or(i64::MAX));
    let coverage = items.share(items.weights_of(&rows_of(items, pattern)));
    let fixed = real(pattern.iter().flatten().count()) / real(pattern.len().max(1));
    coverage.powf(size_weight) * fixed.powf(1.0 - size_weight)
}

/// Frees columns one by one as long as that makes a better cluster.
fn grown(items: &Items, mut pattern: Pattern, size_weight: f64) -> (Pattern, f64) {
    let mut best = score(items, &pattern, size_weight);
    loop {
        let fixed: Vec<usize> = (0..pattern.len()).filter(|at| pattern[*at].is_some()).collect();
        let freed = fixed.into_iter().map(|at| {
            let mut freed = pattern.clone();
            freed[at] = None;
            let score = score(items, &freed, size_weight);
            (freed, score)
        });
        match freed.max_by(|a, b| a.1.total_cmp(&b.1)) {
            Some((freed, score)) if score > best => (pattern, best) = (freed, score),
            _ => return (pattern, best),
        }
    }
}

impl Gathering for Patterns {
    fn name(&self) -> &'static str {
        self.name
    }

    fn details(&self) -> String {
        format!("{:?}", self.search)
    }

    fn run(&self, inputs: &[RecordBatch], work: &Work) -> Result<Vec<ArrayRef>, String> {
        let rows = &inputs[0];
        let items = Items::new(rows, &self.columns);
        let found = if rows.num_rows() == 0 {
            Vec::new()
        } else {
            match self.search {
                Search::Frequent { share, columns_max } => self.frequent(&items, share, columns_max, work)?,
                Search::Clusters { size_weight, seeds } => self.clusters(&items, size_weight, seeds, work)?,
                Search::Differences { share, columns_max } => self.differences(&items, share, columns_max, work)?,
            }
        };
        let mut arrays = self.numbers(&items, &found);
        for (at, own) in self.columns.iter().enumerate() {
            let reader = Reader::of(rows.column(at));
            let wildcard = self.wildcards.iter().find(|value| value.column_type() == own.column_type);
            let wildcard = wildcard.cloned().unwrap_or_else(|| Value::null(own.column_type));
            let cell = |found: &Found| match (found.pattern[at], found.rows.first()) {
                (Some(_), Some(row)) => Answer::from(reader.get(*row as usize)),
                _ => Answer::from(fold::cell(&wildcard)),
            };
            arrays.push(column(own.column_type, found.iter().map(cell)));
        }
        Ok(arrays)
    }
}

impl Patterns {
    /// Segment, counts and shares.
    fn numbers(&self, items: &Items, found: &[Found]) -> Vec<ArrayRef> {
        let count = |set: usize| {
            let whole = |f: &Found| real_to_long(f.weights[set].round()).unwrap_or(i64::MAX);
            let exact =
                |f: &Found| i64::try_from(f.rows.iter().filter(|r| items.sets[**r as usize] == Some(set)).count());
            let number = |f: &Found| if self.weighted { whole(f) } else { exact(f).unwrap_or(i64::MAX) };
            column(ColumnType::Long, found.iter().map(number))
        };
        let percent = |f: &Found, set: usize| {
            if items.totals[set] > 0.0 { 100.0 * f.weights[set] / items.totals[set] } else { 0.0 }
        };
        let percents = |set: usize| column(ColumnType::Real, found.iter().map(|f| percent(f, set)));
        let segments = column(ColumnType::Long, 0..found.len());
        match self.search {
            Search::Differences { .. } => {
                let differences = found.iter().map(|f| (percent(f, 0) - percent(f, 1)).abs());
                let differences = column(ColumnType::Real, differences);
                vec![segments, count(0), count(1), percents(0), percents(1), differences]
            }
            _ => vec![segments, count(0), percents(0)],
        }
    }
}
