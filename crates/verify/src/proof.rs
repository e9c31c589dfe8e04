//! Checks single files that leave the house: a checkpoint, and the proof of a record.
//!
//! The layouts are those of `moneta_event::record_proof` and `moneta_event::block_proof`.

use anyhow::{Context, Result, bail};
use moneta_base::Timestamp;
use moneta_event::RecordProof;
use moneta_merkle::{Quorum, SignedCheckpoint, SignedNote, VerifierKey};

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

/// Checks that a quorum of witnesses cosigned a checkpoint; returns a sentence that says who and since when.
///
/// # Errors
/// When a line of a witness is wrong, or too few of them cosigned.
pub fn check_quorum(checkpoint: &[u8], quorum: &Quorum) -> Result<String> {
    let note = SignedNote::parse(checkpoint).context("the checkpoint is not a signed note")?;
    let mut names = Vec::new();
    for witness in quorum.witnesses() {
        if witness.cosigned_at(&note)?.is_some() {
            names.push(witness.name());
        }
    }
    let (there, needed) = (quorum.witnesses().len(), quorum.needed());
    let Some(since) = quorum.reached_at(&note)? else {
        bail!("{} of {there} witnesses cosigned the checkpoint, {needed} must have", names.len());
    };
    let since =
        i64::try_from(since).map(Timestamp::from_seconds).context("a cosignature has a time beyond all years")?;
    Ok(format!("cosigned by {} of {there} witnesses ({}), vouched for at {since}", names.len(), names.join(", ")))
}

/// The checkpoint in a record proof, as a file of its own.
///
/// # Errors
/// When the text is not a record proof.
pub fn checkpoint_of(text: &str) -> Result<String> {
    Ok(RecordProof::parse(text)?.block.root.checkpoint)
}
