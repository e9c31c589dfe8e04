//! An expression over samples: at one time, or at steps of a range.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use crate::over_time::{self, Point};
use crate::syntax::{Aggregation, Expression, Grouping, Node, Operator, OverTime, Selector};
use crate::{Error, LOOKBACK_MS, NAME_LABEL, STEPS_MAX};

/// The labels of a series, its name among them.
pub type Labels = BTreeMap<String, String>;

/// The samples of one set of labels.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Series {
    /// The labels.
    pub labels: Labels,
    /// Milliseconds since 1970 and values, times rising. A value that is no number ends the series there.
    pub points: Vec<(i64, f64)>,
}

/// What an expression says at one time.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// A number.
    Scalar(f64),
    /// A number for each series.
    Vector(Vec<(Labels, f64)>),
    /// The samples of a window.
    Window(Vec<Series>),
}

/// Evaluates at one time, in milliseconds since 1970.
///
/// # Shapes
/// `samples`: for each of [`Expression::selectors`] the series that it matches, with the samples of its times.
/// # Errors
/// [`Error::Evaluation`] when two series of a result would have the same labels.
pub fn instant(expression: &Expression, samples: &[Vec<Series>], at: i64) -> Result<Answer, Error> {
    let evaluation = Evaluation { selectors: &expression.selectors, samples };
    if let Node::Selector(index) = expression.root
        && evaluation.selectors[index].range_ms.is_some()
    {
        return Ok(Answer::Window(evaluation.window(index, at)));
    }
    Ok(match evaluation.value(&expression.root, at)? {
        Value::Scalar(number) => Answer::Scalar(number),
        Value::Vector(vector) => Answer::Vector(vector),
    })
}

/// Evaluates at `start` and every `step` milliseconds after it up to `end`: the values of each series, by labels.
///
/// # Errors
/// [`Error::Evaluation`] as [`instant`], for a step that is not positive, for more than [`STEPS_MAX`] steps, and for a
/// result that is a window.
pub fn range(
    expression: &Expression,
    samples: &[Vec<Series>],
    (start, end): (i64, i64),
    step: i64,
) -> Result<Vec<Series>, Error> {
    check_steps((start, end), step)?;
    let evaluation = Evaluation { selectors: &expression.selectors, samples };
    if let Node::Selector(index) = expression.root
        && evaluation.selectors[index].range_ms.is_some()
    {
        let message = "invalid expression type \"range vector\" for range query, must be Scalar or instant Vector";
        return Err(Error::Evaluation(message.to_owned()));
    }
    let mut all: BTreeMap<Labels, Vec<Point>> = BTreeMap::new();
    let mut at = start;
    while at <= end {
        let vector = match evaluation.value(&expression.root, at)? {
            Value::Scalar(number) => vec![(Labels::new(), number)],
            Value::Vector(vector) => vector,
        };
        for (labels, value) in vector {
            all.entry(labels).or_default().push((at, value));
        }
        at += step;
    }
    Ok(all.into_iter().map(|(labels, points)| Series { labels, points }).collect())
}

fn check_steps((start, end): (i64, i64), step: i64) -> Result<(), Error> {
    let refused = |message: &str| Err(Error::Evaluation(message.to_owned()));
    if step <= 0 {
        return refused("zero or negative query resolution step widths are not accepted; try a positive integer");
    }
    if end < start {
        return refused("end timestamp must not be before start time");
    }
    if end.saturating_sub(start) / step > STEPS_MAX {
        return refused("exceeded maximum resolution of 11,000 points per timeseries; try a larger step");
    }
    Ok(())
}

struct Evaluation<'a> {
    selectors: &'a [Selector],
    samples: &'a [Vec<Series>],
}

enum Value {
    Scalar(f64),
    Vector(Vec<(Labels, f64)>),
}

impl Value {
    fn map(self, change: impl Fn(f64) -> f64) -> Result<Self, Error> {
        match self {
            Self::Scalar(number) => Ok(Self::Scalar(change(number))),
            Self::Vector(vector) => {
                let changed = vector.into_iter().map(|(labels, value)| (nameless(labels), change(value)));
                distinct(changed.collect()).map(Self::Vector)
            }
        }
    }
}

impl Evaluation<'_> {
    fn value(&self, node: &Node, at: i64) -> Result<Value, Error> {
        match node {
            Node::Number(number) => Ok(Value::Scalar(*number)),
            Node::Selector(index) => Ok(Value::Vector(self.last(*index, at))),
            Node::Negated(inner) => self.value(inner, at)?.map(|value| -value),
            Node::Binary { operator, as_bool, left, right } => {
                binary(*operator, *as_bool, self.value(left, at)?, self.value(right, at)?)
            }
            Node::OverTime { function, selector } => self.over_time(*function, *selector, at),
            Node::Aggregate { aggregation, parameter, grouping, inner } => {
                let keep = match parameter {
                    Some(node) => match self.value(node, at)? {
                        Value::Scalar(number) => number,
                        Value::Vector(_) => 0.0,
                    },
                    None => 0.0,
                };
                let Value::Vector(vector) = self.value(inner, at)? else { return Ok(Value::Vector(Vec::new())) };
                Ok(Value::Vector(aggregate(*aggregation, keep, grouping, vector)))
            }
        }
    }

    /// The last sample of each series, unless it is too old or ends the series.
    fn last(&self, index: usize, at: i64) -> Vec<(Labels, f64)> {
        let at = at.saturating_sub(self.selectors[index].offset_ms);
        let last = |series: &Series| {
            let point = between(&series.points, at.saturating_sub(LOOKBACK_MS), at).last()?;
            (!point.1.is_nan()).then(|| (series.labels.clone(), point.1))
        };
        self.samples[index].iter().filter_map(last).collect()
    }

    /// The times of a selector's window: the beginning, not included, and the end.
    fn times(&self, index: usize, at: i64) -> (i64, i64) {
        let selector = &self.selectors[index];
        let end = at.saturating_sub(selector.offset_ms);
        (end.saturating_sub(selector.range_ms.unwrap_or(LOOKBACK_MS)), end)
    }

    fn window(&self, index: usize, at: i64) -> Vec<Series> {
        let (start, end) = self.times(index, at);
        let cut = |series: &Series| {
            let points = numbers(between(&series.points, start, end));
            (!points.is_empty()).then(|| Series { labels: series.labels.clone(), points })
        };
        self.samples[index].iter().filter_map(cut).collect()
    }

    fn over_time(&self, function: OverTime, index: usize, at: i64) -> Result<Value, Error> {
        let times = self.times(index, at);
        let of_series = |series: &Series| {
            let points = numbers(between(&series.points, times.0, times.1));
            let value = over_time::apply(function, &points, times)?;
            let labels = series.labels.clone();
            Some((if function == OverTime::Last { labels } else { nameless(labels) }, value))
        };
        distinct(self.samples[index].iter().filter_map(of_series).collect()).map(Value::Vector)
    }
}

/// The samples after `start`, up to and with `end`.
fn between(points: &[Point], start: i64, end: i64) -> &[Point] {
    let from = points.partition_point(|(time, _)| *time <= start);
    let to = points.partition_point(|(time, _)| *time <= end);
    &points[from..to.max(from)]
}

fn numbers(points: &[Point]) -> Vec<Point> {
    points.iter().copied().filter(|(_, value)| !value.is_nan()).collect()
}

fn nameless(mut labels: Labels) -> Labels {
    labels.remove(NAME_LABEL);
    labels
}

/// Without their names two metrics may be the same series.
fn distinct(vector: Vec<(Labels, f64)>) -> Result<Vec<(Labels, f64)>, Error> {
    let mut seen: Vec<&Labels> = vector.iter().map(|(labels, _)| labels).collect();
    seen.sort_unstable();
    if seen.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(Error::Evaluation("vector cannot contain metrics with the same labelset".to_owned()));
    }
    Ok(vector)
}

fn binary(operator: Operator, as_bool: bool, left: Value, right: Value) -> Result<Value, Error> {
    match (left, right) {
        (Value::Scalar(left), Value::Scalar(right)) => Ok(Value::Scalar(compute(operator, left, right))),
        (Value::Vector(vector), Value::Scalar(number)) => {
            with_number(operator, as_bool, vector, |value| (value, number))
        }
        (Value::Scalar(number), Value::Vector(vector)) => {
            with_number(operator, as_bool, vector, |value| (number, value))
        }
        // The parser lets no such query through.
        (Value::Vector(_), Value::Vector(_)) => Err(Error::Evaluation("operators between two vectors".to_owned())),
    }
}

/// A comparison keeps the series for which it holds, as they are; with `bool` and for arithmetic they lose their names.
fn with_number(
    operator: Operator,
    as_bool: bool,
    vector: Vec<(Labels, f64)>,
    sides: impl Fn(f64) -> (f64, f64),
) -> Result<Value, Error> {
    let result = |value: f64| {
        let (left, right) = sides(value);
        compute(operator, left, right)
    };
    if operator.compares() && !as_bool {
        return Ok(Value::Vector(vector.into_iter().filter(|(_, value)| result(*value) != 0.0).collect()));
    }
    Value::Vector(vector).map(result)
}

/// A comparison is 1 or 0.
fn compute(operator: Operator, left: f64, right: f64) -> f64 {
    let truth = |holds: bool| if holds { 1.0 } else { 0.0 };
    #[expect(clippy::float_cmp, reason = "as the query asks")]
    match operator {
        Operator::Add => left + right,
        Operator::Subtract => left - right,
        Operator::Multiply => left * right,
        Operator::Divide => left / right,
        Operator::Modulo => left % right,
        Operator::Power => left.powf(right),
        Operator::Equal => truth(left == right),
        Operator::NotEqual => truth(left != right),
        Operator::Less => truth(left < right),
        Operator::LessOrEqual => truth(left <= right),
        Operator::Greater => truth(left > right),
        Operator::GreaterOrEqual => truth(left >= right),
    }
}

fn aggregate(
    aggregation: Aggregation,
    keep: f64,
    grouping: &Grouping,
    vector: Vec<(Labels, f64)>,
) -> Vec<(Labels, f64)> {
    let mut groups: BTreeMap<Labels, Vec<(Labels, f64)>> = BTreeMap::new();
    for (labels, value) in vector {
        groups.entry(group_of(&labels, grouping)).or_default().push((labels, value));
    }
    if aggregation.keeps_series() {
        let kept = groups.into_values().flat_map(|group| best(aggregation, keep, group));
        return kept.collect();
    }
    groups.into_iter().map(|(labels, group)| (labels, summary(aggregation, &group))).collect()
}

fn group_of(labels: &Labels, grouping: &Grouping) -> Labels {
    let mut group = labels.clone();
    match grouping {
        Grouping::By(names) => group.retain(|label, _| names.contains(label)),
        Grouping::Without(names) => group.retain(|label, _| label != NAME_LABEL && !names.contains(label)),
    }
    group
}

fn summary(aggregation: Aggregation, group: &[(Labels, f64)]) -> f64 {
    let values = || group.iter().map(|(_, value)| *value);
    #[expect(clippy::cast_precision_loss, reason = "a number of series")]
    let count = group.len() as f64;
    match aggregation {
        Aggregation::Sum => values().sum(),
        Aggregation::Average => values().sum::<f64>() / count,
        Aggregation::Minimum => values().reduce(f64::min).unwrap_or(f64::NAN),
        Aggregation::Maximum => values().reduce(f64::max).unwrap_or(f64::NAN),
        Aggregation::Count | Aggregation::Largest | Aggregation::Smallest => count,
    }
}

/// The series with the largest, or smallest, values, best first; what is no number comes last.
fn best(aggregation: Aggregation, keep: f64, mut group: Vec<(Labels, f64)>) -> Vec<(Labels, f64)> {
    let order = |a: f64, b: f64| match (a.is_nan(), b.is_nan()) {
        (false, false) if aggregation == Aggregation::Largest => b.total_cmp(&a),
        (false, false) => a.total_cmp(&b),
        (true, true) => Ordering::Equal,
        (is_nan, _) => {
            if is_nan {
                Ordering::Greater
            } else {
                Ordering::Less
            }
        }
    };
    group.sort_by(|a, b| order(a.1, b.1).then_with(|| a.0.cmp(&b.0)));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float becomes the nearest count")]
    group.truncate(keep as usize);
    group
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse;

    /// Three series of two metrics, a sample each 15 s from 0 to 10 minutes.
    fn stored() -> Vec<Series> {
        let series = |name: &str, job: &str, instance: &str, value: &dyn Fn(i64) -> f64| {
            let labels = [("__name__", name), ("job", job), ("instance", instance)];
            let labels = labels.map(|(label, value)| (label.to_owned(), value.to_owned())).into();
            Series { labels, points: (0..=40).map(|step| (step * 15_000, value(step * 15))).collect() }
        };
        vec![
            series("requests", "api", "a", &|second| second as f64 * 2.0),
            series("requests", "api", "b", &|second| second as f64 * 4.0),
            series("requests", "web", "c", &|second| second as f64),
            series("up", "web", "c", &|second| if second < 300 { 1.0 } else { f64::NAN }),
        ]
    }

    fn samples(expression: &Expression) -> Vec<Vec<Series>> {
        let matching = |selector: &Selector| {
            let is_met = |series: &Series| selector.matches(|label| series.labels.get(label).map(String::as_str));
            stored().into_iter().filter(is_met).collect()
        };
        expression.selectors().iter().map(matching).collect()
    }

    /// Labels without names and values, as a text.
    fn shown(vector: &[(Labels, f64)]) -> Vec<String> {
        let labels = |labels: &Labels| {
            labels.iter().map(|(label, value)| format!("{label}={value}")).collect::<Vec<_>>().join(",")
        };
        vector.iter().map(|(names, value)| format!("{} {value}", labels(names)).trim().to_owned()).collect()
    }

    fn check(text: &str, at_seconds: i64, expected: &[&str]) {
        let expression = parse(text).unwrap();
        let vector = match instant(&expression, &samples(&expression), at_seconds * 1_000).unwrap() {
            Answer::Scalar(number) => vec![(Labels::new(), number)],
            Answer::Vector(vector) => vector,
            Answer::Window(_) => panic!("{text}"),
        };
        assert_eq!(shown(&vector), expected, "{text} at {at_seconds}");
    }

    #[test]
    fn selectors_take_the_last_sample_of_five_minutes() {
        check("requests{job='web'}", 61, &["__name__=requests,instance=c,job=web 60"]);
        check("requests{instance=~'a|c', job!='web'}", 60, &["__name__=requests,instance=a,job=api 120"]);
        check("requests{job='web'} offset 30s", 60, &["__name__=requests,instance=c,job=web 30"]);
        check("requests{job='web'} offset -30s", 60, &["__name__=requests,instance=c,job=web 90"]);
        check("requests{job='web'}", 600 + 299, &["__name__=requests,instance=c,job=web 600"]);
        check("requests{job='web'}", 600 + 300, &[]);
        check("up", 299, &["__name__=up,instance=c,job=web 1"]);
        check("up", 300, &[]);
    }

    #[test]
    fn aggregations_group_by_labels() {
        check("sum(requests)", 60, &["420"]);
        check("sum by (job) (requests)", 60, &["job=api 360", "job=web 60"]);
        check("avg(requests) without (instance)", 60, &["job=api 180", "job=web 60"]);
        check("max by (absent) (requests)", 60, &["240"]);
        check("min(requests) / 2", 60, &["30"]);
    }

    #[test]
    fn the_largest_are_kept_with_their_labels() {
        check("topk(1, requests)", 60, &["__name__=requests,instance=b,job=api 240"]);
        check("bottomk(1, requests)", 60, &["__name__=requests,instance=c,job=web 60"]);
        check(
            "topk by (job) (1, requests)",
            60,
            &["__name__=requests,instance=b,job=api 240", "__name__=requests,instance=c,job=web 60"],
        );
        check("count(topk(2, requests))", 60, &["2"]);
        check("topk(0, requests)", 60, &[]);
    }

    #[test]
    fn numbers_are_computed_with_and_compared() {
        check("-2 ^ 2 + 1", 0, &["-3"]);
        check("2 * 3 + 4 % 3", 0, &["7"]);
        check("2 ^ 3 ^ 2", 0, &["512"]);
        check("1 < bool 2", 0, &["1"]);
        check("requests{job='web'} / 2", 60, &["instance=c,job=web 30"]);
        check("100 - requests{job='web'}", 60, &["instance=c,job=web 40"]);
        check("-requests{job='web'}", 60, &["instance=c,job=web -60"]);
        check("requests > 100 < 200", 60, &["__name__=requests,instance=a,job=api 120"]);
        check("100 < requests{job='web'}", 60, &[]);
        check("requests{job='web'} > bool 100", 60, &["instance=c,job=web 0"]);
    }

    #[test]
    fn windows_give_rates_and_samples() {
        check("rate(requests{job='api'}[1m])", 120, &["instance=a,job=api 2", "instance=b,job=api 4"]);
        check("sum(increase(requests[1m] offset 1m))", 180, &["420"]);
        check("count_over_time(up[10m])", 600, &["instance=c,job=web 19"]);
        check("last_over_time(up[10m])", 600, &["__name__=up,instance=c,job=web 1"]);
        let expression = parse("requests{job='web'}[30s]").unwrap();
        let Answer::Window(series) = instant(&expression, &samples(&expression), 60_000).unwrap() else { panic!() };
        assert_eq!(series[0].points, [(45_000, 45.0), (60_000, 60.0)]);
    }

    #[test]
    fn series_that_become_the_same_are_refused() {
        let expression = parse("{instance='c'} * 2").unwrap();
        let error = instant(&expression, &samples(&expression), 60_000).unwrap_err();
        assert!(error.to_string().contains("same labelset"));
    }

    #[test]
    fn a_range_has_a_value_at_each_step() {
        let expression = parse("sum(up)").unwrap();
        let series = range(&expression, &samples(&expression), (240_000, 360_000), 60_000).unwrap();
        assert_eq!(series, [Series { labels: Labels::new(), points: vec![(240_000, 1.0)] }]);
        let number = parse("1 + 1").unwrap();
        assert_eq!(range(&number, &[], (0, 2), 1).unwrap()[0].points, [(0, 2.0), (1, 2.0), (2, 2.0)]);
        for (times, step, words) in [((0, 10), 0, "step"), ((10, 0), 1, "before start"), ((0, 12_000), 1, "11,000")] {
            assert!(range(&number, &[], times, step).unwrap_err().to_string().contains(words));
        }
        assert!(range(&parse("up[5m]").unwrap(), &[vec![]], (0, 1), 1).is_err());
    }
}
