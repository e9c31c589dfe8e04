//! Gathers what an export of a table holds into the directory of a snapshot; the layout is that of
//! [`moneta_verify::export`], which also checks it.

use std::path::Path;

use moneta_base::ErrorKind;
use moneta_base::fs::FileSystem;
use moneta_ledger::Ledger;
use moneta_ports::PortError;
use moneta_store::Store;
use moneta_verify::export::{Entries, ExportManifest, entry_proof, headers_file};

/// Writes an export into `to`. Nothing of the ledger may change meanwhile.
pub(crate) fn gather(
    fs: &dyn FileSystem,
    store: &Store,
    ledger: &Ledger,
    manifest: &ExportManifest,
    to: &Path,
) -> Result<(), PortError> {
    let checkpoint = ledger.root_checkpoint();
    let mut entries = Entries::default();
    let scanned = ledger.scan_root(checkpoint.size(), |index, bytes| entries.take(&manifest.table, index, bytes));
    scanned.map_err(ledger_failed)?;
    let write = |path: &Path, bytes: &[u8]| write(fs, path, bytes);
    write(&to.join("manifest"), manifest.encode().as_bytes())?;
    write(&to.join("checkpoint"), checkpoint.encode().as_bytes())?;
    write(&to.join("ledger.vkey"), format!("{}\n", ledger.verifier_key()).as_bytes())?;
    let prove = |(index, entry): &(u64, Vec<u8>)| {
        let proof = ledger.prove_root_entry(*index).map_err(ledger_failed)?;
        Ok::<_, PortError>(entry_proof(entry, &proof).into_bytes())
    };
    for (shard, place) in &entries.drops {
        write(&to.join("shard").join(shard.day.to_string()).join("drop.proof"), &prove(place)?)?;
    }
    for (shard, place) in &entries.heads {
        let dir = to.join("shard").join(shard.day.to_string());
        let headers = ledger.headers_of(shard, 0, u64::MAX).map_err(ledger_failed)?;
        let headers: Vec<Vec<u8>> = headers.iter().map(moneta_event::BlockHeader::encode).collect();
        let file = headers_file(headers.iter().map(Vec::as_slice));
        let file = file.map_err(|error| PortError::new(ErrorKind::Internal, format!("{error:#}")))?;
        write(&dir.join("headers"), &file)?;
        write(&dir.join("head.proof"), &prove(place)?)?;
    }
    let Some(snapshot) = store.snapshot(&manifest.table) else { return Ok(()) };
    for segment in snapshot.segments.iter().filter(|one| manifest.overlaps(one.event_time_min, one.event_time_max)) {
        let target = to.join("store").join(&segment.path);
        let dir = target.parent().unwrap_or(to);
        if segment.moved.is_some() {
            let read = store.read_moved(segment);
            let bytes = read.map_err(|error| {
                PortError::caused_by(error.kind(), format!("{} cannot be read from the bucket", segment.path), error)
            })?;
            write(&target, &bytes)?;
        } else {
            let linked = fs.create_dir_all(dir).and_then(|()| fs.link_new(&store.file_of(&segment.path), &target));
            linked.map_err(|error| failed(&target, error))?;
        }
        let place = entries.objects.get(&segment.path).ok_or_else(|| {
            PortError::new(ErrorKind::Internal, format!("no root entry names {}; restart to enter it", segment.path))
        })?;
        let mut proof = target.into_os_string();
        proof.push(".proof");
        write(Path::new(&proof), &prove(place)?)?;
    }
    Ok(())
}

/// Writes a file and the directories it lies in.
pub(crate) fn write(fs: &dyn FileSystem, path: &Path, bytes: &[u8]) -> Result<(), PortError> {
    let written = fs.create_dir_all(path.parent().unwrap_or(path)).and_then(|()| {
        let mut file = fs.create(path)?;
        file.append(bytes)?;
        file.sync()
    });
    written.map_err(|error| failed(path, error))
}

fn failed(path: &Path, error: std::io::Error) -> PortError {
    PortError::caused_by(ErrorKind::OPERATOR, format!("cannot write {}", path.display()), error)
}

pub(crate) fn ledger_failed(error: moneta_ledger::Error) -> PortError {
    PortError::caused_by(error.kind(), "the ledger failed", error)
}
