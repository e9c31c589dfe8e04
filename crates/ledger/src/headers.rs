//! The block headers of a shard, by the rows they hold.

use moneta_base::Seq;
use moneta_event::{BlockHeader, ShardId};
use moneta_merkle::tile::TILE_WIDTH;

use crate::error::Result;
use crate::files::LogFiles;
use crate::ledger::Ledger;

impl Ledger {
    /// The published headers of a shard whose blocks hold rows of `[start, end)`, in order.
    ///
    /// # Errors
    /// [`crate::Error::Corrupt`] for an entry that is no header; [`crate::Error::Io`].
    pub fn headers_of(&self, shard: &ShardId, start: Seq, end: Seq) -> Result<Vec<BlockHeader>> {
        let files = self.shard_files(shard);
        let size = self.shard_checkpoint(shard)?.map_or(0, |checkpoint| checkpoint.size());
        let width = u64::from(TILE_WIDTH);
        // The first bundle whose successor begins after the rows do.
        let (mut low, mut high) = (0, size.div_ceil(width));
        while low + 1 < high {
            let middle = low + (high - low) / 2;
            let begins_before =
                self.headers_in(&files, middle, size)?.first().is_some_and(|header| header.first_seq <= start);
            (low, high) = if begins_before { (middle, high) } else { (low, middle) };
        }
        let mut headers = Vec::new();
        for number in low..size.div_ceil(width) {
            let bundle = self.headers_in(&files, number, size)?;
            let is_beyond = bundle.last().is_none_or(|last| last.end_seq() >= end);
            headers.extend(bundle.into_iter().filter(|header| header.first_seq < end && start < header.end_seq()));
            if is_beyond {
                break;
            }
        }
        Ok(headers)
    }

    fn headers_in(&self, files: &LogFiles, number: u64, size: u64) -> Result<Vec<BlockHeader>> {
        let decode = |bytes: Vec<u8>| {
            BlockHeader::decode(&bytes).map_err(|error| files.corrupt(format!("an entry of bundle {number}: {error}")))
        };
        self.read_bundle(files, number, size)?.into_iter().map(decode).collect()
    }
}
