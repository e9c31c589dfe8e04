//! Blocks of recognisable rows, as the journal would hand them on, and stores on simulated files.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::Int64Type;
use moneta_base::fs::FileSystem;
use moneta_base::{SourceName, TableName, TenantId, Timestamp};
use moneta_event::block::BlockPosition;
use moneta_event::{
    BatchBuilder, Block, Delivery, RecordClass, ShardId, TableCatalog, TableSchema, Value, record, stored,
};
use moneta_merkle::Hash;
use moneta_store::{Error, Store, TableSnapshot, TimeRange};
use moneta_testkit::SimFs;

pub const DIR: &str = "/data/store";

pub static CATALOG: LazyLock<TableCatalog> = LazyLock::new(TableCatalog::built_in);

pub fn now() -> Timestamp {
    Timestamp::parse("2026-01-02T03:04:05.1234567Z").unwrap()
}

pub fn table(name: &str) -> TableName {
    TableName::new(name).unwrap()
}

pub fn open(fs: &SimFs) -> Result<Store, Error> {
    open_on(Arc::new(fs.clone()), Path::new(DIR))
}

pub fn open_on(fs: Arc<dyn FileSystem>, dir: &Path) -> Result<Store, Error> {
    Store::open(fs, dir, CATALOG.clone())
}

pub fn builder(name: &str) -> BatchBuilder {
    let schema = CATALOG.get(name).cloned().unwrap_or_else(|| Arc::new(TableSchema::custom(table(name))));
    BatchBuilder::new(schema, RecordClass::Data, Delivery::AtLeastOnce)
}

/// Makes the blocks of tables in order, as the journal does.
#[derive(Debug, Default)]
pub struct Blocks {
    next: BTreeMap<TableName, (u64, u64, Hash)>,
}

impl Blocks {
    pub fn make(&mut self, name: &str, day: Timestamp, rows: BatchBuilder) -> Arc<Block> {
        let (first_seq, index, previous) = self.next.get(&table(name)).copied().unwrap_or_default();
        let position = BlockPosition {
            tenant: TenantId::from_random([7; 16]),
            shard: ShardId { table: table(name), day: day.day() },
            shard_index: index,
            first_seq,
            ingest_time: day,
            token_key: 1,
            previous,
        };
        let rows = stored::canonical(&rows.finish().unwrap().rows).unwrap();
        let block = Block::new(position, rows).unwrap();
        self.next.insert(table(name), (block.header.end_seq(), index + 1, block.header.hash()));
        Arc::new(block)
    }

    /// A block of `num_rows` rows with a few columns, some absent in some blocks.
    pub fn simple(&mut self, name: &str, day: Timestamp, num_rows: usize) -> Arc<Block> {
        let mut rows = builder(name);
        let first = self.next.get(&table(name)).map_or(0, |next| next.0);
        for row in first..first + num_rows as u64 {
            if row % 3 == 0 {
                rows.set_field("ProcessID", Value::Long(i64::try_from(row).unwrap()));
            }
            let message = format!("message {row} {:x}", row * 0x9e37_79b9_7f4a);
            rows.set_field("SyslogMessage", Value::Text(&message));
            let time = Timestamp::from_nanos(now().as_nanos() + i64::try_from(row).unwrap() * 1_000_000_100);
            rows.finish_row(time, &SourceName::lossy("test"), &format!("<13>{message}"));
        }
        self.make(name, day, rows)
    }
}

/// All rows of a table in order, hot and sealed, with every column of its schema.
pub fn all_rows(store: &Store, snapshot: &TableSnapshot) -> RecordBatch {
    let wanted = snapshot.schema.columns();
    let mut batches = Vec::new();
    for segment in &snapshot.segments {
        let reader = store.read_segment(segment, wanted, TimeRange::ALL).unwrap();
        batches.extend(reader.map(Result::unwrap));
    }
    for block in &snapshot.hot {
        let rows = stored::with_implied_columns(&block.header, 0, &block.rows);
        batches.push(stored::align(&rows, wanted).unwrap());
    }
    concat_batches(&snapshot.schema.arrow(), &batches).unwrap()
}

/// STORE-1: the rows of a table are `[0, end)`, each once and in order.
pub fn assert_dense(store: &Store, name: &str, end: u64) {
    let snapshot = store.snapshot(&table(name)).unwrap();
    let rows = all_rows(store, &snapshot);
    let seqs = rows.column_by_name("_Seq").unwrap().as_primitive::<Int64Type>();
    let seqs: Vec<u64> = seqs.values().iter().map(|seq| u64::try_from(*seq).unwrap()).collect();
    assert_eq!(seqs, (0..end).collect::<Vec<_>>(), "STORE-1");
}

/// The record root of each block, computed from what the store gives back.
pub fn record_roots(rows: &RecordBatch, blocks: &[Arc<Block>]) -> Vec<Hash> {
    let slice = |block: &Arc<Block>| {
        let first = usize::try_from(block.header.first_seq).unwrap();
        rows.slice(first, block.header.num_rows as usize)
    };
    blocks.iter().map(|block| moneta_event::block::record_root(&slice(block)).unwrap()).collect()
}

/// The canonical bytes of all rows.
pub fn records(rows: &RecordBatch) -> Vec<Vec<u8>> {
    let encoder = record::RecordEncoder::new(rows).unwrap();
    (0..rows.num_rows())
        .map(|row| {
            let mut out = Vec::new();
            encoder.encode(row, &mut out);
            out
        })
        .collect()
}
