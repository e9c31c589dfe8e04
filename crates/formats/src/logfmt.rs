//! logfmt: lines of `key=value`, as Go programs and Heroku write them, as rows of `AppTraces`.
//!
//! Layout: pairs apart by blanks; values with blanks stand in double quotes, in which `\"`, `\\` and `\n` are escapes; a
//! key alone is true. `time`, `ts` or `t` is the event time, `msg` or `message` the message, `level` or `lvl` the level.

use moneta_base::TableName;
use moneta_event::{RecordClass, Value};

use crate::clock_text;
use crate::decoder::LineFormat;
use crate::escaped::escaped_text;
use crate::output::{Output, Refusal, Target};

/// Pairs of one line at most.
const PAIRS_MAX: usize = moneta_base::limits::RECORD_FIELDS_MAX;
const TIMES: [&str; 4] = ["time", "ts", "t", "timestamp"];
const LEVELS: [&str; 3] = ["level", "lvl", "severity"];
const MESSAGES: [&str; 2] = ["msg", "message"];

/// Decodes logfmt.
#[derive(Default)]
pub(crate) struct Logfmt;

/// Whether a line is logfmt beyond doubt: a time, a level or message among three pairs or more.
pub(crate) fn is_record(line: &str) -> bool {
    let Some(pairs) = pairs(line) else { return false };
    let has = |names: &[&str]| pairs.iter().any(|(key, value)| names.contains(key) && !value.is_empty());
    let first = line.split(' ').next().unwrap_or_default();
    pairs.len() >= 3 && first.contains('=') && has(&LEVELS) && (has(&MESSAGES) || has(&TIMES))
}

impl LineFormat for Logfmt {
    fn line(&mut self, bytes: &[u8], offset: u64, output: &mut Output) {
        let result = std::str::from_utf8(bytes).map_err(Refusal::invalid_utf8).and_then(|text| map(text, output));
        if let Err(refusal) = result {
            output.quarantine(refusal, output.options.table.clone(), offset, bytes);
        }
    }
}

fn map(line: &str, output: &mut Output) -> Result<(), Refusal> {
    let pairs = pairs(line).ok_or_else(|| Refusal::new("no_pairs", "no key=value pairs, or too many"))?;
    let zone = output.options.zone_offset_seconds;
    let stamp =
        pairs.iter().filter(|(key, _)| TIMES.contains(key)).find_map(|(_, value)| clock_text::parse_any(value, zone));
    let time = stamp.unwrap_or(output.origin.received);
    output.check_time(time)?;
    let own = || TableName::new("AppTraces").expect("the names of built-in tables are valid");
    let table = output.table(&output.options.table.clone().unwrap_or_else(own));
    for (key, value) in &pairs {
        match *key {
            key if TIMES.contains(&key) && stamp.is_some() => {}
            key if MESSAGES.contains(&key) => output.set_field(table, "Message", Value::Text(value)),
            key if LEVELS.contains(&key) => {
                if let Some(level) = level(value) {
                    output.set_field(table, "SeverityLevel", Value::Long(level));
                }
                output.set(table, Target::Extra, key, Value::Text(value));
            }
            "trace_id" | "traceID" | "trace" => output.set_field(table, "OperationId", Value::Text(value)),
            "span_id" | "spanID" => output.set_field(table, "ParentId", Value::Text(value)),
            "service" | "app" | "logger" => output.set_field(table, "AppRoleName", Value::Text(value)),
            key => output.set(table, Target::Extra, key, Value::Text(value)),
        }
    }
    output.finish_row(table, RecordClass::Data, time, line);
    Ok(())
}

/// Levels by name as those of `AppTraces`: 0 verbose to 4 critical.
pub(crate) fn level(name: &str) -> Option<i64> {
    Some(match name.to_ascii_lowercase().as_str() {
        "trace" | "debug" | "dbug" | "verbose" => 0,
        "info" | "notice" | "information" => 1,
        "warn" | "warning" => 2,
        "error" | "err" | "eror" => 3,
        "fatal" | "panic" | "crit" | "critical" | "alert" | "emerg" => 4,
        _ => return None,
    })
}

/// Pairs in order; `None` where a line has none, or more than are read.
fn pairs(line: &str) -> Option<Vec<(&str, String)>> {
    let mut pairs = Vec::new();
    let mut rest = line.trim();
    let mut has_value = false;
    while !rest.is_empty() {
        let end = rest.find([' ', '=']).unwrap_or(rest.len());
        let key = &rest[..end];
        let is_key = !key.is_empty() && !key.contains(['"', '{', '[', '<', '|']);
        if !is_key || pairs.len() >= PAIRS_MAX {
            return None;
        }
        let (value, behind) = match rest[end..].strip_prefix('=') {
            Some(behind) => {
                has_value = true;
                match behind.strip_prefix('"') {
                    Some(quoted) => escaped_text(quoted, &[('n', '\n'), ('t', '\t')])?,
                    None => {
                        let end = behind.find(' ').unwrap_or(behind.len());
                        (behind[..end].to_owned(), &behind[end..])
                    }
                }
            }
            None => ("true".to_owned(), &rest[end..]),
        };
        pairs.push((key, value));
        rest = behind.trim_start();
    }
    has_value.then_some(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_read() {
        let read = pairs("a=1 b=\"x \\\"y\\\"\" c d=").unwrap();
        let read: Vec<_> = read.iter().map(|(key, value)| (*key, value.as_str())).collect();
        assert_eq!(read, [("a", "1"), ("b", "x \"y\""), ("c", "true"), ("d", "")]);
        assert_eq!(pairs("just words"), None);
        assert!(is_record("ts=2026-01-02T03:04:05Z level=info msg=hello") && !is_record("a=1 b=2 c=3"));
    }
}
