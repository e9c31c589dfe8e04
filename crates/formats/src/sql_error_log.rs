//! SQL Server's ERRORLOG, as rows of `SqlErrorLog_CL`.
//!
//! Layout: `YYYY-MM-DD hh:mm:ss.cc source      message`, in UTF-16 or UTF-8, local times; lines without a time belong to
//! the message before. An error takes two records of the same time and source, `Error: n, Severity: n, State: n.` and
//! its message: they become one row.

use moneta_base::{TableName, Timestamp};
use moneta_event::{RecordClass, Value};

use crate::clock_text;
use crate::decoder::LineFormat;
use crate::output::{Output, Refusal, TableId};

/// Bytes of one message with all its lines at most.
const MESSAGE_BYTES_MAX: usize = moneta_base::limits::RECORD_BYTES_MAX;

/// Decodes ERRORLOG files.
#[derive(Default)]
pub(crate) struct SqlErrorLog {
    pending: Option<Message>,
}

/// A message as far as it has been read.
struct Message {
    offset: u64,
    time: Timestamp,
    stamp: String,
    source: String,
    text: String,
    raw: String,
    /// Numbers of the error, from the line before.
    error: Option<[i64; 3]>,
}

/// Whether a line begins a message of an ERRORLOG.
pub(crate) fn is_record(line: &str) -> bool {
    head(line).is_some_and(|(_, source, _)| {
        let words = ["Server", "Logon", "Backup", "spid", "Error"];
        words.iter().any(|word| source.starts_with(word))
    })
}

/// Time, source and message.
fn head(line: &str) -> Option<(&str, &str, &str)> {
    let stamp = line.get(..22)?;
    let bytes = stamp.as_bytes();
    if bytes[4] != b'-' || bytes[10] != b' ' || bytes[13] != b':' || bytes[19] != b'.' {
        return None;
    }
    let rest = line[22..].strip_prefix(' ')?;
    let (source, text) = rest.split_once(' ').unwrap_or((rest, ""));
    Some((stamp, source, text.trim_start()))
}

impl LineFormat for SqlErrorLog {
    fn line(&mut self, bytes: &[u8], offset: u64, output: &mut Output) {
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                // What is held back must not go on behind a line that does not belong to it.
                self.finish(output);
                return output.quarantine(Refusal::invalid_utf8(error), None, offset, bytes);
            }
        };
        let time = head(text).and_then(|(stamp, ..)| clock_text::parse_iso(stamp, output.options.zone_offset_seconds));
        match (head(text), time) {
            (Some((stamp, source, message)), Some(time)) => {
                if let Err(refusal) = output.check_time(time) {
                    return output.quarantine(refusal, None, offset, bytes);
                }
                self.begin(Message::new(offset, time, stamp, source, message, text), output);
            }
            _ => self.go_on(text, offset, output),
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
}

impl SqlErrorLog {
    fn begin(&mut self, mut message: Message, output: &mut Output) {
        if let Some(before) = self.pending.take() {
            let numbers = error_numbers(&before.text);
            if numbers.is_some() && before.stamp == message.stamp && before.source == message.source {
                message.error = numbers;
                message.offset = before.offset;
                message.raw = format!("{}\n{}", before.raw, message.raw);
            } else {
                before.write(output);
            }
        }
        self.pending = Some(message);
    }

    fn go_on(&mut self, line: &str, offset: u64, output: &mut Output) {
        match &mut self.pending {
            Some(message) if message.raw.len() + line.len() < MESSAGE_BYTES_MAX => {
                message.text.push('\n');
                message.text.push_str(line);
                message.raw.push('\n');
                message.raw.push_str(line);
            }
            _ => {
                let refusal = Refusal::new("no_record", "no time, and no message before that it could belong to");
                output.quarantine(refusal, None, offset, line.as_bytes());
            }
        }
    }
}

/// `Error: 18456, Severity: 14, State: 38.`
fn error_numbers(text: &str) -> Option<[i64; 3]> {
    let mut rest = text;
    let mut number = |name: &str| -> Option<i64> {
        let behind = rest.trim_start_matches([',', ' ']).strip_prefix(name)?.trim_start();
        let end = behind.find(|c: char| !c.is_ascii_digit()).unwrap_or(behind.len());
        rest = &behind[end..];
        behind[..end].parse().ok()
    };
    Some([number("Error:")?, number("Severity:")?, number("State:")?])
}

impl Message {
    fn new(offset: u64, time: Timestamp, stamp: &str, source: &str, text: &str, raw: &str) -> Self {
        let (stamp, source) = (stamp.to_owned(), source.to_owned());
        Self { offset, time, stamp, source, text: text.to_owned(), raw: raw.to_owned(), error: None }
    }

    fn write(&self, output: &mut Output) {
        let own = || TableName::new("SqlErrorLog_CL").expect("the names of built-in tables are valid");
        let table = output.table(&output.options.table.clone().unwrap_or_else(own));
        set(output, table, "Source", &self.source);
        set(output, table, "Message", &self.text);
        for (name, number) in ["ErrorNumber", "Severity", "State"]
            .into_iter()
            .zip(self.error.or(error_numbers(&self.text)).into_iter().flatten())
        {
            output.set_field(table, name, Value::Long(number));
        }
        let login = between(&self.text, "for user '", "'. ").or_else(|| between(&self.text, "for user '", "'"));
        set(output, table, "LoginName", login.unwrap_or_default());
        // The client stands at the end: what a user typed cannot come behind it.
        let client = self.text.rfind("[CLIENT: ").and_then(|at| between(&self.text[at..], "[CLIENT: ", "]"));
        set(output, table, "ClientIP", client.unwrap_or_default());
        let reason = self.text.rfind("Reason: ").and_then(|at| between(&self.text[at..], "Reason: ", " [CLIENT"));
        set(output, table, "Reason", reason.unwrap_or_default());
        let class = if self.source == "Logon" { RecordClass::Control } else { RecordClass::Data };
        output.finish_row(table, class, self.time, &self.raw);
    }
}

fn between<'a>(text: &'a str, before: &str, behind: &str) -> Option<&'a str> {
    let start = text.find(before)? + before.len();
    let end = text[start..].find(behind)? + start;
    Some(&text[start..end])
}

fn set(output: &mut Output, table: TableId, name: &str, text: &str) {
    output.set_field(table, name, Value::Text(text));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_and_numbers_are_read() {
        let line = "2026-02-24 16:05:21.00 Logon       Login failed";
        assert_eq!(head(line), Some(("2026-02-24 16:05:21.00", "Logon", "Login failed")));
        assert!(is_record(line) && !is_record("2026-02-24 16:05:21.00 app x"));
        assert_eq!(error_numbers("Error: 18456, Severity: 14, State: 38."), Some([18_456, 14, 38]));
        assert_eq!(error_numbers("Error: none"), None);
    }
}
