//! Reading everything: each file of each log against what was signed.

use std::path::PathBuf;

use moneta_event::root_history::ShardState;
use moneta_event::{RootEntry, RootHistory, ShardGrowth};
use moneta_merkle::Hash;
use moneta_merkle::audit::audit_log;

use crate::error::{Error, Result};
use crate::files::LogFiles;
use crate::ledger::Ledger;

/// What a full check read and found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// Root entries read.
    pub num_root_entries: u64,
    /// Shards read.
    pub num_shards: u64,
    /// Block headers read.
    pub num_blocks: u64,
    /// What is wrong; empty if all is as signed.
    pub findings: Vec<LedgerFinding>,
}

/// One thing that is not as signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerFinding {
    /// The file or log directory.
    pub path: PathBuf,
    /// The entry in it, where one is known.
    pub entry: Option<u64>,
    /// What is wrong, in words.
    pub reason: String,
}

impl Ledger {
    /// Reads every file of every log and compares it with the checkpoints, and each shard with what the root log last
    /// said of it. Publishing waits meanwhile.
    ///
    /// # Errors
    /// [`Error::Io`] if a directory cannot be listed; damage is in the report, not an error.
    pub fn check(&self) -> Result<CheckReport> {
        let _changes = self.lock_changes()?;
        let mut report = CheckReport::default();
        let root = self.root_files();
        match root.read_checkpoint(&self.keys) {
            Ok(Some(found)) if found == self.root_checkpoint() => {}
            Ok(_) => report.add(root.checkpoint_path(), None, "it is not the checkpoint that was published last"),
            Err(error) => report.add_error(&root, &error),
        }
        let stated = self.check_root(&root, &mut report);
        for (_, status) in stated.shards() {
            if let Some(head) = &status.head {
                self.check_shard(head, status.state, &mut report);
            }
        }
        for shard in self.shards()? {
            let files = self.shard_files(&shard);
            if stated.get(&shard).is_none() && files.read_checkpoint(&self.keys)?.is_some_and(|found| found.size() > 0)
            {
                report.add(files.dir().to_owned(), None, "the root log does not know this shard");
            }
        }
        Ok(report)
    }

    fn check_root(&self, root: &LogFiles, report: &mut CheckReport) -> RootHistory {
        let checkpoint = self.root_checkpoint();
        let mut stated = RootHistory::default();
        let mut wrong = Vec::new();
        let mut count = 0;
        let mut on_entry = |index: u64, bytes: &[u8]| {
            count += 1;
            let noted = match RootEntry::decode(bytes) {
                Ok(entry) => stated.apply(&entry.event).map_err(|error| error.to_string()),
                Err(error) => Err(error.to_string()),
            };
            wrong.extend(noted.err().map(|reason| (index, reason)));
        };
        report.audit(root, checkpoint.size(), &checkpoint.root(), &mut on_entry);
        report.num_root_entries = count;
        for (index, reason) in wrong {
            report.add(root.dir().to_owned(), Some(index), &reason);
        }
        stated
    }

    fn check_shard(&self, head: &ShardGrowth, state: ShardState, report: &mut CheckReport) {
        let files = self.shard_files(&head.shard);
        match files.read_checkpoint(&self.keys) {
            Ok(None) if state == ShardState::Dropped => return,
            Ok(Some(found)) if (found.size(), found.root()) == (head.size, head.root) => {}
            Ok(Some(_)) => report.add(files.checkpoint_path(), None, "it is not the one the root log names"),
            Ok(None) => report.add(files.checkpoint_path(), None, "it is missing and no drop entry says why"),
            Err(error) => report.add_error(&files, &error),
        }
        let mut count = 0;
        report.audit(&files, head.size, &head.root, &mut |_, _| count += 1);
        report.num_blocks += count;
        report.num_shards += 1;
    }
}

impl CheckReport {
    fn add(&mut self, path: PathBuf, entry: Option<u64>, reason: &str) {
        self.findings.push(LedgerFinding { path, entry, reason: reason.to_owned() });
    }

    fn add_error(&mut self, files: &LogFiles, error: &Error) {
        match error {
            Error::Corrupt { path, reason } => self.add(path.clone(), None, reason),
            other => self.add(files.dir().to_owned(), None, &crate::edge::describe(other)),
        }
    }

    fn audit(&mut self, files: &LogFiles, size: u64, root: &Hash, on_entry: &mut dyn FnMut(u64, &[u8])) {
        for finding in audit_log(size, root, files, on_entry) {
            let path = finding.tile.map_or_else(|| files.dir().to_owned(), |tile| files.path(tile));
            self.add(path, finding.entry, &finding.reason);
        }
    }
}
