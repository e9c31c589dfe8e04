//! Backups: directories that hold the files of a snapshot with a manifest, each of them whole by itself.
//!
//! # Layout, version 1
//! ```text
//! <backup directory>/<yyyy-mm-ddThh-mm-ss.fffffffZ>/manifest     what was copied; written last: without it the copy is unfinished
//! <backup directory>/<…>/data/…                          the files, as in a data directory: moneta-verify reads them there
//! ```
//! A file that has not changed since the backup before is a hard link to that one's copy. The manifest:
//! ```text
//! moneta backup v1
//! made <RFC 3339>
//! tenant <id>
//! root <entries of the root log>
//! <sha256 hex> <size in bytes> <mode octal> <mtime in ns since 1970> <path>      one line a file, in order of path
//! end <number of files> <sha256 hex of all text before this line>
//! ```
//! A backup holds the keys of the installation: keep it as safe as the data directory. Copying never changes the files
//! it copies; restoring never writes into a directory that holds anything.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use moneta_base::fs::{FileSystem, write_atomically};
use moneta_host::RealFs;
use moneta_merkle::{Hash, sha256};
use moneta_ports::operations::Snapshot;

/// First line of a manifest.
const HEADER: &str = "moneta backup v1";
/// Name of the manifest.
const MANIFEST: &str = "manifest";
/// Directory of the files.
const DATA: &str = "data";
/// Bytes of a manifest at most: 200 bytes a file for millions of files.
const MANIFEST_BYTES_MAX: u64 = 1 << 30;
/// Bytes read at a time.
const PIECE_BYTES: usize = 1 << 20;

/// Why a backup or a restore was given up.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A file could not be read or written.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The backup is not as it was written.
    #[error("the backup is damaged: {}: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The snapshot was removed while it was copied.
    #[error("the snapshot {} is gone, for another backup or export began or ended; try again when no other runs", path.display())]
    SnapshotGone {
        /// Where it was.
        path: PathBuf,
    },
    /// The directory is no place for this.
    #[error("{}: {reason}", path.display())]
    Unsuitable {
        /// The directory.
        path: PathBuf,
        /// Why not, and what to do.
        reason: String,
    },
}

/// What a backup or a restore did.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct BackupReport {
    /// The directory of this backup.
    pub path: PathBuf,
    /// When the snapshot was made.
    pub made_at: String,
    /// Entries of the root log in it.
    pub root_size: u64,
    /// Files in it.
    pub num_files: u64,
    /// Bytes in it.
    pub total_bytes: u64,
    /// Files that were copied; the others were there already.
    pub copied_files: u64,
    /// Bytes that were copied.
    pub copied_bytes: u64,
    /// SHA-256 of the manifest, in hexadecimal.
    pub manifest: String,
}

/// What a manifest says of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Listed {
    hash: Hash,
    size_bytes: u64,
    mode: u32,
    modified_nanos: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Manifest {
    made_at: String,
    tenant: String,
    root_size: u64,
    files: BTreeMap<String, Listed>,
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> BackupError {
    let path = path.to_owned();
    move |source| BackupError::Io { action, path, source }
}

/// Copies a snapshot into a new backup below `dir`.
///
/// # Errors
/// [`BackupError::Unsuitable`] when `dir` holds something else, or backups of another installation, or lies within the
/// data directory; [`BackupError::SnapshotGone`]; [`BackupError::Damaged`] when the newest backup there has an
/// unreadable manifest; [`BackupError::Io`]. An unfinished copy is removed.
pub fn copy(snapshot: &Snapshot, dir: &Path) -> Result<BackupReport, BackupError> {
    let source = Path::new(&snapshot.path);
    refuse_within_data(source, dir)?;
    fs::create_dir_all(dir).map_err(io_error("create", dir))?;
    let tenant = read_tenant(source)?;
    let before = newest(dir)?;
    if let Some((path, manifest)) = &before
        && manifest.tenant != tenant
    {
        let reason =
            format!("it holds backups of another installation ({}); choose another directory", manifest.tenant);
        return Err(BackupError::Unsuitable { path: path.clone(), reason });
    }
    let target = dir.join(snapshot.made_at.replace(':', "-"));
    fs::create_dir(&target).map_err(io_error("create", &target))?;
    let copier = Copier { source, target: &target, before: before.as_ref(), report: BackupReport::default() };
    let copied = unless_removed(source, |files| copier.run(files, snapshot, tenant));
    if copied.is_err() {
        // What is there of it is no backup; failing that, it has no manifest and the next one passes it over.
        let _ = fs::remove_dir_all(&target);
    }
    copied
}

/// Copies every file of a snapshot into a directory that does not exist or is empty; returns their number.
///
/// # Errors
/// [`BackupError::Unsuitable`] also when it lies within the data directory; [`BackupError::SnapshotGone`];
/// [`BackupError::Io`].
pub fn copy_plain(snapshot: &Snapshot, dir: &Path) -> Result<usize, BackupError> {
    let source = Path::new(&snapshot.path);
    refuse_within_data(source, dir)?;
    fs::create_dir_all(dir).map_err(io_error("create", dir))?;
    if fs::read_dir(dir).map_err(io_error("read", dir))?.next().is_some() {
        let reason = "it is not empty; choose a new directory".to_owned();
        return Err(BackupError::Unsuitable { path: dir.to_owned(), reason });
    }
    unless_removed(source, |files| {
        for path in files {
            let (from, to) = (source.join(path), dir.join(path));
            let parent = to.parent().unwrap_or(dir);
            fs::create_dir_all(parent).map_err(io_error("create", parent))?;
            let metadata = fs::metadata(&from).map_err(io_error("read", &from))?;
            copy_file(&from, &to, metadata.permissions().mode() & 0o777, modified_nanos(&metadata))?;
        }
        sync_dirs(dir)?;
        Ok(files.len())
    })
}

/// Refuses a directory below the data directory that holds a snapshot: the next backup would hold this one.
fn refuse_within_data(snapshot: &Path, dir: &Path) -> Result<(), BackupError> {
    // `<data>/snapshot/<time>`.
    let data = snapshot.ancestors().nth(2).and_then(|data| data.canonicalize().ok());
    let wanted = std::path::absolute(dir).map_err(io_error("find", dir))?;
    let existing = wanted.ancestors().find_map(|path| path.canonicalize().ok());
    if let (Some(data), Some(existing)) = (data, existing)
        && existing.starts_with(&data)
    {
        let reason = "it lies within the data directory; choose one outside, best on another disk".to_owned();
        return Err(BackupError::Unsuitable { path: dir.to_owned(), reason });
    }
    Ok(())
}

/// Copies the files of a snapshot by `act`; what it did counts only if all of them are still there at the end.
fn unless_removed<T>(snapshot: &Path, act: impl FnOnce(&[String]) -> Result<T, BackupError>) -> Result<T, BackupError> {
    let files = match files_below(snapshot) {
        Err(error) if snapshot.is_dir() => return Err(error),
        listed => listed.unwrap_or_default(),
    };
    let done = act(&files);
    if !files.is_empty() && files_below(snapshot).is_ok_and(|left| left == files) {
        return done;
    }
    Err(BackupError::SnapshotGone { path: snapshot.to_owned() })
}

struct Copier<'a> {
    source: &'a Path,
    target: &'a Path,
    before: Option<&'a (PathBuf, Manifest)>,
    report: BackupReport,
}

impl Copier<'_> {
    fn run(mut self, files: &[String], snapshot: &Snapshot, tenant: String) -> Result<BackupReport, BackupError> {
        let mut manifest = Manifest {
            made_at: snapshot.made_at.clone(),
            tenant,
            root_size: snapshot.root_size,
            files: BTreeMap::new(),
        };
        for path in files {
            let listed = self.bring(path)?;
            self.report.num_files += 1;
            self.report.total_bytes += listed.size_bytes;
            manifest.files.insert(path.clone(), listed);
        }
        sync_dirs(&self.target.join(DATA))?;
        let text = manifest.text();
        let path = self.target.join(MANIFEST);
        write_atomically(&RealFs, &path, text.as_bytes()).map_err(io_error("write", &path))?;
        if let Some(parent) = self.target.parent() {
            sync_dir(parent)?;
        }
        self.report.path = self.target.to_owned();
        self.report.made_at.clone_from(&manifest.made_at);
        self.report.root_size = manifest.root_size;
        self.report.manifest = sha256(text.as_bytes()).to_hex();
        Ok(self.report)
    }

    /// Brings one file into the backup: by a link when the backup before has it, else by a copy.
    fn bring(&mut self, path: &str) -> Result<Listed, BackupError> {
        let (from, to) = (self.source.join(path), self.target.join(DATA).join(path));
        let metadata = fs::metadata(&from).map_err(io_error("read", &from))?;
        let mut listed = Listed {
            hash: Hash::default(),
            size_bytes: metadata.len(),
            mode: metadata.permissions().mode() & 0o777,
            modified_nanos: modified_nanos(&metadata),
        };
        let parent = to.parent().unwrap_or(self.target);
        fs::create_dir_all(parent).map_err(io_error("create", parent))?;
        if let Some((dir, manifest)) = self.before
            && let Some(same) = manifest.files.get(path)
            && (same.size_bytes, same.modified_nanos, same.mode)
                == (listed.size_bytes, listed.modified_nanos, listed.mode)
            && fs::hard_link(dir.join(DATA).join(path), &to).is_ok()
        {
            return Ok(same.clone());
        }
        (listed.hash, listed.size_bytes) = copy_file(&from, &to, listed.mode, listed.modified_nanos)?;
        self.report.copied_files += 1;
        self.report.copied_bytes += listed.size_bytes;
        Ok(listed)
    }
}

/// Restores a backup into a directory that does not exist or is empty. `path` is one backup, or the directory of them, of
/// which the newest is then taken. Every file is compared with the manifest before any is in place.
///
/// # Errors
/// [`BackupError::Damaged`] naming the file; [`BackupError::Unsuitable`]; [`BackupError::Io`]. Nothing is then restored.
pub fn restore(path: &Path, data: &Path) -> Result<BackupReport, BackupError> {
    let (dir, manifest) = find(path)?;
    let is_empty = match fs::read_dir(data) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => true,
        Err(error) => return Err(io_error("read", data)(error)),
    };
    if !is_empty {
        let reason = "it is not empty; restore into a new directory, so that nothing is overwritten".to_owned();
        return Err(BackupError::Unsuitable { path: data.to_owned(), reason });
    }
    let mut name = data.file_name().unwrap_or_default().to_owned();
    name.push(".restoring");
    let partial = data.with_file_name(name);
    if partial.exists() {
        fs::remove_dir_all(&partial).map_err(io_error("remove", &partial))?;
    }
    let restored = bring_back(&dir, &manifest, &partial).and_then(|report| {
        if data.exists() {
            fs::remove_dir(data).map_err(io_error("replace", data))?;
        }
        fs::rename(&partial, data).map_err(io_error("create", data))?;
        if let Some(parent) = data.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            sync_dir(parent)?;
        }
        Ok(report)
    });
    if restored.is_err() {
        let _ = fs::remove_dir_all(&partial);
    }
    restored
}

fn bring_back(dir: &Path, manifest: &Manifest, to: &Path) -> Result<BackupReport, BackupError> {
    let mut report = BackupReport {
        path: dir.to_owned(),
        made_at: manifest.made_at.clone(),
        root_size: manifest.root_size,
        manifest: sha256(manifest.text().as_bytes()).to_hex(),
        ..BackupReport::default()
    };
    fs::create_dir_all(to).map_err(io_error("create", to))?;
    for (path, listed) in &manifest.files {
        let (from, target) = (dir.join(DATA).join(path), to.join(path));
        let parent = target.parent().unwrap_or(to);
        fs::create_dir_all(parent).map_err(io_error("create", parent))?;
        let (hash, size_bytes) = match copy_file(&from, &target, listed.mode, listed.modified_nanos) {
            Err(BackupError::Io { source, path, .. }) if source.kind() == io::ErrorKind::NotFound && path == from => {
                return Err(BackupError::Damaged { path: from, reason: "the file is missing".to_owned() });
            }
            other => other?,
        };
        if (hash, size_bytes) != (listed.hash, listed.size_bytes) {
            let reason = "its content is not the one that was copied".to_owned();
            return Err(BackupError::Damaged { path: from, reason });
        }
        report.num_files += 1;
        report.total_bytes += size_bytes;
    }
    (report.copied_files, report.copied_bytes) = (report.num_files, report.total_bytes);
    sync_dirs(to)?;
    Ok(report)
}

/// The backup that a path names.
fn find(path: &Path) -> Result<(PathBuf, Manifest), BackupError> {
    if path.join(MANIFEST).is_file() {
        return Ok((path.to_owned(), Manifest::read(&path.join(MANIFEST))?));
    }
    newest(path)?.ok_or_else(|| BackupError::Unsuitable {
        path: path.to_owned(),
        reason: "there is no finished backup in it".to_owned(),
    })
}

/// The newest finished backup below a directory, which must hold nothing but backups.
fn newest(dir: &Path) -> Result<Option<(PathBuf, Manifest)>, BackupError> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).map_err(io_error("read", dir))? {
        let entry = entry.map_err(io_error("read", dir))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_backup = name.len() >= 20 && name.as_bytes()[10] == b'T' && name.ends_with('Z') && entry.path().is_dir();
        if !is_backup {
            let reason = format!("it holds {name}, which is no backup; choose an empty or a new directory");
            return Err(BackupError::Unsuitable { path: dir.to_owned(), reason });
        }
        names.push(name);
    }
    names.sort();
    let finished = names.into_iter().rev().map(|name| dir.join(name)).find(|path| path.join(MANIFEST).is_file());
    finished.map(|path| Ok((path.clone(), Manifest::read(&path.join(MANIFEST))?))).transpose()
}

impl Manifest {
    fn text(&self) -> String {
        let mut text = format!("{HEADER}\nmade {}\ntenant {}\nroot {}\n", self.made_at, self.tenant, self.root_size);
        for (path, file) in &self.files {
            let Listed { hash, size_bytes, mode, modified_nanos } = file;
            let _ = writeln!(text, "{} {size_bytes} {mode:o} {modified_nanos} {path}", hash.to_hex());
        }
        let hash = sha256(text.as_bytes()).to_hex();
        let _ = writeln!(text, "end {} {hash}", self.files.len());
        text
    }

    fn read(path: &Path) -> Result<Self, BackupError> {
        let damaged = |reason: &str| BackupError::Damaged { path: path.to_owned(), reason: reason.to_owned() };
        let metadata = fs::metadata(path).map_err(io_error("read", path))?;
        if metadata.len() > MANIFEST_BYTES_MAX {
            return Err(damaged("it is too large for a manifest"));
        }
        let bytes = fs::read(path).map_err(io_error("read", path))?;
        let text = String::from_utf8(bytes).map_err(|_| damaged("it is not text"))?;
        let manifest = Self::parse(&text).ok_or_else(|| damaged("it is not a manifest of version 1"))?;
        // Writing it again gives the same text, or a line was changed, moved or lost.
        if manifest.text() == text { Ok(manifest) } else { Err(damaged("it is not the manifest that was written")) }
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        if lines.next()? != HEADER {
            return None;
        }
        let made_at = lines.next()?.strip_prefix("made ")?.to_owned();
        let tenant = lines.next()?.strip_prefix("tenant ")?.to_owned();
        let root_size = lines.next()?.strip_prefix("root ")?.parse().ok()?;
        let mut files = BTreeMap::new();
        for line in lines.take_while(|line| !line.starts_with("end ")) {
            let mut parts = line.splitn(5, ' ');
            let listed = Listed {
                hash: Hash::from_hex(parts.next()?).ok()?,
                size_bytes: parts.next()?.parse().ok()?,
                mode: u32::from_str_radix(parts.next()?, 8).ok()?,
                modified_nanos: parts.next()?.parse().ok()?,
            };
            let path = parts.next().filter(|path| is_within(path))?;
            files.insert(path.to_owned(), listed);
        }
        Some(Self { made_at, tenant, root_size, files })
    }
}

/// Whether a path leads to a file below the directory it is joined to.
fn is_within(path: &str) -> bool {
    path.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
}

fn read_tenant(data: &Path) -> Result<String, BackupError> {
    let path = data.join("tenant.id");
    let text = fs::read_to_string(&path).map_err(io_error("read", &path))?;
    Ok(text.trim().to_owned())
}

/// Every file below a directory as a path within it, in order.
fn files_below(dir: &Path) -> Result<Vec<String>, BackupError> {
    let mut files = Vec::new();
    let mut pending = vec![dir.to_owned()];
    while let Some(next) = pending.pop() {
        for entry in fs::read_dir(&next).map_err(io_error("read", &next))? {
            let path = entry.map_err(io_error("read", &next))?.path();
            if path.is_dir() {
                pending.push(path);
                continue;
            }
            let within = path.strip_prefix(dir).ok().and_then(Path::to_str);
            let within = within.filter(|within| !within.contains('\n')).ok_or_else(|| BackupError::Unsuitable {
                path: path.clone(),
                reason: "a file of the data directory has a name that is no text".to_owned(),
            })?;
            files.push(within.to_owned());
        }
    }
    files.sort();
    Ok(files)
}

/// Copies a file with its mode and time, synced; returns the SHA-256 and the size of what was copied.
fn copy_file(from: &Path, to: &Path, mode: u32, modified_nanos: u64) -> Result<(Hash, u64), BackupError> {
    let mut input = fs::File::open(from).map_err(io_error("read", from))?;
    let mut output = fs::File::create_new(to).map_err(io_error("create", to))?;
    // Private before it has content.
    output.set_permissions(fs::Permissions::from_mode(mode)).map_err(io_error("create", to))?;
    let (mut hasher, mut size_bytes) = (moneta_host::Sha256::default(), 0);
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let len = input.read(&mut piece).map_err(io_error("read", from))?;
        if len == 0 {
            break;
        }
        hasher.update(&piece[..len]);
        output.write_all(&piece[..len]).map_err(io_error("write", to))?;
        size_bytes += len as u64;
    }
    let modified = SystemTime::UNIX_EPOCH + Duration::from_nanos(modified_nanos);
    output.set_modified(modified).and_then(|()| output.sync_all()).map_err(io_error("write", to))?;
    Ok((Hash(hasher.finish()), size_bytes))
}

fn modified_nanos(metadata: &fs::Metadata) -> u64 {
    let since = metadata.modified().ok().and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
    since.and_then(|since| u64::try_from(since.as_nanos()).ok()).unwrap_or(0)
}

fn sync_dir(dir: &Path) -> Result<(), BackupError> {
    RealFs.sync_dir(dir).map_err(io_error("sync", dir))
}

fn sync_dirs(dir: &Path) -> Result<(), BackupError> {
    for entry in fs::read_dir(dir).map_err(io_error("read", dir))? {
        let path = entry.map_err(io_error("read", dir))?.path();
        if path.is_dir() {
            sync_dirs(&path)?;
        }
    }
    sync_dir(dir)
}

#[cfg(test)]
mod tests {
    use moneta_testkit::TestDir;

    use super::*;

    #[test]
    fn a_snapshot_that_is_removed_while_it_is_copied_is_no_backup() {
        let dir = TestDir::new();
        let path = dir.path().join("data/snapshot/now");
        fs::create_dir_all(&path).expect("a directory");
        for name in ["a", "b", "tenant.id"] {
            fs::write(path.join(name), name).expect("a file");
        }
        assert_eq!(unless_removed(&path, |files| Ok(files.len())).expect("all files are there"), 3);
        let removed = unless_removed(&path, |_| fs::remove_file(path.join("b")).map_err(io_error("remove", &path)));
        assert!(matches!(removed, Err(BackupError::SnapshotGone { .. })), "{removed:?}");
        fs::remove_dir_all(&path).expect("a directory");
        let removed = unless_removed(&path, |files| Ok(files.len()));
        assert!(matches!(removed, Err(BackupError::SnapshotGone { .. })), "{removed:?}");
    }
}
