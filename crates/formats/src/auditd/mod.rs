//! Logs of the Linux audit daemon, as rows of `LinuxAudit_CL`: one row per event, whatever number of records it has.
//!
//! Layout of a record: `[node=NAME ]type=TYPE msg=audit(SECONDS.MILLIS:SERIAL): key=value ...`, as auditd writes it, or
//! the same behind a syslog header. Records of one event share time and serial, and stand in any order among those of
//! others. Events are written in the order of their serials (which begin again after 2^32); one is complete at its
//! `EOE` record, at once when its type stands alone, and else when a record two seconds younger arrives. Where serials
//! are missing, the next row says how many in `LostBefore`.
//!
//! Values are interpreted (`fields`): hexadecimal texts, socket addresses, architectures, system calls, error numbers,
//! results, unset identifiers.

mod fields;
mod names;

use std::collections::VecDeque;
use std::ops::Range;

use moneta_base::{TableName, Timestamp};
use moneta_event::Value;
use moneta_event::builder::push_json_string;

use crate::clock_text;
use crate::decoder::LineFormat;
use crate::mapping::Slots;
use crate::output::{Output, Refusal, TableId};
use fields::Fields;
pub(crate) use fields::result_name;

/// Events held back at most: the kernel interleaves the records of a few.
const PENDING_MAX: usize = 64;
/// Records of one event at most; further ones begin another row.
const RECORDS_MAX: usize = 2_000;
/// Bytes of one event at most.
const EVENT_BYTES_MAX: usize = moneta_base::limits::RECORD_BYTES_MAX;
/// How much younger than an event a record must be to end it.
const EVENT_NANOS_MAX: i64 = 2_000_000_000;

/// Decodes the log of an audit daemon.
#[derive(Default)]
pub(crate) struct AuditdLog {
    pending: VecDeque<Event>,
    /// The serial of the last event written, per log: those of several nodes are not compared.
    last: Option<(String, u32)>,
    slots: Slots,
}

/// An event as far as it has been read.
#[derive(Debug)]
struct Event {
    offset: u64,
    node: String,
    time: Timestamp,
    serial: u32,
    is_complete: bool,
    records: Vec<Span>,
    raw: String,
}

/// Where a record stands in the text of its event: its type, and what follows its head.
#[derive(Debug)]
struct Span {
    kind: Range<usize>,
    body: Range<usize>,
}

#[derive(Debug)]
struct Record<'a> {
    kind: &'a str,
    fields: Fields<'a>,
}

/// The head of a record.
#[derive(Debug, PartialEq, Eq)]
struct Head<'a> {
    node: &'a str,
    /// Where the line names the type.
    kind_at: usize,
    kind: &'a str,
    time: Timestamp,
    serial: u32,
    /// What follows, to the end of the line.
    body: &'a str,
}

/// Whether a line looks like a record of the audit daemon.
pub(crate) fn is_record(line: &str) -> bool {
    head(line).is_some()
}

fn head(line: &str) -> Option<Head<'_>> {
    let at = line.find("type=").filter(|at| *at < 512)?;
    let node = line[..at].rsplit_once("node=").map_or("", |(_, node)| node.trim());
    let (kind, rest) = line[at + 5..].split_once(' ')?;
    let rest = rest.trim_start().strip_prefix("msg=audit(").or_else(|| rest.trim_start().strip_prefix("audit("))?;
    let (stamp, body) = rest.split_once(')')?;
    let (time, serial) = stamp.split_once(':')?;
    let time = clock_text::parse_epoch(time)?;
    Some(Head {
        node,
        kind_at: at + 5,
        kind,
        time,
        serial: serial.parse().ok()?,
        body: body.strip_prefix(':').unwrap_or(body),
    })
}

impl LineFormat for AuditdLog {
    fn line(&mut self, bytes: &[u8], offset: u64, output: &mut Output) {
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                return output.quarantine(Refusal::invalid_utf8(error), Some(table_name(output)), offset, bytes);
            }
        };
        let refusal = match head(text) {
            Some(head) => match output.check_time(head.time) {
                Ok(()) => {
                    self.take(&head, text, offset, output);
                    return;
                }
                Err(refusal) => refusal,
            },
            // The daemon prints lines between runs that say nothing.
            None if text.trim_matches('-').trim().is_empty() => {
                Refusal::new("no_record", "a line that separates, not a record")
            }
            None => Refusal::new("no_record", "no type= and msg=audit(time:serial): not a record of the audit daemon"),
        };
        output.quarantine(refusal, Some(table_name(output)), offset, bytes);
    }

    fn finish(&mut self, output: &mut Output) {
        while !self.pending.is_empty() {
            self.write_first(output);
        }
    }

    fn rest(&mut self, output: &mut Output) {
        self.finish(output);
    }

    fn pending_offset(&self) -> Option<u64> {
        self.pending.iter().map(|event| event.offset).min()
    }
}

/// Whether a serial comes before another, across the wrap at 2^32.
fn is_before(serial: u32, other: u32) -> bool {
    serial != other && other.wrapping_sub(serial) < u32::MAX / 2
}

impl AuditdLog {
    fn take(&mut self, head: &Head<'_>, line: &str, offset: u64, output: &mut Output) {
        let known = self.pending.iter_mut().find(|event| {
            event.serial == head.serial && event.time == head.time && event.node == head.node && !event.is_full(line)
        });
        let event = match known {
            Some(event) => event,
            None => {
                // Where serials order it, from the back.
                let at = self.pending.iter().rposition(|event| !is_before(head.serial, event.serial));
                let at = at.map_or(0, |at| at + 1);
                self.pending.insert(at, Event::new(head, offset));
                &mut self.pending[at]
            }
        };
        event.add(head, line);
        while let Some(first) = self.pending.front() {
            let is_old = head.time.as_nanos().saturating_sub(first.time.as_nanos()) > EVENT_NANOS_MAX;
            if !first.is_complete && !is_old && self.pending.len() <= PENDING_MAX {
                break;
            }
            self.write_first(output);
        }
    }

    fn write_first(&mut self, output: &mut Output) {
        let Some(event) = self.pending.pop_front() else { return };
        let lost = match &self.last {
            Some((node, last)) if *node == event.node && is_before(*last, event.serial) => {
                event.serial.wrapping_sub(*last) - 1
            }
            _ => 0,
        };
        // A daemon's own records count by themselves.
        if !event.kinds().all(|kind| kind.starts_with("DAEMON_")) {
            self.last = Some((event.node.clone(), event.serial));
            event.write(lost, &mut self.slots, output);
        } else {
            event.write(0, &mut self.slots, output);
        }
    }
}

fn table_name(output: &Output) -> TableName {
    let own = || TableName::new("LinuxAudit_CL").expect("the names of built-in tables are valid");
    output.options.table.clone().unwrap_or_else(own)
}

impl Event {
    fn new(head: &Head<'_>, offset: u64) -> Self {
        Self {
            offset,
            node: head.node.to_owned(),
            time: head.time,
            serial: head.serial,
            is_complete: false,
            records: Vec::new(),
            raw: String::new(),
        }
    }

    fn is_full(&self, line: &str) -> bool {
        self.records.len() >= RECORDS_MAX || self.raw.len() + line.len() >= EVENT_BYTES_MAX
    }

    fn add(&mut self, head: &Head<'_>, line: &str) {
        if !self.raw.is_empty() {
            self.raw.push('\n');
        }
        let start = self.raw.len();
        self.raw.push_str(line);
        if head.kind == "EOE" {
            self.is_complete = true;
            return;
        }
        self.is_complete |= names::stands_alone(head.kind) && self.records.is_empty();
        let kind_at = start + head.kind_at;
        let kind = kind_at..kind_at + head.kind.len();
        self.records.push(Span { kind, body: self.raw.len() - head.body.len()..self.raw.len() });
    }

    /// The types of its records.
    fn kinds(&self) -> impl Iterator<Item = &str> {
        self.records.iter().map(|span| &self.raw[span.kind.clone()])
    }

    /// Its records, read.
    fn read(&self) -> Records<'_> {
        let bodies = self.records.iter().map(|span| &self.raw[span.body.clone()]);
        let record = |(kind, body)| Record { kind, fields: fields::read(kind, body) };
        Records(self.kinds().zip(bodies).map(record).collect())
    }

    fn write(&self, lost: u32, slots: &mut Slots, output: &mut Output) {
        let table = output.table(&table_name(output));
        let records = self.read();
        let mut row = Row { table, slots, output };
        row.set("Serial", Value::Long(i64::from(self.serial)));
        row.text("Computer", &self.node);
        if lost > 0 {
            row.set("LostBefore", Value::Long(i64::from(lost)));
        }
        if let Some(primary) = records.primary() {
            records.primary_columns(primary, &mut row);
        }
        records.detail_columns(&mut row);
        let kinds: Vec<&str> = self.kinds().collect();
        row.text("RecordTypes", &kinds.join(","));
        row.set("Records", Value::Json(&records.json()));
        let class = names::class(records.primary().map_or("", |record| record.kind));
        row.output.finish_row(table, class, self.time, &self.raw);
    }
}

/// The records of an event.
struct Records<'a>(Vec<Record<'a>>);

impl Records<'_> {
    /// The record that says what happened: the system call, else the first.
    fn primary(&self) -> Option<&Record<'_>> {
        self.of_kind("SYSCALL").or_else(|| self.0.first())
    }

    /// The first record of a kind.
    fn of_kind(&self, kind: &str) -> Option<&Record<'_>> {
        self.0.iter().find(|record| record.kind == kind)
    }

    fn primary_columns(&self, primary: &Record<'_>, row: &mut Row<'_>) {
        let kind = self.0.first().map_or("", |record| record.kind);
        row.text("RecordType", primary.kind);
        row.text("Category", names::category(kind));
        row.set("Data", Value::Json(&primary.json()));
        for (column, field) in [
            ("Result", "result"),
            ("Session", "ses"),
            ("Auid", "auid"),
            ("Uid", "uid"),
            ("Euid", "euid"),
            ("Gid", "gid"),
            ("Egid", "egid"),
            ("ProcessId", "pid"),
            ("ParentProcessId", "ppid"),
            ("ProcessName", "comm"),
            ("Executable", "exe"),
            ("SyscallName", "syscall"),
            ("Arch", "arch"),
            ("Key", "key"),
            ("Terminal", "terminal"),
            ("SELinuxSubject", "subj"),
            ("TargetUserName", "acct"),
            ("Action", "op"),
        ] {
            row.text(column, primary.fields.get(field));
        }
        if primary.fields.get("terminal").is_empty() {
            row.text("Terminal", primary.fields.get("tty"));
        }
        row.text("UserName", first_of([primary.fields.get("AUID"), primary.fields.get("UID")]));
        row.text("ExitCode", primary.fields.get("exit_number"));
        if primary.kind == "SYSCALL" {
            row.text("Action", primary.fields.get("syscall"));
        }
        row.text("SourceAddress", first_of([primary.fields.get("addr"), primary.fields.get("hostname")]));
        if primary.kind == "USER_CMD" {
            row.text("CommandLine", primary.fields.get("cmd"));
            row.text("WorkingDirectory", primary.fields.get("cwd"));
        }
    }

    fn detail_columns(&self, row: &mut Row<'_>) {
        if let Some(execve) = self.of_kind("EXECVE") {
            row.text("CommandLine", &execve.fields.command_line());
        } else if let Some(title) = self.of_kind("PROCTITLE") {
            row.text("CommandLine", title.fields.get("proctitle"));
        }
        if let Some(cwd) = self.of_kind("CWD") {
            row.text("WorkingDirectory", cwd.fields.get("cwd"));
        }
        if let Some(address) = self.of_kind("SOCKADDR") {
            row.text("DestinationAddress", first_of([address.fields.get("addr"), address.fields.get("path")]));
            row.text("DestinationPort", address.fields.get("port"));
        }
        let paths: Vec<&Record<'_>> = self.0.iter().filter(|record| record.kind == "PATH").collect();
        if let Some(last) = paths.iter().rev().find(|path| path.fields.get("nametype") != "PARENT").or(paths.last()) {
            row.text("FilePath", last.fields.get("name"));
            let mut list = String::new();
            for path in &paths {
                list.push(if list.is_empty() { '[' } else { ',' });
                path.fields.write_json(&mut list);
            }
            list.push(']');
            row.set("Paths", Value::Json(&list));
        }
    }

    fn json(&self) -> String {
        let mut list = String::from("[");
        for record in &self.0 {
            if list.len() > 1 {
                list.push(',');
            }
            list.push_str("{\"type\":");
            push_json_string(&mut list, record.kind);
            list.push_str(",\"data\":");
            record.fields.write_json(&mut list);
            list.push('}');
        }
        list.push(']');
        list
    }
}

impl Record<'_> {
    fn json(&self) -> String {
        let mut json = String::new();
        self.fields.write_json(&mut json);
        json
    }
}

fn first_of(texts: [&str; 2]) -> &str {
    if texts[0].is_empty() { texts[1] } else { texts[0] }
}

/// The row being written.
struct Row<'a> {
    table: TableId,
    slots: &'a mut Slots,
    output: &'a mut Output,
}

impl Row<'_> {
    /// Sets a column unless it has a value.
    fn text(&mut self, name: &str, text: &str) {
        if text.is_empty() || !self.output.is_unset_column(self.table, name) {
            return;
        }
        self.slots.text(self.table, name, text, self.output);
    }

    fn set(&mut self, name: &str, value: Value<'_>) {
        self.slots.set(self.table, name, value, self.output);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_with_and_without_node() {
        let read = head("node=web1 type=EOE msg=audit(1700000000.123:7): ").unwrap();
        assert_eq!((read.node, read.kind, read.serial), ("web1", "EOE", 7));
        assert_eq!(read.time.to_string(), "2023-11-14T22:13:20.1230000Z");
        assert_eq!(head("type=X msg=audit(x:1): a=b"), None);
        assert_eq!(head("words"), None);
    }

    #[test]
    fn serials_are_ordered_across_the_wrap() {
        assert!(is_before(1, 2) && !is_before(2, 1) && !is_before(1, 1));
        assert!(is_before(u32::MAX, 0) && !is_before(0, u32::MAX));
    }
}
