//! Two checkers in two languages, without common code, say the same of the same files.
//!
//! Needs `python3` and, the first time, the package index; without them the tests say so and, on a build server, fail.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use moneta_event::RecordProof;
use moneta_host::{RealFs, SystemEntropy};
use moneta_keys::KeyRing;
use moneta_merkle::{Checkpoint, VerifierKey, sha256};
use moneta_testkit::TestDir;
use moneta_testkit::corpus::workspace_root;
use moneta_verify::proof::check_record_proof;
use moneta_verify::{Options, verify_store};

use crate::installation::{Installation, files_below, prove, submit, table};

/// The Python of an environment with some packages.
fn environment(requirements: &str) -> Option<PathBuf> {
    let root = workspace_root();
    let script = root.join("tests/interop/environment.sh");
    printed_path(Command::new("sh").arg(script).arg(root.join(requirements)))
}

/// The path that a command prints; `None` when it fails, which on a build server it must not.
fn printed_path(command: &mut Command) -> Option<PathBuf> {
    let output = command.output().unwrap();
    if output.status.success() {
        return Some(String::from_utf8(output.stdout).unwrap().trim().into());
    }
    let reason = String::from_utf8_lossy(&output.stderr);
    assert!(std::env::var_os("CI").is_none(), "{command:?}: {reason}");
    eprintln!("{command:?} failed, 1 case not run: {reason}");
    None
}

/// Runs `tools/verify.py`.
pub struct Python(PathBuf);

impl Python {
    pub fn find() -> Option<Self> {
        environment("tools/requirements.txt").map(Self)
    }

    /// Its verdict on each of some files or directories.
    pub fn verdicts(&self, what: &str, key: &str, paths: &[PathBuf]) -> BTreeMap<PathBuf, Result<(), String>> {
        let mut command = Command::new(&self.0);
        let output = command
            .arg(workspace_root().join("tools/verify.py"))
            .arg(what)
            .args(paths)
            .args(["--key", key])
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        let verdict = |line: &str| {
            let (word, rest) = line.split_once(": ").unwrap();
            let (path, reason) = rest.split_once(": ").unwrap();
            let verdict = if word == "valid" { Ok(()) } else { Err(reason.to_owned()) };
            (PathBuf::from(path), verdict)
        };
        let verdicts: BTreeMap<_, _> = text.lines().map(verdict).collect();
        assert_eq!(verdicts.keys().collect::<BTreeSet<_>>(), paths.iter().collect());
        assert_eq!(output.status.code(), Some(i32::from(verdicts.values().any(Result::is_err))));
        verdicts
    }
}

/// A thousand proofs of rows of three tables, in blocks of many sizes, and the key.
pub async fn thousand_proofs() -> (Vec<String>, String) {
    let installation = Installation::new();
    let ingest = installation.open();
    for (salt, rows) in [1, 2, 3, 64, 200, 341].into_iter().enumerate() {
        for name in ["Syslog", "Words_CL", "Other_CL"] {
            submit(&ingest, name, salt as i64, rows).await;
        }
        ingest.publish_now().await.unwrap();
    }
    let mut proofs = Vec::new();
    for name in ["Syslog", "Words_CL", "Other_CL"] {
        for block in ingest.store().snapshot(&table(name)).unwrap().hot {
            proofs.extend(prove(&ingest, &block, 0..block.rows.num_rows()));
        }
    }
    proofs.truncate(1_000);
    ingest.shut_down().unwrap();
    (proofs.iter().map(RecordProof::encode).collect(), installation.key())
}

/// Proofs with one thing changed each: every line altered, removed, and exchanged for that of another proof.
fn planted(good: &str, other: &str) -> Vec<String> {
    let lines: Vec<&str> = good.lines().collect();
    let others: Vec<&str> = other.lines().collect();
    let with = |place: usize, line: Option<String>| -> String {
        let before = lines[..place].iter().map(ToString::to_string);
        let after = lines[place + 1..].iter().map(ToString::to_string);
        before.chain(line).chain(after).map(|line| line + "\n").collect()
    };
    let mut faults = BTreeSet::new();
    for (place, line) in lines.iter().enumerate() {
        faults.insert(with(place, None));
        faults.insert(with(place, Some(format!("{line}x"))));
        let mut bytes = line.as_bytes().to_vec();
        if let Some(byte) = bytes.iter_mut().rev().find(|byte| byte.is_ascii_alphanumeric()) {
            *byte = if *byte == b'1' { b'2' } else { b'1' };
            faults.insert(with(place, Some(String::from_utf8(bytes).unwrap())));
        }
        if let Some(line) = others.get(place) {
            faults.insert(with(place, Some((*line).to_owned())));
        }
    }
    faults.insert(good.trim_end().to_owned());
    faults.insert(format!("\n{good}"));
    faults.into_iter().filter(|fault| fault != good).collect()
}

fn write_all(dir: &Path, texts: &[String]) -> Vec<PathBuf> {
    let write = |(number, text): (usize, &String)| {
        let path = dir.join(format!("{number:04}"));
        std::fs::write(&path, text).unwrap();
        path
    };
    texts.iter().enumerate().map(write).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn both_accept_a_thousand_proofs_and_reject_every_planted_fault() {
    let Some(python) = Python::find() else { return };
    let (proofs, key) = thousand_proofs().await;
    assert_eq!(proofs.len(), 1_000);
    let own_key = VerifierKey::parse(&key).unwrap();
    let dir = TestDir::new();
    let paths = write_all(dir.path(), &proofs);
    let verdicts = python.verdicts("proof", &key, &paths);
    for (path, text) in paths.iter().zip(&proofs) {
        check_record_proof(text, &own_key).unwrap();
        assert_eq!(verdicts[path], Ok(()));
    }
    let faults = planted(&proofs[900], &proofs[400]);
    assert!(faults.len() >= 50, "{}", faults.len());
    let paths = write_all(dir.path(), &faults);
    let verdicts = python.verdicts("proof", &key, &paths);
    for (path, text) in paths.iter().zip(&faults) {
        assert!(check_record_proof(text, &own_key).is_err(), "moneta-verify accepts\n{text}");
        assert!(verdicts[path].is_err(), "verify.py accepts\n{text}");
    }
    // Several in one file, as the evidence of an alert is: each of them counts.
    let several =
        [proofs[..3].concat(), format!("{}{}", proofs[0], faults[0]), format!("{}x\n{}", proofs[0], proofs[1])];
    let paths = write_all(dir.path(), &several);
    let verdicts = python.verdicts("proof", &key, &paths);
    let accepted: Vec<bool> = paths.iter().map(|path| verdicts[path].is_ok()).collect();
    assert_eq!(accepted, [true, false, false], "{verdicts:?}");
    println!("{} proofs accepted by both, {} planted faults rejected by both", proofs.len(), faults.len());
    let (_, strange) = thousand_proofs().await;
    assert!(python.verdicts("proof", &strange, &paths[..1])[&paths[0]].is_err());
}

/// Tools we did not write: the note and tlog packages of the Go project, behind a small reader of our proof files.
#[tokio::test(flavor = "multi_thread")]
async fn the_packages_of_the_go_project_accept_and_reject_the_same_proofs() {
    let Some(python) = environment("tests/interop/tlog/requirements.txt") else { return };
    let (script, dir) = (workspace_root().join("tests/interop/tlog/build.sh"), TestDir::new());
    let Some(checker) = printed_path(Command::new("sh").arg(script).arg(python).arg(dir.join("go"))) else { return };
    let (proofs, key) = thousand_proofs().await;
    let faults = planted(&proofs[900], &proofs[400]);
    let paths = [write_all(&made(dir.join("good")), &proofs), write_all(&made(dir.join("bad")), &faults)].concat();
    let output = Command::new(checker).arg(&key).args(&paths).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().count(), paths.len(), "{}", String::from_utf8_lossy(&output.stderr));
    let (good, bad): (Vec<_>, Vec<_>) = text.lines().enumerate().partition(|(place, _)| *place < proofs.len());
    for (_, line) in good {
        assert!(line.starts_with("valid: "), "{line}");
    }
    // Its reader looks at hashes and signatures, not at the last spelling of every line.
    let rejected = bad.iter().filter(|(_, line)| line.starts_with("NOT VALID: ")).count();
    assert!(rejected >= 50, "{rejected} of {} planted faults rejected", faults.len());
    println!("the Go packages accept {} proofs and reject {rejected} of {} planted faults", proofs.len(), faults.len());
}

fn made(dir: PathBuf) -> PathBuf {
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

#[tokio::test(flavor = "multi_thread")]
async fn both_accept_a_whole_installation_and_find_a_change_in_each_file_of_the_ledger() {
    let Some(python) = Python::find() else { return };
    let installation = Installation::new();
    installation.fill().await;
    let (data, key) = (installation.dir.path().to_owned(), installation.key());
    let report = || verify_store(&data, Options::default()).unwrap();
    let verdict = || python.verdicts("store", &key, std::slice::from_ref(&data)).remove(&data).unwrap();
    assert_eq!(report().findings, []);
    assert_eq!(verdict(), Ok(()));
    let is_covered =
        |path: &PathBuf| path.starts_with("ledger") || path.extension().is_some_and(|end| end == "parquet");
    let files: Vec<_> = files_below(&data).into_iter().filter(is_covered).collect();
    assert!(files.len() > 20, "{files:?}");
    for file in &files {
        let path = data.join(file);
        let good = std::fs::read(&path).unwrap();
        let mut bad = good.clone();
        let at = good.len() * 2 / 3;
        bad[at] ^= 1;
        std::fs::write(&path, &bad).unwrap();
        let (found, verdict) = (!report().is_clean(), verdict());
        std::fs::write(&path, &good).unwrap();
        assert!(found && verdict.is_err(), "{}: moneta-verify found: {found}, verify.py: {verdict:?}", file.display());
    }
    assert_eq!(verdict(), Ok(()));

    // What witnesses cosigned must be the beginning of the log; without an inventory, which lists every file.
    std::fs::remove_file(data.join(moneta_verify::inventory::FILE_NAME)).unwrap();
    let cosigned = data.join("ledger/root/cosigned");
    std::fs::copy(data.join("ledger/root/checkpoint"), &cosigned).unwrap();
    assert_eq!((report().findings, verdict()), (Vec::new(), Ok(())));
    let keys = KeyRing::open(Arc::new(RealFs), &data.join("keys"), &SystemEntropy::new()).unwrap();
    for size in [1, 1 << 40] {
        let other = Checkpoint::new(keys.log_name(), size, sha256(b"another history")).unwrap();
        std::fs::write(&cosigned, other.sign(&*keys.log_signer()).unwrap().encode()).unwrap();
        let (found, verdict) = (!report().is_clean(), verdict());
        assert!(found && verdict.is_err(), "{size}: moneta-verify found: {found}, verify.py: {verdict:?}");
    }
}
