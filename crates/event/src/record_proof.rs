//! Proofs of records: a row is in its block, and the block under the root log's checkpoint.
//!
//! # Layout, version 1
//! ```text
//! moneta record-proof v1
//! record <base64 of the record's canonical bytes: record.rs>
//! index <position in the block, from 0>
//! <base64 hash>                                one line a node of the inclusion path in the record tree
//!
//! header <base64 of the block header: block.rs>
//! <block proof: block_proof.rs>
//! ```
//! The checker needs the log's verifier key and nothing else: table, `_Seq` and ingest time follow from the header.

use moneta_base::Seq;
use moneta_merkle::note::VerifierKey;
use moneta_merkle::proof::{PROOF_HASHES_MAX, verify_inclusion};
use moneta_merkle::text::{base64_decode, base64_encode, decimal};
use moneta_merkle::{Hash, leaf_hash};

use crate::block::BlockError;
use crate::block_proof::{BlockProofError, ProvenBlock};
use crate::{BlockHeader, BlockProof};

/// First line of a record proof.
pub(crate) const FIRST_LINE: &str = "moneta record-proof v1";

/// A proof that a record is under a root checkpoint. Holding one says nothing: see [`RecordProof::verify`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordProof {
    /// The record's canonical bytes.
    pub record: Vec<u8>,
    /// Position in the block, from 0.
    pub index: u64,
    /// Inclusion path in the record tree, sibling of the leaf first.
    pub path: Vec<Hash>,
    /// Header of the block.
    pub header: BlockHeader,
    /// Proof of the block.
    pub block: BlockProof,
}

/// What a verified proof says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvenRecord {
    /// `_Seq` of the record in the table that the header names.
    pub seq: Seq,
    /// What is proved of its block.
    pub block: ProvenBlock,
}

/// Why a text is not a record proof, or does not prove the record.
#[derive(Debug, thiserror::Error)]
pub enum RecordProofError {
    /// Not the text of the layout.
    #[error("not a record proof: {0}")]
    Malformed(&'static str),
    /// The path holds something that is no hash.
    #[error("the path holds something that is no hash")]
    Path(#[source] moneta_merkle::Error),
    /// The block header is none.
    #[error("the block header cannot be read")]
    Header(#[from] BlockError),
    /// The block proof is none.
    #[error("the block proof cannot be read")]
    BlockProof(#[source] BlockProofError),
    /// The block proof and the header are of different blocks.
    #[error("the block proof is for another block")]
    OtherBlock,
    /// The path does not lead from the record to the header.
    #[error("the record is not in the block")]
    NotInBlock(#[source] moneta_merkle::Error),
    /// The block is not under the checkpoint.
    #[error("the block is not proved")]
    Block(#[source] BlockProofError),
}

impl RecordProof {
    /// Writes the proof file.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut out = format!("{FIRST_LINE}\nrecord {}\nindex {}\n", base64_encode(&self.record), self.index);
        for hash in &self.path {
            out.push_str(&hash.to_base64());
            out.push('\n');
        }
        out.push_str(&format!("\nheader {}\n", base64_encode(&self.header.encode())));
        out.push_str(&self.block.encode());
        out
    }

    /// Reads a proof file.
    ///
    /// # Errors
    /// [`RecordProofError`] saying which part cannot be read.
    pub fn parse(text: &str) -> Result<Self, RecordProofError> {
        let mut rest = text;
        if next_line(&mut rest)? != FIRST_LINE {
            return Err(RecordProofError::Malformed("the first line is another"));
        }
        let record = bytes_field(&mut rest, "record ")?;
        let index = decimal(field(&mut rest, "index ")?).ok_or(RecordProofError::Malformed("no index"))?;
        let path = read_path(&mut rest)?;
        let header = BlockHeader::decode(&bytes_field(&mut rest, "header ")?)?;
        let block = BlockProof::parse(rest).map_err(RecordProofError::BlockProof)?;
        Ok(Self { record, index, path, header, block })
    }

    /// Checks that the record is in its block, and the block under a root checkpoint of `origin` signed by one of
    /// `keys`.
    ///
    /// # Errors
    /// [`RecordProofError`] naming the step that failed.
    pub fn verify(&self, origin: &str, keys: &[VerifierKey]) -> Result<ProvenRecord, RecordProofError> {
        let (header, block) = (&self.header, &self.block);
        let leaf = leaf_hash(&self.record);
        verify_inclusion(&leaf, self.index, u64::from(header.num_rows), &self.path, &header.record_root)
            .map_err(RecordProofError::NotInBlock)?;
        if block.shard != header.shard || block.index != header.shard_index {
            return Err(RecordProofError::OtherBlock);
        }
        let block = block.verify(&header.encode(), origin, keys).map_err(RecordProofError::Block)?;
        Ok(ProvenRecord { seq: header.first_seq + self.index, block })
    }
}

fn read_path(rest: &mut &str) -> Result<Vec<Hash>, RecordProofError> {
    let mut path = Vec::new();
    loop {
        let line = next_line(rest)?;
        if line.is_empty() {
            return Ok(path);
        }
        if path.len() == PROOF_HASHES_MAX {
            return Err(RecordProofError::Malformed("it has more hashes than any tree is high"));
        }
        path.push(Hash::from_base64(line).map_err(RecordProofError::Path)?);
    }
}

fn bytes_field(rest: &mut &str, name: &str) -> Result<Vec<u8>, RecordProofError> {
    base64_decode(field(rest, name)?).ok_or(RecordProofError::Malformed("a line is not base64"))
}

fn field<'text>(rest: &mut &'text str, name: &str) -> Result<&'text str, RecordProofError> {
    next_line(rest)?.strip_prefix(name).ok_or(RecordProofError::Malformed("a line has another name"))
}

fn next_line<'text>(rest: &mut &'text str) -> Result<&'text str, RecordProofError> {
    let (line, after) = rest.split_once('\n').ok_or(RecordProofError::Malformed("it ends too early"))?;
    *rest = after;
    Ok(line)
}
