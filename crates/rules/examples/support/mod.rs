//! What the examples share: rules from folders, rows from files, cut into blocks as the monitor gets them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::Schema;
use moneta_base::{SourceName, TableName, Timestamp};
use moneta_event::TableCatalog;
use moneta_formats::{DecodeOptions, Decoder, HEAD_BYTES, recognise};
use moneta_rules::{CompiledRules, Rule, Taxonomy, parse_file};

fn files_below(path: &Path, found: &mut Vec<PathBuf>) {
    if path.is_dir() {
        let mut entries: Vec<_> = std::fs::read_dir(path).unwrap().flatten().map(|entry| entry.path()).collect();
        entries.sort();
        entries.iter().for_each(|entry| files_below(entry, found));
    } else {
        found.push(path.to_owned());
    }
}

/// All rules below folders.
pub fn load(folders: &[PathBuf]) -> Vec<Rule> {
    let mut files = Vec::new();
    folders.iter().for_each(|folder| files_below(folder, &mut files));
    let is_rule = |path: &&PathBuf| path.extension().is_some_and(|ending| ending == "yml");
    let text = |path: &PathBuf| std::fs::read_to_string(path).unwrap();
    files.iter().filter(is_rule).flat_map(|path| parse_file(&path.to_string_lossy(), &text(path)).rules).collect()
}

/// Compiles rules for the built-in tables.
pub fn compile(rules: Vec<Rule>) -> CompiledRules {
    CompiledRules::compile(rules, &Taxonomy::built_in(), &TableCatalog::built_in()).0
}

/// Rows of each table in arrival order, cut into blocks. Of archives, only every so many.
pub fn blocks(inputs: &[PathBuf], rows_max: usize, step: usize) -> Vec<(TableName, RecordBatch)> {
    let mut files = Vec::new();
    inputs.iter().for_each(|input| files_below(input, &mut files));
    let catalog = Arc::new(TableCatalog::built_in());
    let mut tables: BTreeMap<TableName, Vec<RecordBatch>> = BTreeMap::new();
    for path in files.iter().step_by(step) {
        let bytes = std::fs::read(path).unwrap();
        let Some(format) = recognise(&path.to_string_lossy(), &bytes[..bytes.len().min(HEAD_BYTES)]) else { continue };
        let received = Timestamp::from_seconds(2_000_000_000);
        let options = DecodeOptions::new(Arc::clone(&catalog), SourceName::lossy("file"), received);
        let mut decoder = Decoder::new(format, options);
        let mut sink = |decoded: moneta_formats::Decoded| {
            for batch in decoded.batches {
                tables.entry(batch.table).or_default().push(batch.rows);
            }
        };
        decoder.feed(&bytes, &mut sink);
        decoder.finish(&mut sink);
    }
    let mut blocks = Vec::new();
    for (table, batches) in tables {
        let whole = joined(&batches);
        for start in (0..whole.num_rows()).step_by(rows_max) {
            blocks.push((table.clone(), whole.slice(start, rows_max.min(whole.num_rows() - start))));
        }
    }
    blocks
}

/// Batches with different columns as one.
fn joined(batches: &[RecordBatch]) -> RecordBatch {
    let mut fields = BTreeMap::new();
    for field in batches.iter().flat_map(|batch| batch.schema().fields().to_vec()) {
        fields.entry(field.name().clone()).or_insert(field);
    }
    let schema = Arc::new(Schema::new(fields.into_values().collect::<Vec<_>>()));
    let padded: Vec<RecordBatch> = batches
        .iter()
        .map(|batch| {
            let columns = schema.fields().iter().map(|field| {
                batch.column_by_name(field.name()).cloned().unwrap_or_else(|| match field.is_nullable() {
                    true => arrow::array::new_null_array(field.data_type(), batch.num_rows()),
                    false => Arc::new(arrow::array::StringArray::from(vec![""; batch.num_rows()])),
                })
            });
            RecordBatch::try_new(Arc::clone(&schema), columns.collect()).unwrap()
        })
        .collect();
    concat_batches(&schema, &padded).unwrap()
}
