//! Where reading stands in a source whose records are numbered by whoever keeps them: a partition of Kafka, a stream.
//!
//! The number behind the last stored record is the sequence of the submission that stored it, so that data and progress
//! are committed together. The *epoch* changes when the numbers begin anew. Nothing here knows where records come from.

use moneta_base::{SourceName, TableName, Timestamp};
use moneta_event::{Delivery, QuarantinedRecord, RawRecord};
use moneta_formats::{Decoded, Decoder, Format};
use moneta_ports::{IdempotencyKey, KeyLife, Submission};
use serde_json::Value as Json;

use crate::collector::Stopped;
use crate::intake::{Intake, ResumePoint, Stored, digest, num_records};

/// Characters that are kept at most of a text that came beside a record.
const TEXT_CHARS_MAX: usize = 1_024;

/// A place in a numbered source.
pub(crate) struct Place {
    pub(crate) source: SourceName,
    /// What the store knows the source by.
    pub(crate) producer: String,
    /// Tells numbers that began anew from those before.
    pub(crate) epoch: u128,
    /// The next number to read.
    pub(crate) next: u64,
}

/// What was read, in portions, each with where reading goes on behind it.
pub(crate) type Portioned = Vec<(Submission, u64)>;

impl Place {
    /// The beginning of a source; `kind` tells sources of one protocol from those of others.
    pub(crate) fn new(kind: &str, name: &str) -> Self {
        let producer = producer(kind, name);
        Self { source: SourceName::lossy(name), producer, epoch: 0, next: 0 }
    }

    /// Goes on where the store says.
    pub(crate) fn resume(&mut self, (epoch, next): ResumePoint) {
        (self.epoch, self.next) = (epoch, next);
    }

    fn key(&self, sequence: u64) -> IdempotencyKey {
        let producer = self.producer.clone();
        IdempotencyKey { producer, epoch: self.epoch, sequence, life: KeyLife::Cursor }
    }

    /// Remembers that reading goes on at a number, in an epoch.
    pub(crate) async fn stand_at(
        &mut self,
        intake: &Intake,
        label: &str,
        (epoch, next): ResumePoint,
        stopped: &mut Stopped,
    ) -> Stored {
        (self.epoch, self.next) = (epoch, next);
        let place = Submission { key: Some(self.key(next)), ..Submission::default() };
        intake.submit(label, &place, stopped).await
    }

    /// Stores portions and stands behind them. What the store will never take is counted as dropped.
    pub(crate) async fn store(
        &mut self,
        intake: &Intake,
        label: &str,
        portions: Portioned,
        stopped: &mut Stopped,
    ) -> Stored {
        for (submission, next) in portions {
            let records = num_records(&submission);
            match intake.submit(label, &submission, stopped).await {
                Stored::Yes => {}
                Stored::Refused => {
                    tracing::error!(source = %self.source.as_str(), from = self.next, to = next, "records are left out");
                    intake.count_dropped(self.source.as_str(), "refused", records);
                }
                other => return other,
            }
            self.next = next;
        }
        Stored::Yes
    }

    /// Portions as they are stored. Broken pieces go with the last one, which stands behind them.
    pub(crate) fn portions(&self, decoded: Vec<Decoded>, broken: Vec<QuarantinedRecord>, next: u64) -> Portioned {
        let mut portions: Vec<Decoded> = decoded.into_iter().filter(|portion| portion.records > 0).collect();
        if portions.is_empty() && broken.is_empty() {
            return Vec::new();
        }
        let mut last = portions.pop().unwrap_or_default();
        last.quarantined.extend(broken);
        last.cursor = next;
        portions.push(last);
        let submission = |Decoded { batches, quarantined, cursor, .. }| {
            (Submission { batches, quarantined, key: Some(self.key(cursor)) }, cursor)
        };
        portions.into_iter().map(submission).collect()
    }

    /// Decodes the records of the source; those whose shape says nothing of their table go to `table`.
    pub(crate) fn decoder(&self, intake: &Intake, format: Format, table: TableName) -> Decoder {
        let mut options = intake.decode_options(self.source.clone(), Delivery::ExactlyOnce);
        options.fallback_table = table;
        Decoder::new(format, options)
    }

    /// A record as decoders take it.
    pub(crate) fn raw(&self, bytes: &[u8], received: Timestamp) -> RawRecord {
        RawRecord { bytes: bytes.to_vec(), source: self.source.clone(), received, delivery: Delivery::ExactlyOnce }
    }
}

/// What the store knows a source by.
pub(crate) fn producer(kind: &str, name: &str) -> String {
    format!("collect/{kind}/{}", digest(name.as_bytes()))
}

/// The time that a record without one of its own has: what its keeper said, where that can be.
pub(crate) fn said_time(nanos: Option<i64>, now: Timestamp) -> Timestamp {
    let possible = moneta_base::limits::EVENT_TIME_MIN..=now;
    nanos.map(Timestamp::from_nanos).filter(|said| possible.contains(said)).unwrap_or(now)
}

/// A text that came beside a record, cut to what is kept of it.
pub(crate) fn kept_text(bytes: &[u8]) -> Json {
    Json::from(String::from_utf8_lossy(bytes).chars().take(TEXT_CHARS_MAX).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_that_cannot_be_is_not_believed() {
        let now = Timestamp::parse("2026-06-15T12:00:00Z").unwrap();
        let hour_ago = Timestamp::parse("2026-06-15T11:00:00Z").unwrap();
        assert_eq!(said_time(Some(hour_ago.as_nanos()), now), hour_ago);
        for nanos in [None, Some(-1), Some(0), Some(i64::MAX), Some(now.as_nanos() + 1)] {
            assert_eq!(said_time(nanos, now), now, "{nanos:?}");
        }
    }
}
