//! Opens the durable state and brings its parts to agree: what the journal holds beyond the store becomes hot again,
//! what it holds beyond the ledger is appended again, and what was sealed without its root entry gets one. A journal
//! that lost what the others know of, or holds something else in its place, is refused: what came next would be taken
//! for what is there already.
//!
//! The journal is read frame by frame. What is sealed is compared and let go of; in memory stays what was there before the
//! end, the hot rows, whose bytes have a bound.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use moneta_base::fs::FileSystem;
use moneta_base::{Clock, Entropy, ErrorKind, Seq, TableName, TenantId};
use moneta_event::{Block, BlockHeader, RootEntry, ShardId, TableCatalog};
use moneta_journal::{Dropped, Journal, JournalOptions, JournaledBlock};
use moneta_ledger::Ledger;
use moneta_merkle::NoteSigner;
use moneta_ports::{Metrics, Volume};
use moneta_scrub::Scrubber;
use moneta_store::{BucketOptions, SegmentMeta, Store};
use tokio::sync::Semaphore;

use crate::keeper::{Command, Keeper, Policy, keeper_handle, merge_entry, segment_entry};
use crate::recovered::{Found, Recovered};
use crate::room::Room;
use crate::service::{Ingest, QUEUE_PERMITS};
use crate::shared::Shared;
use crate::writer::{Writer, append_to_ledger, start_writer};

/// What the service is made of.
pub struct Parts {
    /// The files.
    pub fs: Arc<dyn FileSystem>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Random bytes.
    pub entropy: Arc<dyn Entropy>,
    /// Signs checkpoints.
    pub signer: Arc<dyn NoteSigner>,
    /// Origin line of the root log.
    pub origin: String,
    /// Removes personal data.
    pub scrubber: Arc<Scrubber>,
    /// Whose data it is.
    pub tenant: TenantId,
    /// The tables that exist before any data.
    pub catalog: TableCatalog,
    /// When to seal and drop.
    pub policy: Policy,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// The room there is.
    pub volume: Arc<dyn Volume>,
    /// The bucket that old segments lie in, if there is one.
    pub bucket: Option<BucketOptions>,
}

/// Headers of blocks that wait to be compared with the ledger at most: of many at once it reads less than of each.
const COMPARED_TOGETHER_MAX: usize = 8_192;

/// What opening found and did.
#[derive(Debug)]
pub struct OpenReport {
    /// Torn writes that were cut off the journal: never acknowledged, kept aside.
    pub dropped: Vec<Dropped>,
    /// The blocks in the journal: subscribers may need them again.
    pub recovered: Recovered,
    /// Block headers that no checkpoint covered yet.
    pub headers_appended: u64,
}

/// Why the durable state could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The journal.
    #[error("the journal cannot be opened")]
    Journal(#[from] moneta_journal::Error),
    /// The store.
    #[error("the store cannot be opened")]
    Store(#[from] moneta_store::Error),
    /// The ledger.
    #[error("the ledger cannot be opened")]
    Ledger(#[from] moneta_ledger::Error),
    /// The ledger has signed for blocks that the journal does not have any more.
    #[error(
        "{signed} blocks of {shard} are under a signed checkpoint, but the journal only knows {journaled}: put back the \
         newest files of the journal, or restore the newest backup"
    )]
    BehindLedger {
        /// Whose blocks.
        shard: ShardId,
        /// Blocks under the checkpoint.
        signed: u64,
        /// Blocks that the journal gave out.
        journaled: u64,
    },
    /// The journal holds another block than the ledger has signed for.
    #[error(
        "block {index} of {shard} in the journal is not the one under the signed checkpoint: keep the files as they are, \
         and restore the newest backup"
    )]
    NotAsSigned {
        /// Whose block.
        shard: ShardId,
        /// Which one, counted from 0.
        index: u64,
    },
    /// A thread.
    #[error("a thread cannot be started")]
    Thread(#[from] std::io::Error),
}

impl OpenError {
    /// Who must act.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Journal(error) => error.kind(),
            Self::Store(error) => error.kind(),
            Self::Ledger(error) => error.kind(),
            Self::BehindLedger { .. } | Self::NotAsSigned { .. } => ErrorKind::Internal,
            Self::Thread(_) => ErrorKind::OPERATOR,
        }
    }
}

impl Ingest {
    /// Opens journal, store and ledger below `data` and starts the threads.
    ///
    /// # Errors
    /// [`OpenError`], naming the part that is damaged or cannot be read.
    pub fn open(data: &Path, parts: Parts) -> Result<(Arc<Self>, OpenReport), OpenError> {
        let Assembled { ingest, keeper, inbox, report } = assemble(data, parts)?;
        keeper.start(&ingest.keeper, inbox)?;
        Ok((ingest, report))
    }
}

/// The service before its keeper runs.
pub(crate) struct Assembled {
    pub(crate) ingest: Arc<Ingest>,
    pub(crate) keeper: Keeper,
    pub(crate) inbox: Receiver<Command>,
    pub(crate) report: OpenReport,
}

/// Opens journal, store and ledger, brings them to agree and starts the writer.
pub(crate) fn assemble(data: &Path, parts: Parts) -> Result<Assembled, OpenError> {
    let store = Store::open(parts.fs.clone(), &data.join("store"), parts.catalog)?;
    let store = Arc::new(match parts.bucket {
        Some(bucket) => store.with_bucket(bucket)?,
        None => store,
    });
    let (ledger, _) = Ledger::open(parts.fs.clone(), &data.join("ledger"), parts.signer, &parts.origin)?;
    let ledger = Arc::new(ledger);
    let options = JournalOptions { sealed: store.sealed_ends(), ..JournalOptions::new(parts.tenant) };
    let mut reconciling = Reconciling::new(&store, &ledger, &*parts.clock);
    let take = |block: JournaledBlock| reconciling.take(block.into_inner());
    let (journal, recovery) = Journal::open(parts.fs.clone(), &data.join("journal"), options, take)?;
    let (found, headers_appended) = reconciling.finish(&journal)?;
    let files = journal.files().map(|(path, size_bytes)| (path.to_owned(), size_bytes)).collect();
    let recovered = Recovered::new(parts.fs, files, found);
    let shared = Arc::new(Shared::new(parts.metrics));
    shared.status.lock().unwrap_or_else(PoisonError::into_inner).journal_bytes = journal.size().size_bytes;
    let (clock, policy) = (parts.clock, Arc::new(RwLock::new(parts.policy)));
    let writer = Writer {
        journal,
        clock: clock.clone(),
        store: store.clone(),
        ledger: ledger.clone(),
        shared: shared.clone(),
        is_crowded: false,
        behind: VecDeque::new(),
    };
    let writer = Arc::new(start_writer(writer)?);
    let keeper = Keeper {
        clock: clock.clone(),
        store: store.clone(),
        ledger: ledger.clone(),
        shared: shared.clone(),
        policy: policy.clone(),
        writer: writer.clone(),
        unmergeable: Mutex::default(),
        unsettled: Mutex::default(),
    };
    let room = Room::new(parts.volume, clock.clone());
    let (handle, inbox) = keeper_handle();
    let ingest = Ingest {
        room,
        clock,
        entropy: parts.entropy,
        scrubber: parts.scrubber,
        store,
        ledger,
        shared,
        writer,
        keeper: handle,
        policy,
        queue: Arc::new(Semaphore::new(QUEUE_PERMITS)),
    };
    let report = OpenReport { dropped: recovery.dropped, recovered, headers_appended };
    Ok(Assembled { ingest: Arc::new(ingest), keeper, inbox, report })
}

/// Makes the store and the ledger agree with the journal while that is read, block by block.
struct Reconciling<'a> {
    store: &'a Store,
    ledger: &'a Ledger,
    clock: &'a dyn Clock,
    sealed_ends: BTreeMap<TableName, Seq>,
    /// Days with sealed rows: what the journal still has of others was dropped.
    sealed_shards: BTreeSet<ShardId>,
    /// Entries of each shard under its signed checkpoint.
    signed_sizes: BTreeMap<ShardId, u64>,
    /// Headers that a signed checkpoint covers and that were not compared yet, per shard in order.
    covered: BTreeMap<ShardId, Vec<BlockHeader>>,
    num_covered: usize,
    /// Segments whose first block is in the journal.
    segments: Vec<Arc<SegmentMeta>>,
    found: Found,
    headers_appended: u64,
    /// The first failure: nothing is done after it.
    failed: Option<OpenError>,
}

impl<'a> Reconciling<'a> {
    fn new(store: &'a Store, ledger: &'a Ledger, clock: &'a dyn Clock) -> Self {
        Self {
            store,
            ledger,
            clock,
            sealed_ends: store.sealed_ends(),
            sealed_shards: store.shards(),
            signed_sizes: BTreeMap::new(),
            covered: BTreeMap::new(),
            num_covered: 0,
            segments: Vec::new(),
            found: Found::default(),
            headers_appended: 0,
            failed: None,
        }
    }

    /// Takes the next block of the journal.
    fn take(&mut self, block: Arc<Block>) {
        if self.failed.is_none() {
            self.failed = self.try_take(&block).err();
        }
    }

    fn try_take(&mut self, block: &Arc<Block>) -> Result<(), OpenError> {
        let header = &block.header;
        let (table, shard) = (&header.shard.table, &header.shard);
        let is_hot = header.end_seq() > self.sealed_ends.get(table).copied().unwrap_or(0);
        self.found.note(block, is_hot);
        if !is_hot && !self.sealed_shards.contains(shard) {
            // Its log is gone, or going, and must never grow again.
        } else if header.shard_index < self.signed_size(shard)? {
            self.covered.entry(shard.clone()).or_default().push(header.clone());
            self.num_covered += 1;
            if self.num_covered >= COMPARED_TOGETHER_MAX {
                self.compare()?;
            }
        } else {
            // A log that is not as it was signed must not grow.
            self.compare()?;
            self.append_header(block)?;
        }
        if is_hot {
            self.store.add_hot(block.clone())?;
        } else {
            self.segments.extend(self.store.segment_beginning_at(table, header.first_seq));
        }
        Ok(())
    }

    fn signed_size(&mut self, shard: &ShardId) -> Result<u64, OpenError> {
        if let Some(size) = self.signed_sizes.get(shard) {
            return Ok(*size);
        }
        let size = self.ledger.shard_checkpoint(shard)?.map_or(0, |checkpoint| checkpoint.size());
        self.signed_sizes.insert(shard.clone(), size);
        Ok(size)
    }

    /// Compares the headers that wait with those that were signed.
    fn compare(&mut self) -> Result<(), OpenError> {
        self.num_covered = 0;
        for (shard, covered) in std::mem::take(&mut self.covered) {
            let (first, last) = (&covered[0], &covered[covered.len() - 1]);
            let signed = self.ledger.headers_of(&shard, first.first_seq, last.end_seq())?;
            let differs = |index: &usize| signed.get(*index) != covered.get(*index);
            if let Some(index) = (0..covered.len().max(signed.len())).find(differs) {
                return Err(OpenError::NotAsSigned { index: first.shard_index + index as u64, shard });
            }
        }
        Ok(())
    }

    fn append_header(&mut self, block: &Block) -> Result<(), OpenError> {
        self.headers_appended += 1;
        with_room(self.ledger, self.clock, || append_to_ledger(block, self.ledger))
    }

    fn append_root(&self, entry: &RootEntry) -> Result<(), OpenError> {
        with_room(self.ledger, self.clock, || self.ledger.append_root(entry).map(drop))
    }

    /// What is left to do once all blocks were taken; returns what is kept of them, and the number of headers appended.
    fn finish(mut self, journal: &Journal) -> Result<(Found, u64), OpenError> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        self.compare()?;
        let logs = self.ledger.shards()?;
        check_is_not_behind(journal, self.ledger, &logs)?;
        remove_dropped_logs(self.store, self.ledger, &logs);
        // A segment whose first block the journal still has may have been published without its root entry: saying it
        // twice does no harm, never saying it would.
        for segment in &self.segments {
            self.append_root(&segment_entry(segment, self.clock.now()))?;
        }
        // So may a merge; there is one at a time, so it is the last of its table.
        for merged in self.store.last_merges() {
            if !self.ledger.names_object(&merged.new.path)? {
                self.append_root(&merge_entry(&merged, self.clock.now()))?;
            }
        }
        Ok((self.found, self.headers_appended))
    }
}

/// Appends to the ledger, signing first what waits where that takes all the room.
fn with_room(
    ledger: &Ledger,
    clock: &dyn Clock,
    append: impl Fn() -> Result<(), moneta_ledger::Error>,
) -> Result<(), OpenError> {
    if let Err(error) = append() {
        if !matches!(error, moneta_ledger::Error::Full { .. }) {
            return Err(error.into());
        }
        ledger.publish(clock.now())?;
        append()?;
    }
    Ok(())
}

/// Refuses a journal that lacks blocks that a signed checkpoint covers.
fn check_is_not_behind(journal: &Journal, ledger: &Ledger, logs: &[ShardId]) -> Result<(), OpenError> {
    // In order of table and day: the newest day of each table stays.
    let newest: BTreeMap<&TableName, &ShardId> = logs.iter().map(|shard| (&shard.table, shard)).collect();
    for shard in newest.into_values() {
        let signed = ledger.shard_checkpoint(shard)?.map_or(0, |checkpoint| checkpoint.size());
        if let Some(journaled) = journal.next_index(shard).filter(|journaled| *journaled < signed) {
            return Err(OpenError::BehindLedger { shard: shard.clone(), signed, journaled });
        }
    }
    Ok(())
}

/// Removes the logs of days whose rows went and whose log stayed, because the process or the disk failed in between.
fn remove_dropped_logs(store: &Store, ledger: &Ledger, logs: &[ShardId]) {
    let kept = store.shards();
    for shard in logs.iter().filter(|shard| !kept.contains(shard)) {
        match ledger.remove_shard(shard) {
            Ok(_) => tracing::info!(shard = %shard, "removed the log of a day that was dropped before"),
            // No policy took its rows: `verify` says more.
            Err(moneta_ledger::Error::NotDropped(_)) => {}
            Err(error) => tracing::warn!(%error, shard = %shard, "the log of a dropped day stays until the next start"),
        }
    }
}
