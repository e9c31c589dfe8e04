//! What a request that was taken is answered with: nothing more, or how many of its records went to `Quarantine`.
//!
//! # Source
//! OpenTelemetry Protocol specification, "Partial Success", and `Export*ServiceResponse` of the three signals, which
//! differ in the name of the counter alone: a partial success (1) of a count (1) and a text (2). A record in
//! `Quarantine` counts as rejected: no query over its signal finds it.

use serde_json::{Value, json};

use super::Signal;
use super::status::{put, put_number};

/// Bytes of a reason in an answer at most: it may quote what was sent.
const REASON_BYTES_MAX: usize = 1024;

/// What became of the records of a request.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) num_rejected: usize,
    /// Why the first of them was.
    pub(super) first_reason: Option<String>,
}

impl Taken {
    fn text(&self) -> Option<String> {
        let reason = self.first_reason.as_deref()?;
        let reason = &reason[..reason.floor_char_boundary(REASON_BYTES_MAX)];
        Some(format!("{} went to Quarantine and are kept there; the first: {reason}", self.num_rejected))
    }

    /// The answer in protobuf: no bytes at all when everything was taken.
    pub(super) fn message(&self) -> Vec<u8> {
        let mut message = Vec::new();
        if let Some(text) = self.text() {
            let mut partial = vec![0x08];
            put_number(&mut partial, self.num_rejected as u64);
            put(&mut partial, 2, text.as_bytes());
            put(&mut message, 1, &partial);
        }
        message
    }

    /// The answer in JSON, where numbers of 64 bits are text.
    pub(super) fn json(&self, signal: Signal) -> Value {
        let Some(text) = self.text() else { return json!({}) };
        let name = match signal {
            Signal::Logs => "rejectedLogRecords",
            Signal::Metrics => "rejectedDataPoints",
            Signal::Traces => "rejectedSpans",
        };
        json!({ "partialSuccess": { name: self.num_rejected.to_string(), "errorMessage": text } })
    }
}
