//! What rules see of a row's field: absent, one text, or several.
//!
//! Typed columns are rendered as text, JSON values are taken apart; the rest of the matcher knows text only.

use std::borrow::Cow;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, DurationNanosecondArray, Float64Array, StringArray,
    TimestampNanosecondArray,
};
use arrow::datatypes::{DataType, Int32Type, Int64Type};
use moneta_base::Timestamp;
use moneta_event::ColumnType;
use moneta_event::builder::format_span;

use super::extra::ExtraColumn;
use crate::limits;

/// The value of a field in one row.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Cell<'a> {
    /// Null, empty, or not in the event.
    Absent,
    /// One value.
    One(Cow<'a, str>),
    /// Several values: a test holds when it holds for any.
    Many(Vec<Cow<'a, str>>),
}

impl<'a> Cell<'a> {
    /// A text; the empty text is absent.
    pub fn of_text(text: &'a str) -> Self {
        if text.is_empty() { Self::Absent } else { Self::One(Cow::Borrowed(text)) }
    }

    /// A text made for this cell.
    pub fn owned(text: String) -> Self {
        if text.is_empty() { Self::Absent } else { Self::One(Cow::Owned(text)) }
    }

    fn of_values(mut values: Vec<Cow<'a, str>>) -> Self {
        values.retain(|value| !value.is_empty());
        match values.len() {
            0 => Self::Absent,
            1 => Self::One(values.remove(0)),
            _ => Self::Many(values),
        }
    }

    /// The values.
    #[must_use]
    pub fn values(&self) -> &[Cow<'a, str>] {
        match self {
            Self::Absent => &[],
            Self::One(value) => std::slice::from_ref(value),
            Self::Many(values) => values,
        }
    }

    /// Both cells' values.
    pub fn joined(self, other: Self) -> Self {
        match (self, other) {
            (Self::Absent, cell) | (cell, Self::Absent) => cell,
            (left, right) => Self::of_values([left.values(), right.values()].concat()),
        }
    }

    /// The value of JSON text: a string without its quotes, an array's elements and the whole, an object's text.
    pub fn of_json(json: &'a str) -> Self {
        let is_space = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_whitespace);
        let spaced = is_space(json.as_bytes().first()) || is_space(json.as_bytes().last());
        let json = if spaced { json.trim() } else { json };
        match json.as_bytes().first() {
            None => Self::Absent,
            Some(b'n') if json == "null" => Self::Absent,
            Some(b'"') => match json.get(1..json.len() - 1).filter(|inner| !inner.contains('\\')) {
                Some(inner) if json.len() >= 2 => Self::of_text(inner),
                _ => serde_json::from_str(json).map_or_else(|_| Self::of_text(json), Self::owned),
            },
            Some(b'[') => match serde_json::from_str(json) {
                Ok(value) => {
                    let mut values = Vec::new();
                    collect_texts(&value, 0, &mut values);
                    // Rules also search the array as one text.
                    if values.len() != 1 {
                        values.push(Cow::Borrowed(json));
                    }
                    Self::of_values(values)
                }
                Err(_) => Self::of_text(json),
            },
            Some(_) => Self::of_text(json),
        }
    }

    /// The values at a path into JSON text. Names are found whatever their case and spaces; arrays on the way are
    /// entered.
    pub fn of_json_path(json: &str, path: &[String]) -> Self {
        let Ok(value) = serde_json::from_str::<serde_json::Value>(json) else { return Self::Absent };
        let mut values = Vec::new();
        follow(&value, path, 0, &mut values);
        Self::of_values(values)
    }
}

fn follow(value: &serde_json::Value, path: &[String], depth: usize, values: &mut Vec<Cow<'_, str>>) {
    use serde_json::Value;
    if depth > limits::JSON_DEPTH_MAX {
        return;
    }
    match (value, path.split_first()) {
        (_, None) => collect_texts(value, depth, values),
        (Value::Array(items), Some(_)) => items.iter().for_each(|item| follow(item, path, depth + 1, values)),
        (Value::Object(members), Some((name, rest))) => members
            .iter()
            .filter(|(key, _)| normalised(key) == *name)
            .for_each(|(_, member)| follow(member, rest, depth + 1, values)),
        // A string that holds JSON is entered too: audit logs nest it so.
        (Value::String(text), Some(_)) if text.starts_with(['{', '[']) => {
            if let Ok(inner) = serde_json::from_str(text) {
                follow(&inner, path, depth + 1, values);
            }
        }
        _ => {}
    }
}

fn collect_texts(value: &serde_json::Value, depth: usize, values: &mut Vec<Cow<'_, str>>) {
    use serde_json::Value;
    if depth > limits::JSON_DEPTH_MAX {
        return;
    }
    match value {
        Value::Null => {}
        Value::String(text) => values.push(Cow::Owned(text.clone())),
        Value::Array(items) => items.iter().for_each(|item| collect_texts(item, depth + 1, values)),
        other => values.push(Cow::Owned(other.to_string())),
    }
}

/// The form in which field names are compared: lower case, without spaces (Defender writes `Threat Name`).
#[must_use]
pub fn normalised(name: &str) -> String {
    name.chars().filter(|c| *c != ' ').flat_map(char::to_lowercase).collect()
}

/// Reads one column of a block as cells.
#[derive(Debug)]
pub(crate) enum Source<'a> {
    Text(&'a StringArray),
    /// Text of which some rows may hold a list, written as JSON: a column of the user's own table takes its type from
    /// the first event, and later ones may have several values where that had one.
    TextOrList(&'a StringArray),
    /// `dynamic`: the value, or what a path into it names.
    Json(&'a StringArray, &'a [String]),
    Int(&'a arrow::array::PrimitiveArray<Int32Type>),
    Long(&'a arrow::array::PrimitiveArray<Int64Type>),
    Real(&'a Float64Array),
    Bool(&'a BooleanArray),
    Time(&'a TimestampNanosecondArray),
    Span(&'a DurationNanosecondArray),
    Decimal(&'a Decimal128Array),
    /// A key of `_Extra`, and a path into its value.
    Extra(&'a ExtraColumn<'a>, &'a [String]),
}

impl<'a> Source<'a> {
    /// The reader of an Arrow column; `None` for a type that tables do not have.
    pub fn of_column(array: &'a ArrayRef, column_type: ColumnType, path: &'a [String]) -> Option<Self> {
        Some(match array.data_type() {
            DataType::Utf8 if column_type == ColumnType::Dynamic || !path.is_empty() => {
                Self::Json(array.as_string_opt()?, path)
            }
            DataType::Utf8 => Self::Text(array.as_string_opt()?),
            DataType::Int32 => Self::Int(array.as_primitive_opt()?),
            DataType::Int64 => Self::Long(array.as_primitive_opt()?),
            DataType::Float64 => Self::Real(array.as_primitive_opt()?),
            DataType::Boolean => Self::Bool(array.as_boolean_opt()?),
            DataType::Timestamp(..) => Self::Time(array.as_primitive_opt()?),
            DataType::Duration(_) => Self::Span(array.as_primitive_opt()?),
            DataType::Decimal128(..) => Self::Decimal(array.as_primitive_opt()?),
            _ => return None,
        })
    }

    /// Whether no row has a text.
    pub fn is_blank(&self) -> bool {
        matches!(self, Self::Text(array) if array.value_data().is_empty())
    }

    /// Whether its values are numbers.
    pub fn is_number(&self) -> bool {
        matches!(self, Self::Int(_) | Self::Long(_) | Self::Real(_) | Self::Decimal(_))
    }

    /// The reader of a text column that may hold lists; one without any is read as text, which is quicker.
    pub fn with_lists(self) -> Self {
        match self {
            Self::Text(array) if memchr::memchr(b'[', array.value_data()).is_some() => Self::TextOrList(array),
            other => other,
        }
    }

    /// The value in one row.
    pub fn cell(&self, row: usize) -> Cell<'a> {
        match self {
            Self::Text(array) if array.is_valid(row) => Cell::of_text(array.value(row)),
            Self::TextOrList(array) if array.is_valid(row) && array.value(row).starts_with('[') => {
                Cell::of_json(array.value(row))
            }
            Self::TextOrList(array) if array.is_valid(row) => Cell::of_text(array.value(row)),
            Self::Json(array, []) if array.is_valid(row) => Cell::of_json(array.value(row)),
            Self::Json(array, path) if array.is_valid(row) => Cell::of_json_path(array.value(row), path),
            Self::Int(array) if array.is_valid(row) => Cell::owned(array.value(row).to_string()),
            Self::Long(array) if array.is_valid(row) => Cell::owned(array.value(row).to_string()),
            Self::Real(array) if array.is_valid(row) => Cell::owned(array.value(row).to_string()),
            Self::Bool(array) if array.is_valid(row) => Cell::owned(array.value(row).to_string()),
            Self::Time(array) if array.is_valid(row) => {
                Cell::owned(Timestamp::from_nanos(array.value(row)).to_string())
            }
            Self::Span(array) if array.is_valid(row) => Cell::owned(format_span(array.value(row))),
            Self::Decimal(array) if array.is_valid(row) => Cell::owned(array.value_as_string(row)),
            Self::Extra(column, path) => column.cell(row, path),
            _ => Cell::Absent,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn many(cell: &Cell<'_>) -> Vec<String> {
        cell.values().iter().map(|value| value.to_string()).collect()
    }

    #[test]
    fn json_values_become_texts() {
        for (json, expected) in [
            ("null", vec![]),
            ("\"\"", vec![]),
            ("\"a\"", vec!["a"]),
            (r#""a\\b""#, vec![r"a\b"]),
            ("17", vec!["17"]),
            ("true", vec!["true"]),
            (r#"["a",["b"],null]"#, vec!["a", "b", r#"["a",["b"],null]"#]),
            (r#"["a"]"#, vec!["a"]),
            (r#"{"a":1}"#, vec![r#"{"a":1}"#]),
            ("\"", vec!["\""]),
        ] {
            assert_eq!(many(&Cell::of_json(json)), expected, "{json}");
        }
    }

    #[test]
    fn paths_enter_objects_arrays_and_json_in_strings() {
        let json = r#"{"User Identity":{"Type":"Root"},"list":[{"n":1},{"n":2}],"s":"{\"x\":\"y\"}"}"#;
        let at = |path: &str| {
            let names: Vec<String> = path.split('.').map(normalised).collect();
            many(&Cell::of_json_path(json, &names))
        };
        assert_eq!(at("userIdentity.type"), ["Root"]);
        assert_eq!(at("list.n"), ["1", "2"]);
        assert_eq!(at("s.x"), ["y"]);
        assert_eq!(at("list.m"), [""; 0]);
    }
}
