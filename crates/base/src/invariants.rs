//! The promises the code makes, each under the identifier that tests, assertions and reports quote.
//!
//! Adding one here without a test that quotes it fails `cargo xtask tidy`.

/// One invariant: an identifier and the sentence it stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Invariant {
    /// Short identifier, quoted by tests.
    pub id: &'static str,
    /// The promise.
    pub text: &'static str,
}

/// Every invariant of the system.
pub const ALL: &[Invariant] = &[
    Invariant { id: "JOURNAL-1", text: "an acknowledged record is on disk before its acknowledgement" },
    Invariant { id: "JOURNAL-2", text: "recovery yields every acknowledged block exactly once and in order" },
    Invariant { id: "JOURNAL-3", text: "a producer's sequence number is stored once, in the commit of its data" },
    Invariant { id: "JOURNAL-4", text: "only scrubbed rows reach the journal" },
    Invariant { id: "BLOCK-1", text: "a block's record-tree root is the root over its stored rows in order" },
    Invariant { id: "BLOCK-2", text: "blocks of a table are dense in sequence and chained by header hash" },
    Invariant { id: "LEDGER-1", text: "the published tree only grows" },
    Invariant { id: "LEDGER-2", text: "no checkpoint is signed over tiles that do not read back equal" },
    Invariant { id: "STORE-1", text: "a query sees each row exactly once, hot or sealed" },
    Invariant { id: "STORE-2", text: "a segment holds the rows of its blocks, unchanged and in order" },
    Invariant { id: "STORE-3", text: "whole ingest days are dropped, and only after their drop entry is published" },
    Invariant { id: "INGEST-1", text: "a record that cannot be parsed is quarantined with its reason, never dropped" },
    Invariant { id: "MONITOR-1", text: "an alert is stored in the commit that moves its rule cursor" },
    Invariant {
        id: "INCIDENT-1",
        text: "an alert joins one incident once, and each version of an incident is one row",
    },
    Invariant { id: "ACCESS-1", text: "what cannot be audited does not happen" },
];
