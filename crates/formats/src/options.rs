//! What a decoder must be told besides the bytes.

use std::sync::Arc;

use moneta_base::{SourceName, TableName, Timestamp};
use moneta_event::{Delivery, TableCatalog};

use crate::Mappings;

/// Longest name part taken from a file for a table of its own.
const FILE_PART_CHARS_MAX: usize = 100;

/// How to decode one file or stream.
#[derive(Debug, Clone)]
pub struct DecodeOptions {
    /// The tables that exist.
    pub catalog: Arc<TableCatalog>,
    /// The table every record is meant for. `None`: the format and the record decide.
    pub table: Option<TableName>,
    /// Which table and columns records of known shapes have.
    pub mappings: Arc<Mappings>,
    /// The table of JSON records whose shape says nothing about their table.
    pub fallback_table: TableName,
    /// Where the bytes come from.
    pub source: SourceName,
    /// How sure the path is.
    pub delivery: Delivery,
    /// When the bytes were received: the time of records without one, and the anchor of a missing year.
    pub received: Timestamp,
    /// Zone of time stamps that name none, in seconds east of UTC.
    pub zone_offset_seconds: i32,
    /// Whether tables keep the columns they have: further fields go to `_Extra` instead of making columns of a custom
    /// table.
    pub fixed_columns: bool,
    /// Position of the first byte in its file or stream, for a decoder that continues where another stopped.
    pub first_offset: u64,
}

impl DecodeOptions {
    /// Options for a file read from its beginning: times without zone are UTC, the record decides its table.
    #[must_use]
    pub fn new(catalog: Arc<TableCatalog>, source: SourceName, received: Timestamp) -> Self {
        Self {
            catalog,
            table: None,
            mappings: Mappings::built_in(),
            fallback_table: custom_table_name(source.as_str()),
            source,
            delivery: Delivery::AtLeastOnce,
            received,
            zone_offset_seconds: 0,
            fixed_columns: false,
            first_offset: 0,
        }
    }
}

/// The user's own table (`<Name>_CL`) for records of a file: its name without directory, ending and trailing date or
/// number, with anything but letters, digits and underscores replaced.
#[must_use]
pub fn custom_table_name(file_name: &str) -> TableName {
    let base = file_name.rsplit(['/', '\\']).next().unwrap_or(file_name);
    let stem = base.split('.').find(|part| !part.is_empty()).unwrap_or("");
    let undated = stem.trim_end_matches(|c: char| c.is_ascii_digit() || "-_T:+ ".contains(c));
    let cleaned: String =
        undated.chars().take(FILE_PART_CHARS_MAX).map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    let led = if cleaned.starts_with(|c: char| c.is_ascii_digit()) { format!("_{cleaned}") } else { cleaned };
    let part = if led.is_empty() { "Json" } else { &led };
    TableName::new(&format!("{part}_CL")).expect("letters, digits and underscores, not starting with a digit")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_names_its_table() {
        for (file, table) in [
            ("/data/web-requests_2026-01-02T1810.json", "web_requests_CL"),
            ("C:\\logs\\App.ndjson.gz", "App_CL"),
            ("2026-01-02.json", "Json_CL"),
            ("3com.json", "_3com_CL"),
            ("", "Json_CL"),
            ("größe.json", "gr__e_CL"),
        ] {
            assert_eq!(custom_table_name(file).as_str(), table, "{file}");
        }
    }
}
