//! The service: takes submissions, scrubs them, and waits for the writer's word that they are on disk.

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use arrow::array::AsArray;
use moneta_base::{Clock, Entropy, ErrorKind, TableName, Timestamp};
use moneta_event::catalog::table;
use moneta_event::{ParsedBatch, RecordClass, TableSchema};
use moneta_journal::Commit;
use moneta_ledger::Ledger;
use moneta_ports::{
    BlockSubscriber, BoxFuture, EventSink, IdempotencyKey, IngestReceipt, Metric, PortError, SignedAnswer, Submission,
};
use moneta_scrub::{ScrubbedBatch, Scrubber};
use moneta_store::Store;
use tokio::sync::{Semaphore, oneshot};

use crate::content;
use crate::keeper::{BetweenChanges, KeeperHandle, Policy};
use crate::pressure::Full;
use crate::quarantine;
use crate::room::{Room, Rung, Stream};
use crate::shared::{IngestStatus, Shared, publish};
use crate::writer::{Acknowledged, Job, WriterHandle};

/// Bytes of rows waiting for the writer at most; beyond that senders wait, then are told to come back.
pub(crate) const QUEUE_BYTES_MAX: usize = 64 << 20;
/// One permit of the queue's semaphore, in bytes.
const PERMIT_BYTES: usize = 1 << 10;
/// Permits of the queue's semaphore.
pub(crate) const QUEUE_PERMITS: usize = QUEUE_BYTES_MAX / PERMIT_BYTES;
/// How long a sender waits for room in the queue.
const QUEUE_WAIT: Duration = Duration::from_secs(5);

/// Rows a subscriber may be behind before senders wait.
const BACKLOG_ROWS_MAX: u64 = 64 * 8_192;
/// Time between two looks at the backlog.
const BACKLOG_POLL: Duration = Duration::from_millis(10);
/// Beginning of the producer names under which subscribers store rows of their own.
const SUBSCRIBER_PRODUCER_PREFIX: &str = "monitor/";

/// The ingest service. Share it in an `Arc`.
pub struct Ingest {
    pub(crate) room: Room,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) scrubber: Arc<Scrubber>,
    pub(crate) store: Arc<Store>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) writer: Arc<WriterHandle>,
    pub(crate) keeper: KeeperHandle,
    pub(crate) policy: Arc<RwLock<Policy>>,
    pub(crate) queue: Arc<Semaphore>,
}

impl Ingest {
    /// Adds a service that hears of every block from now on.
    pub fn subscribe(&self, subscriber: Arc<dyn BlockSubscriber>) {
        self.shared.subscribers.write().unwrap_or_else(PoisonError::into_inner).push(subscriber);
    }

    /// Says that all have subscribed that need blocks again after a restart. Until then the journal forgets nothing.
    pub fn note_subscribers_complete(&self) {
        self.shared.has_all_subscribers.store(true, Ordering::Release);
    }

    /// The state of the write path.
    #[must_use]
    pub fn status(&self) -> IngestStatus {
        let events_total = self.shared.events_total.load(Ordering::Relaxed);
        IngestStatus { events_total, ..self.shared.status.lock().unwrap_or_else(PoisonError::into_inner).clone() }
    }

    /// Signs a checkpoint over everything stored so far.
    ///
    /// # Errors
    /// When the ledger cannot be written or does not read back equal; nothing is signed then.
    pub async fn publish_now(&self) -> Result<(), PortError> {
        let (ledger, shared, now) = (self.ledger.clone(), self.shared.clone(), self.now());
        let published = tokio::task::spawn_blocking(move || publish(&ledger, &shared, now)).await;
        published
            .map_err(|error| PortError::caused_by(ErrorKind::Internal, "signing a checkpoint was interrupted", error))?
            .map(drop)
    }

    /// Where a producer got to: its epoch and last stored sequence.
    pub async fn mark_of(&self, producer: &str) -> Option<(u128, u64)> {
        self.writer.mark_of(producer).await
    }

    /// Producers whose names begin so, and where each got to, in the order of names.
    pub async fn marks_beginning_with(&self, prefix: &str) -> Vec<(String, (u128, u64))> {
        self.writer.marks_beginning_with(prefix).await
    }

    /// The journal's files, and how many bytes of each are durable; none once the writer has stopped. Waits for the writer:
    /// not for threads that others wait for.
    #[must_use]
    pub fn journal_files(&self) -> Vec<(PathBuf, u64)> {
        self.writer.files().unwrap_or_default()
    }

    /// The tables and their rows.
    #[must_use]
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// The transparency log.
    #[must_use]
    pub fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    /// How full the disk is.
    #[must_use]
    pub fn rung(&self) -> Rung {
        self.room.rung()
    }

    /// Changes when blocks are sealed and days dropped, from now on. Changes come one after the other, and none while a
    /// day is entered as dropped.
    pub fn change_policy(&self, change: impl FnOnce(&mut Policy)) {
        change(&mut self.policy.write().unwrap_or_else(PoisonError::into_inner));
    }

    /// When blocks are sealed and days dropped.
    #[must_use]
    pub fn policy(&self) -> Policy {
        self.policy.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Seals everything that is hot; returns the number of segments.
    ///
    /// # Errors
    /// When a segment, the catalog or the ledger cannot be written; nothing is lost.
    pub fn seal_all(&self) -> Result<usize, PortError> {
        self.keeper.seal_all()
    }

    /// Signs a checkpoint and does something before anything is sealed, merged, dropped or signed again. Ingest goes on.
    ///
    /// # Errors
    /// When the checkpoint cannot be signed; what `act` returns.
    pub fn between_changes(&self, act: BetweenChanges) -> Result<u64, PortError> {
        self.keeper.between_changes(act)
    }

    /// Seals everything, signs a last checkpoint and stops the threads: a clean shutdown. Later submissions fail.
    ///
    /// # Errors
    /// As [`Self::seal_all`]; the threads are stopped all the same.
    pub fn shut_down(&self) -> Result<(), PortError> {
        let sealed = self.seal_all();
        self.keeper.stop();
        self.writer.stop();
        let published = publish(&self.ledger, &self.shared, self.now());
        // Subscribers hold what they store through, which is this: nobody would ever let go.
        self.shared.subscribers.write().unwrap_or_else(PoisonError::into_inner).clear();
        self.room.close();
        sealed.and(published).map(drop)
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// 128 random bits as 32 hexadecimal digits.
    pub(crate) fn random_id(&self) -> String {
        let mut bytes = [0; 16];
        self.entropy.fill(&mut bytes);
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The columns a table has at this moment.
    pub(crate) fn schema_of(&self, name: &str) -> Option<Arc<TableSchema>> {
        let name = TableName::new(name).ok()?;
        self.store.schema(&name)
    }

    /// Makes senders wait while as much waits to be sealed as may.
    async fn wait_for_sealing(&self, stream: Stream) -> Result<(), PortError> {
        let deadline = tokio::time::Instant::now() + QUEUE_WAIT;
        while let Some(full) = self.full(stream) {
            if tokio::time::Instant::now() >= deadline {
                return Err(self.refuse(full));
            }
            tokio::time::sleep(BACKLOG_POLL).await;
        }
        Ok(())
    }

    /// Nothing is full at a start: what comes then is from subscribers, without which the journal does not shrink.
    fn full(&self, stream: Stream) -> Option<Full> {
        if !self.shared.has_all_subscribers.load(Ordering::Acquire) {
            return None;
        }
        let waiting = self.shared.waiting(&self.store);
        Full::of(waiting, &self.policy.read().unwrap_or_else(PoisonError::into_inner), stream)
    }

    fn refuse(&self, full: Full) -> PortError {
        self.shared.metrics.add_labelled(Metric::IngestRefused, full.reason(), 1);
        full.refusal()
    }

    /// Makes senders wait while a subscriber is far behind. What a subscriber stores itself never waits for it.
    async fn wait_for_subscribers(&self, key: Option<&IdempotencyKey>) -> Result<(), PortError> {
        let is_own = key.is_some_and(|key| key.producer.starts_with(SUBSCRIBER_PRODUCER_PREFIX));
        let deadline = tokio::time::Instant::now() + QUEUE_WAIT;
        while !is_own && self.backlog_rows() > BACKLOG_ROWS_MAX {
            if tokio::time::Instant::now() >= deadline {
                return Err(PortError::new(ErrorKind::RETRY, "detection cannot keep up: send again in a second"));
            }
            tokio::time::sleep(BACKLOG_POLL).await;
        }
        Ok(())
    }

    fn backlog_rows(&self) -> u64 {
        let subscribers = self.shared.subscribers.read().unwrap_or_else(PoisonError::into_inner);
        subscribers.iter().map(|subscriber| subscriber.backlog_rows()).max().unwrap_or(0)
    }

    /// Everything of a submission as scrubbed rows.
    fn prepare(&self, submission: Submission) -> Result<Vec<ScrubbedBatch>, PortError> {
        let mut batches = submission.batches;
        if !submission.quarantined.is_empty() {
            let schema = self
                .schema_of(table::QUARANTINE)
                .ok_or_else(|| PortError::new(ErrorKind::Internal, "the quarantine table is missing"))?;
            // Before the bytes become base64, where nothing could be found in them.
            let scrub = |record| self.scrubber.scrub_quarantined(record);
            let scrubbed: Vec<_> = submission.quarantined.into_iter().map(scrub).collect();
            for record in &scrubbed {
                self.shared.metrics.add_labelled(Metric::IngestQuarantined, record.reason_code, 1);
            }
            batches.extend(quarantine::rows(&schema, &scrubbed, self.now()));
        }
        Ok(batches.into_iter().map(|batch| self.scrub(batch)).collect())
    }

    fn scrub(&self, batch: ParsedBatch) -> ScrubbedBatch {
        let batch = self.store.fit(batch);
        let (scrubbed, report) = self.scrubber.scrub(batch);
        self.shared.metrics.add(Metric::ScrubTokens, report.values_tokenised());
        scrubbed
    }

    async fn take(&self, submission: Submission, wants_blocks: bool) -> Result<Acknowledged, PortError> {
        let stream = stream_of(&submission);
        if let Err(refused) = self.room.admit(stream) {
            self.shared.metrics.add_labelled(Metric::IngestRefused, "disk_full", 1);
            return Err(refused);
        }
        self.wait_for_subscribers(submission.key.as_ref()).await?;
        self.wait_for_sealing(stream).await?;
        let mark = content::mark(&submission);
        let raw_bytes = content::raw_bytes(&submission);
        let batches = self.prepare(submission)?;
        let acknowledged = self.commit(Commit { batches, mark }, stream, wants_blocks).await?;
        if !acknowledged.receipt.duplicate {
            self.shared.metrics.add(Metric::IngestBytes, raw_bytes);
        }
        Ok(acknowledged)
    }

    async fn commit(&self, commit: Commit, stream: Stream, wants_blocks: bool) -> Result<Acknowledged, PortError> {
        let bytes: usize = commit.batches.iter().map(|batch| batch.rows().get_array_memory_size()).sum();
        let permits = bytes.div_ceil(PERMIT_BYTES).clamp(1, QUEUE_PERMITS);
        let permits = u32::try_from(permits).expect("clamped to 65,536");
        let room = tokio::time::timeout(QUEUE_WAIT, self.queue.clone().acquire_many_owned(permits)).await;
        let Ok(Ok(room)) = room else {
            self.shared.metrics.add_labelled(Metric::IngestRefused, "queue_full", 1);
            return Err(PortError::new(ErrorKind::RETRY, "the journal cannot keep up: send again in a second"));
        };
        // Whoever waited for the queue looks again: past the bound goes no more than the queue holds.
        if let Some(full) = self.full(stream) {
            return Err(self.refuse(full));
        }
        let (reply, answer) = oneshot::channel();
        self.writer.send(Job { commit, wants_blocks, reply, _room: room })?;
        answer.await.unwrap_or_else(|_| {
            Err(PortError::new(ErrorKind::OPERATOR, "the journal writer has stopped; see the log and restart"))
        })
    }
}

impl EventSink for Ingest {
    fn submit(&self, submission: Submission) -> BoxFuture<'_, Result<IngestReceipt, PortError>> {
        Box::pin(async move { self.take(submission, false).await.map(|acknowledged| acknowledged.receipt) })
    }

    fn submit_for_receipt(&self, submission: Submission) -> BoxFuture<'_, Result<SignedAnswer, PortError>> {
        Box::pin(async move {
            let key = submission.key.clone();
            let Acknowledged { receipt, blocks } = self.take(submission, true).await?;
            let signed = self.sign_receipt(&receipt, key, blocks).await;
            Ok((receipt, signed))
        })
    }
}

/// Whose records a submission holds. One with a single record of class `data` is `data`: it is stored whole or not at
/// all.
fn stream_of(submission: &Submission) -> Stream {
    let is_audit = |batch: &ParsedBatch| batch.table.as_str() == table::MONETA_AUDIT;
    if !submission.batches.is_empty() && submission.quarantined.is_empty() && submission.batches.iter().all(is_audit) {
        return Stream::Own;
    }
    // Detection would stand still if it could not say how far it is.
    if submission.key.as_ref().is_some_and(|key| key.producer.starts_with(SUBSCRIBER_PRODUCER_PREFIX)) {
        return Stream::Own;
    }
    let data = RecordClass::Data.name();
    let has_data = |batch: &ParsedBatch| {
        let classes = batch.rows.column_by_name(moneta_event::schema::standard::CLASS);
        let classes = classes.and_then(|column| column.as_string_opt::<i32>());
        classes.is_none_or(|classes| classes.iter().any(|class| class == Some(data)))
    };
    match !submission.quarantined.is_empty() || submission.batches.iter().any(has_data) {
        true => Stream::Data,
        false => Stream::Other,
    }
}
