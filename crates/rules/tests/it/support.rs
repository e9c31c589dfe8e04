//! What the tests share: rules from text or folders, rows from values or files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use moneta_base::{SourceName, TableName, Timestamp};
use moneta_event::{BatchBuilder, Delivery, ParsedBatch, RecordClass, TableCatalog, TableSchema, Value};
use moneta_formats::{DecodeOptions, Decoder, HEAD_BYTES, recognise};
use moneta_rules::{CompiledRules, NotLoaded, Placeholders, Taxonomy, parse_file, parse_file_with};

/// All files below a folder with that ending, sorted.
pub fn files_below(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().ends_with(ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Compiles all rules below folders, for an installation that knows no placeholders.
pub fn load_rules(folders: &[PathBuf]) -> (CompiledRules, Vec<NotLoaded>) {
    load_rules_with(folders, &Placeholders::default())
}

/// Compiles all rules below folders.
pub fn load_rules_with(folders: &[PathBuf], placeholders: &Placeholders) -> (CompiledRules, Vec<NotLoaded>) {
    let mut rules = Vec::new();
    let mut not_loaded = Vec::new();
    for path in folders.iter().flat_map(|folder| files_below(folder, ".yml")) {
        let text = std::fs::read_to_string(&path).unwrap();
        let parsed = parse_file_with(&path.to_string_lossy(), &text, placeholders);
        rules.extend(parsed.rules);
        not_loaded.extend(parsed.not_loaded);
    }
    let (compiled, more) = CompiledRules::compile(rules, &Taxonomy::built_in(), &TableCatalog::built_in());
    not_loaded.extend(more);
    (compiled, not_loaded)
}

/// Compiles the rules of one text; all must load.
pub fn compile(text: &str) -> CompiledRules {
    let parsed = parse_file("test.yml", text);
    assert_eq!(parsed.not_loaded, []);
    let (compiled, not_loaded) = CompiledRules::compile(parsed.rules, &Taxonomy::built_in(), &TableCatalog::built_in());
    assert_eq!(not_loaded, []);
    compiled
}

/// A rule for Windows' System channel with this detection.
pub fn rule(id: &str, detection: &str) -> String {
    let indented: String = detection.lines().map(|line| format!("  {line}\n")).collect();
    format!(
        "---\ntitle: {id}\nid: {id}\nlevel: high\nlogsource:\n  product: windows\n  service: system\ndetection:\n{indented}"
    )
}

/// Rows of a table, each a list of fields and values.
pub fn rows(table: &str, rows: &[&[(&str, Value<'_>)]]) -> RecordBatch {
    let catalog = TableCatalog::built_in();
    let custom = || Arc::new(TableSchema::custom(TableName::new(table).unwrap()));
    let schema = catalog.get(table).cloned().unwrap_or_else(custom);
    let mut builder = BatchBuilder::new(schema, RecordClass::Data, Delivery::BestEffort);
    for fields in rows {
        for (name, value) in *fields {
            builder.set_field(name, *value);
        }
        builder.finish_row(Timestamp::from_seconds(1_700_000_000), &SourceName::lossy("test"), "");
    }
    builder.finish().unwrap().rows
}

/// Decodes a file, its format recognised.
pub fn decode(path: &Path, catalog: &Arc<TableCatalog>) -> Vec<ParsedBatch> {
    decode_bytes(&path.to_string_lossy(), &std::fs::read(path).unwrap(), catalog)
}

/// Decodes a text as if it were a file of that name.
pub fn decode_text(name: &str, text: &str) -> Vec<ParsedBatch> {
    decode_bytes(name, text.as_bytes(), &Arc::new(TableCatalog::built_in()))
}

fn decode_bytes(name: &str, bytes: &[u8], catalog: &Arc<TableCatalog>) -> Vec<ParsedBatch> {
    let head = &bytes[..bytes.len().min(HEAD_BYTES)];
    let format = recognise(name, head).expect("a known format");
    // Later than every sample: events from the future are quarantined.
    let received = Timestamp::from_seconds(2_000_000_000);
    let options = DecodeOptions::new(Arc::clone(catalog), SourceName::lossy("test"), received);
    let mut decoder = Decoder::new(format, options);
    let mut batches = Vec::new();
    decoder.feed(bytes, &mut |decoded| batches.extend(decoded.batches));
    decoder.finish(&mut |decoded| batches.extend(decoded.batches));
    batches
}

/// A table name.
pub fn table(name: &str) -> TableName {
    TableName::new(name).unwrap()
}

/// Rows of a table, each with its time in seconds after a fixed hour.
pub fn timed_rows(table: &str, rows: &[(i64, Vec<(&str, Value<'_>)>)]) -> RecordBatch {
    let catalog = TableCatalog::built_in();
    let custom = || Arc::new(TableSchema::custom(TableName::new(table).unwrap()));
    let schema = catalog.get(table).cloned().unwrap_or_else(custom);
    let mut builder = BatchBuilder::new(schema, RecordClass::Data, Delivery::BestEffort);
    for (seconds, fields) in rows {
        for (name, value) in fields {
            builder.set_field(name, *value);
        }
        builder.finish_row(Timestamp::from_seconds(HOUR + seconds), &SourceName::lossy("test"), "");
    }
    builder.finish().unwrap().rows
}

/// The beginning of an hour and of a day.
pub const HOUR: i64 = 1_700_006_400;
