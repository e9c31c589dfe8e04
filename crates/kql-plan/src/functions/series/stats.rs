//! Descriptive statistics of a series.

use super::numbers::{Series, count, push_number};
use crate::functions::row::{Answer, Cell};

/// What `series_stats` says of a series.
#[derive(Debug, Clone, PartialEq)]
pub struct Statistics {
    /// The least value and its first position.
    pub min: (f64, usize),
    /// The greatest value and its first position.
    pub max: (f64, usize),
    /// The sum.
    pub sum: f64,
    /// The mean.
    pub mean: f64,
    /// The variance of the sample; 0 for a single value.
    pub variance: f64,
    /// How many values there are.
    pub len: usize,
}

/// The statistics of the values given with their positions; `None` for none.
pub fn statistics(values: impl Iterator<Item = (usize, f64)>) -> Option<Statistics> {
    let values: Vec<(usize, f64)> = values.collect();
    let &(first_index, first) = values.first()?;
    let (mut min, mut max, mut sum) = ((first, first_index), (first, first_index), 0.0);
    for &(index, value) in &values {
        sum += value;
        if value < min.0 {
            min = (value, index);
        }
        if value > max.0 {
            max = (value, index);
        }
    }
    let mean = sum / count(values.len());
    let squares: f64 = values.iter().map(|(_, value)| (value - mean).powi(2)).sum();
    let variance = if values.len() > 1 { squares / count(values.len() - 1) } else { 0.0 };
    Some(Statistics { min, max, sum, mean, variance, len: values.len() })
}

/// The statistics of a call `(series, ignore_nonfinite)`: none if a value is not finite and that is not ignored.
fn of_call(args: &[Cell<'_>]) -> Option<Statistics> {
    let series = Series::read(args[0].text())?;
    let ignores = args.get(1).and_then(|cell| cell.bool()).unwrap_or(false);
    let finite = |value: &Option<f64>| value.filter(|value| value.is_finite());
    if !ignores && series.values.iter().any(|value| finite(value).is_none()) {
        return None;
    }
    statistics(series.values.iter().enumerate().filter_map(|(index, value)| Some((index, finite(value)?))))
}

/// `series_stats`: an array of min, its position, max, its position, mean, deviation and variance.
pub fn series_stats<'a>(args: &[Cell<'a>]) -> Answer<'a> {
    let Some(s) = of_call(args) else { return Answer::Null };
    let mut out = String::from("[");
    push_number(&mut out, s.min.0, false);
    out.push_str(&format!(",{},", s.min.1));
    push_number(&mut out, s.max.0, false);
    out.push_str(&format!(",{}", s.max.1));
    for value in [s.mean, s.variance.sqrt(), s.variance] {
        out.push(',');
        push_number(&mut out, value, false);
    }
    out.push(']');
    out.into()
}

/// `series_stats_dynamic`: the same and the sum and length as a bag.
pub fn series_stats_dynamic<'a>(args: &[Cell<'a>]) -> Answer<'a> {
    let Some(s) = of_call(args) else { return Answer::Null };
    serde_json::json!({
        "min": s.min.0, "min_idx": s.min.1, "max": s.max.0, "max_idx": s.max.1, "avg": s.mean,
        "stdev": s.variance.sqrt(), "variance": s.variance, "sum": s.sum, "len": s.len,
    })
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_agree_with_known_values() {
        let values = [23.0, 46.0, 23.0, 87.0, 4.0, 8.0, 3.0, 75.0, 2.0, 56.0, 13.0, 75.0, 32.0, 16.0, 29.0];
        let s = statistics(values.iter().copied().enumerate()).unwrap();
        assert_eq!((s.min, s.max, s.len), ((2.0, 8), (87.0, 3), 15));
        assert!((s.mean - 32.8).abs() < 1e-12);
        assert!((s.variance - 812.457_142_857_142_9).abs() < 1e-9);
        assert_eq!(statistics(std::iter::empty()), None);
    }

    #[test]
    fn values_that_are_not_finite_are_refused_or_ignored() {
        assert_eq!(series_stats(&[Cell::Text("[1,null]")]), Answer::Null);
        let ignored = series_stats(&[Cell::Text("[1,null,3]"), Cell::Bool(true)]);
        assert_eq!(ignored, Answer::Text("[1.0,0,3.0,2,2.0,1.4142135623730951,2.0]".into()));
    }
}
