//! Prints how many events a core matches per second: `match_rate [--rules DIR]... [--repeat N] [--rows N] FILE|DIR...`
//!
//! Files are decoded, and rules compiled, before the clock starts. Rows are matched in blocks as they arrive at the
//! monitor: one table, at most `--rows` rows.

#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::cast_precision_loss)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::Schema;
use moneta_base::{SourceName, TableName, Timestamp};
use moneta_event::TableCatalog;
use moneta_formats::{DecodeOptions, Decoder, HEAD_BYTES, recognise};
use moneta_rules::{CompiledRules, Taxonomy, parse_file};

fn main() {
    let mut rule_folders = Vec::new();
    let mut inputs = Vec::new();
    let (mut repeat, mut rows_max) = (10usize, 8_192usize);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--rules" => rule_folders.push(PathBuf::from(arguments.next().unwrap())),
            "--repeat" => repeat = arguments.next().unwrap().parse().unwrap(),
            "--rows" => rows_max = arguments.next().unwrap().parse().unwrap(),
            _ => inputs.push(PathBuf::from(argument)),
        }
    }
    let begin = Instant::now();
    let rules = load(&rule_folders);
    println!("rules {} compiled in {:?}", rules.rules().len(), begin.elapsed());
    let blocks = blocks(&inputs, rows_max);
    let events: usize = blocks.iter().map(|(_, rows)| rows.num_rows()).sum();
    println!("events {events} in {} blocks", blocks.len());
    let mut times: BTreeMap<String, (usize, Duration)> = BTreeMap::new();
    let mut fired = BTreeSet::new();
    let mut matches = 0usize;
    for _ in 0..repeat {
        for (table, rows) in &blocks {
            let begin = Instant::now();
            let found = rules.match_batch(table, rows);
            let time = times.entry(table.to_string()).or_default();
            time.0 += rows.num_rows();
            time.1 += begin.elapsed();
            matches += found.iter().map(|m| m.rows.len()).sum::<usize>();
            fired.extend(found.iter().map(|m| m.rule));
        }
    }
    for (table, (rows, time)) in &times {
        println!("{table:20} {rows:9} events {:>9.0} events/s", *rows as f64 / time.as_secs_f64());
    }
    let total: Duration = times.values().map(|(_, time)| *time).sum();
    println!("all                  {:>9.0} events/s/core", (events * repeat) as f64 / total.as_secs_f64());
    println!("rules that matched {}, matches {}", fired.len(), matches / repeat);
}

fn files_below(path: &Path, found: &mut Vec<PathBuf>) {
    if path.is_dir() {
        let mut entries: Vec<_> = std::fs::read_dir(path).unwrap().flatten().map(|entry| entry.path()).collect();
        entries.sort();
        entries.iter().for_each(|entry| files_below(entry, found));
    } else {
        found.push(path.to_owned());
    }
}

fn load(folders: &[PathBuf]) -> CompiledRules {
    let mut files = Vec::new();
    folders.iter().for_each(|folder| files_below(folder, &mut files));
    let is_rule = |path: &&PathBuf| path.extension().is_some_and(|ending| ending == "yml");
    let text = |path: &PathBuf| std::fs::read_to_string(path).unwrap();
    let rules = files.iter().filter(is_rule).flat_map(|path| parse_file(&path.to_string_lossy(), &text(path)).rules);
    CompiledRules::compile(rules.collect(), &Taxonomy::built_in(), &TableCatalog::built_in()).0
}

/// Rows of each table in arrival order, cut into blocks.
fn blocks(inputs: &[PathBuf], rows_max: usize) -> Vec<(TableName, RecordBatch)> {
    let mut files = Vec::new();
    inputs.iter().for_each(|input| files_below(input, &mut files));
    let catalog = Arc::new(TableCatalog::built_in());
    let mut tables: BTreeMap<TableName, Vec<RecordBatch>> = BTreeMap::new();
    for path in &files {
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
