//! What can be wrong with a hash, tile, proof, note or checkpoint.
//!
//! The variants say what was found; they never judge whose fault it is.

use crate::tile::TilePath;

/// The error of a tile reader, whatever it reads from.
pub type BoxError = Box<dyn std::error::Error + Send + Sync + 'static>;

/// The result of this crate's functions.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a form could not be read, made or accepted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The text is not 64 hexadecimal digits or 44 characters of base64.
    #[error("{0:?} is not a SHA-256 hash")]
    HashText(String),
    /// The path is not one a tiled log has, or not written in its only allowed form.
    #[error("{0:?} is not a tile path")]
    TilePath(String),
    /// A tile's bytes are not as long as its width says.
    #[error("tile {tile} has {found} bytes, expected {expected}")]
    TileLength {
        /// The tile.
        tile: TilePath,
        /// Bytes its width calls for.
        expected: usize,
        /// Bytes found.
        found: usize,
    },
    /// The reader could not give a tile.
    #[error("tile {tile} cannot be read")]
    TileRead {
        /// The tile.
        tile: TilePath,
        /// What the reader said.
        #[source]
        source: BoxError,
    },
    /// A bundle's length prefixes do not add up to its bytes, or it holds another number of entries.
    #[error("entry bundle is damaged at byte {offset}: {reason}")]
    Bundle {
        /// Where reading stopped.
        offset: usize,
        /// What is wrong there.
        reason: &'static str,
    },
    /// An entry is longer than a bundle's length prefix can say.
    #[error("a log entry of {0} bytes is longer than 65535")]
    EntryTooLong(usize),
    /// The index lies outside the tree.
    #[error("index {index} is outside a tree of {size} leaves")]
    IndexOutOfRange {
        /// The index asked for.
        index: u64,
        /// Leaves in the tree.
        size: u64,
    },
    /// The older tree is larger than the newer one.
    #[error("a tree of {old} leaves cannot be the past of a tree of {new}")]
    SizesReversed {
        /// Size given as the older.
        old: u64,
        /// Size given as the newer.
        new: u64,
    },
    /// A proof does not lead to the root.
    #[error("proof rejected: {0}")]
    ProofRejected(&'static str),
    /// A compact range has another number of hashes than its size calls for.
    #[error("a tree of {size} leaves has {expected} peaks, not {found}")]
    Peaks {
        /// Leaves in the tree.
        size: u64,
        /// Peaks that size has.
        expected: u32,
        /// Peaks given.
        found: usize,
    },
    /// The note is not in signed-note form.
    #[error("not a signed note: {0}")]
    Note(&'static str),
    /// The verifier key text is malformed.
    #[error("not a verifier key: {0}")]
    VerifierKey(&'static str),
    /// A signature by a known key is wrong.
    #[error("the signature of {name} does not verify")]
    BadSignature {
        /// The key's name.
        name: String,
    },
    /// No known key signed the note.
    #[error("the note is signed by no known key")]
    NoKnownSignature,
    /// The signer could not sign.
    #[error("the signer {name} failed: {reason}")]
    Signer {
        /// The key's name.
        name: String,
        /// What it said.
        reason: String,
    },
    /// The note's text is not a checkpoint, or must not be written as one.
    #[error("not a checkpoint: {0}")]
    Checkpoint(&'static str),
    /// The checkpoint belongs to another log.
    #[error("the checkpoint is of {found:?}, expected {expected:?}")]
    Origin {
        /// The origin wanted.
        expected: String,
        /// The origin found.
        found: String,
    },
    /// The quorum cannot be one.
    #[error("not a quorum: {0}")]
    Quorum(&'static str),
    /// The text is not a request to a witness.
    #[error("not a request to a witness: {0}")]
    Witnessing(&'static str),
    /// The text is not a tlog-proof.
    #[error("not a tlog-proof: {0}")]
    TlogProof(&'static str),
}
