//! Tukey's test: how far a value lies outside the range of the ordinary ones.
//!
//! The score is the distance from the nearer percentile in units of the range between the two. With other percentiles
//! than the quartiles it is scaled so that for normally distributed values 1.5 marks the same value as with quartiles.

use super::numbers::{Series, count, position, reals};
use crate::functions::row::{Answer, Call, Cell};

/// The percentiles of the default kind, `ctukey`.
pub const CUSTOM: (f64, f64) = (10.0, 90.0);

/// The percentiles of the classic kind, `tukey`.
pub const CLASSIC: (f64, f64) = (25.0, 75.0);

/// The factor for 10 and 90. The reference implementation's quantiles of the normal distribution are rounded; this is
/// the factor its published scores have.
const CUSTOM_FACTOR: f64 = 2.772_605_605_507_914;

/// The score from which a value is a mild anomaly.
const MILD: f64 = 1.5;

/// A percentile of sorted values, interpolated between the two nearest.
#[must_use]
pub fn percentile(sorted: &[f64], percent: f64) -> Option<f64> {
    let rank = percent / 100.0 * count(sorted.len().checked_sub(1)?);
    let below = position(rank.floor());
    let low = *sorted.get(below)?;
    let high = sorted.get(below + 1).copied().unwrap_or(low);
    Some(low + (high - low) * (rank - count(below)))
}

/// The scores of values against the percentiles of the first `learned` of them. Values that are not finite have 0.
#[must_use]
pub fn scores(values: &[f64], learned: usize, percentiles: (f64, f64)) -> Vec<f64> {
    let mut sorted: Vec<f64> = values[..learned.min(values.len())].iter().copied().filter(|v| v.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    let ends = percentile(&sorted, percentiles.0).zip(percentile(&sorted, percentiles.1));
    let Some((low, high)) = ends else { return vec![0.0; values.len()] };
    let range = high - low;
    let (below, above) = factors(percentiles);
    let score = |value: &f64| match *value {
        value if value > high => (value - high) / range * above,
        value if value < low => (value - low) / range * below,
        _ => 0.0,
    };
    values.iter().map(|value| if value.is_finite() { score(value) } else { 0.0 }).collect()
}

/// What the distances below and above the percentiles are multiplied by.
fn factors(percentiles: (f64, f64)) -> (f64, f64) {
    if percentiles == CLASSIC {
        return (1.0, 1.0);
    }
    if percentiles == CUSTOM {
        return (CUSTOM_FACTOR, CUSTOM_FACTOR);
    }
    let quartile = normal_quantile(0.75);
    let fence = quartile + MILD * 2.0 * quartile;
    let (low, high) = (normal_quantile(percentiles.0 / 100.0), normal_quantile(percentiles.1 / 100.0));
    let range = high - low;
    (MILD * range / (fence + low), MILD * range / (fence - high))
}

/// The quantile of the standard normal distribution, by bisection of its distribution function.
#[must_use]
pub fn normal_quantile(probability: f64) -> f64 {
    let (mut low, mut high) = (-10.0, 10.0);
    for _ in 0..80 {
        let middle = f64::midpoint(low, high);
        let below = 0.5 * crate::functions::special::erfc(-middle / std::f64::consts::SQRT_2);
        if below < probability { low = middle } else { high = middle }
    }
    f64::midpoint(low, high)
}

/// `series_outliers(series, kind, ignore_val, min_percentile, max_percentile, test_points)`.
pub fn series_outliers<'a>(args: &[Cell<'a>], _: &Call<'_>) -> Answer<'a> {
    let Some(series) = Series::read(args[0].text()) else { return Answer::Null };
    let kind = args.get(1).map_or("", |cell| cell.text());
    let ignored = args.get(2).and_then(|cell| cell.real());
    let percent = |index: usize, default: f64| {
        args.get(index).and_then(|cell| cell.real()).filter(|p| (2.0..=98.0).contains(p)).unwrap_or(default)
    };
    let percentiles = match kind {
        "" | "ctukey" => (percent(3, CUSTOM.0), percent(4, CUSTOM.1)),
        "tukey" => CLASSIC,
        _ => return Answer::Null,
    };
    if percentiles.0 >= percentiles.1 {
        return Answer::Null;
    }
    let mut values = series.dense();
    if let Some(ignored) = ignored {
        values.iter_mut().filter(|value| (**value - ignored).abs() == 0.0).for_each(|value| *value = f64::NAN);
    }
    let tested = args.get(5).and_then(|cell| cell.long()).and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
    reals(&scores(&values, values.len().saturating_sub(tested), percentiles)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::excessive_precision, reason = "the numbers stand as they were published")]
    fn scores_agree_with_published_ones() {
        let values = [-3.0, 2.4, 15.0, 3.9, 5.0, 6.0, 4.5, 5.2, 3.0, 4.0, 5.0, 16.0, 7.0, 5.0, 5.0, 4.0];
        let found = scores(&values, values.len(), CUSTOM);
        for (index, expected) in [
            (0, -1.904_078_548_360_857_1),
            (1, -0.100_214_660_440_045_19),
            (2, 1.336_195_472_533_934_7),
            (3, 0.0),
            (11, 1.670_244_340_667_418_6),
        ] {
            let score: f64 = found[index];
            assert!((score - expected).abs() < 1e-12, "{score} instead of {expected}");
        }
    }

    #[test]
    fn quantiles_agree_with_known_values() {
        assert!((normal_quantile(0.9) - 1.281_551_565_544_6).abs() < 1e-10);
        assert!((normal_quantile(0.25) + 0.674_489_750_196_08).abs() < 1e-10);
        assert_eq!(percentile(&[1.0, 2.0, 4.0], 75.0), Some(3.0));
        assert_eq!(percentile(&[], 75.0), None);
    }
}
