//! `tests/logic/*.kqltest`: small queries with their columns and rows. `UPDATE_EXPECT=1` fills in what is missing.
//!
//! A file holds cases: a line `# name`, the query, a line `----`, the columns as `name:type`, and a row per line as
//! JSON; cases are separated by an empty line.

use std::path::Path;

use serde_json::Value as Json;

use crate::engine::{Failure, Memory, run};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logic_files_give_their_rows() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/logic");
    let mut files: Vec<_> = std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|e| e == "kqltest"));
    files.sort();
    assert!(!files.is_empty());
    let mut wrong = Vec::new();
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        let mut filled = Vec::new();
        for case in text.split("\n\n").map(str::trim).filter(|case| !case.is_empty()) {
            let query = case.split("\n----").next().unwrap_or("").to_owned();
            let body: String = query.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n");
            filled.push(format!("{query}\n----\n{}", shown(&body).await));
            if filled.last().map(String::as_str) != Some(case) {
                wrong.push(format!("{}:\n{case}\n==== found\n{}", path.display(), filled.last().unwrap()));
            }
        }
        if std::env::var("UPDATE_EXPECT").is_ok() {
            std::fs::write(&path, filled.join("\n\n") + "\n").unwrap();
        }
    }
    assert!(wrong.is_empty() || std::env::var("UPDATE_EXPECT").is_ok(), "{}", wrong.join("\n\n"));
}

async fn shown(query: &str) -> String {
    match run(query, &Memory::default()).await {
        Ok(answer) => {
            let columns: Vec<String> = answer.columns.iter().map(|(n, t)| format!("{n}:{t}")).collect();
            let rows = answer.rows.iter().map(|row| Json::from(row.clone()).to_string());
            std::iter::once(columns.join(" ")).chain(rows).collect::<Vec<_>>().join("\n")
        }
        Err(Failure::Refused(reason, _)) => format!("error {reason}"),
        Err(Failure::Broken(reason)) => format!("broken {reason}"),
    }
}
