//! Numbers that are personal data: they leave their column, which cannot hold a token, for `_Extra`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, StringArray};
use arrow::compute::nullif;
use arrow::datatypes::{DataType, Float64Type, Int32Type, Int64Type};

use crate::finding::{Finder, KindCounts, Surroundings};
use crate::known::KnownValues;
use crate::scrubber::Displaced;
use crate::token::TokenKind;

/// The smallest number of 13 digits: payment cards have no fewer.
const CARD_MIN: i64 = 1_000_000_000_000;
/// Whole numbers up to here have one exact text as `real`.
const REAL_EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// The column without the numbers that became tokens, which are appended to `displaced`.
pub(crate) fn scrub(
    finder: &Finder,
    column: &ArrayRef,
    name: &str,
    kind: Option<TokenKind>,
    known: &mut KnownValues,
    displaced: &mut Vec<Displaced>,
    counts: &mut KindCounts,
) -> ArrayRef {
    if kind.is_none() && (!finder.policy.cards || finder.policy.allows_number_in(name)) {
        return column.clone();
    }
    let mut remove = vec![false; column.len()];
    for (row, removed) in remove.iter_mut().enumerate() {
        let Some(number) = whole_number(column, row) else { continue };
        if kind.is_none() && number < CARD_MIN {
            continue;
        }
        let text = number.to_string();
        let token = match kind {
            Some(kind) => finder.field_value(&text, kind, counts),
            None => finder.replace(&text, Surroundings::default(), counts),
        };
        if let Some(token) = token {
            let ids = kind.map_or_else(Vec::new, |kind| known.learn(finder, &text, kind, &token));
            known.note(row, &ids);
            displaced.push((row, name.to_owned(), token));
            *removed = true;
        }
    }
    if remove.contains(&true) {
        nullif(column, &BooleanArray::from(remove)).expect("the mask has the column's length")
    } else {
        column.clone()
    }
}

fn whole_number(column: &ArrayRef, row: usize) -> Option<i64> {
    if column.is_null(row) {
        return None;
    }
    match column.data_type() {
        DataType::Int32 => Some(i64::from(column.as_primitive::<Int32Type>().value(row))),
        DataType::Int64 => Some(column.as_primitive::<Int64Type>().value(row)),
        DataType::Float64 => {
            let value = column.as_primitive::<Float64Type>().value(row);
            let whole = value.fract() == 0.0 && (0.0..=REAL_EXACT_MAX).contains(&value);
            whole.then(|| format!("{value:.0}").parse().ok()).flatten()
        }
        _ => None,
    }
}

/// `_Extra` with the displaced numbers' tokens as further members.
pub(crate) fn add_to_extra(extra: &StringArray, displaced: &[Displaced]) -> ArrayRef {
    let mut texts: Vec<Option<String>> = extra.iter().map(|text| text.map(str::to_owned)).collect();
    for (row, name, token) in displaced {
        let member = format!("{}:{}", serde_json::Value::from(name.as_str()), serde_json::Value::from(token.as_str()));
        let old = texts[*row].take();
        let inner = old.as_deref().map(str::trim).and_then(|text| text.strip_prefix('{')?.strip_suffix('}'));
        texts[*row] = Some(match (inner.map(str::trim), old.as_deref()) {
            (Some(""), _) | (None, None) => format!("{{{member}}}"),
            (Some(inner), _) => format!("{{{inner},{member}}}"),
            (None, Some(old)) => format!("{{\"_Extra\":{old},{member}}}"),
        });
    }
    Arc::new(StringArray::from(texts))
}
