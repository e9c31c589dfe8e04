//! The conformance corpora: `$MONETA_CORPUS/kql`, and every other directory below `$MONETA_CORPUS` that holds files of
//! the same names. Each is run unchanged and reported under its own name.

use std::path::{Path, PathBuf};

use moneta_event::{Column, ColumnType};
use serde_json::Value as Json;

use crate::engine::Memory;
use crate::report::OWN_CORPUS;
use crate::sample;

/// The files that make a directory a corpus.
const FILES: [&str; 5] =
    ["binding_cases.jsonl", "real_queries.jsonl", "docs_cases.jsonl", "docs_parse_only.jsonl", "engine_cases.jsonl"];

/// How deep below `$MONETA_CORPUS` a corpus may lie.
const DEPTH_MAX: usize = 3;

/// One directory of cases.
#[derive(Clone)]
pub struct Corpus {
    /// Its path below `$MONETA_CORPUS`.
    pub name: String,
    path: PathBuf,
}

impl Corpus {
    /// The lines of a file, or nothing if the corpus has no such file.
    pub fn lines(&self, file: &str) -> Vec<Json> {
        let Ok(text) = std::fs::read_to_string(self.path.join(file)) else { return Vec::new() };
        text.lines().filter(|line| !line.trim().is_empty()).map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Whether the corpus has a file.
    pub fn has(&self, file: &str) -> bool {
        self.path.join(file).is_file()
    }

    /// The whole of a JSON file; that of [`OWN_CORPUS`] where this corpus has none.
    pub fn document(&self, file: &str) -> Option<Json> {
        let own = self.path.join(file);
        let path = if own.is_file() { own } else { moneta_testkit::corpus()?.join(OWN_CORPUS).join(file) };
        serde_json::from_str(&std::fs::read_to_string(path).ok()?).ok()
    }

    /// The tables and functions the real queries read; with sample rows or empty.
    pub fn tables(&self, with_rows: bool) -> Memory {
        let mut memory = Memory::default();
        let Some(all) = self.document("table_schemas.json") else { return memory };
        for (name, table) in all["tables"].as_object().into_iter().flatten() {
            let columns = table["columns"].as_array().into_iter().flatten().filter_map(|c| {
                let column_type = ColumnType::parse(c[1].as_str()?)?;
                Some(Column::new(c[0].as_str()?, column_type))
            });
            let columns: Vec<Column> = columns.collect();
            let rows = if with_rows { sample::rows(name, &columns) } else { Vec::new() };
            memory.insert_rows(name, columns, rows);
        }
        for (name, parts) in all["functions"].as_object().into_iter().flatten() {
            let part = |index: usize| parts[index].as_str().unwrap_or("");
            memory.insert_function(name, format!("{} {}", part(0), part(1)));
        }
        memory
    }
}

/// All corpora that are there, our own first.
pub fn corpora() -> Vec<Corpus> {
    let mut found = Vec::new();
    if moneta_testkit::corpus_or_skip(FILES.len(), OWN_CORPUS).is_none() {
        return found;
    }
    if let Some(root) = moneta_testkit::corpus() {
        collect(&root, &root, 0, &mut found);
    }
    found.sort_by_key(|corpus: &Corpus| (corpus.name != OWN_CORPUS, corpus.name.clone()));
    found
}

fn collect(root: &Path, directory: &Path, depth: usize, found: &mut Vec<Corpus>) {
    if depth > 0 && FILES.iter().any(|file| directory.join(file).is_file()) {
        let name = directory.strip_prefix(root).unwrap_or(directory).to_string_lossy().into_owned();
        found.push(Corpus { name, path: directory.to_owned() });
        return;
    }
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        if depth < DEPTH_MAX && path.is_dir() {
            collect(root, &path, depth + 1, found);
        }
    }
}
