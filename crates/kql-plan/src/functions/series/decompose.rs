//! A series taken apart: baseline = seasonal + trend, residual = series - baseline.
//!
//! The trend is the mean, a fitted line, or nothing. The seasonal part is the median of the detrended values at each
//! position of the period, moved to mean zero, so that outliers do not bend it. Points at the end can be kept out of
//! learning: they are forecast.

use super::fit;
use super::numbers::{Series, count, position, reals};
use super::outliers::{CLASSIC, CUSTOM, scores};
use super::periods::detect;
use crate::functions::row::{Answer, Call, Cell};

/// The score a detected period needs by default.
const SEASONALITY_THRESHOLD: f64 = 0.6;

/// The score from which `series_decompose_anomalies` flags a point by default.
const ANOMALY_THRESHOLD: f64 = 1.5;

/// How the trend is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trend {
    /// The mean.
    Average,
    /// A line.
    Line,
    /// None.
    None,
}

/// Which period the season has.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Season {
    /// The one that is detected with at least this score.
    Detect(f64),
    /// The one given, in points.
    Given(f64),
    /// There is none.
    None,
}

/// The parts of a series, each as long as the series.
#[derive(Debug, Clone, PartialEq)]
pub struct Parts {
    /// What is expected: seasonal and trend.
    pub baseline: Vec<f64>,
    /// What repeats.
    pub seasonal: Vec<f64>,
    /// What lasts.
    pub trend: Vec<f64>,
    /// What is left.
    pub residual: Vec<f64>,
}

/// Takes a series apart, learning from all but its last `test_points` points.
#[must_use]
pub fn decompose(values: &[f64], season: Season, trend: Trend, test_points: usize) -> Parts {
    let learned = &values[..values.len().saturating_sub(test_points)];
    let (slope, start) = trend_line(learned, trend);
    let trend: Vec<f64> = (0..values.len()).map(|index| start + slope * count(index)).collect();
    let detrended: Vec<f64> = learned.iter().zip(&trend).map(|(value, trend)| value - trend).collect();
    let mut pattern = period_of(&detrended, season).map_or(Vec::new(), |period| medians(&detrended, period));
    let shift = pattern.iter().sum::<f64>() / count(pattern.len().max(1));
    pattern.iter_mut().for_each(|value| *value -= shift);
    let seasonal: Vec<f64> =
        (0..values.len()).map(|index| if pattern.is_empty() { 0.0 } else { pattern[index % pattern.len()] }).collect();
    let baseline: Vec<f64> = seasonal.iter().zip(&trend).map(|(seasonal, trend)| seasonal + trend).collect();
    let residual = values.iter().zip(&baseline).map(|(value, baseline)| value - baseline).collect();
    Parts { baseline, seasonal, trend, residual }
}

fn trend_line(learned: &[f64], trend: Trend) -> (f64, f64) {
    match trend {
        _ if learned.is_empty() => (0.0, 0.0),
        Trend::None => (0.0, 0.0),
        Trend::Average => (0.0, learned.iter().sum::<f64>() / count(learned.len())),
        Trend::Line => fit::line(learned),
    }
}

/// The period in whole points, if there is one that repeats.
fn period_of(values: &[f64], season: Season) -> Option<usize> {
    match season {
        Season::None => None,
        Season::Given(period) => Some(position(period.round())).filter(|p| *p > 1 && *p <= values.len()),
        Season::Detect(threshold) => {
            // A slope would resemble itself at every lag.
            let (slope, start) = if values.is_empty() { (0.0, 0.0) } else { fit::line(values) };
            let level: Vec<f64> =
                values.iter().enumerate().map(|(index, value)| value - start - slope * count(index)).collect();
            let best = detect(&level, 0.0, count(level.len()), 1).into_iter().next();
            best.filter(|(_, score)| *score >= threshold).map(|(period, _)| period)
        }
    }
}

/// The median of the values at each position of a period.
fn medians(values: &[f64], period: usize) -> Vec<f64> {
    (0..period)
        .map(|phase| {
            let mut same: Vec<f64> = values.iter().skip(phase).step_by(period).copied().collect();
            same.sort_by(f64::total_cmp);
            super::outliers::percentile(&same, 50.0).unwrap_or(0.0)
        })
        .collect()
}

/// The seasonal part of `series_seasonal`: medians of the values themselves; zeros without a season.
#[must_use]
pub fn seasonal(values: &[f64], season: Season, test_points: usize) -> Vec<f64> {
    let learned = &values[..values.len().saturating_sub(test_points)];
    let pattern = period_of(learned, season).map(|period| medians(learned, period));
    (0..values.len()).map(|index| pattern.as_ref().map_or(0.0, |pattern| pattern[index % pattern.len()])).collect()
}

/// The options of a call, by their positions.
struct Options {
    season: Season,
    trend: Trend,
    test_points: usize,
}

impl Options {
    /// `None` for a trend that there is not.
    fn of(args: &[Cell<'_>], period: usize, trend: usize, test_points: usize, threshold: usize) -> Option<Self> {
        let number = |position: usize| args.get(position).and_then(|cell| cell.real());
        let threshold = number(threshold).unwrap_or(SEASONALITY_THRESHOLD);
        Some(Self {
            season: season_of(number(period), threshold),
            trend: match args.get(trend).map_or("", |cell| cell.text()) {
                "" | "avg" => Trend::Average,
                "linefit" => Trend::Line,
                "none" => Trend::None,
                _ => return None,
            },
            test_points: number(test_points).map_or(0, position),
        })
    }
}

fn season_of(period: Option<f64>, threshold: f64) -> Season {
    match period {
        None => Season::Detect(threshold),
        Some(period) if period > 0.0 => Season::Given(period),
        Some(period) if (period + 1.0).abs() < 1e-9 => Season::Detect(threshold),
        Some(_) => Season::None,
    }
}

/// The numbers of a series; gaps are filled along straight lines, so that they are no anomaly.
fn filled(cell: Cell<'_>) -> Option<Vec<f64>> {
    let series = Series::read(cell.text())?;
    let known: Vec<(usize, f64)> =
        series.values.iter().enumerate().filter_map(|(i, v)| Some((i, v.filter(|v| v.is_finite())?))).collect();
    let at = |index: usize| {
        let after = known.partition_point(|(position, _)| *position < index);
        match (after.checked_sub(1).and_then(|before| known.get(before)), known.get(after)) {
            (Some((left, from)), Some((right, to))) => from + (to - from) * count(index - left) / count(right - left),
            (Some((_, value)), None) | (None, Some((_, value))) => *value,
            (None, None) => 0.0,
        }
    };
    Some((0..series.values.len()).map(at).collect())
}

fn parts_text(parts: &Parts) -> String {
    let texts = [&parts.baseline, &parts.seasonal, &parts.trend, &parts.residual].map(|values| reals(values));
    format!("[{}]", texts.join(","))
}

/// `series_decompose(series, period, trend, test_points, seasonality_threshold)`: its columns as an array.
pub fn series_decompose<'a>(args: &[Cell<'a>], _: &Call<'_>) -> Answer<'a> {
    let (Some(values), Some(options)) = (filled(args[0]), Options::of(args, 1, 2, 3, 4)) else { return Answer::Null };
    parts_text(&decompose(&values, options.season, options.trend, options.test_points)).into()
}

/// `series_decompose_forecast(series, points, period, trend, seasonality_threshold)`: its columns as an array.
/// The trend is a line unless another is asked for.
pub fn series_decompose_forecast<'a>(args: &[Cell<'a>], _: &Call<'_>) -> Answer<'a> {
    let (Some(values), Some(mut options)) = (filled(args[0]), Options::of(args, 2, 3, 1, 4)) else {
        return Answer::Null;
    };
    if args.get(3).is_none_or(|cell| cell.text().is_empty()) {
        options.trend = Trend::Line;
    }
    parts_text(&decompose(&values, options.season, options.trend, options.test_points)).into()
}

/// `series_decompose_anomalies(series, threshold, period, trend, test_points, method, seasonality_threshold)`: flags,
/// scores and baseline as an array.
pub fn series_decompose_anomalies<'a>(args: &[Cell<'a>], _: &Call<'_>) -> Answer<'a> {
    let (Some(values), Some(options)) = (filled(args[0]), Options::of(args, 2, 3, 4, 6)) else { return Answer::Null };
    let percentiles = match args.get(5).map_or("", |cell| cell.text()) {
        "" | "ctukey" => CUSTOM,
        "tukey" => CLASSIC,
        _ => return Answer::Null,
    };
    let threshold = args.get(1).and_then(|cell| cell.real()).unwrap_or(ANOMALY_THRESHOLD);
    let parts = decompose(&values, options.season, options.trend, options.test_points);
    let learned = values.len().saturating_sub(options.test_points);
    let scores = scores(&parts.residual, learned, percentiles);
    let flag = |score: &f64| if score.abs() > threshold { super::elementwise::sign(*score) } else { 0.0 };
    let flags = super::numbers::array(scores.iter().map(|score| Some(flag(score))), true);
    format!("[{flags},{},{}]", reals(&scores), reals(&parts.baseline)).into()
}

/// `series_seasonal(series, period, test_points)`.
pub fn series_seasonal<'a>(args: &[Cell<'a>], _: &Call<'_>) -> Answer<'a> {
    let Some(values) = filled(args[0]) else { return Answer::Null };
    let season = season_of(args.get(1).and_then(|cell| cell.real()), SEASONALITY_THRESHOLD);
    let test_points = args.get(2).and_then(|cell| cell.real()).map_or(0, position);
    reals(&seasonal(&values, season, test_points)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten weeks of a pattern on a slope.
    fn weeks() -> Vec<f64> {
        let pattern = [5.0, 1.0, -2.0, -4.0, -3.0, 0.0, 3.0];
        (0..70).map(|day| pattern[day % 7] + 0.5 * count(day)).collect()
    }

    #[test]
    fn a_season_on_a_slope_is_found() {
        let parts = decompose(&weeks(), Season::Detect(0.6), Trend::Line, 0);
        assert!(parts.residual.iter().all(|value| value.abs() < 0.3), "{:?}", parts.residual);
        assert!((parts.trend[69] - parts.trend[0] - 34.5).abs() < 1.0);
        assert!((parts.seasonal[0] - 5.0).abs() < 0.3);
    }

    #[test]
    fn the_parts_add_up() {
        for trend in [Trend::Average, Trend::Line, Trend::None] {
            let values = weeks();
            let parts = decompose(&values, Season::Given(7.0), trend, 7);
            for (index, value) in values.iter().enumerate() {
                assert!((parts.seasonal[index] + parts.trend[index] + parts.residual[index] - value).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn points_kept_out_are_forecast() {
        let mut values = weeks();
        let expected = values.split_off(63);
        values.extend([0.0; 7]);
        let parts = decompose(&values, Season::Detect(0.6), Trend::Line, 7);
        for (index, value) in expected.iter().enumerate() {
            assert!((parts.baseline[63 + index] - value).abs() < 0.5, "{:?}", &parts.baseline[63..]);
        }
    }

    #[test]
    fn a_spike_is_flagged() {
        let mut values: Vec<f64> = (0..60).map(|day| 10.0 + count(day % 5)).collect();
        values[30] = 100.0;
        values[31] = -50.0;
        let text = reals(&values);
        let call = Call { types: &[], return_type: moneta_event::ColumnType::Dynamic };
        let Answer::Text(text) = series_decompose_anomalies(&[Cell::Text(&text)], &call) else { panic!("no answer") };
        let flags = Series::read(crate::json::elements(&text).unwrap()[0]).unwrap().dense();
        assert!((flags[30] - 1.0).abs() < 1e-9 && (flags[31] + 1.0).abs() < 1e-9);
    }

    #[test]
    fn short_series_have_no_season() {
        assert_eq!(seasonal(&[1.0, 2.0], Season::Detect(0.7), 0), [0.0, 0.0]);
        assert_eq!(seasonal(&[], Season::Detect(0.7), 0), [0.0; 0]);
        assert_eq!(decompose(&[], Season::Given(3.0), Trend::Line, 5).baseline, [0.0; 0]);
    }
}
