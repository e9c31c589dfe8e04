//! Conversions between types. None ever fails: what cannot be converted is null (for `string`: empty).

use std::borrow::Cow;

use arrow::datatypes::i256;
use moneta_event::ColumnType;
use moneta_event::decimal::{decimal_of, decimal_text, parse_decimal};
use moneta_kql::time::{parse_datetime, parse_timespan};

use super::row::{Answer, Call, Cell};
use super::{Function, Kernel, Naming};
use crate::json;
use crate::value::{self, datetime_nanos, datetime_text, timespan_nanos, timespan_text};

/// The declarations.
pub const FUNCTIONS: &[Function] = &[
    Function::row("tostring", &["(value: scalar) -> string"], |args, call| to_string(args[0], call.types[0]))
        .naming(Naming::First)
        .handles_nulls()
        .doc(
            "Converts a value to text; null becomes the empty text.",
            &[
                ("tostring(123)", "\"123\""),
                ("tostring(dynamic('a'))", "\"a\""),
                ("tostring(int(null))", "\"\""),
                ("tostring(true)", "\"True\""),
            ],
        ),
    Function::row("toint", &["(value: scalar) -> int"], |args, call| to_long(args[0], call.types[0]).into())
        .naming(Naming::First)
        .doc(
            "Converts a value to `int`, cutting fractions.",
            &[("toint('12')", "int(12)"), ("toint('1.5')", "int(null)"), ("toint(2.9)", "int(2)")],
        ),
    Function::row("tolong", &["(value: scalar) -> long"], |args, call| to_long(args[0], call.types[0]).into())
        .naming(Naming::First)
        .doc(
            "Converts a value to `long`, cutting fractions.",
            &[("tolong('0x10')", "16"), ("tolong('x')", "long(null)")],
        ),
    Function::row("toreal", &["(value: scalar) -> real"], |args, call| to_real(args[0], call.types[0]).into())
        .aliases(&["todouble"])
        .naming(Naming::First)
        .doc("Converts a value to `real`.", &[("toreal('1.5')", "real(1.5)")]),
    Function::row("todecimal", &["(value: scalar) -> decimal"], |args, call| to_decimal(args[0], call.types[0]).into())
        .naming(Naming::First)
        .doc("Converts a value to `decimal`.", &[("todecimal('1.25')", "decimal(1.25)")]),
    Function::row("tobool", &["(value: scalar) -> bool"], |args, call| to_bool(args[0], call.types[0]).into())
        .aliases(&["toboolean"])
        .naming(Naming::First)
        .doc(
            "Converts a value to `bool`: `true`, `false` in any case, or a number.",
            &[("tobool('True')", "true"), ("tobool('yes')", "bool(null)"), ("tobool(2)", "true")],
        ),
    Function::row("todatetime", &["(value: scalar) -> datetime"], |args, call| to_datetime(args[0], call.types[0]))
        .naming(Naming::First)
        .doc(
            "Converts a value to `datetime`.",
            &[("todatetime('2020-01-02')", "datetime(2020-01-02T00:00:00.0000000Z)")],
        ),
    Function::row("totimespan", &["(value: scalar) -> timespan"], |args, call| to_timespan(args[0], call.types[0]))
        .aliases(&["totime"])
        .naming(Naming::First)
        .doc("Converts a value to `timespan`.", &[("totimespan('0.00:01:00')", "timespan(00:01:00)")]),
    Function::row("toguid", &["(value: dynamic) -> guid", "(value: string) -> guid"], |args, call| {
        to_guid(&to_text(args[0], call.types[0])).into()
    })
    .naming(Naming::First)
    .doc(
        "Converts a text to `guid`.",
        &[("toguid('70FC66F7-8279-44FC-9092-D364D70FCE44')", "guid(70fc66f7-8279-44fc-9092-d364d70fce44)")],
    ),
    Function::row("parse_json", &["(json: dynamic) -> dynamic", "(json: string) -> dynamic"], |args, call| {
        to_dynamic(args[0], call.types[0])
    })
    .aliases(&["parsejson", "todynamic", "toobject"])
    .naming(Naming::First)
    .doc(
        "Reads a text as JSON; a text that is none stays a string. A `dynamic` is returned as it is.",
        &[("parse_json('{\"a\":1}').a", "dynamic(1)"), ("parse_json('abc')", "dynamic(\"abc\")")],
    ),
    Function::row("gettype", &["(value: scalar) -> string"], |args, call| type_name(args[0], call.types[0]).into())
        .naming(Naming::Prefix("type_"))
        .handles_nulls()
        .doc(
            "Names the type of a value; for a `dynamic` the type of what it holds.",
            &[("gettype(1.5)", "\"real\""), ("gettype(dynamic([1]))", "\"array\"")],
        ),
    Function::new("typeof", &["(value: scalar) -> string"], Kernel::Special)
        .doc("Names a type where the language wants one.", &[]),
];

/// `tostring`, without copying what is text already.
#[must_use]
pub fn to_string<'a>(cell: Cell<'a>, from: ColumnType) -> Answer<'a> {
    match (cell, from) {
        (Cell::Text(json), ColumnType::Dynamic) => Answer::Text(json::to_text(json)),
        (Cell::Text(text), _) => Answer::Text(Cow::Borrowed(text)),
        (cell, from) => Answer::Text(Cow::Owned(cell_text(cell, from))),
    }
}

/// [`to_string`] as text.
#[must_use]
pub fn to_text(cell: Cell<'_>, from: ColumnType) -> Cow<'_, str> {
    match to_string(cell, from) {
        Answer::Text(text) => text,
        _ => Cow::Borrowed(""),
    }
}

/// The text of a cell of any type.
#[must_use]
pub fn cell_text(cell: Cell<'_>, from: ColumnType) -> String {
    match cell {
        Cell::Null => String::new(),
        Cell::Bool(value) => if value { "True" } else { "False" }.to_owned(),
        Cell::Long(value) => value.to_string(),
        Cell::Real(value) => real_text(value),
        Cell::Decimal(value) => decimal_text(value),
        Cell::Text(text) if from == ColumnType::Dynamic => json::to_text(text).into_owned(),
        Cell::Text(text) => text.to_owned(),
        Cell::Time(nanos) if from == ColumnType::TimeSpan => timespan_text(nanos),
        Cell::Time(nanos) => datetime_text(nanos),
    }
}

/// A `real` as text: the shortest that reads back, whole values with `.0`.
#[must_use]
pub fn real_text(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned()
    } else if value == value.trunc() && value.abs() < 1e15 {
        format!("{value:.1}")
    } else if value != 0.0 && (value.abs() < 1e-5 || value.abs() >= 1e15) {
        let text = format!("{value:e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, digits) = exponent.strip_prefix('-').map_or(("+", exponent), |digits| ("-", digits));
        format!("{mantissa}E{sign}{digits:0>2}")
    } else {
        format!("{value}")
    }
}

/// A cell as JSON text; `None` for null.
#[must_use]
pub fn cell_json(cell: Cell<'_>, from: ColumnType) -> Option<String> {
    Some(match cell {
        Cell::Null => return None,
        Cell::Bool(value) => value.to_string(),
        Cell::Long(value) => value.to_string(),
        Cell::Real(value) if value.is_finite() => serde_json::Value::from(value).to_string(),
        Cell::Decimal(_) | Cell::Real(_) | Cell::Time(_) => json::quote(&cell_text(cell, from)),
        Cell::Text(text) if from == ColumnType::Dynamic => text.to_owned(),
        Cell::Text(text) => json::quote(text),
    })
}

/// A cell as a JSON value.
#[must_use]
pub fn cell_value(cell: Cell<'_>, from: ColumnType) -> serde_json::Value {
    match cell {
        Cell::Text(text) if from == ColumnType::Dynamic => json::parse(text),
        Cell::Text(text) => text.into(),
        Cell::Bool(value) => value.into(),
        Cell::Long(value) => value.into(),
        Cell::Real(value) if value.is_finite() => value.into(),
        Cell::Null => serde_json::Value::Null,
        Cell::Decimal(_) | Cell::Real(_) | Cell::Time(_) => cell_text(cell, from).into(),
    }
}

/// The text of a cell that holds text of any kind.
fn inner_text(cell: Cell<'_>, from: ColumnType) -> Option<Cow<'_, str>> {
    match cell {
        Cell::Text(text) if from == ColumnType::Dynamic => Some(json::to_text(text)),
        Cell::Text(text) => Some(Cow::Borrowed(text)),
        _ => None,
    }
}

fn to_long(cell: Cell<'_>, from: ColumnType) -> Option<i64> {
    match cell {
        Cell::Time(nanos) if from == ColumnType::DateTime => Some(value::datetime_ticks(nanos)),
        Cell::Time(nanos) => Some(nanos / 100),
        Cell::Text(json) if from == ColumnType::Dynamic && !json.starts_with('"') => match json {
            "true" => Some(1),
            "false" => Some(0),
            _ => json.parse::<i64>().ok().or_else(|| json.parse::<f64>().ok().and_then(super::row::real_to_long)),
        },
        Cell::Text(_) => parse_long(inner_text(cell, from)?.trim()),
        other => other.long(),
    }
}

fn parse_long(text: &str) -> Option<i64> {
    if let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        return u64::from_str_radix(digits, 16).ok().map(u64::cast_signed);
    }
    text.parse().ok()
}

fn to_real(cell: Cell<'_>, from: ColumnType) -> Option<f64> {
    match cell {
        Cell::Text(_) => {
            let text = inner_text(cell, from)?;
            let text = text.trim();
            match text.to_ascii_lowercase().as_str() {
                "nan" => Some(f64::NAN),
                "infinity" | "inf" | "+inf" => Some(f64::INFINITY),
                "-infinity" | "-inf" => Some(f64::NEG_INFINITY),
                "true" if from == ColumnType::Dynamic => Some(1.0),
                "false" if from == ColumnType::Dynamic => Some(0.0),
                _ => parse_long(text).map(super::row::long_to_real).or_else(|| text.parse().ok()),
            }
        }
        Cell::Time(_) => to_long(cell, from).map(super::row::long_to_real),
        other => other.real(),
    }
}

fn to_decimal(cell: Cell<'_>, from: ColumnType) -> Option<i256> {
    match cell {
        Cell::Decimal(value) => Some(value),
        Cell::Text(_) => parse_decimal(&inner_text(cell, from)?),
        Cell::Real(real) => parse_decimal(&format!("{real}")),
        other => to_long(other, from).map(decimal_of),
    }
}

fn to_bool(cell: Cell<'_>, from: ColumnType) -> Option<bool> {
    match cell {
        Cell::Bool(value) => Some(value),
        Cell::Text(_) => match inner_text(cell, from)?.trim().to_ascii_lowercase().as_str() {
            "true" => Some(true),
            "false" => Some(false),
            number => number.parse::<i64>().ok().map(|number| number != 0),
        },
        other => other.real().map(|number| number != 0.0),
    }
}

fn to_datetime<'a>(cell: Cell<'_>, from: ColumnType) -> Answer<'a> {
    let nanos = match cell {
        Cell::Time(nanos) if from == ColumnType::DateTime => Some(nanos),
        Cell::Text(_) => {
            inner_text(cell, from).and_then(|text| parse_datetime(text.trim())).map(|t| datetime_nanos(t).0)
        }
        Cell::Long(ticks) if ticks > 0 => Some(datetime_nanos(ticks).0),
        _ => None,
    };
    nanos.map_or(Answer::Null, Answer::Time)
}

fn to_timespan<'a>(cell: Cell<'_>, from: ColumnType) -> Answer<'a> {
    let nanos = match cell {
        Cell::Time(nanos) if from == ColumnType::TimeSpan => Some(nanos),
        Cell::Text(_) => inner_text(cell, from).and_then(|text| parse_timespan(text.trim())).map(timespan_nanos),
        Cell::Long(ticks) => Some(timespan_nanos(ticks)),
        Cell::Real(days) => super::row::real_to_long(days * 864e9).map(timespan_nanos),
        _ => None,
    };
    nanos.map_or(Answer::Null, Answer::Time)
}

/// A guid in its canonical form; `None` if the text is none.
#[must_use]
pub fn to_guid(text: &str) -> Option<String> {
    let inner = text.trim().trim_start_matches(['{', '(']).trim_end_matches(['}', ')']);
    let digits: String = inner.chars().filter(|c| *c != '-').collect::<String>().to_ascii_lowercase();
    let well_formed = digits.len() == 32 && digits.bytes().all(|b| b.is_ascii_hexdigit());
    let hyphens = inner.len() == 32 || inner.len() == 36;
    (well_formed && hyphens).then(|| {
        format!("{}-{}-{}-{}-{}", &digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..])
    })
}

/// What `parse_json` makes of a value.
#[must_use]
pub fn to_dynamic<'a>(cell: Cell<'a>, from: ColumnType) -> Answer<'a> {
    match (cell, from) {
        (Cell::Text(json), ColumnType::Dynamic) => Answer::Text(Cow::Borrowed(json)),
        (Cell::Text(text), ColumnType::String) => json::parse_lenient(text).into(),
        (cell, from) => cell_json(cell, from).into(),
    }
}

fn type_name(cell: Cell<'_>, from: ColumnType) -> &'static str {
    match (cell, from) {
        (Cell::Null, ColumnType::Dynamic) => "null",
        (Cell::Text(json), ColumnType::Dynamic) => match json.trim().as_bytes().first() {
            Some(b'{') => "dictionary",
            Some(b'[') => "array",
            Some(b'"') => "string",
            Some(b't' | b'f') => "bool",
            Some(b'n') | None => "null",
            Some(_) if json.contains(['.', 'e', 'E']) => "double",
            Some(_) => "long",
        },
        (_, ColumnType::Real) => "real",
        (_, other) => other.name(),
    }
}

/// Converts a cell to a type as the conversion function of that type does.
#[must_use]
pub fn convert<'a>(cell: Cell<'a>, call: &Call<'_>) -> Answer<'a> {
    let from = call.types[0];
    match call.return_type {
        ColumnType::Bool => to_bool(cell, from).into(),
        ColumnType::Int | ColumnType::Long => to_long(cell, from).into(),
        ColumnType::Real => to_real(cell, from).into(),
        ColumnType::Decimal => to_decimal(cell, from).into(),
        ColumnType::String => to_string(cell, from),
        ColumnType::DateTime => to_datetime(cell, from),
        ColumnType::TimeSpan => to_timespan(cell, from),
        ColumnType::Dynamic => cell_json(cell, from).into(),
        ColumnType::Guid => to_guid(&to_text(cell, from)).into(),
    }
}
