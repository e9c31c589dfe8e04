//! Messages on their way to the store.

use std::time::Duration;

use moneta_formats::{Decoded, custom_table_name};
use moneta_nats::{Delivery, Message};
use serde_json::{Map, Value as Json};
use tokio::time::Instant;

use super::Shared;
use crate::collector::Stopped;
use crate::intake::Stored;
use crate::place::{Place, kept_text, said_time};

/// How long a message waits for company at most.
const FLUSH_AFTER: Duration = Duration::from_millis(100);
/// Bytes of messages after which a portion is stored.
const FLUSH_BYTES: usize = 4 << 20;
/// The subject of a message, among what its rows keep in `_Extra`.
const SUBJECT: &str = "NatsSubject";
/// Its headers.
const HEADERS: &str = "NatsHeaders";
/// Headers that are kept at most.
const HEADERS_MAX: usize = 100;

/// Messages that came, in the order of their numbers, and are not stored.
#[derive(Default)]
pub(super) struct Portion {
    messages: Vec<(Delivery, Message)>,
    bytes: usize,
    /// When they must be stored.
    pub(super) due: Option<Instant>,
}

impl Portion {
    /// Adds a message, unless one of its number was added.
    pub(super) fn push(&mut self, delivery: Delivery, message: Message) {
        if self.messages.last().is_some_and(|(last, _)| last.number >= delivery.number) {
            return;
        }
        self.due.get_or_insert_with(|| Instant::now() + FLUSH_AFTER);
        self.bytes += message.size_bytes();
        self.messages.push((delivery, message));
    }

    pub(super) fn is_full(&self) -> bool {
        self.bytes >= FLUSH_BYTES
    }

    /// Stores the messages and stands behind them; answers the subjects by which they are acknowledged.
    pub(super) async fn store(
        self,
        shared: &Shared,
        place: &mut Place,
        stopped: &mut Stopped,
    ) -> Result<Vec<String>, Stored> {
        let Some((last, _)) = self.messages.last() else { return Ok(Vec::new()) };
        let next = last.number.saturating_add(1);
        let mut empty = 0;
        let decoded = self.decode(shared, place, &mut empty);
        let portions = place.portions(decoded, Vec::new(), next);
        match place.store(&shared.intake, &shared.label, portions, stopped).await {
            Stored::Yes => {}
            other => return Err(other),
        }
        shared.intake.count_dropped(place.source.as_str(), "no_value", empty);
        place.next = next;
        Ok(self.messages.into_iter().filter_map(|(_, message)| message.reply).collect())
    }

    fn decode(&self, shared: &Shared, place: &Place, empty: &mut u64) -> Vec<Decoded> {
        let options = &shared.options;
        let table = options.table.clone().unwrap_or_else(|| custom_table_name(&options.stream));
        let mut decoder = place.decoder(&shared.intake, options.format, table);
        let now = shared.intake.clock.now();
        let mut decoded = Vec::new();
        for (delivery, message) in &self.messages {
            if message.payload.is_empty() {
                *empty += 1;
                continue;
            }
            let raw = place.raw(&message.payload, said_time(Some(delivery.time_ns), now));
            decoder.numbered_record(&raw, delivery.number, facts(message), &mut |portion| decoded.push(portion));
        }
        decoder.finish(&mut |portion| decoded.push(portion));
        decoded
    }
}

/// The subject and the headers of a message, as JSON.
fn facts(message: &Message) -> Vec<(&'static str, String)> {
    let mut facts = vec![(SUBJECT, kept_text(message.subject.as_bytes()).to_string())];
    let headers = message.headers().filter(|(name, _)| !name.is_empty()).take(HEADERS_MAX);
    let headers: Map<String, Json> =
        headers.map(|(name, value)| (String::from_utf8_lossy(name).into_owned(), kept_text(value))).collect();
    if !headers.is_empty() {
        facts.push((HEADERS, Json::Object(headers).to_string()));
    }
    facts
}
