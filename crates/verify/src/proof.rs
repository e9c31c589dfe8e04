//! Checks single files that leave the house: a checkpoint, and the proof of a record.
//!
//! The layouts are those of `moneta_event::record_proof` and `moneta_event::block_proof`.

use anyhow::{Context, Result};
use moneta_event::RecordProof;
use moneta_merkle::{SignedCheckpoint, VerifierKey};

/// Checks a checkpoint's signature; returns what it says.
///
/// # Errors
/// Saying what is wrong.
pub fn check_checkpoint(bytes: &[u8], origin: &str, key: &VerifierKey) -> Result<String> {
    let checkpoint =
        SignedCheckpoint::open(bytes, origin, std::slice::from_ref(key)).context("the checkpoint does not verify")?;
    Ok(format!("{} entries, root {}", checkpoint.size(), checkpoint.root().to_hex()))
}

/// Checks a record proof; returns a sentence that says what it proves.
///
/// # Errors
/// Saying which step failed.
pub fn check_record_proof(text: &str, key: &VerifierKey) -> Result<String> {
    let proof = RecordProof::parse(text)?;
    let proven = proof.verify(key.name(), std::slice::from_ref(key))?;
    let header = &proof.header;
    Ok(format!(
        "the record is row _Seq {} of table {}, in the block at _Seq {}, committed {}; under the root checkpoint of {} entries",
        proven.seq, header.shard.table, header.first_seq, header.ingest_time, proven.block.checkpoint.size
    ))
}
