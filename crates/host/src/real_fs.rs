//! The real file system.
//!
//! Every descriptor is close-on-exec, which the standard library sets. Data is made durable with `fdatasync`, names
//! with `fsync` of their directory. `EINTR` is retried; nothing else is.

use std::fs;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use moneta_base::fs::{DirEntry, File, FileSystem};

/// Mode of files that only their owner may read.
const PRIVATE_MODE: u32 = 0o600;

/// Files of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealFs;

#[derive(Debug)]
struct RealFile(fs::File);

impl File for RealFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }
}

impl FileSystem for RealFs {
    fn create(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let file = fs::OpenOptions::new().write(true).create_new(true).open(path)?;
        Ok(Box::new(RealFile(file)))
    }

    fn open_at(&self, path: &Path, size_bytes: u64) -> io::Result<Box<dyn File>> {
        let mut file = fs::OpenOptions::new().write(true).open(path)?;
        if file.metadata()?.len() > size_bytes {
            file.set_len(size_bytes)?;
        }
        file.seek(SeekFrom::End(0))?;
        Ok(Box::new(RealFile(file)))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn read_range(&self, path: &Path, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let mut file = fs::File::open(path)?;
        file.seek(SeekFrom::Start(offset))?;
        // Reserves nothing before the file has shown that it is that long.
        let mut bytes = Vec::new();
        file.take(u64::try_from(len).unwrap_or(u64::MAX)).read_to_end(&mut bytes)?;
        match bytes.len() == len {
            true => Ok(bytes),
            false => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    fn size(&self, path: &Path) -> io::Result<u64> {
        fs::metadata(path).map(|metadata| metadata.len())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        let listing = match fs::read_dir(dir) {
            Ok(listing) => listing,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut entries = Vec::new();
        for entry in listing {
            let entry = entry?;
            let metadata = match entry.metadata() {
                Ok(metadata) => metadata,
                // Removed between listing and looking.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let size_bytes = if metadata.is_dir() { 0 } else { metadata.len() };
            entries.push(DirEntry { path: entry.path(), is_dir: metadata.is_dir(), size_bytes });
        }
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(entries)
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        fs::create_dir_all(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn link_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir_all(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        // The parent of a relative name without a directory is the current one.
        let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
        fs::File::open(dir)?.sync_all()
    }

    fn make_private(&self, path: &Path) -> io::Result<()> {
        fs::set_permissions(path, fs::Permissions::from_mode(PRIVATE_MODE))
    }
}

#[cfg(test)]
mod tests {
    use moneta_base::fs::write_atomically;
    use moneta_testkit::{SimFs, TestDir};

    use super::*;

    /// What every file system must do alike, so that the simulated one is a fair stand-in.
    fn check_contract(fs: &dyn FileSystem, root: &Path) {
        let dir = root.join("a/b");
        fs.create_dir_all(&dir).unwrap();
        fs.create_dir_all(&dir).unwrap();
        let path = dir.join("f");
        assert_eq!(fs.read(&path).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(fs.list(&root.join("none")).unwrap().is_empty());
        let mut file = fs.create(&path).unwrap();
        assert_eq!(fs.create(&path).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        file.append(b"hello ").unwrap();
        file.append(b"world").unwrap();
        file.sync().unwrap();
        assert_eq!(fs.size(&path).unwrap(), 11);
        assert_eq!(fs.read_range(&path, 6, 5).unwrap(), b"world");
        assert_eq!(fs.read_range(&path, 6, 6).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        fs.open_at(&path, 5).unwrap().append(b"!").unwrap();
        assert_eq!(fs.read(&path).unwrap(), b"hello!");
        let other = dir.join("g");
        fs.link_new(&path, &other).unwrap();
        assert_eq!(fs.link_new(&path, &other).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        fs.rename(&path, &dir.join("h")).unwrap();
        let names: Vec<_> = fs.list(&dir).unwrap().iter().map(|e| (e.name().to_owned(), e.size_bytes)).collect();
        assert_eq!(names, [("g".to_owned(), 6), ("h".to_owned(), 6)]);
        assert!(fs.list(root).unwrap()[0].is_dir);
        write_atomically(fs, &other, b"new").unwrap();
        assert_eq!(fs.read(&other).unwrap(), b"new");
        fs.make_private(&other).unwrap();
        fs.sync_dir(&dir).unwrap();
        fs.remove_file(&other).unwrap();
        fs.remove_dir_all(&root.join("a")).unwrap();
        assert!(!fs.exists(&dir));
    }

    #[test]
    fn real_and_simulated_file_systems_behave_alike() {
        let dir = TestDir::new();
        check_contract(&RealFs, dir.path());
        check_contract(&SimFs::new(), Path::new("/"));
    }

    #[test]
    fn private_files_are_for_their_owner_alone() {
        let dir = TestDir::new();
        let path = dir.join("key");
        RealFs.create(&path).unwrap();
        RealFs.make_private(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
