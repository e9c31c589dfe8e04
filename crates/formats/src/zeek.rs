//! Zeek logs as tab-separated values, a table per log (`conn.log` is `ZeekConn_CL`).
//!
//! Layout: directives begin with `#`. `#separator` declares what stands between fields (`\x09`), `#set_separator` what
//! stands between members of a set, `#empty_field` an empty set or text, `#unset_field` a field without value; `#path`
//! names the log, `#fields` and `#types` its columns. Bytes that would disturb are written `\xHH`. Declarations may come
//! again with other columns. Columns keep their names, dots as underscores (`id_orig_h`); `ts` is the event time.
//!
//! A file without `#fields` is read too, as `zeek-cut` and scripts leave them: its path is the end of the file's name,
//! its values have no declared types. Where the first line is made of names, those are its columns, else its columns
//! are `field_1`, `field_2` and so on.

use std::borrow::Cow;

use moneta_base::{TableName, Timestamp};
use moneta_event::{RecordClass, Value};

use crate::clock_text;
use crate::decoder::LineFormat;
use crate::json::Document;
use crate::mapping::{Slot, find_column, in_capitals};
use crate::output::{Output, Refusal, TableId};

/// Columns of one log at most.
const FIELDS_MAX: usize = moneta_base::limits::RECORD_FIELDS_MAX;

/// Decodes Zeek logs.
pub(crate) struct ZeekLog {
    separator: String,
    set_separator: String,
    empty: String,
    unset: String,
    path: String,
    names: Vec<String>,
    types: Vec<String>,
    /// The declarations in force, by their names, as they were written.
    declared: Vec<(String, String)>,
    /// The columns in force, found at the first record behind their declaration.
    columns: Option<(TableId, Vec<Column>)>,
    scratch: Document,
}

struct Column {
    slot: Slot,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    EventTime,
    Time,
    Long,
    Real,
    Bool,
    Text,
    List,
    /// Without a declaration.
    Unknown,
}

impl Default for ZeekLog {
    fn default() -> Self {
        Self {
            separator: "\t".to_owned(),
            set_separator: ",".to_owned(),
            empty: "(empty)".to_owned(),
            unset: "-".to_owned(),
            path: String::new(),
            names: Vec::new(),
            types: Vec::new(),
            declared: Vec::new(),
            columns: None,
            scratch: Document::default(),
        }
    }
}

/// Whether the beginning of a file declares a Zeek log, or names its columns as one does.
pub(crate) fn is_zeek(head: &[u8]) -> bool {
    head.split(|b| *b == b'\n').take(8).any(|line| {
        line.starts_with(b"#separator ")
            || line.starts_with(b"#fields\t")
            || line.starts_with(b"ts\tuid\t")
            || line.starts_with(b"ts\tid.orig_h\t")
    })
}

impl LineFormat for ZeekLog {
    fn line(&mut self, bytes: &[u8], offset: u64, output: &mut Output) {
        if let Some(directive) = bytes.strip_prefix(b"#") {
            let text = String::from_utf8_lossy(directive);
            self.directive(&text);
            self.keep(&text, output);
            return;
        }
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                output.quarantine(Refusal::invalid_utf8(error), output.options.table.clone(), offset, bytes);
                return;
            }
        };
        if self.names.is_empty() && !text.starts_with('{') {
            let values = text.split(self.separator.as_str()).take(FIELDS_MAX);
            if values.clone().all(is_name) {
                self.names = values.map(str::to_owned).collect();
                output.set_head(text);
                return;
            }
            self.names = (1..=values.count()).map(|position| format!("field_{position}")).collect();
        }
        if let Err(refusal) = self.record(text, output) {
            let table = Some(self.table_name(output));
            output.quarantine(refusal, table, offset, bytes);
        }
    }
}

/// Declarations that change what records mean, in the order in which they are to be read again.
const DECLARATIONS: [&str; 7] = ["separator", "set_separator", "empty_field", "unset_field", "path", "fields", "types"];

impl ZeekLog {
    /// Keeps a declaration for lines that are refused.
    fn keep(&mut self, directive: &str, output: &mut Output) {
        let is_end = |rest: &str| rest.starts_with([' ', '\t']) || rest.starts_with(self.separator.as_str());
        let declares = |name: &&str| directive.strip_prefix(*name).is_some_and(is_end);
        let Some(name) = DECLARATIONS.into_iter().find(declares) else { return };
        self.declared.retain(|(known, _)| known != name && !(name == "fields" && known == "types"));
        self.declared.push((name.to_owned(), format!("#{directive}")));
        let rank = |name: &str| DECLARATIONS.iter().position(|known| *known == name);
        self.declared.sort_by_key(|(name, _)| rank(name));
        let lines: Vec<&str> = self.declared.iter().map(|(_, line)| line.as_str()).collect();
        output.set_head(&lines.join("\n"));
    }

    fn directive(&mut self, text: &str) {
        // The separator of this line cannot be the one it declares.
        if let Some(declared) = text.strip_prefix("separator") {
            let declared = unescaped(declared.trim_matches([' ', '\t']));
            if !declared.is_empty() && declared.len() <= 16 {
                self.separator = declared.into_owned();
            }
            return;
        }
        let mut parts = text.split(self.separator.as_str());
        let name = parts.next().unwrap_or_default();
        let set = |slot: &mut String, value: Option<&str>| {
            *slot = unescaped(value.unwrap_or_default()).into_owned();
        };
        match name {
            "set_separator" => set(&mut self.set_separator, parts.next()),
            "empty_field" => set(&mut self.empty, parts.next()),
            "unset_field" => set(&mut self.unset, parts.next()),
            "path" => {
                set(&mut self.path, parts.next());
                self.columns = None;
            }
            "fields" => {
                self.names = parts.take(FIELDS_MAX).map(str::to_owned).collect();
                self.types.clear();
                self.columns = None;
            }
            "types" => {
                self.types = parts.take(FIELDS_MAX).map(str::to_owned).collect();
                self.columns = None;
            }
            _ => {}
        }
    }

    fn table_name(&self, output: &Output) -> TableName {
        if let Some(table) = &output.options.table {
            return table.clone();
        }
        let path = if self.path.is_empty() { path_of_file(output.origin.source.as_str()) } else { &self.path };
        let name = TableName::new(&format!("Zeek{}_CL", in_capitals(path)));
        name.unwrap_or_else(|_| output.options.fallback_table.clone())
    }

    fn resolve(&mut self, output: &mut Output) {
        if self.columns.is_some() {
            return;
        }
        let table = output.table(&self.table_name(output));
        let column = |(index, name): (usize, &String)| {
            let kind = kind_of(name, self.types.get(index).map_or("", String::as_str));
            Column { slot: find_column(output, table, &name.replace('.', "_")), kind }
        };
        let columns = self.names.iter().enumerate().map(column).collect();
        self.columns = Some((table, columns));
    }

    fn record(&mut self, line: &str, output: &mut Output) -> Result<(), Refusal> {
        if self.names.is_empty() {
            return Err(Refusal::new("no_fields", "no #fields line before this record, which looks like JSON"));
        }
        self.resolve(output);
        let Some((table, columns)) = &self.columns else { return Ok(()) };
        let (table, received) = (*table, output.origin.received);
        let mut values = Vec::with_capacity(columns.len() + 1);
        split(line, &self.separator, &mut values);
        if values.len() > columns.len() {
            let reason = format!("{} values for {} columns", values.len(), columns.len());
            return Err(Refusal::new("too_many_fields", reason));
        }
        let stamp = columns.iter().zip(&values).find(|(column, _)| column.kind == Kind::EventTime);
        let time = stamp.and_then(|(_, value)| epoch(value));
        output.check_time(time.unwrap_or(received))?;
        for (column, value) in columns.iter().zip(&values).filter(|(_, value)| **value != self.unset) {
            if column.kind == Kind::EventTime {
                // A time that cannot be read is kept beside that of receipt.
                if time.is_none() {
                    Slot::extra("ts").write(output, table, Value::Text(value), &mut self.scratch);
                }
                continue;
            }
            let empty = *value == self.empty;
            let list;
            let text;
            let value = match column.kind {
                Kind::List => {
                    list = if empty { "[]".to_owned() } else { self.list(value) };
                    Value::Json(&list)
                }
                _ if empty => continue,
                Kind::Time => epoch(value).map_or(Value::Text(value), Value::Time),
                Kind::Long => value.parse().map_or(Value::Text(value), Value::Long),
                Kind::Real => value.parse().map_or(Value::Text(value), Value::Real),
                Kind::Bool => match *value {
                    "T" => Value::Bool(true),
                    "F" => Value::Bool(false),
                    other => Value::Text(other),
                },
                Kind::EventTime | Kind::Text | Kind::Unknown => {
                    text = unescaped(value);
                    Value::Text(&text)
                }
            };
            column.slot.write(output, table, value, &mut self.scratch);
        }
        let class = if self.path.starts_with("notice") { RecordClass::Processed } else { RecordClass::Data };
        output.finish_row(table, class, time.unwrap_or(received), line);
        Ok(())
    }

    /// The members of a set or vector as a JSON array.
    fn list(&self, value: &str) -> String {
        let separator = if self.set_separator.is_empty() { "," } else { &self.set_separator };
        let member = |member: &str| {
            if member == self.unset {
                "null".to_owned()
            } else {
                serde_json::Value::from(&*unescaped(member)).to_string()
            }
        };
        format!("[{}]", value.split(separator).map(member).collect::<Vec<_>>().join(","))
    }
}

/// The values of a line, one more than a log may have columns at most.
fn split<'a>(line: &'a str, separator: &str, values: &mut Vec<&'a str>) {
    let [byte] = separator.as_bytes() else {
        values.extend(line.split(separator).take(FIELDS_MAX + 1));
        return;
    };
    let mut start = 0;
    for end in memchr::memchr_iter(*byte, line.as_bytes()).take(FIELDS_MAX) {
        values.push(&line[start..end]);
        start = end + 1;
    }
    values.push(&line[start..]);
}

/// Whether a text is made as Zeek names fields: small letters, digits and underscores, records apart by dots.
fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'.'))
}

fn kind_of(name: &str, declared: &str) -> Kind {
    match declared {
        _ if name == "ts" => Kind::EventTime,
        "time" => Kind::Time,
        "count" | "int" | "port" => Kind::Long,
        "double" | "interval" => Kind::Real,
        "bool" => Kind::Bool,
        "" => Kind::Unknown,
        _ if declared.starts_with("set[") || declared.starts_with("vector[") || declared.starts_with("table[") => {
            Kind::List
        }
        _ => Kind::Text,
    }
}

fn epoch(text: &str) -> Option<Timestamp> {
    let is_number = text.starts_with(|c: char| c.is_ascii_digit() || c == '-');
    if is_number && memchr::memchr2(b'T', b':', text.as_bytes()).is_none() {
        clock_text::parse_epoch(text)
    } else {
        clock_text::parse_iso(text, 0)
    }
}

/// The log a file's name speaks of: `conn` of `conn.log`, `x_weird.log` and `conn.00:00:00-01:00:00.log`.
fn path_of_file(file: &str) -> &str {
    let base = file.rsplit(['/', '\\']).next().unwrap_or(file);
    let stem = base.find(".log").map_or(base, |at| &base[..at]);
    let stem = stem.rsplit(['_', '.']).next().filter(|part| !part.is_empty()).unwrap_or(stem);
    if stem.starts_with(|c: char| c.is_ascii_digit()) { base.split('.').next().unwrap_or(base) } else { stem }
}

/// Resolves `\xHH` and `\\`; bytes that are no UTF-8 stay escaped.
fn unescaped(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let hex = behind.strip_prefix(b"x").and_then(|digits| std::str::from_utf8(digits.get(..2)?).ok());
        match hex.and_then(|digits| u8::from_str_radix(digits, 16).ok()).filter(|_| *first == b'\\') {
            Some(byte) => {
                bytes.push(byte);
                rest = &behind[3..];
            }
            None => {
                bytes.push(*first);
                rest = if *first == b'\\' && behind.first() == Some(&b'\\') { &behind[1..] } else { behind };
            }
        }
    }
    String::from_utf8(bytes).map_or(Cow::Borrowed(text), Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_resolved_where_they_are_text() {
        assert_eq!(unescaped("a\\x09b\\\\c"), "a\tb\\c");
        assert_eq!(unescaped("\\xff"), "\\xff");
        assert_eq!(unescaped("\\xc3\\xa4"), "ä");
        assert_eq!(unescaped("\\x"), "\\x");
    }

    #[test]
    fn a_line_of_names_is_told_from_one_of_values() {
        assert!(["uid", "id.orig_h", "orig_l2_addr"].into_iter().all(is_name));
        assert!(["CHhAvVGS1DHFjwGM9", "-", "10.0.0.1", "", "a b"].into_iter().all(|text| !is_name(text)));
    }

    #[test]
    fn a_files_name_names_its_log() {
        assert_eq!(path_of_file("a/conn.log"), "conn");
        assert_eq!(path_of_file("core.x_weird.log"), "weird");
        assert_eq!(path_of_file("http.00:00:00-01:00:00.log"), "http");
    }
}
