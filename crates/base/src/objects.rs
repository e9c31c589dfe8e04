//! An object store as durable code sees it, as a trait: written against it, lost answers and errors can be simulated.
//!
//! Rules every implementation keeps: an object that was put is durable and whole when the call returns; it is never
//! changed, only removed; a call whose outcome is unclear is cleared up before it returns, or is an error.

use std::fmt::Debug;
use std::io;

use crate::Timestamp;

/// One object: its key, and which of its versions where the store keeps several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectName {
    /// The key, without a slash at its beginning.
    pub key: String,
    /// The version, as the store names it; none where it keeps no versions.
    pub version: Option<String>,
}

impl ObjectName {
    /// The newest version of a key.
    #[must_use]
    pub fn newest(key: impl Into<String>) -> Self {
        Self { key: key.into(), version: None }
    }
}

/// How an object is protected from being removed early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObjectLock {
    /// Nobody can end the protection early; else those can who have a right to.
    pub is_compliance: bool,
    /// Until when.
    pub until: Timestamp,
}

/// An object in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedObject {
    /// The key.
    pub key: String,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// What tells its content from others of the key (the entity tag); none where the store does not say.
    pub tag: Option<String>,
}

/// The object store as durable code sees it. Every call may take as long as its implementation tries again.
///
/// # Errors
/// Of every call: any I/O error, with `PermissionDenied` when the store refuses, and `TimedOut` when it did not answer.
pub trait Objects: Send + Sync + Debug {
    /// Puts an object unless its key is taken by another content; returns its name. The same content under the key
    /// counts as put. `sha256` is the digest of `bytes`.
    ///
    /// # Errors
    /// `AlreadyExists` when the key holds another content.
    fn put_new(&self, key: &str, bytes: Vec<u8>, sha256: &[u8; 32], lock: Option<ObjectLock>)
    -> io::Result<ObjectName>;

    /// Finds out whether the store keeps an object from being overwritten, by trying to put one again. `key` must be there
    /// already, with `bytes` as its content.
    ///
    /// # Errors
    /// As above.
    fn keeps_what_is_there(&self, key: &str, bytes: Vec<u8>) -> io::Result<bool>;

    /// Reads exactly `len` bytes from `offset`.
    ///
    /// # Errors
    /// `NotFound`; `UnexpectedEof` when the object is shorter.
    fn read_range(&self, object: &ObjectName, offset: u64, len: usize) -> io::Result<Vec<u8>>;

    /// As [`Self::read_range`], of the content that a list showed under a tag.
    ///
    /// # Errors
    /// `InvalidData` when the key has another content by now.
    fn read_tagged(&self, key: &str, tag: &str, offset: u64, len: usize) -> io::Result<Vec<u8>>;

    /// The newest version of a key, and its size in bytes.
    ///
    /// # Errors
    /// `NotFound`.
    fn newest(&self, key: &str) -> io::Result<(ObjectName, u64)>;

    /// Every object whose key begins with `prefix`, in order of keys.
    ///
    /// # Errors
    /// As above; objects given out before count.
    fn list(&self, prefix: &str, each: &mut dyn FnMut(ListedObject)) -> io::Result<()>;

    /// Removes an object; one that is gone is no error.
    ///
    /// # Errors
    /// `PermissionDenied` while it is locked.
    fn delete(&self, object: &ObjectName) -> io::Result<()>;

    /// The address under which other programs find a key.
    fn uri(&self, key: &str) -> String;

    /// The key of an address; `None` when it lies elsewhere.
    fn key_of(&self, uri: &str) -> Option<String>;
}
