//! The service: takes blocks without waiting, works them off on a thread of its own, and keeps the book.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use moneta_base::fs::{FileSystem, write_atomically};
use moneta_base::{Clock, Seq, TableName};
use moneta_event::Block;
use moneta_ports::{AlarmSink, BlockSubscriber, Metric, Metrics, SourceQuality, SourceStatus};

use super::book::{Book, is_watched};

/// Name of the file in the data directory.
const FILE_NAME: &str = "sources.json";
/// Time between two looks at the clock.
const TICK: Duration = Duration::from_secs(1);
/// Time between two writes of the file.
const SAVE_INTERVAL: Duration = Duration::from_secs(60);

/// What the watch works with.
pub struct SourceWatchParts {
    /// Where the file is kept.
    pub fs: Arc<dyn FileSystem>,
    /// The data directory.
    pub data: PathBuf,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Counters, those of losses among them.
    pub metrics: Arc<Metrics>,
    /// Who hears that something is wrong.
    pub alarms: Arc<dyn AlarmSink>,
}

/// Watches the sources of all blocks. Share it in an `Arc`.
pub struct SourceWatch {
    shared: Arc<Shared>,
    commands: Sender<Command>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
}

struct Shared {
    parts: SourceWatchParts,
    book: Mutex<Book>,
    /// Up to where each table is counted in the file.
    saved: Mutex<BTreeMap<String, Seq>>,
    backlog_rows: AtomicU64,
}

enum Command {
    Take(Arc<Block>),
    Stop,
}

impl SourceWatch {
    /// Reads the book and starts the thread. A book that cannot be read is put aside: history begins anew.
    ///
    /// # Errors
    /// When the file system or the operating system refuses.
    pub fn start(parts: SourceWatchParts) -> std::io::Result<Arc<Self>> {
        let book = load(&parts)?;
        let saved = Mutex::new(book.next().clone());
        let shared = Arc::new(Shared { parts, book: Mutex::new(book), saved, backlog_rows: AtomicU64::new(0) });
        let (commands, inbox) = mpsc::channel();
        let worker = shared.clone();
        let thread = std::thread::Builder::new().name("sources".to_owned()).spawn(move || worker.run(&inbox))?;
        Ok(Arc::new(Self { shared, commands, thread: Mutex::new(Some(thread)) }))
    }

    /// What is received from whom, by source, machine and table.
    #[must_use]
    pub fn status(&self) -> Vec<SourceStatus> {
        let now = self.shared.parts.clock.now();
        lock(&self.shared.book).status(now)
    }

    /// How complete it is, by source, machine and table.
    #[must_use]
    pub fn quality(&self) -> Vec<SourceQuality> {
        let now = self.shared.parts.clock.now();
        lock(&self.shared.book).quality(now)
    }

    /// Works off what is queued, writes the book and stops.
    pub async fn stop(&self) {
        let _ = self.commands.send(Command::Stop);
        let thread = lock(&self.thread).take();
        let Some(thread) = thread else { return };
        let joined = tokio::task::spawn_blocking(move || thread.join().is_ok()).await;
        if !matches!(joined, Ok(true)) {
            tracing::error!("the watch over sources panicked");
        }
    }
}

impl BlockSubscriber for SourceWatch {
    fn on_block(&self, block: &Arc<Block>) {
        let table = block.header.shard.table.as_str();
        if !is_watched(table) {
            return;
        }
        lock(&self.shared.saved).entry(table.to_owned()).or_insert(block.header.first_seq);
        let rows = u64::from(block.header.num_rows);
        self.shared.backlog_rows.fetch_add(rows, Ordering::Relaxed);
        if self.commands.send(Command::Take(block.clone())).is_err() {
            // A stopped watch counts nothing; the journal keeps the block for the next start.
            self.shared.backlog_rows.fetch_sub(rows, Ordering::Relaxed);
        }
    }

    fn backlog_rows(&self) -> u64 {
        self.shared.backlog_rows.load(Ordering::Relaxed)
    }

    fn needs_from(&self, table: &TableName) -> Seq {
        lock(&self.shared.saved).get(table.as_str()).copied().unwrap_or(Seq::MAX)
    }
}

impl Shared {
    fn run(&self, inbox: &Receiver<Command>) {
        let mut tick_due = Instant::now() + TICK;
        let mut save_due = Instant::now() + SAVE_INTERVAL;
        let mut dropped = BTreeMap::new();
        loop {
            match inbox.recv_timeout(tick_due.saturating_duration_since(Instant::now())) {
                Ok(Command::Take(block)) => {
                    lock(&self.book).take(&block);
                    self.backlog_rows.fetch_sub(u64::from(block.header.num_rows), Ordering::Relaxed);
                }
                Ok(Command::Stop) | Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {}
            }
            if Instant::now() >= tick_due {
                self.note_dropped(&mut dropped);
                self.tick();
                tick_due = Instant::now() + TICK;
            }
            if Instant::now() >= save_due {
                self.save();
                save_due = Instant::now() + SAVE_INTERVAL;
            }
        }
        self.note_dropped(&mut dropped);
        self.save();
    }

    fn tick(&self) {
        let alarms = lock(&self.book).tick(self.parts.clock.now());
        let (known, troubled) = lock(&self.book).counts();
        self.parts.metrics.set(Metric::MonitorSources, known as u64);
        self.parts.metrics.set(Metric::MonitorSourcesTroubled, troubled as u64);
        alarms.into_iter().for_each(|alarm| self.parts.alarms.raise(alarm));
    }

    /// Takes over what collectors counted as lost since the last look.
    fn note_dropped(&self, known: &mut BTreeMap<String, u64>) {
        let now = self.parts.clock.now();
        for (source, total) in self.parts.metrics.labelled_values(Metric::CollectSourceDropped) {
            let before = known.insert(source.clone(), total).unwrap_or(0);
            if total > before {
                lock(&self.book).note_losses(&source, 0, total - before, now);
            }
        }
    }

    fn save(&self) {
        let (bytes, next) = {
            let book = lock(&self.book);
            (book.write(), book.next().clone())
        };
        match write_atomically(&*self.parts.fs, &self.parts.data.join(FILE_NAME), &bytes) {
            Ok(()) => lock(&self.saved).extend(next),
            Err(error) => tracing::warn!(%error, "what is known of sources could not be kept; it is tried again"),
        }
    }
}

fn load(parts: &SourceWatchParts) -> std::io::Result<Book> {
    let path = parts.data.join(FILE_NAME);
    if !parts.fs.exists(&path) {
        return Ok(Book::default());
    }
    let bytes = parts.fs.read(&path)?;
    Book::read(&bytes).or_else(|problem| {
        let aside = path.with_extension("json.damaged");
        tracing::error!(problem, kept_as = %aside.display(), "what was known of sources cannot be read: it begins anew");
        parts.fs.rename(&path, &aside)?;
        parts.fs.sync_dir(&parts.data)?;
        Ok(Book::default())
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
