//! Checks receipts: what a log signed that it had stored, against a proof, or against a copy of its directory.
//!
//! The layouts are those of `moneta_event::signed_receipt`.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use moneta_event::root_history::ShardState;
use moneta_event::signed_receipt::{ReceiptBlock, ReceiptVerdict};
use moneta_event::{ReceiptProof, SignedReceipt};
use moneta_merkle::{VerifierKey, leaf_hash};

use crate::Report;
use crate::ledger::{RootState, check_root, check_shard};

/// How long after its acknowledgement a record must be under a checkpoint: our maximum merge delay.
pub const MERGE_DELAY_MAX: Duration = Duration::from_secs(60);

/// What became of what a receipt promises.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Promise {
    /// The receipt is signed. Nothing was given to hold it against.
    Signed(String),
    /// It was kept.
    Kept(String),
    /// The log signed for records that it does not have: the receipt is the evidence.
    Broken(String),
    /// What was given is older than the receipt, so that it says nothing.
    Undecided(String),
}

/// Checks the signature of a receipt, and its proof if there is one.
///
/// # Errors
/// When the receipt is not signed by the log, or the proof does not hold or is of another receipt.
pub fn check_receipt(receipt: &[u8], proof: Option<&str>, key: &VerifierKey) -> Result<Promise> {
    let receipt = open(receipt, key)?;
    let Some(proof) = proof else { return Ok(Promise::Signed(describe(&receipt))) };
    let verdict = receipt.check(&ReceiptProof::parse(proof)?, key)?;
    Ok(match verdict {
        ReceiptVerdict::Kept { root_size: Some(size) } => {
            Promise::Kept(format!("{}; under the root checkpoint of {size} entries", describe(&receipt)))
        }
        ReceiptVerdict::Kept { root_size: None } => Promise::Kept(describe(&receipt)),
        ReceiptVerdict::Broken { shard, index } => Promise::Broken(format!(
            "the log signed for block {index} of {shard}, and by its checkpoint has another one in its place"
        )),
    })
}

/// Checks a receipt against a data directory or a copy of one.
///
/// # Errors
/// When the receipt is not signed by the log, or the ledger in the directory is damaged.
pub fn check_receipt_in_store(receipt: &[u8], data: &Path, key: &VerifierKey) -> Result<Promise> {
    let receipt = open(receipt, key)?;
    let mut report = Report::default();
    let state = check_root(data, key, None, &mut report);
    fail_on_findings(&report)?;
    let state = state.context("the root log cannot be read")?;
    let mut num_dropped = 0;
    for block in &receipt.blocks {
        match look_for(block, &receipt, &state, data, key)? {
            Found::There => {}
            Found::Dropped => num_dropped += 1,
            Found::Not(verdict) => return Ok(verdict),
        }
    }
    let dropped =
        if num_dropped > 0 { format!("; {num_dropped} of its blocks were dropped by policy") } else { String::new() };
    Ok(Promise::Kept(format!("{}; all of it is in the ledger{dropped}", describe(&receipt))))
}

fn open(receipt: &[u8], key: &VerifierKey) -> Result<SignedReceipt> {
    let receipt = SignedReceipt::open(receipt, key)?;
    if receipt.origin != key.name() {
        bail!("the receipt is of the log {}, the key of {}", receipt.origin, key.name());
    }
    Ok(receipt)
}

enum Found {
    There,
    Dropped,
    Not(Promise),
}

fn look_for(
    block: &ReceiptBlock,
    receipt: &SignedReceipt,
    state: &RootState,
    data: &Path,
    key: &VerifierKey,
) -> Result<Found> {
    let ReceiptBlock { shard, index, .. } = block;
    let status = state.status_of(shard);
    let size = status.and_then(|status| status.head.as_ref()).map_or(0, |head| head.size);
    if size <= *index {
        let is_later = state.newest.is_some_and(|newest| newest > receipt.stored_at.saturating_add(MERGE_DELAY_MAX));
        return Ok(Found::Not(match is_later {
            true => Promise::Broken(format!(
                "the log signed for block {index} of {shard}; it went on for more than {} s, and the shard has {size} blocks",
                MERGE_DELAY_MAX.as_secs()
            )),
            false => Promise::Undecided(format!(
                "block {index} of {shard} is not there, and no entry of the root log is {} s younger than the receipt",
                MERGE_DELAY_MAX.as_secs()
            )),
        }));
    }
    if status.is_some_and(|status| status.state == ShardState::Dropped) {
        return Ok(Found::Dropped);
    }
    let growth = state.shards.get(shard).context("a shard has a size and no tick")?;
    let mut report = Report::default();
    let headers = check_shard(data, growth, key, &mut report);
    fail_on_findings(&report)?;
    let header = headers.iter().find(|header| header.shard_index == *index).context("a shard has a gap")?;
    Ok(match leaf_hash(&header.encode()) == block.leaf {
        true => Found::There,
        false => Found::Not(Promise::Broken(format!(
            "the log signed for block {index} of {shard}, and has another one in its place"
        ))),
    })
}

fn fail_on_findings(report: &Report) -> Result<()> {
    match report.findings.first() {
        Some(finding) => bail!("the ledger is not as it was signed: {finding}"),
        None => Ok(()),
    }
}

fn describe(receipt: &SignedReceipt) -> String {
    let num_rows: u64 = receipt.blocks.iter().map(|block| block.to - block.from).sum();
    let sender = receipt.sender.as_ref().map_or_else(String::new, |sender| {
        format!(" from {:?}, epoch {:032x}, sequence {}", sender.producer, sender.epoch, sender.sequence)
    });
    format!("the log stored {num_rows} records in {} blocks{sender} at {}", receipt.blocks.len(), receipt.stored_at)
}
