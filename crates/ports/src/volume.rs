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

impl Space {
    /// How full it is, in permille rounded down; 1,000 when its size is unknown.
    #[must_use]
    pub fn used_permille(&self) -> u64 {
        let used = u128::from(self.total_bytes.saturating_sub(self.available_bytes));
        let permille = (used * 1_000).checked_div(u128::from(self.total_bytes)).unwrap_or(1_000);
        u64::try_from(permille).unwrap_or(1_000)
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_known_size_is_full() {
        let permille = |total_bytes, available_bytes| Space { total_bytes, available_bytes }.used_permille();
        assert_eq!((permille(0, 0), permille(200, 51), permille(200, 0)), (1_000, 745, 1_000));
    }
}
