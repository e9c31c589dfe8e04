//! The Delta log of a table: which segment files are part of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use arrow::json::LineDelimitedWriter;
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;

use crate::Report;

/// The segments that the catalog of one table lists, by the path within the table that the root log knows them by.
pub type ActiveFiles = BTreeMap<String, Active>;

/// What the catalog says of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Active {
    /// Its size.
    pub size_bytes: u64,
    /// Where it lies when it was moved to a bucket.
    pub object: Option<MovedObject>,
}

/// An object that holds a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MovedObject {
    /// Its address, `s3://<bucket>/<key>`.
    pub uri: String,
    /// Its version, where the bucket keeps versions.
    pub version: Option<String>,
}

/// Reads segments that were moved to a bucket.
pub trait MovedSegments: std::fmt::Debug {
    /// All bytes of an object, which the catalog says has so many.
    ///
    /// # Errors
    /// When it is not there or cannot be read.
    fn read(&self, object: &MovedObject, size_bytes: u64) -> std::io::Result<Vec<u8>>;
}

/// What commits add up to: as much of it as a reader relies on.
#[derive(Debug, Default, PartialEq)]
struct Listed {
    /// Size and tags of each file, by its path.
    files: BTreeMap<String, (u64, Value)>,
    /// The newest `metaData`: the columns.
    schema: Value,
    /// The newest version of each `txn`, by its application.
    progress: BTreeMap<String, u64>,
}

/// Replays the commits in `store/<table>/_delta_log`, from the first one on or from the oldest checkpoint where older ones
/// were removed, and compares its later checkpoints with them.
pub fn check(data: &Path, table: &str, report: &mut Report) -> ActiveFiles {
    let dir = PathBuf::from("store").join(table).join("_delta_log");
    let mut listed = Listed::default();
    let Ok(entries) = std::fs::read_dir(data.join(&dir)) else { return ActiveFiles::new() };
    let names: Vec<_> = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    let mut checkpoints: BTreeMap<&str, &String> =
        names.iter().filter_map(|name| Some((name.strip_suffix(".checkpoint.parquet")?, name))).collect();
    let mut commits: Vec<_> = names.iter().filter_map(|name| Some((name.strip_suffix(".json")?, name))).collect();
    commits.sort();
    let mut next = 0;
    // Old commits are removed once checkpoints sum them up: then the oldest checkpoint is where it begins.
    if commits.first().is_some_and(|(stem, _)| version_of(stem) != Some(0))
        && let Some((stem, name)) = checkpoints.pop_first()
    {
        match try_read_checkpoint(data, &dir.join(name)) {
            Ok(found) => {
                listed = found;
                next = version_of(stem).map_or(0, |version| version.saturating_add(1));
                commits.retain(|(stem, _)| version_of(stem).is_none_or(|version| version >= next));
            }
            Err(error) => report.find(dir.join(name), error),
        }
    }
    for (version, (stem, name)) in (next..).zip(commits) {
        let file = dir.join(name);
        if stem != format!("{version:020}") {
            report.find(&file, format!("commit {version:020}.json is missing before it"));
        }
        match std::fs::read_to_string(data.join(&file)) {
            Ok(text) => listed.apply_commit(&file, &text, report),
            Err(error) => report.find(&file, error.to_string()),
        }
        if let Some(name) = checkpoints.remove(stem) {
            check_checkpoint(data, &dir.join(name), &listed, report);
        }
    }
    for name in checkpoints.into_values() {
        report.find(dir.join(name), "it sums up commits that are not there");
    }
    let mut active = ActiveFiles::new();
    for (path, (size_bytes, tags)) in listed.files {
        let version = tags["moneta.object_version"].as_str().map(str::to_owned);
        let object = path.contains("://").then(|| MovedObject { uri: path.clone(), version });
        let name = if object.is_some() { name_of_object(&path, table) } else { Some(path.clone()) };
        match name {
            Some(name) if !active.contains_key(&name) => drop(active.insert(name, Active { size_bytes, object })),
            Some(_) => report.find(&dir, format!("it lists {path}, and the same rows at another place")),
            None => report.find(&dir, format!("it lists {path}, which is no object of the table")),
        }
    }
    active
}

/// The path within its table of a segment whose object has this address: `…/<table>/<day>/<first>-<end>-<digest>.parquet`.
fn name_of_object(uri: &str, table: &str) -> Option<String> {
    let (place, file) = uri.rsplit_once('/')?;
    let (place, day) = place.rsplit_once('/')?;
    let name = file.strip_suffix(".parquet")?.rsplit_once('-')?.0;
    place.ends_with(&format!("/{table}")).then(|| format!("{day}/{name}.parquet"))
}

/// A checkpoint says what the commits up to it say: whoever opens the table reads it in their place.
fn check_checkpoint(data: &Path, file: &Path, expected: &Listed, report: &mut Report) {
    match try_read_checkpoint(data, file) {
        Ok(found) if found == *expected => {}
        Ok(_) => report.find(file, "it is not what the commits up to it add up to"),
        Err(error) => report.find(file, error),
    }
}

fn try_read_checkpoint(data: &Path, file: &Path) -> Result<Listed, String> {
    // A damaged file may trip an assertion of the reader.
    let read = std::panic::catch_unwind(|| read_checkpoint(&data.join(file)));
    read.unwrap_or_else(|_| Err("the file is damaged beyond reading".to_owned()))
}

/// The version in the name of a commit or a checkpoint.
fn version_of(stem: &str) -> Option<u64> {
    stem.parse().ok().filter(|version| stem == format!("{version:020}"))
}

fn read_checkpoint(path: &Path) -> Result<Listed, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let bytes = std::fs::read(path).map_err(|error| text(&error))?;
    let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(bytes)).and_then(|builder| builder.build());
    let mut lines = LineDelimitedWriter::new(Vec::new());
    for rows in reader.map_err(|error| text(&error))? {
        lines.write(&rows.map_err(|error| text(&error))?).map_err(|error| text(&error))?;
    }
    lines.finish().map_err(|error| text(&error))?;
    let mut listed = Listed::default();
    for line in lines.into_inner().split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let action: Value = serde_json::from_slice(line).map_err(|error| text(&error))?;
        // What a checkpoint keeps of removed files is for readers of older versions.
        if action.get("remove").is_none() {
            listed.apply(&action);
        }
    }
    Ok(listed)
}

impl Listed {
    fn apply_commit(&mut self, file: &Path, text: &str, report: &mut Report) {
        for line in text.lines().filter(|line| !line.is_empty()) {
            match serde_json::from_str(line) {
                Ok(action) => self.apply(&action),
                Err(error) => report.find(file, format!("not a Delta action: {error}")),
            }
        }
    }

    fn apply(&mut self, action: &Value) {
        let path = |body: &Value| body.get("path").and_then(Value::as_str).map(str::to_owned);
        if let Some(add) = action.get("add") {
            let size_bytes = add["size"].as_u64().unwrap_or(0);
            self.files.extend(path(add).map(|path| (path, (size_bytes, add["tags"].clone()))));
        } else if let Some(path) = action.get("remove").and_then(path) {
            self.files.remove(&path);
        } else if let Some(metadata) = action.get("metaData") {
            self.schema = metadata["schemaString"].clone();
        } else if let Some(txn) = action.get("txn") {
            let application = txn["appId"].as_str().unwrap_or_default().to_owned();
            self.progress.insert(application, txn["version"].as_u64().unwrap_or(0));
        }
    }
}
