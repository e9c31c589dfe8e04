//! The flat shape of nxlog and of collections made with it: fields of `System` and `EventData` side by side.

use std::borrow::Cow;

use moneta_base::time::NANOS_PER_SECOND;

use super::WindowsEvent;
use crate::clock_text;
use crate::json::Item;

/// Zones are multiples of a quarter of an hour.
const ZONE_STEP_SECONDS: i64 = 900;
/// The widest zone is UTC+14.
const ZONE_SECONDS_MAX: i64 = 14 * 3600;

/// Reads an event. Times without zone are local to the sender, whose zone follows from two times of the same moment
/// where the record has them, else is `zone_offset_seconds`.
pub(super) fn read(record: Item<'_>, zone_offset_seconds: i32) -> WindowsEvent<'_> {
    let mut event = WindowsEvent::default();
    let mut times = Times::default();
    let (mut user_domain, mut user_name) = ("", "");
    // Whose `EventType` it is depends on the provider, which may come later.
    event.provider = record.get("SourceName").and_then(Item::scalar).unwrap_or_default();
    for (name, item) in record.members() {
        let text = item.scalar().unwrap_or_default();
        match name {
            "TimeCreated" | "EventTime" if times.event.is_empty() => times.event = text,
            "EventReceivedTime" => times.local_receipt = text,
            "@timestamp" => times.utc = text,
            "EventID" => event.event_id = text,
            "SourceName" | "Provider_Name" => event.provider = text,
            "Source" if event.provider.is_empty() => event.provider = text,
            "Hostname" | "Computer" if event.computer.is_empty() => event.computer = text,
            "Channel" => event.channel = text,
            "Task" => event.task = text,
            "Level" => event.level = text,
            "SeverityValue" if event.level.is_empty() => event.level = severity_level(text),
            "Opcode" if event.opcode.is_empty() => event.opcode = text,
            "OpcodeValue" => event.opcode = text,
            "Keywords" => event.keywords = keywords(text),
            "Version" => event.version = text,
            "RecordNumber" | "EventRecordID" => event.record_id = text,
            "ExecutionProcessID" => event.process_id = text,
            "ThreadID" | "ExecutionThreadID" => event.thread_id = text,
            "ActivityID" => event.activity_id = text,
            "RelatedActivityID" => event.related_activity_id = text,
            "UserID" => event.user_sid = text,
            "Message" => event.message = text,
            _ => {
                match name {
                    "Domain" => user_domain = text,
                    "AccountName" => user_name = text,
                    _ => {}
                }
                other(&mut event, name, item);
            }
        }
    }
    if !user_domain.is_empty() && !user_name.is_empty() {
        event.user_name = format!("{user_domain}\\{user_name}").into();
    }
    event.time = times.resolve(zone_offset_seconds);
    event
}

/// Names of the shipper's own, which are no data of the event.
const SHIPPER_FIELDS: [&str; 15] = [
    "ProviderGuid",
    "Severity",
    "EventType",
    "EventTypeOrignal",
    "EventTypeOriginal",
    "Category",
    "SourceModuleName",
    "SourceModuleType",
    "host",
    "port",
    "tags",
    "@version",
    "AccountName",
    "AccountType",
    "Domain",
];

fn other<'a>(event: &mut WindowsEvent<'a>, name: &'a str, item: Item<'a>) {
    let is_shipper_type = ["INFO", "WARNING", "ERROR", "CRITICAL", "VERBOSE", "AUDIT_SUCCESS", "AUDIT_FAILURE"];
    let is_sysmon_type = name == "EventType"
        && event.provider == "Microsoft-Windows-Sysmon"
        && item.text().is_some_and(|text| !is_shipper_type.contains(&text));
    match item.scalar() {
        Some(text) if !SHIPPER_FIELDS.contains(&name) || is_sysmon_type => event.data.push((name, text.into())),
        _ => event.extra.extend(item.value().map(|value| (name, value))),
    }
}

/// nxlog's severities (1 debug to 5 critical) as levels of Windows.
fn severity_level(text: &str) -> &str {
    match text {
        "1" => "5",
        "2" => "4",
        "4" => "2",
        "5" => "1",
        other => other,
    }
}

/// Keywords printed as a signed number become Windows' hexadecimal.
fn keywords(text: &str) -> Cow<'_, str> {
    match text.parse::<i64>() {
        Ok(bits) => format!("{bits:#x}").into(),
        Err(_) => text.into(),
    }
}

#[derive(Default)]
struct Times<'a> {
    event: &'a str,
    local_receipt: &'a str,
    utc: &'a str,
}

impl Times<'_> {
    fn resolve(&self, zone_offset_seconds: i32) -> Option<moneta_base::Timestamp> {
        let zone = self.zone().unwrap_or(zone_offset_seconds);
        clock_text::parse_iso(self.event, zone).or_else(|| clock_text::parse_iso(self.utc, 0))
    }

    /// The sender's zone, if it received the event at a local time and passed it on within minutes at a UTC time.
    fn zone(&self) -> Option<i32> {
        let local = clock_text::parse_iso(self.local_receipt, 0)?;
        let utc = clock_text::parse_iso(self.utc, 0)?;
        let seconds = local.as_nanos().checked_sub(utc.as_nanos())? / NANOS_PER_SECOND;
        let rounded = (seconds + ZONE_STEP_SECONDS.div_euclid(2)).div_euclid(ZONE_STEP_SECONDS) * ZONE_STEP_SECONDS;
        i32::try_from(rounded).ok().filter(|_| rounded.abs() <= ZONE_SECONDS_MAX)
    }
}
