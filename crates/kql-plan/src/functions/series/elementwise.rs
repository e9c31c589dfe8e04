//! Functions over series that work element by element, and sums over them.

use super::numbers::{Series, array, joined};
use crate::functions::row::{Answer, Call, Cell};

/// One side of an operation: a series, or one number for all elements.
enum Side {
    Many(Series),
    One(f64, bool),
}

impl Side {
    fn of(cell: Cell<'_>) -> Option<Self> {
        match cell {
            Cell::Text(text) => match Series::read(text) {
                Some(series) => Some(Self::Many(series)),
                None => {
                    super::numbers::number(text).map(|value| Self::One(value, !text.contains(['.', 'e', 'E', '"'])))
                }
            },
            Cell::Long(_) => cell.real().map(|value| Self::One(value, true)),
            other => other.real().map(|value| Self::One(value, false)),
        }
    }

    fn get(&self, index: usize) -> Option<f64> {
        match self {
            Self::Many(series) => series.values.get(index).copied().flatten(),
            Self::One(value, _) => Some(*value),
        }
    }

    fn len(&self) -> usize {
        if let Self::Many(series) = self { series.values.len() } else { 0 }
    }

    fn whole(&self) -> bool {
        match self {
            Self::Many(series) => series.whole,
            Self::One(_, whole) => *whole,
        }
    }
}

/// Both sides, if at least one is a series.
fn sides(args: &[Cell<'_>]) -> Option<(Side, Side, usize)> {
    let (left, right) = (Side::of(args[0])?, Side::of(args[1])?);
    let both_single = matches!((&left, &right), (Side::One(..), Side::One(..)));
    let len = left.len().max(right.len());
    (!both_single).then_some((left, right, len))
}

/// Combines two series; whole numbers stay whole if `keeps_whole`. A missing element gives a missing one.
pub fn combine<'a>(args: &[Cell<'_>], keeps_whole: bool, operation: fn(f64, f64) -> f64) -> Answer<'a> {
    let Some((left, right, len)) = sides(args) else { return Answer::Null };
    let whole = keeps_whole && left.whole() && right.whole();
    let element = |index: usize| Some(operation(left.get(index)?, right.get(index)?));
    array((0..len).map(element), whole).into()
}

/// Compares two series.
pub fn compare<'a>(args: &[Cell<'_>], operation: fn(&f64, &f64) -> bool) -> Answer<'a> {
    let Some((left, right, len)) = sides(args) else { return Answer::Null };
    let element = |index: usize| Some(operation(&left.get(index)?, &right.get(index)?));
    joined((0..len).map(element), |out, value| {
        out.push_str(value.map_or("null", |value| if value { "true" } else { "false" }));
    })
    .into()
}

/// Applies a function to every element.
pub fn map<'a>(cell: Cell<'_>, keeps_whole: bool, operation: fn(f64) -> f64) -> Answer<'a> {
    let Some(series) = Series::read(cell.text()) else { return Answer::Null };
    array(series.values.iter().map(|value| value.map(operation)), keeps_whole && series.whole).into()
}

/// The sum of products of the elements both sides have.
fn dot(left: &Side, right: &Side) -> f64 {
    let len = match (left, right) {
        (Side::Many(left), Side::Many(right)) => left.values.len().min(right.values.len()),
        _ => left.len().max(right.len()),
    };
    (0..len).filter_map(|index| Some(left.get(index)? * right.get(index)?)).sum()
}

/// `series_dot_product`: the longer series is cut to the length of the shorter one.
pub fn dot_product<'a>(args: &[Cell<'a>], _: &Call<'_>) -> Answer<'a> {
    sides(args).map(|(left, right, _)| dot(&left, &right)).into()
}

/// `series_cosine_similarity`, with the magnitudes if they are known.
pub fn cosine_similarity<'a>(args: &[Cell<'a>], _: &Call<'_>) -> Answer<'a> {
    let Some((left, right, _)) = sides(args) else { return Answer::Null };
    if left.len() != right.len() {
        return Answer::Null;
    }
    let magnitude = |position: usize, side: &Side| {
        args.get(position).and_then(|cell| cell.real()).unwrap_or_else(|| dot(side, side).sqrt())
    };
    Answer::Real(dot(&left, &right) / (magnitude(2, &left) * magnitude(3, &right)))
}

/// `series_pearson_correlation`: null for series of different lengths or with missing elements.
pub fn pearson_correlation<'a>(args: &[Cell<'a>], _: &Call<'_>) -> Answer<'a> {
    let series = |cell: Cell<'_>| Series::read(cell.text()).and_then(|series| series.complete());
    match (series(args[0]), series(args[1])) {
        (Some(left), Some(right)) if left.len() == right.len() => pearson(&left, &right).into(),
        _ => Answer::Null,
    }
}

/// The correlation of two slices of one length; NaN where one of them does not vary.
#[must_use]
pub fn pearson(left: &[f64], right: &[f64]) -> f64 {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / super::numbers::count(values.len());
    let (left_mean, right_mean) = (mean(left), mean(right));
    let (mut product, mut left_square, mut right_square) = (0.0, 0.0, 0.0);
    for (x, y) in left.iter().zip(right) {
        let (dx, dy) = (x - left_mean, y - right_mean);
        product += dx * dy;
        left_square += dx * dx;
        right_square += dy * dy;
    }
    product / (left_square * right_square).sqrt()
}

/// The sign of a number, NaN for NaN.
#[must_use]
pub fn sign(value: f64) -> f64 {
    if value == 0.0 || value.is_nan() { value.abs() } else { value.signum() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn correlation_agrees_with_known_values() {
        assert!((pearson(&[1.0, 2.0, 3.0, 4.0], &[1.0, 3.0, 2.0, 4.0]) - 0.8).abs() < 1e-12);
        assert!((pearson(&[1.0, 2.0], &[2.0, 1.0]) + 1.0).abs() < 1e-12);
        assert!(pearson(&[1.0, 1.0], &[2.0, 1.0]).is_nan());
    }

    #[test]
    fn missing_elements_stay_missing() {
        let add = combine(&[Cell::Text("[1,null,3]"), Cell::Text("[1,1]")], true, |a, b| a + b);
        assert_eq!(add, Answer::Text("[2,null,null]".into()));
        let scaled = combine(&[Cell::Long(10), Cell::Text("[1,0.5]")], true, |a, b| a * b);
        assert_eq!(scaled, Answer::Text("[10.0,5.0]".into()));
        assert_eq!(combine(&[Cell::Long(1), Cell::Long(2)], true, |a, b| a + b), Answer::Null);
    }
}
