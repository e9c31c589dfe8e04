//! `externaldata`: rows read from files named in the query.
//!
//! Only locations that whoever runs queries has allowed can be named, and this crate reads none of them itself: the
//! bytes come from an [`ExternalSource`]. What does not fit its column becomes null, as everywhere in Kusto; bytes
//! that are not in the format they should have end the query with a sentence.
//!
//! # Formats
//! `csv`, `tsv`, `psv`, `scsv`, `sohsv` (values in double quotes may hold separators and line ends), `txt` (a line per
//! row), `raw` (one row), `json` and `multijson` (objects one after the other, or in an array).

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use datafusion::logical_expr::LogicalPlan;
use moneta_event::{Column, ColumnType};
use moneta_kql::syntax::ExternalDataExpression;
use serde_json::Value as Json;

use super::TabularOperator;
use super::gathered::{Gathered, Gathering, Work};
use crate::binder::{Binder, Row, codes};
use crate::bound::Relation;
use crate::error::{Error, Result};
use crate::functions::conversion;
use crate::functions::row::{Answer, Builder, Call, Cell};
use crate::json::{self, Step};
use crate::lower::LowerContext;
use crate::value::Value;

/// The greatest number of bytes read from one location (`external_bytes_max`).
pub const EXTERNAL_BYTES_MAX: usize = 256 * 1024 * 1024;
/// The greatest number of locations in one `externaldata`.
const LOCATIONS_MAX: usize = 100;
/// The rows between two looks at whether the query still runs.
const CHECK_ROWS: usize = 4_096;

/// Whoever fetches what `externaldata` names.
pub trait ExternalSource: Send + Sync {
    /// The bytes of a location, not compressed. It may block.
    ///
    /// # Errors
    /// A sentence for the person who asked. More than `bytes_max` bytes are an error.
    fn read(&self, location: &str, bytes_max: usize) -> std::result::Result<Vec<u8>, String>;
}

/// How the bytes are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Separated(char),
    Lines,
    Raw,
    Json,
}

impl Format {
    fn parse(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "csv" => Self::Separated(','),
            "tsv" | "tsve" => Self::Separated('\t'),
            "psv" => Self::Separated('|'),
            "scsv" => Self::Separated(';'),
            "sohsv" => Self::Separated('\u{1}'),
            "txt" => Self::Lines,
            "raw" => Self::Raw,
            "json" | "singlejson" | "multijson" => Self::Json,
            _ => return None,
        })
    }

    /// What the end of a location says.
    fn of_location(location: &str) -> Self {
        let path = location.split(['?', ';', '#']).next().unwrap_or(location);
        let extension = path.rsplit('.').next().unwrap_or("");
        Self::parse(extension).unwrap_or(Self::Separated(','))
    }
}

/// Where the value of a column is found.
#[derive(Debug, Clone, PartialEq)]
enum Source {
    /// In the value at that position of a line.
    Ordinal(usize),
    /// Under a path of an object.
    Path(Vec<Step>),
}

/// Reads and decodes locations.
#[derive(Debug, Clone)]
pub struct External {
    locations: Vec<String>,
    columns: Vec<Column>,
    sources: Vec<Source>,
    format: Option<Format>,
    ignores_first: bool,
}

impl TabularOperator for External {
    fn name(&self) -> &'static str {
        "externaldata"
    }

    fn details(&self) -> String {
        // What follows a question mark or semicolon may be a secret.
        let shown = self.locations.iter().map(|l| l.split(['?', ';']).next().unwrap_or(""));
        shown.collect::<Vec<_>>().join(", ")
    }

    fn inputs(&self) -> Vec<&Relation> {
        Vec::new()
    }

    fn lower(&self, relation: &Relation, ctx: &LowerContext<'_>) -> Result<LogicalPlan> {
        let Some(source) = ctx.tables.external() else {
            return Err(Error::Unsupported { what: "externaldata".to_owned() });
        };
        let reading = Reading { external: self.clone(), source };
        let gathered = Gathered::relation(Vec::new(), relation.columns.to_vec(), reading);
        gathered.operator.lower(&gathered, ctx)
    }
}

/// An [`External`] with whoever fetches its bytes.
struct Reading {
    external: External,
    source: Arc<dyn ExternalSource>,
}

impl std::fmt::Debug for Reading {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.external.fmt(f)
    }
}

impl Gathering for Reading {
    fn name(&self) -> &'static str {
        "externaldata"
    }

    fn details(&self) -> String {
        self.external.details()
    }

    fn run(&self, _: &[RecordBatch], work: &Work) -> std::result::Result<Vec<ArrayRef>, String> {
        let external = &self.external;
        let mut builders: Vec<Builder> = external.columns.iter().map(|c| Builder::new(c.column_type, 0)).collect();
        for location in &external.locations {
            work.check()?;
            let bytes = self.source.read(location, EXTERNAL_BYTES_MAX)?;
            let text = String::from_utf8_lossy(&bytes);
            external.decode(location, text.trim_start_matches('\u{feff}'), &mut builders, work)?;
        }
        Ok(builders.into_iter().map(Builder::finish).collect())
    }
}

impl External {
    /// Adds the rows of one location.
    fn decode(
        &self,
        location: &str,
        text: &str,
        builders: &mut [Builder],
        work: &Work,
    ) -> std::result::Result<(), String> {
        let skipped = usize::from(self.ignores_first);
        match self.format.unwrap_or_else(|| Format::of_location(location)) {
            Format::Raw => self.push_values(&[text.to_owned()], builders),
            Format::Lines => text.lines().skip(skipped).for_each(|line| self.push_values(&[line.to_owned()], builders)),
            Format::Separated(separator) => {
                let records = Separated { rest: text, separator };
                for (row, values) in records.skip(skipped).enumerate() {
                    if row % CHECK_ROWS == 0 {
                        work.check()?;
                    }
                    self.push_values(&values, builders);
                }
            }
            Format::Json => {
                let objects = serde_json::Deserializer::from_str(text).into_iter::<Json>();
                for (row, object) in objects.enumerate() {
                    if row % CHECK_ROWS == 0 {
                        work.check()?;
                    }
                    let object = object.map_err(|error| format!("externaldata: {location} is not JSON: {error}"))?;
                    match object {
                        Json::Array(all) => all.iter().for_each(|one| self.push_object(one, builders)),
                        one => self.push_object(&one, builders),
                    }
                }
            }
        }
        Ok(())
    }

    fn push_values(&self, values: &[String], builders: &mut [Builder]) {
        for ((column, source), builder) in self.columns.iter().zip(&self.sources).zip(builders) {
            let value = match source {
                Source::Ordinal(position) => values.get(*position),
                Source::Path(_) => None,
            };
            builder.push(value.map_or(Answer::Null, |value| typed(value, column.column_type)));
        }
    }

    fn push_object(&self, object: &Json, builders: &mut [Builder]) {
        let text = object.to_string();
        for ((column, source), builder) in self.columns.iter().zip(&self.sources).zip(builders) {
            let Source::Path(steps) = source else {
                builder.push(Answer::Null);
                continue;
            };
            let found = if steps.is_empty() { Some(text.as_str()) } else { json::follow(&text, steps) };
            let call = Call { types: &[ColumnType::Dynamic], return_type: column.column_type };
            builder.push(match found {
                None | Some("null") => Answer::Null,
                Some(found) if column.column_type == ColumnType::Dynamic => Answer::Text(found.to_owned().into()),
                Some(found) => conversion::convert(Cell::Text(found), &call),
            });
        }
    }
}

/// A text as a value of a type.
fn typed(text: &str, column_type: ColumnType) -> Answer<'_> {
    match column_type {
        ColumnType::String => Answer::Text(text.into()),
        _ if text.is_empty() => Answer::Null,
        ColumnType::Dynamic => conversion::to_dynamic(Cell::Text(text), ColumnType::String),
        _ => {
            let call = Call { types: &[ColumnType::String], return_type: column_type };
            conversion::convert(Cell::Text(text), &call)
        }
    }
}

/// The records of a text of separated values.
struct Separated<'t> {
    rest: &'t str,
    separator: char,
}

impl Iterator for Separated<'_> {
    type Item = Vec<String>;

    fn next(&mut self) -> Option<Vec<String>> {
        loop {
            if self.rest.is_empty() {
                return None;
            }
            let values = self.record();
            // A line without anything in it is no record.
            if values.len() > 1 || values.first().is_some_and(|value| !value.is_empty()) {
                return Some(values);
            }
        }
    }
}

impl Separated<'_> {
    fn record(&mut self) -> Vec<String> {
        let mut values = vec![String::new()];
        let (mut quoted, mut begins) = (false, true);
        let mut chars = self.rest.char_indices().peekable();
        while let Some((_, c)) = chars.next() {
            let Some(value) = values.last_mut() else { break };
            match c {
                '"' if quoted && chars.peek().is_some_and(|(_, next)| *next == '"') => {
                    value.push('"');
                    chars.next();
                }
                '"' if quoted || begins => {
                    quoted = !quoted;
                    begins = false;
                }
                '\r' if !quoted && chars.peek().is_some_and(|(_, next)| *next == '\n') => {}
                '\n' if !quoted => {
                    let next = chars.peek().map_or(self.rest.len(), |(index, _)| *index);
                    self.rest = &self.rest[next..];
                    return values;
                }
                c if c == self.separator && !quoted => {
                    values.push(String::new());
                    begins = true;
                }
                c => {
                    value.push(c);
                    begins = false;
                }
            }
        }
        self.rest = "";
        values
    }
}

impl Binder<'_> {
    /// `externaldata (a:string) ["location"] with (format = "csv", ignoreFirstRecord = true)`.
    pub(crate) fn bind_externaldata(&mut self, node: &ExternalDataExpression) -> Option<Relation> {
        let columns = self.schema_columns(&node.schema)?;
        if node.locations.len() > LOCATIONS_MAX {
            let message = format!("externaldata reads at most {LOCATIONS_MAX} locations");
            return self.fail(codes::LIMIT, node.span, message);
        }
        let mut locations = Vec::new();
        for location in &node.locations {
            let bound = self.scalar(location, &mut Row::none())?;
            let Some(text) = bound.as_literal().and_then(Value::as_str).map(str::to_owned) else {
                let message = "the location must be a constant text";
                return self.fail(codes::CONSTANT_EXPECTED, location.span(), message);
            };
            if let Err(reason) = self.allows_location(&text) {
                return self.fail(codes::UNSUPPORTED, location.span(), reason);
            }
            locations.push(text);
        }
        let mut external = External { locations, sources: Vec::new(), columns, format: None, ignores_first: false };
        let mut mapping = None;
        for property in &node.properties {
            let word = property.word().unwrap_or("").to_owned();
            match property.name.text.to_ascii_lowercase().as_str() {
                "format" => match Format::parse(&word) {
                    Some(format) => external.format = Some(format),
                    None => {
                        let message = format!(
                            "the format `{word}` is not supported; use csv, tsv, psv, scsv, sohsv, txt, raw, json or \
                             multijson"
                        );
                        return self.fail(codes::UNSUPPORTED, property.span, message);
                    }
                },
                "ignorefirstrecord" => external.ignores_first = word.eq_ignore_ascii_case("true"),
                "ingestionmapping" => mapping = Some((word, property.span)),
                _ => {}
            }
        }
        let is_json = match external.format {
            Some(format) => format == Format::Json,
            None => external.locations.first().is_some_and(|l| Format::of_location(l) == Format::Json),
        };
        let mapped = mapping.as_ref().map(|(text, _)| json::parse(text));
        external.sources = sources(&external.columns, mapped.as_ref(), is_json);
        Some(Relation::new(external.columns.clone(), external))
    }
}

/// Where each column is found: where a mapping says, else by name in objects and by position in lines.
fn sources(columns: &[Column], mapping: Option<&Json>, is_json: bool) -> Vec<Source> {
    let entry = |column: &Column| {
        let entries = mapping?.as_array()?;
        let named = |entry: &&Json| {
            let name = entry["Column"].as_str().or_else(|| entry["column"].as_str()).or_else(|| entry["Name"].as_str());
            name == Some(&column.name)
        };
        entries.iter().find(named)
    };
    let property = |entry: &Json, name: &str| {
        let lower = name.to_lowercase();
        [&entry["Properties"][name], &entry["properties"][&lower], &entry[name], &entry[&lower]]
            .into_iter()
            .find(|found| !found.is_null())
            .cloned()
    };
    let source = |(index, column): (usize, &Column)| {
        let mapped = entry(column);
        if is_json {
            let path = mapped.and_then(|entry| property(entry, "Path"));
            let own = || vec![Step::Key(column.name.to_string())];
            return Source::Path(path.as_ref().and_then(Json::as_str).map_or_else(own, path_steps));
        }
        let ordinal = mapped.and_then(|entry| property(entry, "Ordinal"));
        let ordinal = ordinal.and_then(|o| o.as_u64().or_else(|| o.as_str()?.parse().ok()));
        Source::Ordinal(ordinal.and_then(|o| usize::try_from(o).ok()).unwrap_or(index))
    };
    columns.iter().enumerate().map(source).collect()
}

/// The steps of a path such as `$.a['b'][0]`.
fn path_steps(path: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let path = path.trim().strip_prefix('$').unwrap_or(path.trim());
    for part in path.split(['.', '[']) {
        let inner = part.trim_end_matches(']').trim_matches(['\'', '"']);
        if inner.is_empty() {
            continue;
        }
        let is_index = part.ends_with(']') && !part.starts_with(['\'', '"']);
        steps.push(match inner.parse::<i64>() {
            Ok(index) if is_index => Step::Index(index),
            _ => Step::Key(inner.to_owned()),
        });
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&[&str]]) {
        let found: Vec<Vec<String>> = Separated { rest: text, separator: ',' }.collect();
        assert_eq!(found, expected, "{text:?}");
    }

    #[test]
    fn values_may_be_quoted() {
        check("a,b\r\n\"x, \"\"y\"\"\nz\",2\n\n3", &[&["a", "b"], &["x, \"y\"\nz", "2"], &["3"]]);
        check("a,\n", &[&["a", ""]]);
        check("it\"s,1", &[&["it\"s", "1"]]);
        check("", &[]);
    }

    #[test]
    fn paths_have_keys_and_indexes() {
        let key = |name: &str| Step::Key(name.to_owned());
        assert_eq!(path_steps("$.a['b c'][2].d"), [key("a"), key("b c"), Step::Index(2), key("d")]);
        assert!(path_steps("$").is_empty());
    }

    #[test]
    fn the_format_follows_the_end_of_the_location() {
        assert_eq!(Format::of_location("https://x.y/a.tsv?sig=1.json"), Format::Separated('\t'));
        assert_eq!(Format::of_location("https://x.y/feed"), Format::Separated(','));
        assert_eq!(Format::of_location("a.multijson"), Format::Json);
    }
}
