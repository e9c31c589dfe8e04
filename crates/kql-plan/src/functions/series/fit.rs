//! Least squares: one line, two lines, a polynomial.

use serde_json::{Value as Json, json};

use super::numbers::{Series, count};
use crate::functions::row::{Answer, Cell};

/// The greatest degree of a polynomial; higher ones lose all digits.
const DEGREE_MAX: usize = 16;

/// A fitted model of a series.
#[derive(Debug, Clone, PartialEq)]
pub struct Fit {
    /// The coefficients, of the highest power first.
    pub coefficients: Vec<f64>,
    /// The share of the variance that the model explains, from 0 to 1.
    pub rsquare: f64,
    /// The variance of the values.
    pub variance: f64,
    /// The variance of what is left.
    pub rvariance: f64,
    /// The model's values.
    pub fitted: Vec<f64>,
}

impl Fit {
    fn slope(&self) -> f64 {
        self.coefficients[0]
    }

    fn interception(&self) -> f64 {
        self.coefficients[1]
    }

    fn json(&self) -> Json {
        json!({
            "rsquare": self.rsquare, "slope": self.slope(), "interception": self.interception(),
            "variance": self.variance, "rvariance": self.rvariance,
        })
    }

    /// The measures of a model whose values are known.
    fn of(coefficients: Vec<f64>, values: &[f64], fitted: Vec<f64>) -> Self {
        let mean = values.iter().sum::<f64>() / count(values.len());
        let total: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let left: f64 = values.iter().zip(&fitted).map(|(value, fit)| (value - fit).powi(2)).sum();
        let degrees = count(values.len().saturating_sub(1).max(1));
        let rsquare = if total == 0.0 { 1.0 } else { 1.0 - left / total };
        Self { coefficients, rsquare, variance: total / degrees, rvariance: left / degrees, fitted }
    }
}

/// The line through `(0, y0), (1, y1), ...`; slope and interception.
#[must_use]
pub fn line(values: &[f64]) -> (f64, f64) {
    let len = count(values.len());
    let (mean_x, mean_y) = ((len - 1.0) / 2.0, values.iter().sum::<f64>() / len);
    let (mut product, mut square) = (0.0, 0.0);
    for (index, value) in values.iter().enumerate() {
        let dx = count(index) - mean_x;
        product += dx * (value - mean_y);
        square += dx * dx;
    }
    let slope = if square == 0.0 { 0.0 } else { product / square };
    (slope, mean_y - slope * mean_x)
}

/// The line of a series with its measures; `None` for an empty one.
#[must_use]
pub fn fit_line(values: &[f64]) -> Option<Fit> {
    if values.is_empty() {
        return None;
    }
    let (slope, interception) = line(values);
    let fitted = (0..values.len()).map(|index| interception + slope * count(index)).collect();
    Some(Fit::of(vec![slope, interception], values, fitted))
}

/// Two lines, and the position after which the second begins.
#[derive(Debug, Clone, PartialEq)]
pub struct TwoLines {
    /// The last position of the left line.
    pub split: usize,
    /// The measures of both together.
    pub whole: Fit,
    /// The line before the split.
    pub left: Fit,
    /// The line behind the split; its positions are counted from the split, so that the first is 1.
    pub right: Fit,
}

/// The two lines that leave the least error; `None` for fewer than two points.
#[must_use]
pub fn fit_two_lines(values: &[f64]) -> Option<TwoLines> {
    let sums = Sums::of(values);
    let errors = |split: &usize| sums.error(0, *split) + sums.error(*split, values.len());
    let split = (1..values.len()).min_by(|a, b| errors(a).total_cmp(&errors(b)))?;
    let (left, mut right) = (fit_line(&values[..split])?, fit_line(&values[split..])?);
    right.coefficients[1] -= right.slope();
    let fitted = left.fitted.iter().chain(&right.fitted).copied().collect();
    Some(TwoLines { split: split - 1, whole: Fit::of(Vec::new(), values, fitted), left, right })
}

/// Running sums, which give the error of a line over any range at once.
struct Sums {
    /// Sums of y, x y and y squared before each position; values are taken from their mean, to keep digits.
    sums: Vec<(f64, f64, f64)>,
}

impl Sums {
    fn of(values: &[f64]) -> Self {
        let mean = values.iter().sum::<f64>() / count(values.len().max(1));
        let mut sums = Vec::with_capacity(values.len() + 1);
        let mut running = (0.0, 0.0, 0.0);
        sums.push(running);
        for (index, value) in values.iter().enumerate() {
            let y = value - mean;
            running = (running.0 + y, running.1 + count(index) * y, running.2 + y * y);
            sums.push(running);
        }
        Self { sums }
    }

    /// The squared error of the line over `[start, end)`.
    fn error(&self, start: usize, end: usize) -> f64 {
        let len = count(end - start);
        let (from, to) = (self.sums[start], self.sums[end]);
        let (y, xy, yy) = (to.0 - from.0, to.1 - from.1, to.2 - from.2);
        let mean_x = (count(start) + count(end - 1)) / 2.0;
        let spread_x = len * (len * len - 1.0) / 12.0;
        let product = xy - mean_x * y;
        let explained = if spread_x == 0.0 { 0.0 } else { product * product / spread_x };
        (yy - y * y / len - explained).max(0.0)
    }
}

/// The polynomial of a degree through points; `None` if the points do not determine it.
#[must_use]
pub fn fit_polynomial(xs: &[f64], ys: &[f64], degree: usize) -> Option<Fit> {
    if xs.len() != ys.len() || xs.len() <= degree || degree > DEGREE_MAX {
        return None;
    }
    // Over [-1, 1] the powers are far less alike, and the solution keeps its digits.
    let (low, high) = xs.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), x| (l.min(*x), h.max(*x)));
    let (center, scale) = ((low + high) / 2.0, if high > low { (high - low) / 2.0 } else { 1.0 });
    let scaled: Vec<f64> = xs.iter().map(|x| (x - center) / scale).collect();
    let solution = solve_least_squares(&scaled, ys, degree)?;
    let fitted = scaled.iter().map(|x| solution.iter().rev().fold(0.0, |sum, c| sum * x + c)).collect();
    let coefficients = unscaled(&solution, center, scale);
    Some(Fit::of(coefficients, ys, fitted))
}

/// Coefficients of `x` from those of `(x - center) / scale`, the highest power first.
fn unscaled(solution: &[f64], center: f64, scale: f64) -> Vec<f64> {
    let mut out = vec![0.0; solution.len()];
    // Horner's scheme over polynomials: multiply by (x - center) / scale, then add the next coefficient.
    for coefficient in solution.iter().rev() {
        let mut next = vec![0.0; out.len()];
        for (power, value) in out.iter().enumerate() {
            next[power] -= value * center / scale;
            if power + 1 < next.len() {
                next[power + 1] += value / scale;
            }
        }
        next[0] += coefficient;
        out = next;
    }
    out.reverse();
    out
}

/// Least squares over powers of x by Householder's reflections; the lowest power first.
fn solve_least_squares(xs: &[f64], ys: &[f64], degree: usize) -> Option<Vec<f64>> {
    let (rows, columns) = (xs.len(), degree + 1);
    let mut matrix: Vec<Vec<f64>> = Vec::with_capacity(columns);
    let mut power = vec![1.0; rows];
    for _ in 0..columns {
        matrix.push(power.clone());
        power.iter_mut().zip(xs).for_each(|(value, x)| *value *= x);
    }
    let mut right = ys.to_vec();
    for pivot in 0..columns {
        let norm = matrix[pivot][pivot..].iter().map(|v| v * v).sum::<f64>().sqrt();
        if norm < 1e-12 || !norm.is_finite() {
            return None;
        }
        let mut reflector = matrix[pivot][pivot..].to_vec();
        reflector[0] += if reflector[0] < 0.0 { -norm } else { norm };
        for column in matrix.iter_mut().skip(pivot) {
            reflect(&reflector, &mut column[pivot..]);
        }
        reflect(&reflector, &mut right[pivot..]);
    }
    let mut solution = vec![0.0; columns];
    for row in (0..columns).rev() {
        let known: f64 = (row + 1..columns).map(|column| matrix[column][row] * solution[column]).sum();
        solution[row] = (right[row] - known) / matrix[row][row];
    }
    Some(solution)
}

fn reflect(reflector: &[f64], values: &mut [f64]) {
    let square: f64 = reflector.iter().map(|v| v * v).sum();
    let product: f64 = reflector.iter().zip(values.iter()).map(|(a, b)| a * b).sum();
    let factor = 2.0 * product / square;
    values.iter_mut().zip(reflector).for_each(|(value, r)| *value -= factor * r);
}

fn complete(cell: Cell<'_>) -> Option<Vec<f64>> {
    Series::read(cell.text())?.complete().filter(|values| values.iter().all(|value| value.is_finite()))
}

/// `series_fit_line`: an array of its columns.
pub fn series_fit_line<'a>(args: &[Cell<'a>]) -> Answer<'a> {
    let Some(fit) = complete(args[0]).and_then(|values| fit_line(&values)) else { return Answer::Null };
    json!([fit.rsquare, fit.slope(), fit.variance, fit.rvariance, fit.interception(), fit.fitted]).into()
}

/// `series_fit_line_dynamic`: a bag.
pub fn series_fit_line_dynamic<'a>(args: &[Cell<'a>]) -> Answer<'a> {
    let Some(fit) = complete(args[0]).and_then(|values| fit_line(&values)) else { return Answer::Null };
    let mut bag = fit.json();
    bag["line_fit"] = fit.fitted.into();
    bag.into()
}

/// `series_fit_2lines`: an array of its columns.
pub fn series_fit_2lines<'a>(args: &[Cell<'a>]) -> Answer<'a> {
    let Some(fit) = complete(args[0]).and_then(|values| fit_two_lines(&values)) else { return Answer::Null };
    let (whole, left, right) = (&fit.whole, &fit.left, &fit.right);
    json!([
        whole.rsquare,
        fit.split,
        whole.variance,
        whole.rvariance,
        whole.fitted,
        right.rsquare,
        right.slope(),
        right.interception(),
        right.variance,
        right.rvariance,
        left.rsquare,
        left.slope(),
        left.interception(),
        left.variance,
        left.rvariance,
    ])
    .into()
}

/// `series_fit_2lines_dynamic`: a bag.
pub fn series_fit_2lines_dynamic<'a>(args: &[Cell<'a>]) -> Answer<'a> {
    let Some(fit) = complete(args[0]).and_then(|values| fit_two_lines(&values)) else { return Answer::Null };
    json!({
        "rsquare": fit.whole.rsquare, "split_idx": fit.split, "variance": fit.whole.variance,
        "rvariance": fit.whole.rvariance, "line_fit": fit.whole.fitted,
        "right": fit.right.json(), "left": fit.left.json(),
    })
    .into()
}

/// `series_fit_poly(y, x, degree)`: an array of its columns. Without x the points are 1, 2, 3 and so on apart.
pub fn series_fit_poly<'a>(args: &[Cell<'a>]) -> Answer<'a> {
    let Some(ys) = complete(args[0]) else { return Answer::Null };
    let xs = match args.get(1) {
        Some(Cell::Text(text)) => complete(Cell::Text(text)),
        _ => Some((1..=ys.len()).map(count).collect()),
    };
    let degree = args.get(2).and_then(|cell| cell.long()).unwrap_or(1);
    let fit = xs.zip(usize::try_from(degree).ok()).and_then(|(xs, degree)| fit_polynomial(&xs, &ys, degree));
    let Some(fit) = fit else { return Answer::Null };
    json!([fit.rsquare, fit.coefficients, fit.variance, fit.rvariance, fit.fitted]).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() <= 1e-9 * expected.abs().max(1.0), "{found} instead of {expected}");
    }

    #[test]
    fn a_line_has_the_known_measures() {
        let fit = fit_line(&[2.0, 5.0, 6.0, 8.0, 11.0, 15.0, 17.0, 18.0, 25.0, 26.0, 30.0, 30.0]).unwrap();
        near(fit.slope(), 390.5 / 143.0);
        near(fit.interception(), 193.0 / 12.0 - 390.5 / 143.0 * 5.5);
        near(fit.variance, 98.628_787_878_787_88);
        near(fit.rsquare, 1.0 - fit.rvariance / fit.variance);
        assert_eq!(fit_line(&[]), None);
        assert_eq!(fit_line(&[3.0]).unwrap().fitted, [3.0]);
    }

    #[test]
    fn two_lines_split_where_the_series_breaks() {
        let fit = fit_two_lines(&[0.0, 1.0, 2.0, 3.0, 10.0, 8.0, 6.0, 4.0]).unwrap();
        assert_eq!(fit.split, 3);
        near(fit.left.slope(), 1.0);
        near(fit.right.slope(), -2.0);
        near(fit.right.interception(), 12.0);
        near(fit.whole.rsquare, 1.0);
    }

    #[test]
    fn a_polynomial_is_found_again() {
        let xs: Vec<f64> = (0..20).map(|x| f64::from(x) * 0.5 - 2.0).collect();
        let ys: Vec<f64> = xs.iter().map(|x| 2.0 * x.powi(3) - x + 4.0).collect();
        let fit = fit_polynomial(&xs, &ys, 3).unwrap();
        for (found, expected) in fit.coefficients.iter().zip([2.0, 0.0, -1.0, 4.0]) {
            assert!((found - expected).abs() < 1e-9, "{:?}", fit.coefficients);
        }
        near(fit.rsquare, 1.0);
        assert_eq!(fit_polynomial(&[1.0, 1.0], &[1.0, 2.0], 1), None);
        assert_eq!(fit_polynomial(&[1.0], &[1.0], 1), None);
    }
}
