//! Time and randomness as arguments: no engine reads a clock or a random device by itself.

use crate::Timestamp;

/// A source of the current time.
pub trait Clock: Send + Sync {
    /// The current time in UTC, in whole ticks of 100 ns.
    fn now(&self) -> Timestamp;
}

/// A source of cryptographically secure random bytes.
pub trait Entropy: Send + Sync {
    /// Fills `bytes` with random data.
    ///
    /// # Panics
    /// Implementations panic when the operating system cannot supply randomness: no key may be made without it.
    fn fill(&self, bytes: &mut [u8]);
}
