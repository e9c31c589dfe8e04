//! Syslog messages: RFC 5424, RFC 3164 and its relatives, with or without priority, into the `Syslog` table.
//!
//! A message without a recognisable header is a row too: its text is the message, its time one that the text begins
//! with, else that of the message before it in the same file, else that of receipt. Events of security devices within
//! messages (CEF, LEEF) are rows of `CommonSecurityLog`. A message that is a JSON object of a known shape becomes a row of
//! that shape's table, any other JSON object fills `MessageFields`. An event of Sysmon for Linux is a row of `Syslog`, for
//! content that looks for it there, and one of `Event`, taken apart. Bytes that are not UTF-8 are quarantined whole.

mod account;
mod address;
mod device;
mod extended;
mod inner;
mod pattern_time;
mod rfc3164;
mod rfc5424;

use moneta_base::{TableName, Timestamp};
use moneta_event::catalog::table;
use moneta_event::{RecordClass, Value};

pub(crate) use inner::is_sysmon;
use inner::{InnerJson, Place};

use crate::clock_text;
use crate::event_xml::EventXmlStream;
use crate::mapping::Slots;
use crate::output::{Output, Refusal, TableId, Target};

/// Names of the facilities by number.
///
/// # Source
/// RFC 5424 table 1; short names as `syslog.h` and Azure's `Syslog` table have them.
const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "ntp",
    "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
];

/// Names of the severities by number.
///
/// # Source
/// RFC 5424 table 2; short names as `syslog.h` has them.
const SEVERITIES: [&str; 8] = ["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"];

/// A message taken apart. Absent parts are empty.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Message<'a> {
    pub priority: Option<u8>,
    pub time: Option<Timestamp>,
    pub host: &'a str,
    pub process: &'a str,
    pub process_id: &'a str,
    pub message_id: &'a str,
    /// RFC 5424 structured data as a JSON object.
    pub structured_data: String,
    pub text: &'a str,
}

/// Whether a line begins as a syslog message does: with a priority, or a time stamp and a host.
pub(crate) fn has_header(line: &str) -> bool {
    let (priority, rest) = priority(line);
    let epoch = Timestamp::from_seconds(1_700_000_000);
    // Date and blank and clock begin many application logs too.
    let is_application_log = rest.as_bytes().get(4) == Some(&b'-') && rest.as_bytes().get(10) == Some(&b' ');
    priority.is_some()
        || device::parse(rest, epoch, 0).is_some()
        || !is_application_log && rfc3164::parse(rest, epoch, 0).is_some_and(|message| !message.host.is_empty())
}

/// Maps messages to rows of `Syslog`.
#[derive(Debug, Default)]
pub(crate) struct SyslogMapper {
    columns: Option<Columns>,
    /// Time of the last message that had one.
    last_time: Option<Timestamp>,
    slots: Slots,
    inner: InnerJson,
    /// Events of Sysmon within messages.
    events: EventXmlStream,
}

#[derive(Debug, Clone, Copy)]
struct Columns {
    id: TableId,
    computer: Target,
    host_name: Target,
    facility: Target,
    severity: Target,
    process_name: Target,
    process_id: Target,
    event_time: Target,
    message: Target,
    message_id: Target,
    structured_data: Target,
    message_fields: Target,
    account: AccountColumns,
}

/// Columns of what a message tells about an account, with the names of ASIM.
#[derive(Debug, Clone, Copy)]
struct AccountColumns([(Target, &'static str); 12]);

impl AccountColumns {
    const NAMES: [&str; 12] = [
        "EventType",
        "EventResult",
        "EventResultDetails",
        "LogonMethod",
        "ActorUsername",
        "TargetUsername",
        "SrcIpAddr",
        "SrcHostname",
        "SrcPortNumber",
        "CommandLine",
        "Terminal",
        "GroupName",
    ];

    fn write(&self, table: TableId, account: &account::Account<'_>, output: &mut Output) {
        let values = [
            account.event_type,
            account.result,
            account.details,
            account.method,
            account.actor,
            account.target,
            account.address,
            account.host,
            account.port,
            account.command,
            account.terminal,
            account.group,
        ];
        for ((target, name), value) in self.0.into_iter().zip(values).filter(|(_, value)| !value.is_empty()) {
            output.set(table, target, name, Value::Text(value));
        }
    }
}

impl SyslogMapper {
    /// Adds the message to the output, as a row or as a quarantined record.
    pub fn record(&mut self, bytes: &[u8], offset: u64, output: &mut Output) {
        let bytes = trim_end(bytes);
        let result = std::str::from_utf8(bytes).map_err(Refusal::invalid_utf8).and_then(|text| self.map(text, output));
        if let Err(refusal) = result {
            output.quarantine(refusal, Some(table_name(output)), offset, bytes);
        }
    }

    /// Forgets the message before the next one.
    pub fn forget_order(&mut self) {
        self.last_time = None;
    }

    /// Adds a message that another format carries, with fields of its own, as a row.
    pub fn message(
        &mut self,
        message: &Message<'_>,
        others: &[(&str, &str)],
        raw: &str,
        output: &mut Output,
    ) -> Result<(), Refusal> {
        let time = message.time.unwrap_or(output.origin.received);
        output.check_time(time)?;
        let columns = *self.columns.get_or_insert_with(|| Columns::resolve(output));
        columns.write(message, output);
        for (name, value) in others {
            output.set(columns.id, Target::Extra, name, Value::Text(value));
        }
        columns.finish(message, time, raw, output);
        self.event_within(message, output);
        Ok(())
    }

    /// Writes the row of an event of Sysmon that a message holds. What is no whole event stays in the row of the message.
    fn event_within(&mut self, message: &Message<'_>, output: &mut Output) {
        if is_sysmon(message.text) && output.options.table.is_none() {
            let _ = self.events.map(message.text, output);
        }
    }

    fn map(&mut self, text: &str, output: &mut Output) -> Result<(), Refusal> {
        if output.options.mappings.has_lines() && self.inner.line(text, output)? {
            return Ok(());
        }
        let message = parse(text, output.origin.received, output.options.zone_offset_seconds);
        if let Some(event) = extended::find(message.text) {
            return extended::write(event, &message, text, &mut self.slots, output);
        }
        let time = message.time.or(self.last_time).unwrap_or(output.origin.received);
        output.check_time(time)?;
        self.last_time = message.time.or(self.last_time);
        let place = self.inner.read(&message, text, output)?;
        if place == Place::OwnTable {
            return Ok(());
        }
        let columns = *self.columns.get_or_insert_with(|| Columns::resolve(output));
        columns.write(&message, output);
        if place == Place::Fields {
            output.set(columns.id, columns.message_fields, "MessageFields", Value::Json(inner::json_of(message.text)));
        }
        columns.finish(&message, time, text, output);
        self.event_within(&message, output);
        Ok(())
    }
}

impl Columns {
    fn resolve(output: &mut Output) -> Self {
        let name = table_name(output);
        let id = output.table(&name);
        let at = |name: &str| output.target(id, name);
        Self {
            id,
            computer: at("Computer"),
            host_name: at("HostName"),
            facility: at("Facility"),
            severity: at("SeverityLevel"),
            process_name: at("ProcessName"),
            process_id: at("ProcessID"),
            event_time: at("EventTime"),
            message: at("SyslogMessage"),
            message_id: at("MessageId"),
            structured_data: at("StructuredData"),
            message_fields: at("MessageFields"),
            account: AccountColumns(AccountColumns::NAMES.map(|name| (at(name), name))),
        }
    }

    /// Adds what the message tells about accounts, and ends the row.
    fn finish(&self, message: &Message<'_>, time: Timestamp, raw: &str, output: &mut Output) {
        let account = account::read(message.process, message.text);
        if let Some(account) = &account {
            self.account.write(self.id, account, output);
        }
        let tells = account.is_some_and(|told| !told.event_type.is_empty());
        let class = if tells { RecordClass::Control } else { class(message) };
        output.finish_row(self.id, class, time, raw);
    }

    fn write(&self, message: &Message<'_>, output: &mut Output) {
        let mut set = |target, name, value| output.set(self.id, target, name, value);
        set(self.computer, "Computer", Value::Text(message.host));
        set(self.host_name, "HostName", Value::Text(message.host));
        set(self.process_name, "ProcessName", Value::Text(message.process));
        set(self.process_id, "ProcessID", Value::Text(message.process_id));
        set(self.message, "SyslogMessage", Value::Text(message.text));
        if let Some(priority) = message.priority {
            set(self.facility, "Facility", Value::Text(FACILITIES[usize::from(priority >> 3)]));
            set(self.severity, "SeverityLevel", Value::Text(SEVERITIES[usize::from(priority & 7)]));
        }
        if let Some(time) = message.time {
            set(self.event_time, "EventTime", Value::Time(time));
        }
        set(self.message_id, "MessageId", Value::Text(message.message_id));
        if !message.structured_data.is_empty() {
            set(self.structured_data, "StructuredData", Value::Json(&message.structured_data));
        }
    }
}

/// Takes a message apart, by whichever standard it follows.
pub(crate) fn parse(text: &str, received: Timestamp, zone_offset_seconds: i32) -> Message<'_> {
    let (priority, rest) = priority(text);
    let versioned = priority.and_then(|_| rest.strip_prefix("1 ")).and_then(rfc5424::parse);
    let parsed = versioned
        .or_else(|| device::parse(rest, received, zone_offset_seconds))
        .or_else(|| rfc3164::parse(rest, received, zone_offset_seconds));
    let message = parsed.unwrap_or_else(|| {
        // Logs of applications begin with times in many forms; the text stays whole.
        let named =
            rest.strip_prefix('[').and_then(|inner| rfc3164::named_month_time(inner, received, zone_offset_seconds));
        let time = clock_text::leading_time(rest, zone_offset_seconds)
            .or(named.map(|(time, _)| time))
            .or_else(|| clock_text::leading_clock(rest, received, zone_offset_seconds))
            .or_else(|| clock_text::inner_time(rest, zone_offset_seconds));
        match rfc3164::host_and_tag(rest).filter(|_| time.is_none()) {
            Some(message) => message,
            None => Message { time, text: rest, ..Message::default() },
        }
    });
    Message { priority, ..message }
}

/// The priority in angle brackets, if there is a valid one, and the rest.
fn priority(text: &str) -> (Option<u8>, &str) {
    let digits = text.strip_prefix('<').and_then(|rest| rest.split_once('>'));
    match digits {
        Some((digits, rest)) if (1..=3).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()) => {
            match digits.parse::<u8>() {
                Ok(priority) if usize::from(priority >> 3) < FACILITIES.len() => (Some(priority), rest),
                _ => (None, text),
            }
        }
        _ => (None, text),
    }
}

/// Messages of the authorisation facilities tell of the control plane.
fn class(message: &Message<'_>) -> RecordClass {
    match message.priority.map(|priority| priority >> 3) {
        Some(4 | 10 | 13) => RecordClass::Control,
        _ => RecordClass::Data,
    }
}

/// The same by the name of the facility.
pub(crate) fn class_of(facility: &str) -> RecordClass {
    match facility {
        "auth" | "authpriv" | "audit" => RecordClass::Control,
        _ => RecordClass::Data,
    }
}

fn table_name(output: &Output) -> TableName {
    let own = || TableName::new(table::SYSLOG).expect("the names of built-in tables are valid");
    output.options.table.clone().unwrap_or_else(own)
}

/// Without the line ends and NUL bytes that some senders append.
fn trim_end(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|b| !matches!(b, b'\n' | b'\r' | 0)).map_or(0, |last| last + 1);
    &bytes[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &Message<'_>) {
        let received = Timestamp::parse("2026-06-15T12:00:00Z").unwrap();
        assert_eq!(&parse(text, received, 0), expected, "{text}");
    }

    fn at(text: &str) -> Option<Timestamp> {
        Timestamp::parse(text)
    }

    #[test]
    fn reads_rfc_5424() {
        check(
            r#"<165>1 2026-06-14T22:14:15.003Z web.example.org shop 8710 ID47 [order@32473 id="7" note="a\"b\]c"][x] paid"#,
            &Message {
                priority: Some(165),
                time: at("2026-06-14T22:14:15.003Z"),
                host: "web.example.org",
                process: "shop",
                process_id: "8710",
                message_id: "ID47",
                structured_data: r#"{"order@32473":{"id":"7","note":"a\"b]c"},"x":{}}"#.to_owned(),
                text: "paid",
            },
        );
        check("<0>1 - - - - - -", &Message { priority: Some(0), ..Message::default() });
        check(
            "<14>1 2026-06-14T22:14:15+02:00 h a - - - \u{feff}with mark",
            &Message {
                priority: Some(14),
                time: at("2026-06-14T20:14:15Z"),
                host: "h",
                process: "a",
                text: "with mark",
                ..Message::default()
            },
        );
    }

    #[test]
    fn a_host_that_begins_like_a_year_is_none() {
        check(
            "<34>Jun  1 10:00:00 2001:db8::1 sshd[1]: Failed password",
            &Message {
                priority: Some(34),
                time: at("2026-06-01T10:00:00Z"),
                host: "2001:db8::1",
                process: "sshd",
                process_id: "1",
                text: "Failed password",
                ..Message::default()
            },
        );
    }

    #[test]
    fn damaged_structured_data_stays_in_the_text() {
        check(
            "<14>1 - h a - - [x y=\"1 text",
            &Message { priority: Some(14), host: "h", process: "a", text: "[x y=\"1 text", ..Message::default() },
        );
    }

    #[test]
    fn reads_rfc_3164_and_its_relatives() {
        let su = |time: &str| Message {
            priority: Some(34),
            time: at(time),
            host: "host1",
            process: "su",
            process_id: "230",
            text: "failed for user",
            ..Message::default()
        };
        check("<34>Jun  1 22:14:15 host1 su[230]: failed for user", &su("2026-06-01T22:14:15Z"));
        check("<34>Oct 11 22:14:15 host1 su[230]: failed for user", &su("2025-10-11T22:14:15Z"));
        check("<34>Oct 11 2024 22:14:15.25 host1 su[230]: failed for user", &su("2024-10-11T22:14:15.25Z"));
        check("<34>2026-06-01T22:14:15.5+02:00 host1 su[230]: failed for user", &su("2026-06-01T20:14:15.5Z"));
        check(
            "<34>Jun  1 22:14:15 host1 su: failed for user",
            &Message { process_id: "", ..su("2026-06-01T22:14:15Z") },
        );
    }

    #[test]
    fn a_zone_or_a_year_behind_the_clock_is_no_host() {
        let read =
            |time: &str| Message { time: at(time), host: "host1", process: "a", text: "b", ..Message::default() };
        check("Jun  1 10:00:00 CEST host1 a: b", &read("2026-06-01T08:00:00Z"));
        check("Jun  1 10:00:00 2024 host1 a: b", &read("2024-06-01T10:00:00Z"));
        check("Jun  1 10:00:00.5 EST host1 a: b", &read("2026-06-01T15:00:00.5Z"));
    }

    #[test]
    fn a_message_without_tag_or_header_is_kept_as_text() {
        check(
            "Jun  1 22:14:15 host1 lookup for opt failed",
            &Message {
                time: at("2026-06-01T22:14:15Z"),
                host: "host1",
                text: "lookup for opt failed",
                ..Message::default()
            },
        );
        check("<13>words: only", &Message { priority: Some(13), text: "words: only", ..Message::default() });
        check("<999>words", &Message { text: "<999>words", ..Message::default() });
        check("", &Message::default());
        check(
            "host1 su[230]: failed",
            &Message { host: "host1", process: "su", process_id: "230", text: "failed", ..Message::default() },
        );
        check(
            "some words[2]: only",
            &Message { host: "some", process: "words", process_id: "2", text: "only", ..Message::default() },
        );
        check("two more words[2]: only", &Message { text: "two more words[2]: only", ..Message::default() });
    }

    #[test]
    fn a_kernel_stamp_and_a_path_are_read_as_tag_and_text() {
        check(
            "Jun  1 22:14:15 h kernel: [ 12.5] eth0 up",
            &Message {
                time: at("2026-06-01T22:14:15Z"),
                host: "h",
                process: "kernel",
                text: "[ 12.5] eth0 up",
                ..Message::default()
            },
        );
        check(
            "Jun  1 22:14:15 h postfix/smtpd[12]: connect",
            &Message {
                time: at("2026-06-01T22:14:15Z"),
                host: "h",
                process: "postfix/smtpd",
                process_id: "12",
                text: "connect",
                ..Message::default()
            },
        );
    }
}
