//! Functions over series: arrays of numbers in equal steps, as `make-series` makes them.
//!
//! The algorithms are plain functions over slices, one subject per module; this file declares the functions.

pub mod decompose;
pub mod elementwise;
pub mod fill;
pub mod filter;
pub mod fit;
pub mod fourier;
pub mod numbers;
pub mod outliers;
pub mod periods;
pub mod stats;

use moneta_event::ColumnType::{Dynamic, Long, Real};

use super::{Fills, Function, Naming};
use elementwise::{combine, compare, map};
use numbers::Series;

const PAIR: &[&str] = &[
    "(series: dynamic, other: dynamic) -> dynamic",
    "(series: dynamic, value: number) -> dynamic",
    "(value: number, series: dynamic) -> dynamic",
];

macro_rules! combining {
    ($name:literal, $whole:literal, $doc:literal, $result:literal, $operation:expr) => {
        Function::row($name, PAIR, |a, _| combine(a, $whole, $operation))
            .doc($doc, &[(concat!($name, "(dynamic([1,2,4]), dynamic([4,2,1]))"), concat!("dynamic([", $result, "])"))])
    };
}

macro_rules! comparing {
    ($name:literal, $doc:literal, $result:literal, $operation:expr) => {
        Function::row($name, PAIR, |a, _| compare(a, $operation))
            .doc($doc, &[(concat!($name, "(dynamic([1,2,4]), dynamic([4,2,1]))"), concat!("dynamic([", $result, "])"))])
    };
}

macro_rules! mapping {
    ($name:literal, $whole:literal, $doc:literal, $argument:literal, $result:literal, $operation:expr) => {
        Function::row($name, &["(series: dynamic) -> dynamic"], |a, _| map(a[0], $whole, $operation))
            .doc($doc, &[(concat!($name, "(dynamic([", $argument, "]))"), concat!("dynamic([", $result, "])"))])
    };
}

/// The declarations.
pub const FUNCTIONS: &[Function] = &[
    combining!("series_add", true, "Adds two series element by element.", "5,4,5", |a, b| a + b),
    combining!("series_subtract", true, "Subtracts a series from another.", "-3,0,3", |a, b| a - b),
    combining!("series_multiply", true, "Multiplies two series.", "4,4,4", |a, b| a * b),
    combining!("series_divide", false, "Divides a series by another.", "0.25,1.0,4.0", |a, b| a / b),
    combining!("series_pow", false, "Raises a series to powers.", "1.0,4.0,4.0", f64::powf),
    comparing!("series_greater", "Where a series is greater than another.", "false,false,true", f64::gt),
    comparing!("series_greater_equals", "Where a series is not less than another.", "false,true,true", f64::ge),
    comparing!("series_less", "Where a series is less than another.", "true,false,false", f64::lt),
    comparing!("series_less_equals", "Where a series is not greater than another.", "true,true,false", f64::le),
    comparing!("series_equals", "Where two series are equal.", "false,true,false", f64::eq),
    comparing!("series_not_equals", "Where two series differ.", "true,false,true", f64::ne),
    mapping!("series_abs", true, "Each element without its sign.", "-6.5,0,8", "6.5,0.0,8.0", f64::abs),
    mapping!("series_sign", true, "The sign of each element.", "-6,0,8", "-1,0,1", elementwise::sign),
    mapping!("series_exp", false, "The exponential function of each element.", "0,0", "1.0,1.0", f64::exp),
    mapping!("series_log", false, "The natural logarithm of each element.", "1,1", "0.0,0.0", f64::ln),
    mapping!("series_sin", false, "The sine of each element.", "0,0", "0.0,0.0", f64::sin),
    mapping!("series_cos", false, "The cosine of each element.", "0,0", "1.0,1.0", f64::cos),
    mapping!("series_tan", false, "The tangent of each element.", "0,0", "0.0,0.0", f64::tan),
    mapping!("series_asin", false, "The arc sine of each element.", "0,0", "0.0,0.0", f64::asin),
    mapping!("series_acos", false, "The arc cosine of each element.", "1,1", "0.0,0.0", f64::acos),
    mapping!("series_atan", false, "The arc tangent of each element.", "0,0", "0.0,0.0", f64::atan),
    mapping!("series_floor", false, "Rounds each element down.", "-1.5,1,2.5", "-2.0,1.0,2.0", f64::floor),
    mapping!("series_ceiling", false, "Rounds each element up.", "-1.5,1,2.5", "-1.0,1.0,3.0", f64::ceil),
    Function::row("series_sum", &["(series: dynamic) -> real"], |a, _| {
        Series::read(a[0].text()).map(|series| series.present().sum::<f64>()).into()
    })
    .doc("The sum of a series.", &[("series_sum(dynamic([1,2,3,4]))", "real(10)")]),
    Function::row("series_product", &["(series: dynamic) -> real"], |a, _| {
        Series::read(a[0].text()).map(|series| series.present().product::<f64>()).into()
    })
    .doc("The product of a series.", &[("series_product(dynamic([1,2,3,4]))", "real(24)")]),
    Function::row("series_magnitude", &["(series: dynamic) -> real"], |a, _| {
        Series::read(a[0].text()).map(|series| series.present().map(|v| v * v).sum::<f64>().sqrt()).into()
    })
    .doc("The length of a series as a vector.", &[("series_magnitude(dynamic([3,4]))", "real(5)")]),
    Function::row(
        "series_dot_product",
        &[
            "(series: dynamic, other: dynamic) -> real",
            "(series: dynamic, value: number) -> real",
            "(value: number, series: dynamic) -> real",
        ],
        elementwise::dot_product,
    )
    .doc("The sum of the products of two series.", &[("series_dot_product(dynamic([1,2]), dynamic([3,4]))", "real(11)")]),
    Function::row(
        "series_cosine_similarity",
        &["(series: dynamic, other: dynamic, [magnitude: real], [other_magnitude: real]) -> real"],
        elementwise::cosine_similarity,
    )
    .handles_nulls()
    .doc(
        "The cosine of the angle between two series.",
        &[("series_cosine_similarity(dynamic([3,4]), dynamic([4,3]))", "real(0.96)")],
    ),
    Function::row(
        "series_pearson_correlation",
        &["(series: dynamic, other: dynamic) -> real"],
        elementwise::pearson_correlation,
    )
    .doc(
        "The correlation of two series.",
        &[("series_pearson_correlation(dynamic([1,2,3]), dynamic([6,4,2]))", "real(-1)")],
    ),
    Function::row("series_fill_forward", &["(series: dynamic, [missing: number]) -> dynamic"], fill::forward)
        .naming(Naming::First)
        .handles_nulls()
        .doc("Fills gaps with the element before.", &[("series_fill_forward(dynamic([null,1,null]))", "dynamic([null,1,1])")]),
    Function::row("series_fill_backward", &["(series: dynamic, [missing: number]) -> dynamic"], fill::backward)
        .naming(Naming::First)
        .handles_nulls()
        .doc(
            "Fills gaps with the element behind.",
            &[("series_fill_backward(dynamic([null,1,null]))", "dynamic([1,1,null])")],
        ),
    Function::row(
        "series_fill_const",
        &["(series: dynamic, [constant: number], [missing: number]) -> dynamic"],
        fill::constant,
    )
    .naming(Naming::First)
    .handles_nulls()
    .doc("Fills gaps with a constant.", &[("series_fill_const(dynamic([null,1]), 7)", "dynamic([7,1])")]),
    Function::row(
        "series_fill_linear",
        &["(series: dynamic, [missing: number], [edges: bool], [constant: number]) -> dynamic"],
        fill::linear,
    )
    .naming(Naming::First)
    .handles_nulls()
    .doc(
        "Fills gaps along straight lines.",
        &[("series_fill_linear(dynamic([1.0,null,2.0,null]))", "dynamic([1.0,1.5,2.0,2.0])")],
    ),
    Function::row(
        "series_fir",
        &["(series: dynamic, filter: dynamic, [normalize: bool], [center: bool]) -> dynamic"],
        filter::series_fir,
    )
    .naming(Naming::First)
    .doc(
        "Applies a finite impulse response filter.",
        &[("series_fir(dynamic([1,2,4]), dynamic([1,-1]), false)", "dynamic([1.0,1.0,2.0])")],
    ),
    Function::row(
        "series_iir",
        &["(series: dynamic, numerators: dynamic, denominators: dynamic) -> dynamic"],
        filter::series_iir,
    )
    .naming(Naming::First)
    .doc(
        "Applies an infinite impulse response filter.",
        &[("series_iir(dynamic([1,2,3]), dynamic([1]), dynamic([1,-1]))", "dynamic([1.0,3.0,6.0])")],
    ),
    Function::row(
        "series_outliers",
        &[
            "(series: dynamic, [kind: text], [ignored: number]) -> dynamic",
            "(series: dynamic, kind: text, ignored: real, min_percentile: real, [max_percentile: real], [test_points: integer]) -> dynamic",
        ],
        outliers::series_outliers,
    )
    .naming(Naming::First)
    .handles_nulls()
    .doc(
        "How far each element lies outside the ordinary range: beyond 1.5 it is an outlier.",
        &[("series_outliers(dynamic([1,2,3,4,100]), 'tukey')", "dynamic([-0.5,0.0,0.0,0.0,48.0])")],
    ),
    Function::row(
        "series_seasonal",
        &["(series: dynamic, [period: integer], [test_points: integer]) -> dynamic"],
        decompose::series_seasonal,
    )
    .doc(
        "The part of a series that repeats.",
        &[("series_seasonal(dynamic([1,2,9,1,2,3,1,2,3]), 3)", "dynamic([1.0,2.0,3.0,1.0,2.0,3.0,1.0,2.0,3.0])")],
    ),
    Function::row("series_stats", &["(series: dynamic, [ignore_nonfinite: bool]) -> dynamic"], |a, _| {
        stats::series_stats(a)
    })
    .fills(Fills::Parts(&[
        ("min", Real),
        ("min_idx", Long),
        ("max", Real),
        ("max_idx", Long),
        ("avg", Real),
        ("stdev", Real),
        ("variance", Real),
    ]))
    .doc("Statistics of a series, one column each.", &[]),
    Function::row("series_stats_dynamic", &["(series: dynamic, [ignore_nonfinite: bool]) -> dynamic"], |a, _| {
        stats::series_stats_dynamic(a)
    })
    .doc("Statistics of a series as a bag.", &[("series_stats_dynamic(dynamic([1,3])).avg", "dynamic(2.0)")]),
    Function::row("series_fft", &["(series: dynamic, [imaginary: dynamic]) -> dynamic"], |a, _| {
        fourier::series_fourier(a, false)
    })
    .fills(Fills::Parts(&[("real", Dynamic), ("imag", Dynamic)]))
    .doc("The Fourier transform of a series.", &[]),
    Function::row("series_ifft", &["(series: dynamic, [imaginary: dynamic]) -> dynamic"], |a, _| {
        fourier::series_fourier(a, true)
    })
    .fills(Fills::Parts(&[("real", Dynamic), ("imag", Dynamic)]))
    .doc("The inverse Fourier transform of a series.", &[]),
    Function::row("series_fit_line", &["(series: dynamic) -> dynamic"], |a, _| fit::series_fit_line(a))
        .fills(Fills::Parts(&[
            ("rsquare", Real),
            ("slope", Real),
            ("variance", Real),
            ("rvariance", Real),
            ("interception", Real),
            ("line_fit", Dynamic),
        ]))
        .doc("The line of least squares through a series, one column per measure.", &[]),
    Function::row("series_fit_line_dynamic", &["(series: dynamic) -> dynamic"], |a, _| {
        fit::series_fit_line_dynamic(a)
    })
    .doc(
        "The line of least squares through a series as a bag.",
        &[("series_fit_line_dynamic(dynamic([1,3,5])).slope", "dynamic(2.0)")],
    ),
    Function::row("series_fit_2lines", &["(series: dynamic) -> dynamic"], |a, _| fit::series_fit_2lines(a))
        .fills(Fills::Parts(&[
            ("rsquare", Real),
            ("split_idx", Long),
            ("variance", Real),
            ("rvariance", Real),
            ("line_fit", Dynamic),
            ("right_rsquare", Real),
            ("right_slope", Real),
            ("right_interception", Real),
            ("right_variance", Real),
            ("right_rvariance", Real),
            ("left_rsquare", Real),
            ("left_slope", Real),
            ("left_interception", Real),
            ("left_variance", Real),
            ("left_rvariance", Real),
        ]))
        .doc("The two lines that fit a series best, one column per measure.", &[]),
    Function::row("series_fit_2lines_dynamic", &["(series: dynamic) -> dynamic"], |a, _| {
        fit::series_fit_2lines_dynamic(a)
    })
    .doc(
        "The two lines that fit a series best as a bag.",
        &[("series_fit_2lines_dynamic(dynamic([0,1,2,9,7,5])).split_idx", "dynamic(2)")],
    ),
    Function::row("series_fit_poly", &["(series: dynamic, [x: dynamic], [degree: integer]) -> dynamic"], |a, _| {
        fit::series_fit_poly(a)
    })
    .fills(Fills::Parts(&[
        ("rsquare", Real),
        ("coefficients", Dynamic),
        ("variance", Real),
        ("rvariance", Real),
        ("poly_fit", Dynamic),
    ]))
    .doc("The polynomial of least squares through a series, one column per measure.", &[]),
    Function::row(
        "series_periods_detect",
        &["(series: dynamic, min_period: number, max_period: number, num_periods: integer) -> dynamic"],
        periods::series_periods_detect,
    )
    .fills(Fills::Parts(&[("periods", Dynamic), ("scores", Dynamic)]))
    .doc("The periods after which a series repeats, and how clearly.", &[]),
    Function::row(
        "series_periods_validate",
        &["(series: dynamic, period: number...) -> dynamic"],
        periods::series_periods_validate,
    )
    .fills(Fills::Parts(&[("periods", Dynamic), ("scores", Dynamic)]))
    .doc("How clearly a series repeats after each of some periods.", &[]),
    Function::row(
        "series_decompose",
        &["(series: dynamic, [period: integer], [trend: text], [test_points: integer], [seasonality_threshold: number]) -> dynamic"],
        decompose::series_decompose,
    )
    .handles_nulls()
    .fills(Fills::Parts(&[("baseline", Dynamic), ("seasonal", Dynamic), ("trend", Dynamic), ("residual", Dynamic)]))
    .doc("A series taken apart: what is expected, what repeats, what lasts, and what is left.", &[]),
    Function::row(
        "series_decompose_forecast",
        &["(series: dynamic, points: integer, [period: integer], [trend: text], [seasonality_threshold: number]) -> dynamic"],
        decompose::series_decompose_forecast,
    )
    .handles_nulls()
    .fills(Fills::Parts(&[("baseline", Dynamic), ("seasonal", Dynamic), ("trend", Dynamic), ("residual", Dynamic)]))
    .doc("A series taken apart, its last points being forecast from the others.", &[]),
    Function::row(
        "series_decompose_anomalies",
        &["(series: dynamic, [threshold: number], [period: integer], [trend: text], [test_points: integer], [method: text], [seasonality_threshold: number]) -> dynamic"],
        decompose::series_decompose_anomalies,
    )
    .handles_nulls()
    .fills(Fills::Parts(&[("ad_flag", Dynamic), ("ad_score", Dynamic), ("baseline", Dynamic)]))
    .doc("Where a series departs from its trend and season: 1 above, -1 below.", &[]),
];
