//! Prometheus' remote write: samples of time series, as rows of `InsightsMetrics`.
//!
//! # Source
//! Prometheus Remote-Write 1.0 and 2.0 specifications: a message in protobuf as one block of Snappy; the media type
//! names the message, and without a name it is that of 1.0. Senders drop what gets a 4xx and repeat what gets a 5xx.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use moneta_base::{TableName, Timestamp};
use moneta_event::schema::standard;
use serde_json::{Map, Value};

use super::{NAMESPACE, TABLE};
use crate::ApiError;
use crate::auth::MayIngest;
use crate::body::{EVENTS_BODY_BYTES_MAX, Pieces};
use crate::intake::{Records, Target, on_other_thread, place};
use crate::loki::unpack;
use crate::protobuf::{Fields, Malformed, Wire, varints};
use crate::state::App;

/// The label that holds the name of a metric.
const NAME_LABEL: &str = "__name__";
/// The message of version 2.
const VERSION_2: &str = "io.prometheus.write.v2.Request";

/// `POST /api/v1/write`.
pub(super) async fn write(
    caller: Result<MayIngest, ApiError>,
    State(state): State<App>,
    request: Request,
) -> Result<Response, ApiError> {
    let MayIngest(ctx) = caller?;
    let is_second = media_type(request.headers()).contains(VERSION_2);
    let _place = place(&state).await?;
    let body = Pieces::of(request).collect(EVENTS_BODY_BYTES_MAX).await?;
    let (records, num_samples, num_histograms) = on_other_thread(move || read(is_second, &body)).await??;
    if !records.is_empty() {
        records.store(&state, &ctx, NAMESPACE, None).await?;
    }
    // Version 2 wants to know what was written; version 1 does not look.
    let written = [
        ("x-prometheus-remote-write-samples-written", num_samples.to_string()),
        ("x-prometheus-remote-write-histograms-written", num_histograms.to_string()),
        ("x-prometheus-remote-write-exemplars-written", "0".to_owned()),
    ];
    Ok((StatusCode::NO_CONTENT, written).into_response())
}

/// The records, and of how many samples and native histograms they are.
fn read(is_second: bool, body: &[u8]) -> Result<(Records, usize, usize), ApiError> {
    let message = unpack(body)?;
    let bad = |error: Malformed| ApiError::bad_request(error.to_string());
    let series = if is_second { second(&message) } else { first(&message) }.map_err(bad)?;
    let (mut records, mut num_samples, mut num_histograms) = (Records::default(), 0_usize, 0_usize);
    let target = Target::Table(TableName::new(TABLE).expect("a built-in table"));
    for series in &series {
        let shared = shared(series);
        for sample in &series.samples {
            let is_histogram = matches!(sample.value, Sampled::Histogram(_));
            num_histograms += usize::from(is_histogram);
            num_samples += usize::from(!is_histogram);
            records.push(&target, &row(shared.clone(), sample).ok_or(Malformed).map_err(bad)?)?;
        }
    }
    Ok((records, num_samples, num_histograms))
}

fn media_type(headers: &HeaderMap) -> &str {
    headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// Samples of one set of labels.
#[derive(Debug, Default, PartialEq)]
struct Series {
    labels: Map<String, Value>,
    samples: Vec<Sample>,
}

#[derive(Debug, PartialEq)]
struct Sample {
    /// Milliseconds since 1970.
    time: i64,
    value: Sampled,
}

#[derive(Debug, PartialEq)]
enum Sampled {
    Number(f64),
    /// A native histogram, as it was sent.
    Histogram(Vec<u8>),
}

/// What all rows of a series have.
fn shared(series: &Series) -> Map<String, Value> {
    let mut labels = series.labels.clone();
    let name = labels.shift_remove(NAME_LABEL).unwrap_or_default();
    let mut row = Map::new();
    row.insert("Name".to_owned(), name);
    row.insert("Namespace".to_owned(), NAMESPACE.into());
    row.insert("Origin".to_owned(), NAMESPACE.into());
    row.extend(labels.get("instance").map(|instance| ("Computer".to_owned(), instance.clone())));
    row.insert("Tags".to_owned(), Value::from(labels).to_string().into());
    row
}

/// A row; `None` when its time is out of range.
fn row(mut row: Map<String, Value>, sample: &Sample) -> Option<Map<String, Value>> {
    let time = Timestamp::from_nanos(sample.time.checked_mul(1_000_000)?);
    row.insert(standard::TIME_GENERATED.to_owned(), time.to_string().into());
    let (name, value) = match &sample.value {
        // JSON has no word for what is not a number; as text it is one of the column's values all the same.
        Sampled::Number(value) if value.is_finite() => ("Val", (*value).into()),
        Sampled::Number(value) => ("Val", value.to_string().into()),
        Sampled::Histogram(bytes) => ("Histogram", STANDARD.encode(bytes).into()),
    };
    row.insert(name.to_owned(), value);
    Some(row)
}

/// `prometheus.WriteRequest`: series (1) of labels (1), samples (2) and histograms (4).
fn first(message: &[u8]) -> Result<Vec<Series>, Malformed> {
    let mut all = Vec::new();
    for field in Fields::of(message) {
        let (1, series) = field? else { continue };
        let mut read = Series::default();
        for field in Fields::of(series.bytes()?) {
            match field? {
                (1, label) => {
                    let (name, value) = label.pair()?;
                    read.labels.insert(name.to_owned(), value.into());
                }
                (2, sample) => read.samples.push(number(sample)?),
                (4, histogram) => read.samples.push(of_histogram(histogram)?),
                _ => {}
            }
        }
        all.push(read);
    }
    Ok(all)
}

/// `io.prometheus.write.v2.Request`: texts (4), and series (5) whose labels (1) are places in them.
fn second(message: &[u8]) -> Result<Vec<Series>, Malformed> {
    let (mut texts, mut all) = (Vec::new(), Vec::new());
    for field in Fields::of(message) {
        if let (4, text) = field? {
            texts.push(text.text()?);
        }
    }
    for field in Fields::of(message) {
        let (5, series) = field? else { continue };
        let (mut read, mut places) = (Series::default(), Vec::new());
        for field in Fields::of(series.bytes()?) {
            match field? {
                (1, Wire::Bytes(packed)) => places.extend(varints(packed)?),
                (1, Wire::Varint(place)) => places.push(place),
                (2, sample) => read.samples.push(number(sample)?),
                (3, histogram) => read.samples.push(of_histogram(histogram)?),
                _ => {}
            }
        }
        let text = |place: u64| usize::try_from(place).ok().and_then(|place| texts.get(place)).copied();
        let (pairs, rest) = places.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(Malformed);
        }
        for [name, value] in pairs {
            read.labels.insert(text(*name).ok_or(Malformed)?.to_owned(), text(*value).ok_or(Malformed)?.into());
        }
        all.push(read);
    }
    Ok(all)
}

/// A sample: its value (1) and time (2).
fn number(sample: Wire<'_>) -> Result<Sample, Malformed> {
    let (mut time, mut value) = (0, 0.0);
    for field in Fields::of(sample.bytes()?) {
        match field? {
            (1, number) => value = number.double()?,
            (2, number) => time = number.int()?,
            _ => {}
        }
    }
    Ok(Sample { time, value: Sampled::Number(value) })
}

/// A native histogram with its time (15).
fn of_histogram(histogram: Wire<'_>) -> Result<Sample, Malformed> {
    let bytes = histogram.bytes()?;
    let mut time = 0;
    for field in Fields::of(bytes) {
        if let (15, number) = field? {
            time = number.int()?;
        }
    }
    Ok(Sample { time, value: Sampled::Histogram(bytes.to_vec()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, u8::try_from(bytes.len()).unwrap()], bytes].concat()
    }

    fn sample(value: f64) -> Vec<u8> {
        [&[0x09][..], &value.to_le_bytes(), &[0x10, 5]].concat()
    }

    #[test]
    fn both_versions_give_the_same_series() {
        let label = field(1, &[field(1, b"__name__"), field(2, b"up")].concat());
        let one = first(&field(1, &[label, field(2, &sample(1.5))].concat())).unwrap();
        let texts = [field(4, b""), field(4, b"__name__"), field(4, b"up")].concat();
        let series = field(5, &[field(1, &[1, 2]), field(2, &sample(1.5))].concat());
        assert_eq!(second(&[texts.clone(), series].concat()).unwrap(), one);
        let row = Value::from(row(shared(&one[0]), &one[0].samples[0]).unwrap());
        let expected = r#"{"Name":"up","Namespace":"prometheus","Origin":"prometheus","Tags":"{}","TimeGenerated":"1970-01-01T00:00:00.0050000Z","Val":1.5}"#;
        assert_eq!(row.to_string(), expected);
        for places in [&[1_u8][..], &[1, 9], &[0x80]] {
            assert_eq!(second(&[texts.clone(), field(5, &field(1, places))].concat()), Err(Malformed), "{places:?}");
        }
    }

    #[test]
    fn what_is_no_number_and_histograms_are_kept() {
        let row_of = |value| Value::from(row(shared(&Series::default()), &Sample { time: 0, value }).unwrap());
        assert_eq!(row_of(Sampled::Number(f64::NAN))["Val"], "NaN");
        assert_eq!(row_of(Sampled::Histogram(vec![1]))["Histogram"], "AQ==");
        assert!(row(shared(&Series::default()), &Sample { time: i64::MAX, value: Sampled::Number(0.0) }).is_none());
    }
}
