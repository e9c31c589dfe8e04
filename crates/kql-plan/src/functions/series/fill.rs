//! Filling the gaps of a series. Elements that are there keep their text.

use super::numbers::{count, joined, number, push_number};
use crate::functions::row::{Answer, Call, Cell};
use crate::json;

/// The elements of a series, and which of them are to be filled.
struct Gaps<'a> {
    elements: Vec<&'a str>,
    missing: Vec<bool>,
}

impl<'a> Gaps<'a> {
    /// Missing is what equals the placeholder; without one, nulls and NaN.
    fn of(series: Cell<'a>, placeholder: Option<Cell<'_>>) -> Option<Self> {
        let elements = json::elements(series.text())?;
        let placeholder = placeholder.and_then(|cell| cell.real()).filter(|value| !value.is_nan());
        let is_missing = |element: &&str| match (number(element), placeholder) {
            (value, None) => value.is_none_or(f64::is_nan),
            (Some(value), Some(placeholder)) => (value - placeholder).abs() == 0.0,
            (None, Some(_)) => false,
        };
        let missing = elements.iter().map(is_missing).collect();
        Some(Self { elements, missing })
    }

    fn text(&self) -> String {
        joined(self.elements.iter(), |out, element| out.push_str(element))
    }

    /// Replaces each missing element by the one before it.
    fn carry(&mut self) {
        for index in 1..self.elements.len() {
            if self.missing[index] && !self.missing[index - 1] {
                self.elements[index] = self.elements[index - 1];
                self.missing[index] = false;
            }
        }
    }

    fn reverse(&mut self) {
        self.elements.reverse();
        self.missing.reverse();
    }
}

/// `series_fill_forward`.
pub fn forward<'a>(args: &[Cell<'a>], _: &Call<'_>) -> Answer<'a> {
    let Some(mut gaps) = Gaps::of(args[0], args.get(1).copied()) else { return Answer::Null };
    gaps.carry();
    gaps.text().into()
}

/// `series_fill_backward`.
pub fn backward<'a>(args: &[Cell<'a>], _: &Call<'_>) -> Answer<'a> {
    let Some(mut gaps) = Gaps::of(args[0], args.get(1).copied()) else { return Answer::Null };
    gaps.reverse();
    gaps.carry();
    gaps.reverse();
    gaps.text().into()
}

/// `series_fill_const`; the constant is 0 if none is given.
pub fn constant<'a>(args: &[Cell<'a>], _: &Call<'_>) -> Answer<'a> {
    let Some(mut gaps) = Gaps::of(args[0], args.get(2).copied()) else { return Answer::Null };
    let constant = constant_text(args.get(1).copied());
    for (element, missing) in gaps.elements.iter_mut().zip(&gaps.missing) {
        if *missing {
            *element = &constant;
        }
    }
    gaps.text().into()
}

fn constant_text(cell: Option<Cell<'_>>) -> String {
    let mut text = String::new();
    match cell {
        None => text.push('0'),
        Some(Cell::Long(value)) => text = value.to_string(),
        Some(other) => match other.real() {
            Some(value) => push_number(&mut text, value, false),
            None => text.push_str("null"),
        },
    }
    text
}

/// `series_fill_linear(series, placeholder, fill_edges, constant)`: straight lines over the gaps. The edges take the
/// nearest value, and a series without any number the constant.
pub fn linear<'a>(args: &[Cell<'a>], _: &Call<'_>) -> Answer<'a> {
    let Some(gaps) = Gaps::of(args[0], args.get(1).copied()) else { return Answer::Null };
    let edges = args.get(2).and_then(|cell| cell.bool()).unwrap_or(true);
    let value = |index: usize| (!gaps.missing[index]).then(|| number(gaps.elements[index])).flatten();
    let known: Vec<(usize, f64)> = (0..gaps.elements.len()).filter_map(|index| Some((index, value(index)?))).collect();
    let whole = known.iter().all(|(index, _)| !gaps.elements[*index].contains(['.', 'e', 'E', '"']));
    if known.is_empty() {
        let constant = constant_text(args.get(3).copied());
        return joined(gaps.elements.iter(), |out, _| out.push_str(&constant)).into();
    }
    joined(gaps.elements.iter().enumerate(), |out, (index, element)| {
        match gaps.missing[index].then(|| interpolated(&known, index, edges)) {
            None => out.push_str(element),
            Some(None) => out.push_str("null"),
            Some(Some(value)) => push_number(out, if whole { value.round() } else { value }, whole),
        }
    })
    .into()
}

/// The value at a position on the line between its known neighbours.
fn interpolated(known: &[(usize, f64)], index: usize, edges: bool) -> Option<f64> {
    let after = known.partition_point(|(position, _)| *position < index);
    match (after.checked_sub(1).and_then(|before| known.get(before)), known.get(after)) {
        (Some((left, from)), Some((right, to))) => Some(from + (to - from) * count(index - left) / count(right - left)),
        (Some((_, value)), None) | (None, Some((_, value))) => edges.then_some(*value),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use moneta_event::ColumnType;

    const CALL: Call<'static> = Call { types: &[], return_type: ColumnType::Dynamic };

    #[test]
    fn gaps_are_filled_and_other_elements_kept() {
        let check = |answer: Answer<'_>, expected: &str| assert_eq!(answer, Answer::Text(expected.into()));
        let series = Cell::Text("[null,1.50,null,3,\"NaN\"]");
        check(forward(&[series], &CALL), "[null,1.50,1.50,3,3]");
        check(backward(&[series], &CALL), "[1.50,1.50,3,3,\"NaN\"]");
        check(constant(&[series, Cell::Long(7)], &CALL), "[7,1.50,7,3,7]");
        check(linear(&[series], &CALL), "[1.5,1.50,2.25,3,3.0]");
        check(linear(&[series, Cell::Null, Cell::Bool(false)], &CALL), "[null,1.50,2.25,3,null]");
        check(linear(&[Cell::Text("[1,null,4]")], &CALL), "[1,3,4]");
        check(linear(&[Cell::Text("[null,null]")], &CALL), "[0,0]");
        check(forward(&[Cell::Text("[5,0,null]"), Cell::Long(0)], &CALL), "[5,5,null]");
    }
}
