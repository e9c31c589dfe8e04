//! What the log has in the places that a signed receipt names.

use moneta_event::signed_receipt::ReceiptBlock;
use moneta_event::{ReceiptProof, RootEntry, RootEvent, ShardId, SignedReceipt};
use moneta_merkle::leaf_hash;

use crate::error::{Error, Result};
use crate::ledger::{Ledger, LogName};

/// Whether a log kept what it promised in a receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Promise {
    /// It has these leaves in the places. Whether they are the ones it signed for is for the checker to say, who sees it
    /// from the proof.
    Proof(ReceiptProof),
    /// The shard was dropped by policy, when it had the place.
    Dropped(ShardId),
    /// The shard has no such place.
    Missing {
        /// The shard.
        shard: ShardId,
        /// The place.
        index: u64,
        /// Blocks that the shard has.
        size: u64,
    },
}

impl Ledger {
    /// Signs a receipt with the key of the log.
    ///
    /// # Errors
    /// [`moneta_event::signed_receipt::ReceiptError`] for one that is too long, or from the signer.
    pub fn sign_receipt(
        &self,
        receipt: &SignedReceipt,
    ) -> std::result::Result<String, moneta_event::signed_receipt::ReceiptError> {
        receipt.sign(self.signer.as_ref())
    }

    /// Looks for the blocks of a receipt among those that are published, and proves what is there.
    ///
    /// # Errors
    /// [`Error::Merkle`], [`Error::Corrupt`], [`Error::Io`] from the files.
    pub fn redeem(&self, receipt: &SignedReceipt) -> Result<Promise> {
        let mut proof = ReceiptProof::default();
        for ReceiptBlock { shard, index, .. } in &receipt.blocks {
            let entry = match self.read_entry(&LogName::Shard(shard.clone()), *index) {
                Ok(entry) => entry,
                Err(Error::NotPublished { size, .. }) => {
                    return Ok(match self.is_dropped_with(shard, *index)? {
                        true => Promise::Dropped(shard.clone()),
                        false => Promise::Missing { shard: shard.clone(), index: *index, size },
                    });
                }
                Err(error) => return Err(error),
            };
            proof.blocks.push((leaf_hash(&entry), self.prove_block(shard, *index)?));
        }
        Ok(Promise::Proof(proof))
    }

    /// Whether the root log says that a shard was dropped by policy when it had a block in this place.
    fn is_dropped_with(&self, shard: &ShardId, index: u64) -> Result<bool> {
        let had = |entry: &RootEntry| match &entry.event {
            RootEvent::RetentionDrop { growth, .. } if growth.shard == *shard => Some(growth.size > index),
            _ => None,
        };
        let found = self.find_last_root_entry(self.root_checkpoint().size(), &shard.to_string(), had)?;
        Ok(found.is_some_and(|(_, _, had)| had))
    }
}
