//! One partition: where it is read, and what its records become.

use moneta_event::QuarantinedRecord;
use moneta_formats::{Decoded, custom_table_name};
use moneta_kafka::{Broken, FetchFrom, Fetched, Found, RecordRef, read_batches};
use serde_json::{Map, Value as Json};

use super::{KafkaOptions, Named, Shared};
use crate::collector::Stopped;
use crate::intake::{ResumePoint, Stored};
use crate::place::{Place, Portioned, kept_text, said_time};
use crate::portions::quarantined;

/// The key of a record, among what its rows keep in `_Extra`.
const KEY: &str = "KafkaKey";
/// Its headers.
const HEADERS: &str = "KafkaHeaders";
/// Headers that are kept at most.
const HEADERS_MAX: usize = 100;

/// What the store knows a partition by.
pub(super) fn producer(label: &str, topic: &str, partition: i32) -> String {
    crate::place::producer("kafka", &format!("{label}/{topic}/{partition}"))
}

/// A partition that is read.
pub(super) struct Partition {
    pub(super) topic: String,
    pub(super) number: i32,
    /// Whether it is read from its end while nothing of it is stored.
    pub(super) from_end: bool,
    /// The next offset to read; the epoch counts how often offsets began anew.
    pub(super) place: Place,
}

impl Partition {
    pub(super) fn new(label: &str, (topic, number): &Named, from_end: bool) -> Self {
        let place = Place::new("kafka", &format!("{label}/{topic}/{number}"));
        Self { topic: topic.clone(), number: *number, from_end, place }
    }

    pub(super) fn offset(&self) -> i64 {
        i64::try_from(self.place.next).unwrap_or(i64::MAX)
    }

    pub(super) fn from(&self) -> FetchFrom {
        FetchFrom { topic: self.topic.clone(), partition: self.number, offset: self.offset() }
    }

    pub(super) fn is(&self, fetched: &Fetched) -> bool {
        self.topic == fetched.topic && self.number == fetched.partition
    }

    /// Remembers that reading goes on at an offset, in an epoch.
    pub(super) async fn stand_at(&mut self, shared: &Shared, point: ResumePoint, stopped: &mut Stopped) -> Stored {
        self.place.stand_at(&shared.intake, &shared.label, point, stopped).await
    }

    /// Stores what came, and stands behind it. What the store will never take is counted as dropped.
    pub(super) async fn store(&mut self, shared: &Shared, fetched: &Fetched, stopped: &mut Stopped) -> Stored {
        let read = self.decode(shared, fetched);
        let stored = self.place.store(&shared.intake, &shared.label, read.portions, stopped).await;
        if stored == Stored::Yes {
            shared.intake.count_dropped(self.place.source.as_str(), "no_value", read.without_value);
            self.place.next = read.next;
        }
        stored
    }

    fn decode(&self, shared: &Shared, fetched: &Fetched) -> Read {
        let table = shared.options.table.clone().unwrap_or_else(|| custom_table_name(&self.topic));
        let mut decoder = self.place.decoder(&shared.intake, shared.options.format, table);
        let now = shared.intake.clock.now();
        let mut decoded: Vec<Decoded> = Vec::new();
        let mut broken: Vec<QuarantinedRecord> = Vec::new();
        let mut without_value = 0;
        let next = read_batches(&fetched.batches, self.offset(), &fetched.aborted, &mut |found| match found {
            Found::Record(record) => match record.value {
                None => without_value += 1,
                Some(value) => {
                    let number = u64::try_from(record.offset).unwrap_or_default();
                    let facts = facts(&record);
                    let raw = self.place.raw(value, said_time(record.time_ms.checked_mul(1_000_000), now));
                    decoder.numbered_record(&raw, number, facts, &mut |portion| decoded.push(portion));
                }
            },
            Found::Broken(batch) => broken.push(self.quarantined(&shared.options, &batch)),
        });
        decoder.finish(&mut |portion| decoded.push(portion));
        let next = u64::try_from(next).unwrap_or(self.place.next);
        Read { portions: self.place.portions(decoded, broken, next), without_value, next }
    }

    fn quarantined(&self, options: &KafkaOptions, batch: &Broken<'_>) -> QuarantinedRecord {
        let offset = u64::try_from(batch.offset).unwrap_or_default();
        let (source, reason) = (&self.place.source, batch.reason.to_owned());
        quarantined(options.format, options.table.clone(), source, offset, batch.bytes, "bad_batch", reason)
    }
}

/// What a partition's answer became.
struct Read {
    portions: Portioned,
    /// Records that only say that their key is gone.
    without_value: u64,
    next: u64,
}

/// The key and the headers of a record, as JSON.
fn facts(record: &RecordRef<'_>) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    if let Some(key) = record.key.filter(|key| !key.is_empty()) {
        facts.push((KEY, kept_text(key).to_string()));
    }
    if !record.headers.is_empty() {
        let headers = record.headers.iter().take(HEADERS_MAX);
        let headers: Map<String, Json> = headers
            .map(|(name, value)| (String::from_utf8_lossy(name).into_owned(), value.map_or(Json::Null, kept_text)))
            .collect();
        facts.push((HEADERS, Json::Object(headers).to_string()));
    }
    facts
}
