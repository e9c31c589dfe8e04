//! Opens the durable state and brings its parts to agree: what the journal holds beyond the store becomes hot again,
//! what it holds beyond the ledger is appended again, and what was sealed without its root entry gets one. A journal
//! that lost what the others know of, or holds something else in its place, is refused: what came next would be taken
//! for what is there already.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, RwLock};

use moneta_base::fs::FileSystem;
use moneta_base::{Clock, Entropy, ErrorKind, TableName, TenantId};
use moneta_event::{Block, BlockHeader, ShardId, TableCatalog};
use moneta_journal::{Dropped, Journal, JournalOptions};
use moneta_ledger::Ledger;
use moneta_merkle::NoteSigner;
use moneta_ports::{Metrics, Volume};
use moneta_scrub::Scrubber;
use moneta_store::{BucketOptions, Store};
use tokio::sync::Semaphore;

use crate::keeper::{Command, Keeper, Policy, keeper_handle, merge_entry, segment_entry};
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

/// What opening found and did.
#[derive(Debug, Default)]
pub struct OpenReport {
    /// Torn writes that were cut off the journal: never acknowledged, kept aside.
    pub dropped: Vec<Dropped>,
    /// Blocks found in the journal, sealed or not, in order of their tables: subscribers may need them again.
    pub recovered: Vec<Arc<Block>>,
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
    let (journal, recovery) = Journal::open(parts.fs, &data.join("journal"), options)?;
    let recovered: Vec<Arc<Block>> = recovery.blocks.into_iter().map(|block| block.into_inner()).collect();
    check_signed(&journal, &recovered, &ledger)?;
    let headers_appended = reconcile(&recovered, &store, &ledger, &*parts.clock)?;
    let shared = Arc::new(Shared::new(parts.metrics));
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

/// Refuses a journal without blocks, or with other ones, that a signed checkpoint covers.
fn check_signed(journal: &Journal, recovered: &[Arc<Block>], ledger: &Ledger) -> Result<(), OpenError> {
    // In order of table and day: the newest day of each table stays.
    let newest: BTreeMap<TableName, ShardId> =
        ledger.shards()?.into_iter().map(|shard| (shard.table.clone(), shard)).collect();
    for shard in newest.into_values() {
        let signed = ledger.shard_checkpoint(&shard)?.map_or(0, |checkpoint| checkpoint.size());
        if let Some(journaled) = journal.next_index(&shard).filter(|journaled| *journaled < signed) {
            return Err(OpenError::BehindLedger { shard, signed, journaled });
        }
    }
    let mut by_shard: BTreeMap<&ShardId, Vec<&BlockHeader>> = BTreeMap::new();
    for block in recovered {
        by_shard.entry(&block.header.shard).or_default().push(&block.header);
    }
    for (shard, headers) in by_shard {
        let size = ledger.shard_checkpoint(shard)?.map_or(0, |checkpoint| checkpoint.size());
        let covered = &headers[..headers.partition_point(|header| header.shard_index < size)];
        let (Some(first), Some(last)) = (covered.first(), covered.last()) else { continue };
        let signed = ledger.headers_of(shard, first.first_seq, last.end_seq())?;
        let differs = |index: &usize| signed.get(*index) != covered.get(*index).copied();
        if let Some(index) = (0..covered.len().max(signed.len())).find(differs) {
            return Err(OpenError::NotAsSigned { shard: shard.clone(), index: first.shard_index + index as u64 });
        }
    }
    Ok(())
}

/// Makes the store and the ledger agree with the journal; returns the number of headers appended.
fn reconcile(recovered: &[Arc<Block>], store: &Store, ledger: &Ledger, clock: &dyn Clock) -> Result<u64, OpenError> {
    let mut headers_appended = 0;
    for block in recovered {
        store.add_hot(block.clone())?;
        // A dropped shard's log is gone and must never grow again.
        if !is_dropped(block, store) && block.header.shard_index >= ledger.shard_size(&block.header.shard)? {
            append_to_ledger(block, ledger)?;
            headers_appended += 1;
        }
    }
    // A segment whose first block the journal still has may have been published without its root entry: saying it
    // twice does no harm, never saying it would.
    for block in recovered {
        if let Some(segment) = store.segment_beginning_at(&block.header.shard.table, block.header.first_seq) {
            ledger.append_root(&segment_entry(&segment, clock.now()))?;
        }
    }
    // So may a merge; there is one at a time, so it is the last of its table.
    for merged in store.last_merges() {
        if !ledger.names_object(&merged.new.path)? {
            ledger.append_root(&merge_entry(&merged, clock.now()))?;
        }
    }
    Ok(headers_appended)
}

/// Whether a block of the journal was sealed once and its day has been dropped since.
fn is_dropped(block: &Block, store: &Store) -> bool {
    let header = &block.header;
    let Some(snapshot) = store.snapshot(&header.shard.table) else { return false };
    let holds = |first, end| first <= header.first_seq && header.first_seq < end;
    let is_sealed = snapshot.segments.iter().any(|segment| holds(segment.first_seq, segment.end_seq));
    let is_hot = snapshot.hot.iter().any(|hot| hot.header.first_seq == header.first_seq);
    !is_sealed && !is_hot
}
