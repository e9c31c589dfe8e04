//! Arrays of numbers as `dynamic` holds them: read straight from JSON text, and written back.
//!
//! An element that is no number is missing. Texts of times are read as ticks, and `"NaN"`, `"Infinity"` and
//! `"-Infinity"` as the numbers JSON has no other way to write.

use std::fmt::Write as _;

use crate::json;

/// The greatest whole number a `real` holds without a gap.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// Numbers with gaps.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// The elements; a missing one is `None`.
    pub values: Vec<Option<f64>>,
    /// Whether every number is written as a whole number.
    pub whole: bool,
}

impl Series {
    /// The numbers of a JSON array; `None` if the text is no array.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let elements = json::elements(text)?;
        let mut series = Self { values: Vec::with_capacity(elements.len()), whole: true };
        for element in elements {
            let value = number(element);
            series.whole &= value.is_none() || !element.bytes().any(|b| matches!(b, b'.' | b'e' | b'E' | b'"'));
            series.values.push(value);
        }
        Some(series)
    }

    /// The numbers with NaN where one is missing.
    #[must_use]
    pub fn dense(&self) -> Vec<f64> {
        self.values.iter().map(|value| value.unwrap_or(f64::NAN)).collect()
    }

    /// The numbers if none is missing.
    #[must_use]
    pub fn complete(&self) -> Option<Vec<f64>> {
        self.values.iter().copied().collect()
    }

    /// The numbers that are there.
    pub fn present(&self) -> impl Iterator<Item = f64> + '_ {
        self.values.iter().copied().flatten()
    }
}

/// The number of one element.
#[must_use]
pub fn number(element: &str) -> Option<f64> {
    match element.as_bytes().first()? {
        b'-' | b'0'..=b'9' => element.parse().ok(),
        b't' => Some(1.0),
        b'f' => Some(0.0),
        b'"' => match element.trim_matches('"') {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            text => moneta_kql::time::parse_datetime(text)
                .or_else(|| moneta_kql::time::parse_timespan(text))
                .map(crate::functions::row::long_to_real),
        },
        _ => None,
    }
}

/// Adds one number to a JSON text: a whole one without a point if `whole` and it can be said exactly.
pub fn push_number(out: &mut String, value: f64, whole: bool) {
    // Writing to a String cannot fail.
    let _ = if whole && value.fract() == 0.0 && value.abs() < EXACT_MAX {
        write!(out, "{value:.0}")
    } else if value.is_nan() {
        write!(out, "\"NaN\"")
    } else if value.is_infinite() {
        write!(out, "{}", if value > 0.0 { "\"Infinity\"" } else { "\"-Infinity\"" })
    } else {
        write!(out, "{value:?}")
    };
}

/// A JSON array of numbers, `null` where one is missing.
#[must_use]
pub fn array(values: impl ExactSizeIterator<Item = Option<f64>>, whole: bool) -> String {
    joined(values, |out, value| match value {
        Some(value) => push_number(out, value, whole),
        None => out.push_str("null"),
    })
}

/// A JSON array of reals without gaps.
#[must_use]
pub fn reals(values: &[f64]) -> String {
    joined(values.iter(), |out, value| push_number(out, *value, false))
}

/// A JSON array whose elements a function writes.
#[must_use]
pub fn joined<T>(values: impl ExactSizeIterator<Item = T>, mut push: impl FnMut(&mut String, T)) -> String {
    let mut out = String::with_capacity(2 + values.len() * 8);
    out.push('[');
    for (index, value) in values.enumerate() {
        if index > 0 {
            out.push(',');
        }
        push(&mut out, value);
    }
    out.push(']');
    out
}

/// A count as a real.
#[must_use]
#[allow(clippy::cast_precision_loss, reason = "counts of elements are far below 2^53")]
pub fn count(number: usize) -> f64 {
    number as f64
}

/// A whole number that is a position, saturating.
#[must_use]
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked first")]
pub fn position(value: f64) -> usize {
    if value >= 1e15 {
        usize::MAX
    } else if value > 0.0 {
        value as usize
    } else {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_and_written_back() {
        let check = |text: &str, values: &[Option<f64>], whole: bool| {
            assert_eq!(Series::read(text), Some(Series { values: values.to_vec(), whole }), "{text}");
        };
        check("[1, -2,null]", &[Some(1.0), Some(-2.0), None], true);
        check("[1.5,\"x\",true]", &[Some(1.5), None, Some(1.0)], false);
        check("[]", &[], true);
        assert_eq!(Series::read("1"), None);
        assert_eq!(array([Some(2.0), None, Some(f64::NAN)].into_iter(), true), "[2,null,\"NaN\"]");
        assert_eq!(reals(&[2.0, 0.5, f64::INFINITY]), "[2.0,0.5,\"Infinity\"]");
    }
}
