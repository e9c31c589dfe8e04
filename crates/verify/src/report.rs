//! What a check found.

use std::fmt;
use std::path::Path;

use moneta_base::Seq;
use moneta_event::ShardId;

/// Findings kept at most: past it the store is rubble and more names help nobody.
const FINDINGS_MAX: usize = 1_000;

/// One thing that is not as it was signed.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    /// The file, relative to the data directory.
    pub file: String,
    /// The table, where known.
    pub table: String,
    /// `_Seq` of the first row of the block, where known.
    pub block: Option<Seq>,
    /// `_Seq` of the record, where known.
    pub record: Option<Seq>,
    /// What is wrong.
    pub problem: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if !self.table.is_empty() {
            write!(f, ", table {}", self.table)?;
        }
        if let Some(block) = self.block {
            write!(f, ", block at _Seq {block}")?;
        }
        if let Some(record) = self.record {
            write!(f, ", record {record}")?;
        }
        write!(f, ": {}", self.problem)
    }
}

/// Everything a check did and found.
#[derive(Debug, Default, serde::Serialize)]
pub struct Report {
    /// Entries of the root log under its checkpoint.
    pub num_root_entries: u64,
    /// Block headers compared with their rows.
    pub num_blocks: u64,
    /// Records hashed.
    pub num_records: u64,
    /// Segment files read.
    pub num_segments: u64,
    /// Shards dropped by policy, each with its entry in the root log.
    pub num_dropped_shards: u64,
    /// Files compared with the inventory.
    pub num_inventory_files: u64,
    /// What does not fit. Empty means: nothing was changed and nothing is missing.
    pub findings: Vec<Finding>,
    /// What was not checked, and why; no sign of tampering.
    pub notes: Vec<String>,
}

impl Report {
    /// Notes something wrong with a file.
    pub fn find(&mut self, file: impl AsRef<Path>, problem: impl Into<String>) {
        self.push(Finding {
            file: display(file),
            table: String::new(),
            block: None,
            record: None,
            problem: problem.into(),
        });
    }

    /// Notes something wrong with a block.
    pub fn find_block(&mut self, file: impl AsRef<Path>, shard: &ShardId, block: Seq, problem: impl Into<String>) {
        let table = shard.table.to_string();
        self.push(Finding { file: display(file), table, block: Some(block), record: None, problem: problem.into() });
    }

    /// Notes something wrong with a record.
    pub fn find_record(
        &mut self,
        file: impl AsRef<Path>,
        shard: &ShardId,
        block: Seq,
        record: Seq,
        problem: impl Into<String>,
    ) {
        let table = shard.table.to_string();
        self.push(Finding {
            file: display(file),
            table,
            block: Some(block),
            record: Some(record),
            problem: problem.into(),
        });
    }

    fn push(&mut self, finding: Finding) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding);
        }
    }

    /// Whether nothing was found.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }
}

fn display(file: impl AsRef<Path>) -> String {
    file.as_ref().display().to_string()
}
