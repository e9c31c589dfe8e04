//! Periods of a series: peaks of its correlation with itself.

use super::fourier::fourier;
use super::numbers::{Series, count, position, reals};
use crate::functions::row::{Answer, Call, Cell};

/// The shortest period that is looked for, in points.
const SHORTEST: usize = 4;

/// The score a peak needs to count as a period.
const SCORE_MIN: f64 = 0.4;

/// How near a period a lesser peak is taken for its shoulder, as a share of the period.
const NEAR: f64 = 0.15;

/// How the series resembles itself, shifted by each lag: 1 at lag 0.
///
/// A lag of `k` has only `n - k` pairs; the sum is divided by the square root of that share, so that long periods are
/// neither drowned nor trusted on a few points.
#[must_use]
pub fn autocorrelation(values: &[f64]) -> Vec<f64> {
    let len = values.len();
    let mean = values.iter().sum::<f64>() / count(len.max(1));
    let mut padded: Vec<f64> = values.iter().map(|value| value - mean).collect();
    padded.resize((2 * len).next_power_of_two(), 0.0);
    let (real, imaginary) = fourier(&padded, &[], false);
    let power: Vec<f64> = real.iter().zip(&imaginary).map(|(re, im)| re * re + im * im).collect();
    let (sums, _) = fourier(&power, &[], true);
    let total = sums.first().copied().unwrap_or(0.0);
    let scaled = |lag: usize| sums[lag] / total / (count(len - lag) / count(len)).sqrt();
    // A series that does not vary has rounding errors alone.
    let varies = total > 1e-12 * values.iter().map(|value| value * value).sum::<f64>();
    (0..len).map(|lag| if varies { scaled(lag) } else { 0.0 }).collect()
}

/// The best periods of `[shortest, longest]` with their scores, best first.
///
/// A peak that is a multiple of a better or equal shorter one, or lies beside a better one, says nothing new and is
/// left out.
#[must_use]
pub fn detect(values: &[f64], shortest: f64, longest: f64, wanted: usize) -> Vec<(usize, f64)> {
    let correlation = autocorrelation(values);
    let longest = position(longest.floor()).min(values.len() / 2);
    let at = |lag: usize| correlation.get(lag).copied().unwrap_or(f64::NEG_INFINITY);
    let is_peak = |lag: &usize| at(*lag) >= SCORE_MIN && at(*lag) > at(lag - 1) && at(*lag) >= at(lag + 1);
    let mut peaks: Vec<usize> = (SHORTEST..=longest).filter(|lag| count(*lag) >= shortest).filter(is_peak).collect();
    peaks.sort_by(|a, b| at(*b).total_cmp(&at(*a)).then(a.cmp(b)));
    let mut found: Vec<(usize, f64)> = Vec::new();
    for lag in peaks {
        let repeats = found.iter().any(|(known, _)| {
            let times = (count(lag) / count(*known)).round();
            let beside = (count(lag) - count(*known)).abs() <= NEAR * count(*known);
            beside || times >= 2.0 && (count(lag) - times * count(*known)).abs() <= times
        });
        if !repeats && found.len() < wanted {
            found.push((lag, at(lag).clamp(0.0, 1.0)));
        }
    }
    found
}

/// The score of one period; a fraction is interpolated between its neighbours.
#[must_use]
pub fn score(correlation: &[f64], period: f64) -> f64 {
    let below = position(period.floor());
    if period < count(SHORTEST) || below > correlation.len() / 2 {
        return 0.0;
    }
    let low = correlation.get(below).copied().unwrap_or(0.0);
    let high = correlation.get(below + 1).copied().unwrap_or(low);
    (low + (high - low) * period.fract()).clamp(0.0, 1.0)
}

/// `series_periods_detect(series, min_period, max_period, num_periods)`: periods and scores, padded with zeros.
pub fn series_periods_detect<'a>(args: &[Cell<'a>], _: &Call<'_>) -> Answer<'a> {
    let Some(values) = Series::read(args[0].text()).and_then(|series| series.complete()) else { return Answer::Null };
    let (Some(shortest), Some(longest)) = (args[1].real(), args[2].real()) else { return Answer::Null };
    let wanted = args[3].long().and_then(|n| usize::try_from(n).ok()).unwrap_or(0).min(values.len());
    let found = detect(&values, shortest, longest, wanted);
    let (mut periods, mut scores): (Vec<f64>, Vec<f64>) =
        found.into_iter().map(|(period, score)| (count(period), score)).unzip();
    periods.resize(wanted, 0.0);
    scores.resize(wanted, 0.0);
    format!("[{},{}]", reals(&periods), reals(&scores)).into()
}

/// `series_periods_validate(series, period, ...)`: the periods and the score of each.
pub fn series_periods_validate<'a>(args: &[Cell<'a>], _: &Call<'_>) -> Answer<'a> {
    let Some(values) = Series::read(args[0].text()).and_then(|series| series.complete()) else { return Answer::Null };
    let correlation = autocorrelation(&values);
    let periods: Vec<f64> = args[1..].iter().map(|cell| cell.real().unwrap_or(0.0)).collect();
    let scores: Vec<f64> = periods.iter().map(|period| score(&correlation, *period)).collect();
    format!("[{},{}]", reals(&periods), reals(&scores)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wave(len: u32, period: f64) -> Vec<f64> {
        (0..len).map(|x| (2.0 * std::f64::consts::PI * f64::from(x) / period).sin()).collect()
    }

    #[test]
    fn the_period_of_a_wave_is_found() {
        let found = detect(&wave(120, 12.0), 0.0, 60.0, 3);
        assert_eq!(found.iter().map(|(period, _)| *period).collect::<Vec<_>>(), [12]);
        assert!(found[0].1 > 0.9);
        assert_eq!(detect(&[5.0; 40], 0.0, 20.0, 3), []);
        assert_eq!(detect(&[], 0.0, 20.0, 3), []);
    }

    #[test]
    fn correlation_agrees_with_its_definition() {
        let values = [1.0, 3.0, 2.0, 5.0, 4.0];
        let found = autocorrelation(&values);
        // Deviations from 3: -2, 0, -1, 2, 1, squares 10; lag 2: 2 + 0 - 1 = 1.
        assert!((found[2] - 0.1 / 0.6f64.sqrt()).abs() < 1e-12, "{found:?}");
        assert!((found[0] - 1.0).abs() < 1e-12);
    }

    #[test]
    fn wrong_periods_score_low() {
        let correlation = autocorrelation(&wave(100, 10.0));
        assert!(score(&correlation, 10.0) > 0.9);
        assert!(score(&correlation, 5.0) < 0.1);
        assert!(score(&correlation, 2.0) < 0.1);
    }
}
