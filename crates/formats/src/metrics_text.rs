//! Metrics in Prometheus' text format and OpenMetrics, as rows of `InsightsMetrics`.
//!
//! Layout: `name{label="value",...} value [time]`, times in milliseconds (OpenMetrics: seconds with a fraction) since
//! 1970; lines beginning with `#` describe: `# TYPE name kind`, `# HELP name text`, `# EOF`. In label values `\\`, `\"`
//! and `\n` are escapes. A sample without a time has that of its receipt.

use moneta_base::{TableName, Timestamp};
use moneta_event::{RecordClass, Value};

use crate::clock_text;
use crate::decoder::LineFormat;
use crate::escaped::escaped_text;
use crate::output::{Output, Refusal};

/// Labels of one sample at most.
const LABELS_MAX: usize = 500;

/// Decodes metrics in text.
#[derive(Default)]
pub(crate) struct MetricsText;

/// Whether a line describes a metric.
pub(crate) fn is_record(line: &str) -> bool {
    (line.starts_with("# HELP ") || line.starts_with("# TYPE ")) && line.split(' ').nth(2).is_some_and(is_name)
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b':')
}

impl LineFormat for MetricsText {
    fn line(&mut self, bytes: &[u8], offset: u64, output: &mut Output) {
        if bytes.starts_with(b"#") {
            return;
        }
        let result = std::str::from_utf8(bytes).map_err(Refusal::invalid_utf8).and_then(|text| map(text, output));
        if let Err(refusal) = result {
            output.quarantine(refusal, output.options.table.clone(), offset, bytes);
        }
    }
}

fn map(line: &str, output: &mut Output) -> Result<(), Refusal> {
    let wrong = |what: &str| Refusal::new("no_sample", format!("{what} in a sample"));
    let line_start = line.trim_start();
    let end = line_start.find(|c: char| c == '{' || c.is_ascii_whitespace()).ok_or_else(|| wrong("no value"))?;
    let name = &line_start[..end];
    if !is_name(name) {
        return Err(wrong("no name"));
    }
    let (labels, rest) = match line_start[end..].strip_prefix('{') {
        Some(rest) => labels(rest).ok_or_else(|| wrong("damaged labels"))?,
        None => (String::new(), &line_start[end..]),
    };
    let mut words = rest.split_ascii_whitespace();
    let value = words.next().ok_or_else(|| wrong("no value"))?;
    let number: f64 = match value {
        "+Inf" => f64::INFINITY,
        "-Inf" => f64::NEG_INFINITY,
        other => other.parse().map_err(|_| wrong("no number"))?,
    };
    let time = match words.next().filter(|word| !word.starts_with('#')) {
        Some(stamp) => sample_time(stamp).ok_or_else(|| wrong("no time"))?,
        None => output.origin.received,
    };
    output.check_time(time)?;
    let own = || TableName::new("InsightsMetrics").expect("the names of built-in tables are valid");
    let table = output.table(&output.options.table.clone().unwrap_or_else(own));
    output.set_field(table, "Name", Value::Text(name));
    output.set_field(table, "Namespace", Value::Text("prometheus"));
    output.set_field(table, "Origin", Value::Text("prometheus"));
    output.set_field(table, "Tags", Value::Text(&labels));
    output.set_field(table, "Val", Value::Real(number));
    output.finish_row(table, RecordClass::Data, time, line);
    Ok(())
}

/// Whole numbers are milliseconds, those with a point seconds.
fn sample_time(text: &str) -> Option<Timestamp> {
    if text.contains('.') {
        return clock_text::parse_epoch(text);
    }
    text.parse::<i64>().ok()?.checked_mul(1_000_000).map(Timestamp::from_nanos)
}

/// Labels up to their closing brace as a JSON object, and what follows.
fn labels(text: &str) -> Option<(String, &str)> {
    let mut json = String::from("{");
    let mut rest = text.trim_start();
    for _ in 0..LABELS_MAX {
        if let Some(behind) = rest.strip_prefix('}') {
            json.push('}');
            return Some((json, behind));
        }
        let (name, behind) = rest.split_once('=')?;
        let (value, behind) = escaped_text(behind.trim_start().strip_prefix('"')?, &[('n', '\n')])?;
        if json.len() > 1 {
            json.push(',');
        }
        json.push_str(&serde_json::Value::from(name.trim()).to_string());
        json.push(':');
        json.push_str(&serde_json::Value::from(value).to_string());
        rest = behind.trim_start().trim_start_matches(',').trim_start();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_read_to_their_end() {
        let (json, rest) = labels(r#"a="x\"}y",b="", } 5"#).unwrap();
        assert_eq!((json.as_str(), rest), (r#"{"a":"x\"}y","b":""}"#, " 5"));
        assert_eq!(labels("a=1}"), None);
        assert_eq!(sample_time("1700000000000").unwrap(), Timestamp::from_seconds(1_700_000_000));
    }
}
