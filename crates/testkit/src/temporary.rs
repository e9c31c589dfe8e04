//! A directory that goes away with its test.

use std::path::{Path, PathBuf};

/// A fresh directory, removed when dropped.
#[derive(Debug)]
pub struct TestDir {
    inner: tempfile::TempDir,
}

impl TestDir {
    /// Makes the directory.
    ///
    /// # Panics
    /// When the system's temporary directory cannot be written.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "touching the disk should be visible at the call")]
    pub fn new() -> Self {
        let inner = tempfile::Builder::new().prefix("moneta-test-").tempdir();
        Self { inner: inner.expect("the temporary directory is writable") }
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.inner.path()
    }

    /// A path below the directory.
    #[must_use]
    pub fn join(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }
}
