//! A file system in memory that loses what a power cut may lose, and fails when told to.
//!
//! It keeps two states: what programs see, and what the disk holds. Appends and cuts reach the disk with
//! [`File::sync`], names with [`FileSystem::sync_dir`] of their directory. [`SimFs::crash`] makes the disk state the
//! visible one after applying a random part of what was not yet synced: dropped, torn, or out of order with a hole of
//! zeros. A failed sync loses its data for good, as Linux does: a later sync succeeds and does not bring it back.
//!
//! Not simulated: bit rot (tests flip bytes with [`SimFs::overwrite`]) and a directory's own removal order.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use moneta_base::fs::{DirEntry, File, FileSystem};

use crate::Random;

/// The kinds of call that can be counted, recorded and failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CallKind {
    /// [`FileSystem::create`]
    Create,
    /// [`FileSystem::open_at`]
    OpenAt,
    /// [`File::append`]
    Append,
    /// [`File::sync`]
    Sync,
    /// [`FileSystem::read`] and [`FileSystem::read_range`]
    Read,
    /// [`FileSystem::size`]
    Size,
    /// [`FileSystem::list`]
    List,
    /// [`FileSystem::create_dir_all`]
    CreateDir,
    /// [`FileSystem::rename`]
    Rename,
    /// [`FileSystem::link_new`]
    Link,
    /// [`FileSystem::remove_file`] and [`FileSystem::remove_dir_all`]
    Remove,
    /// [`FileSystem::sync_dir`]
    SyncDir,
    /// [`FileSystem::make_private`]
    MakePrivate,
}

/// One call as it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// What was called.
    pub kind: CallKind,
    /// On which path.
    pub path: PathBuf,
}

/// How a chosen call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Input/output error; nothing is done.
    Eio,
    /// Interrupted by a signal; nothing is done.
    Eintr,
    /// No space left on device; an append has written nothing.
    Enospc,
    /// No space left on device after half of the append was written.
    ShortWrite,
    /// Power is cut during the call: half of an append is written, and every later call fails until
    /// [`SimFs::crash`].
    PowerCut,
}

/// A simulated file system. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct SimFs {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    inodes: Vec<Inode>,
    visible: BTreeMap<PathBuf, Entry>,
    on_disk: BTreeMap<PathBuf, Entry>,
    name_changes: Vec<NameChange>,
    calls: Vec<Call>,
    faults: Vec<(usize, Fault)>,
    cut: bool,
    capacity_bytes: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entry {
    Dir,
    File(usize),
}

/// A file's content, seen and on disk, and the changes in between.
#[derive(Debug, Default)]
struct Inode {
    content: Vec<u8>,
    on_disk: Vec<u8>,
    pending: Vec<Change>,
}

#[derive(Debug, Clone)]
struct Change {
    kind: ChangeKind,
    /// A failed sync gave up on it: only a crash may still have written it.
    given_up: bool,
}

#[derive(Debug, Clone)]
enum ChangeKind {
    Cut(usize),
    Write { offset: usize, bytes: Vec<u8> },
}

/// A change of names that is atomic on disk: removals and insertions together.
#[derive(Debug, Clone)]
struct NameChange {
    dirs: BTreeSet<PathBuf>,
    remove: Vec<PathBuf>,
    insert: Option<(PathBuf, Entry)>,
}

impl SimFs {
    /// An empty file system.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes the `nth` call from now on (0 is the next) fail, whatever it is.
    pub fn fail_call(&self, nth: usize, fault: Fault) {
        let mut state = self.lock();
        let at = state.calls.len() + nth;
        state.faults.push((at, fault));
    }

    /// Removes faults that did not happen yet.
    pub fn clear_faults(&self) {
        self.lock().faults.clear();
    }

    /// Limits the bytes of all files together; an append beyond it is cut short with "no space left on device".
    pub fn set_capacity_bytes(&self, capacity_bytes: Option<u64>) {
        self.lock().capacity_bytes = capacity_bytes;
    }

    /// The calls made so far.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.lock().calls.clone()
    }

    /// The number of calls made so far.
    #[must_use]
    pub fn num_calls(&self) -> usize {
        self.lock().calls.len()
    }

    /// Whether a [`Fault::PowerCut`] has happened and [`SimFs::crash`] has not been called since.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.lock().cut
    }

    /// Cuts the power and starts again: of everything not synced a part chosen by `seed` is on disk.
    pub fn crash(&self, seed: u64) {
        let mut random = Random::new(seed);
        let mut state = self.lock();
        let changes = std::mem::take(&mut state.name_changes);
        let mut names = std::mem::take(&mut state.on_disk);
        for change in pick(&mut random, changes) {
            change.apply(&mut names);
        }
        let kept: BTreeMap<PathBuf, Entry> = names.clone();
        names.retain(|path, _| ancestors_exist(path, &kept));
        for inode in &mut state.inodes {
            inode.crash(&mut random);
        }
        state.visible.clone_from(&names);
        state.on_disk = names;
        state.cut = false;
        state.faults.clear();
    }

    /// Every file that programs see, in name order.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        let state = self.lock();
        state
            .visible
            .iter()
            .filter(|(_, entry)| matches!(entry, Entry::File(_)))
            .map(|(path, _)| path.clone())
            .collect()
    }

    /// The content of a file, without counting as a call.
    #[must_use]
    pub fn peek(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.lock();
        state.file(path).ok().map(|inode| state.inodes[inode].content.clone())
    }

    /// Replaces the content of a file, seen and on disk, behind the back of the program; creates it if needed.
    pub fn overwrite(&self, path: &Path, bytes: &[u8]) {
        let mut state = self.lock();
        let inode = state.file(path).unwrap_or_else(|_| {
            let inode = state.new_inode();
            state.visible.insert(path.to_owned(), Entry::File(inode));
            state.on_disk.insert(path.to_owned(), Entry::File(inode));
            inode
        });
        state.inodes[inode] = Inode { content: bytes.to_vec(), on_disk: bytes.to_vec(), pending: Vec::new() };
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts the call and fails it if it is due to fail.
    fn enter(&self, kind: CallKind, path: &Path) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.lock();
        match state.enter(kind, path)? {
            None => Ok(state),
            Some(fault) => Err(fault.error()),
        }
    }
}

impl Fault {
    fn error(self) -> io::Error {
        match self {
            Self::Eio => io::Error::from_raw_os_error(5),
            Self::Eintr => io::Error::from_raw_os_error(4),
            Self::Enospc | Self::ShortWrite => io::Error::from_raw_os_error(28),
            Self::PowerCut => io::Error::other("simulated power cut"),
        }
    }
}

impl State {
    fn enter(&mut self, kind: CallKind, path: &Path) -> io::Result<Option<Fault>> {
        if self.cut {
            return Err(Fault::PowerCut.error());
        }
        let index = self.calls.len();
        self.calls.push(Call { kind, path: path.to_owned() });
        let due = self.faults.iter().position(|(at, _)| *at == index);
        let fault = due.map(|position| self.faults.remove(position).1);
        self.cut = fault == Some(Fault::PowerCut);
        Ok(fault)
    }

    fn new_inode(&mut self) -> usize {
        self.inodes.push(Inode::default());
        self.inodes.len() - 1
    }

    fn file(&self, path: &Path) -> io::Result<usize> {
        match self.visible.get(path) {
            Some(Entry::File(inode)) => Ok(*inode),
            Some(Entry::Dir) => Err(io::Error::from_raw_os_error(21)),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn change_names(&mut self, remove: Vec<PathBuf>, insert: Option<(PathBuf, Entry)>) {
        let touched = remove.iter().chain(insert.iter().map(|(path, _)| path));
        let dirs = touched.filter_map(|path| path.parent().map(Path::to_owned)).collect();
        let change = NameChange { dirs, remove, insert };
        change.apply(&mut self.visible);
        self.name_changes.push(change);
    }

    fn check_parent(&self, path: &Path) -> io::Result<()> {
        match path.parent().is_none_or(|parent| is_root(parent) || self.visible.get(parent) == Some(&Entry::Dir)) {
            true => Ok(()),
            false => Err(io::Error::new(io::ErrorKind::NotFound, format!("no directory for {}", path.display()))),
        }
    }

    /// How many more bytes fit.
    fn room(&self) -> usize {
        let Some(capacity) = self.capacity_bytes else { return usize::MAX };
        let inodes: BTreeSet<usize> = self
            .visible
            .values()
            .filter_map(|e| if let Entry::File(inode) = e { Some(*inode) } else { None })
            .collect();
        let used: usize = inodes.into_iter().map(|inode| self.inodes[inode].content.len()).sum();
        usize::try_from(capacity).unwrap_or(usize::MAX).saturating_sub(used)
    }
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<PathBuf, Entry>) {
        for path in &self.remove {
            names.remove(path);
        }
        if let Some((path, entry)) = &self.insert {
            names.insert(path.clone(), *entry);
        }
    }
}

impl Inode {
    fn change(&mut self, kind: ChangeKind) {
        kind.apply(&mut self.content);
        self.pending.push(Change { kind, given_up: false });
    }

    fn sync(&mut self) {
        let (given_up, synced): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.pending).into_iter().partition(|change| change.given_up);
        synced.iter().for_each(|change| change.kind.apply(&mut self.on_disk));
        self.pending = given_up;
    }

    fn crash(&mut self, random: &mut Random) {
        for change in pick(random, std::mem::take(&mut self.pending)) {
            let torn = match change.kind {
                ChangeKind::Write { offset, bytes } if random.chance(4) => {
                    let kept = random.below(bytes.len() + 1);
                    ChangeKind::Write { offset, bytes: bytes[..kept].to_vec() }
                }
                whole => whole,
            };
            torn.apply(&mut self.on_disk);
        }
        self.content.clone_from(&self.on_disk);
    }
}

impl ChangeKind {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Cut(len) => content.truncate(*len),
            Self::Write { offset, bytes } => {
                let end = offset + bytes.len();
                if content.len() < end {
                    content.resize(end, 0);
                }
                content[*offset..end].copy_from_slice(bytes);
            }
        }
    }
}

/// Chooses which unsynced changes reached the disk: none, all, the first few, or any of them.
fn pick<T>(random: &mut Random, changes: Vec<T>) -> Vec<T> {
    match random.below(4) {
        0 => Vec::new(),
        1 => changes,
        2 => {
            let kept = random.below(changes.len() + 1);
            changes.into_iter().take(kept).collect()
        }
        _ => changes.into_iter().filter(|_| random.chance(2)).collect(),
    }
}

fn is_root(path: &Path) -> bool {
    path.as_os_str().is_empty() || path.parent().is_none()
}

fn ancestors_exist(path: &Path, names: &BTreeMap<PathBuf, Entry>) -> bool {
    path.ancestors().skip(1).all(|dir| is_root(dir) || names.get(dir) == Some(&Entry::Dir))
}

#[derive(Debug)]
struct SimFile {
    fs: SimFs,
    inode: usize,
    path: PathBuf,
}

impl File for SimFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.fs.lock();
        let fault = state.enter(CallKind::Append, &self.path)?;
        let wanted = match fault {
            None => bytes.len(),
            Some(Fault::Eio | Fault::Eintr | Fault::Enospc) => 0,
            Some(Fault::ShortWrite | Fault::PowerCut) => bytes.len() / 2,
        };
        let written = wanted.min(state.room());
        let inode = &mut state.inodes[self.inode];
        if written > 0 {
            let offset = inode.content.len();
            inode.change(ChangeKind::Write { offset, bytes: bytes[..written].to_vec() });
        }
        match fault {
            Some(fault) => Err(fault.error()),
            None if written < bytes.len() => Err(Fault::Enospc.error()),
            None => Ok(()),
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.fs.lock();
        let fault = state.enter(CallKind::Sync, &self.path)?;
        let inode = &mut state.inodes[self.inode];
        match fault {
            None => {
                inode.sync();
                Ok(())
            }
            Some(fault) => {
                inode.pending.iter_mut().for_each(|change| change.given_up = true);
                Err(fault.error())
            }
        }
    }
}

impl FileSystem for SimFs {
    fn create(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let mut state = self.enter(CallKind::Create, path)?;
        if state.visible.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        state.check_parent(path)?;
        let inode = state.new_inode();
        state.change_names(Vec::new(), Some((path.to_owned(), Entry::File(inode))));
        Ok(Box::new(SimFile { fs: self.clone(), inode, path: path.to_owned() }))
    }

    fn open_at(&self, path: &Path, size_bytes: u64) -> io::Result<Box<dyn File>> {
        let mut state = self.enter(CallKind::OpenAt, path)?;
        let inode = state.file(path)?;
        let size = usize::try_from(size_bytes).expect("simulated files are small");
        if state.inodes[inode].content.len() > size {
            state.inodes[inode].change(ChangeKind::Cut(size));
        }
        Ok(Box::new(SimFile { fs: self.clone(), inode, path: path.to_owned() }))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let state = self.enter(CallKind::Read, path)?;
        let inode = state.file(path)?;
        Ok(state.inodes[inode].content.clone())
    }

    fn read_range(&self, path: &Path, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let state = self.enter(CallKind::Read, path)?;
        let content = &state.inodes[state.file(path)?].content;
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let range = start.checked_add(len).and_then(|end| content.get(start..end));
        range.map(<[u8]>::to_vec).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    fn size(&self, path: &Path) -> io::Result<u64> {
        let state = self.enter(CallKind::Size, path)?;
        match state.visible.get(path) {
            Some(Entry::File(inode)) => Ok(state.inodes[*inode].content.len() as u64),
            Some(Entry::Dir) => Ok(0),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        let state = self.enter(CallKind::List, dir)?;
        let children = state.visible.iter().filter(|(path, _)| path.parent() == Some(dir));
        let entry = |(path, entry): (&PathBuf, &Entry)| match entry {
            Entry::Dir => DirEntry { path: path.clone(), is_dir: true, size_bytes: 0 },
            Entry::File(inode) => {
                DirEntry { path: path.clone(), is_dir: false, size_bytes: state.inodes[*inode].content.len() as u64 }
            }
        };
        Ok(children.map(entry).collect())
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.enter(CallKind::CreateDir, dir)?;
        let mut missing: Vec<&Path> =
            dir.ancestors().filter(|path| !is_root(path) && !state.visible.contains_key(*path)).collect();
        missing.reverse();
        for path in missing {
            state.change_names(Vec::new(), Some((path.to_owned(), Entry::Dir)));
        }
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.enter(CallKind::Rename, from)?;
        let inode = state.file(from)?;
        state.check_parent(to)?;
        state.change_names(vec![from.to_owned()], Some((to.to_owned(), Entry::File(inode))));
        Ok(())
    }

    fn link_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.enter(CallKind::Link, to)?;
        let inode = state.file(from)?;
        if state.visible.contains_key(to) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        state.check_parent(to)?;
        state.change_names(Vec::new(), Some((to.to_owned(), Entry::File(inode))));
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut state = self.enter(CallKind::Remove, path)?;
        state.file(path)?;
        state.change_names(vec![path.to_owned()], None);
        Ok(())
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut state = self.enter(CallKind::Remove, path)?;
        if !state.visible.contains_key(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let inside: Vec<PathBuf> = state.visible.keys().filter(|name| name.starts_with(path)).cloned().collect();
        // Deepest first and one by one: a crash may leave the directory half empty.
        for name in inside.into_iter().rev() {
            state.change_names(vec![name], None);
        }
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.enter(CallKind::SyncDir, dir)?;
        let all = std::mem::take(&mut state.name_changes);
        let (synced, pending): (Vec<_>, Vec<_>) = all.into_iter().partition(|change| change.dirs.contains(dir));
        synced.iter().for_each(|change| change.apply(&mut state.on_disk));
        state.name_changes = pending;
        Ok(())
    }

    fn make_private(&self, path: &Path) -> io::Result<()> {
        let state = self.enter(CallKind::MakePrivate, path)?;
        state.file(path).map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use moneta_base::fs::write_atomically;

    use super::*;

    fn fs_with_dir() -> SimFs {
        let fs = SimFs::new();
        fs.create_dir_all(Path::new("/d")).unwrap();
        fs.sync_dir(Path::new("/")).unwrap();
        fs
    }

    #[test]
    fn synced_data_under_a_synced_name_survives_every_crash() {
        for seed in 0..200 {
            let fs = fs_with_dir();
            let mut file = fs.create(Path::new("/d/f")).unwrap();
            file.append(b"kept").unwrap();
            file.sync().unwrap();
            fs.sync_dir(Path::new("/d")).unwrap();
            file.append(b"maybe").unwrap();
            fs.crash(seed);
            assert!(fs.peek(Path::new("/d/f")).unwrap().starts_with(b"kept"), "seed {seed}");
        }
    }

    #[test]
    fn unsynced_data_and_names_are_lost_kept_and_torn_by_some_crash() {
        let outcomes: BTreeSet<Option<Vec<u8>>> = (0..1000)
            .map(|seed| {
                let fs = fs_with_dir();
                let mut file = fs.create(Path::new("/d/f")).unwrap();
                file.append(b"ab").unwrap();
                file.append(b"cd").unwrap();
                fs.crash(seed);
                fs.peek(Path::new("/d/f"))
            })
            .collect();
        for expected in [None, Some(&b""[..]), Some(b"ab"), Some(b"abcd"), Some(b"\0\0cd"), Some(b"abc")] {
            assert!(outcomes.contains(&expected.map(<[u8]>::to_vec)), "{expected:?} in {outcomes:?}");
        }
    }

    #[test]
    fn an_atomic_write_leaves_the_old_or_the_new_content_whatever_call_is_cut() {
        for cut in 0..8 {
            for seed in 0..50 {
                let fs = fs_with_dir();
                write_atomically(&fs, Path::new("/d/f"), b"old").unwrap();
                fs.fail_call(cut, Fault::PowerCut);
                let result = write_atomically(&fs, Path::new("/d/f"), b"new");
                fs.crash(seed);
                let content = fs.peek(Path::new("/d/f")).unwrap();
                assert!(content == b"new" || (content == b"old" && result.is_err()), "cut {cut} seed {seed}");
            }
        }
    }

    #[test]
    fn a_failed_sync_loses_its_data_even_when_the_next_one_succeeds() {
        let fs = fs_with_dir();
        let mut file = fs.create(Path::new("/d/f")).unwrap();
        fs.sync_dir(Path::new("/d")).unwrap();
        file.append(b"x").unwrap();
        fs.fail_call(0, Fault::Eio);
        assert!(file.sync().is_err());
        file.sync().unwrap();
        assert_eq!(fs.peek(Path::new("/d/f")).unwrap(), b"x");
        let lost = (0..20).any(|seed| {
            let state = fs.lock();
            let mut inode = Inode {
                content: state.inodes[0].content.clone(),
                on_disk: state.inodes[0].on_disk.clone(),
                pending: state.inodes[0].pending.clone(),
            };
            inode.crash(&mut Random::new(seed));
            inode.content.is_empty()
        });
        assert!(lost);
    }

    #[test]
    fn faults_happen_at_the_chosen_call_and_once() {
        let fs = fs_with_dir();
        fs.fail_call(1, Fault::Enospc);
        let mut file = fs.create(Path::new("/d/f")).unwrap();
        assert_eq!(file.append(b"abcd").unwrap_err().raw_os_error(), Some(28));
        file.append(b"abcd").unwrap();
        fs.fail_call(0, Fault::ShortWrite);
        assert!(file.append(b"efgh").is_err());
        assert_eq!(fs.peek(Path::new("/d/f")).unwrap(), b"abcdef");
        fs.set_capacity_bytes(Some(7));
        assert_eq!(file.append(b"gh").unwrap_err().raw_os_error(), Some(28));
        assert_eq!(fs.peek(Path::new("/d/f")).unwrap(), b"abcdefg");
        assert_eq!(fs.calls().last().unwrap().kind, CallKind::Append);
    }

    #[test]
    fn link_new_gives_a_name_once() {
        let fs = fs_with_dir();
        fs.create(Path::new("/d/a")).unwrap().append(b"x").unwrap();
        fs.link_new(Path::new("/d/a"), Path::new("/d/b")).unwrap();
        assert_eq!(fs.link_new(Path::new("/d/a"), Path::new("/d/b")).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert!(fs.create(Path::new("/none/a")).is_err());
    }
}
