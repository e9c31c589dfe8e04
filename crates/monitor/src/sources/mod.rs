//! Watches sources: what is received from whom, how complete it is, and whether something is missing.
//!
//! ```text
//! block ─► queue ─► book: counts, completeness, numbers ─ every minute ─► volume, pauses, lateness ─► alarms
//!                     └─ every minute ─► sources.json: counts and history together with how far they go
//! ```
//! The file says up to which row of each table it counts, and the journal keeps what is beyond: after a crash nothing is
//! counted twice or left out. Nothing here knows a format or a rule; what is expected of a source is learnt from it.

mod book;
mod entry;
mod facets;
mod observe;
mod rhythm;
mod sequence;
#[cfg(test)]
mod simulation;
mod volume;
mod watch;

pub use watch::{SourceWatch, SourceWatchParts};

/// The minute of a time, counted from 1970.
fn minute_of(time: moneta_base::Timestamp) -> i64 {
    time.as_nanos().div_euclid(60 * moneta_base::time::NANOS_PER_SECOND)
}
