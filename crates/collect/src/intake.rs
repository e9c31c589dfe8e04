//! What all collectors share: where events go, and how long to keep trying.

use std::sync::Arc;
use std::time::Duration;

use moneta_base::{Clock, ErrorKind, SourceName};
use moneta_event::{Delivery, TableCatalog};
use moneta_formats::{DecodeOptions, Decoded, Mappings};
use moneta_merkle::sha256;
use moneta_ports::{BoxFuture, EventSink, IdempotencyKey, Metric, Metrics, PortError, Submission};

use crate::Senders;
use crate::collector::{Stopped, is_stopped, until_stopped};

/// Wait before a refused submission is sent again, when the sink names no time.
const RETRY_MIN: Duration = Duration::from_millis(200);
/// Longest wait between two attempts: a full disk is looked at again this often.
const RETRY_MAX: Duration = Duration::from_secs(30);
/// How long a collector that must stop goes on trying to store what it accepted.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// How far a producer's data is stored: its epoch, and the sequence of its last stored submission.
pub type ResumePoint = (u128, u64);

/// Tells how far a producer's data is stored.
pub trait ResumePoints: Send + Sync {
    /// The last stored position of a producer; `None` when nothing of it was ever stored.
    fn resume_point<'a>(&'a self, producer: &'a str) -> BoxFuture<'a, Option<ResumePoint>>;

    /// Producers whose names begin so, and their last stored positions. There may be tens of thousands.
    fn remembered<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Vec<(String, ResumePoint)>>;
}

/// Where collectors deliver, and what they need to do so.
#[derive(Clone)]
pub struct Intake {
    /// Stores events.
    pub sink: Arc<dyn EventSink>,
    /// The time of receipt.
    pub clock: Arc<dyn Clock>,
    /// The tables that exist.
    pub catalog: Arc<TableCatalog>,
    /// Which table and columns records of known shapes have.
    pub mappings: Arc<Mappings>,
    /// Where records are counted.
    pub metrics: Arc<Metrics>,
    /// What senders do not say themselves.
    pub senders: Arc<Senders>,
}

/// What became of a submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stored {
    /// It is durable.
    Yes,
    /// It can never be stored.
    Refused,
    /// The collector had to stop before it was.
    Stopped,
}

impl Intake {
    /// Options for decoding records of one source.
    pub(crate) fn decode_options(&self, source: SourceName, delivery: Delivery) -> DecodeOptions {
        let received = self.clock.now();
        let zone_offset_seconds = self.senders.zone_offset_seconds(source.as_str(), received);
        let options = DecodeOptions::new(self.catalog.clone(), source, received);
        DecodeOptions { delivery, mappings: self.mappings.clone(), zone_offset_seconds, ..options }
    }

    /// Stores decoded records for which nobody can be asked again: what cannot be stored is counted as dropped.
    pub(crate) async fn store(&self, collector: &str, decoded: Decoded, stopped: &mut Stopped) -> Stored {
        let submission = Submission { batches: decoded.batches, quarantined: decoded.quarantined, key: None };
        self.store_submission(collector, submission, stopped).await
    }

    /// As [`Self::store`] for a submission.
    pub(crate) async fn store_submission(
        &self,
        collector: &str,
        submission: Submission,
        stopped: &mut Stopped,
    ) -> Stored {
        let records = num_records(&submission);
        if records == 0 {
            return Stored::Yes;
        }
        let stored = self.submit(collector, &submission, stopped).await;
        match stored {
            Stored::Yes => {}
            Stored::Refused => self.count_dropped(collector, "refused", records),
            Stored::Stopped => self.count_dropped(collector, "stopped", records),
        }
        stored
    }

    /// Submits until it is stored, can never be, or the collector has to stop. A resend is equal to the first attempt,
    /// so that the sink recognises it by its key.
    pub(crate) async fn submit(&self, collector: &str, submission: &Submission, stopped: &mut Stopped) -> Stored {
        // With patience for room to remember it there is always an end to tell.
        self.keep_submitting(collector, submission, stopped, true).await.unwrap_or(Stored::Stopped)
    }

    /// As [`submit`](Self::submit), but `None` at once where the submission is of a new producer and there is no room to
    /// remember another: for those who have others to go on with meanwhile.
    pub(crate) async fn submit_if_remembered(
        &self,
        collector: &str,
        submission: &Submission,
        stopped: &mut Stopped,
    ) -> Option<Stored> {
        self.keep_submitting(collector, submission, stopped, false).await
    }

    async fn keep_submitting(
        &self,
        collector: &str,
        submission: &Submission,
        stopped: &mut Stopped,
        waits_for_room: bool,
    ) -> Option<Stored> {
        let mut wait = RETRY_MIN;
        let mut grace_ends: Option<tokio::time::Instant> = None;
        loop {
            let error = match self.sink.submit(copy_of(submission)).await {
                Ok(_) => {
                    self.metrics.add_labelled(Metric::CollectRecords, collector, num_records(submission));
                    return Some(Stored::Yes);
                }
                Err(error) => error,
            };
            if !waits_for_room && error.is_no_room_to_remember() {
                return None;
            }
            let ErrorKind::Environment { retry_after } = error.kind else {
                log_refusal(collector, &error);
                return Some(Stored::Refused);
            };
            if is_stopped(stopped) {
                let ends = *grace_ends.get_or_insert_with(|| tokio::time::Instant::now() + STOP_GRACE);
                if tokio::time::Instant::now() + wait > ends {
                    return Some(Stored::Stopped);
                }
                tokio::time::sleep(wait).await;
            } else {
                tracing::warn!(collector, %error, wait_ms = wait.as_millis(), "events cannot be stored now");
                tokio::select! {
                    () = tokio::time::sleep(wait.max(retry_after.unwrap_or_default()).min(RETRY_MAX)) => {}
                    () = until_stopped(stopped) => {}
                }
            }
            wait = (wait * 2).min(if is_stopped(stopped) { Duration::from_secs(1) } else { RETRY_MAX });
        }
    }

    /// Counts records that were accepted from the outside and are lost: by reason, and by the source or, where that is not
    /// known, by what lost them.
    pub(crate) fn count_dropped(&self, source: &str, reason: &str, records: u64) {
        if records > 0 {
            self.metrics.add_labelled(Metric::CollectDropped, reason, records);
            self.metrics.add_labelled(Metric::CollectSourceDropped, source, records);
        }
    }
}

fn log_refusal(collector: &str, error: &PortError) {
    tracing::error!(collector, %error, "events were refused and will not be sent again");
}

/// 128 bits of a hash, as 32 hexadecimal digits: stands for a name that may be longer than a producer's.
pub(crate) fn digest(name: &[u8]) -> String {
    hex::encode(&sha256(name).as_bytes()[..16])
}

/// Rows and quarantined records of a submission.
pub(crate) fn num_records(submission: &Submission) -> u64 {
    let rows: usize = submission.batches.iter().map(|batch| batch.rows.num_rows()).sum();
    (rows + submission.quarantined.len()) as u64
}

/// The same submission again; columns are shared, not copied.
fn copy_of(submission: &Submission) -> Submission {
    Submission {
        batches: submission.batches.clone(),
        quarantined: submission.quarantined.clone(),
        key: submission.key.as_ref().map(|key| IdempotencyKey { producer: key.producer.clone(), ..*key }),
    }
}
