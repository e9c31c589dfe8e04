//! The room that stored data has: how much there is, and a part of it kept in reserve.

use std::io;

/// Room of the file system under the data directory, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Space {
    /// Its size.
    pub total_bytes: u64,
    /// What may still be used.
    pub available_bytes: u64,
}

/// The file system under the data directory.
pub trait Volume: Send + Sync {
    /// How much room there is now.
    ///
    /// # Errors
    /// When the system refuses to say.
    fn space(&self) -> io::Result<Space>;

    /// Bytes that are to be kept in reserve for the audit stream; 0: none.
    fn reserve_bytes(&self) -> u64;

    /// Sets the reserve aside; harmless when it is.
    ///
    /// # Errors
    /// When there is no room for it.
    fn set_aside(&self) -> io::Result<()>;

    /// Gives the reserve to whoever writes next; harmless when it was given.
    ///
    /// # Errors
    /// When it cannot be given.
    fn give(&self) -> io::Result<()>;
}
