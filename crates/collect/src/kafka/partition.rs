//! One partition: where it is read, and what its records become.

use moneta_base::{SourceName, Timestamp};
use moneta_event::{Delivery, QuarantinedRecord, RawRecord};
use moneta_formats::{Decoded, Decoder, custom_table_name};
use moneta_kafka::{Broken, FetchFrom, Fetched, Found, RecordRef, read_batches};
use moneta_ports::{IdempotencyKey, KeyLife, Submission};
use serde_json::{Map, Value as Json};

use super::{KafkaOptions, Named, Shared};
use crate::collector::Stopped;
use crate::intake::{ResumePoint, Stored, digest, num_records};
use crate::portions::quarantined;

/// The key of a record, among what its rows keep in `_Extra`.
const KEY: &str = "KafkaKey";
/// Its headers.
const HEADERS: &str = "KafkaHeaders";
/// Characters of a key and of a header's value that are kept at most.
const TEXT_CHARS_MAX: usize = 1_024;
/// Headers that are kept at most.
const HEADERS_MAX: usize = 100;

/// What the store knows a partition by.
pub(super) fn producer(label: &str, topic: &str, partition: i32) -> String {
    format!("collect/kafka/{}", digest(format!("{label}/{topic}/{partition}").as_bytes()))
}

/// A partition that is read.
pub(super) struct Partition {
    pub(super) topic: String,
    pub(super) number: i32,
    pub(super) source: SourceName,
    pub(super) producer: String,
    /// Whether it is read from its end while nothing of it is stored.
    pub(super) from_end: bool,
    /// How often its offsets began anew.
    pub(super) epoch: u128,
    /// The next offset to read.
    pub(super) next: u64,
}

impl Partition {
    pub(super) fn new(label: &str, (topic, number): &Named, from_end: bool) -> Self {
        Self {
            topic: topic.clone(),
            number: *number,
            source: SourceName::lossy(&format!("{label}/{topic}/{number}")),
            producer: producer(label, topic, *number),
            from_end,
            epoch: 0,
            next: 0,
        }
    }

    /// Goes on where the store says.
    pub(super) fn resume(&mut self, (epoch, next): ResumePoint) {
        (self.epoch, self.next) = (epoch, next);
    }

    pub(super) fn offset(&self) -> i64 {
        i64::try_from(self.next).unwrap_or(i64::MAX)
    }

    pub(super) fn from(&self) -> FetchFrom {
        FetchFrom { topic: self.topic.clone(), partition: self.number, offset: self.offset() }
    }

    pub(super) fn is(&self, fetched: &Fetched) -> bool {
        self.topic == fetched.topic && self.number == fetched.partition
    }

    fn key(&self, sequence: u64) -> IdempotencyKey {
        let producer = self.producer.clone();
        IdempotencyKey { producer, epoch: self.epoch, sequence, life: KeyLife::Cursor }
    }

    /// Remembers that reading goes on at an offset, in an epoch.
    pub(super) async fn stand_at(&mut self, shared: &Shared, epoch: u128, next: u64, stopped: &mut Stopped) -> Stored {
        (self.epoch, self.next) = (epoch, next);
        let place = Submission { key: Some(self.key(next)), ..Submission::default() };
        shared.intake.submit(&shared.label, &place, stopped).await
    }

    /// Stores what came, and stands behind it. What the store will never take is counted as dropped.
    pub(super) async fn store(&mut self, shared: &Shared, fetched: &Fetched, stopped: &mut Stopped) -> Stored {
        let read = self.decode(shared, fetched);
        for (submission, next) in read.submissions {
            let records = num_records(&submission);
            match shared.intake.submit(&shared.label, &submission, stopped).await {
                Stored::Yes => {}
                Stored::Refused => {
                    tracing::error!(source = %self.source.as_str(), from = self.next, to = next, "records are left out");
                    shared.intake.count_dropped(self.source.as_str(), "refused", records);
                }
                Stored::Stopped => return Stored::Stopped,
            }
            self.next = next;
        }
        shared.intake.count_dropped(self.source.as_str(), "no_value", read.without_value);
        self.next = read.next;
        Stored::Yes
    }

    fn decode(&self, shared: &Shared, fetched: &Fetched) -> Read {
        let mut decoder = self.decoder(shared);
        let now = shared.intake.clock.now();
        let mut portions: Vec<Decoded> = Vec::new();
        let mut broken: Vec<QuarantinedRecord> = Vec::new();
        let mut without_value = 0;
        let next = read_batches(&fetched.batches, self.offset(), &fetched.aborted, &mut |found| match found {
            Found::Record(record) => match record.value {
                None => without_value += 1,
                Some(value) => {
                    let number = u64::try_from(record.offset).unwrap_or_default();
                    let facts = facts(&record);
                    let raw = self.raw(value, said_time(record.time_ms, now));
                    decoder.numbered_record(&raw, number, facts, &mut |decoded| portions.push(decoded));
                }
            },
            Found::Broken(batch) => broken.push(self.quarantined(&shared.options, &batch)),
        });
        decoder.finish(&mut |decoded| portions.push(decoded));
        let next = u64::try_from(next).unwrap_or(self.next);
        Read { submissions: self.submissions(portions, broken, next), without_value, next }
    }

    /// Each portion with where reading goes on behind it. Broken batches go with the last one, which stands behind them.
    fn submissions(&self, portions: Vec<Decoded>, broken: Vec<QuarantinedRecord>, next: u64) -> Vec<(Submission, u64)> {
        let mut portions: Vec<Decoded> = portions.into_iter().filter(|portion| portion.records > 0).collect();
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

    fn decoder(&self, shared: &Shared) -> Decoder {
        let mut options = shared.intake.decode_options(self.source.clone(), Delivery::ExactlyOnce);
        options.fallback_table = shared.options.table.clone().unwrap_or_else(|| custom_table_name(&self.topic));
        Decoder::new(shared.options.format, options)
    }

    fn raw(&self, value: &[u8], received: Timestamp) -> RawRecord {
        RawRecord { bytes: value.to_vec(), source: self.source.clone(), received, delivery: Delivery::ExactlyOnce }
    }

    fn quarantined(&self, options: &KafkaOptions, batch: &Broken<'_>) -> QuarantinedRecord {
        let offset = u64::try_from(batch.offset).unwrap_or_default();
        let reason = batch.reason.to_owned();
        quarantined(options.format, options.table.clone(), &self.source, offset, batch.bytes, "bad_batch", reason)
    }
}

/// What a partition's answer became.
struct Read {
    submissions: Vec<(Submission, u64)>,
    /// Records that only say that their key is gone.
    without_value: u64,
    next: u64,
}

/// The time that a record without one of its own has: what its producer or broker said, where that can be.
fn said_time(millis: i64, now: Timestamp) -> Timestamp {
    let said = millis.checked_mul(1_000_000).map(Timestamp::from_nanos);
    let possible = moneta_base::limits::EVENT_TIME_MIN..=now;
    said.filter(|said| possible.contains(said)).unwrap_or(now)
}

/// The key and the headers of a record, as JSON.
fn facts(record: &RecordRef<'_>) -> Vec<(&'static str, String)> {
    let text =
        |bytes: &[u8]| Json::from(String::from_utf8_lossy(bytes).chars().take(TEXT_CHARS_MAX).collect::<String>());
    let mut facts = Vec::new();
    if let Some(key) = record.key.filter(|key| !key.is_empty()) {
        facts.push((KEY, text(key).to_string()));
    }
    if !record.headers.is_empty() {
        let headers = record.headers.iter().take(HEADERS_MAX);
        let headers: Map<String, Json> = headers
            .map(|(name, value)| (String::from_utf8_lossy(name).into_owned(), value.map_or(Json::Null, text)))
            .collect();
        facts.push((HEADERS, Json::Object(headers).to_string()));
    }
    facts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_that_cannot_be_is_not_believed() {
        let now = Timestamp::parse("2026-06-15T12:00:00Z").unwrap();
        let hour_ago = Timestamp::parse("2026-06-15T11:00:00Z").unwrap();
        assert_eq!(said_time(hour_ago.as_nanos() / 1_000_000, now), hour_ago);
        for millis in [-1, 0, i64::MAX, now.as_nanos() / 1_000_000 + 1] {
            assert_eq!(said_time(millis, now), now, "{millis}");
        }
    }
}
