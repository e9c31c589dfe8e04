//! Logs of System Center Configuration Manager and of Windows servicing, as rows of `ConfigurationManagerLog_CL`.
//!
//! Layouts, told apart record by record; lines that begin none belong to the record before:
//! - CMTrace: `<![LOG[text]LOG]!><time="hh:mm:ss.fff+bias" date="M-d-yyyy" component="" context="" type="1" thread=""
//!   file="">`, the text over any number of lines. The bias is in minutes west of UTC, as Windows counts.
//! - the older client: `text $$<component><MM-DD-YYYY hh:mm:ss.fff+bias><thread=n (0xn)>`
//! - CBS, DISM, setup: `YYYY-MM-DD hh:mm:ss, Level [code] component text`
//! - deployment toolkit: `[YYYY-MM-DD hh:mm:ss.fff] [section] [source] [level] :: text`
//! - Windows Update's ReportingEvents: `{id}` and eleven more values apart by tabs.

use moneta_base::{TableName, Timestamp};
use moneta_event::{RecordClass, Value};

use crate::clock_text;
use crate::decoder::LineFormat;
use crate::output::{Output, Refusal};

/// Bytes of one record with all its lines at most.
const RECORD_BYTES_MAX: usize = moneta_base::limits::RECORD_BYTES_MAX;

const OPEN: &str = "<![LOG[";
const CLOSE: &str = "]LOG]!>";

/// Decodes these logs.
#[derive(Default)]
pub(crate) struct ClientLog {
    /// A record that may go on in the next line.
    pending: Option<Pending>,
}

struct Pending {
    offset: u64,
    text: String,
    /// It goes on until its end mark, whatever the lines look like.
    is_open: bool,
}

/// What a record says.
#[derive(Debug, Default, PartialEq)]
struct Record<'a> {
    format: &'static str,
    time: Option<Timestamp>,
    message: &'a str,
    component: &'a str,
    context: &'a str,
    severity: i64,
    severity_name: &'a str,
    thread: &'a str,
    file: &'a str,
    more: Vec<(&'static str, &'a str)>,
}

/// Whether a line begins a record.
pub(crate) fn is_record(line: &str) -> bool {
    line.starts_with(OPEN) || read(line, 0).is_some()
}

impl LineFormat for ClientLog {
    fn line(&mut self, bytes: &[u8], offset: u64, output: &mut Output) {
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                // What is held back must not go on behind a line that does not belong to it.
                self.end(output);
                return output.quarantine(Refusal::invalid_utf8(error), None, offset, bytes);
            }
        };
        let begins = is_record(text);
        match &mut self.pending {
            Some(pending) if pending.text.len() + text.len() >= RECORD_BYTES_MAX => self.end(output),
            // A record that was cut off ends where the next one begins.
            Some(_) if begins => self.end(output),
            Some(pending) => {
                pending.text.push('\n');
                pending.text.push_str(text);
                pending.is_open &= !text.contains(CLOSE);
                if !pending.is_open && pending.text.starts_with(OPEN) {
                    self.end(output);
                }
                return;
            }
            None => {}
        }
        let is_open = text.starts_with(OPEN) && !text.contains(CLOSE);
        self.pending = Some(Pending { offset, text: text.to_owned(), is_open });
        if text.starts_with(OPEN) && !is_open {
            self.end(output);
        }
    }

    fn blank(&mut self, _output: &mut Output) {
        if let Some(pending) = &mut self.pending {
            pending.text.push('\n');
        }
    }

    fn finish(&mut self, output: &mut Output) {
        self.end(output);
    }

    fn rest(&mut self, output: &mut Output) {
        if self.pending.as_ref().is_some_and(|pending| !pending.is_open) {
            self.end(output);
        }
    }

    fn pending_offset(&self) -> Option<u64> {
        self.pending.as_ref().map(|pending| pending.offset)
    }
}

impl ClientLog {
    fn end(&mut self, output: &mut Output) {
        let Some(pending) = self.pending.take() else { return };
        let text = pending.text.trim_end_matches('\n');
        let result = match read(text, output.options.zone_offset_seconds) {
            Some(record) => write(&record, text, output),
            None if pending.is_open => Err(Refusal::new("cut_off", "a CMTrace record without its end")),
            None => Err(Refusal::new("no_record", "not a record of Configuration Manager or Windows servicing")),
        };
        if let Err(refusal) = result {
            output.quarantine(refusal, output.options.table.clone(), pending.offset, text.as_bytes());
        }
    }
}

fn write(record: &Record<'_>, raw: &str, output: &mut Output) -> Result<(), Refusal> {
    let time = record.time.ok_or_else(|| Refusal::new("invalid_time", "date or time cannot be read"))?;
    output.check_time(time)?;
    let own = || TableName::new("ConfigurationManagerLog_CL").expect("the names of built-in tables are valid");
    let table = output.table(&output.options.table.clone().unwrap_or_else(own));
    let file = output.origin.source.as_str().rsplit(['/', '\\']).next().unwrap_or_default().to_owned();
    for (name, text) in [
        ("Component", record.component),
        ("Context", record.context),
        ("SeverityName", record.severity_name),
        ("ThreadId", record.thread),
        ("SourceFile", record.file),
        ("Message", record.message),
        ("LogFile", &file),
        ("LogFormat", record.format),
    ] {
        output.set_field(table, name, Value::Text(text));
    }
    if record.severity > 0 {
        output.set_field(table, "Severity", Value::Long(record.severity));
    }
    for (name, text) in &record.more {
        output.set_field(table, name, Value::Text(text));
    }
    output.finish_row(table, RecordClass::Data, time, raw);
    Ok(())
}

/// Takes a record apart. A layout that is recognised with a time that cannot be read gives a record without one.
fn read(text: &str, zone: i32) -> Option<Record<'_>> {
    cmtrace(text, zone)
        .or_else(|| servicing(text, zone))
        .or_else(|| toolkit(text, zone))
        .or_else(|| reporting(text, zone))
        .or_else(|| older_client(text, zone))
}

fn cmtrace(text: &str, zone: i32) -> Option<Record<'_>> {
    let (message, tail) = text.strip_prefix(OPEN)?.rsplit_once(CLOSE)?;
    let attribute = |name: &str| -> &str {
        let key = format!("{name}=\"");
        let start = tail.find(&key).map(|at| at + key.len());
        start.and_then(|start| Some(&tail[start..start + tail[start..].find('"')?])).unwrap_or_default()
    };
    let severity = attribute("type").parse().unwrap_or(0);
    Some(Record {
        format: "CMTrace",
        time: biased(attribute("date"), attribute("time"), zone),
        message,
        component: attribute("component"),
        context: attribute("context"),
        severity,
        severity_name: severity_name(severity),
        thread: attribute("thread"),
        file: attribute("file"),
        more: Vec::new(),
    })
}

fn severity_name(severity: i64) -> &'static str {
    match severity {
        0 | 1 => "Information",
        2 => "Warning",
        3 => "Error",
        _ => "",
    }
}

/// `M-d-yyyy` and `hh:mm:ss.fff[+bias]`.
fn biased(date: &str, time: &str, zone: i32) -> Option<Timestamp> {
    let mut parts = date.split('-').map(str::parse::<u32>);
    let (month, day, year) = (parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?);
    let (clock, bias) = match time.get(8..)?.find(['+', '-']) {
        Some(at) => (&time[..at + 8], time[at + 8..].parse::<i32>().ok().map(|minutes| -60 * minutes)),
        None => (time, None),
    };
    let start = Timestamp::from_civil(i64::from(year), month, day, 0, 0, 0, 0)?;
    let local = Timestamp::from_nanos(start.as_nanos().checked_add(clock_text::parse_clock(clock)?)?);
    let offset = bias.filter(|seconds| seconds.abs() <= 14 * 3600).unwrap_or(zone);
    Some(clock_text::shifted(local, offset).truncated_to_ticks())
}

fn older_client(text: &str, zone: i32) -> Option<Record<'_>> {
    let (message, tail) = text.rsplit_once("$$<")?;
    let mut parts = tail.trim_end().trim_end_matches('>').split("><");
    let (component, stamp, thread) = (parts.next()?, parts.next()?, parts.next().unwrap_or_default());
    let (date, time) = stamp.split_once(' ')?;
    let thread = thread.strip_prefix("thread=").unwrap_or(thread);
    Some(Record {
        format: "ConfigMgrClient",
        time: biased(date, time, zone),
        message: message.trim_end(),
        component,
        severity: 1,
        severity_name: severity_name(1),
        thread: thread.split(' ').next().unwrap_or_default(),
        ..Record::default()
    })
}

fn servicing(text: &str, zone: i32) -> Option<Record<'_>> {
    let (stamp, rest) = text.split_once(", ").filter(|(stamp, _)| stamp.len() == 19)?;
    let time = clock_text::parse_iso(stamp, zone)?;
    let (level, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    let mut rest = rest.trim_start();
    let mut more = Vec::new();
    if let Some((code, behind)) = rest.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
        more.push(("Code", code));
        rest = behind.trim_start();
    }
    let is_component = |word: &str| {
        (2..=12).contains(&word.len()) && word.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
    };
    let (component, message) = match rest.split_once(' ') {
        Some((word, behind)) if is_component(word) => (word, behind.trim_start()),
        _ => ("", rest),
    };
    let severity = level_number(level);
    let format = "Servicing";
    Some(Record {
        format,
        time: Some(time),
        message,
        component,
        severity,
        severity_name: level,
        more,
        ..Record::default()
    })
}

fn level_number(level: &str) -> i64 {
    match level.to_ascii_lowercase().as_str() {
        "error" | "fatal" | "failure" | "perferror" => 3,
        "warning" | "warn" => 2,
        "info" | "information" | "success" | "debug" => 1,
        _ => 0,
    }
}

fn toolkit(text: &str, zone: i32) -> Option<Record<'_>> {
    let (head, message) = text.split_once(" :: ")?;
    let mut parts = head.strip_prefix('[')?.strip_suffix(']')?.split("] [");
    let time = clock_text::parse_any(parts.next()?, zone)?;
    let (section, source, level) = (parts.next()?, parts.next()?, parts.next()?);
    Some(Record {
        format: "DeploymentToolkit",
        time: Some(time),
        message,
        component: source,
        context: section,
        severity: level_number(level),
        severity_name: level,
        ..Record::default()
    })
}

fn reporting(text: &str, zone: i32) -> Option<Record<'_>> {
    let mut values = text.splitn(12, '\t');
    let id = values.next().filter(|id| id.starts_with('{') && id.ends_with('}'))?;
    // The fraction stands behind a colon.
    let stamp = values.next()?;
    let time = stamp.get(..19).and_then(|whole| {
        let fraction = stamp.get(20..23).filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
        let nanos = fraction.and_then(|digits| digits.parse::<i64>().ok()).unwrap_or(0) * 1_000_000;
        Some(Timestamp::from_nanos(clock_text::parse_iso(whole, zone)?.as_nanos().checked_add(nanos)?))
    });
    let mut next = || values.next().unwrap_or_default();
    let (number, category, level, update) = (next(), next(), next(), next());
    let (error, agent, status, kind, message) = (next(), next(), next(), next(), next());
    Some(Record {
        format: "ReportingEvents",
        time,
        message,
        component: agent,
        context: category,
        severity: level_number(status),
        severity_name: status,
        more: vec![
            ("EventGuid", id),
            ("EventNumber", number),
            ("EventLevel", level),
            ("UpdateId", update),
            ("ErrorCode", error),
            ("EventKind", kind),
        ],
        ..Record::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, format: &str, time: &str, component: &str, message: &str) {
        let record = read(text, 0).unwrap_or_else(|| panic!("{text}"));
        assert_eq!((record.format, record.component, record.message), (format, component, message), "{text}");
        assert_eq!(record.time.unwrap().to_string(), time, "{text}");
    }

    #[test]
    fn each_layout_is_read() {
        check(
            "<![LOG[a\nb]LOG]!><time=\"10:00:00.5+480\" date=\"3-05-2026\" component=\"C\" type=\"3\" thread=\"1\" file=\"f\">",
            "CMTrace",
            "2026-03-05T18:00:00.5000000Z",
            "C",
            "a\nb",
        );
        check(
            "text $$<Comp><03-05-2026 10:00:00.000-60><thread=7 (0x7)>",
            "ConfigMgrClient",
            "2026-03-05T09:00:00.0000000Z",
            "Comp",
            "text",
        );
        check(
            "2026-03-05 10:00:00, Info                  CBS    Loaded",
            "Servicing",
            "2026-03-05T10:00:00.0000000Z",
            "CBS",
            "Loaded",
        );
        check(
            "[2026-03-05 10:00:00.1] [S] [Src] [Info] :: m",
            "DeploymentToolkit",
            "2026-03-05T10:00:00.1000000Z",
            "Src",
            "m",
        );
        check(
            "{1}\t2026-03-05 10:00:00:123\t1\tc\t2\t{u}\t0x0\tAgent\tSuccess\tk\tm",
            "ReportingEvents",
            "2026-03-05T10:00:00.1230000Z",
            "Agent",
            "m",
        );
        assert_eq!(read("words", 0), None);
    }
}
