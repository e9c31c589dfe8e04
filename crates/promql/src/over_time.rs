//! Functions of the samples in a window.
//!
//! # Source
//! Prometheus documentation, "Functions": `rate`, `increase` and `delta` extrapolate to the ends of the window, by at most
//! half of the mean distance between samples where the series seems to begin or end within it, and never to a counter
//! below zero.

use crate::syntax::OverTime;

/// A sample: milliseconds since 1970, and the value.
pub(crate) type Point = (i64, f64);

/// How much more than the mean distance of samples may lie before the first or after the last for the series to count
/// as going on there.
const GOES_ON: f64 = 1.1;

/// The value of a function over the samples of the window from `start`, not included, to `end`; `None` when it has none.
pub(crate) fn apply(function: OverTime, points: &[Point], (start, end): (i64, i64)) -> Option<f64> {
    let values = || points.iter().map(|(_, value)| *value);
    let last = points.last()?;
    #[expect(clippy::cast_precision_loss, reason = "a window has few samples")]
    let count = points.len() as f64;
    match function {
        OverTime::Rate => Some(extrapolated(points, (start, end), true)? / seconds(end - start)),
        OverTime::Increase => extrapolated(points, (start, end), true),
        OverTime::Delta => extrapolated(points, (start, end), false),
        OverTime::InstantRate => instant_rate(points),
        OverTime::Average => Some(values().sum::<f64>() / count),
        OverTime::Minimum => values().reduce(f64::min),
        OverTime::Maximum => values().reduce(f64::max),
        OverTime::Sum => Some(values().sum()),
        OverTime::Count => Some(count),
        OverTime::Last => Some(last.1),
    }
}

/// How much the values grow in a window, by the samples in it.
fn extrapolated(points: &[Point], (start, end): (i64, i64), is_counter: bool) -> Option<f64> {
    let [first, .., last] = points else { return None };
    let mut grown = last.1 - first.1;
    if is_counter {
        // A counter that falls began again at zero.
        grown += points.windows(2).filter(|pair| pair[1].1 < pair[0].1).map(|pair| pair[0].1).sum::<f64>();
    }
    let sampled = seconds(last.0 - first.0);
    #[expect(clippy::cast_precision_loss, reason = "a window has few samples")]
    let mean = sampled / (points.len() - 1) as f64;
    let reach = |gap: f64| if gap >= mean * GOES_ON { mean / 2.0 } else { gap };
    let mut before = reach(seconds(first.0 - start));
    if is_counter && grown > 0.0 && first.1 >= 0.0 {
        before = before.min(sampled * (first.1 / grown));
    }
    let after = reach(seconds(end - last.0));
    Some(grown * (sampled + before + after) / sampled)
}

/// The rate between the last two samples.
fn instant_rate(points: &[Point]) -> Option<f64> {
    let [.., before, last] = points else { return None };
    let grown = if last.1 < before.1 { last.1 } else { last.1 - before.1 };
    Some(grown / seconds(last.0 - before.0))
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of a window")]
fn seconds(ms: i64) -> f64 {
    ms as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(function: OverTime, values: &[(i64, f64)], window: (i64, i64), expected: Option<f64>) {
        let points: Vec<Point> = values.iter().map(|(second, value)| (second * 1_000, *value)).collect();
        let found = apply(function, &points, (window.0 * 1_000, window.1 * 1_000));
        let is_same = match (found, expected) {
            (Some(found), Some(expected)) => (found - expected).abs() < 1e-9,
            (found, expected) => found == expected,
        };
        assert!(is_same, "{function:?} of {values:?}: {found:?}, not {expected:?}");
    }

    #[test]
    fn rates_reach_to_the_ends_of_the_window() {
        // Samples every 15 s from 0: in (0, 60] stand four, and the series goes on at both ends.
        let steady: Vec<(i64, f64)> = [15, 30, 45, 60].map(|second| (second, second as f64 * 2.0)).to_vec();
        check(OverTime::Increase, &steady, (0, 60), Some(120.0));
        check(OverTime::Rate, &steady, (0, 60), Some(2.0));
        // It begins in the window: half a distance is added, 7.5 s of 2 a second.
        let late = [(40, 100.0), (50, 120.0), (60, 140.0)];
        check(OverTime::Increase, &late, (0, 60), Some(50.0));
        // A counter never was below zero: 1 at the first sample is half a second before.
        check(OverTime::Increase, &[(40, 1.0), (50, 21.0), (60, 41.0)], (0, 60), Some(41.0));
        check(OverTime::Delta, &[(40, 1.0), (50, 21.0), (60, 41.0)], (0, 60), Some(50.0));
    }

    #[test]
    fn a_counter_that_falls_began_again() {
        check(
            OverTime::Increase,
            &[(10, 5.0), (20, 10.0), (30, 3.0), (40, 8.0)],
            (0, 40),
            Some(17.333_333_333_333_332),
        );
        check(OverTime::InstantRate, &[(10, 5.0), (20, 3.0)], (0, 20), Some(0.3));
    }

    #[test]
    fn too_few_samples_give_nothing() {
        for function in [OverTime::Rate, OverTime::Increase, OverTime::Delta, OverTime::InstantRate] {
            check(function, &[(10, 5.0)], (0, 60), None);
        }
        check(OverTime::Sum, &[], (0, 60), None);
        check(OverTime::Average, &[(1, 1.0), (2, 3.0)], (0, 60), Some(2.0));
        check(OverTime::Count, &[(1, 1.0), (2, 3.0)], (0, 60), Some(2.0));
    }
}
