//! What the journal held when it was opened: unsealed blocks in memory, all others where they are, to be read once more.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use moneta_base::fs::FileSystem;
use moneta_base::{Seq, TableName};
use moneta_event::Block;
use moneta_event::catalog::table;
use moneta_journal::{Error, Replay};

/// The blocks that the journal recovered. Those that are sealed are not in memory, but for alerts.
pub struct Recovered {
    fs: Arc<dyn FileSystem>,
    /// The journal's files, and how far each held blocks when it was opened.
    files: Vec<(PathBuf, u64)>,
    found: Found,
}

/// What is kept of the blocks while the journal is read.
#[derive(Default)]
pub(crate) struct Found {
    num_blocks: u64,
    tables: BTreeSet<TableName>,
    /// Unsealed blocks, which are in memory anyway as hot rows.
    hot: BTreeMap<(TableName, Seq), Arc<Block>>,
    alerts: Vec<Arc<Block>>,
}

impl Found {
    pub(crate) fn note(&mut self, block: &Arc<Block>, is_hot: bool) {
        let header = &block.header;
        self.num_blocks += 1;
        if !self.tables.contains(&header.shard.table) {
            self.tables.insert(header.shard.table.clone());
        }
        if is_hot {
            self.hot.insert((header.shard.table.clone(), header.first_seq), block.clone());
        }
        if header.shard.table.as_str() == table::SECURITY_ALERT {
            self.alerts.push(block.clone());
        }
    }
}

impl Recovered {
    pub(crate) fn new(fs: Arc<dyn FileSystem>, files: Vec<(PathBuf, u64)>, found: Found) -> Self {
        Self { fs, files, found }
    }

    /// How many blocks there were, sealed or not.
    #[must_use]
    pub fn num_blocks(&self) -> u64 {
        self.found.num_blocks
    }

    /// How many of them are in memory because they are not sealed.
    #[must_use]
    pub fn num_hot(&self) -> usize {
        self.found.hot.len()
    }

    /// The tables that they are of.
    pub fn tables(&self) -> impl Iterator<Item = &TableName> {
        self.found.tables.iter()
    }

    /// The blocks of `SecurityAlert`, in order: whoever tells of alerts and whoever counts them need them at once.
    #[must_use]
    pub fn alerts(&self) -> &[Arc<Block>] {
        &self.found.alerts
    }

    /// All blocks in the order of their arrival over all tables. Sealed ones are read from the journal, a frame at a time:
    /// to be used up before the journal may forget them.
    ///
    /// # Errors
    /// Each item: when the journal cannot be read any more.
    pub fn blocks(&self) -> impl Iterator<Item = Result<Arc<Block>, Error>> {
        Replay::new(&*self.fs, &self.files).map(|block| {
            let block = block?.into_inner();
            let place = (block.header.shard.table.clone(), block.header.first_seq);
            // The same rows twice in memory would be one time too many.
            Ok(self.found.hot.get(&place).cloned().unwrap_or(block))
        })
    }
}

impl fmt::Debug for Recovered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = &self.found;
        f.debug_struct("Recovered").field("num_blocks", &found.num_blocks).field("num_hot", &found.hot.len()).finish()
    }
}
