//! The transparency log: shard logs under one root log.
//!
//! Every table and ingest day has a shard log whose entries are block headers. One root log, never pruned, lists the
//! growth of every shard and all that changes what the records mean. All are C2SP tlog-tiles logs on disk, so that
//! tools we did not write can check them.
//!
//! # Layout, version 1
//! ```text
//! ledger/root/checkpoint                          signed note, origin <origin>
//! ledger/root/cosigned                            the newest root checkpoint with the lines of a quorum of witnesses
//! ledger/root/tile/<L>/<N>[.p/<W>]                hashes
//! ledger/root/tile/entries/<N>[.p/<W>]            root entries (moneta_event::root_entry)
//! ledger/shard/<Table>/<yyyy-mm-dd>/checkpoint    signed note, origin <origin>/shard/<Table>/<yyyy-mm-dd>
//! ledger/shard/<Table>/<yyyy-mm-dd>/tile/…        as above; entries are block headers (moneta_event::block)
//! ```
//! Of the last tile of a shelf only the newest width is kept; a request for an older one is answered with its prefix.
//!
//! # What is promised, and when
//! The **root checkpoint is the only commit point**. A publish writes tiles and bundles of all grown logs, syncs them,
//! reads them back and recomputes them (LEDGER-2), and only then signs and renames the root checkpoint into place. Shard
//! checkpoints follow; after a crash in between they are made again from the ticks at the end of the root log. Files
//! past the checkpoint are scraps of an unfinished publish: they are removed or overwritten, and what they held is
//! appended again from the journal. So no signed tree ever shrinks or forks (LEDGER-1).
//!
//! A failed sync or a read-back mismatch stops the ledger until it is opened again; a failed write (a full disk) keeps
//! everything queued, and the next publish tries again.
//!
//! Not here: verifying records against headers (`moneta-verify`), keys (`moneta-keys`), when to publish (the server).

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod append;
mod check;
mod cosigning;
mod edge;
mod error;
mod files;
mod headers;
mod ledger;
mod prove;
mod publish;
mod receipts;
mod retention;
#[cfg(test)]
mod tests;
mod witness;
#[cfg(test)]
mod witness_tests;

pub use append::{PENDING_BYTES_MAX, SHARDS_PENDING_MAX};
pub use check::{CheckReport, LedgerFinding};
pub use cosigning::{Cosigned, Cosigner, WitnessAlarm, WitnessLink, WitnessReply};
pub use error::{Error, Result};
pub use ledger::{Ledger, LogName, OpenReport};
pub use prove::ListedShard;
pub use publish::{OPEN_SHARDS_MAX, PublishStats};
pub use receipts::Promise;
pub use witness::{Witness, WitnessAnswer};
