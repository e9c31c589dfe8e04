//! Audit events of SQL Server that the Windows log carries (event 33205), as rows of `SQLSecurityAuditEvents` beside the
//! row of the event itself.
//!
//! Layout: the first item of the event's data is a text of lines `name:value`, with the names of the audit file's
//! columns; the value of `statement` and of `additional_information` may go on in further lines.

use serde_json::{Map, Value};

use super::WindowsEvent;
use crate::json::Document;
use crate::mapping::MappedRows;
use crate::output::{Output, Refusal};

const EVENT_ID: &str = "33205";
/// Names in one event at most.
const NAMES_MAX: usize = 128;

/// Writes the rows of audit events.
#[derive(Debug, Default)]
pub(super) struct SqlAudit {
    document: Document,
    rows: MappedRows,
}

impl SqlAudit {
    /// Writes the row of an event, if it is an audit event.
    pub fn write(&mut self, event: &WindowsEvent<'_>, raw: &str, output: &mut Output) -> Result<(), Refusal> {
        let texts = event.unnamed.iter().copied().chain(event.data.iter().map(|(_, text)| &**text));
        let Some(text) = texts.filter(|_| event.event_id == EVENT_ID).find(|text| text.contains("action_id:")) else {
            return Ok(());
        };
        let mut fields = fields(text);
        if !event.computer.is_empty() {
            fields.entry("Computer").or_insert_with(|| event.computer.into());
        }
        let json = Value::Object(fields).to_string();
        let item = self.document.parse(&json).map_err(crate::json::Fault::refusal)?;
        let mappings = std::sync::Arc::clone(&output.options.mappings);
        match mappings.choose(item) {
            Some(choice) => self.rows.write(&mappings, choice, item, raw, output),
            None => Ok(()),
        }
    }
}

fn fields(text: &str) -> Map<String, Value> {
    let mut fields = Map::new();
    let mut last = String::new();
    for line in text.lines() {
        let named = line.split_once(':').filter(|(name, _)| is_name(name) && fields.len() < NAMES_MAX);
        match named {
            // A statement may hold lines that look like fields; each name comes once, those of the file's columns first.
            Some((name, value)) if !fields.contains_key(name) => {
                name.clone_into(&mut last);
                fields.insert(name.to_owned(), value.trim().into());
            }
            _ => {
                if let Some(Value::String(value)) = fields.get_mut(&last) {
                    value.push('\n');
                    value.push_str(line);
                }
            }
        }
    }
    fields.retain(|_, value| value.as_str().is_some_and(|text| !text.is_empty()));
    fields
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= 64 && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_fields() {
        let text = "audit_schema_version:1\nevent_time:2026-06-01 10:00:00.1234567\naction_id:LGIF\nstatement:select 1\nfrom t\nobject_name:\n";
        let fields = fields(text);
        assert_eq!(fields["event_time"], "2026-06-01 10:00:00.1234567");
        assert_eq!(fields["statement"], "select 1\nfrom t");
        assert!(!fields.contains_key("object_name"));
    }
}
