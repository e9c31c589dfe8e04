//! Proofs of blocks: a block header is in its shard log, and the shard is under the root log's checkpoint.
//!
//! # Layout, version 1
//! ```text
//! moneta-block-proof@1
//! shard <Table>/<yyyy-mm-dd>
//! index <decimal>                 position of the header in the shard log
//! size <decimal>                  size of the shard in the tick
//! <base64 hash> ...               inclusion proof in the shard log, sibling of the leaf first
//! <empty line>
//! tick <base64>                   the root log entry that lists the shard at that size
//! <tlog-proof, verbatim>          of that entry, under a signed root checkpoint
//! ```
//! The last part is a C2SP tlog-proof as any tool checks it; the first part is an RFC 6962 inclusion proof whose root
//! stands in the tick. The header is not in the file: the checker brings its bytes.

use moneta_base::Timestamp;
use moneta_merkle::note::VerifierKey;
use moneta_merkle::proof::{PROOF_HASHES_MAX, verify_inclusion};
use moneta_merkle::{Checkpoint, Hash, TlogProof, leaf_hash};

use crate::ShardId;
use crate::root_entry::{ENTRY_BYTES_MAX, RootEntry, RootEntryError};

const HEADER: &str = "moneta-block-proof@1";

/// A proof that a block is under a root checkpoint. Holding one says nothing: see [`BlockProof::verify`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockProof {
    /// The shard.
    pub shard: ShardId,
    /// Position of the header in it.
    pub index: u64,
    /// Size of the shard in the tick.
    pub size: u64,
    /// Inclusion proof in the shard.
    pub hashes: Vec<Hash>,
    /// Bytes of the tick.
    pub tick: Vec<u8>,
    /// Proof that the tick is in the root log.
    pub root: TlogProof,
}

/// What a verified proof says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvenBlock {
    /// When the tick was made.
    pub at: Timestamp,
    /// The root checkpoint it is under.
    pub checkpoint: Checkpoint,
}

/// Why a text is not a block proof, or does not prove the block.
#[derive(Debug, thiserror::Error)]
pub enum BlockProofError {
    /// Not the text of the layout.
    #[error("not a block proof: {0}")]
    Malformed(&'static str),
    /// The tick is not a root log entry.
    #[error("the tick cannot be read")]
    Tick(#[from] RootEntryError),
    /// The tick does not list the shard at that size.
    #[error("the tick does not list the shard at that size")]
    NotListed,
    /// A hash, signature or path is wrong.
    #[error("the block is not proved")]
    Rejected(#[from] moneta_merkle::Error),
}

impl BlockProof {
    /// Writes the proof file.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut out = format!("{HEADER}\nshard {}\nindex {}\nsize {}\n", self.shard, self.index, self.size);
        for hash in &self.hashes {
            out.push_str(&hash.to_base64());
            out.push('\n');
        }
        out.push_str(&format!("\ntick {}\n", moneta_merkle::text::base64_encode(&self.tick)));
        out.push_str(&self.root.encode());
        out
    }

    /// Reads a proof file.
    ///
    /// # Errors
    /// [`BlockProofError::Malformed`] saying which line; [`BlockProofError::Rejected`] for the tlog-proof's form.
    pub fn parse(text: &str) -> Result<BlockProof, BlockProofError> {
        let mut rest = text;
        if next_line(&mut rest)? != HEADER {
            return Err(BlockProofError::Malformed("the first line is another"));
        }
        let shard = ShardId::parse(field(&mut rest, "shard ")?).ok_or(BlockProofError::Malformed("no shard"))?;
        let number = |text| moneta_merkle::text::decimal(text).ok_or(BlockProofError::Malformed("a number is not one"));
        let index = number(field(&mut rest, "index ")?)?;
        let size = number(field(&mut rest, "size ")?)?;
        let mut hashes = Vec::new();
        loop {
            let line = next_line(&mut rest)?;
            if line.is_empty() {
                break;
            }
            if hashes.len() == PROOF_HASHES_MAX {
                return Err(BlockProofError::Malformed("it has more hashes than any tree is high"));
            }
            hashes.push(Hash::from_base64(line)?);
        }
        let tick = moneta_merkle::text::base64_decode(field(&mut rest, "tick ")?)
            .filter(|tick| tick.len() <= ENTRY_BYTES_MAX)
            .ok_or(BlockProofError::Malformed("the tick is not base64 or too long"))?;
        Ok(BlockProof { shard, index, size, hashes, tick, root: TlogProof::parse(rest)? })
    }

    /// Checks that `header` is in the shard, and the shard under a root checkpoint of `origin` signed by one of `keys`.
    ///
    /// # Errors
    /// [`BlockProofError`] naming the step that failed.
    pub fn verify(&self, header: &[u8], origin: &str, keys: &[VerifierKey]) -> Result<ProvenBlock, BlockProofError> {
        self.verify_leaf(&leaf_hash(header), origin, keys)
    }

    /// As [`BlockProof::verify`], for whoever has the leaf hash of the header and not the header.
    ///
    /// # Errors
    /// [`BlockProofError`] naming the step that failed.
    pub fn verify_leaf(&self, leaf: &Hash, origin: &str, keys: &[VerifierKey]) -> Result<ProvenBlock, BlockProofError> {
        let checkpoint = self.root.verify(&self.tick, origin, keys)?;
        let entry = RootEntry::decode(&self.tick)?;
        let listed = entry.tick_of(&self.shard).filter(|growth| growth.size == self.size);
        let growth = listed.ok_or(BlockProofError::NotListed)?;
        verify_inclusion(leaf, self.index, self.size, &self.hashes, &growth.root)?;
        Ok(ProvenBlock { at: entry.at, checkpoint })
    }
}

fn field<'text>(rest: &mut &'text str, name: &str) -> Result<&'text str, BlockProofError> {
    next_line(rest)?.strip_prefix(name).ok_or(BlockProofError::Malformed("a line has another name"))
}

fn next_line<'text>(rest: &mut &'text str) -> Result<&'text str, BlockProofError> {
    let (line, after) = rest.split_once('\n').ok_or(BlockProofError::Malformed("it ends too early"))?;
    *rest = after;
    Ok(line)
}
