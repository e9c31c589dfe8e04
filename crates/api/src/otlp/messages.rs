//! OTLP messages in protobuf, read into their JSON form.
//!
//! # Source
//! opentelemetry-proto 1.x: the numbers of fields in `logs`, `metrics`, `trace`, `resource` and `common`; the
//! specification's "JSON Protobuf Encoding": names in lower camel case, ids as hexadecimal digits, 64-bit numbers as
//! text. Fields of later versions than that have the member `unknownField` and their number: nothing is dropped.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::Signal;
use crate::protobuf::{Fields, Malformed, Wire, varints};

/// Messages within messages at most: values may nest without end. A value below that stays the bytes it is.
const DEPTH_MAX: usize = 64;

/// How a field is read.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Bool,
    /// A number of at most 32 bits.
    Int,
    /// The same, zigzagged.
    SignedInt,
    /// A number of 64 bits, which JSON has as text.
    Long,
    Double,
    /// Bytes in base64.
    Bytes,
    /// Bytes in hexadecimal digits.
    Id,
    Message(&'static [Field]),
    /// An `AnyValue`.
    Any,
    /// Several numbers of fixed width, packed or not.
    Longs,
    Doubles,
    /// Several numbers of varying width, packed or not.
    Varints,
}

/// A field's number, name in JSON, and kind; whether there may be several.
struct Field(u32, &'static str, Kind, bool);

const fn one(number: u32, name: &'static str, kind: Kind) -> Field {
    Field(number, name, kind, false)
}

const fn many(number: u32, name: &'static str, kind: Kind) -> Field {
    Field(number, name, kind, true)
}

static ANY: [Field; 7] = [
    one(1, "stringValue", Kind::Text),
    one(2, "boolValue", Kind::Bool),
    one(3, "intValue", Kind::Long),
    one(4, "doubleValue", Kind::Double),
    one(5, "arrayValue", Kind::Message(&ARRAY)),
    one(6, "kvlistValue", Kind::Message(&LIST)),
    one(7, "bytesValue", Kind::Bytes),
];
static ARRAY: [Field; 1] = [many(1, "values", Kind::Any)];
static LIST: [Field; 1] = [many(1, "values", Kind::Message(&PAIR))];
static PAIR: [Field; 2] = [one(1, "key", Kind::Text), one(2, "value", Kind::Any)];
static RESOURCE: [Field; 3] = [
    many(1, "attributes", Kind::Message(&PAIR)),
    one(2, "droppedAttributesCount", Kind::Int),
    many(3, "entityRefs", Kind::Message(&ENTITY)),
];
static ENTITY: [Field; 4] = [
    one(1, "schemaUrl", Kind::Text),
    one(2, "type", Kind::Text),
    many(3, "idKeys", Kind::Text),
    many(4, "descriptionKeys", Kind::Text),
];
static SCOPE: [Field; 4] = [
    one(1, "name", Kind::Text),
    one(2, "version", Kind::Text),
    many(3, "attributes", Kind::Message(&PAIR)),
    one(4, "droppedAttributesCount", Kind::Int),
];

static LOGS: [Field; 1] = [many(1, "resourceLogs", Kind::Message(&RESOURCE_LOGS))];
static RESOURCE_LOGS: [Field; 3] = [
    one(1, "resource", Kind::Message(&RESOURCE)),
    many(2, "scopeLogs", Kind::Message(&SCOPE_LOGS)),
    one(3, "schemaUrl", Kind::Text),
];
static SCOPE_LOGS: [Field; 3] = [
    one(1, "scope", Kind::Message(&SCOPE)),
    many(2, "logRecords", Kind::Message(&LOG_RECORD)),
    one(3, "schemaUrl", Kind::Text),
];
static LOG_RECORD: [Field; 11] = [
    one(1, "timeUnixNano", Kind::Long),
    one(2, "severityNumber", Kind::Int),
    one(3, "severityText", Kind::Text),
    one(5, "body", Kind::Any),
    many(6, "attributes", Kind::Message(&PAIR)),
    one(7, "droppedAttributesCount", Kind::Int),
    one(8, "flags", Kind::Int),
    one(9, "traceId", Kind::Id),
    one(10, "spanId", Kind::Id),
    one(11, "observedTimeUnixNano", Kind::Long),
    one(12, "eventName", Kind::Text),
];

static TRACES: [Field; 1] = [many(1, "resourceSpans", Kind::Message(&RESOURCE_SPANS))];
static RESOURCE_SPANS: [Field; 3] = [
    one(1, "resource", Kind::Message(&RESOURCE)),
    many(2, "scopeSpans", Kind::Message(&SCOPE_SPANS)),
    one(3, "schemaUrl", Kind::Text),
];
static SCOPE_SPANS: [Field; 3] =
    [one(1, "scope", Kind::Message(&SCOPE)), many(2, "spans", Kind::Message(&SPAN)), one(3, "schemaUrl", Kind::Text)];
static SPAN: [Field; 16] = [
    one(1, "traceId", Kind::Id),
    one(2, "spanId", Kind::Id),
    one(3, "traceState", Kind::Text),
    one(4, "parentSpanId", Kind::Id),
    one(5, "name", Kind::Text),
    one(6, "kind", Kind::Int),
    one(7, "startTimeUnixNano", Kind::Long),
    one(8, "endTimeUnixNano", Kind::Long),
    many(9, "attributes", Kind::Message(&PAIR)),
    one(10, "droppedAttributesCount", Kind::Int),
    many(11, "events", Kind::Message(&SPAN_EVENT)),
    one(12, "droppedEventsCount", Kind::Int),
    many(13, "links", Kind::Message(&LINK)),
    one(14, "droppedLinksCount", Kind::Int),
    one(15, "status", Kind::Message(&STATUS)),
    one(16, "flags", Kind::Int),
];
static SPAN_EVENT: [Field; 4] = [
    one(1, "timeUnixNano", Kind::Long),
    one(2, "name", Kind::Text),
    many(3, "attributes", Kind::Message(&PAIR)),
    one(4, "droppedAttributesCount", Kind::Int),
];
static LINK: [Field; 6] = [
    one(1, "traceId", Kind::Id),
    one(2, "spanId", Kind::Id),
    one(3, "traceState", Kind::Text),
    many(4, "attributes", Kind::Message(&PAIR)),
    one(5, "droppedAttributesCount", Kind::Int),
    one(6, "flags", Kind::Int),
];
static STATUS: [Field; 2] = [one(2, "message", Kind::Text), one(3, "code", Kind::Int)];

static METRICS: [Field; 1] = [many(1, "resourceMetrics", Kind::Message(&RESOURCE_METRICS))];
static RESOURCE_METRICS: [Field; 3] = [
    one(1, "resource", Kind::Message(&RESOURCE)),
    many(2, "scopeMetrics", Kind::Message(&SCOPE_METRICS)),
    one(3, "schemaUrl", Kind::Text),
];
static SCOPE_METRICS: [Field; 3] = [
    one(1, "scope", Kind::Message(&SCOPE)),
    many(2, "metrics", Kind::Message(&METRIC)),
    one(3, "schemaUrl", Kind::Text),
];
static METRIC: [Field; 9] = [
    one(1, "name", Kind::Text),
    one(2, "description", Kind::Text),
    one(3, "unit", Kind::Text),
    one(5, "gauge", Kind::Message(&NUMBERS)),
    one(7, "sum", Kind::Message(&NUMBERS)),
    one(9, "histogram", Kind::Message(&HISTOGRAM)),
    one(10, "exponentialHistogram", Kind::Message(&EXPONENTIAL)),
    one(11, "summary", Kind::Message(&SUMMARY)),
    many(12, "metadata", Kind::Message(&PAIR)),
];
static NUMBERS: [Field; 3] = [
    many(1, "dataPoints", Kind::Message(&NUMBER)),
    one(2, "aggregationTemporality", Kind::Int),
    one(3, "isMonotonic", Kind::Bool),
];
static NUMBER: [Field; 7] = [
    one(2, "startTimeUnixNano", Kind::Long),
    one(3, "timeUnixNano", Kind::Long),
    one(4, "asDouble", Kind::Double),
    many(5, "exemplars", Kind::Message(&EXEMPLAR)),
    one(6, "asInt", Kind::Long),
    many(7, "attributes", Kind::Message(&PAIR)),
    one(8, "flags", Kind::Int),
];
static EXEMPLAR: [Field; 6] = [
    one(2, "timeUnixNano", Kind::Long),
    one(3, "asDouble", Kind::Double),
    one(4, "spanId", Kind::Id),
    one(5, "traceId", Kind::Id),
    one(6, "asInt", Kind::Long),
    many(7, "filteredAttributes", Kind::Message(&PAIR)),
];
static HISTOGRAM: [Field; 2] =
    [many(1, "dataPoints", Kind::Message(&HISTOGRAM_POINT)), one(2, "aggregationTemporality", Kind::Int)];
static HISTOGRAM_POINT: [Field; 11] = [
    one(2, "startTimeUnixNano", Kind::Long),
    one(3, "timeUnixNano", Kind::Long),
    one(4, "count", Kind::Long),
    one(5, "sum", Kind::Double),
    one(6, "bucketCounts", Kind::Longs),
    one(7, "explicitBounds", Kind::Doubles),
    many(8, "exemplars", Kind::Message(&EXEMPLAR)),
    many(9, "attributes", Kind::Message(&PAIR)),
    one(10, "flags", Kind::Int),
    one(11, "min", Kind::Double),
    one(12, "max", Kind::Double),
];
static EXPONENTIAL: [Field; 2] =
    [many(1, "dataPoints", Kind::Message(&EXPONENTIAL_POINT)), one(2, "aggregationTemporality", Kind::Int)];
static EXPONENTIAL_POINT: [Field; 14] = [
    many(1, "attributes", Kind::Message(&PAIR)),
    one(2, "startTimeUnixNano", Kind::Long),
    one(3, "timeUnixNano", Kind::Long),
    one(4, "count", Kind::Long),
    one(5, "sum", Kind::Double),
    one(6, "scale", Kind::SignedInt),
    one(7, "zeroCount", Kind::Long),
    one(8, "positive", Kind::Message(&BUCKETS)),
    one(9, "negative", Kind::Message(&BUCKETS)),
    one(10, "flags", Kind::Int),
    many(11, "exemplars", Kind::Message(&EXEMPLAR)),
    one(12, "min", Kind::Double),
    one(13, "max", Kind::Double),
    one(14, "zeroThreshold", Kind::Double),
];
static BUCKETS: [Field; 2] = [one(1, "offset", Kind::SignedInt), one(2, "bucketCounts", Kind::Varints)];
static SUMMARY: [Field; 1] = [many(1, "dataPoints", Kind::Message(&SUMMARY_POINT))];
static SUMMARY_POINT: [Field; 7] = [
    one(2, "startTimeUnixNano", Kind::Long),
    one(3, "timeUnixNano", Kind::Long),
    one(4, "count", Kind::Long),
    one(5, "sum", Kind::Double),
    many(6, "quantileValues", Kind::Message(&QUANTILE)),
    many(7, "attributes", Kind::Message(&PAIR)),
    one(8, "flags", Kind::Int),
];
static QUANTILE: [Field; 2] = [one(1, "quantile", Kind::Double), one(2, "value", Kind::Double)];

/// The request in its JSON form.
pub(super) fn read(signal: Signal, bytes: &[u8]) -> Result<Value, Malformed> {
    let fields: &[Field] = match signal {
        Signal::Logs => &LOGS,
        Signal::Metrics => &METRICS,
        Signal::Traces => &TRACES,
    };
    message(fields, bytes, 0)
}

fn message(fields: &[Field], bytes: &[u8], depth: usize) -> Result<Value, Malformed> {
    let mut object = Map::new();
    for field in Fields::of(bytes) {
        let (number, wire) = field?;
        let Some(Field(_, name, kind, is_many)) = fields.iter().find(|field| field.0 == number) else {
            let list = object.entry(format!("unknownField{number}")).or_insert_with(|| Value::Array(Vec::new()));
            list.as_array_mut().ok_or(Malformed)?.push(unknown(wire));
            continue;
        };
        if matches!(kind, Kind::Longs | Kind::Doubles | Kind::Varints) {
            let list = object.entry(*name).or_insert_with(|| Value::Array(Vec::new()));
            list.as_array_mut().ok_or(Malformed)?.extend(numbers(*kind, wire)?);
            continue;
        }
        let value = value(*kind, wire, depth)?;
        if *is_many {
            let list = object.entry(*name).or_insert_with(|| Value::Array(Vec::new()));
            list.as_array_mut().ok_or(Malformed)?.push(value);
        } else {
            object.insert((*name).to_owned(), value);
        }
    }
    Ok(Value::Object(object))
}

fn value(kind: Kind, wire: Wire<'_>, depth: usize) -> Result<Value, Malformed> {
    Ok(match kind {
        Kind::Text => wire.text()?.into(),
        Kind::Bool => (wire.int()? != 0).into(),
        Kind::Int => wire.int()?.into(),
        Kind::SignedInt => zigzag(wire.int()?).into(),
        Kind::Long => wire.int()?.to_string().into(),
        Kind::Double => double(wire.double()?),
        Kind::Bytes => STANDARD.encode(wire.bytes()?).into(),
        Kind::Id => hex::encode(wire.bytes()?).into(),
        Kind::Message(fields) => message(fields, wire.bytes()?, depth + 1)?,
        Kind::Any if depth >= DEPTH_MAX => json!({ "bytesValue": STANDARD.encode(wire.bytes()?) }),
        Kind::Any => message(&ANY, wire.bytes()?, depth + 1)?,
        Kind::Longs | Kind::Doubles | Kind::Varints => return Err(Malformed),
    })
}

/// A value of which nothing but its bytes is known.
fn unknown(wire: Wire<'_>) -> Value {
    match wire {
        Wire::Varint(bits) | Wire::Fixed64(bits) => bits.to_string().into(),
        Wire::Fixed32(bits) => bits.into(),
        Wire::Bytes(bytes) => STANDARD.encode(bytes).into(),
    }
}

/// JSON has no word for what is not a number.
fn double(value: f64) -> Value {
    let words = if value.is_nan() {
        "NaN"
    } else if value > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    };
    if value.is_finite() { value.into() } else { words.into() }
}

/// The signed number of a zigzagged one: 0, -1, 1, -2, ...
fn zigzag(value: i64) -> i64 {
    (value.cast_unsigned() >> 1).cast_signed() ^ -(value & 1)
}

fn numbers(kind: Kind, wire: Wire<'_>) -> Result<Vec<Value>, Malformed> {
    let one = |bits: u64| match kind {
        Kind::Doubles => double(f64::from_bits(bits)),
        _ => bits.to_string().into(),
    };
    match wire {
        Wire::Fixed64(bits) | Wire::Varint(bits) => Ok(vec![one(bits)]),
        Wire::Fixed32(_) => Err(Malformed),
        Wire::Bytes(packed) if matches!(kind, Kind::Varints) => Ok(varints(packed)?.into_iter().map(one).collect()),
        Wire::Bytes(packed) if packed.len() % 8 == 0 => {
            let (chunks, _) = packed.as_chunks::<8>();
            Ok(chunks.iter().map(|bytes| one(u64::from_le_bytes(*bytes))).collect())
        }
        Wire::Bytes(_) => Err(Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, u8::try_from(bytes.len()).unwrap()], bytes].concat()
    }

    #[test]
    fn a_log_record_is_read() {
        let body = field(5, &field(1, b"hi"));
        let attribute = field(
            6,
            &[field(1, b"k"), field(2, &[0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1])].concat(),
        );
        let time = [&[0x09][..], &7_u64.to_le_bytes()].concat();
        let record = field(2, &[time, vec![0x10, 9], body, attribute, field(9, &[0xab, 1])].concat());
        let request = field(1, &field(2, &record));
        let read = read(Signal::Logs, &request).unwrap();
        let record = &read["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0];
        let expected = r#"{"timeUnixNano":"7","severityNumber":9,"body":{"stringValue":"hi"},"attributes":[{"key":"k","value":{"intValue":"-1"}}],"traceId":"ab01"}"#;
        assert_eq!(record.to_string(), expected);
    }

    #[test]
    fn fields_of_later_versions_are_kept() {
        let metric = [field(1, b"m"), field(15, b"new"), field(15, b"er"), vec![0x70, 7]].concat();
        let read = message(&METRIC, &metric, 0).unwrap().to_string();
        assert_eq!(read, r#"{"name":"m","unknownField15":["bmV3","ZXI="],"unknownField14":["7"]}"#);
    }

    #[test]
    fn packed_numbers_are_read_and_endless_nesting_is_not() {
        let counts = [1_u64, 2].iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<_>>();
        assert_eq!(
            message(&HISTOGRAM_POINT, &field(6, &counts), 0).unwrap().to_string(),
            r#"{"bucketCounts":["1","2"]}"#
        );
        assert_eq!(message(&HISTOGRAM_POINT, &field(6, &counts[1..]), 0), Err(Malformed));
        // Scale -1, an offset of 3, counts of 1 and 300.
        let buckets = [&[0x08, 6][..], &field(2, &[1, 0xac, 2])].concat();
        let point = [vec![0x30, 1], field(8, &buckets)].concat();
        assert_eq!(
            message(&EXPONENTIAL_POINT, &point, 0).unwrap().to_string(),
            r#"{"scale":-1,"positive":{"offset":3,"bucketCounts":["1","300"]}}"#
        );
        let nested = (0..30).fold(vec![], |inner, _| field(5, &field(1, &inner)));
        assert!(!message(&ANY, &nested, 0).unwrap().to_string().contains("bytesValue"));
        assert!(message(&ANY, &nested, DEPTH_MAX - 10).unwrap().to_string().contains("bytesValue"));
    }
}
