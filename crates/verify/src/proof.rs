//! Checks single files that leave the house: a checkpoint, the proof of a record, the evidence of an alert.
//!
//! The layouts are those of `moneta_event::record_proof`, `moneta_event::block_proof` and `moneta_event::evidence`.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail};
use moneta_base::Timestamp;
use moneta_event::{AlertEvidence, RecordProof};
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

/// What the evidence of an alert proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertVerdict {
    /// Whether all stored events that the alert names are proved.
    pub is_complete: bool,
    /// A sentence that says what is proved, and what is not there.
    pub text: String,
}

/// Events that are not there which a verdict names.
const ABSENT_NAMED_MAX: usize = 10;

/// Checks the evidence of an alert: its row, every event in the file, and which of those that the row names are not there.
///
/// # Errors
/// Saying which step failed.
pub fn check_alert_evidence(text: &str, key: &VerifierKey) -> Result<AlertVerdict> {
    let proven = AlertEvidence::parse(text)?.verify(key.name(), std::slice::from_ref(key))?;
    let (seq, entries) = (proven.row.seq, proven.row.block.checkpoint.size);
    let (num_proved, num_absent) = (proven.num_proved, proven.absent.len());
    let mut text = format!(
        "the alert {} ({:?}) is row _Seq {seq} of SecurityAlert, under the root checkpoint of {entries} entries; {num_proved} \
         of the {} stored events that it names are proved",
        proven.id,
        proven.title,
        num_proved + num_absent,
    );
    if proven.event_count > (num_proved + num_absent) as u64 {
        text.push_str(&format!("; it counts {} events and does not name all", proven.event_count));
    }
    if num_absent > 0 {
        let rows = proven.absent.iter().take(ABSENT_NAMED_MAX).map(|(table, seq)| format!("{table} {seq}"));
        let more = if num_absent > ABSENT_NAMED_MAX { ", ..." } else { "" };
        text.push_str(&format!("; not there: {}{more}", rows.collect::<Vec<_>>().join(", ")));
    }
    Ok(AlertVerdict { is_complete: num_absent == 0, text })
}

/// The checkpoints in the evidence of an alert, each once, as files of their own.
///
/// # Errors
/// When the text is no evidence.
pub fn checkpoints_of(text: &str) -> Result<BTreeSet<String>> {
    let AlertEvidence { alert, events } = AlertEvidence::parse(text)?;
    Ok(std::iter::once(alert).chain(events).map(|proof| proof.block.root.checkpoint).collect())
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
