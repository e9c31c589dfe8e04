//! Call detail records of Asterisk (`cdr_csv`), which have no header, as rows of `CallDetailRecord_CL`.
//!
//! Layout, 16 to 21 values: account, caller, callee, context, caller's name, channel, destination channel, last
//! application and its data, start, answer, end (local times; answer empty when nobody did), duration and billed time
//! in seconds, disposition, flags for billing, id of the call, a field of the user's, account of the peer, id of the calls
//! that belong together (a transfer's are the same), sequence. The id and the field are there where `cdr_csv` is told so
//! (`loguniqueid`, `loguserfield`), the last three with `newcdrcolumns`.
//!
//! # Source
//! Asterisk's `cdr_csv` and `cdr.conf.sample`.

use moneta_base::TableName;
use moneta_event::{RecordClass, Value};

use super::event_time;
use crate::clock_text;
use crate::output::{Output, Refusal};

const COLUMNS: [&str; 21] = [
    "AccountCode",
    "CallerNumber",
    "CalleeNumber",
    "Context",
    "CallerName",
    "Channel",
    "DestinationChannel",
    "LastApplication",
    "LastData",
    "StartTime",
    "AnswerTime",
    "EndTime",
    "DurationSeconds",
    "BillableSeconds",
    "Outcome",
    "AmaFlags",
    "CallId",
    "UserField",
    "PeerAccount",
    "LinkedId",
    "Sequence",
];
const START: usize = 9;
const ANSWER: usize = 10;
const END: usize = 11;
const DISPOSITION: usize = 14;
const DISPOSITIONS: [&str; 6] = ["ANSWERED", "NO ANSWER", "BUSY", "FAILED", "CONGESTION", "UNKNOWN"];

/// Whether values are a call in this layout.
pub(super) fn is_call(values: &[String]) -> bool {
    (16..=COLUMNS.len()).contains(&values.len())
        && clock_text::parse_iso(&values[START], 0).is_some()
        && DISPOSITIONS.contains(&values[DISPOSITION].as_str())
}

pub(super) fn write(values: &[String], record: &str, output: &mut Output) -> Result<(), Refusal> {
    if !(16..=COLUMNS.len()).contains(&values.len()) {
        let reason = format!("a call has 16 to 21 values, this record {}", values.len());
        return Err(Refusal::new("wrong_field_count", reason));
    }
    let time = event_time(&values[START], output)?;
    let own = || TableName::new("CallDetailRecord_CL").expect("the names of built-in tables are valid");
    let table = output.table(&output.options.table.clone().unwrap_or_else(own));
    let zone = output.options.zone_offset_seconds;
    for (index, value) in values.iter().enumerate().filter(|(_, value)| !value.is_empty()) {
        match COLUMNS.get(index) {
            Some(name) if [START, ANSWER, END].contains(&index) => {
                let time = clock_text::parse_any(value, zone);
                output.set_field(table, name, time.map_or(Value::Text(value), Value::Time));
            }
            Some(name) => output.set_field(table, name, Value::Text(value)),
            None => {}
        }
    }
    output.set_field(table, "Source", Value::Text("Asterisk"));
    output.set_field(table, "Successful", Value::Bool(values[DISPOSITION] == "ANSWERED"));
    output.finish_row(table, RecordClass::Data, time, record);
    Ok(())
}
