//! `moneta backup` and `moneta restore`: copies of everything, taken while the server runs, and the way back.

use std::path::{Path, PathBuf};

use clap::Args;
use moneta_base::Timestamp;
use moneta_ports::operations::{ExportSelection, Snapshot};
use moneta_server::backup::{self, BackupError, BackupReport};
use moneta_verify::known::{self, Standing};
use serde_json::json;

use crate::arguments::Global;
use crate::commands::rules::to_value;
use crate::commands::status::size_text;
use crate::commands::verify;
use crate::console::Console;
use crate::failure::{Exit, Failure};
use crate::target::{Missing, Target, find_server, local_context};

/// Copy everything as it is at this moment, also while the server runs.
#[derive(Debug, Args)]
pub struct Backup {
    /// A directory for backups of this installation, best on another disk. Each backup is whole by itself; a second one
    /// there copies only what is new. It holds the keys: keep it as safe as the data directory.
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

/// Bring a backup back into an empty data directory, and check it against its ledger.
#[derive(Debug, Args)]
pub struct Restore {
    /// One backup, or the directory of backups, of which the newest is then taken.
    #[arg(value_name = "BACKUP")]
    backup: PathBuf,
    /// A file with the log's verifier key, kept elsewhere than the backup. Without it the backup's own copy is trusted.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// A root checkpoint that was kept elsewhere, as `/ledger/root/checkpoint` or a witness gives it: says what was stored
    /// between the backup and it, and is gone.
    #[arg(long, value_name = "FILE", requires = "key")]
    checkpoint: Option<PathBuf>,
}

impl Backup {
    /// Makes the backup.
    ///
    /// # Errors
    /// When no snapshot can be made, or the directory is unsuitable or full.
    pub async fn run(&self, global: &Global, console: &Console) -> Result<Exit, Failure> {
        let target = Target::open(global, Missing::Refuse).await?;
        let made = make(&target, &self.dir).await;
        let closed = target.close().await;
        let report = made?;
        closed?;
        if console.json {
            console.value(&to_value(&report)?)?;
            return Ok(Exit::Success);
        }
        console.line(&format!(
            "{}: {} files, {}; copied {} of them, {}",
            report.path.display(),
            report.num_files,
            size_text(report.total_bytes),
            report.copied_files,
            size_text(report.copied_bytes),
        ))?;
        console.line(&format!("manifest {}", report.manifest))?;
        console.say("it holds the keys of this installation: keep it as safe as the data directory");
        Ok(Exit::Success)
    }
}

async fn make(target: &Target, dir: &Path) -> Result<BackupReport, Failure> {
    let dir = dir.to_owned();
    let copied = with_snapshot(target, &json!({}), None, move |snapshot| backup::copy(snapshot, &dir)).await?;
    let manifest = copied.as_ref().ok().map(|report| report.manifest.clone());
    let ended = end(target, manifest).await;
    let report = copied?;
    ended?;
    Ok(report)
}

/// Exports rows of a table, or an incident; returns the number of files.
///
/// # Errors
/// As [`Backup::run`].
pub async fn export(target: &Target, selection: ExportSelection, dir: &Path) -> Result<usize, Failure> {
    let time = |time: Option<Timestamp>| time.map(|time| time.to_string());
    let body = match &selection {
        ExportSelection::Table { table, from, to } => {
            json!({ "table": table.as_str(), "from": time(*from), "to": time(*to) })
        }
        ExportSelection::Case { number } => json!({ "incident": number }),
    };
    let dir = dir.to_owned();
    let copied = with_snapshot(target, &body, Some(selection), move |snapshot| backup::copy_plain(snapshot, &dir));
    let copied = copied.await?;
    let ended = end(target, None).await;
    let num_files = copied?;
    ended?;
    Ok(num_files)
}

/// Makes a snapshot and copies it. The outer error: there is no snapshot to be ended.
async fn with_snapshot<T: Send + 'static>(
    target: &Target,
    body: &serde_json::Value,
    export: Option<ExportSelection>,
    copy: impl FnOnce(&Snapshot) -> Result<T, BackupError> + Send + 'static,
) -> Result<Result<T, Failure>, Failure> {
    let snapshot: Snapshot = match target {
        Target::Server(client) => {
            let answer = client.post("v1/snapshots", body).await?;
            serde_json::from_value(answer)
                .map_err(|error| Failure::new(Exit::Internal, "the server's answer is no snapshot").caused_by(&error))?
        }
        Target::Directory(node) => node.operations().begin_snapshot(&local_context(), export).await?,
    };
    let copied = tokio::task::spawn_blocking(move || {
        if !Path::new(&snapshot.path).is_dir() {
            let message = format!("the snapshot is at {}, which is not on this machine", snapshot.path);
            return Ok(Err(Failure::new(Exit::Unavailable, message).advise("run this on the machine of the server")));
        }
        match copy(&snapshot) {
            // The one that is there now is another's, who ends it.
            Err(error @ BackupError::SnapshotGone { .. }) => Err(error.into()),
            copied => Ok(copied.map_err(Failure::from)),
        }
    });
    copied.await.map_err(|error| Failure::new(Exit::Internal, error.to_string()))?
}

async fn end(target: &Target, manifest: Option<String>) -> Result<(), Failure> {
    match target {
        Target::Server(client) => {
            client.post("v1/snapshots/end", &json!({ "manifest_sha256": manifest })).await.map(drop)
        }
        Target::Directory(node) => Ok(node.operations().end_snapshot(&local_context(), manifest).await?),
    }
}

impl Restore {
    /// Restores and checks; negative when the check finds anything.
    ///
    /// # Errors
    /// When the backup is damaged, or the data directory is not empty or cannot be written.
    pub async fn run(&self, global: &Global, console: &Console) -> Result<Exit, Failure> {
        let key = self.key.as_deref().map(verify::read_key).transpose()?;
        if let Some(url) = &global.server {
            return Err(Failure::usage(format!("a running server such as {url} cannot be restored into"))
                .advise("name an empty directory with --data-dir"));
        }
        if find_server(global).await?.is_some() {
            return Err(Failure::new(Exit::Unavailable, "a server runs on this data directory; stop it first"));
        }
        let report = backup::restore(&self.backup, &global.data_dir)?;
        console.say(&format!(
            "restored {} files, {}, as they were at {}; what was stored later is not in this backup",
            report.num_files,
            size_text(report.total_bytes),
            report.made_at
        ));
        let gap = match (&self.checkpoint, &key) {
            (Some(file), Some(key)) => say_gap(file, &global.data_dir, key, console)?,
            _ => false,
        };
        let checked = verify::check_dir(global, key)?;
        verify::print(&checked, console)?;
        Ok(Exit::negative_unless(!gap && checked["findings"].as_array().is_some_and(Vec::is_empty)))
    }
}

/// Says what a checkpoint knows that the restored directory does not have; returns whether there is anything.
fn say_gap(file: &Path, data: &Path, key: &moneta_merkle::VerifierKey, console: &Console) -> Result<bool, Failure> {
    let checkpoint = std::fs::read(file);
    let checkpoint = checkpoint.map_err(|error| Failure::io(format!("cannot read {}", file.display()), error))?;
    let standing = known::standing(data, &checkpoint, key)
        .map_err(|error| Failure::new(Exit::Internal, format!("cannot compare with {}: {error:#}", file.display())))?;
    match standing {
        Standing::Continues => Ok(false),
        gap => {
            console.say(&format!("GAP: held against {}, {gap}", file.display()));
            Ok(true)
        }
    }
}

impl From<BackupError> for Failure {
    fn from(error: BackupError) -> Self {
        let exit = match &error {
            BackupError::Io { .. } => Exit::Io,
            BackupError::Damaged { .. } => Exit::Internal,
            BackupError::SnapshotGone { .. } => Exit::Unavailable,
            BackupError::Unsuitable { .. } => Exit::Usage,
        };
        Self::new(exit, error.to_string()).caused_by(&error)
    }
}
