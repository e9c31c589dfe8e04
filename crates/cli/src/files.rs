//! Finds the files a command is pointed at, and names their content.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use moneta_merkle::sha256;

use crate::failure::Failure;

/// Directories below the one named at most: deeper trees are loops in all but name.
const DEPTH_MAX: usize = 64;
/// Bytes read at a time.
pub const READ_BYTES: usize = 1 << 20;

/// A file to work on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// Where it is.
    pub path: PathBuf,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// Whether it was named itself, not found in a directory.
    pub named: bool,
}

/// Files named, and files in directories named, in order of path. Links within directories are not followed.
///
/// # Errors
/// When something named does not exist or cannot be read.
pub fn find(paths: &[PathBuf]) -> Result<Vec<Input>, Failure> {
    let mut found = Vec::new();
    for path in paths {
        let metadata = fs::metadata(path).map_err(|error| unreadable(path, error))?;
        if metadata.is_dir() {
            walk(path, 0, &mut found)?;
        } else {
            found.push(Input { path: path.clone(), size_bytes: metadata.len(), named: true });
        }
    }
    Ok(found)
}

fn walk(dir: &Path, depth: usize, found: &mut Vec<Input>) -> Result<(), Failure> {
    let entries = fs::read_dir(dir).and_then(|entries| entries.collect::<io::Result<Vec<_>>>());
    let mut entries = entries.map_err(|error| unreadable(dir, error))?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let metadata = entry.metadata().map_err(|error| unreadable(&path, error))?;
        if metadata.is_dir() && depth < DEPTH_MAX {
            walk(&path, depth + 1, found)?;
        } else if metadata.is_file() {
            found.push(Input { path, size_bytes: metadata.len(), named: false });
        }
    }
    Ok(())
}

/// The content of a file in 64 hexadecimal digits: SHA-256 over the SHA-256 of its pieces of [`READ_BYTES`].
///
/// # Errors
/// When it cannot be read.
pub fn content_id(path: &Path) -> Result<String, Failure> {
    let mut file = File::open(path).map_err(|error| unreadable(path, error))?;
    let mut pieces = Vec::new();
    loop {
        let piece = read_piece(&mut file).map_err(|error| unreadable(path, error))?;
        if piece.is_empty() {
            return Ok(sha256(&pieces).to_hex());
        }
        pieces.extend_from_slice(sha256(&piece).as_bytes());
    }
}

/// The next piece of a file; empty at its end, full before.
///
/// # Errors
/// When it cannot be read.
pub fn read_piece(file: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut piece = Vec::with_capacity(READ_BYTES);
    file.take(READ_BYTES as u64).read_to_end(&mut piece)?;
    Ok(piece)
}

/// The failure of reading a file.
pub fn unreadable(path: &Path, error: io::Error) -> Failure {
    Failure::io(format!("cannot read {}", path.display()), error)
}

#[cfg(test)]
mod tests {
    use moneta_testkit::TestDir;

    use super::*;

    #[test]
    fn directories_are_walked_in_order() {
        let dir = TestDir::new();
        fs::create_dir(dir.join("b")).unwrap();
        for name in ["b/2", "a", "b/1"] {
            fs::write(dir.join(name), name).unwrap();
        }
        let found = find(&[dir.path().to_owned(), dir.join("a")]).unwrap();
        let names: Vec<_> =
            found.iter().map(|input| (input.path.file_name().unwrap().to_str().unwrap(), input.named)).collect();
        assert_eq!(names, [("a", false), ("1", false), ("2", false), ("a", true)]);
        assert!(find(&[dir.join("none")]).is_err());
    }

    #[test]
    fn content_is_named_by_its_bytes_alone() {
        let dir = TestDir::new();
        let id = |name: &str, bytes: &[u8]| {
            fs::write(dir.join(name), bytes).unwrap();
            content_id(&dir.join(name)).unwrap()
        };
        let long = vec![7; READ_BYTES + 1];
        assert_eq!(id("a", &long), id("b", &long));
        assert_ne!(id("a", &long), id("b", &long[1..]));
        assert_eq!(id("c", b"").len(), 64);
    }
}
