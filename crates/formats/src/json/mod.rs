//! JSON records: Windows events in the shapes shippers give them, and rows of any table.
//!
//! A record of a given table maps member by member. Without one, a record in the shape of a Windows event becomes a row
//! of `SecurityEvent` or `Event`; one whose `Type` names a table becomes a row of that table; the rest goes to the
//! fallback table. Members without a column go to `_Extra`; `_Raw` holds the record as it came.

mod document;
mod split;

use moneta_base::{TableName, Timestamp};
use moneta_event::Value;
use moneta_event::catalog::table::SYSLOG;
use moneta_event::schema::standard;

use document::without_lone_surrogates;
pub(crate) use document::{Document, Fault, Item, Kind};
use split::{ObjectSplitter, Piece};

use crate::clock_text;
use crate::event_xml::EventXmlStream;
use crate::mapping::{MappedRows, Mappings, Slots};
use crate::output::{Output, Refusal};
use crate::syslog::is_sysmon;
use crate::windows::{self, WindowsRows};

/// Members that hold the event time, the first that parses wins; in the order of how surely they mean event time.
pub(crate) const TIME_MEMBERS: [&str; 9] = [
    "TimeGenerated",
    "TimeGenerated [UTC]",
    "EventTime",
    "@timestamp",
    "timestamp",
    "Timestamp",
    "time",
    "ts",
    "datetime",
];

/// Maps JSON records to rows. Reuses its buffers from record to record.
#[derive(Debug, Default)]
pub(crate) struct JsonMapper {
    document: Document,
    rows: JsonRows,
}

/// What writes the rows of a record, by its shape.
#[derive(Debug, Default)]
pub(crate) struct JsonRows {
    windows: WindowsRows,
    mapped: MappedRows,
    members: MemberRows,
    /// Events of Sysmon within exported rows of `Syslog`.
    events: EventXmlStream,
}

impl JsonMapper {
    /// Adds the record to the output, as a row or as a quarantined record.
    pub fn record(&mut self, bytes: &[u8], offset: u64, output: &mut Output) {
        let result =
            std::str::from_utf8(bytes).map_err(Refusal::invalid_utf8).and_then(|text| self.map(text, offset, output));
        if let Err(refusal) = result {
            let table = output.options.table.clone();
            output.quarantine(refusal, table, offset, bytes);
        }
    }

    fn map(&mut self, text: &str, offset: u64, output: &mut Output) -> Result<(), Refusal> {
        match self.document.parse(text) {
            Ok(item) => self.rows.map(item, text, offset, output),
            Err(Fault::LoneSurrogate(_)) => {
                let repaired = without_lone_surrogates(text);
                let item = self.document.parse(&repaired).map_err(Fault::refusal)?;
                self.rows.map(item, text, offset, output)
            }
            Err(fault) => Err(fault.refusal()),
        }
    }
}

impl JsonRows {
    /// Writes the rows of a record, or of those an envelope holds.
    fn map(&mut self, item: Item<'_>, raw: &str, offset: u64, output: &mut Output) -> Result<(), Refusal> {
        let mappings = std::sync::Arc::clone(&output.options.mappings);
        if let Some(records) = enveloped(item, &mappings) {
            // Each is refused or taken by itself: what is refused keeps its own text.
            for record in records {
                output.reserve(1);
                if let Err(refusal) = self.map_one(record, record.raw(), output) {
                    let table = output.options.table.clone();
                    output.quarantine(refusal, table, offset, record.raw().as_bytes());
                }
            }
            return Ok(());
        }
        self.map_one(item, raw, output)
    }

    fn map_one(&mut self, item: Item<'_>, raw: &str, output: &mut Output) -> Result<(), Refusal> {
        if !item.is_object() {
            return Err(Refusal::new("not_an_object", "a JSON record must be an object"));
        }
        if let Some(table) = output.options.table.clone() {
            return self.members.write(&table, item, raw, output);
        }
        if let Some(event) = windows::from_json(item, output.options.zone_offset_seconds) {
            return self.windows.write(&event, raw, output);
        }
        if let Some(table) = table_named_by(item, output) {
            output.check_not_own(&table)?;
            self.members.write(&table, item, raw, output)?;
            let message = item.get("SyslogMessage").and_then(Item::text).filter(|text| is_sysmon(text));
            if let Some(message) = message.filter(|_| table.as_str() == SYSLOG) {
                // What is no whole event stays in the row of the message.
                let _ = self.events.map(message, output);
            }
            return Ok(());
        }
        let mappings = std::sync::Arc::clone(&output.options.mappings);
        if let Some(choice) = mappings.choose(item) {
            return self.mapped.write(&mappings, choice, item, raw, output);
        }
        let table = output.options.fallback_table.clone();
        self.members.write(&table, item, raw, output)
    }
}

/// Members that hold the records of an envelope.
const ENVELOPES: [&str; 6] = ["records", "Records", "value", "items", "results", "Results"];

/// Members beside the results of advanced hunting, which say nothing of the records themselves.
const DESCRIPTIONS: [&str; 2] = ["schema", "stats"];

/// The records of an envelope: an object that is a list of objects and, beside it, says nothing but scalars.
fn enveloped<'a>(item: Item<'a>, mappings: &Mappings) -> Option<Vec<Item<'a>>> {
    let mut list = None;
    let (mut has_link, mut has_kind, mut is_described) = (false, false, false);
    for (name, member) in item.members() {
        has_link |= name.starts_with("@odata.") || name == "nextLink";
        has_kind |= name == "kind";
        let describes = DESCRIPTIONS.iter().any(|known| name.eq_ignore_ascii_case(known));
        is_described |= describes && matches!(member.kind(), Kind::Array | Kind::Object);
        match member.kind() {
            Kind::Array if list.is_none() && ENVELOPES.contains(&name) => list = Some((name, member)),
            Kind::Array | Kind::Object if !describes && name != "metadata" => return None,
            _ => {}
        }
    }
    let (name, list) = list?;
    let records: Vec<_> = list.elements().collect();
    if records.is_empty() || !records.iter().all(|record| record.is_object()) {
        return None;
    }
    let is_envelope = match name {
        "results" | "Results" => is_described,
        _ if is_described => false,
        // The last page of a list of Azure has nothing beside it.
        "value" => has_link || item.members().count() == 1 && mappings.choose(records[0]).is_some(),
        "items" => has_kind,
        _ => true,
    };
    is_envelope.then_some(records)
}

/// The table that the record's `Type` names, as rows exported from a workspace do.
fn table_named_by(item: Item<'_>, output: &Output) -> Option<TableName> {
    let name = item.get(standard::TYPE).or_else(|| item.get("$table"))?.text()?;
    output.options.catalog.get(name).map(|schema| schema.name().clone())
}

/// Writes rows whose fields are the members of records.
#[derive(Debug, Default)]
struct MemberRows {
    slots: Slots,
}

impl MemberRows {
    fn write(&mut self, name: &TableName, item: Item<'_>, raw: &str, output: &mut Output) -> Result<(), Refusal> {
        let found = event_time(item, output);
        let time = found.map_or(output.origin.received, |(_, time)| time);
        output.check_time(time)?;
        let table = output.table(name);
        for (member_name, member) in item.members() {
            // What became TimeGenerated and Type is there already, under its own name.
            let is_time = member_name.strip_suffix(" [UTC]").unwrap_or(member_name) == standard::TIME_GENERATED
                && found.is_some_and(|(member, _)| member == member_name);
            let is_type = [standard::TYPE, "$table"].contains(&member_name) && member.text() == Some(name.as_str());
            if let Some(value) = member.value().filter(|_| !is_time && !is_type) {
                self.slots.set(table, member_name, value, output);
            }
        }
        let mappings = std::sync::Arc::clone(&output.options.mappings);
        let class = mappings.class_of_row(name.as_str(), |column| item.get(column).and_then(Item::scalar));
        output.finish_row(table, class, time, raw);
        Ok(())
    }
}

fn event_time<'a>(item: Item<'a>, output: &Output) -> Option<(&'a str, Timestamp)> {
    let rank = |name: &str| TIME_MEMBERS.iter().position(|member| *member == name);
    let candidates = item.members().filter_map(|(name, member)| {
        let rank = rank(name)?;
        let time = match member.value()? {
            Value::Text(text) => clock_text::parse_any(text, output.options.zone_offset_seconds),
            Value::Long(_) | Value::Real(_) => clock_text::parse_epoch(member.raw()),
            _ => None,
        };
        Some((rank, name, time?))
    });
    candidates.min_by_key(|(rank, _, _)| *rank).map(|(_, name, time)| (name, time))
}

/// JSON that is not one object a line, decoded as it arrives.
#[derive(Debug)]
pub(crate) struct JsonStream {
    splitter: ObjectSplitter,
    mapper: Box<JsonMapper>,
}

impl JsonStream {
    pub fn new(first_offset: u64) -> Self {
        Self { splitter: ObjectSplitter::new(first_offset), mapper: Box::default() }
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
        Piece::Object { offset, bytes } => {
            output.contain(offset, bytes, |output| mapper.record(bytes, offset, output));
        }
        Piece::Garbage { offset, bytes } => {
            let refusal = Refusal::new("invalid_json", "not a JSON object, or one without its end");
            output.quarantine(refusal, table, offset, bytes);
        }
        Piece::TooLong { offset, head, length } => output.quarantine_too_long(table, offset, head, length),
    }
    output.advance(end);
}
