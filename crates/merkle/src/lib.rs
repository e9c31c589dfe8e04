//! RFC 6962 hashes, tlog tiles, proofs, checkpoints and signed notes.
//!
//! Everything an auditor's tool needs to check a log that Moneta wrote, and everything the ledger needs to write one:
//! the forms are those of C2SP (tlog-tiles, tlog-checkpoint, signed-note, tlog-proof), byte for byte.
//!
//! The crate does no I/O, reads no clock, holds no key and depends on no other crate of the workspace: bytes and
//! readers come as arguments. Whoever calls it decides whether a rejected input is the caller's mistake or damage.
//!
//! - [`hash`]: leaf, node and root hashes; [`tree`]: a growing tree in 64 hashes of memory.
//! - [`tile`]: which tiles a tree of a given size has, and where they are; [`bundle`]: the entries beside them.
//! - [`reader`], [`proof`]: subtree hashes from tiles; inclusion and consistency proofs, made and checked.
//! - [`audit`]: every file of a log against every other and the signed root.
//! - [`note`], [`checkpoint`], [`tlog_proof`]: the signed text forms.
//! - [`cosignature`], [`witnessing`]: what witnesses sign, and what they are sent.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod audit;
pub mod bundle;
pub mod checkpoint;
pub mod cosignature;
mod crypto;
mod error;
pub mod hash;
pub mod note;
pub mod proof;
pub mod reader;
pub mod text;
pub mod tile;
pub mod tlog_proof;
pub mod tree;
pub mod witnessing;

pub use checkpoint::{Checkpoint, SignedCheckpoint};
pub use cosignature::{Quorum, WitnessKey};
pub use error::{BoxError, Error, Result};
pub use hash::{Hash, leaf_hash, node_hash, root_of, sha256};
pub use note::{NoteSigner, SignedNote, VerifierKey};
pub use tile::{TilePath, TileShelf};
pub use tlog_proof::TlogProof;
pub use tree::TreeBuilder;
pub use witnessing::AddCheckpoint;
