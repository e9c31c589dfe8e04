//! Backups that are taken while the server runs, the way back, and a running server that notices what went missing or
//! was changed.

use std::path::Path;

use moneta_verify::Options;
use moneta_verify::export::verify_export;
use serde_json::Value;

use crate::support::{ExportChecker, Moneta, files_below, json_lines, wait_until};

fn backup(moneta: &Moneta, dir: &str) -> Value {
    moneta.json(&["backup", dir])
}

/// A command on another data directory of the same installation.
fn on<'a>(data: &'a str, arguments: &[&'a str]) -> Vec<&'a str> {
    [&["--data-dir", data], arguments].concat()
}

fn flip_last_byte(file: &Path) {
    let mut bytes = std::fs::read(file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    // Not in place: the backup before may share the file.
    std::fs::remove_file(file).unwrap();
    std::fs::write(file, bytes).unwrap();
}

#[test]
fn a_backup_of_a_running_server_is_whole_and_comes_back_clean() {
    let moneta = Moneta::new();
    let server = moneta.serve();
    moneta.ok(&["ingest", &moneta.file("steps.ndjson", json_lines(300))]);
    let dir = moneta.dir.join("backups").display().to_string();
    let first = backup(&moneta, &dir);
    assert_eq!(first["copied_files"], first["num_files"]);
    moneta.ok(&["ingest", "--table", "steps_CL", &moneta.file("more.ndjson", json_lines(50))]);
    let second = backup(&moneta, &dir);
    assert!(second["copied_files"].as_u64() < second["num_files"].as_u64(), "{second}");
    let audited = format!(
        "MonetaAudit | where Action == 'backup.end' and tostring(Details.manifest_sha256) == '{}' | count",
        second["manifest"].as_str().unwrap()
    );
    assert_eq!(moneta.count(&audited), 1);
    assert!(!moneta.data().join("snapshot").exists());
    server.stop();

    for (backup, rows) in [(&first, 300), (&second, 350)] {
        let restored = moneta.dir.join(&format!("restored-{rows}")).display().to_string();
        let path = backup["path"].as_str().unwrap();
        let checked: Value =
            serde_json::from_str(&moneta.ok(&[&["--json"], &on(&restored, &["restore", path])[..]].concat())).unwrap();
        assert_eq!(checked["findings"].as_array().unwrap().len(), 0, "{checked}");
        let key = std::fs::read(Path::new(&restored).join("keys/ledger.vkey")).unwrap();
        assert_eq!(key, std::fs::read(moneta.data().join("keys/ledger.vkey")).unwrap());
        let counted = moneta.ok(&on(&restored, &["--json", "query", "steps_CL | count"]));
        assert!(counted.contains(&rows.to_string()), "{counted}");
        let refused = moneta.run(&on(&restored, &["restore", path]));
        assert!(refused.code == 2 && refused.stderr.contains("not empty"), "{refused:?}");
    }
    // Without a server too, and with the newest of a directory.
    let third = backup(&moneta, &dir);
    let restored = moneta.dir.join("restored-newest").display().to_string();
    moneta.ok(&on(&restored, &["restore", &dir]));
    assert!(third["path"].as_str() > second["path"].as_str());
}

#[test]
fn a_damaged_backup_is_refused_with_the_name_of_the_file() {
    let moneta = Moneta::new();
    moneta.ok(&["ingest", &moneta.file("steps.ndjson", json_lines(80))]);
    let dir = moneta.dir.join("backups").display().to_string();
    let path = backup(&moneta, &dir)["path"].as_str().unwrap().to_owned();
    let restored = moneta.dir.join("restored").display().to_string();
    let files = files_below(Path::new(&path));
    // One file of each kind: of each directory within the data, and those beside them.
    let kind = |file: &Path| file.strip_prefix(&path).unwrap().iter().take(3).collect::<std::path::PathBuf>();
    let kinds: std::collections::BTreeMap<_, _> = files.iter().map(|file| (kind(file), file)).collect();
    assert!(kinds.len() > 5, "{kinds:?}");
    for file in kinds.into_values() {
        let name = file.strip_prefix(&path).unwrap().to_str().unwrap();
        let before = std::fs::read(file).unwrap();
        for damage in [flip_last_byte, |file: &Path| std::fs::remove_file(file).unwrap()] {
            if before.is_empty() {
                continue;
            }
            damage(file);
            let run = moneta.run(&on(&restored, &["restore", &path]));
            assert_ne!(run.code, 0, "{name}");
            // Without its manifest a copy is no backup at all.
            let is_named = run.stderr.contains(name) || (name == "manifest" && run.stderr.contains("no backup"));
            assert!(is_named, "{name}: {run:?}");
            assert!(!Path::new(&restored).exists(), "{name}");
            std::fs::write(file, &before).unwrap();
        }
    }
    moneta.ok(&on(&restored, &["restore", &path]));
    let other = Moneta::new();
    other.ok(&["ingest", &other.file("steps.ndjson", json_lines(8))]);
    let refused = other.run(&["backup", &dir]);
    assert!(refused.code == 2 && refused.stderr.contains("another installation"), "{refused:?}");
    let refused = moneta.run(&["backup", moneta.dir.path().to_str().unwrap()]);
    assert!(refused.code == 2 && refused.stderr.contains("no backup"), "{refused:?}");
    for within in ["", "backups", "not/yet/there", "snapshot"] {
        let within = moneta.data().join(within);
        let refused = moneta.run(&["backup", within.to_str().unwrap()]);
        assert!(refused.code == 2 && refused.stderr.contains("within the data directory"), "{refused:?}");
    }
    assert!(!moneta.data().join("not").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_deleted_behind_its_back_is_an_alarm_of_the_next_start() {
    let moneta = Moneta::new();
    moneta.ok(&["ingest", &moneta.file("steps.ndjson", json_lines(80))]);
    // What the newest checkpoint adds is looked at by every start, which is refused without it; this is what is older.
    moneta.ok(&["ingest", "--table", "later_CL", &moneta.file("later.ndjson", json_lines(8))]);
    for dir in ["ledger/shard/steps_CL", "store/steps_CL"] {
        std::fs::remove_dir_all(moneta.data().join(dir)).unwrap();
    }
    let found = moneta.run(&["verify"]);
    assert!(found.code == 1 && found.stdout.contains("shard number 0 of steps_CL is missing"), "{found:?}");
    let server = moneta.serve();
    let alerts = "SecurityAlert | where AlertName == 'Stored records are missing' | count";
    wait_until("an alarm", || moneta.count(alerts) > 0).await;
    let status = moneta.json(&["status"]);
    // The journal still had the rows, so that the shard was opened again, which the root log does not forget.
    assert!(status["scrubbing"]["findings"].to_string().contains("steps_CL"), "{status}");
    assert!(moneta.ok(&["status"]).contains("FOUND"));
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_flipped_byte_is_found_by_the_reading_that_goes_on_all_the_time() {
    let moneta = Moneta::new();
    moneta.ok(&["ingest", &moneta.file("steps.ndjson", json_lines(80))]);
    let server = moneta.serve();
    let completed =
        |pass: &str| !moneta.json(&["status"])["scrubbing"][pass]["completed_at"].as_str().unwrap().is_empty();
    wait_until("both passes", || completed("hot") && completed("cold")).await;
    assert_eq!(moneta.json(&["status"])["scrubbing"]["findings"].as_array().unwrap().len(), 0);
    server.stop();
    // The next pass is a day away: its progress is forgotten, as if the day had passed.
    std::fs::remove_file(moneta.data().join("scrubbing.json")).unwrap();
    let is_segment = |file: &std::path::PathBuf| file.extension().is_some_and(|extension| extension == "parquet");
    let mut segments = files_below(&moneta.data().join("store/steps_CL")).into_iter().filter(is_segment);
    let segment = segments.next().unwrap();
    let mut bytes = std::fs::read(&segment).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    std::fs::write(&segment, bytes).unwrap();
    let server = moneta.serve();
    let name = segment.file_name().unwrap().to_str().unwrap();
    let alerts =
        format!("SecurityAlert | where AlertName == 'A stored file is damaged' and Description has '{name}' | count");
    wait_until("an alarm", || moneta.count(&alerts) > 0).await;
    assert!(moneta.json(&["status"])["scrubbing"]["findings"].to_string().contains(name));
    server.stop();
}

#[test]
fn an_export_proves_itself_to_two_checkers_and_every_change_of_it_is_found() {
    let moneta = Moneta::new();
    let server = moneta.serve();
    moneta.ok(&["ingest", &moneta.file("steps.ndjson", json_lines(120))]);
    let dir = moneta.dir.join("export");
    let text = dir.display().to_string();
    moneta.ok(&["store", "export", "steps_CL", &text, "--from", "2026-01-02T00:00:00Z"]);
    let refused = moneta.run(&["store", "export", "steps_CL", &text]);
    assert!(refused.code == 2 && refused.stderr.contains("not empty"), "{refused:?}");
    server.stop();
    let key = moneta.data().join("keys/ledger.vkey");
    let python = ExportChecker::find();
    let says = |dir: &Path, key: &Path| python.as_ref().map(|python| python.says(dir, key));
    let check = || verify_export(&dir, Options { key: Some(moneta.verifier_key()), quorum: None, moved: None });
    let report = check().unwrap();
    assert_eq!((report.findings.len(), report.num_records), (0, 120), "{report:?}");
    let said = says(&dir, &key);
    assert!(said.as_ref().is_none_or(|(code, text)| *code == 0 && text.contains("120 rows of steps_CL")), "{said:?}");
    for file in files_below(&dir) {
        let name = file.strip_prefix(&dir).unwrap().display().to_string();
        // The key comes from elsewhere, and the manifest only says what is asked for.
        if ["ledger.vkey", "manifest"].contains(&name.as_str()) {
            continue;
        }
        let good = std::fs::read(&file).unwrap();
        for at in [0, good.len() / 2, good.len() - 2] {
            let mut bad = good.clone();
            bad[at] ^= 1;
            std::fs::write(&file, bad).unwrap();
            let found = check().is_ok_and(|report| !report.is_clean());
            assert!(found, "{name}, byte {at}: not found");
        }
        assert!(says(&dir, &key).is_none_or(|(code, _)| code == 1), "{name}: not found by Python");
        std::fs::remove_file(&file).unwrap();
        assert!(!check().is_ok_and(|report| report.is_clean()), "{name} removed: not found");
        assert!(says(&dir, &key).is_none_or(|(code, _)| code == 1), "{name} removed: not found by Python");
        std::fs::write(&file, &good).unwrap();
    }
    assert!(check().unwrap().is_clean());
}
