//! The log of PostgreSQL as separated values (`log_destination = 'csvlog'`), which has no header, as rows of
//! `PostgreSqlLog_CL`.
//!
//! Layout, 23 to 26 values by version: time with the abbreviation of `log_timezone`, user, database, process, client's
//! `host:port` or `[local]`, session, line of the session, command, begin of the session, virtual transaction,
//! transaction, severity, SQLSTATE, message, detail, hint, internal query and the position in it, context, statement and
//! the position in it, place in the source (`function, file:line`), application, kind of process (from 13 on), leader and
//! query (from 14 on).
//!
//! # Source
//! PostgreSQL manual, 20.8.4 (error reporting and logging, CSV-format log output).

use moneta_base::{TableName, Timestamp};
use moneta_event::{RecordClass, Value};

use crate::clock_text;
use crate::output::{Output, Refusal};

const COLUMNS: [&str; 26] = [
    "",
    "UserName",
    "DatabaseName",
    "ProcessId",
    "",
    "SessionId",
    "SessionLine",
    "Activity",
    "SessionStart",
    "VirtualTransactionId",
    "TransactionId",
    "Severity",
    "SqlState",
    "Message",
    "Detail",
    "Hint",
    "InternalQuery",
    "InternalPosition",
    "Context",
    "Statement",
    "CursorPosition",
    "",
    "ApplicationName",
    "BackendType",
    "LeaderProcessId",
    "QueryId",
];
/// Columns of the oldest version that is read, 9.0.
const COLUMNS_MIN: usize = 23;
const CLIENT: usize = 4;
const SESSION: usize = 5;
const SESSION_START: usize = 8;
const SEVERITY: usize = 11;
const SQL_STATE: usize = 12;
const PLACE: usize = 21;
const SEVERITIES: [&str; 12] =
    ["DEBUG1", "DEBUG2", "DEBUG3", "DEBUG4", "DEBUG5", "DEBUG", "INFO", "NOTICE", "WARNING", "ERROR", "LOG", "FATAL"];

/// Whether values begin as a record in this layout does; a message may go on in the next line.
pub(super) fn is_record(values: &[String]) -> bool {
    let is_session = |text: &str| {
        let is_hex = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_hexdigit());
        text.split_once('.').is_some_and(|(start, process)| is_hex(start) && is_hex(process))
    };
    (SQL_STATE + 1..=COLUMNS.len()).contains(&values.len())
        && time(&values[0], 0).is_some()
        && is_session(&values[SESSION])
        && (SEVERITIES.contains(&values[SEVERITY].as_str()) || values[SEVERITY] == "PANIC")
        && values[SQL_STATE].len() == 5
}

pub(super) fn write(values: &[String], record: &str, output: &mut Output) -> Result<(), Refusal> {
    if !(COLUMNS_MIN..=COLUMNS.len()).contains(&values.len()) {
        let reason = format!("a record of PostgreSQL has 23 to 26 values, this one {}", values.len());
        return Err(Refusal::new("wrong_field_count", reason));
    }
    let zone = output.options.zone_offset_seconds;
    let time_of_record =
        time(&values[0], zone).ok_or_else(|| Refusal::new("invalid_time", "the time cannot be read"))?;
    output.check_time(time_of_record)?;
    let own = || TableName::new("PostgreSqlLog_CL").expect("the names of built-in tables are valid");
    let table = output.table(&output.options.table.clone().unwrap_or_else(own));
    for (index, (name, value)) in COLUMNS.iter().zip(values).enumerate().filter(|(_, (name, _))| !name.is_empty()) {
        let begun = (index == SESSION_START).then(|| time(value, zone)).flatten();
        output.set_field(table, name, begun.map_or(Value::Text(value), Value::Time));
    }
    match values[CLIENT].rsplit_once(':') {
        Some((host, port)) => {
            output.set_field(table, "ClientHost", Value::Text(host));
            output.set_field(table, "ClientPort", Value::Text(port));
        }
        None => output.set_field(table, "ClientHost", Value::Text(&values[CLIENT])),
    }
    match values[PLACE].split_once(", ").and_then(|(function, place)| Some((function, place.rsplit_once(':')?))) {
        Some((function, (file, line))) => {
            output.set_field(table, "FunctionName", Value::Text(function));
            output.set_field(table, "SourceFile", Value::Text(file));
            output.set_field(table, "SourceLine", Value::Text(line));
        }
        None => output.set_field(table, "SourceFile", Value::Text(&values[PLACE])),
    }
    output.finish_row(table, RecordClass::Data, time_of_record, record);
    Ok(())
}

/// A time with the abbreviation of a zone: where that says nothing to us, the zone of the options.
fn time(text: &str, zone_offset_seconds: i32) -> Option<Timestamp> {
    let (stamp, zone) = text.rsplit_once(' ')?;
    clock_text::parse_iso(stamp, clock_text::parse_zone(zone).unwrap_or(zone_offset_seconds))
}
