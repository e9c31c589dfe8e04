//! The files of a running installation as they were at one moment, for whoever copies them to a backup.
//!
//! Everything but the journal and the metastore is written once and then replaced or removed, never changed: a link to
//! it is a copy that takes no time and no room. The journal is copied up to its last commit, the metastore by its own
//! means. Meanwhile nothing is sealed, merged, dropped or signed, and ingest goes on: the journal's lengths are taken
//! last, so that whatever follows the journal is as old as it or older, as after a crash. Copying elsewhere is not done
//! here.
//!
//! Each snapshot has a directory of its own, `snapshot/<time>`, and a new one removes the one before: whoever still
//! copies that finds it gone, and never files of two moments.

use std::path::Path;

use moneta_base::fs::FileSystem;
use moneta_base::{ErrorKind, TableName, Timestamp};
use moneta_ingest::JournalLengths;
use moneta_ledger::Ledger;
use moneta_merkle::Hash;
use moneta_metastore::Metastore;
use moneta_ports::operations::{ExportSelection, Snapshot};
use moneta_ports::{AuditEvent, AuditSink, OpContext, PortError};
use moneta_verify::export::ExportManifest;

use crate::operations::NodeOperations;
use crate::volume::RESERVE_FILE;
use crate::{case, export};

/// Directory of the snapshots within the data directory.
pub(crate) const DIR: &str = "snapshot";
/// The metastore's file.
const METASTORE: &str = "meta.sqlite";
/// What belongs to the running process, or can be made again.
const NOT_COPIED: [&str; 9] =
    [DIR, crate::objects::DIR, RESERVE_FILE, "spill", "lock", "server.json", "cli.credential", "inventory", "journal"];

/// Makes the snapshot: of everything, or of what an export holds.
pub(crate) async fn begin(
    node: &NodeOperations,
    ctx: &OpContext,
    export: Option<ExportSelection>,
) -> Result<Snapshot, PortError> {
    let _alone = node.snapshot.lock().await;
    let made_at = node.world.clock.now().to_string();
    let dir = node.data.join(DIR).join(made_at.replace(':', "-"));
    let root_size = match export {
        None => {
            node.ingest.record_change(ctx, AuditEvent::success("backup.begin", "store", "all")).await?;
            prepare(node, &dir).await?;
            let (fs, metastore, data, to) =
                (node.world.fs.clone(), node.metastore.clone(), node.data.clone(), dir.clone());
            between_changes(node, move |ledger, journal| link_everything(&*fs, &metastore, &data, &to, ledger, journal))
                .await?
        }
        Some(ExportSelection::Table { table, from, to }) => {
            node.ingest.record_change(ctx, begun(&table, from, to)).await?;
            prepare(node, &dir).await?;
            let ingest = node.ingest.clone();
            in_background(move || ingest.seal_all()).await?;
            let (fs, store, target) = (node.world.fs.clone(), node.ingest.store().clone(), dir.clone());
            let sealed_end = store.sealed_ends().get(&table).copied().unwrap_or_default();
            let manifest = ExportManifest { table, from, to, sealed_end };
            between_changes(node, move |ledger, _| {
                export::gather(&*fs, &store, ledger, &manifest, &target)?;
                Ok(ledger.root_checkpoint().size())
            })
            .await?
        }
        Some(ExportSelection::Case { number }) => case::export(node, ctx, number, &dir).await?,
    };
    let path = std::path::absolute(&dir).unwrap_or(dir).display().to_string();
    Ok(Snapshot { path, root_size, made_at })
}

/// Removes the snapshot before and makes the directory of a new one.
pub(crate) async fn prepare(node: &NodeOperations, dir: &Path) -> Result<(), PortError> {
    let (fs, data, dir) = (node.world.fs.clone(), node.data.clone(), dir.to_owned());
    in_background(move || {
        let made = remove(&*fs, &data).and_then(|()| fs.create_dir_all(&dir));
        made.map_err(|error| failed(&dir, error))
    })
    .await
}

async fn between_changes(
    node: &NodeOperations,
    act: impl FnOnce(&Ledger, &JournalLengths<'_>) -> Result<u64, PortError> + Send + 'static,
) -> Result<u64, PortError> {
    let ingest = node.ingest.clone();
    in_background(move || ingest.between_changes(Box::new(act))).await
}

/// Does what waits for disks on a thread of its own.
pub(crate) async fn in_background<T: Send + 'static>(
    act: impl FnOnce() -> Result<T, PortError> + Send + 'static,
) -> Result<T, PortError> {
    let done = tokio::task::spawn_blocking(act).await;
    done.map_err(|error| PortError::caused_by(ErrorKind::Internal, "the snapshot was interrupted", error))?
}

/// What the audit table says of the export of a table.
fn begun(table: &TableName, from: Option<Timestamp>, to: Option<Timestamp>) -> AuditEvent {
    let mut event = AuditEvent::success("store.export", "table", table.as_str());
    for (name, time) in [("from", from), ("to", to)] {
        event.details.insert(name.to_owned(), time.map(|time| time.to_string()).into());
    }
    event
}

fn link_everything(
    fs: &dyn FileSystem,
    metastore: &Metastore,
    data: &Path,
    to: &Path,
    ledger: &Ledger,
    journal: &JournalLengths<'_>,
) -> Result<u64, PortError> {
    let io = |error| failed(to, error);
    fs.create_dir_all(&to.join("journal")).map_err(io)?;
    let copied = metastore.copy_to(&to.join(METASTORE));
    copied.map_err(|error| PortError::caused_by(error.kind(), "the metastore could not be copied", error))?;
    link_all(fs, data, to, &|name| NOT_COPIED.contains(&name) || name.starts_with(METASTORE)).map_err(io)?;
    // After all that follows it: a server on these files would pass over rows that are in it and not in the journal.
    for (path, size_bytes) in journal()? {
        copy_start(fs, &path, to, size_bytes).map_err(io)?;
    }
    Ok(ledger.root_checkpoint().size())
}

/// Removes the snapshot and says what became of it.
pub(crate) async fn end(node: &NodeOperations, ctx: &OpContext, manifest: Option<String>) -> Result<(), PortError> {
    if manifest.as_deref().is_some_and(|text| Hash::from_hex(text).is_err()) {
        return Err(PortError::new(ErrorKind::Caller, "manifest must be a SHA-256 in 64 hexadecimal digits"));
    }
    let _alone = node.snapshot.lock().await;
    // Without a manifest it was of an export, or of a backup that was given up.
    let action = if manifest.is_some() { "backup.end" } else { "snapshot.end" };
    let mut event = AuditEvent::success(action, "store", "all");
    event.details.insert("manifest_sha256".to_owned(), manifest.into());
    node.ingest.record_change(ctx, event).await?;
    let (fs, data) = (node.world.fs.clone(), node.data.clone());
    in_background(move || remove(&*fs, &data).map_err(|error| failed(&data, error))).await
}

/// Removes a snapshot that is there: of a backup that was given up, or cut off by the end of the process.
pub(crate) fn remove(fs: &dyn FileSystem, data: &Path) -> std::io::Result<()> {
    match fs.remove_dir_all(&data.join(DIR)) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn failed(path: &Path, error: std::io::Error) -> PortError {
    let message = format!("the files could not be linked below {}: {error}", path.display());
    PortError::caused_by(ErrorKind::OPERATOR, message, error)
}

/// Links every file of a directory into another, but those whose name at the top is left out.
fn link_all(fs: &dyn FileSystem, from: &Path, to: &Path, leave_out: &dyn Fn(&str) -> bool) -> std::io::Result<()> {
    for entry in fs.list(from)? {
        let name = entry.name();
        if leave_out(name) || name.ends_with(moneta_base::fs::TEMPORARY_SUFFIX) {
            continue;
        }
        let target = to.join(name);
        if entry.is_dir {
            fs.create_dir_all(&target)?;
            link_all(fs, &entry.path, &target, &|_| false)?;
            continue;
        }
        match fs.link_new(&entry.path, &target) {
            // Retired files and outgrown tiles go at any time, and nothing needs them.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            other => other?,
        }
    }
    Ok(())
}

/// Copies the first bytes of a journal file, which may grow meanwhile.
fn copy_start(fs: &dyn FileSystem, path: &Path, to: &Path, size_bytes: u64) -> std::io::Result<()> {
    const PIECE_BYTES: u64 = 4 << 20;
    let name = path.file_name().unwrap_or_default();
    let mut copy = fs.create(&to.join("journal").join(name))?;
    let mut offset = 0;
    while offset < size_bytes {
        let len = PIECE_BYTES.min(size_bytes - offset);
        copy.append(&fs.read_range(path, offset, usize::try_from(len).expect("a few megabytes"))?)?;
        offset += len;
    }
    copy.sync()
}
