//! Commits of recognisable rows, and journals on simulated files.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use arrow::array::AsArray;
use moneta_base::fs::FileSystem;
use moneta_base::{SourceName, TableName, TenantId, Timestamp};
use moneta_event::{BatchBuilder, Block, Delivery, RecordClass, TableCatalog, TableSchema};
use moneta_journal::{
    Appended, Commit, CommitOutcome, Error, Journal, JournalOptions, JournaledBlock, MarkKind, ProducerMark, Receipt,
    Recovery,
};
use moneta_merkle::sha256;
use moneta_scrub::{Policy, ScrubbedBatch, Scrubber, TokenKeys};
use moneta_testkit::SimFs;

pub const DIR: &str = "/data/journal";

pub fn now() -> Timestamp {
    Timestamp::from_seconds(1_767_323_045)
}

pub fn options() -> JournalOptions {
    JournalOptions::new(TenantId::from_random([7; 16]))
}

/// What was found, with all the blocks.
#[derive(Debug)]
pub struct Recovered {
    pub blocks: Vec<JournaledBlock>,
    found: Recovery,
}

impl std::ops::Deref for Recovered {
    type Target = Recovery;

    fn deref(&self) -> &Recovery {
        &self.found
    }
}

pub fn open_in(fs: Arc<dyn FileSystem>, dir: &Path, options: JournalOptions) -> Result<(Journal, Recovered), Error> {
    let mut blocks = Vec::new();
    let opened = Journal::open(fs, dir, options, |block| blocks.push(block));
    opened.map(|(journal, found)| (journal, Recovered { blocks, found }))
}

pub fn try_open(fs: &SimFs, options: JournalOptions) -> Result<(Journal, Recovered), Error> {
    open_in(Arc::new(fs.clone()), Path::new(DIR), options)
}

pub fn open(fs: &SimFs) -> (Journal, Recovered) {
    try_open(fs, options()).unwrap()
}

pub fn scrub(rows: BatchBuilder) -> ScrubbedBatch {
    static SCRUBBER: LazyLock<Scrubber> = LazyLock::new(|| {
        let keys = TokenKeys { current: 1, keys: BTreeMap::from([(1, [5; 32])]) };
        Scrubber::new(Policy::built_in(), keys).unwrap()
    });
    SCRUBBER.scrub(rows.finish().unwrap()).0
}

pub fn builder(table: &str) -> BatchBuilder {
    static CATALOG: LazyLock<TableCatalog> = LazyLock::new(TableCatalog::built_in);
    let schema = CATALOG.get(table).cloned();
    let schema = schema.unwrap_or_else(|| Arc::new(TableSchema::custom(TableName::new(table).unwrap())));
    BatchBuilder::new(schema, RecordClass::Data, Delivery::AtLeastOnce)
}

/// Rows whose `_Raw` is `<name>-<row>`.
pub fn batch(table: &str, name: &str, num_rows: usize) -> ScrubbedBatch {
    let mut rows = builder(table);
    for row in 0..num_rows {
        rows.finish_row(now(), &SourceName::lossy("test"), &format!("{name}-{row}"));
    }
    scrub(rows)
}

pub fn commit(table: &str, name: &str, num_rows: usize) -> Commit {
    Commit { batches: vec![batch(table, name, num_rows)], mark: None }
}

pub fn mark(producer: &str, sequence: u64, content: &str) -> ProducerMark {
    let hash = sha256(content.as_bytes());
    ProducerMark { kind: MarkKind::Producer, producer: producer.to_owned(), epoch: 1, sequence, hash }
}

pub fn stored(appended: &Appended, index: usize) -> Receipt {
    match &appended.outcomes[index] {
        Ok(CommitOutcome::Stored { receipt }) => receipt.clone(),
        other => panic!("not stored: {other:?}"),
    }
}

/// The `_Raw` of the rows of blocks, by table and sequence.
pub fn raws<'a>(blocks: impl IntoIterator<Item = &'a Arc<Block>>) -> BTreeMap<(String, u64), String> {
    let mut found = BTreeMap::new();
    for block in blocks {
        let texts = block.rows.column_by_name("_Raw").unwrap().as_string::<i32>();
        for (seq, text) in (block.header.first_seq..).zip(texts.iter().flatten()) {
            let before = found.insert((block.header.shard.table.to_string(), seq), text.to_owned());
            assert_eq!(before, None, "row {seq} twice");
        }
    }
    found
}

pub fn recovered_raws(recovery: &Recovered) -> Vec<String> {
    raws(recovery.blocks.iter().map(|block| &**block)).into_values().collect()
}
