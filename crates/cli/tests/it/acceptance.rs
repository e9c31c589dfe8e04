//! Real samples through the whole program, where they are present.

use std::collections::BTreeMap;

use moneta_testkit::corpus::workspace_root;
use moneta_testkit::corpus_or_skip;

use crate::support::Moneta;

/// What the decoders are known to make of a folder: rows per table, and quarantined records.
fn known_counts(folder: &str) -> (BTreeMap<String, u64>, u64) {
    let path = workspace_root().join("crates/formats/testdata/corpus_counts").join(format!("{folder}.txt"));
    let (mut tables, mut quarantined) = (BTreeMap::new(), 0);
    for line in std::fs::read_to_string(path).unwrap().lines() {
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["rows", table, count] => drop(tables.insert(table.to_owned(), count.parse().unwrap())),
            ["quarantined", _, count] => quarantined += count.parse::<u64>().unwrap(),
            _ => panic!("{line}"),
        }
    }
    (tables, quarantined)
}

#[test]
fn corpus_windows_event_log_files_are_stored_whole() {
    let Some(folder) = corpus_or_skip(1, "samples/evtx") else { return };
    let (tables, quarantined) = known_counts("evtx");
    let moneta = Moneta::new();
    let summary = moneta.json(&["ingest", folder.to_str().unwrap()]);
    println!("{summary}");
    for (table, rows) in &tables {
        assert_eq!(summary["tables"][table.as_str()].as_u64(), Some(*rows), "{table}");
        assert_eq!(moneta.count(&format!("{table} | count")), *rows, "{table}");
    }
    assert_eq!(summary["quarantined"].as_u64(), Some(quarantined));
    assert_eq!(moneta.count("Quarantine | count"), quarantined);
    let report = moneta.json(&["verify"]);
    assert_eq!(report["findings"], serde_json::json!([]));
    assert!(report["num_records"].as_u64().unwrap() >= tables.values().sum::<u64>() + quarantined, "{report}");
    let again = moneta.json(&["ingest", folder.to_str().unwrap()]);
    assert_eq!((again["events"].as_u64(), again["quarantined"].as_u64()), (Some(0), Some(0)), "{again}");
}
