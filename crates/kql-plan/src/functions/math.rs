//! Functions over numbers.

use arrow::datatypes::i256;
use moneta_event::ColumnType;
use moneta_event::decimal::{self, parse_decimal};

use super::arithmetic::remainder;
use super::row::{Answer, Call, Cell, real_to_long};
use super::{Function, Naming};

macro_rules! real_function {
    ($name:literal, $doc:literal, $example:expr, $function:expr) => {
        Function::row($name, &["(value: number) -> real"], |a, _| a[0].real().map($function).into()).doc($doc, $example)
    };
}

/// The declarations.
pub const FUNCTIONS: &[Function] = &[
    Function::row("abs", &["(value: summable) -> promoted"], |a, _| match a[0] {
        Cell::Long(value) => Answer::Long(value.wrapping_abs()),
        Cell::Time(value) => Answer::Time(value.saturating_abs()),
        Cell::Decimal(value) => Answer::Decimal(value.wrapping_abs()),
        other => other.real().map(f64::abs).into(),
    })
    .naming(Naming::First)
    .doc("A number without its sign.", &[("abs(-5)", "5")]),
    Function::row("round", &["(value: number, [digits: integer]) -> $1"], round).naming(Naming::First).doc(
        "Rounds to a number of digits after the point.",
        &[("round(2.98765, 3)", "real(2.988)"), ("round(2.15, 1)", "real(2.2)")],
    ),
    Function::row("ceiling", &["(value: number) -> $1"], |a, _| match a[0] {
        Cell::Real(value) => Answer::Real(value.ceil()),
        Cell::Decimal(value) => ceiling(value).into(),
        other => other.into(),
    })
    .naming(Naming::First)
    .doc("The least whole number not below a value.", &[("ceiling(-1.1)", "real(-1)"), ("ceiling(0.9)", "real(1)")]),
    Function::row("sqrt", &["(value: number) -> real"], |a, _| a[0].real().map(f64::sqrt).into())
        .naming(Naming::First)
        .doc("The square root; NaN below zero.", &[("sqrt(16)", "real(4)")]),
    Function::row("pow", &["(base: number, exponent: number) -> real"], |a, _| match (a[0].real(), a[1].real()) {
        (Some(base), Some(exponent)) => Answer::Real(base.powf(exponent)),
        _ => Answer::Null,
    })
    .naming(Naming::First)
    .doc("A power.", &[("pow(2, 3)", "real(8)")]),
    real_function!("exp", "The exponential function.", &[("exp(0)", "real(1)")], f64::exp).naming(Naming::First),
    real_function!("exp2", "A power of two.", &[("exp2(3)", "real(8)")], f64::exp2).naming(Naming::First),
    real_function!("exp10", "A power of ten.", &[("exp10(2)", "real(100)")], |x| 10f64.powf(x)).naming(Naming::First),
    real_function!("log", "The natural logarithm.", &[("log(1)", "real(0)")], f64::ln).naming(Naming::First),
    real_function!("log2", "The logarithm to base 2.", &[("log2(8)", "real(3)")], f64::log2).naming(Naming::First),
    real_function!("log10", "The logarithm to base 10.", &[("log10(100)", "real(2)")], f64::log10)
        .naming(Naming::First),
    real_function!("sin", "The sine of radians.", &[("sin(0)", "real(0)")], f64::sin).naming(Naming::First),
    real_function!("cos", "The cosine of radians.", &[("cos(0)", "real(1)")], f64::cos).naming(Naming::First),
    real_function!("tan", "The tangent of radians.", &[("tan(0)", "real(0)")], f64::tan).naming(Naming::First),
    real_function!("cot", "The cotangent of radians.", &[], |x: f64| 1.0 / x.tan()),
    real_function!("asin", "The arc sine.", &[("asin(0)", "real(0)")], f64::asin).naming(Naming::First),
    real_function!("acos", "The arc cosine.", &[("acos(1)", "real(0)")], f64::acos).naming(Naming::First),
    real_function!("atan", "The arc tangent.", &[("atan(0)", "real(0)")], f64::atan).naming(Naming::First),
    real_function!("degrees", "Radians as degrees.", &[("degrees(0)", "real(0)")], f64::to_degrees),
    real_function!("radians", "Degrees as radians.", &[("radians(0)", "real(0)")], f64::to_radians),
    Function::row("atan2", &["(y: number, x: number) -> real"], |a, _| match (a[0].real(), a[1].real()) {
        (Some(y), Some(x)) => Answer::Real(y.atan2(x)),
        _ => Answer::Null,
    })
    .naming(Naming::First)
    .doc("The angle of a point.", &[("atan2(0, 1)", "real(0)")]),
    Function::row("sign", &["(value: number) -> real"], |a, _| {
        a[0].real()
            .map(|r| {
                if r > 0.0 {
                    1.0
                } else if r < 0.0 {
                    -1.0
                } else {
                    0.0
                }
            })
            .into()
    })
    .doc("-1, 0 or 1 after the sign of a number.", &[("sign(-42)", "real(-1)")]),
    Function::row("pi", &["() -> real"], |_, _| std::f64::consts::PI.into()).doc("The number pi.", &[]),
    Function::row("isnan", &["(value: real) -> bool"], |a, _| a[0].real().map(f64::is_nan).into())
        .doc("Whether a real is no number.", &[("isnan(real(nan))", "true")]),
    Function::row("isinf", &["(value: real) -> bool"], |a, _| a[0].real().map(f64::is_infinite).into())
        .doc("Whether a real is infinite.", &[("isinf(1.0/0.0)", "true")]),
    Function::row("isfinite", &["(value: real) -> bool"], |a, _| a[0].real().map(f64::is_finite).into())
        .doc("Whether a real is finite.", &[("isfinite(1.0)", "true")]),
    Function::row("binary_and", &["(left: integer, right: integer) -> long"], |a, _| bits(a, |x, y| x & y))
        .naming(Naming::First)
        .doc("The bits both numbers have.", &[("binary_and(6, 3)", "2")]),
    Function::row("binary_or", &["(left: integer, right: integer) -> long"], |a, _| bits(a, |x, y| x | y))
        .naming(Naming::First)
        .doc("The bits either number has.", &[("binary_or(6, 3)", "7")]),
    Function::row("binary_xor", &["(left: integer, right: integer) -> long"], |a, _| bits(a, |x, y| x ^ y))
        .naming(Naming::First)
        .doc("The bits exactly one number has.", &[("binary_xor(6, 3)", "5")]),
    Function::row("binary_not", &["(value: integer) -> long"], |a, _| a[0].long().map(|x| !x).into())
        .naming(Naming::First)
        .doc("All bits turned round.", &[("binary_not(0)", "-1")]),
    Function::row("binary_shift_left", &["(value: integer, count: integer) -> long"], |a, _| {
        bits(a, |x, n| x.wrapping_shl(u32::try_from(n.rem_euclid(64)).unwrap_or(0)))
    })
    .naming(Naming::First)
    .doc("The bits moved to the left.", &[("binary_shift_left(1, 4)", "16")]),
    Function::row("binary_shift_right", &["(value: integer, count: integer) -> long"], |a, _| {
        bits(a, |x, n| x.wrapping_shr(u32::try_from(n.rem_euclid(64)).unwrap_or(0)))
    })
    .naming(Naming::First)
    .doc("The bits moved to the right.", &[("binary_shift_right(16, 4)", "1")]),
    Function::row("bitset_count_ones", &["(value: integer) -> long"], |a, _| {
        a[0].long().map(|x| i64::from(x.count_ones())).into()
    })
    .naming(Naming::First)
    .doc("Counts the bits that are set.", &[("bitset_count_ones(42)", "3")]),
    Function::row("tohex", &["(value: integer, [length: integer]) -> string"], |a, call| {
        let width = a.get(1).and_then(|n| n.long()).and_then(|n| usize::try_from(n).ok()).unwrap_or(0).min(64);
        let Some(value) = a[0].long() else { return Answer::Null };
        // The bits of a negative number, as many as its type has.
        match i32::try_from(value) {
            Ok(int) if call.types[0] == ColumnType::Int => format!("{int:0width$x}").into(),
            _ => format!("{value:0width$x}").into(),
        }
    })
    .naming(Naming::First)
    .doc(
        "A number in hexadecimal digits; a negative one in two's complement.",
        &[
            ("tohex(256)", "\"100\""),
            ("tohex(256, 8)", "\"00000100\""),
            ("tohex(-1)", "\"ffffffffffffffff\""),
            ("tohex(int(-1))", "\"ffffffff\""),
        ],
    ),
    Function::row("format_bytes", &["(value: number, [precision: integer], [unit: string]) -> string"], format_bytes)
        .naming(Naming::First)
        .doc("A number of bytes with a fitting unit.", &[("format_bytes(2000000)", "\"2 MB\"")]),
];

/// The least whole decimal not below a value.
fn ceiling(value: i256) -> Option<i256> {
    let above = remainder(value, decimal::ONE)?;
    if above == i256::ZERO { Some(value) } else { value.checked_sub(above)?.checked_add(decimal::ONE) }
}

fn bits<'a>(args: &[Cell<'a>], function: fn(i64, i64) -> i64) -> Answer<'a> {
    match (args[0].long(), args[1].long()) {
        (Some(x), Some(y)) => Answer::Long(function(x, y)),
        _ => Answer::Null,
    }
}

fn round<'a>(args: &[Cell<'a>], call: &Call<'_>) -> Answer<'a> {
    let digits = args.get(1).and_then(|n| n.long()).unwrap_or(0).clamp(-18, 18);
    if matches!(call.return_type, ColumnType::Int | ColumnType::Long) && digits >= 0 {
        return args[0].into();
    }
    let Some(value) = args[0].real() else { return Answer::Null };
    let text = if digits >= 0 {
        let exact = usize::try_from(digits).unwrap_or(0);
        let factor = 10f64.powi(i32::try_from(digits).unwrap_or(0));
        let scaled = (value * factor).round() / factor;
        if scaled.is_finite() { scaled } else { format!("{value:.exact$}").parse().unwrap_or(value) }
    } else {
        let factor = 10f64.powi(i32::try_from(-digits).unwrap_or(0));
        (value / factor).round() * factor
    };
    match call.return_type {
        ColumnType::Int | ColumnType::Long => real_to_long(text).into(),
        ColumnType::Decimal => parse_decimal(&text.to_string()).into(),
        _ => Answer::Real(text),
    }
}

fn format_bytes<'a>(args: &[Cell<'a>], _: &Call<'_>) -> Answer<'a> {
    const UNITS: [&str; 9] = ["Bytes", "KB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"];
    let Some(value) = args[0].real() else { return Answer::Null };
    let precision = args.get(1).and_then(|n| n.long()).unwrap_or(0).clamp(0, 12);
    let wanted = args.get(2).map(|unit| unit.text()).filter(|unit| !unit.is_empty());
    let position = match wanted {
        Some(unit) => match UNITS.iter().position(|known| known.eq_ignore_ascii_case(unit)) {
            Some(position) => position,
            None => return Answer::Null,
        },
        None => (0..8).find(|n| value.abs() < 1024f64.powi(n + 1)).map_or(8, |n| usize::try_from(n).unwrap_or(0)),
    };
    let scaled = value / 1024f64.powi(i32::try_from(position).unwrap_or(0));
    let factor = 10f64.powi(i32::try_from(precision).unwrap_or(0));
    let rounded = (scaled * factor).round() / factor;
    let text = if rounded == rounded.trunc() { format!("{rounded:.0}") } else { rounded.to_string() };
    format!("{text} {}", UNITS[position]).into()
}
