//! JSON records: Windows events in the shapes shippers give them, and rows of any table.
//!
//! A record of a given table maps member by member. Without one, a record in the shape of a Windows event becomes a row
//! of `SecurityEvent` or `Event`; one whose `Type` names a table becomes a row of that table; the rest goes to the
//! fallback table. Members without a column go to `_Extra`; `_Raw` holds the record as it came.

mod document;
mod split;

use moneta_base::{TableName, Timestamp};
use moneta_event::schema::standard;
use moneta_event::{RecordClass, Value};

use document::without_lone_surrogates;
pub(crate) use document::{Document, Fault, Item, Kind};
use split::{ObjectSplitter, Piece};

use crate::clock_text;
use crate::output::{Output, Refusal};
use crate::windows::{self, WindowsRows};

/// Members that hold the event time, the first that parses wins; in the order of how surely they mean event time.
const TIME_MEMBERS: [&str; 8] =
    ["TimeGenerated", "EventTime", "@timestamp", "timestamp", "Timestamp", "time", "ts", "datetime"];

/// Maps JSON records to rows. Reuses its buffers from record to record.
#[derive(Debug, Default)]
pub(crate) struct JsonMapper {
    document: Document,
    windows: WindowsRows,
}

impl JsonMapper {
    /// Adds the record to the output, as a row or as a quarantined record.
    pub fn record(&mut self, bytes: &[u8], offset: u64, output: &mut Output) {
        let result = std::str::from_utf8(bytes).map_err(Refusal::invalid_utf8).and_then(|text| self.map(text, output));
        if let Err(refusal) = result {
            let table = output.options.table.clone();
            output.quarantine(refusal, table, offset, bytes);
        }
    }

    fn map(&mut self, text: &str, output: &mut Output) -> Result<(), Refusal> {
        match self.document.parse(text) {
            Ok(item) => map_item(&mut self.windows, item, text, output),
            Err(Fault::LoneSurrogate(_)) => {
                let repaired = without_lone_surrogates(text);
                let item = self.document.parse(&repaired).map_err(Fault::refusal)?;
                map_item(&mut self.windows, item, text, output)
            }
            Err(fault) => Err(fault.refusal()),
        }
    }
}

fn map_item(windows: &mut WindowsRows, item: Item<'_>, raw: &str, output: &mut Output) -> Result<(), Refusal> {
    if !item.is_object() {
        return Err(Refusal::new("not_an_object", "a JSON record must be an object"));
    }
    let table = match output.options.table.clone() {
        Some(table) => table,
        None => {
            if let Some(event) = windows::from_json(item, output.options.zone_offset_seconds) {
                return windows.write(&event, raw, output);
            }
            table_named_by(item, output).unwrap_or_else(|| output.options.fallback_table.clone())
        }
    };
    write_members(&table, item, raw, output)
}

/// The table that the record's `Type` names, as rows exported from a workspace do.
fn table_named_by(item: Item<'_>, output: &Output) -> Option<TableName> {
    let name = item.get(standard::TYPE)?.text()?;
    output.options.catalog.get(name).map(|schema| schema.name().clone())
}

/// Writes a row whose fields are the record's members.
fn write_members(table_name: &TableName, item: Item<'_>, raw: &str, output: &mut Output) -> Result<(), Refusal> {
    let found = event_time(item, output);
    let time = found.map_or(output.origin.received, |(_, time)| time);
    output.check_time(time)?;
    let table = output.table(table_name);
    for (name, member) in item.members() {
        // What became TimeGenerated and Type is there already, under its own name.
        let is_time = name == standard::TIME_GENERATED && found.is_some_and(|(member, _)| member == name);
        let is_type = name == standard::TYPE && member.text() == Some(table_name.as_str());
        if let Some(value) = member.value().filter(|_| !is_time && !is_type) {
            output.set_field(table, name, value);
        }
    }
    output.finish_row(table, RecordClass::Data, time, raw);
    Ok(())
}

fn event_time<'a>(item: Item<'a>, output: &Output) -> Option<(&'a str, Timestamp)> {
    let rank = |name: &str| TIME_MEMBERS.iter().position(|member| *member == name);
    let candidates = item.members().filter_map(|(name, member)| {
        let time = match member.value()? {
            Value::Text(text) => clock_text::parse_iso(text.trim(), output.options.zone_offset_seconds),
            Value::Long(_) | Value::Real(_) => clock_text::parse_epoch(member.raw()),
            _ => None,
        };
        Some((rank(name)?, name, time?))
    });
    candidates.min_by_key(|(rank, _, _)| *rank).map(|(_, name, time)| (name, time))
}

/// JSON that is not one object a line, decoded as it arrives.
#[derive(Debug)]
pub(crate) struct JsonStream {
    splitter: ObjectSplitter,
    mapper: JsonMapper,
}

impl JsonStream {
    pub fn new(first_offset: u64) -> Self {
        Self { splitter: ObjectSplitter::new(first_offset), mapper: JsonMapper::default() }
    }

    pub fn feed(&mut self, bytes: &[u8], output: &mut Output) {
        let Self { splitter, mapper } = self;
        splitter.feed(bytes, |piece, end| take(mapper, piece, end, output));
    }

    pub fn finish(&mut self, output: &mut Output) {
        let Self { splitter, mapper } = self;
        splitter.finish(|piece, end| take(mapper, piece, end, output));
    }
}

fn take(mapper: &mut JsonMapper, piece: Piece<'_>, end: u64, output: &mut Output) {
    let table = output.options.table.clone();
    match piece {
        Piece::Object { offset, bytes } => mapper.record(bytes, offset, output),
        Piece::Garbage { offset, bytes } => {
            let refusal = Refusal::new("invalid_json", "not a JSON object, or one without its end");
            output.quarantine(refusal, table, offset, bytes);
        }
        Piece::TooLong { offset, head, length } => output.quarantine_too_long(table, offset, head, length),
    }
    output.advance(end);
}
