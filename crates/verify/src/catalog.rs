//! The Delta log of a table: which segment files are part of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::Report;

/// The files that the catalog of one table lists: path within the table, size in bytes.
pub type ActiveFiles = BTreeMap<String, u64>;

/// Replays the commits in `store/<table>/_delta_log`.
pub fn check(data: &Path, table: &str, report: &mut Report) -> ActiveFiles {
    let dir = PathBuf::from("store").join(table).join("_delta_log");
    let mut active = ActiveFiles::new();
    let Ok(entries) = std::fs::read_dir(data.join(&dir)) else { return active };
    let mut names: Vec<_> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.ends_with(".json"))
        .collect();
    names.sort();
    for (version, name) in names.iter().enumerate() {
        let file = dir.join(name);
        if *name != format!("{version:020}.json") {
            report.find(&file, format!("commit {version:020}.json is missing before it"));
        }
        match std::fs::read_to_string(data.join(&file)) {
            Ok(text) => apply(&file, &text, &mut active, report),
            Err(error) => report.find(&file, error.to_string()),
        }
    }
    active
}

fn apply(file: &Path, text: &str, active: &mut ActiveFiles, report: &mut Report) {
    for line in text.lines().filter(|line| !line.is_empty()) {
        let action: Value = match serde_json::from_str(line) {
            Ok(action) => action,
            Err(error) => {
                report.find(file, format!("not a Delta action: {error}"));
                continue;
            }
        };
        let path =
            |key: &str| action.get(key).and_then(|body| body.get("path")).and_then(Value::as_str).map(str::to_owned);
        if let Some(path) = path("add") {
            let size = action["add"]["size"].as_u64().unwrap_or(0);
            active.insert(path, size);
        } else if let Some(path) = path("remove") {
            active.remove(&path);
        }
    }
}
