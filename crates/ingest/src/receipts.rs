//! Signed receipts for what is on disk: what a sender can hold against the log until a checkpoint covers it, and after.

use moneta_base::error::chain;
use moneta_event::signed_receipt::{ReceiptBlock, ReceiptSender};
use moneta_event::{BlockHeader, ShardId, SignedReceipt};
use moneta_ports::{IdempotencyKey, IngestReceipt, PortError};

use crate::Ingest;

impl Ingest {
    /// Signs for what was stored. `None` when that cannot be done, which the log says: the rows are stored all the same.
    pub(crate) async fn sign_receipt(
        &self,
        receipt: &IngestReceipt,
        key: Option<IdempotencyKey>,
        blocks: Vec<ReceiptBlock>,
    ) -> Option<String> {
        let blocks = match receipt.duplicate {
            false => blocks,
            true => match self.blocks_stored_before(receipt).await {
                Ok(blocks) => blocks?,
                Err(error) => {
                    tracing::error!(error = %chain(&error), "no receipt: the ledger does not say what was stored before");
                    return None;
                }
            },
        };
        let sender =
            key.map(|IdempotencyKey { producer, epoch, sequence, .. }| ReceiptSender { producer, epoch, sequence });
        let origin = self.ledger.origin().to_owned();
        let signed = self.ledger.sign_receipt(&SignedReceipt { origin, stored_at: receipt.stored_at, sender, blocks });
        signed.map_err(|error| tracing::error!(error = %chain(&error), "a receipt could not be signed")).ok()
    }

    /// The blocks of a submission that was stored before, from the headers that the ledger has; `None` when it has not
    /// all of them, because the day was dropped.
    async fn blocks_stored_before(&self, receipt: &IngestReceipt) -> Result<Option<Vec<ReceiptBlock>>, PortError> {
        let found = self.published_blocks(receipt).await?;
        if found.is_some() {
            return Ok(found);
        }
        // The first sending may be so recent that no checkpoint covers it.
        self.publish_now().await?;
        self.published_blocks(receipt).await
    }

    async fn published_blocks(&self, receipt: &IngestReceipt) -> Result<Option<Vec<ReceiptBlock>>, PortError> {
        let (ledger, receipt) = (self.ledger.clone(), receipt.clone());
        let found = tokio::task::spawn_blocking(move || {
            let mut blocks = Vec::new();
            for range in &receipt.ranges {
                let (start, end) = (range.first_seq, range.first_seq + range.num_rows);
                let shard = ShardId { table: range.table.clone(), day: receipt.stored_at.day() };
                let headers = ledger.headers_of(&shard, start, end)?;
                let before = blocks.len();
                blocks.extend(headers.iter().filter_map(|header: &BlockHeader| ReceiptBlock::of(header, start, end)));
                let num_rows: u64 = blocks[before..].iter().map(|block: &ReceiptBlock| block.to - block.from).sum();
                if num_rows != range.num_rows {
                    return Ok(None);
                }
            }
            Ok(Some(blocks))
        });
        let failed = |error: moneta_ledger::Error| PortError::caused_by(error.kind(), "the ledger failed", error);
        found
            .await
            .map_err(|error| {
                PortError::caused_by(moneta_base::ErrorKind::Internal, "a look-up was interrupted", error)
            })?
            .map_err(failed)
    }
}
