//! Segments in a bucket of a real server of S3's protocol (`moto`, from PyPI), while Moneta is killed again and again.
//!
//! `MONETA_MOVE_KILLS` sets the number of kills. Needs `python3` and, the first time, the package index; without them the
//! tests say so and, on a build server, fail.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use moneta_testkit::corpus::workspace_root;
use moneta_testkit::{Random, TestDir};
use serde_json::Value;

use crate::support::{Moneta, copy_dir, files_below, free_port, json_lines, number, wait_until};

/// An interpreter with the packages of a file of `tests/interop`; `None` when there can be none.
fn python(requirements: &str) -> Option<String> {
    let interop = workspace_root().join("tests/interop");
    let made = Command::new("sh").arg(interop.join("environment.sh")).arg(interop.join(requirements)).output().unwrap();
    if made.status.success() {
        return Some(String::from_utf8(made.stdout).unwrap().trim().to_owned());
    }
    let reason = String::from_utf8_lossy(&made.stderr);
    assert!(std::env::var_os("CI").is_none(), "no Python environment: {reason}");
    eprintln!("no Python environment, 1 case not run: {reason}");
    None
}

/// A server of S3's protocol with one bucket, `logs`.
pub(crate) struct S3 {
    child: Child,
    python: String,
    pub(crate) endpoint: String,
    /// Where its log goes.
    _dir: TestDir,
}

impl S3 {
    /// Starts a server; `None` when there can be none.
    pub(crate) async fn start(more: &str) -> Option<Self> {
        let (python, dir, port) = (python("requirements-s3.txt")?, TestDir::new(), free_port());
        let log = std::fs::File::create(dir.join("moto.log")).unwrap();
        let child = Command::new(&python)
            .args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &port.to_string()])
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let server = Self { child, python, endpoint: format!("http://127.0.0.1:{port}"), _dir: dir };
        wait_until("the bucket", || server.ask(&format!("s3.create_bucket(Bucket='logs'{more})")).is_some()).await;
        Some(server)
    }

    /// What a client that is not ours is told, as JSON.
    pub(crate) fn ask(&self, expression: &str) -> Option<Value> {
        let script = format!(
            "import boto3, json\n\
             s3 = boto3.client('s3', endpoint_url='{}', region_name='us-east-1', aws_access_key_id='K', \
             aws_secret_access_key='S')\n\
             print(json.dumps({expression}, default=str))\n",
            self.endpoint
        );
        let output = Command::new(&self.python).args(["-c", &script]).output().unwrap();
        output.status.success().then(|| serde_json::from_slice(&output.stdout).unwrap())
    }

    /// The keys in the bucket.
    fn keys(&self) -> Vec<String> {
        let all = "[o['Key'] for p in s3.get_paginator('list_objects_v2').paginate(Bucket='logs') \
                   for o in p.get('Contents', [])]";
        serde_json::from_value(self.ask(all).unwrap()).unwrap()
    }

    fn segments(&self) -> usize {
        self.keys().iter().filter(|key| key.ends_with(".parquet")).count()
    }

    /// Copies the bucket into a directory.
    fn download(&self, dir: &std::path::Path) {
        for key in self.keys() {
            let target = dir.join(&key);
            std::fs::create_dir_all(target.parent().unwrap()).unwrap();
            let call = format!("s3.download_file('logs', '{key}', '{}')", target.display());
            self.ask(&call).unwrap();
        }
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An installation that moves segments as soon as they are sealed.
fn moving(server: &S3) -> Moneta {
    let mut moneta = Moneta::new();
    let endpoint: &'static str = String::leak(server.endpoint.clone());
    moneta.settings = vec![
        ("MONETA_STORE__SEAL_AGE_SECONDS", "0"),
        ("MONETA_OBJECTS__BUCKET", "logs"),
        ("MONETA_OBJECTS__ENDPOINT", endpoint),
        ("MONETA_OBJECTS__LOCAL_DAYS", "0"),
        ("MONETA_OBJECTS__CACHE_BYTES", "3000000"),
        ("AWS_ACCESS_KEY_ID", "K"),
        ("AWS_SECRET_ACCESS_KEY", "S3CRET"),
    ];
    moneta
}

/// Objects, one a line, other ones each round.
fn lines(round: usize, count: usize) -> String {
    (0..count).map(|n| format!("{{\"Round\":{round},\"Step\":{n},\"Text\":\"step {n} of round {round}\"}}\n")).collect()
}

/// Rows that the catalog lists, and those of them in the bucket.
fn listed(moneta: &Moneta) -> (u64, u64) {
    let mut rows = BTreeMap::new();
    let log = moneta.data().join("store/Steps_CL/_delta_log");
    let mut commits = if log.exists() { files_below(&log) } else { Vec::new() };
    commits.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    for commit in commits {
        for line in std::fs::read_to_string(commit).unwrap().lines() {
            let action: Value = serde_json::from_str(line).unwrap();
            if let Some(path) = action["remove"]["path"].as_str() {
                rows.remove(path);
            } else if let Some(path) = action["add"]["path"].as_str() {
                let stats: Value = serde_json::from_str(action["add"]["stats"].as_str().unwrap()).unwrap();
                rows.insert(path.to_owned(), stats["numRecords"].as_u64().unwrap());
            }
        }
    }
    let moved = rows.iter().filter(|(path, _)| path.contains("://")).map(|(_, rows)| rows).sum();
    (rows.values().sum(), moved)
}

/// Segments that lie on the local disk and are listed there or nowhere.
fn parquet_files(moneta: &Moneta) -> Vec<PathBuf> {
    let mut files = files_below(&moneta.data().join("store"));
    files.retain(|path| path.extension().is_some_and(|extension| extension == "parquet"));
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn moved_segments_survive_kills_are_queried_checked_exported_and_read_by_others() {
    let kills = number("MONETA_MOVE_KILLS", 8);
    let Some(s3) = S3::start("").await else { return };
    let moneta = moving(&s3);
    let mut random = Random::new(7);
    let mut server = moneta.serve();
    let mut stored = 0;
    for round in 0..=kills {
        let count = 100 + random.below(2_000);
        let file = moneta.file("steps.json", lines(round, count));
        moneta.ok(&["ingest", "--table", "Steps_CL", &file]);
        stored += count as u64;
        if round < kills {
            tokio::time::sleep(Duration::from_millis(random.below(2_500) as u64)).await;
            server.kill();
            server = moneta.serve();
        }
        assert_eq!(moneta.count("Steps_CL | count"), stored, "after {round} kills");
    }
    wait_until("everything to be moved", || listed(&moneta) == (stored, stored)).await;
    let doubled = moneta.count("Steps_CL | summarize n = count() by Round, Step | where n > 1 | count");
    assert_eq!((moneta.count("Steps_CL | count"), doubled), (stored, 0), "lost 0, doubled 0");
    assert!(moneta.ok(&["verify"]).contains("everything fits"));
    println!("{kills} kills, {stored} rows, {} objects, lost 0, doubled 0", s3.segments());
    let export = moneta.dir.join("export");
    moneta.ok(&["store", "export", "Steps_CL", export.to_str().unwrap()]);
    let report = moneta_verify::export::verify_export(&export, moneta_verify::Options::default()).unwrap();
    assert!(report.is_clean() && report.num_records == stored, "{report:?}");
    assert!(!moneta.log().contains("S3CRET"), "no secret is logged");
    server.stop();
    read_by_others(&moneta, &s3, stored);
    check_offline(&moneta, &s3, stored);
}

/// Readers that are not ours find the rows of moved segments by the list of the catalog.
fn read_by_others(moneta: &Moneta, s3: &S3, stored: u64) {
    let python = python("requirements.txt").expect("the other environment was made too");
    let script = workspace_root().join("tests/interop/moved_reader.py");
    let table = moneta.data().join("store/Steps_CL");
    let output = Command::new(python).arg(script).arg(table).arg(&s3.endpoint).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(out.starts_with(&format!("{stored} rows, ")) && !out.contains(", 0 files"), "{out}{err}");
}

/// With no server running: by the program with the bucket, by the checker with a copy of it, and with damage.
fn check_offline(moneta: &Moneta, s3: &S3, stored: u64) {
    assert!(moneta.ok(&["verify"]).contains("everything fits"));
    let copy = moneta.dir.join("bucket");
    s3.download(&copy);
    let verify = |moved: Option<Box<dyn moneta_verify::MovedSegments>>| {
        let options = moneta_verify::Options { moved, ..moneta_verify::Options::default() };
        moneta_verify::verify_store(&moneta.data(), options).unwrap()
    };
    let report = verify(Some(Box::new(moneta_verify::CopiedBucket(copy.clone()))));
    assert!(report.is_clean() && report.num_records >= stored, "{report:?}");
    assert!(!verify(None).is_clean(), "what was not read is not called whole");
    let key = s3.keys().into_iter().find(|key| key.contains("Steps_CL")).unwrap();
    let damage = format!("s3.put_object(Bucket='logs', Key='{key}', Body=b'x' * 5000)");
    s3.ask(&damage).unwrap();
    let run = moneta.run(&["verify"]);
    assert!(run.code == 1 && run.stdout.contains(&key), "{run:?}");
    // A restored copy reads, and touches nothing.
    let restored = moving(s3);
    copy_dir(&moneta.data(), &restored.data());
    std::fs::remove_dir_all(restored.data().join("objects")).unwrap();
    let keys = s3.keys();
    let server = restored.serve();
    restored.ok(&["ingest", "--table", "More_CL", &restored.file("more.json", json_lines(10))]);
    assert_eq!(restored.count("More_CL | count"), 10);
    server.stop();
    assert_eq!(s3.keys(), keys);
    assert!(!parquet_files(&restored).is_empty(), "what is new stays on its disk");
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_are_locked_as_configured_and_read_by_their_version() {
    let Some(s3) = S3::start(", ObjectLockEnabledForBucket=True").await else { return };
    let mut moneta = moving(&s3);
    moneta.settings.extend([("MONETA_OBJECTS__LOCK", "governance"), ("MONETA_OBJECTS__CACHE_BYTES", "0")]);
    let server = moneta.serve();
    moneta.ok(&["ingest", "--table", "Steps_CL", &moneta.file("steps.json", lines(0, 500))]);
    let own = || s3.keys().into_iter().find(|key| key.contains("/Steps_CL/"));
    wait_until("the segment to be moved", || own().is_some()).await;
    let key = own().unwrap();
    let head = s3.ask(&format!("s3.head_object(Bucket='logs', Key='{key}')")).unwrap();
    assert_eq!(head["ObjectLockMode"], "GOVERNANCE", "{head}");
    // Somebody puts another version before it: the one that was sealed is read all the same.
    s3.ask(&format!("s3.put_object(Bucket='logs', Key='{key}', Body=b'not the rows')")).unwrap();
    server.stop();
    let server = moneta.serve();
    assert_eq!(moneta.count("Steps_CL | where Text has 'round' | count"), 500);
    assert!(moneta.ok(&["verify"]).contains("everything fits"));
    server.stop();
}

#[test]
fn what_cannot_work_is_refused_at_the_start_with_what_to_change() {
    let mut moneta = Moneta::new();
    moneta.settings = vec![("MONETA_OBJECTS__BUCKET", "logs"), ("AWS_ACCESS_KEY_ID", "")];
    let run = moneta.run(&["serve"]);
    assert!(
        run.code == 78 && run.stderr.contains("objects: there are no credentials: name a credentials_file"),
        "{run:?}"
    );
    moneta.settings.push(("MONETA_OBJECTS__ENDPOINT", "http://minio.example:9000"));
    let run = moneta.run(&["serve"]);
    assert!(run.code == 78 && run.stderr.contains("https://"), "{run:?}");
}
