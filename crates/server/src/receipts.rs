//! Redeems signed receipts: proves the blocks that they name, or says that the log signed for what it does not have.

use std::sync::Arc;

use moneta_base::ErrorKind;
use moneta_base::error::chain;
use moneta_event::SignedReceipt;
use moneta_event::signed_receipt::ReceiptVerdict;
use moneta_ingest::Ingest;
use moneta_ledger::Promise;
use moneta_ports::audit::Outcome;
use moneta_ports::{AuditEvent, AuditSink, OpContext, PortError, ReceiptAnswer};

/// Proves what a receipt promises.
pub(crate) async fn prove(ingest: &Arc<Ingest>, ctx: &OpContext, text: String) -> Result<ReceiptAnswer, PortError> {
    let receipt = SignedReceipt::open(text.as_bytes(), ingest.ledger().verifier_key()).map_err(|error| {
        PortError::new(ErrorKind::Caller, format!("this is no receipt of this log: {}", chain(&error)))
    })?;
    ingest.publish_now().await?;
    let (redeeming, promised) = (ingest.clone(), receipt.clone());
    let answer = tokio::task::spawn_blocking(move || redeem(&redeeming, &promised)).await;
    let answer =
        answer.map_err(|error| PortError::caused_by(ErrorKind::Internal, "the proof was interrupted", error))??;
    let producer = receipt.sender.map(|sender| sender.producer).unwrap_or_default();
    let mut event = AuditEvent::success("receipt.prove", "producer", producer);
    if let ReceiptAnswer::Broken { reason, .. } | ReceiptAnswer::Dropped(reason) = &answer {
        (event.outcome, event.reason) = (Outcome::Failure, reason.clone());
    }
    if let ReceiptAnswer::Broken { reason, .. } = &answer {
        tracing::error!(reason, "integrity alarm: the log signed for records that it does not have");
    }
    ingest.record(ctx, event).await?;
    Ok(answer)
}

fn redeem(ingest: &Ingest, receipt: &SignedReceipt) -> Result<ReceiptAnswer, PortError> {
    let ledger = ingest.ledger();
    let failed = |error: moneta_ledger::Error| {
        PortError::caused_by(error.kind(), "the blocks of the receipt cannot be proved", error)
    };
    let proof = match ledger.redeem(receipt).map_err(failed)? {
        Promise::Proof(proof) => proof,
        Promise::Dropped(shard) => return Ok(ReceiptAnswer::Dropped(format!("{shard} was dropped by policy"))),
        Promise::Missing { shard, index, size } => {
            let reason = format!(
                "the log signed for block {index} of {shard}, and the shard has {size} blocks: records vanished after \
                 they were acknowledged"
            );
            return Ok(ReceiptAnswer::Broken { reason, proof: None });
        }
    };
    let text = proof.encode();
    match receipt.check(&proof, ledger.verifier_key()) {
        Ok(ReceiptVerdict::Kept { .. }) => Ok(ReceiptAnswer::Kept(text)),
        Ok(ReceiptVerdict::Broken { shard, index }) => {
            let reason = format!("the log signed for block {index} of {shard}, and has another one in its place");
            Ok(ReceiptAnswer::Broken { reason, proof: Some(text) })
        }
        Err(error) => {
            let message = format!("the proof that was made does not verify: {}", chain(&error));
            Err(PortError::new(ErrorKind::Internal, message))
        }
    }
}
