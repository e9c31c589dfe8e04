//! W3C extended logs: IIS, its FTP and HTTP.sys relatives, and others that declare their fields.
//!
//! Layout: lines beginning with `#` are directives; `#Fields:` names the fields of the lines that follow and may come
//! again with others. Fields are separated by blanks or tabs, quoted where they hold some; `-` stands for nothing.
//! Times are UTC unless the field says `-local`. A line without date has that of `#Date:`, moved on at midnight.
//! Values are kept as logged, but `+` is a blank again in fields where IIS writes it for one.

use std::borrow::Cow;

use moneta_base::time::NANOS_PER_DAY;
use moneta_base::{TableName, Timestamp};
use moneta_event::catalog::table;
use moneta_event::{RecordClass, Value};

use crate::clock_text;
use crate::output::{Output, Refusal, TableId, Target};

/// Fields one `#Fields:` line may name.
const FIELDS_MAX: usize = moneta_base::limits::RECORD_FIELDS_MAX;

/// Columns of `W3CIISLog` by field name, in lower case.
const COLUMNS: [(&str, &str); 27] = [
    ("s-sitename", "sSiteName"),
    ("s-computername", "Computer"),
    ("s-ip", "sIP"),
    ("cs-method", "csMethod"),
    ("cs-uri-stem", "csUriStem"),
    ("cs-uri-query", "csUriQuery"),
    ("s-port", "sPort"),
    ("cs-username", "csUserName"),
    ("c-auth-id", "csUserName"),
    ("c-ip", "cIP"),
    ("cs-version", "csVersion"),
    ("cs(user-agent)", "csUserAgent"),
    ("cs-user-agent", "csUserAgent"),
    ("cs(cookie)", "csCookie"),
    ("cs(referer)", "csReferer"),
    ("cs(referrer)", "csReferer"),
    ("cs-referer", "csReferer"),
    ("cs-host", "csHost"),
    ("cs(host)", "csHost"),
    ("sc-status", "scStatus"),
    ("sc-substatus", "scSubStatus"),
    ("sc-win32-status", "scWin32Status"),
    ("sc-bytes", "scBytes"),
    ("bytes", "scBytes"),
    ("cs-bytes", "csBytes"),
    ("time-taken", "TimeTaken"),
    ("timetakenms", "TimeTaken"),
];

/// Columns in which IIS writes `+` for a blank.
const PLUS_COLUMNS: [&str; 2] = ["csUserAgent", "csCookie"];

/// Maps lines to rows of `W3CIISLog`.
#[derive(Debug, Default)]
pub(crate) struct W3cMapper {
    table: Option<TableId>,
    /// The fields in force; empty before the first `#Fields:`.
    fields: Vec<FieldUse>,
    /// The line that declared them.
    fields_line: String,
    /// From `#Date:`, the date of lines that have none.
    date: Option<Timestamp>,
    /// Time of the last line that had no date: going back means midnight has passed.
    last_undated: Option<Timestamp>,
    /// The date text of the line before and its first moment: most lines share it.
    last_date: (String, Timestamp),
}

/// What a field of a line is used for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum FieldUse {
    Date {
        is_local: bool,
    },
    Time {
        is_local: bool,
    },
    /// Path and query in one.
    Uri,
    Column {
        target: Target,
        name: &'static str,
        plus_is_blank: bool,
    },
    Other {
        name: Box<str>,
    },
}

/// The date and time of a line as far as it names them.
#[derive(Default)]
struct Stamp<'a> {
    date: Option<&'a str>,
    time: Option<&'a str>,
    is_local: bool,
}

impl W3cMapper {
    /// Takes a line: a directive, or a record added to the output as a row or as a quarantined record.
    pub fn line(&mut self, bytes: &[u8], offset: u64, output: &mut Output) {
        if bytes.starts_with(b"#") {
            self.directive(&String::from_utf8_lossy(bytes), output);
            return;
        }
        let result = std::str::from_utf8(bytes).map_err(Refusal::invalid_utf8).and_then(|text| self.map(text, output));
        if let Err(refusal) = result {
            output.quarantine(refusal, Some(table_name(output)), offset, bytes);
        }
    }

    fn directive(&mut self, line: &str, output: &mut Output) {
        let Some((name, text)) = line[1..].split_once(':') else { return };
        match name.trim().to_ascii_lowercase().as_str() {
            "fields" => {
                line.clone_into(&mut self.fields_line);
                self.fields(text, output);
            }
            "date" | "start-date" => {
                let stamp: String = text.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
                if let Some(time) = clock_text::parse_iso(&stamp, 0) {
                    self.date = Some(time.day().start());
                    self.last_undated = None;
                }
            }
            _ => return,
        }
        self.tell_head(output);
    }

    /// Keeps the directives in force, for lines that are refused.
    fn tell_head(&self, output: &mut Output) {
        match self.date {
            Some(date) => output.set_head(&format!("#Date: {date}\n{}", self.fields_line)),
            None => output.set_head(&self.fields_line),
        }
    }

    fn fields(&mut self, text: &str, output: &mut Output) {
        let table = self.resolve_table(output);
        self.fields = text
            .split_whitespace()
            .take(FIELDS_MAX)
            .map(|field| field_use(field, |name| output.target(table, name)))
            .collect();
    }

    fn resolve_table(&mut self, output: &mut Output) -> TableId {
        *self.table.get_or_insert_with(|| {
            let name = table_name(output);
            output.table(&name)
        })
    }

    fn map(&mut self, line: &str, output: &mut Output) -> Result<(), Refusal> {
        if self.fields.is_empty() {
            return Err(Refusal::new("no_fields", "no #Fields line before this record"));
        }
        let table = self.resolve_table(output);
        let mut values: Vec<&str> = Vec::with_capacity(self.fields.len() + 1);
        values.extend(Values::of(line).take(FIELDS_MAX + 1));
        if values.len() > FIELDS_MAX {
            return Err(Refusal::new("too_many_fields", format!("more than {FIELDS_MAX} values")));
        }
        let time = self.time(&values, output)?;
        output.check_time(time)?;
        for (field, value) in self.fields.iter().zip(&values).filter(|(_, value)| **value != "-") {
            field.write(table, &unquoted(value), output);
        }
        // More values than fields: another writer's line, or a field added without saying so.
        for (index, value) in values.iter().enumerate().skip(self.fields.len()).filter(|(_, value)| **value != "-") {
            output.set_field(table, &format!("Field{}", index + 1), Value::Text(&unquoted(value)));
        }
        output.finish_row(table, RecordClass::Data, time, line);
        Ok(())
    }

    fn time(&mut self, values: &[&str], output: &mut Output) -> Result<Timestamp, Refusal> {
        let mut stamp = Stamp::default();
        for (field, value) in self.fields.iter().zip(values) {
            let bare = || Some(value.trim_matches('"'));
            match field {
                FieldUse::Date { is_local } => (stamp.date, stamp.is_local) = (bare(), *is_local),
                FieldUse::Time { is_local } => (stamp.time, stamp.is_local) = (bare(), *is_local),
                _ => {}
            }
        }
        let zone = if stamp.is_local { output.options.zone_offset_seconds } else { 0 };
        let wrong = || Refusal::new("invalid_time", "date or time cannot be read");
        match (stamp.date, stamp.time) {
            (Some(date), Some(time)) => self.dated(date, time, zone).ok_or_else(wrong),
            (Some(date), None) => clock_text::parse_iso(date, zone).ok_or_else(wrong),
            (None, Some(time)) => self.undated(time, zone, output).ok_or_else(wrong),
            (None, None) => Ok(self.date.unwrap_or(output.origin.received)),
        }
    }

    fn dated(&mut self, date: &str, time: &str, zone: i32) -> Option<Timestamp> {
        if self.last_date.0 != date {
            self.last_date = (date.to_owned(), Timestamp::parse(date)?.day().start());
        }
        let local = self.last_date.1.as_nanos().saturating_add(clock_text::parse_clock(time)?);
        Some(clock_text::shifted(Timestamp::from_nanos(local), zone).truncated_to_ticks())
    }

    fn undated(&mut self, time: &str, zone: i32, output: &mut Output) -> Option<Timestamp> {
        let date = self.date.unwrap_or_else(|| output.origin.received.day().start());
        let local = date.as_nanos().saturating_add(clock_text::parse_clock(time)?);
        let found = clock_text::shifted(Timestamp::from_nanos(local), zone).truncated_to_ticks();
        if self.date.is_some() && self.last_undated.is_some_and(|last| found < last) {
            let next = Timestamp::from_nanos(date.as_nanos().saturating_add(NANOS_PER_DAY));
            self.date = Some(next);
            self.tell_head(output);
            self.last_undated = Some(Timestamp::from_nanos(found.as_nanos().saturating_add(NANOS_PER_DAY)));
        } else {
            self.last_undated = Some(found);
        }
        self.last_undated
    }
}

impl FieldUse {
    fn write(&self, table: TableId, value: &str, output: &mut Output) {
        match self {
            Self::Date { .. } | Self::Time { .. } => {}
            Self::Uri => {
                let (stem, query) = value.split_once('?').unwrap_or((value, ""));
                output.set_field(table, "csUriStem", Value::Text(stem));
                output.set_field(table, "csUriQuery", Value::Text(query));
            }
            Self::Column { target, name, plus_is_blank: true } if !value.contains(' ') => {
                output.set(table, *target, name, Value::Text(&value.replace('+', " ")));
            }
            Self::Column { target, name, .. } => output.set(table, *target, name, Value::Text(value)),
            Self::Other { name } => output.set_field(table, name, Value::Text(value)),
        }
    }
}

fn field_use(field: &str, target: impl Fn(&str) -> Target) -> FieldUse {
    let lower = field.to_ascii_lowercase();
    match lower.as_str() {
        "date" | "date-local" => FieldUse::Date { is_local: lower.ends_with("local") },
        "time" | "time-local" => FieldUse::Time { is_local: lower.ends_with("local") },
        "cs-uri" => FieldUse::Uri,
        _ => match COLUMNS.iter().find(|(name, _)| *name == lower) {
            Some((_, name)) => {
                FieldUse::Column { target: target(name), name, plus_is_blank: PLUS_COLUMNS.contains(name) }
            }
            None => FieldUse::Other { name: field.into() },
        },
    }
}

/// The values of a line. A quoted one keeps its quotes and may hold blanks; a quote within it is doubled.
struct Values<'a> {
    rest: &'a str,
    /// Set once a quote was found open to the end of the line: the rest is not searched for its end again.
    has_open_quote: bool,
}

impl<'a> Values<'a> {
    fn of(line: &'a str) -> Self {
        Self { rest: line, has_open_quote: false }
    }
}

impl<'a> Iterator for Values<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let rest = self.rest.trim_start_matches([' ', '\t']);
        if rest.is_empty() {
            return None;
        }
        let quoted = rest.strip_prefix('"').filter(|_| !self.has_open_quote);
        let end = quoted.and_then(quoted_end).map(|end| end + 1);
        self.has_open_quote |= quoted.is_some() && end.is_none();
        let end = end.or_else(|| memchr::memchr2(b' ', b'\t', rest.as_bytes())).unwrap_or(rest.len());
        self.rest = &rest[end..];
        Some(&rest[..end])
    }
}

/// The position behind the closing quote, if a blank or the end follows it.
fn quoted_end(inner: &str) -> Option<usize> {
    let bytes = inner.as_bytes();
    let mut at = 0;
    loop {
        at += memchr::memchr(b'"', &bytes[at..])? + 1;
        match bytes.get(at) {
            Some(b'"') => at += 1,
            None | Some(b' ' | b'\t') => return Some(at),
            Some(_) => {}
        }
    }
}

fn unquoted(value: &str) -> Cow<'_, str> {
    let inner = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    match inner {
        Some(inner) if inner.contains("\"\"") => inner.replace("\"\"", "\"").into(),
        Some(inner) => inner.into(),
        None => value.into(),
    }
}

fn table_name(output: &Output) -> TableName {
    let own = || TableName::new(table::W3C_IIS_LOG).expect("the names of built-in tables are valid");
    output.options.table.clone().unwrap_or_else(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_separated_by_blanks_and_quoted_ones_hold_them() {
        let check = |line: &str, expected: &[&str]| {
            let found: Vec<String> = Values::of(line).map(|value| unquoted(value).into_owned()).collect();
            assert_eq!(found, expected, "{line}");
        };
        check("a  b\tc", &["a", "b", "c"]);
        check(r#""a b" - "say ""no""" x"y"#, &["a b", "-", "say \"no\"", "x\"y"]);
        check(r#""open end"#, &["\"open", "end"]);
        check("\"\" b", &["", "b"]);
        check("", &[]);
    }
}
