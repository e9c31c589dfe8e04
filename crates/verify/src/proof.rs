//! Checks single files that leave the house: a checkpoint, and the proof of a block or of one record in it.
//!
//! # Layout of a record proof, version 1
//! ```text
//! moneta record-proof v1
//! record <base64 of the record's canonical bytes>
//! index <position in the block, from 0>
//! <base64 hash>                                one line a node of the inclusion path in the record tree
//!
//! header <base64 of the block header>
//! <block proof: block_proof.rs>
//! ```

use anyhow::{Context, Result, bail};
use moneta_event::{BlockHeader, BlockProof};
use moneta_merkle::proof::verify_inclusion;
use moneta_merkle::text::base64_decode;
use moneta_merkle::{Hash, SignedCheckpoint, VerifierKey, leaf_hash};

/// First line of a record proof.
pub const RECORD_PROOF_HEADER: &str = "moneta record-proof v1";

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
    let rest = text
        .strip_prefix(RECORD_PROOF_HEADER)
        .and_then(|rest| rest.strip_prefix('\n'))
        .context("not a record proof")?;
    let (head, rest) = rest.split_once("\n\n").context("the record part is not ended by an empty line")?;
    let (header_line, block_proof) = rest.split_once('\n').context("no block header")?;
    let header = decode(header_line, "header ")?;
    let header = BlockHeader::decode(&header).context("the block header cannot be read")?;
    check_record(head, &header)?;
    let proof = BlockProof::parse(block_proof).context("the block proof cannot be read")?;
    if proof.shard != header.shard || proof.index != header.shard_index {
        bail!("the block proof is for another block");
    }
    let proven =
        proof.verify(&header.encode(), key.name(), std::slice::from_ref(key)).context("the block is not proved")?;
    Ok(format!(
        "the record is in table {} in the block at _Seq {}, committed {}; under the root checkpoint of {} entries",
        header.shard.table, header.first_seq, header.ingest_time, proven.checkpoint.size
    ))
}

fn check_record(head: &str, header: &BlockHeader) -> Result<()> {
    let mut lines = head.lines();
    let record = decode(lines.next().context("no record")?, "record ")?;
    let index = lines
        .next()
        .and_then(|line| line.strip_prefix("index "))
        .and_then(|number| number.parse().ok())
        .context("no index")?;
    let path: Vec<Hash> =
        lines.map(Hash::from_base64).collect::<Result<_, _>>().context("the path holds something that is no hash")?;
    verify_inclusion(&leaf_hash(&record), index, u64::from(header.num_rows), &path, &header.record_root)
        .context("the record is not in the block")
}

fn decode(line: &str, prefix: &str) -> Result<Vec<u8>> {
    let text = line.strip_prefix(prefix).with_context(|| format!("no {}", prefix.trim_end()))?;
    base64_decode(text).with_context(|| format!("{}is not base64", prefix))
}
