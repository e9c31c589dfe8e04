//! Comma-, semicolon- and tab-separated values: exports of tables, performance counters, call detail records.
//!
//! Layout: RFC 4180 (a quoted value may hold separators, line ends and doubled quotes). The first line decides:
//! `(PDH-CSV 4.0)` begins counters of Windows (`counters`); a line in the layout of Asterisk's `cdr_csv` or of PostgreSQL's
//! `csvlog` needs no header;
//! anything else names the columns. A column `Type` or `$table` names the table of each row; else the names of the
//! columns choose a mapping; `timestamp,value` is one metric, named by the file; the rest goes to the file's own table,
//! numbers as `real`.

mod calls;
mod counters;
mod postgres;

use std::sync::Arc;

use moneta_base::limits::{RECORD_BYTES_MAX, RECORD_FIELDS_MAX};
use moneta_base::{SourceName, TableName, Timestamp};
use moneta_event::schema::standard;
use moneta_event::{RecordClass, Value};

use crate::clock_text;
use crate::decoder::LineFormat;
use crate::json::{Document, TIME_MEMBERS};
use crate::mapping::{Slot, find_column};
use crate::output::{Output, Refusal, TableId, Target};

/// Tables the rows of one file may name; rows of further ones are refused.
const TABLES_MAX: usize = 100;

pub(crate) use counters::is_counters;

/// Decodes separated values.
pub(crate) struct Delimited {
    /// A record whose quotes are open: it goes on in the next line.
    partial: String,
    partial_offset: u64,
    /// A quote in it is open.
    is_open: bool,
    layout: Layout,
    separator: char,
    scratch: Document,
}

impl Default for Delimited {
    fn default() -> Self {
        let layout = Layout::Unknown;
        Self {
            partial: String::new(),
            partial_offset: 0,
            is_open: false,
            layout,
            separator: ',',
            scratch: Document::default(),
        }
    }
}

/// What the first line said.
#[derive(Default)]
enum Layout {
    #[default]
    Unknown,
    Columns(Columns),
    Counters(counters::Counters),
    Calls,
    Postgres,
}

struct Columns {
    names: Vec<String>,
    /// The column that names the table of a row.
    table_column: Option<usize>,
    plans: Vec<(TableName, Plan)>,
}

/// The columns resolved for a table.
struct Plan {
    table: TableId,
    slots: Vec<Slot>,
    /// Columns that may hold the event time, in order of preference.
    times: Vec<usize>,
    constants: Vec<(Slot, String)>,
    /// `None`: the table and the row decide.
    class: Option<RecordClass>,
    /// Numbers in columns that the data make.
    infers: bool,
}

/// Whether a text's first line is a header of separated values, or a call of Asterisk.
pub(crate) fn is_delimited(head: &[u8]) -> bool {
    let Ok(line) = std::str::from_utf8(head.split(|b| *b == b'\n').next().unwrap_or_default()) else { return false };
    let line = line.trim_end();
    let values = values(line, ',');
    is_counters(line) || calls::is_call(&values) || postgres::is_record(&values) || is_header(line)
}

/// Two or more different names without anything that names do not have.
fn is_header(line: &str) -> bool {
    let names = values(line, separator_of(line));
    let is_name = |name: &String| {
        name.len() <= 128
            && name.chars().all(|c| c.is_alphanumeric() || " _-.$@()[]%/#:".contains(c))
            && !name.starts_with(|c: char| c.is_ascii_digit())
    };
    let has_blanks = names.iter().any(|name| name.split(' ').count() > 4);
    names.len() >= 2 && !has_blanks && names.iter().skip(1).all(|name| !name.is_empty()) && names.iter().all(is_name)
}

fn separator_of(line: &str) -> char {
    let count = |c: char| line.matches(c).count();
    [',', ';', '\t'].into_iter().max_by_key(|c| (count(*c), *c == ',')).unwrap_or(',')
}

/// The values of a record, quotes resolved.
fn values(record: &str, separator: char) -> Vec<String> {
    let mut values = Vec::new();
    let mut rest = record;
    while values.len() <= RECORD_FIELDS_MAX {
        let (value, behind) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_value(quoted, separator),
            None => {
                let end = rest.find(separator).unwrap_or(rest.len());
                (rest[..end].to_owned(), &rest[end..])
            }
        };
        values.push(value);
        match behind.strip_prefix(separator) {
            Some(next) => rest = next,
            None => break,
        }
    }
    values
}

/// A value behind its opening quote, and what follows it from its separator on.
fn quoted_value(text: &str, separator: char) -> (String, &str) {
    let mut value = String::new();
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'"', rest.as_bytes()) {
        value.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        match rest.strip_prefix('"') {
            Some(next) => {
                value.push('"');
                rest = next;
            }
            None => {
                // Text between the closing quote and the separator belongs to the value.
                let end = rest.find(separator).unwrap_or(rest.len());
                value.push_str(&rest[..end]);
                return (value, &rest[end..]);
            }
        }
    }
    value.push_str(rest);
    (value, "")
}

impl LineFormat for Delimited {
    fn line(&mut self, bytes: &[u8], offset: u64, output: &mut Output) {
        let quotes = memchr::memchr_iter(b'"', bytes).count();
        if self.partial.is_empty() && quotes.is_multiple_of(2) {
            match std::str::from_utf8(bytes) {
                Ok(text) => self.record(text, offset, output),
                Err(error) => output.quarantine(Refusal::invalid_utf8(error), None, offset, bytes),
            }
            return;
        }
        if self.partial.is_empty() {
            self.partial_offset = offset;
        } else {
            self.partial.push('\n');
        }
        match std::str::from_utf8(bytes) {
            Ok(text) => self.partial.push_str(text),
            Err(error) => {
                // The line feed stands between what is refused here.
                self.partial.pop();
                self.refuse_partial(Refusal::invalid_utf8(error), output);
                output.quarantine(Refusal::invalid_utf8(error), None, offset, bytes);
                return;
            }
        }
        self.is_open ^= !quotes.is_multiple_of(2);
        if !self.is_open {
            let record = std::mem::take(&mut self.partial);
            self.record(&record, self.partial_offset, output);
        } else if self.partial.len() > RECORD_BYTES_MAX {
            self.refuse_partial(Refusal::new("open_quote", "a quote is not closed within the largest record"), output);
        }
    }

    fn blank(&mut self, _output: &mut Output) {
        if !self.partial.is_empty() {
            self.partial.push('\n');
        }
    }

    fn finish(&mut self, output: &mut Output) {
        if !self.partial.is_empty() {
            self.refuse_partial(Refusal::new("open_quote", "a quote is not closed at the end"), output);
        }
    }

    fn pending_offset(&self) -> Option<u64> {
        (!self.partial.is_empty()).then_some(self.partial_offset)
    }
}

impl Delimited {
    fn refuse_partial(&mut self, refusal: Refusal, output: &mut Output) {
        let record = std::mem::take(&mut self.partial);
        self.is_open = false;
        if !record.is_empty() {
            output.quarantine(refusal, output.options.table.clone(), self.partial_offset, record.as_bytes());
        }
    }

    fn record(&mut self, record: &str, offset: u64, output: &mut Output) {
        if let Layout::Unknown = self.layout
            && self.first_line(record)
        {
            output.set_head(record);
            return;
        }
        let values = values(record, self.separator);
        let result = match &mut self.layout {
            Layout::Columns(columns) => columns.write(&values, record, &mut self.scratch, output),
            Layout::Counters(counters) => counters.write(&values, output),
            Layout::Postgres => postgres::write(&values, record, output),
            Layout::Calls | Layout::Unknown => calls::write(&values, record, output),
        };
        if let Err(refusal) = result {
            output.quarantine(refusal, output.options.table.clone(), offset, record.as_bytes());
        }
    }

    /// Takes the first line; whether it was a header.
    fn first_line(&mut self, line: &str) -> bool {
        self.separator = separator_of(line);
        if let Some(counters) = counters::Counters::read(line) {
            self.separator = counters.separator;
            self.layout = Layout::Counters(counters);
            return true;
        }
        let values = values(line, self.separator);
        if calls::is_call(&values) {
            self.layout = Layout::Calls;
            return false;
        }
        if postgres::is_record(&values) {
            self.layout = Layout::Postgres;
            return false;
        }
        self.layout = Layout::Columns(Columns::new(values));
        true
    }
}

impl Columns {
    fn new(names: Vec<String>) -> Self {
        let table_column = names.iter().position(|name| name == standard::TYPE || name == "$table");
        Self { names, table_column, plans: Vec::new() }
    }

    fn write(
        &mut self,
        values: &[String],
        record: &str,
        scratch: &mut Document,
        output: &mut Output,
    ) -> Result<(), Refusal> {
        if values.len() > self.names.len() {
            let reason = format!("{} values for {} columns", values.len(), self.names.len());
            return Err(Refusal::new("too_many_fields", reason));
        }
        let named = self.table_column.and_then(|column| values.get(column)).map_or("", String::as_str);
        let index = self.plan(named, output)?;
        let plan = &self.plans[index].1;
        let zone = output.options.zone_offset_seconds;
        let stamp = plan.times.iter().find_map(|column| {
            let time = clock_text::parse_any(values.get(*column)?, zone)?;
            Some((*column, time))
        });
        let time = stamp.map_or(output.origin.received, |(_, time)| time);
        output.check_time(time)?;
        for (column, (slot, value)) in plan.slots.iter().zip(values).enumerate() {
            let is_time = stamp.is_some_and(|(at, _)| at == column) && !matches!(slot.target, Target::Column(_));
            let is_said = is_time || (self.table_column == Some(column) && !named.is_empty());
            if value.is_empty() || is_said {
                continue;
            }
            let number = (plan.infers && slot.target == Target::Unknown).then(|| number(value)).flatten();
            slot.write(output, plan.table, number.map_or(Value::Text(value), Value::Real), scratch);
        }
        for (slot, text) in &plan.constants {
            slot.write(output, plan.table, Value::Text(text), scratch);
        }
        let class = match plan.class {
            Some(class) => class,
            None => {
                let column = |wanted: &str| {
                    let index = self.names.iter().position(|name| name == wanted)?;
                    values.get(index).map(String::as_str)
                };
                output.options.mappings.class_of_row(output.table_name(plan.table), column)
            }
        };
        output.finish_row(plan.table, class, time, record);
        Ok(())
    }

    /// The plan of the table that a row names, made at its first row.
    fn plan(&mut self, named: &str, output: &mut Output) -> Result<usize, Refusal> {
        let known = output.options.catalog.get(named).map(|schema| schema.name().clone());
        if let Some(table) = &known {
            output.check_not_own(table)?;
        }
        let mappings = Arc::clone(&output.options.mappings);
        let names = || self.names.iter().map(|name| name.strip_suffix(" [UTC]").unwrap_or(name));
        let choice = match (&output.options.table, &known) {
            (None, None) => mappings.choose_by_names(names()),
            _ => None,
        };
        let mapping = choice.map(|choice| mappings.get(choice));
        let fixed = mapping.and_then(|mapping| mapping.fixed_table());
        let is_metric = mapping.is_none() && known.is_none() && self.names.len() == 2 && self.is_metric();
        let metric = || TableName::new("InsightsMetrics").expect("the names of built-in tables are valid");
        let table_name = (output.options.table.clone())
            .or(known)
            .or(fixed)
            .unwrap_or_else(|| if is_metric { metric() } else { output.options.fallback_table.clone() });
        if let Some(index) = self.plans.iter().position(|(name, _)| *name == table_name) {
            return Ok(index);
        }
        if self.plans.len() >= TABLES_MAX {
            return Err(Refusal::new("too_many_tables", format!("rows name more than {TABLES_MAX} tables")));
        }
        let table = output.table(&table_name);
        let column = |(index, name): (usize, &String)| match name.as_str() {
            "" => Slot::extra(&format!("Column{}", index + 1)),
            name if is_metric && name.eq_ignore_ascii_case("value") => find_column(output, table, "Val"),
            name => {
                let renamed =
                    mapping.and_then(|mapping| mapping.column_of(name.strip_suffix(" [UTC]").unwrap_or(name)));
                find_column(output, table, renamed.unwrap_or(name))
            }
        };
        let slots = self.names.iter().enumerate().map(column).collect();
        let mut constants: Vec<_> = mapping
            .into_iter()
            .flat_map(|mapping| &mapping.constants)
            .map(|(name, text)| (find_column(output, table, name), text.clone()))
            .collect();
        if is_metric {
            constants.push((find_column(output, table, "Name"), metric_name(&output.origin.source)));
        }
        let plan = Plan {
            table,
            slots,
            times: self.times(mapping.map(|mapping| mapping.time.as_slice()).unwrap_or_default()),
            constants,
            class: mapping.map(|mapping| mapping.class),
            infers: table_name.is_custom(),
        };
        self.plans.push((table_name, plan));
        Ok(self.plans.len() - 1)
    }

    fn is_metric(&self) -> bool {
        let has = |wanted: &str| {
            self.names.iter().any(|name| name.trim_start_matches('\u{feff}').eq_ignore_ascii_case(wanted))
        };
        has("timestamp") && has("value")
    }

    fn times(&self, paths: &[crate::mapping::Path]) -> Vec<usize> {
        let first = paths.iter().filter(|path| path.len() == 1).map(|path| &*path[0]);
        let wanted = first.chain(TIME_MEMBERS);
        let position = |wanted: &str| {
            self.names.iter().position(|name| name.strip_suffix(" [UTC]").unwrap_or(name).eq_ignore_ascii_case(wanted))
        };
        wanted.filter_map(position).collect()
    }
}

/// The name of a metric that has a file of its own: the file's, without its directory and ending. Digits at its end tell
/// one machine from another.
fn metric_name(source: &SourceName) -> String {
    let file = source.as_str().rsplit(['/', '\\']).next().unwrap_or_default();
    file.rsplit_once('.').map_or(file, |(stem, _)| stem).to_owned()
}

/// A number as a spreadsheet would show it; digits that mean something else (leading zeros, long ones) are text.
fn number(text: &str) -> Option<f64> {
    let digits = text.trim_start_matches('-');
    let plain = digits.len() <= 15
        && digits.starts_with(|c: char| c.is_ascii_digit())
        && !(digits.len() > 1 && digits.starts_with('0') && !digits.starts_with("0."));
    let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
    number.filter(|_| {
        plain || (digits.contains('.') && digits.len() <= 24 && digits.starts_with(|c: char| c.is_ascii_digit()))
    })
}

/// A time of the event, for layouts without columns.
fn event_time(text: &str, output: &Output) -> Result<Timestamp, Refusal> {
    let time = clock_text::parse_any(text, output.options.zone_offset_seconds);
    let time = time.ok_or_else(|| Refusal::new("invalid_time", "the time cannot be read"))?;
    output.check_time(time)?;
    Ok(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_separated_and_quotes_resolved() {
        assert_eq!(values("a,\"b,\"\"c\"\"\",,d", ','), ["a", "b,\"c\"", "", "d"]);
        assert_eq!(values("\"a\" x;b", ';'), ["a x", "b"]);
        assert_eq!(values("\"open", ','), ["open"]);
        assert_eq!(values("", ','), [""]);
    }

    #[test]
    fn a_header_is_told_from_text() {
        assert!(is_header("timestamp,value") && is_header(",TenantId,\"TimeGenerated [UTC]\""));
        assert!(!is_header("some words, and more of them in a sentence") && !is_header("one") && !is_header("1,2,3"));
    }

    #[test]
    fn numbers_are_not_everything_that_has_digits() {
        assert_eq!(number("12.5"), Some(12.5));
        assert_eq!(number("0"), Some(0.0));
        for text in ["007", "1234567890123456", "NaN", "1e", ""] {
            assert_eq!(number(text), None, "{text}");
        }
    }
}
