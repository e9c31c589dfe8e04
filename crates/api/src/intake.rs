//! The one way in for events, whatever protocol brought them: decoded, then handed to the sink, which scrubs them and
//! answers when they are on disk. Nothing here knows a wire format, and no protocol has a way around it.

use std::collections::BTreeMap;
use std::time::Duration;

use moneta_base::{SourceName, TableName, Timestamp};
use moneta_event::{ParsedBatch, QuarantinedRecord, RecordContext};
use moneta_formats::{DecodeOptions, Decoder, Format};
use moneta_ports::{IdempotencyKey, IngestReceipt, OpContext, Submission};
use serde_json::{Map, Value};
use tokio::sync::SemaphorePermit;

use crate::ApiError;
use crate::body::EVENTS_BODY_BYTES_MAX;
use crate::ingest::{check_tables, decode_options, writable_table};
use crate::state::App;

/// How long a request waits for others to finish before it is told to come back.
const PLACE_WAIT: Duration = Duration::from_secs(5);
/// How long a sender is asked to wait.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Records of one format with how to decode them.
pub(crate) struct Lot {
    pub(crate) format: Format,
    pub(crate) options: DecodeOptions,
    pub(crate) bytes: Vec<u8>,
}

/// The acknowledgement: what it counts is on disk.
pub(crate) struct Stored {
    pub(crate) receipt: IngestReceipt,
    /// What the log signed for it, for those that asked.
    pub(crate) signed: Option<String>,
    /// Records stored in `Quarantine`.
    pub(crate) num_quarantined: usize,
    /// Why the first of them is there.
    pub(crate) first_reason: Option<String>,
}

/// A place among the requests whose bodies are held in memory at once, to be taken before a body is read.
pub(crate) async fn place(state: &App) -> Result<SemaphorePermit<'_>, ApiError> {
    match tokio::time::timeout(PLACE_WAIT, state.ingest_places.acquire()).await {
        Ok(Ok(place)) => Ok(place),
        _ => Err(ApiError::busy("too many requests are being stored at this moment; send again", RETRY_AFTER)),
    }
}

/// Stores lots together: all of them or none. A record that is no event goes to `Quarantine`; a request without a
/// single event is refused, because its sender still has it and can mend what is wrong with all of it.
pub(crate) async fn store(state: &App, lots: Vec<Lot>, key: Option<IdempotencyKey>) -> Result<Stored, ApiError> {
    submit(state, submission(lots, None, key).await?).await
}

async fn submit(state: &App, submission: Submission) -> Result<Stored, ApiError> {
    let (num_quarantined, first_reason) = quarantined(&submission);
    let receipt = state.events.submit(submission).await?;
    Ok(Stored { receipt, signed: None, num_quarantined, first_reason })
}

/// As [`store`], with a receipt that the log signed.
pub(crate) async fn store_for_receipt(
    state: &App,
    lots: Vec<Lot>,
    key: Option<IdempotencyKey>,
) -> Result<Stored, ApiError> {
    let submission = submission(lots, None, key).await?;
    let (num_quarantined, first_reason) = quarantined(&submission);
    let (receipt, signed) = state.events.submit_for_receipt(submission).await?;
    Ok(Stored { receipt, signed, num_quarantined, first_reason })
}

fn quarantined(submission: &Submission) -> (usize, Option<String>) {
    (submission.quarantined.len(), submission.quarantined.first().map(|record| record.reason.clone()))
}

/// Lots decoded, beside records that their protocol found to be none. Without such a list a request without a single
/// event is refused.
async fn submission(
    lots: Vec<Lot>,
    refused: Option<Vec<QuarantinedRecord>>,
    key: Option<IdempotencyKey>,
) -> Result<Submission, ApiError> {
    let (batches, mut quarantined) = on_other_thread(move || decode(lots)).await?;
    check_tables(&batches)?;
    match refused {
        Some(refused) => quarantined.extend(refused),
        None => check_some_events(&batches, &quarantined)?,
    }
    Ok(Submission { batches, quarantined, key })
}

/// Runs what takes long away from the threads that answer requests.
pub(crate) async fn on_other_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ApiError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| ApiError::internal(&error))
}

/// Decodes lots, without storing anything.
pub(crate) fn decode(lots: Vec<Lot>) -> (Vec<ParsedBatch>, Vec<QuarantinedRecord>) {
    let (mut batches, mut quarantined) = (Vec::new(), Vec::new());
    let mut take = |portion: moneta_formats::Decoded| {
        batches.extend(portion.batches);
        quarantined.extend(portion.quarantined);
    };
    for Lot { format, options, bytes } in lots {
        let mut decoder = Decoder::new(format, options);
        decoder.feed(&bytes, &mut take);
        decoder.finish(&mut take);
    }
    (batches, quarantined)
}

fn check_some_events(batches: &[ParsedBatch], quarantined: &[QuarantinedRecord]) -> Result<(), ApiError> {
    match quarantined.first() {
        _ if !batches.is_empty() => Ok(()),
        None => Err(ApiError::bad_request("the body holds no events; send a JSON object, an array, or one a line")),
        Some(first) => Err(ApiError::bad_request(format!(
            "none of the {} records is an event; the first, at byte {}: {}",
            quarantined.len(),
            first.offset,
            first.reason
        ))),
    }
}

/// Where a record goes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Target {
    /// To this table.
    Table(TableName),
    /// Wherever its shape belongs, as that of a Windows event does; to this table when it says nothing.
    Recognised(TableName),
}

/// Bytes of the records of one request at most. What records of a request share, such as labels, stands in each of
/// them: without this a small body could ask for any amount.
const RECORDS_BYTES_MAX: usize = 4 * EVENTS_BODY_BYTES_MAX;

/// Records as JSON objects, gathered by where they go.
#[derive(Debug, Default)]
pub(crate) struct Records {
    lines: BTreeMap<Target, Vec<u8>>,
    refused: Option<Vec<Refused>>,
    num_bytes: usize,
}

/// A record that cannot become an event of its table.
#[derive(Debug)]
struct Refused {
    table: TableName,
    reason: String,
    bytes: Vec<u8>,
}

impl Records {
    /// Records of a protocol whose senders drop what is refused: a request without a single event is stored too.
    pub(crate) fn of_dropping_senders() -> Self {
        Self { refused: Some(Vec::new()), ..Self::default() }
    }

    /// Adds a record.
    ///
    /// # Errors
    /// When there are too many bytes with it; then it is not among them.
    pub(crate) fn push(&mut self, target: &Target, record: &Map<String, Value>) -> Result<(), ApiError> {
        let lines = match self.lines.get_mut(target) {
            Some(lines) => lines,
            None => self.lines.entry(target.clone()).or_default(),
        };
        let before = lines.len();
        serde_json::to_writer(&mut *lines, record).expect("an object always becomes JSON, and memory takes it");
        lines.push(b'\n');
        let num_bytes = self.num_bytes + lines.len() - before;
        if num_bytes > RECORDS_BYTES_MAX {
            lines.truncate(before);
            return Err(too_many_bytes());
        }
        self.num_bytes = num_bytes;
        Ok(())
    }

    /// Adds a record that cannot become an event of the table: it goes to `Quarantine` whole.
    ///
    /// # Errors
    /// As [`Self::push`].
    pub(crate) fn push_refused(&mut self, table: TableName, record: &Value, reason: String) -> Result<(), ApiError> {
        let bytes = record.to_string().into_bytes();
        let num_bytes = self.num_bytes + bytes.len();
        if num_bytes > RECORDS_BYTES_MAX {
            return Err(too_many_bytes());
        }
        self.refused.get_or_insert_default().push(Refused { table, reason, bytes });
        self.num_bytes = num_bytes;
        Ok(())
    }

    /// What is in it, to be read by tests: tables and lines, then what was refused.
    #[cfg(test)]
    pub(crate) fn text(&self) -> String {
        let lines = self.lines.iter().map(|(target, lines)| format!("{target:?} {}", String::from_utf8_lossy(lines)));
        let refused = self
            .refused
            .iter()
            .flatten()
            .map(|one| format!("{} refused: {} {}", String::from_utf8_lossy(&one.bytes), one.table, one.reason));
        lines.chain(refused).collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.refused.as_ref().is_none_or(Vec::is_empty)
    }

    /// Stores all of them or none.
    pub(crate) async fn store(
        self,
        state: &App,
        ctx: &OpContext,
        protocol: &str,
        key: Option<IdempotencyKey>,
    ) -> Result<Stored, ApiError> {
        let source = format!("{protocol}/{}", ctx.actor.name);
        let lot = |(target, bytes)| {
            let mut options = decode_options(state, &source, key.is_some());
            match target {
                Target::Table(table) => options.table = Some(table),
                Target::Recognised(table) => options.fallback_table = table,
            }
            Lot { format: Format::Ndjson, options, bytes }
        };
        let lots = self.lines.into_iter().map(lot).collect();
        let into_record = |refused: Refused| refused.into_record(&source, state.clock.now());
        let refused = self.refused.map(|refused| refused.into_iter().map(into_record).collect());
        submit(state, submission(lots, refused, key).await?).await
    }
}

impl Refused {
    fn into_record(self, source: &str, received: Timestamp) -> QuarantinedRecord {
        QuarantinedRecord {
            source: SourceName::lossy(source),
            format: Format::Json.name(),
            table: Some(self.table),
            reason_code: "unusable_item",
            reason: self.reason,
            offset: 0,
            bytes: self.bytes,
            context: RecordContext { received: Some(received), ..RecordContext::default() },
        }
    }
}

fn too_many_bytes() -> ApiError {
    ApiError::too_large(format!(
        "the records have more than {RECORDS_BYTES_MAX} bytes once labels and attributes stand in each; send fewer at \
         once"
    ))
}

/// Adds a member under its name or, where that is taken, under the name and as many underscores as it takes: what a
/// sender wrote never gives way to what else is known.
pub(crate) fn insert_beside(record: &mut Map<String, Value>, mut name: String, value: Value) {
    while record.contains_key(&name) {
        name.push('_');
    }
    record.insert(name, value);
}

/// The table that a foreign name means: a built-in table of that name, else a table of the sender's own, in whose name
/// everything but letters, digits and underscores is replaced by an underscore.
pub(crate) fn table_of(state: &App, name: &str) -> Result<TableName, ApiError> {
    if let Some(schema) = state.catalog.get(name) {
        return writable_table(state, schema.name().as_str());
    }
    let stem = name.strip_suffix("_CL").unwrap_or(name);
    let cleaned: String = stem.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    let led = if cleaned.starts_with(|c: char| c.is_ascii_digit()) { "_" } else { "" };
    writable_table(state, &format!("{led}{cleaned}_CL"))
}
