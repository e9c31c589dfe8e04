//! Readers in code for records that become several rows, or whose columns follow from the record's own names.
//!
//! A mapping names its reader by `special`; the mapping's conditions say which records it gets.

mod app_insights;
mod call_record;
mod diagnostics;
mod flow_tuples;
mod otlp;

use moneta_base::limits::BLOCK_ROWS_MAX;
use moneta_base::{TableName, Timestamp};
use moneta_event::Value;

use crate::json::{Document, Item};
use crate::output::{Output, Refusal, TableId, Target};

pub(crate) use diagnostics::ResourceId;

/// A reader in code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Special {
    /// NSG and virtual network flow logs: a row per tuple.
    FlowTuples,
    /// Telemetry items as Application Insights exports them.
    AppInsights,
    /// Resource logs without a table of their own: columns named by path and type.
    Diagnostics,
    /// A call record of Microsoft Graph: a row for the call, one per stream of media.
    CallRecord,
    /// Entries of the systemd journal.
    Journal,
    /// OTLP logs: a row per record.
    OtlpLogs,
    /// OTLP metrics: a row per data point.
    OtlpMetrics,
}

impl Special {
    /// All readers.
    pub const ALL: [Self; 7] = [
        Self::FlowTuples,
        Self::AppInsights,
        Self::Diagnostics,
        Self::CallRecord,
        Self::Journal,
        Self::OtlpLogs,
        Self::OtlpMetrics,
    ];

    /// Its name in mapping files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::FlowTuples => "flow-tuples",
            Self::AppInsights => "app-insights",
            Self::Diagnostics => "azure-diagnostics",
            Self::CallRecord => "call-record",
            Self::Journal => "journal",
            Self::OtlpLogs => "otlp-logs",
            Self::OtlpMetrics => "otlp-metrics",
        }
    }

    /// Writes the rows of a record. An error means that no row was written.
    pub fn write(self, item: Item<'_>, table: &TableName, raw: &str, output: &mut Output) -> Result<(), Refusal> {
        match self {
            Self::FlowTuples => flow_tuples::write(item, table, output),
            Self::AppInsights => app_insights::write(item, raw, output),
            Self::Diagnostics => diagnostics::write(item, table, raw, output),
            Self::CallRecord => call_record::write(item, raw, output),
            Self::Journal => crate::journal_export::write_json(item, raw, output),
            Self::OtlpLogs => otlp::logs(item, table, output),
            Self::OtlpMetrics => otlp::metrics(item, table, output),
        }
    }
}

/// Makes room for the rows of one record, so that a portion never ends within it unless it is larger than any portion.
fn make_room(output: &mut Output, rows: usize) {
    output.reserve(rows.clamp(1, BLOCK_ROWS_MAX));
}

/// Sets a column by name from a JSON value.
fn set_item(output: &mut Output, table: TableId, name: &str, item: Option<Item<'_>>, scratch: &mut Document) {
    if let Some(value) = item.and_then(Item::value) {
        super::find_column(output, table, name).write(output, table, value, scratch);
    }
}

/// Sets a text column.
fn set_text(output: &mut Output, table: TableId, name: &str, text: &str) {
    output.set_field(table, name, Value::Text(text));
}

/// Puts a member that has no column into `_Extra`.
fn set_extra(output: &mut Output, table: TableId, name: &str, item: Item<'_>) {
    if let Some(value) = item.value() {
        output.set(table, Target::Extra, name, value);
    }
}

/// The JSON of an object with one element in the list of that name, in place of all it has.
fn with_only(item: Item<'_>, list: &str, element: &str) -> String {
    with_member(item, list, &format!("[{element}]"))
}

/// The JSON of an object with another value for the member of that name.
fn with_member(item: Item<'_>, name: &str, json: &str) -> String {
    let member = |(known, member): (&str, Item<'_>)| {
        let value = if known == name { json.to_owned() } else { member.raw().to_owned() };
        format!("{}:{value}", serde_json::Value::from(known))
    };
    format!("{{{}}}", item.members().map(member).collect::<Vec<_>>().join(","))
}

/// `jitter` as `Jitter`.
fn capital(name: &str) -> String {
    let mut characters = name.chars();
    characters.next().map(|c| c.to_ascii_uppercase()).into_iter().chain(characters).collect()
}

/// The time at a member, else that of receipt.
fn time_of(item: Option<Item<'_>>, output: &Output) -> Result<Timestamp, Refusal> {
    let zone = output.options.zone_offset_seconds;
    let time = item.and_then(|item| super::rows::read_time(item, zone)).unwrap_or(output.origin.received);
    output.check_time(time)?;
    Ok(time)
}

fn built_in(name: &str) -> TableName {
    TableName::new(name).expect("the names of built-in tables are valid")
}
