//! `moneta verify`: checks everything stored against the ledger. What it finds is printed, and the exit code says so.

use std::path::{Path, PathBuf};

use clap::Args;
use moneta_host::DirectoryLock;
use moneta_merkle::VerifierKey;
use moneta_verify::{Options, proof, verify_store};
use serde_json::{Value, json};

use crate::arguments::Global;
use crate::client::Client;
use crate::commands::rules::to_value;
use crate::console::Console;
use crate::failure::{Exit, Failure};
use crate::output::visible;
use crate::target::{Missing, check_directory, find_server, load_config};

/// Check everything stored against the ledger.
#[derive(Debug, Args)]
pub struct Verify {
    /// A file with the log's verifier key, kept elsewhere than the data. Without it the directory's own copy is
    /// trusted, which proves that the store agrees with itself, not who signed it.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

impl Verify {
    /// Checks; negative when anything is not as it was signed.
    ///
    /// # Errors
    /// When the check could not be made.
    pub async fn run(&self, global: &Global, console: &Console) -> Result<Exit, Failure> {
        let key = self.key.as_deref().map(read_key).transpose()?;
        let report = match find_server(global).await? {
            Some(client) => check_server(&client, key.as_ref()).await?,
            None => check_dir(global, key)?,
        };
        print(&report, console)?;
        Ok(Exit::negative_unless(report["findings"].as_array().is_some_and(Vec::is_empty)))
    }
}

/// Reads a file with a verifier key.
///
/// # Errors
/// When there is none in it.
pub fn read_key(path: &Path) -> Result<VerifierKey, Failure> {
    let text =
        std::fs::read_to_string(path).map_err(|error| Failure::io(format!("cannot read {}", path.display()), error))?;
    VerifierKey::parse(text.trim_end())
        .map_err(|error| Failure::usage(format!("{} is not a verifier key", path.display())).caused_by(&error))
}

/// Lets the server check itself, and checks with the key that the checkpoint it stands by is signed.
async fn check_server(client: &Client, key: Option<&VerifierKey>) -> Result<Value, Failure> {
    let mut report = client.post("v1/verify", &json!({})).await?;
    let Some(key) = key else { return Ok(report) };
    let checkpoint = client.get_bytes("ledger/root/checkpoint").await?;
    if let Err(error) = proof::check_checkpoint(&checkpoint, key.name(), key)
        && let Some(findings) = report["findings"].as_array_mut()
    {
        findings.push(json!({ "file": "ledger/root/checkpoint", "problem": format!("{error:#}") }));
    }
    Ok(report)
}

/// Checks a data directory that no server works on.
///
/// # Errors
/// When the check could not be made.
pub fn check_dir(global: &Global, key: Option<VerifierKey>) -> Result<Value, Failure> {
    let data = &global.data_dir;
    check_directory(data, Missing::Refuse)?;
    // Nothing may write meanwhile. A copy on a medium that cannot be written cannot be locked, and needs no lock.
    let _lock = match DirectoryLock::acquire(data) {
        Err(error @ moneta_host::Error::Locked { .. }) => {
            return Err(Failure::new(Exit::Unavailable, error.to_string()));
        }
        lock => lock.ok(),
    };
    // Readers of damaged files may panic; the check catches that and makes a finding of it. One line says enough.
    std::panic::set_hook(Box::new(Console::note_panic));
    let moved = moneta_server::objects::moved_segments(&load_config(global)?)?;
    let report = verify_store(data, Options { key, quorum: None, moved });
    drop(std::panic::take_hook());
    let report =
        report.map_err(|error| Failure::new(Exit::Unavailable, format!("the check could not run: {error:#}")))?;
    to_value(&report)
}

/// Prints what a check found.
///
/// # Errors
/// When standard output is closed.
pub fn print(report: &Value, console: &Console) -> std::io::Result<()> {
    if console.json {
        return console.value(report);
    }
    let findings = report["findings"].as_array().cloned().unwrap_or_default();
    for finding in &findings {
        console.line(&format!("{} {}", console.verdict("FOUND"), visible(&describe(finding))))?;
    }
    for note in report["notes"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        console.say(&format!("note: {}", visible(note)));
    }
    let count = |member: &str| report[member].as_u64().unwrap_or_default();
    let verdict = if findings.is_empty() { "everything fits" } else { "NOT as it was signed" };
    console.line(&format!(
        "{verdict}: {} records in {} blocks, {} segments, {} root entries",
        count("num_records"),
        count("num_blocks"),
        count("num_segments"),
        count("num_root_entries"),
    ))
}

/// File, table, block and record of a finding, as far as they are known, and the problem.
fn describe(finding: &Value) -> String {
    let text = |member: &str| finding[member].as_str().unwrap_or_default();
    let mut place = text("file").to_owned();
    if !text("table").is_empty() {
        place.push_str(&format!(", table {}", text("table")));
    }
    for (member, words) in [("block", "block at _Seq"), ("record", "record")] {
        if let Some(seq) = finding[member].as_u64() {
            place.push_str(&format!(", {words} {seq}"));
        }
    }
    format!("{place}: {}", text("problem"))
}
