//! The log of PostgreSQL as text (`log_destination = 'stderr'`), as rows of `PostgreSqlLog_CL`.
//!
//! Layout: `prefix SEVERITY:  text`, with a prefix as `log_line_prefix` has it by default and on Debian: `%m [%p] ` and
//! `%m [%p] %q%u@%d `, that is time, abbreviation of the zone, process, and with a session also user and database. Further
//! lines of a text begin with a tab. What belongs to a message follows it with a prefix of its own (`DETAIL`, `HINT`,
//! `QUERY`, `CONTEXT`, `LOCATION`, `STATEMENT`, `BACKTRACE`): all of it is one row.
//!
//! # Source
//! PostgreSQL manual, 20.8 (error reporting and logging); `send_message_to_server_log` in `elog.c`.

use moneta_base::{TableName, Timestamp};
use moneta_event::{RecordClass, Value};

use crate::clock_text;
use crate::decoder::LineFormat;
use crate::output::{Output, Refusal};

/// Bytes of one message with all its lines at most.
const MESSAGE_BYTES_MAX: usize = moneta_base::limits::RECORD_BYTES_MAX;

const SEVERITIES: [&str; 13] = [
    "DEBUG1", "DEBUG2", "DEBUG3", "DEBUG4", "DEBUG5", "DEBUG", "LOG", "INFO", "NOTICE", "WARNING", "ERROR", "FATAL",
    "PANIC",
];
/// What follows a message, and its columns.
const PARTS: [(&str, &str); 7] = [
    ("DETAIL", "Detail"),
    ("HINT", "Hint"),
    ("QUERY", "InternalQuery"),
    ("CONTEXT", "Context"),
    ("LOCATION", "Location"),
    ("STATEMENT", "Statement"),
    ("BACKTRACE", "Backtrace"),
];

/// Decodes logs of PostgreSQL.
#[derive(Default)]
pub(crate) struct PostgresLog {
    pending: Option<Message>,
}

/// A message as far as it has been read.
struct Message {
    offset: u64,
    time: Timestamp,
    process_id: String,
    user: String,
    database: String,
    severity: String,
    /// Columns and their texts, the message first.
    texts: Vec<(&'static str, String)>,
    raw: String,
}

/// A line with a prefix taken apart.
struct Line<'a> {
    stamp: &'a str,
    zone: &'a str,
    process_id: &'a str,
    user: &'a str,
    database: &'a str,
    /// A severity, or the name of a part.
    word: &'a str,
    text: &'a str,
}

impl<'a> Line<'a> {
    fn read(line: &'a str) -> Option<Self> {
        // `2026-06-01 10:00:00[.123] CEST [812] `
        let bytes = line.as_bytes();
        let has_date = bytes.get(4) == Some(&b'-') && bytes.get(10) == Some(&b' ') && bytes.get(13) == Some(&b':');
        let (head, rest) = line.split_once(" [").filter(|_| has_date)?;
        let (stamp, zone) = head.rsplit_once(' ')?;
        let (process_id, rest) = rest.split_once("] ")?;
        if process_id.is_empty() || !process_id.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let (before, text) = rest.split_once(":  ")?;
        // The names of users and databases may hold blanks.
        let (session, word) = before.rsplit_once(' ').unwrap_or(("", before));
        let known = SEVERITIES.contains(&word) || PARTS.iter().any(|(name, _)| *name == word);
        let (user, database) = session.rsplit_once('@').unwrap_or((session, ""));
        known.then_some(Self { stamp, zone, process_id, user, database, word, text })
    }

    /// The time; where the abbreviation says nothing to us, in the zone of the options.
    fn time(&self, zone_offset_seconds: i32) -> Option<Timestamp> {
        let zone = clock_text::parse_zone(self.zone).or_else(|| clock_text::zone_of_name(self.zone));
        clock_text::parse_iso(self.stamp, zone.unwrap_or(zone_offset_seconds))
    }
}

/// Whether a line begins a message of PostgreSQL.
pub(crate) fn is_record(line: &str) -> bool {
    Line::read(line).is_some()
}

impl LineFormat for PostgresLog {
    fn line(&mut self, bytes: &[u8], offset: u64, output: &mut Output) {
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                self.finish(output);
                return output.quarantine(Refusal::invalid_utf8(error), Some(table_name(output)), offset, bytes);
            }
        };
        let Some(line) = Line::read(text) else { return self.go_on(text, offset, output) };
        if self.add_part(&line, text) {
            return;
        }
        self.finish(output);
        match Message::begin(&line, text, offset, output) {
            Ok(message) => self.pending = Some(message),
            Err(refusal) => output.quarantine(refusal, Some(table_name(output)), offset, bytes),
        }
    }

    fn finish(&mut self, output: &mut Output) {
        if let Some(message) = self.pending.take() {
            message.write(output);
        }
    }

    fn rest(&mut self, output: &mut Output) {
        self.finish(output);
    }

    fn pending_offset(&self) -> Option<u64> {
        self.pending.as_ref().map(|message| message.offset)
    }

    fn forget_order(&mut self, output: &mut Output) {
        self.finish(output);
    }
}

impl PostgresLog {
    /// Adds what belongs to the message before; says whether it does.
    fn add_part(&mut self, line: &Line<'_>, text: &str) -> bool {
        let column = PARTS.iter().find(|(name, _)| *name == line.word).map(|(_, column)| *column);
        match (column, &mut self.pending) {
            (Some(column), Some(message)) if message.process_id == line.process_id && message.has_room(text) => {
                message.texts.push((column, line.text.to_owned()));
                message.raw.push('\n');
                message.raw.push_str(text);
                true
            }
            _ => false,
        }
    }

    /// A line without prefix: the text before goes on.
    fn go_on(&mut self, line: &str, offset: u64, output: &mut Output) {
        match &mut self.pending {
            Some(message) if message.has_room(line) => {
                if let Some((_, text)) = message.texts.last_mut() {
                    text.push('\n');
                    text.push_str(line.strip_prefix('\t').unwrap_or(line));
                }
                message.raw.push('\n');
                message.raw.push_str(line);
            }
            _ => {
                let refusal =
                    Refusal::new("no_record", "no time and severity, and no message before that it could belong to");
                output.quarantine(refusal, Some(table_name(output)), offset, line.as_bytes());
            }
        }
    }
}

impl Message {
    fn begin(line: &Line<'_>, raw: &str, offset: u64, output: &Output) -> Result<Self, Refusal> {
        let time = line.time(output.options.zone_offset_seconds);
        let time = time.ok_or_else(|| Refusal::new("invalid_time", "the time cannot be read"))?;
        output.check_time(time)?;
        // A part whose message is not there is a message of its own.
        let part = PARTS.iter().find(|(name, _)| *name == line.word).map(|(_, column)| *column);
        let severity = if part.is_some() { "" } else { line.word };
        Ok(Self {
            offset,
            time,
            process_id: line.process_id.to_owned(),
            user: line.user.to_owned(),
            database: line.database.to_owned(),
            severity: severity.to_owned(),
            texts: vec![(part.unwrap_or("Message"), line.text.to_owned())],
            raw: raw.to_owned(),
        })
    }

    fn has_room(&self, line: &str) -> bool {
        self.raw.len() + line.len() < MESSAGE_BYTES_MAX
    }

    fn write(&self, output: &mut Output) {
        let table = output.table(&table_name(output));
        let mut set = |name: &str, text: &str| output.set_field(table, name, Value::Text(text));
        set("Severity", &self.severity);
        set("ProcessId", &self.process_id);
        set("UserName", &self.user);
        set("DatabaseName", &self.database);
        for (name, text) in &self.texts {
            set(name, text);
        }
        output.finish_row(table, RecordClass::Data, self.time, &self.raw);
    }
}

fn table_name(output: &Output) -> TableName {
    let own = || TableName::new("PostgreSqlLog_CL").expect("the names of built-in tables are valid");
    output.options.table.clone().unwrap_or_else(own)
}
