//! An installation as the server leaves it: days of two tables sealed, one day dropped, rows in the journal only, and an
//! inventory.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use moneta_base::{SourceName, TableName, TenantId, Timestamp};
use moneta_event::record::RecordEncoder;
use moneta_event::{BatchBuilder, Block, Delivery, ParsedBatch, RecordClass, RecordProof, TableCatalog, Value};
use moneta_host::{RealFs, SystemEntropy};
use moneta_ingest::{Ingest, Parts, Policy};
use moneta_keys::KeyRing;
use moneta_merkle::SignedNote;
use moneta_merkle::proof::prove_inclusion_in;
use moneta_ports::{EventSink, Metrics, Space, Submission, Volume};
use moneta_scrub::{Scrubber, TokenKeys};
use moneta_testkit::{FixedClock, TestDir};
use moneta_verify::inventory;

/// The first moment.
pub const START: i64 = 1_790_000_000;
const DAY: i64 = 86_400;

pub struct Installation {
    pub dir: TestDir,
    clock: Arc<FixedClock>,
    keys: KeyRing,
}

impl Installation {
    pub fn new() -> Self {
        let dir = TestDir::new();
        let keys = KeyRing::open(Arc::new(RealFs), &dir.path().join("keys"), &SystemEntropy::new()).unwrap();
        Self { dir, clock: Arc::new(FixedClock::new(Timestamp::from_seconds(START))), keys }
    }

    pub fn open(&self) -> Arc<Ingest> {
        self.open_in(self.dir.path())
    }

    /// Opens a data directory with the keys of this installation.
    pub fn open_in(&self, data: &Path) -> Arc<Ingest> {
        let own = (data.join("keys/ledger.vkey"), self.dir.path().join("keys/ledger.vkey"));
        if own.0 != own.1 {
            std::fs::create_dir_all(data.join("keys")).unwrap();
            std::fs::copy(&own.1, &own.0).unwrap();
        }
        let token_keys = TokenKeys { current: 1, keys: BTreeMap::from([(1, [7; 32])]) };
        let parts = Parts {
            fs: Arc::new(RealFs),
            clock: self.clock.clone(),
            entropy: Arc::new(SystemEntropy::new()),
            signer: self.keys.log_signer(),
            origin: self.keys.log_name().to_owned(),
            scrubber: Arc::new(Scrubber::new(moneta_scrub::Policy::built_in(), token_keys).unwrap()),
            tenant: TenantId::from_random([1; 16]),
            catalog: TableCatalog::built_in(),
            policy: policy(365),
            metrics: Arc::new(Metrics::new()),
            volume: Arc::new(Roomy),
            bucket: None,
        };
        Ingest::open(data, parts).unwrap().0
    }

    /// Moves the clock to a second counted from the first moment.
    pub fn set_seconds(&self, seconds: i64) {
        self.clock.set(Timestamp::from_seconds(START + seconds));
    }

    /// Text of the verifier key.
    pub fn key(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("keys/ledger.vkey")).unwrap().trim_end().to_owned()
    }

    /// Moves the clock to a day counted from the first.
    pub fn set_day(&self, day: i64) {
        self.clock.set(Timestamp::from_seconds(START + day * DAY));
    }

    /// Fills the directory with every kind of file and leaves it as a clean shutdown does.
    pub async fn fill(&self) {
        let ingest = self.open();
        for day in 0..4 {
            self.set_day(day);
            for (table, rows) in [("Syslog", 300), ("Words_CL", 40)] {
                submit(&ingest, table, day, rows).await;
            }
            ingest.seal_all().unwrap();
        }
        self.set_day(11);
        ingest.change_policy(|current| *current = policy(10));
        self.wait_until(|| ingest.store().snapshot(&table("Syslog")).unwrap().segments.len() <= 3);
        submit(&ingest, "Syslog", 11, 50).await;
        ingest.publish_now().await.unwrap();
        ingest.shut_down().unwrap();
        drop(ingest);
        self.write_inventory();
    }

    /// Waits for what a thread of the service brings about.
    pub fn wait_until(&self, condition: impl Fn() -> bool) {
        let deadline = std::time::Instant::now() + Duration::from_secs(120);
        while !condition() {
            assert!(std::time::Instant::now() < deadline, "the condition did not come true");
            std::thread::yield_now();
        }
    }

    fn write_inventory(&self) {
        let data = self.dir.path();
        let text = inventory::text_of(data).unwrap();
        let note = SignedNote::sign(&text, &*self.keys.log_signer()).unwrap();
        std::fs::write(data.join(inventory::FILE_NAME), note.encode()).unwrap();
    }
}

/// A volume that is never full.
struct Roomy;

impl Volume for Roomy {
    fn space(&self) -> std::io::Result<Space> {
        Ok(Space { total_bytes: 1 << 40, available_bytes: 1 << 40 })
    }

    fn reserve_bytes(&self) -> u64 {
        0
    }

    fn set_aside(&self) -> std::io::Result<()> {
        Ok(())
    }

    fn give(&self) -> std::io::Result<()> {
        Ok(())
    }
}

pub fn policy(days: u32) -> Policy {
    let seal_age = Duration::from_secs(1 << 30);
    Policy {
        seal_age,
        seal_bytes: usize::MAX,
        hot_bytes_max: usize::MAX,
        journal_bytes_max: u64::MAX,
        retention_days_default: days,
        retention_days: BTreeMap::new(),
        retention_floor_days: 1,
        holds: Vec::new(),
    }
}

pub fn table(name: &str) -> TableName {
    TableName::new(name).unwrap()
}

/// Stores some rows of a table as one commit.
pub async fn submit(ingest: &Arc<Ingest>, name: &str, salt: i64, rows: usize) {
    let batches = vec![batch(name, salt, rows)];
    ingest.submit(Submission { batches, ..Submission::default() }).await.unwrap();
}

pub fn batch(name: &str, salt: i64, num_rows: usize) -> ParsedBatch {
    let catalog = TableCatalog::built_in();
    let custom = || Arc::new(moneta_event::TableSchema::custom(table(name)));
    let schema = catalog.get(name).cloned().unwrap_or_else(custom);
    let mut rows = BatchBuilder::new(schema, RecordClass::Data, Delivery::AtLeastOnce);
    for row in 0..num_rows {
        rows.set_field("SyslogMessage", Value::Text(&format!("message {row} of {salt}: Größe «{row:x}»")));
        rows.set_field("Number", Value::Long(i64::try_from(row).unwrap() - 5));
        rows.set_field("Share", Value::Real(1.0 / (row + 1) as f64));
        rows.set_field("Details", Value::Json(&format!("{{\"a\":\"word{row}\",\"b\":[{row}]}}")));
        let time = Timestamp::from_nanos(Timestamp::from_seconds(START).as_nanos() + 100 * row as i64);
        rows.finish_row(time, &SourceName::lossy("test"), &format!("raw {row}"));
    }
    rows.finish().unwrap()
}

/// The proofs of rows of a block, by their positions.
pub fn prove(ingest: &Ingest, block: &Block, positions: impl Iterator<Item = usize>) -> Vec<RecordProof> {
    let encoder = RecordEncoder::new(&block.rows).unwrap();
    let leaves = encoder.leaf_hashes();
    let of_block = ingest.ledger().prove_block(&block.header.shard, block.header.shard_index).unwrap();
    let prove = |position: usize| {
        let mut record = Vec::new();
        encoder.encode(position, &mut record);
        let path = prove_inclusion_in(&leaves, position as u64).unwrap();
        RecordProof { record, index: position as u64, path, header: block.header.clone(), block: of_block.clone() }
    };
    positions.map(prove).collect()
}

/// Every file below a directory, relative to it, in order.
pub fn files_below(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    let mut pending = vec![dir.to_owned()];
    while let Some(next) = pending.pop() {
        for entry in std::fs::read_dir(&next).unwrap().map(Result::unwrap) {
            match entry.file_type().unwrap().is_dir() {
                true => pending.push(entry.path()),
                false => files.push(entry.path().strip_prefix(dir).unwrap().to_owned()),
            }
        }
    }
    files.sort();
    files
}
