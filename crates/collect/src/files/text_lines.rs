//! Lines of files in no known format: rows of `TextLog_CL` with the file and the line, or the lines of a record.
//!
//! A record that spans lines ends with the beginning of the next, or when nothing was added to it for a while.

use std::sync::Arc;

use moneta_base::limits::{BLOCK_ROWS_MAX, QUARANTINE_BYTES_MAX, RECORD_BYTES_MAX};
use moneta_base::{Clock, SourceName, TableName, Timestamp};
use moneta_event::{BatchBuilder, Delivery, QuarantinedRecord, RecordClass, RecordContext, TableSchema, Value};
use moneta_formats::Decoded;
use regex::Regex;
use tokio::time::Instant;

use super::reader::QUIET;
use super::records::Pending;
use crate::intake::Intake;

/// The table of text without a format of its own.
const TABLE: &str = "TextLog_CL";
/// Bytes of lines in one portion at most.
const PORTION_BYTES_MAX: usize = 4 << 20;

/// Cuts bytes into lines and makes rows of them.
pub(super) struct TextLines {
    schema: Arc<TableSchema>,
    clock: Arc<dyn Clock>,
    source: SourceName,
    path: String,
    /// The unfinished line, as far as it is kept.
    partial: Vec<u8>,
    partial_length: u64,
    /// File position of the next byte.
    offset: u64,
    /// How a record begins, where records span lines.
    start: Option<Regex>,
    /// The record whose end has not been seen, and when it last grew.
    pending: Option<(Pending, Instant)>,
    builder: BatchBuilder,
    portion_bytes: usize,
    quarantined: Vec<QuarantinedRecord>,
    ready: Vec<Decoded>,
}

impl TextLines {
    pub(super) fn new(intake: &Intake, path: &str, source: SourceName, offset: u64, start: Option<Regex>) -> Self {
        let name = TableName::new(TABLE).expect("a valid name");
        let schema = intake.catalog.get(TABLE).cloned().unwrap_or_else(|| Arc::new(TableSchema::custom(name)));
        Self {
            builder: builder(&schema),
            schema,
            clock: intake.clock.clone(),
            source,
            path: path.to_owned(),
            partial: Vec::new(),
            partial_length: 0,
            offset,
            start,
            pending: None,
            portion_bytes: 0,
            quarantined: Vec::new(),
            ready: Vec::new(),
        }
    }

    pub(super) fn feed(&mut self, mut bytes: &[u8]) {
        while let Some(end) = bytes.iter().position(|b| *b == b'\n') {
            self.keep(&bytes[..end]);
            self.offset += 1;
            self.end_line(1);
            bytes = &bytes[end + 1..];
        }
        self.keep(bytes);
    }

    /// The portions that are full; with `all`, what is begun, too.
    pub(super) fn take(&mut self, all: bool) -> Vec<Decoded> {
        if all {
            if self.pending.as_ref().is_some_and(|(_, grew)| grew.elapsed() >= QUIET) {
                self.end_record();
            }
            self.end_portion();
        }
        std::mem::take(&mut self.ready)
    }

    /// Takes the unfinished line as finished: nothing will be added to it.
    pub(super) fn end_of_file(&mut self) {
        if self.partial_length > 0 {
            self.end_line(0);
        }
        self.end_record();
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = (RECORD_BYTES_MAX + 1).saturating_sub(self.partial.len());
        self.partial.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.partial_length += bytes.len() as u64;
        self.offset += bytes.len() as u64;
    }

    fn end_line(&mut self, end_bytes: u64) {
        let start = self.offset - end_bytes - self.partial_length;
        let line = std::mem::take(&mut self.partial);
        let length = std::mem::take(&mut self.partial_length);
        let line_end = line.iter().rposition(|b| !b.is_ascii_whitespace()).map_or(0, |last| last + 1);
        if length > RECORD_BYTES_MAX as u64 {
            let reason = format!("line of {length} bytes, at most {RECORD_BYTES_MAX} are possible");
            self.quarantine("too_long", reason, start, &line);
        } else if let Err(error) = std::str::from_utf8(&line[..line_end]) {
            self.quarantine("invalid_utf8", format!("not UTF-8 at byte {}", error.valid_up_to()), start, &line);
        } else if let Ok(text) = std::str::from_utf8(&line[..line_end])
            && !text.is_empty()
        {
            match &self.start {
                None => self.row(text),
                Some(begins) => {
                    let begins = begins.is_match(text);
                    self.join(text, start, begins);
                }
            }
        }
        self.partial = line;
        self.partial.clear();
        self.partial.shrink_to(PORTION_BYTES_MAX / 64);
        if self.builder.num_rows() >= BLOCK_ROWS_MAX / 2 || self.portion_bytes >= PORTION_BYTES_MAX {
            self.end_portion();
        }
    }

    /// Adds a line to the record it belongs to.
    fn join(&mut self, line: &str, offset: u64, begins: bool) {
        match &mut self.pending {
            Some((pending, grew)) if !begins && pending.has_room(line) => {
                pending.add(line);
                *grew = Instant::now();
            }
            _ => {
                self.end_record();
                self.pending = Some((Pending::begin(line, offset), Instant::now()));
            }
        }
    }

    fn end_record(&mut self) {
        if let Some((pending, _)) = self.pending.take() {
            self.row(&pending.text);
        }
    }

    fn row(&mut self, text: &str) {
        let time = leading_time(text).unwrap_or_else(|| self.clock.now());
        self.builder.set_field("FilePath", Value::Text(&self.path));
        self.builder.set_field("Message", Value::Text(text));
        self.builder.finish_row(time, &self.source, text);
        self.portion_bytes += text.len();
    }

    fn quarantine(&mut self, reason_code: &'static str, reason: String, offset: u64, line: &[u8]) {
        // What is held back must not be read again together with this.
        self.end_record();
        let kept = &line[..line.len().min(QUARANTINE_BYTES_MAX)];
        self.portion_bytes += kept.len();
        self.quarantined.push(QuarantinedRecord {
            source: self.source.clone(),
            format: "text",
            table: TableName::new(TABLE).ok(),
            reason_code,
            reason,
            offset,
            bytes: kept.to_vec(),
            context: RecordContext::default(),
        });
    }

    fn end_portion(&mut self) {
        let finished = std::mem::replace(&mut self.builder, builder(&self.schema));
        let records = (finished.num_rows() + self.quarantined.len()) as u64;
        if records == 0 {
            return;
        }
        self.ready.push(Decoded {
            batches: finished.finish().into_iter().collect(),
            quarantined: std::mem::take(&mut self.quarantined),
            records,
            bytes: std::mem::take(&mut self.portion_bytes) as u64,
            cursor: self.pending.as_ref().map_or(self.offset - self.partial_length, |(pending, _)| pending.offset),
            ..Decoded::default()
        });
    }
}

fn builder(schema: &Arc<TableSchema>) -> BatchBuilder {
    BatchBuilder::new(schema.clone(), RecordClass::Data, Delivery::ExactlyOnce)
}

/// The time a line begins with, as `2026-01-02 03:04:05` and `[2026-01-02T03:04:05.123Z]`.
fn leading_time(text: &str) -> Option<Timestamp> {
    let text = text.strip_prefix('[').unwrap_or(text);
    let is_time = |c: char| c.is_ascii_digit() || "-:.,TZ+".contains(c);
    let date = text.get(..10)?;
    let rest = &text[10..];
    let clock = rest.get(1..)?;
    let len = clock.find(|c: char| !is_time(c)).unwrap_or(clock.len());
    let time = Timestamp::parse(&format!("{date}{}{}", rest.get(..1)?, &clock[..len]))?;
    (time > moneta_base::limits::EVENT_TIME_MIN).then_some(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_may_begin_with_its_time() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(leading_time(text).map(|time| time.to_string()).as_deref(), expected, "{text}");
        };
        check("2026-01-02 03:04:05 status installed", Some("2026-01-02T03:04:05.0000000Z"));
        check("[2026-01-02T03:04:05.5Z] x", Some("2026-01-02T03:04:05.5000000Z"));
        check("2026-01-02 03:04:05,250 INFO x", Some("2026-01-02T03:04:05.2500000Z"));
        check("update-alternatives 2026-01-02 03:04:05: x", None);
        check("0001-01-01 00:00:00 x", None);
        check("short", None);
        check("ääääääääää x", None);
    }
}
