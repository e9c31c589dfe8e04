//! The writer thread: the only one that touches the journal. It commits what waits in groups, one fsync each, and
//! hands every durable block on.
//!
//! An error of the journal that leaves the disk in doubt stops the thread: nothing more is acknowledged until the
//! process has restarted and recovered from disk.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use moneta_base::error::chain;
use moneta_base::{Clock, ErrorKind, Seq, TableName, limits};
use moneta_event::Block;
use moneta_event::signed_receipt::ReceiptBlock;
use moneta_journal::{Commit, CommitOutcome, Journal, MarkKind, ProducerMark, Receipt, SeqRange};
use moneta_ledger::{Ledger, LogName};
use moneta_ports::{IngestReceipt, Metric, NoRoomToRemember, PortError, StoredRange};
use moneta_store::{Store, rows_bytes};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::audit_entries::root_entries;
use crate::shared::{SenderConflict, Shared};

/// How long the first commit of a group waits for company while there are several senders. A lone record does not wait:
/// what comes while it is synced makes the next group.
const GROUP_LINGER: Duration = Duration::from_millis(2);
/// Rows after which a group no longer waits.
const GROUP_ROWS_MAX: usize = 4 * limits::BLOCK_ROWS_MAX;

/// One submission on its way to disk.
pub(crate) struct Job {
    pub(crate) commit: Commit,
    /// Whether the sender wants to know the blocks.
    pub(crate) wants_blocks: bool,
    pub(crate) reply: oneshot::Sender<Result<Acknowledged, PortError>>,
    /// Room in the queue, given back when the job is done.
    pub(crate) _room: OwnedSemaphorePermit,
}

/// What the writer answers once a commit is on disk.
pub(crate) struct Acknowledged {
    pub(crate) receipt: IngestReceipt,
    /// The blocks that the rows are in; none unless they were asked for, and none of what was stored before.
    pub(crate) blocks: Vec<ReceiptBlock>,
}

enum Command {
    Store(Box<Job>),
    MarkOf(String, oneshot::Sender<Option<(u128, u64)>>),
    MarksBeginningWith(String, oneshot::Sender<Vec<(String, (u128, u64))>>),
    Release(BTreeMap<TableName, Seq>),
    Files(SyncSender<Vec<(PathBuf, u64)>>),
    AppendHeaders,
    Stop,
}

/// The way to the writer thread. Dropping it stops the thread after what is queued.
pub(crate) struct WriterHandle {
    commands: Sender<Command>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl WriterHandle {
    pub(crate) fn send(&self, job: Job) -> Result<(), PortError> {
        let stopped =
            |_| PortError::new(ErrorKind::OPERATOR, "the journal writer has stopped; see the log and restart");
        self.commands.send(Command::Store(Box::new(job))).map_err(stopped)
    }

    pub(crate) async fn mark_of(&self, producer: &str) -> Option<(u128, u64)> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::MarkOf(producer.to_owned(), reply)).ok()?;
        answer.await.ok().flatten()
    }

    pub(crate) async fn marks_beginning_with(&self, prefix: &str) -> Vec<(String, (u128, u64))> {
        let (reply, answer) = oneshot::channel();
        if self.commands.send(Command::MarksBeginningWith(prefix.to_owned(), reply)).is_err() {
            return Vec::new();
        }
        answer.await.unwrap_or_default()
    }

    /// The journal's files and how many bytes of each are durable commits; `None` when the writer has stopped.
    pub(crate) fn files(&self) -> Option<Vec<(PathBuf, u64)>> {
        let (reply, answer) = mpsc::sync_channel(1);
        self.commands.send(Command::Files(reply)).ok()?;
        answer.recv().ok()
    }

    /// Has headers that the ledger did not take offered again.
    pub(crate) fn append_headers(&self) {
        // A stopped writer has told of it.
        let _ = self.commands.send(Command::AppendHeaders);
    }

    pub(crate) fn release(&self, up_to: BTreeMap<TableName, Seq>) {
        // A stopped writer releases nothing, which is safe: the journal keeps more than it must.
        let _ = self.commands.send(Command::Release(up_to));
    }

    /// Stops the thread after everything queued is on disk.
    pub(crate) fn stop(&self) {
        let _ = self.commands.send(Command::Stop);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the journal writer panicked");
        }
    }
}

impl Drop for WriterHandle {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What the writer thread owns and reaches.
pub(crate) struct Writer {
    pub(crate) journal: Journal,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) store: Arc<Store>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) shared: Arc<Shared>,
    /// Whether the last group had more than one commit.
    pub(crate) is_crowded: bool,
    /// Durable blocks whose headers the ledger did not take yet, in order: a header that came before one of these would
    /// stand in its place. What they take in memory counts to what waits to be sealed.
    pub(crate) behind: VecDeque<Arc<Block>>,
}

/// Starts the thread.
///
/// # Errors
/// When the operating system gives no thread.
pub(crate) fn start_writer(writer: Writer) -> std::io::Result<WriterHandle> {
    let (commands, inbox) = mpsc::channel();
    let thread = std::thread::Builder::new().name("journal-writer".to_owned()).spawn(move || writer.run(&inbox))?;
    Ok(WriterHandle { commands, thread: Mutex::new(Some(thread)) })
}

impl Writer {
    fn run(mut self, inbox: &Receiver<Command>) {
        while let Ok(command) = inbox.recv() {
            let goes_on = match command {
                Command::Store(job) => self.store_group(*job, inbox),
                other => self.administer(other),
            };
            if !goes_on {
                break;
            }
        }
        if let Err(error) = self.journal.close() {
            tracing::error!(error = &error as &dyn std::error::Error, "the journal could not be closed in order");
        }
    }

    /// Carries out anything but storing; `false` when the thread is to end.
    fn administer(&mut self, command: Command) -> bool {
        match command {
            Command::Store(_) => unreachable!("stored by the caller"),
            Command::MarkOf(producer, reply) => {
                let _ = reply.send(self.journal.high_water(&producer).map(|mark| (mark.epoch, mark.sequence)));
            }
            Command::MarksBeginningWith(prefix, reply) => {
                let place = |mark: &ProducerMark| (mark.producer.clone(), (mark.epoch, mark.sequence));
                let _ = reply.send(self.journal.beginning_with(&prefix).map(place).collect());
            }
            Command::Release(up_to) => {
                if let Err(error) = self.journal.release(&up_to) {
                    tracing::error!(error = %error, "journal files could not be released");
                }
                self.shared.status.lock().unwrap_or_else(PoisonError::into_inner).journal_bytes =
                    self.journal.size().size_bytes;
            }
            Command::Files(reply) => {
                let files = self.journal.files().map(|(path, size_bytes)| (path.to_owned(), size_bytes));
                let _ = reply.send(files.collect());
            }
            Command::AppendHeaders => self.append_headers(),
            Command::Stop => return false,
        }
        true
    }

    /// Gathers a group behind `first` and stores it; `false` when the thread is to end.
    fn store_group(&mut self, first: Job, inbox: &Receiver<Command>) -> bool {
        let linger = if self.is_crowded { GROUP_LINGER } else { Duration::ZERO };
        let deadline = Instant::now() + linger;
        let mut rows = num_rows(&first.commit);
        let mut group = vec![first];
        let mut then = None;
        while rows < GROUP_ROWS_MAX && then.is_none() {
            match inbox.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(Command::Store(job)) => {
                    rows += num_rows(&job.commit);
                    group.push(*job);
                }
                Ok(other) => then = Some(other),
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => then = Some(Command::Stop),
            }
        }
        self.is_crowded = group.len() > 1;
        self.commit(group) && then.is_none_or(|command| self.administer(command))
    }

    fn commit(&mut self, group: Vec<Job>) -> bool {
        let started = Instant::now();
        let (commits, replies): (Vec<_>, Vec<_>) =
            group.into_iter().map(|job| (job.commit, (job.wants_blocks, job.reply, job._room))).unzip();
        let keys: Vec<_> = commits.iter().map(|commit| commit.mark.clone()).collect();
        let appended = self.journal.append(commits, self.clock.now());
        self.note_commit(started.elapsed());
        let blocks: Vec<_> = appended.blocks.into_iter().map(|block| block.into_inner()).collect();
        blocks.iter().for_each(|block| self.hand_on(block.clone()));
        for ((outcome, key), (wants_blocks, reply, _room)) in appended.outcomes.into_iter().zip(keys).zip(replies) {
            if let (Ok(CommitOutcome::Conflict { .. }), Some(key)) = (&outcome, key) {
                self.note_conflict(key);
            }
            let acknowledged = self.answer(outcome).map(|receipt| {
                let is_named = wants_blocks && !receipt.duplicate;
                Acknowledged { blocks: if is_named { blocks_of(&receipt, &blocks) } else { Vec::new() }, receipt }
            });
            // A sender that went away has its rows stored all the same.
            let _ = reply.send(acknowledged);
        }
        self.journal.poisoned().is_none()
    }

    /// A sender that was put back to an old state, or somebody who speaks in its name. People choose the keys of requests
    /// themselves: those are told the answer, and nobody else.
    fn note_conflict(&self, key: ProducerMark) {
        let ProducerMark { kind, producer, sequence, .. } = key;
        tracing::error!(producer, sequence, "other content came under a key that was used");
        if kind == MarkKind::Producer || kind == MarkKind::Cursor {
            let conflict = SenderConflict { at: self.clock.now(), producer, sequence };
            self.shared.status.lock().unwrap_or_else(PoisonError::into_inner).conflict = Some(conflict);
        }
    }

    fn note_commit(&self, elapsed: Duration) {
        let mut status = self.shared.status.lock().unwrap_or_else(PoisonError::into_inner);
        status.last_commit = elapsed;
        self.shared.metrics.observe(Metric::JournalFsync, elapsed);
        self.shared.metrics.set(Metric::JournalBytes, self.journal.size().size_bytes);
        status.journal_bytes = self.journal.size().size_bytes;
        status.producers_percent = self.journal.producers_percent();
        status.stopped = self
            .journal
            .poisoned()
            .map(|reason| format!("the journal stopped: {reason}; restart to recover from disk"));
    }

    /// Makes a durable block queryable, provable and known to the subscribers.
    fn hand_on(&mut self, block: Arc<Block>) {
        self.shared.behind_bytes.fetch_add(rows_bytes(&block.rows), Ordering::AcqRel);
        self.behind.push_back(block.clone());
        self.append_headers();
        if let Err(error) = self.store.add_hot(block.clone()) {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "a durable block is not queryable; a restart reads it from the journal"
            );
        }
        let num_rows = u64::from(block.header.num_rows);
        self.shared.events_total.fetch_add(num_rows, Ordering::Relaxed);
        self.shared.metrics.add_labelled(Metric::IngestEvents, block.header.shard.table.as_str(), num_rows);
        self.shared.metrics.add(Metric::JournalBlocks, 1);
        for subscriber in self.shared.subscribers.read().unwrap_or_else(PoisonError::into_inner).iter() {
            subscriber.on_block(&block);
        }
    }

    /// Appends the headers that wait, as far as the ledger takes them. What it does not take is tried again with the next
    /// block, each time the keeper looks, and after a restart from the journal; no checkpoint counts as complete meanwhile.
    fn append_headers(&mut self) {
        while let Some(block) = self.behind.front() {
            if let Err(error) = append_to_ledger(block, &self.ledger) {
                tracing::error!(error = %chain(&error), waiting = self.behind.len(), "the ledger takes no headers now");
                break;
            }
            self.shared.behind_bytes.fetch_sub(rows_bytes(&block.rows), Ordering::AcqRel);
            self.behind.pop_front();
        }
        self.shared.headers_behind.store(self.behind.len(), Ordering::Release);
    }

    fn answer(&self, outcome: Result<CommitOutcome, moneta_journal::Error>) -> Result<IngestReceipt, PortError> {
        match outcome {
            Ok(CommitOutcome::Stored { receipt }) => Ok(ingest_receipt(receipt, false)),
            Ok(CommitOutcome::Duplicate { receipt }) => {
                self.shared.metrics.add(Metric::IngestDuplicates, 1);
                Ok(ingest_receipt(receipt, true))
            }
            Ok(CommitOutcome::Conflict { .. }) => {
                let message = "this key was used for other content: use a new key for new content";
                Err(PortError::new(ErrorKind::Caller, message))
            }
            Err(error) => {
                if matches!(error, moneta_journal::Error::TooManyProducers { .. }) {
                    self.shared.metrics.add_labelled(Metric::IngestRefused, "producers_full", 1);
                    return Err(PortError::caused_by(error.kind(), error.to_string(), NoRoomToRemember));
                }
                tracing::error!(error = &error as &dyn std::error::Error, "a commit failed");
                Err(PortError::new(error.kind(), error.to_string()))
            }
        }
    }
}

/// Appends a block's header, and what the root log says of its rows: for new blocks and, at start, for those in the
/// journal that no checkpoint covers yet.
pub(crate) fn append_to_ledger(block: &Block, ledger: &Ledger) -> Result<(), moneta_ledger::Error> {
    let header = &block.header;
    let next = ledger.next_index(&LogName::Shard(header.shard.clone()))?;
    // A try that failed at the entries below has put the header there: it is the last of its shard.
    let is_there = next == header.shard_index + 1;
    if !is_there {
        let index = ledger.append_block(&header.shard, &header.encode())?;
        assert_eq!(index, header.shard_index, "LEDGER-2: a header stands in its place in the shard log");
    }
    for entry in root_entries(block) {
        ledger.append_root(&entry)?;
    }
    Ok(())
}

/// The blocks of a group that hold rows of one of its commits.
fn blocks_of(receipt: &IngestReceipt, blocks: &[Arc<Block>]) -> Vec<ReceiptBlock> {
    let of_range = |range: &StoredRange| {
        let (table, start, end) = (range.table.clone(), range.first_seq, range.first_seq + range.num_rows);
        let headers = blocks.iter().map(|block| &block.header).filter(move |header| header.shard.table == table);
        headers.filter_map(move |header| ReceiptBlock::of(header, start, end))
    };
    receipt.ranges.iter().flat_map(of_range).collect()
}

fn ingest_receipt(receipt: Receipt, duplicate: bool) -> IngestReceipt {
    let range =
        |range: SeqRange| StoredRange { num_rows: range.end - range.first, first_seq: range.first, table: range.table };
    IngestReceipt { ranges: receipt.ranges.into_iter().map(range).collect(), duplicate, stored_at: receipt.ingest_time }
}

fn num_rows(commit: &Commit) -> usize {
    commit.batches.iter().map(|batch| batch.rows().num_rows()).sum()
}
