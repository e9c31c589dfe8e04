//! The systemd journal, read through `journalctl`, into the `Syslog` table.
//!
//! A journal entry's place is its file set and sequence number (`s` and `i` of its cursor): they are the epoch and the
//! sequence of the submission that stored it, and `journalctl --after-cursor` continues from them.
//!
//! # Source
//! systemd.journal-fields(7) for names; "Journal Export Formats" for JSON output: a field is text, an array of bytes
//! where it is not UTF-8, an array of values where it was set more than once, and null where it is too long.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use moneta_base::limits::{QUARANTINE_BYTES_MAX, RECORD_BYTES_MAX};
use moneta_base::{SourceName, TableName, Timestamp};
use moneta_event::catalog::table;
use moneta_event::{BatchBuilder, Delivery, QuarantinedRecord, RecordClass, RecordContext, TableSchema, Value};
use moneta_ports::{IdempotencyKey, KeyLife, Submission};
use serde_json::{Map, Value as Json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::Instant;

use crate::Error;
use crate::collector::{Collector, Stopped, is_stopped, until_stopped};
use crate::intake::{Intake, ResumePoint, ResumePoints, Stored};

const COLLECTOR: &str = "systemd-journal";
const PRODUCER: &str = "collect/systemd-journal";
/// How long an entry waits for company at most.
const FLUSH_AFTER: Duration = Duration::from_millis(100);
/// Entries after which a portion is stored, however young.
const FLUSH_ENTRIES: usize = 4_096;
/// Wait before `journalctl` is started again after it ended.
const RESTART_AFTER: Duration = Duration::from_secs(5);

const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "ntp",
    "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
];
const SEVERITIES: [&str; 8] = ["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"];

/// How to read the journal.
#[derive(Debug, Clone)]
pub struct JournalOptions {
    /// The program: `journalctl`, or a path to it.
    pub program: String,
}

impl Default for JournalOptions {
    fn default() -> Self {
        Self { program: "journalctl".to_owned() }
    }
}

/// Follows the systemd journal from where it was stored last, or from its oldest entry.
///
/// # Errors
/// [`Error::NoJournal`] when the program cannot be started.
pub async fn start_systemd_journal(
    intake: Intake,
    resume: Arc<dyn ResumePoints>,
    options: JournalOptions,
) -> Result<Collector, Error> {
    let place = resume.resume_point(PRODUCER).await;
    let child = spawn(&options, place).map_err(Error::NoJournal)?;
    let schema = intake.catalog.get(table::SYSLOG).cloned();
    let schema = schema.unwrap_or_else(|| {
        Arc::new(TableSchema::custom(TableName::new(table::SYSLOG).expect("the name of a built-in table is valid")))
    });
    let source = SourceName::lossy("systemd-journal");
    let reader = JournalReader { intake, options, place, entries: Entries::new(schema, source) };
    Ok(Collector::start("systemd journal", COLLECTOR, None, |stopped| reader.run(child, stopped)))
}

fn spawn(options: &JournalOptions, place: Option<ResumePoint>) -> std::io::Result<Child> {
    let mut command = Command::new(&options.program);
    command.args(["--output=json", "--follow", "--no-tail", "--quiet"]);
    if let Some((file_set, sequence)) = place {
        command.arg(format!("--after-cursor=s={file_set:032x};i={sequence:x}"));
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true).spawn()
}

struct JournalReader {
    intake: Intake,
    options: JournalOptions,
    /// Where the last stored entry stands.
    place: Option<ResumePoint>,
    entries: Entries,
}

impl JournalReader {
    async fn run(mut self, first: Child, mut stopped: Stopped) {
        let mut child = Some(first);
        while !is_stopped(&stopped) {
            match child.take().map_or_else(|| spawn(&self.options, self.place), Ok) {
                Ok(mut running) => {
                    self.follow(&mut running, &mut stopped).await;
                    // It may have ended by itself.
                    let _ = running.kill().await;
                }
                Err(error) => tracing::warn!(%error, "journalctl cannot be started"),
            }
            tokio::select! {
                () = tokio::time::sleep(RESTART_AFTER) => {}
                () = until_stopped(&mut stopped) => {}
            }
        }
    }

    /// Reads entries until the program ends or the collector stops.
    async fn follow(&mut self, child: &mut Child, stopped: &mut Stopped) {
        let Some(stdout) = child.stdout.take() else { return };
        let mut lines = LineReader::new(stdout);
        loop {
            let due = self.entries.deadline;
            let line = tokio::select! {
                biased;
                () = until_stopped(stopped) => break,
                () = async {
                    match due {
                        Some(deadline) => tokio::time::sleep_until(deadline).await,
                        None => std::future::pending().await,
                    }
                } => {
                    if !self.store(stopped).await {
                        return;
                    }
                    continue;
                }
                line = lines.next() => line,
            };
            let Ok(Some(line)) = line else { break };
            let now = self.intake.clock.now();
            let next = cursor_of(&line);
            if (self.entries.belongs_to_another_file_set(next) || self.entries.is_full()) && !self.store(stopped).await
            {
                return;
            }
            self.entries.push(&line, next, now);
        }
        self.store(stopped).await;
    }

    /// Stores what was read; `false` when that must be read again from the last stored place.
    async fn store(&mut self, stopped: &mut Stopped) -> bool {
        let Some((submission, place)) = self.entries.take() else { return true };
        let records = crate::intake::num_records(&submission);
        match self.intake.submit(COLLECTOR, &submission, stopped).await {
            Stored::Yes => {}
            Stored::Refused => self.intake.count_dropped(COLLECTOR, "refused", records),
            Stored::Stopped => return false,
        }
        self.place = place.or(self.place);
        true
    }
}

/// Reads lines of bounded length.
struct LineReader {
    input: BufReader<ChildStdout>,
    /// What was read of the next line: reading it may be interrupted.
    partial: Vec<u8>,
}

impl LineReader {
    fn new(stdout: ChildStdout) -> Self {
        Self { input: BufReader::with_capacity(256 << 10, stdout), partial: Vec::new() }
    }

    /// The next line, of which no more than the limit of a record is kept; `None` at the end.
    async fn next(&mut self) -> std::io::Result<Option<Vec<u8>>> {
        loop {
            let room = (RECORD_BYTES_MAX + 1).saturating_sub(self.partial.len());
            if room == 0 {
                self.skip_to_end_of_line().await?;
                return Ok(Some(std::mem::take(&mut self.partial)));
            }
            let read = (&mut self.input).take(room as u64).read_until(b'\n', &mut self.partial).await?;
            if self.partial.last() == Some(&b'\n') {
                self.partial.pop();
                return Ok(Some(std::mem::take(&mut self.partial)));
            }
            if read == 0 {
                // An unfinished last line is read again after the next start.
                return Ok(None);
            }
        }
    }

    async fn skip_to_end_of_line(&mut self) -> std::io::Result<()> {
        loop {
            let buffer = self.input.fill_buf().await?;
            if buffer.is_empty() {
                return Ok(());
            }
            let end = buffer.iter().position(|b| *b == b'\n');
            let len = end.map_or(buffer.len(), |end| end + 1);
            self.input.consume(len);
            if end.is_some() {
                return Ok(());
            }
        }
    }
}

/// File set and sequence number of an entry, from its cursor.
fn cursor_of(line: &[u8]) -> Option<ResumePoint> {
    const FIELD: &[u8] = b"\"__CURSOR\"";
    let at = line.windows(FIELD.len()).position(|window| window == FIELD)? + FIELD.len();
    let text = std::str::from_utf8(&line[at..line.len().min(at + 300)]).ok()?;
    let cursor = text.trim_start().strip_prefix(':')?.trim_start().strip_prefix('"')?.split('"').next()?;
    let part = |name: &str| cursor.split(';').find_map(|part| part.strip_prefix(name));
    Some((u128::from_str_radix(part("s=")?, 16).ok()?, u64::from_str_radix(part("i=")?, 16).ok()?))
}

/// Entries read and not yet stored.
struct Entries {
    schema: Arc<TableSchema>,
    source: SourceName,
    builder: BatchBuilder,
    quarantined: Vec<QuarantinedRecord>,
    place: Option<ResumePoint>,
    deadline: Option<Instant>,
}

impl Entries {
    fn new(schema: Arc<TableSchema>, source: SourceName) -> Self {
        let builder = BatchBuilder::new(schema.clone(), RecordClass::Data, Delivery::ExactlyOnce);
        Self { schema, source, builder, quarantined: Vec::new(), place: None, deadline: None }
    }

    fn is_full(&self) -> bool {
        self.builder.num_rows() + self.quarantined.len() >= FLUSH_ENTRIES
    }

    /// Entries of two file sets cannot be stored under one position.
    fn belongs_to_another_file_set(&self, next: Option<ResumePoint>) -> bool {
        self.place.zip(next).is_some_and(|(held, next)| held.0 != next.0)
    }

    fn push(&mut self, line: &[u8], place: Option<ResumePoint>, now: Timestamp) {
        self.deadline.get_or_insert_with(|| Instant::now() + FLUSH_AFTER);
        self.place = place.or(self.place);
        let parsed = std::str::from_utf8(line).ok().and_then(|text| {
            let entry: Map<String, Json> = serde_json::from_str(text).ok()?;
            Some((entry, text))
        });
        match parsed {
            Some((entry, text)) if line.len() <= RECORD_BYTES_MAX => self.row(&entry, text, now),
            _ => self.quarantine(line),
        }
    }

    fn row(&mut self, entry: &Map<String, Json>, raw: &str, now: Timestamp) {
        let text = |name: &str| entry.get(name).map(text_of).unwrap_or_default();
        let first = |names: [&str; 2]| names.into_iter().map(text).find(|found| !found.is_empty()).unwrap_or_default();
        let number = |name: &str| text(name).parse::<usize>().ok();
        let facility = number("SYSLOG_FACILITY").or((text("_TRANSPORT") == "kernel").then_some(0));
        let facility = facility.and_then(|number| FACILITIES.get(number)).copied().unwrap_or_default();
        let severity = number("PRIORITY").and_then(|number| SEVERITIES.get(number)).copied().unwrap_or_default();
        let micros = text("__REALTIME_TIMESTAMP").parse::<i64>().ok().and_then(|micros| micros.checked_mul(1_000));
        let time = micros.map_or(now, Timestamp::from_nanos);
        let host = text("_HOSTNAME");
        let is_control = matches!(facility, "auth" | "authpriv" | "audit");
        let class = if is_control { RecordClass::Control } else { RecordClass::Data };
        self.builder.classify(class, Delivery::ExactlyOnce);
        let mut set = |name: &str, value: Value<'_>| self.builder.set_field(name, value);
        set("Computer", Value::Text(&host));
        set("HostName", Value::Text(&host));
        set("Facility", Value::Text(facility));
        set("SeverityLevel", Value::Text(severity));
        set("ProcessName", Value::Text(&first(["SYSLOG_IDENTIFIER", "_COMM"])));
        set("ProcessID", Value::Text(&first(["SYSLOG_PID", "_PID"])));
        set("SyslogMessage", Value::Text(&text("MESSAGE")));
        set("EventTime", Value::Time(time));
        for (name, value) in entry.iter().filter(|(name, _)| is_further(name)) {
            self.builder.extra(name, Value::Text(&text_of(value)));
        }
        self.builder.finish_row(time, &self.source, raw);
    }

    fn quarantine(&mut self, line: &[u8]) {
        let too_long = line.len() > RECORD_BYTES_MAX;
        let (reason_code, reason) = match too_long {
            true => ("too_long", format!("journal entry of more than {RECORD_BYTES_MAX} bytes")),
            false => ("invalid_json", "journal entry is not a JSON object".to_owned()),
        };
        self.quarantined.push(QuarantinedRecord {
            source: self.source.clone(),
            format: "systemd-journal",
            table: Some(self.schema.name().clone()),
            reason_code,
            reason,
            offset: 0,
            bytes: line[..line.len().min(QUARANTINE_BYTES_MAX)].to_vec(),
            context: RecordContext::default(),
        });
    }

    /// What was read, under the position of its last entry.
    fn take(&mut self) -> Option<(Submission, Option<ResumePoint>)> {
        self.deadline = None;
        let new = BatchBuilder::new(self.schema.clone(), RecordClass::Data, Delivery::ExactlyOnce);
        let batch = std::mem::replace(&mut self.builder, new).finish();
        let quarantined = std::mem::take(&mut self.quarantined);
        if batch.is_none() && quarantined.is_empty() {
            return None;
        }
        let place = self.place.take();
        let key = place.map(|(epoch, sequence)| IdempotencyKey {
            producer: PRODUCER.to_owned(),
            epoch,
            sequence,
            life: KeyLife::Producer,
        });
        Some((Submission { batches: batch.into_iter().collect(), quarantined, key }, place))
    }
}

/// Fields that are no column and say something about the event.
fn is_further(name: &str) -> bool {
    const COLUMNS: [&str; 9] = [
        "MESSAGE",
        "PRIORITY",
        "SYSLOG_FACILITY",
        "SYSLOG_IDENTIFIER",
        "SYSLOG_PID",
        "_HOSTNAME",
        "_COMM",
        "_PID",
        "SYSLOG_RAW",
    ];
    !name.starts_with("__") && !COLUMNS.contains(&name)
}

/// A field as text: bytes as UTF-8 where they are, several values as JSON.
fn text_of(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        Json::Null => String::new(),
        Json::Array(items) => {
            let bytes: Option<Vec<u8>> =
                items.iter().map(|item| item.as_u64().and_then(|byte| u8::try_from(byte).ok())).collect();
            bytes.map_or_else(|| value.to_string(), |bytes| String::from_utf8_lossy(&bytes).into_owned())
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_names_file_set_and_sequence() {
        let line = br#"{"__CURSOR":"s=0123456789abcdef0123456789abcdef;i=1a;b=00;m=1;t=2;x=3","MESSAGE":"x"}"#;
        assert_eq!(cursor_of(line), Some((0x0123_4567_89ab_cdef_0123_4567_89ab_cdef, 26)));
        assert_eq!(cursor_of(b"{}"), None);
    }

    #[test]
    fn fields_are_text_bytes_or_several_values() {
        assert_eq!(text_of(&serde_json::json!("a")), "a");
        assert_eq!(text_of(&serde_json::json!([104, 105])), "hi");
        assert_eq!(text_of(&serde_json::json!(["a", "b"])), r#"["a","b"]"#);
        assert_eq!(text_of(&Json::Null), "");
    }
}
