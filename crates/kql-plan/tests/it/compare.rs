//! When two answers are the same: the corpus' rules.

use serde_json::Value as Json;

/// How strictly rows are compared.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rules {
    /// Whether the order of the rows counts.
    pub ordered: bool,
    /// The absolute difference reals may have.
    pub tolerance: f64,
    /// The relative difference numbers may have (estimates).
    pub relative: f64,
    /// Whether arrays are sets.
    pub unordered_arrays: bool,
}

/// Whether the rows are the same; else what differs first.
pub fn rows(expected: &[Vec<Json>], found: &[Vec<Json>], rules: Rules) -> Result<(), String> {
    if expected.len() != found.len() {
        return Err(format!("{} rows instead of {}: {}", found.len(), expected.len(), shown(found)));
    }
    let same = |a: &[Json], b: &[Json]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| cell(a, b, rules));
    if expected.iter().zip(found).all(|(a, b)| same(a, b)) {
        return Ok(());
    }
    let mut left: Vec<&Vec<Json>> = found.iter().collect();
    for row in expected {
        match left.iter().position(|candidate| same(row, candidate)) {
            Some(at) => {
                left.swap_remove(at);
            }
            None => {
                return Err(format!(
                    "no row like {}; left {}",
                    Json::from(row.clone()),
                    left.first().map_or_else(String::new, |r| Json::from((*r).clone()).to_string())
                ));
            }
        }
    }
    // The rows are there in another order: ties may be permuted, so only the first key column would tell.
    if rules.ordered && expected.len() > 1 && !first_column_agrees(expected, found, rules) {
        return Err(format!("rows in another order: {}", shown(found)));
    }
    Ok(())
}

fn first_column_agrees(expected: &[Vec<Json>], found: &[Vec<Json>], rules: Rules) -> bool {
    let width = expected.first().map_or(0, Vec::len);
    (0..width).any(|column| expected.iter().zip(found).all(|(a, b)| cell(&a[column], &b[column], rules)))
}

fn shown(rows: &[Vec<Json>]) -> String {
    rows.iter().take(3).map(|row| Json::from(row.clone()).to_string()).collect::<Vec<_>>().join(" ")
}

fn cell(expected: &Json, found: &Json, rules: Rules) -> bool {
    match (expected, found) {
        (Json::Number(a), Json::Number(b)) => {
            let (a, b) = (a.as_f64().unwrap_or(f64::NAN), b.as_f64().unwrap_or(f64::NAN));
            (a - b).abs() <= rules.tolerance.max(1e-9 * b.abs()).max(rules.relative * b.abs())
        }
        (Json::String(a), Json::String(b)) => a.trim() == b.trim() || same_decimal(a, b),
        (Json::Array(a), Json::Array(b)) if rules.unordered_arrays => {
            a.len() == b.len() && a.iter().all(|x| b.iter().any(|y| cell(x, y, rules)))
        }
        (Json::Array(a), Json::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(x, y)| cell(x, y, rules)),
        (Json::Object(a), Json::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, x)| b.get(key).is_some_and(|y| cell(x, y, rules)))
        }
        // The documentation does not quote: text and number are told apart by nothing.
        (Json::String(a), other) | (other, Json::String(a)) if !other.is_array() && !other.is_object() => {
            let text = if other.is_null() { String::new() } else { other.to_string() };
            a.trim().eq_ignore_ascii_case(&text) || same_decimal(a, &text)
        }
        (a, b) => a == b,
    }
}

fn same_decimal(a: &str, b: &str) -> bool {
    let number = |text: &str| text.trim().parse::<f64>().ok();
    match (number(a), number(b)) {
        (Some(a), Some(b)) => (a - b).abs() <= 1e-9 * b.abs(),
        _ => false,
    }
}
