//! Records of a listener on their way to the store: decoded as they come, stored in portions by number, size and age.

use std::time::Duration;

use moneta_base::limits::QUARANTINE_BYTES_MAX;
use moneta_base::{SourceName, TableName};
use moneta_event::{Delivery, QuarantinedRecord, RawRecord, RecordContext};
use moneta_formats::{Decoded, Decoder, Format};
use tokio::time::Instant;

use crate::collector::{Stopped, until_due};
use crate::intake::{Intake, Stored};

/// How long a message waits for company at most.
const FLUSH_AFTER: Duration = Duration::from_millis(100);
/// Messages after which a portion is stored, however young.
const FLUSH_MESSAGES: u64 = 4_096;
/// Bytes of messages after which a portion is stored.
const FLUSH_BYTES: usize = 1 << 20;

/// What the records of a listener are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RecordKind {
    pub(crate) format: Format,
    /// The table of records that say nothing of it.
    pub(crate) table: &'static str,
}

impl RecordKind {
    pub(crate) fn table_name(self) -> TableName {
        TableName::new(self.table).expect("the names of built-in tables are valid")
    }

    /// What is kept of a record that cannot be decoded, or does not come as far.
    pub(crate) fn quarantined(
        self,
        source: &SourceName,
        offset: u64,
        bytes: &[u8],
        code: &'static str,
        reason: String,
    ) -> QuarantinedRecord {
        quarantined(self.format, Some(self.table_name()), source, offset, bytes, code, reason)
    }

    /// As [`Self::quarantined`] for a record of `length` bytes that begins with `head`.
    pub(crate) fn too_long(self, source: &SourceName, offset: u64, head: &[u8], length: u64) -> QuarantinedRecord {
        let reason = format!("a message of {length} bytes exceeds the limit of the listener");
        self.quarantined(source, offset, head, "too_long", reason)
    }
}

/// What is kept of bytes that no decoder saw.
pub(crate) fn quarantined(
    format: Format,
    table: Option<TableName>,
    source: &SourceName,
    offset: u64,
    bytes: &[u8],
    reason_code: &'static str,
    reason: String,
) -> QuarantinedRecord {
    let bytes = bytes[..bytes.len().min(QUARANTINE_BYTES_MAX)].to_vec();
    QuarantinedRecord {
        source: source.clone(),
        format: format.name(),
        table,
        reason_code,
        reason,
        offset,
        bytes,
        context: RecordContext::default(),
    }
}

/// Decodes messages and stores them in portions, by number, size and age.
pub(crate) struct Portions {
    intake: Intake,
    /// What records are counted under.
    collector: &'static str,
    decoder: Decoder,
    /// Portions the decoder ended by itself.
    ready: Vec<Decoded>,
    /// Records that cannot be decoded.
    refused: Vec<QuarantinedRecord>,
    messages: u64,
    bytes: usize,
    /// When what is held must be stored.
    deadline: Option<Instant>,
}

impl Portions {
    /// Decodes records of a format; those whose shape says nothing about their table go to that of the kind.
    pub(crate) fn new(intake: &Intake, collector: &'static str, kind: RecordKind, delivery: Delivery) -> Self {
        let mut options = intake.decode_options(SourceName::lossy(collector), delivery);
        options.fallback_table = kind.table_name();
        let decoder = Decoder::new(kind.format, options);
        Self {
            intake: intake.clone(),
            collector,
            decoder,
            ready: Vec::new(),
            refused: Vec::new(),
            messages: 0,
            bytes: 0,
            deadline: None,
        }
    }

    /// Adds a record.
    pub(crate) fn push(&mut self, record: &RawRecord) {
        let (ready, senders) = (&mut self.ready, &self.intake.senders);
        self.decoder.set_zone(senders.zone_offset_seconds(record.source.as_str(), record.received));
        self.decoder.record(&senders.in_utf8(record), &mut |decoded| ready.push(decoded));
        self.bytes += record.bytes.len();
        self.count();
    }

    /// Adds a record that cannot be decoded, for quarantine.
    pub(crate) fn refuse(&mut self, record: QuarantinedRecord) {
        self.bytes += record.bytes.len();
        self.refused.push(record);
        self.count();
    }

    fn count(&mut self) {
        self.messages += 1;
        self.deadline.get_or_insert_with(|| Instant::now() + FLUSH_AFTER);
    }

    /// Whether it is time to store, whatever the age.
    pub(crate) fn is_full(&self) -> bool {
        self.messages >= FLUSH_MESSAGES || self.bytes >= FLUSH_BYTES || !self.ready.is_empty()
    }

    /// Stores everything held; says whether all of it is durable.
    pub(crate) async fn flush(&mut self, stopped: &mut Stopped) -> Stored {
        let ready = &mut self.ready;
        self.decoder.flush(&mut |decoded| ready.push(decoded));
        (self.messages, self.bytes, self.deadline) = (0, 0, None);
        let refused = std::mem::take(&mut self.refused);
        self.ready.extend((!refused.is_empty()).then(|| Decoded { quarantined: refused, ..Decoded::default() }));
        let mut all = Stored::Yes;
        for decoded in std::mem::take(&mut self.ready) {
            let stored = self.intake.store(self.collector, decoded, stopped).await;
            all = if all == Stored::Yes { stored } else { all };
        }
        all
    }

    /// Resolves when what is held is old enough to be stored; never when nothing is held.
    pub(crate) async fn until_due(&self) {
        until_due(self.deadline).await;
    }
}
