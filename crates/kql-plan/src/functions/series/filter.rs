//! Finite and infinite impulse response filters.

use super::numbers::{Series, reals};
use crate::functions::row::{Answer, Call, Cell};

/// Convolution of a series with a filter. Before the first and after the last point the series is zero.
///
/// With `centered` the filter's middle lies on the point, else its first coefficient does and the others look back.
#[must_use]
pub fn fir(series: &[f64], filter: &[f64], centered: bool) -> Vec<f64> {
    let shift = if centered { filter.len() / 2 } else { 0 };
    let at = |index: usize| {
        let terms = filter.iter().enumerate();
        terms.filter_map(|(lag, weight)| Some(weight * series.get((index + shift).checked_sub(lag)?)?)).sum()
    };
    (0..series.len()).map(at).collect()
}

/// A recursive filter: `a0 y[n] = sum b[k] x[n-k] - sum a[k] y[n-k]`.
#[must_use]
pub fn iir(series: &[f64], numerators: &[f64], denominators: &[f64]) -> Option<Vec<f64>> {
    let leading = *denominators.first().filter(|value| **value != 0.0)?;
    let mut output: Vec<f64> = Vec::with_capacity(series.len());
    for index in 0..series.len() {
        let past = |values: &[f64], lag: usize| index.checked_sub(lag).and_then(|at| values.get(at)).copied();
        let forward: f64 =
            numerators.iter().enumerate().filter_map(|(lag, weight)| Some(weight * past(series, lag)?)).sum();
        let back: f64 = denominators
            .iter()
            .enumerate()
            .skip(1)
            .filter_map(|(lag, weight)| Some(weight * past(&output, lag)?))
            .sum();
        output.push((forward - back) / leading);
    }
    Some(output)
}

/// `series_fir(series, filter, normalize, center)`. A filter with negative weights cannot be normalised: null.
pub fn series_fir<'a>(args: &[Cell<'a>], _: &Call<'_>) -> Answer<'a> {
    let (Some(series), Some(filter)) = (Series::read(args[0].text()), read_all(args[1])) else { return Answer::Null };
    let negative = filter.iter().any(|weight| *weight < 0.0);
    let normalize = args.get(2).and_then(|cell| cell.bool()).unwrap_or(!negative);
    let centered = args.get(3).and_then(|cell| cell.bool()).unwrap_or(false);
    if normalize && negative {
        return Answer::Null;
    }
    let total: f64 = if normalize { filter.iter().sum() } else { 1.0 };
    let weights: Vec<f64> = filter.iter().map(|weight| weight / total).collect();
    reals(&fir(&series.dense(), &weights, centered)).into()
}

/// `series_iir(series, numerators, denominators)`.
pub fn series_iir<'a>(args: &[Cell<'a>], _: &Call<'_>) -> Answer<'a> {
    let (Some(series), Some(numerators), Some(denominators)) =
        (Series::read(args[0].text()), read_all(args[1]), read_all(args[2]))
    else {
        return Answer::Null;
    };
    iir(&series.dense(), &numerators, &denominators).map(|values| reals(&values)).into()
}

fn read_all(cell: Cell<'_>) -> Option<Vec<f64>> {
    Series::read(cell.text())?.complete()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_agree_with_hand_computed_values() {
        assert_eq!(fir(&[1.0, 2.0, 4.0], &[1.0, -1.0], false), [1.0, 1.0, 2.0]);
        assert_eq!(fir(&[3.0, 3.0, 3.0, 3.0], &[1.0, 1.0, 1.0], true), [6.0, 9.0, 9.0, 6.0]);
        assert_eq!(iir(&[1.0, 2.0, 3.0], &[1.0], &[1.0, -1.0]).unwrap(), [1.0, 3.0, 6.0]);
        assert_eq!(iir(&[4.0, 0.0], &[1.0], &[2.0, 1.0]).unwrap(), [2.0, -1.0]);
        assert_eq!(iir(&[1.0], &[1.0], &[]), None);
    }
}
