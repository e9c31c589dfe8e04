//! Opening the ledger: from the files to a state that can grow.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use moneta_base::fs::FileSystem;
use moneta_base::{IngestDay, TableName};
use moneta_event::{RootEntry, RootEvent, ShardGrowth, ShardId};
use moneta_merkle::proof::{prove_consistency, verify_consistency};
use moneta_merkle::reader::root_from_tiles;
use moneta_merkle::tile::{TILE_WIDTH, width_in};
use moneta_merkle::{Checkpoint, NoteSigner, SignedCheckpoint, TilePath, TileShelf, VerifierKey, bundle, hash};

use crate::append::{Appends, Queue};
use crate::edge::Edge;
use crate::error::{Error, Result};
use crate::files::{LogFiles, WriteBatch};
use crate::publish::{PublishStats, Publisher};

/// Names one log of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LogName {
    /// The root log.
    Root,
    /// The log of one table and ingest day.
    Shard(ShardId),
}

/// What opening found and mended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenReport {
    /// Whether the ledger was made now.
    pub created: bool,
    /// Entries under the root checkpoint.
    pub root_size: u64,
    /// Shards whose checkpoint was behind the root log, after a crash between the two, and was made again.
    pub shards_mended: Vec<ShardId>,
    /// Scraps of an unfinished publish that were removed.
    pub scraps_removed: u64,
}

/// The transparency log of one installation.
///
/// All methods may be called from several threads; one publish runs at a time.
pub struct Ledger {
    pub(crate) fs: Arc<dyn FileSystem>,
    pub(crate) dir: PathBuf,
    pub(crate) origin: String,
    pub(crate) signer: Arc<dyn NoteSigner>,
    pub(crate) keys: Vec<VerifierKey>,
    /// Held by whoever changes files that others rely on, and by whoever needs them unchanged. Appending never takes it.
    /// Lock order: `changes`, `publisher`, `appends`.
    pub(crate) changes: Mutex<()>,
    pub(crate) publisher: Mutex<Publisher>,
    pub(crate) appends: Mutex<Appends>,
    pub(crate) checkpoint: RwLock<SignedCheckpoint>,
    pub(crate) cosigned: RwLock<Option<SignedCheckpoint>>,
    pub(crate) stats: Mutex<PublishStats>,
}

impl Ledger {
    /// Opens the ledger in `dir`, or makes it.
    ///
    /// Cost does not grow with the log: the root log's right edge, its last publish and the shards in it are checked
    /// against their signatures. [`Ledger::check`] reads everything.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if what was read is not what was signed with this key for this origin; [`Error::Io`],
    /// [`Error::SyncFailed`] from the file system; [`Error::Merkle`] from the signer.
    pub fn open(
        fs: Arc<dyn FileSystem>,
        dir: &Path,
        signer: Arc<dyn NoteSigner>,
        origin: &str,
    ) -> Result<(Ledger, OpenReport)> {
        let keys = vec![VerifierKey::of(signer.as_ref())?];
        let root = LogFiles::new(&fs, dir.join("root"), origin.to_owned());
        let mut publisher = Publisher::default();
        let mut report = OpenReport::default();
        let checkpoint = match root.read_checkpoint(&keys)? {
            Some(checkpoint) => checkpoint,
            None if root.has_tiles()? => return Err(missing_checkpoint(&root)),
            None => {
                report.created = true;
                make_dir_durable(fs.as_ref(), dir)?;
                let mut batch = WriteBatch::new(&fs, dir, &mut publisher.known_dirs);
                write_empty_checkpoint(&mut batch, &root, signer.as_ref())?
            }
        };
        report.root_size = checkpoint.size();
        publisher.root = Edge::load(&root, &checkpoint)?;
        report.scraps_removed = root.sweep(checkpoint.size())?;
        let appends = Appends { root: Queue::starting_at(checkpoint.size()), ..Appends::default() };
        let ledger = Ledger {
            fs,
            dir: dir.to_owned(),
            origin: origin.to_owned(),
            signer,
            keys,
            changes: Mutex::default(),
            publisher: Mutex::new(publisher),
            appends: Mutex::new(appends),
            checkpoint: RwLock::new(checkpoint),
            cosigned: RwLock::default(),
            stats: Mutex::default(),
        };
        ledger.load_cosigned()?;
        for growth in ledger.last_ticks()? {
            if ledger.mend_shard(&growth)? {
                report.shards_mended.push(growth.shard);
            }
        }
        Ok((ledger, report))
    }

    /// Returns the newest root checkpoint.
    #[must_use]
    pub fn root_checkpoint(&self) -> SignedCheckpoint {
        self.checkpoint.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the newest checkpoint of a shard; none if it has none yet.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if it is damaged; [`Error::Io`].
    pub fn shard_checkpoint(&self, shard: &ShardId) -> Result<Option<SignedCheckpoint>> {
        self.shard_files(shard).read_checkpoint(&self.keys)
    }

    /// Returns the verifier key of all checkpoints.
    #[must_use]
    pub fn verifier_key(&self) -> &VerifierKey {
        &self.keys[0]
    }

    /// Returns the origin of the root log.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Lists the shards that have a directory, by name.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn shards(&self) -> Result<Vec<ShardId>> {
        let list = |path: &Path| self.fs.list(path).map_err(|source| Error::Io { path: path.to_owned(), source });
        let mut shards = Vec::new();
        for table in list(&self.dir.join("shard"))?.iter().filter(|entry| entry.is_dir) {
            let Ok(name) = TableName::new(table.name()) else { continue };
            for day in list(&table.path)?.iter().filter(|entry| entry.is_dir) {
                shards.extend(IngestDay::parse(day.name()).map(|day| ShardId { table: name.clone(), day }));
            }
        }
        shards.sort();
        Ok(shards)
    }

    /// Reads a tile or entry bundle as a tlog client asks for it. A width that was outgrown is answered with the prefix
    /// of the newer file.
    ///
    /// # Errors
    /// [`Error::Io`], with `NotFound` as source if the log has no such tile.
    pub fn read_tile(&self, log: &LogName, tile: TilePath) -> Result<Vec<u8>> {
        let files = self.files(log);
        files.read(tile).map_err(|source| Error::Io { path: files.path(tile), source })
    }

    /// Reads a published entry of a log, without proof.
    ///
    /// # Errors
    /// [`Error::NotPublished`]; [`Error::Io`], [`Error::Corrupt`].
    pub fn read_entry(&self, log: &LogName, index: u64) -> Result<Vec<u8>> {
        let files = self.files(log);
        let size = match log {
            LogName::Root => self.root_checkpoint().size(),
            LogName::Shard(shard) => self.shard_checkpoint(shard)?.map_or(0, |checkpoint| checkpoint.size()),
        };
        if index >= size {
            return Err(Error::NotPublished { log: files.origin().to_owned(), index, size });
        }
        let mut bundle = self.read_bundle(&files, index / u64::from(TILE_WIDTH), size)?;
        let place = usize::try_from(index % u64::from(TILE_WIDTH)).expect("below 256");
        Ok(bundle.swap_remove(place))
    }

    /// Reads a published entry of the root log.
    ///
    /// # Errors
    /// As [`Ledger::read_entry`], and [`Error::RootEntry`] if a newer version wrote it.
    pub fn read_root_entry(&self, index: u64) -> Result<RootEntry> {
        Ok(RootEntry::decode(&self.read_entry(&LogName::Root, index)?)?)
    }

    pub(crate) fn root_files(&self) -> LogFiles {
        LogFiles::new(&self.fs, self.dir.join("root"), self.origin.clone())
    }

    pub(crate) fn shard_files(&self, shard: &ShardId) -> LogFiles {
        let dir = self.dir.join("shard").join(shard.table.as_str()).join(shard.day.to_string());
        LogFiles::new(&self.fs, dir, format!("{}/shard/{shard}", self.origin))
    }

    pub(crate) fn files(&self, log: &LogName) -> LogFiles {
        match log {
            LogName::Root => self.root_files(),
            LogName::Shard(shard) => self.shard_files(shard),
        }
    }

    pub(crate) fn lock_changes(&self) -> Result<MutexGuard<'_, ()>> {
        self.changes.lock().map_err(|_| Error::Stopped)
    }

    pub(crate) fn lock_publisher(&self) -> Result<MutexGuard<'_, Publisher>> {
        self.publisher.lock().map_err(|_| Error::Stopped)
    }

    pub(crate) fn lock_appends(&self) -> Result<MutexGuard<'_, Appends>> {
        self.appends.lock().map_err(|_| Error::Stopped)
    }

    /// Returns the edge of a shard, loading it at the first use.
    pub(crate) fn load_shard<'publisher>(
        &self,
        publisher: &'publisher mut Publisher,
        shard: &ShardId,
    ) -> Result<&'publisher Edge> {
        if !publisher.shards.contains_key(shard) {
            let files = self.shard_files(shard);
            let edge = match files.read_checkpoint(&self.keys)? {
                Some(checkpoint) => {
                    let edge = Edge::load(&files, &checkpoint)?;
                    files.sweep(checkpoint.size())?;
                    edge
                }
                // The empty checkpoint is durable before the first tile is written: without it there was no tile.
                None if files.has_tiles()? => return Err(missing_checkpoint(&files)),
                None => Edge::default(),
            };
            publisher.shards.insert(shard.clone(), edge);
        }
        Ok(publisher.shards.get(shard).expect("inserted above"))
    }

    /// Reads the entries of one bundle of a log of `size` entries.
    pub(crate) fn read_bundle(&self, files: &LogFiles, number: u64, size: u64) -> Result<Vec<Vec<u8>>> {
        let tile = TilePath::entries(number, width_in(size, TileShelf::Entries, number));
        let bytes = files.read_signed(tile)?;
        Ok(split_bundle(files, tile, &bytes)?.into_iter().map(<[u8]>::to_vec).collect())
    }

    /// Returns what the last publish said of the shards that grew in it; nothing if none did.
    ///
    /// A publish puts its ticks last, all with one time. Entries of an unknown, newer type end the search.
    fn last_ticks(&self) -> Result<Vec<ShardGrowth>> {
        let mut growths = Vec::new();
        let mut last_time = None;
        for index in (0..self.root_checkpoint().size()).rev() {
            let entry = match self.read_root_entry(index) {
                Ok(entry) => entry,
                Err(Error::RootEntry(_)) => break,
                Err(error) => return Err(error),
            };
            match entry.event {
                RootEvent::Tick { shards } if *last_time.get_or_insert(entry.at) == entry.at => {
                    // The newest word on a shard counts: two publishes may carry the same time.
                    for growth in shards {
                        if !growths.iter().any(|newer: &ShardGrowth| newer.shard == growth.shard) {
                            growths.push(growth);
                        }
                    }
                }
                _ => break,
            }
        }
        Ok(growths)
    }

    /// Compares a shard with what the root log says of it, and makes its checkpoint again if it is behind.
    fn mend_shard(&self, growth: &ShardGrowth) -> Result<bool> {
        let files = self.shard_files(&growth.shard);
        let Some(found) = files.read_checkpoint(&self.keys)? else {
            return Err(missing_checkpoint(&files));
        };
        if (found.size(), found.root()) == (growth.size, growth.root) {
            return Ok(false);
        }
        if found.size() >= growth.size {
            return Err(files.corrupt("its checkpoint is not the one the root log names"));
        }
        let damaged = |error: moneta_merkle::Error| files.corrupt(crate::edge::describe(&error));
        if root_from_tiles(growth.size, &files).map_err(damaged)? != growth.root {
            return Err(files.corrupt("its tiles lead to another root than the root log names"));
        }
        let proof = prove_consistency(found.size(), growth.size, &files).map_err(damaged)?;
        verify_consistency(found.size(), growth.size, &proof, &found.root(), &growth.root).map_err(damaged)?;
        let mut publisher = self.lock_publisher()?;
        let mut batch = WriteBatch::new(&self.fs, &self.dir, &mut publisher.known_dirs);
        let checkpoint = sign(&files, growth.size, growth.root, self.signer.as_ref())?;
        batch.replace(&[(files.checkpoint_path(), checkpoint.encode())])?;
        Ok(true)
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Ledger({}, {} root entries)", self.origin, self.root_checkpoint().size())
    }
}

/// Signs the head of a log.
pub(crate) fn sign(
    files: &LogFiles,
    size: u64,
    root: moneta_merkle::Hash,
    signer: &dyn NoteSigner,
) -> Result<SignedCheckpoint> {
    Ok(Checkpoint::new(files.origin(), size, root)?.sign(signer)?)
}

/// Writes the checkpoint of an empty log, durable before any tile, so that its absence beside tiles is damage.
pub(crate) fn write_empty_checkpoint(
    batch: &mut WriteBatch<'_>,
    files: &LogFiles,
    signer: &dyn NoteSigner,
) -> Result<SignedCheckpoint> {
    batch.make_dir(files.dir())?;
    let checkpoint = sign(files, 0, hash::EMPTY_ROOT, signer)?;
    batch.replace(&[(files.checkpoint_path(), checkpoint.encode())])?;
    Ok(checkpoint)
}

/// Splits the bytes of a bundle that a checkpoint covers.
pub(crate) fn split_bundle<'bytes>(files: &LogFiles, tile: TilePath, bytes: &'bytes [u8]) -> Result<Vec<&'bytes [u8]>> {
    let damaged = |error: moneta_merkle::Error| Error::Corrupt { path: files.path(tile), reason: error.to_string() };
    bundle::entries(bytes, tile.width).map_err(damaged)
}

fn missing_checkpoint(files: &LogFiles) -> Error {
    Error::Corrupt { path: files.checkpoint_path(), reason: "it is missing while the log has tiles".to_owned() }
}

fn make_dir_durable(fs: &dyn FileSystem, dir: &Path) -> Result<()> {
    fs.create_dir_all(dir).map_err(|source| Error::Io { path: dir.to_owned(), source })?;
    let Some(parent) = dir.parent() else { return Ok(()) };
    fs.sync_dir(parent).map_err(|source| Error::SyncFailed { path: parent.to_owned(), source })
}
