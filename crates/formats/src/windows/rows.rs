//! Writes Windows events as rows of `SecurityEvent` and `Event`, with the columns Azure has for both.

use moneta_base::TableName;
use moneta_event::catalog::table;
use moneta_event::{RecordClass, Value};

use super::derived::Derived;
use super::sql_audit::SqlAudit;
use super::{WindowsEvent, applocker, data_xml};
use crate::output::{Output, Refusal, TableId, Target};

/// The channel whose events have a table of their own.
const SECURITY_CHANNEL: &str = "Security";

/// Names of the fields of `System` and of what follows from them, with their columns in each table. A field without
/// column goes to `_Extra` under its own name.
const FIELDS: [Field; FIELD_COUNT] = [
    Field::new("Provider_Name", &["EventSourceName"], &["Source"]),
    Field::new("Channel", &["Channel"], &["Channel", "EventLog"]),
    Field::new("EventID", &["EventID"], &["EventID"]),
    Field::new("Computer", &["Computer"], &["Computer"]),
    Field::new("Version", &["Version"], &["Version"]),
    Field::new("Level", &["Level"], &["Level", "EventLevel"]),
    Field::new("EventLevelName", &["EventLevelName"], &["EventLevelName"]),
    Field::new("Task", &["Task"], &["Task", "EventCategory"]),
    Field::new("Opcode", &["Opcode"], &["Opcode"]),
    Field::new("Keywords", &["Keywords"], &["Keywords"]),
    Field::new("EventRecordId", &["EventRecordId"], &["EventRecordId"]),
    Field::new("Correlation", &["Correlation"], &["Correlation"]),
    Field::new("SystemProcessId", &["SystemProcessId"], &["SystemProcessId"]),
    Field::new("SystemThreadId", &["SystemThreadId"], &["SystemThreadId"]),
    Field::new("SystemUserId", &["SystemUserId"], &["SystemUserId"]),
    Field::new("UserName", &[], &["UserName"]),
    Field::new("Message", &[], &["Message", "RenderedDescription"]),
    Field::new("EventData", &["EventData"], &["EventData"]),
    Field::new("ParameterXml", &[], &["ParameterXml"]),
];
const FIELD_COUNT: usize = 19;

/// Positions in [`FIELDS`].
mod field {
    pub const PROVIDER: usize = 0;
    pub const CHANNEL: usize = 1;
    pub const EVENT_ID: usize = 2;
    pub const COMPUTER: usize = 3;
    pub const VERSION: usize = 4;
    pub const LEVEL: usize = 5;
    pub const LEVEL_NAME: usize = 6;
    pub const TASK: usize = 7;
    pub const OPCODE: usize = 8;
    pub const KEYWORDS: usize = 9;
    pub const RECORD_ID: usize = 10;
    pub const CORRELATION: usize = 11;
    pub const PROCESS_ID: usize = 12;
    pub const THREAD_ID: usize = 13;
    pub const USER_SID: usize = 14;
    pub const USER_NAME: usize = 15;
    pub const MESSAGE: usize = 16;
    pub const EVENT_DATA: usize = 17;
    pub const PARAMETER_XML: usize = 18;
}

struct Field {
    name: &'static str,
    security: &'static [&'static str],
    event: &'static [&'static str],
}

impl Field {
    const fn new(name: &'static str, security: &'static [&'static str], event: &'static [&'static str]) -> Self {
        Self { name, security, event }
    }
}

/// The two tables of Windows events, resolved at the first event of each.
#[derive(Debug, Default)]
pub(crate) struct WindowsRows {
    security: Option<EventTable>,
    event: Option<EventTable>,
    sql_audit: SqlAudit,
    /// The data section as XML, rebuilt for every event in the same buffer.
    xml: String,
}

#[derive(Debug)]
struct EventTable {
    id: TableId,
    /// Per field of [`FIELDS`], where it goes.
    targets: Vec<Vec<(&'static str, Target)>>,
}

impl WindowsRows {
    /// Writes an event as a row. `raw` is its original text.
    pub fn write(&mut self, event: &WindowsEvent<'_>, raw: &str, output: &mut Output) -> Result<(), Refusal> {
        let time = event.time.unwrap_or(output.origin.received);
        output.check_time(time)?;
        let is_security = event.channel.eq_ignore_ascii_case(SECURITY_CHANNEL) || applocker::is_decision(event);
        let slot = if is_security { &mut self.security } else { &mut self.event };
        let table = slot.get_or_insert_with(|| EventTable::resolve(is_security, output));
        let derived = Derived::of(event);
        table.write_system(event, output);
        table.write_section(event, is_security, &mut self.xml, output);
        let id = table.id;
        for (name, text) in &event.data {
            output.set_field(id, name, Value::Text(text));
        }
        if !event.unnamed.is_empty() {
            output.set_field(id, "Data", Value::Text(&event.unnamed.join("\n")));
        }
        if is_security {
            derived.write(id, output);
            if applocker::is_decision(event) && output.is_unset_column(id, "Account") {
                output.set_field(id, "Account", Value::Text(user_name(event)));
            }
        }
        applocker::write(event, id, output);
        for (name, value) in &event.extra {
            output.set(id, Target::Extra, name, *value);
        }
        let class = if is_security { derived.class() } else { RecordClass::Data };
        output.finish_row(id, class, time, raw);
        self.sql_audit.write(event, raw, output)
    }
}

impl EventTable {
    fn resolve(is_security: bool, output: &mut Output) -> Self {
        let name = if is_security { table::SECURITY_EVENT } else { table::EVENT };
        let id = output.table(&TableName::new(name).expect("the names of built-in tables are valid"));
        let targets = FIELDS
            .iter()
            .map(|field| {
                let columns = if is_security { field.security } else { field.event };
                let names = if columns.is_empty() { std::slice::from_ref(&field.name) } else { columns };
                names.iter().map(|name| (*name, output.target(id, name))).collect()
            })
            .collect();
        Self { id, targets }
    }

    fn set(&self, field: usize, text: &str, output: &mut Output) {
        for (name, target) in &self.targets[field] {
            output.set(self.id, *target, name, Value::Text(text));
        }
    }

    fn write_system(&self, event: &WindowsEvent<'_>, output: &mut Output) {
        let (level, level_name) = level(event.level);
        self.set(field::PROVIDER, event.provider, output);
        self.set(field::CHANNEL, event.channel, output);
        self.set(field::EVENT_ID, event.event_id, output);
        self.set(field::COMPUTER, event.computer, output);
        self.set(field::VERSION, event.version, output);
        self.set(field::LEVEL, level, output);
        self.set(field::LEVEL_NAME, level_name, output);
        if event.task.parse::<i32>().is_ok() {
            self.set(field::TASK, event.task, output);
        } else {
            output.set(self.id, Target::Extra, "TaskName", Value::Text(event.task));
        }
        self.set(field::OPCODE, event.opcode, output);
        self.set(field::KEYWORDS, &event.keywords, output);
        self.set(field::RECORD_ID, event.record_id, output);
        self.set(field::CORRELATION, event.activity_id, output);
        self.set(field::PROCESS_ID, event.process_id, output);
        self.set(field::THREAD_ID, event.thread_id, output);
        self.set(field::USER_SID, event.user_sid, output);
        self.set(field::USER_NAME, user_name(event), output);
        self.set(field::MESSAGE, event.message, output);
        output.set_field(self.id, "Qualifiers", Value::Text(event.qualifiers));
        output.set_field(self.id, "RelatedActivityID", Value::Text(event.related_activity_id));
        if event.event_source_name != event.provider {
            output.set_field(self.id, "ProviderEventSourceName", Value::Text(event.event_source_name));
        }
    }

    /// The data section as Azure keeps it: XML, in `Event` within a `DataItem`.
    fn write_section(&self, event: &WindowsEvent<'_>, is_security: bool, xml: &mut String, output: &mut Output) {
        xml.clear();
        data_xml::section(event, !is_security, xml);
        self.set(field::EVENT_DATA, xml, output);
        if !is_security && !event.unnamed.is_empty() {
            xml.clear();
            data_xml::parameters(&event.unnamed, xml);
            self.set(field::PARAMETER_XML, xml, output);
        }
    }
}

/// A level as number and name, from either. A name Windows does not have stays a name.
fn level(text: &str) -> (&str, &str) {
    const LEVELS: [(&str, &str); 6] = [
        ("0", "LogAlways"),
        ("1", "Critical"),
        ("2", "Error"),
        ("3", "Warning"),
        ("4", "Information"),
        ("5", "Verbose"),
    ];
    let known = LEVELS.into_iter().find(|(number, name)| *number == text || name.eq_ignore_ascii_case(text));
    match known {
        Some(level) => level,
        None if text.bytes().all(|b| b.is_ascii_digit()) => (text, ""),
        None => ("", text),
    }
}

/// The account that logged the event: as the carrier resolved it, or by its well-known identifier.
fn user_name<'a>(event: &'a WindowsEvent<'_>) -> &'a str {
    match event.user_sid {
        _ if !event.user_name.is_empty() => &event.user_name,
        "S-1-5-18" => "NT AUTHORITY\\SYSTEM",
        "S-1-5-19" => "NT AUTHORITY\\LOCAL SERVICE",
        "S-1-5-20" => "NT AUTHORITY\\NETWORK SERVICE",
        _ => "",
    }
}
