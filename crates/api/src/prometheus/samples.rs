//! Samples and labels of stored series, fetched by a query of the table that remote write fills.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Float64Type, TimestampNanosecondType};
use arrow::record_batch::RecordBatch;
use moneta_base::Timestamp;
use moneta_ports::{OpContext, QueryColumn, QueryRequest};
use moneta_promql::{Labels, MatchOperator, NAME_LABEL, Selector, Series};
use serde_json::{Map, Value};

use super::answer::Refusal;
use super::{NAMESPACE, TABLE};
use crate::ApiError;
use crate::kusto::cell;
use crate::state::App;

/// Samples that one query holds at most.
const SAMPLES_MAX: usize = 5_000_000;
/// Series that one query holds at most.
const SERIES_MAX: usize = 200_000;

/// The series that a selector matches with their samples after `from`, up to and with `to`, in milliseconds.
pub(super) async fn series(
    state: &App,
    ctx: &OpContext,
    selector: &Selector,
    times: (i64, i64),
) -> Result<Vec<Series>, Refusal> {
    let text = format!("{}\n| project TimeGenerated, Name, Tags, Val", rows_of(selector, times));
    let mut found = Found::default();
    each_batch(state, ctx, text, |columns, batch| found.add(columns, batch, selector)).await?;
    Ok(found.series())
}

/// The labels of series with samples in these times; of those that some of the selectors match, where there are any.
pub(super) async fn labels(
    state: &App,
    ctx: &OpContext,
    selectors: &[Selector],
    times: (i64, i64),
) -> Result<Vec<Labels>, Refusal> {
    let every = Selector { matchers: Vec::new(), range_ms: None, offset_ms: 0 };
    let mut all = std::collections::BTreeSet::new();
    for selector in if selectors.is_empty() { std::slice::from_ref(&every) } else { selectors } {
        let text = format!("{}\n| distinct Name, Tags", rows_of(selector, times));
        each_batch(state, ctx, text, |columns, batch| {
            let (names, tags) = (text_column(columns, batch, "Name")?, text_column(columns, batch, "Tags")?);
            let found = (0..batch.num_rows()).map(|row| labels_of(names.value(row), tags.value(row)));
            all.extend(found.filter(|labels| selector.matches(|label| labels.get(label).map(String::as_str))));
            check_count(all.len(), SERIES_MAX, "series")
        })
        .await?;
    }
    Ok(all.into_iter().collect())
}

/// The query for the rows that a selector may match: what it says in equalities, so that little else is read.
fn rows_of(selector: &Selector, (from, to): (i64, i64)) -> String {
    let time = |ms: i64| Timestamp::from_nanos(ms.saturating_mul(1_000_000));
    let mut text = format!(
        "{TABLE}\n| where TimeGenerated > datetime({}) and TimeGenerated <= datetime({})\n| where Namespace == '{NAMESPACE}'",
        time(from),
        time(to)
    );
    for matcher in selector.matchers.iter().filter(|m| m.operator == MatchOperator::Equal && !m.value.is_empty()) {
        let condition = if matcher.label == NAME_LABEL {
            format!("Name == {}", literal(&matcher.value))
        } else {
            // As `write` writes it.
            let member = format!("{}:{}", Value::from(matcher.label.as_str()), Value::from(matcher.value.as_str()));
            format!("Tags contains_cs {}", literal(&member))
        };
        text.push_str("\n| where ");
        text.push_str(&condition);
    }
    text
}

fn literal(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('\'', "\\'").replace('\n', "\\n").replace('\r', "\\r");
    format!("'{escaped}'")
}

async fn each_batch(
    state: &App,
    ctx: &OpContext,
    text: String,
    mut take: impl FnMut(&[QueryColumn], &RecordBatch) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    let mut stream = state.queries.stream(ctx, QueryRequest::new(text)).await?;
    let columns = stream.columns().to_vec();
    while let Some(batch) = stream.next().await? {
        let batch = cell::normalise(&columns, &batch).map_err(|error| ApiError::internal(&error))?;
        take(&columns, &batch)?;
    }
    stream.finish(Map::new()).await?;
    Ok(())
}

/// Samples by the name and the labels as they are stored.
#[derive(Default)]
struct Found {
    /// `None` for series that the selector does not match.
    by_text: BTreeMap<(String, String), Option<usize>>,
    series: Vec<Series>,
    num_samples: usize,
}

impl Found {
    fn add(&mut self, columns: &[QueryColumn], batch: &RecordBatch, selector: &Selector) -> Result<(), Refusal> {
        let (names, tags) = (text_column(columns, batch, "Name")?, text_column(columns, batch, "Tags")?);
        let times = column(columns, batch, "TimeGenerated")?.as_primitive_opt::<TimestampNanosecondType>();
        let values = column(columns, batch, "Val")?.as_primitive_opt::<Float64Type>();
        let (Some(times), Some(values)) = (times, values) else { return Err(unexpected()) };
        for row in 0..batch.num_rows() {
            // A native histogram has no value.
            if times.is_null(row) || values.is_null(row) {
                continue;
            }
            let Some(index) = self.index(names.value(row), tags.value(row), selector) else { continue };
            self.series[index].points.push((times.value(row).div_euclid(1_000_000), values.value(row)));
            self.num_samples += 1;
        }
        check_count(self.num_samples, SAMPLES_MAX, "samples")?;
        check_count(self.by_text.len(), SERIES_MAX, "series")
    }

    fn index(&mut self, name: &str, tags: &str, selector: &Selector) -> Option<usize> {
        let key = (name.to_owned(), tags.to_owned());
        let series = &mut self.series;
        *self.by_text.entry(key).or_insert_with(|| {
            let labels = labels_of(name, tags);
            selector.matches(|label| labels.get(label).map(String::as_str)).then(|| {
                series.push(Series { labels, points: Vec::new() });
                series.len() - 1
            })
        })
    }

    /// Each with its samples by time; of those of one time the last that came.
    fn series(self) -> Vec<Series> {
        let mut all = self.series;
        for series in &mut all {
            series.points.sort_by_key(|(time, _)| *time);
            series.points.reverse();
            series.points.dedup_by_key(|(time, _)| *time);
            series.points.reverse();
        }
        all
    }
}

fn check_count(count: usize, max: usize, what: &str) -> Result<(), Refusal> {
    if count <= max {
        return Ok(());
    }
    Err(Refusal::execution(format!(
        "query processing would load too many {what} into memory: more than {max}; select fewer, or a shorter time"
    )))
}

fn labels_of(name: &str, tags: &str) -> Labels {
    let tags: Map<String, Value> = serde_json::from_str(tags).unwrap_or_default();
    let text = |(label, value): (String, Value)| Some((label, value.as_str()?.to_owned()));
    let mut labels: Labels = tags.into_iter().filter_map(text).collect();
    if !name.is_empty() {
        labels.insert(NAME_LABEL.to_owned(), name.to_owned());
    }
    labels
}

fn column<'a>(columns: &[QueryColumn], batch: &'a RecordBatch, name: &str) -> Result<&'a dyn Array, Refusal> {
    let index = columns.iter().position(|column| column.name == name).ok_or_else(unexpected)?;
    Ok(batch.column(index).as_ref())
}

fn text_column<'a>(
    columns: &[QueryColumn],
    batch: &'a RecordBatch,
    name: &str,
) -> Result<&'a arrow::array::StringArray, Refusal> {
    column(columns, batch, name)?.as_string_opt::<i32>().ok_or_else(unexpected)
}

/// A defect: the engine answers other columns than were asked for.
fn unexpected() -> Refusal {
    let error = std::io::Error::other("the columns of samples are not those asked for");
    ApiError::internal(&error).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equalities_are_asked_of_the_store_in_the_form_that_is_stored() {
        let expression = moneta_promql::parse(r#"up{job="it's \"a\"", x!="y", z=""}"#).unwrap();
        let text = rows_of(&expression.selectors()[0], (0, 60_000));
        let expected = "InsightsMetrics\n\
            | where TimeGenerated > datetime(1970-01-01T00:00:00.0000000Z) and TimeGenerated <= datetime(1970-01-01T00:01:00.0000000Z)\n\
            | where Namespace == 'prometheus'\n\
            | where Name == 'up'\n\
            | where Tags contains_cs '\"job\":\"it\\'s \\\\\"a\\\\\"\"'";
        assert_eq!(text, expected);
        let parsed = moneta_kql::parse(&text);
        assert!(parsed.diagnostics.is_empty(), "{:?}", parsed.diagnostics);
    }

    #[test]
    fn labels_are_those_that_were_written() {
        let labels = labels_of("up", r#"{"job":"a","n":1}"#);
        assert_eq!(
            labels.into_iter().collect::<Vec<_>>(),
            [("__name__", "up"), ("job", "a")].map(|(a, b)| (a.to_owned(), b.to_owned()))
        );
        assert!(labels_of("", "no object").is_empty());
    }
}
