//! Archives and compressed files: their members are recognised and decoded as they come out, never held whole.

mod compressed;
mod member;
mod zip;

pub(crate) use compressed::CompressedStream;
pub use compressed::Expander;
pub(crate) use zip::ZipStream;

use moneta_base::limits::DECOMPRESSION_RATIO_MAX;

use crate::output::Refusal;

/// Archives within archives at most.
const ARCHIVE_DEPTH_MAX: usize = 3;

/// Members of one archive at most: more is an attack on whoever lists them.
const MEMBERS_MAX: usize = 10_000;

/// Bytes one archive may expand to: a day's logs of a large site; beyond it, decompress before ingest.
const EXPANDED_BYTES_MAX: u64 = 64 << 30;

/// Bytes any archive may expand to whatever its ratio: very regular logs compress far, small ones do no harm.
const EXPANDED_BYTES_FREE: u64 = 16 << 20;

/// Watches how far compressed bytes expand.
#[derive(Debug, Default)]
struct ExpansionGuard {
    compressed: u64,
    expanded: u64,
}

impl ExpansionGuard {
    /// Counts a step; refuses when it goes beyond what logs do.
    fn count(&mut self, compressed: usize, expanded: usize) -> Result<(), Refusal> {
        self.compressed += compressed as u64;
        self.expanded += expanded as u64;
        let allowed = self.compressed.saturating_mul(DECOMPRESSION_RATIO_MAX).max(EXPANDED_BYTES_FREE);
        if self.expanded <= allowed.min(EXPANDED_BYTES_MAX) {
            return Ok(());
        }
        let reason = format!(
            "{} compressed bytes expand to more than {} (at most {DECOMPRESSION_RATIO_MAX} times, {EXPANDED_BYTES_MAX} bytes)",
            self.compressed, self.expanded
        );
        Err(Refusal::new("decompression_limit", reason))
    }
}
