//! The write-ahead log of blocks: what is acknowledged is here first.
//!
//! Flow: [`Commit`]s of scrubbed rows go into [`Journal::append`], which makes blocks of them, writes one frame, syncs
//! once, and only then hands out [`JournaledBlock`]s and receipts. After a crash [`Journal::open`] hands on
//! every acknowledged block exactly once and in order, and names what it had to cut off. The bytes on disk are those of
//! [`moneta_event::frame`].
//!
//! Invariants: JOURNAL-1 (durable before acknowledged), JOURNAL-2 (recovered once and in order), JOURNAL-3 (a
//! producer's sequence is stored once, with its data), JOURNAL-4 (scrubbed rows only, by the type of [`Commit`]),
//! BLOCK-1 and BLOCK-2 (checked for every block read back).
//!
//! This crate never reads a clock, never retries a failed sync, and never removes a block that was not released.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod block;
mod commit;
mod error;
mod files;
mod frames;
mod journal;
mod marks;
mod options;
mod plan;
mod recovery;
mod state;

pub use block::JournaledBlock;
pub use commit::{Appended, Commit, CommitOutcome};
pub use error::Error;
pub use frames::Replay;
pub use journal::{Journal, JournalSize};
pub use moneta_event::frame::{MarkKind, ProducerMark, Receipt, SeqRange};
pub use options::JournalOptions;
pub use recovery::{Dropped, Recovery};
