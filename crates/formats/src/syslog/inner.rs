//! Records within messages: JSON objects, and lines whose form a mapping of the user declares.
//!
//! Layout: the text of a message is a JSON object, as it is or behind the cookie `@cee:`.
//!
//! # Source
//! The cookie: Common Event Expression syslog transport (CLT), as rsyslog and syslog-ng write it.

use serde_json::{Map, Value};

use super::Message;
use crate::json::Document;
use crate::mapping::MappedRows;
use crate::output::{Output, Refusal};

/// Where a message's JSON goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// There is none.
    None,
    /// The message became a row of the table of its shape.
    OwnTable,
    /// The message is a row of syslog with fields.
    Fields,
}

/// Reads records within messages.
#[derive(Debug, Default)]
pub(super) struct InnerJson {
    document: Document,
    rows: MappedRows,
}

/// The JSON of a message's text.
pub(super) fn json_of(text: &str) -> &str {
    let text = text.trim();
    text.strip_prefix("@cee:").map_or(text, str::trim_start)
}

/// Whether a message is a whole event of Sysmon for Linux, which writes them to syslog in the XML of Windows.
pub(crate) fn is_sysmon(text: &str) -> bool {
    text.starts_with("<Event><System><Provider Name=\"Linux-Sysmon\"") && text.trim_end().ends_with("</Event>")
}

impl InnerJson {
    /// Reads the JSON of a message, and writes its row where its shape has a table of its own.
    pub fn read(&mut self, message: &Message<'_>, raw: &str, output: &mut Output) -> Result<Place, Refusal> {
        let json = json_of(message.text);
        if !json.starts_with('{') || !json.ends_with('}') {
            return Ok(Place::None);
        }
        let Ok(item) = self.document.parse(json) else { return Ok(Place::None) };
        let mappings = std::sync::Arc::clone(&output.options.mappings);
        match mappings.choose(item).filter(|_| output.options.table.is_none()) {
            Some(choice) => {
                self.rows.write(&mappings, choice, item, raw, output)?;
                Ok(Place::OwnTable)
            }
            None => Ok(Place::Fields),
        }
    }

    /// Writes the row of a line whose form a mapping declares; whether there was one.
    pub fn line(&mut self, text: &str, output: &mut Output) -> Result<bool, Refusal> {
        let mappings = std::sync::Arc::clone(&output.options.mappings);
        let Some((choice, values)) = mappings.choose_line(text) else { return Ok(false) };
        let members = values.into_iter().map(|(name, value)| (name.to_owned(), Value::from(value)));
        let json = Value::Object(members.collect::<Map<_, _>>()).to_string();
        let item = self.document.parse(&json).map_err(crate::json::Fault::refusal)?;
        self.rows.write(&mappings, choice, item, text, output)?;
        Ok(true)
    }
}
