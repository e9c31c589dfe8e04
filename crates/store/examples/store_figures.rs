//! Measures sealing, stored size and scanning on this machine's disk.
//!
//! `cargo run --profile relfast -p moneta-store --example store_figures [ROWS [DIRECTORY]]`. Rows are made up: process
//! creation events of about 900 bytes of text, most values repeated, with the original as JSON.
//!
//! `store_figures FILE [DIRECTORY]` seals the events of a file of NDJSON instead, once more as a merge does when their
//! day is over, and gives the bytes of every column.

#![expect(clippy::print_stdout, reason = "its output is its purpose")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use moneta_base::{SourceName, TableName, TenantId, Timestamp};
use moneta_event::block::BlockPosition;
use moneta_event::terms::{Case, Edges, Needle, TermCondition};
use moneta_event::{
    BatchBuilder, Block, BlockHeader, Delivery, ParsedBatch, RecordClass, ShardId, TableCatalog, TableSchema, Value,
    stored,
};
use moneta_formats::{DecodeOptions, Decoder, Format};
use moneta_host::RealFs;
use moneta_merkle::Hash;
use moneta_store::{Store, TimeRange};
use parquet::file::reader::{FileReader, SerializedFileReader};

const BLOCK_ROWS: usize = 8_192;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let first = arguments.next().unwrap_or_else(|| "500000".to_owned());
    let dir = arguments.next().map_or_else(|| std::env::temp_dir().join("moneta-store-figures"), PathBuf::from);
    let _ = std::fs::remove_dir_all(&dir);
    match first.parse() {
        Ok(num_rows) => made_up(num_rows, &dir),
        Err(_) => of_file(Path::new(&first), &dir),
    }
    let _ = std::fs::remove_dir_all(&dir);
}

fn made_up(num_rows: u64, dir: &Path) {
    let catalog = TableCatalog::built_in();
    let schema = catalog.get("SecurityEvent").cloned().expect("a built-in table");
    let store = Store::open(Arc::new(RealFs), dir, catalog).expect("the directory is writable");
    let mut text_bytes = 0;
    for first in (0..num_rows).step_by(BLOCK_ROWS) {
        store.add_hot(make(&schema, first, BLOCK_ROWS as u64, &mut text_bytes)).expect("the blocks are in order");
    }
    let num_rows = num_rows.next_multiple_of(BLOCK_ROWS as u64) as f64;
    let started = Instant::now();
    let mut stored_bytes = 0;
    while let Some(segment) = store.seal(schema.name()).expect("the disk takes it") {
        stored_bytes += store.publish(segment, now()).expect("the disk takes it").meta.size_bytes;
    }
    let seconds = started.elapsed().as_secs_f64();
    println!("text bytes/row    {:>10.0}", text_bytes as f64 / num_rows);
    println!("sealed rows/s     {:>10.0}", num_rows / seconds);
    println!("stored bytes/row  {:>10.1}", stored_bytes as f64 / num_rows);
    scan(&store, &schema, &["TimeGenerated", "EventID"], num_rows);
    scan(&store, &schema, &["CommandLine"], num_rows);
    let all: Vec<&str> = schema.columns().iter().map(|column| &*column.name).collect();
    scan(&store, &schema, &all, num_rows);
    look_up(&store, &schema, num_rows);
    let started = Instant::now();
    Store::open(Arc::new(RealFs), dir, TableCatalog::built_in()).expect("what was written opens");
    println!("open              {:>10.1} ms", started.elapsed().as_secs_f64() * 1e3);
}

/// Seals the events of a file in two segments a table, and merges them as on the day after.
fn of_file(file: &Path, dir: &Path) {
    let catalog = TableCatalog::built_in();
    let store = Store::open(Arc::new(RealFs), dir, catalog.clone()).expect("the directory is writable");
    let bytes = std::fs::read(file).expect("the file can be read");
    let options = DecodeOptions::new(Arc::new(catalog), SourceName::lossy("figures"), now());
    let mut made = Made::default();
    let halves =
        bytes.split_at(bytes.len() / 2 + bytes[bytes.len() / 2..].iter().position(|b| *b == b'\n').unwrap_or(0));
    let mut seconds = 0.0;
    for half in [halves.0, halves.1] {
        let mut decoder = Decoder::new(Format::Ndjson, options.clone());
        let mut blocks = Vec::new();
        decoder.feed(half, &mut |decoded| blocks.extend(made.blocks(&store, decoded.batches)));
        decoder.finish(&mut |decoded| blocks.extend(made.blocks(&store, decoded.batches)));
        blocks.into_iter().for_each(|block| store.add_hot(block).expect("the blocks are in order"));
        let started = Instant::now();
        for table in store.hot_stats().into_keys() {
            while let Some(segment) = store.seal(&table).expect("the disk takes it") {
                store.publish(segment, now()).expect("the disk takes it");
            }
        }
        seconds += started.elapsed().as_secs_f64();
    }
    println!("sealed in {seconds:.1} s of {:.1} MB", bytes.len() as f64 / 1e6);
    let columns = column_bytes(&store, &made);
    let tomorrow = now().saturating_add(Duration::from_secs(86_400));
    let started = Instant::now();
    for table in made.headers.keys() {
        while let Some(run) = store.due_merge(table, tomorrow.day(), &|_| false) {
            store.merge(&run, &made.headers[table], tomorrow).expect("the segments are whole");
        }
    }
    println!("merged in {:.1} s", started.elapsed().as_secs_f64());
    let merged = column_bytes(&store, &made);
    println!("{:>10} {:>10}  bytes an event of its table, sealed and merged", "sealed", "merged");
    for ((table, column), bytes) in columns {
        let rows = made.headers[&table].last().map_or(0, BlockHeader::end_seq) as f64;
        let later = merged.get(&(table.clone(), column.clone())).copied().unwrap_or(0);
        println!("{:>10.3} {:>10.3}  {table} {column}", bytes as f64 / rows, later as f64 / rows);
    }
}

/// Compressed bytes of every column of every table, its term index and all of its files.
fn column_bytes(store: &Store, made: &Made) -> BTreeMap<(TableName, String), u64> {
    let mut columns = BTreeMap::new();
    for table in made.headers.keys() {
        let mut add = |name: &str, bytes: u64| *columns.entry((table.clone(), name.to_owned())).or_insert(0) += bytes;
        for segment in &store.snapshot(table).expect("the table was written").segments {
            let file = std::fs::File::open(store.file_of(&segment.path)).expect("the segment is there");
            let reader = SerializedFileReader::new(file).expect("the segment is whole");
            for group in reader.metadata().row_groups() {
                for column in group.columns() {
                    let bytes = u64::try_from(column.compressed_size()).unwrap_or(0);
                    add(column.column_path().parts()[0].as_str(), bytes);
                }
            }
            add(" all", segment.size_bytes);
            add(" footer", segment.size_bytes - segment.footer_start);
            add(" index", store.segment_columns(segment).expect("the segment opens").terms_bytes());
        }
    }
    columns
}

/// The blocks made so far, as the journal would.
#[derive(Default)]
struct Made {
    headers: BTreeMap<TableName, Vec<BlockHeader>>,
}

impl Made {
    fn blocks(&mut self, store: &Store, batches: Vec<ParsedBatch>) -> Vec<Arc<Block>> {
        let blocks = batches.into_iter().map(|batch| {
            let batch = store.fit(batch);
            let headers = self.headers.entry(batch.table.clone()).or_default();
            let position = BlockPosition {
                tenant: TenantId::from_random([7; 16]),
                shard: ShardId { table: batch.table, day: now().day() },
                shard_index: headers.len() as u64,
                first_seq: headers.last().map_or(0, BlockHeader::end_seq),
                ingest_time: now(),
                token_key: 1,
                previous: headers.last().map(BlockHeader::hash).unwrap_or_default(),
            };
            let rows = stored::canonical(&batch.rows).expect("every column has a form");
            let block = Block::new(position, rows).expect("every column has a form");
            headers.push(block.header.clone());
            Arc::new(block)
        });
        blocks.collect()
    }
}

fn scan(store: &Store, schema: &TableSchema, names: &[&str], num_rows: f64) {
    let wanted: Vec<_> = names.iter().filter_map(|name| schema.column(name)).cloned().collect();
    let snapshot = store.snapshot(schema.name()).expect("the table was written");
    let started = Instant::now();
    let mut read = 0;
    for segment in &snapshot.segments {
        for rows in store.read_segment(segment, &wanted, TimeRange::ALL).expect("the segment opens") {
            read += rows.expect("the segment is whole").num_rows();
        }
    }
    assert_eq!(read as f64, num_rows);
    println!("scan {:>3} columns {:>11.0} rows/s", wanted.len(), num_rows / started.elapsed().as_secs_f64());
}

/// What the term index takes and how long a question for rare, common and absent words takes.
fn look_up(store: &Store, schema: &TableSchema, num_rows: f64) {
    let snapshot = store.snapshot(schema.name()).expect("the table was written");
    let open = |segment| store.segment_columns(segment).expect("the segment opens");
    let segments: Vec<_> = snapshot.segments.iter().map(|segment| open(segment)).collect();
    let bytes: u64 = segments.iter().map(moneta_store::SegmentColumns::terms_bytes).sum();
    println!("index bytes/row   {:>10.1}", bytes as f64 / num_rows);
    for (what, word, edges) in [
        ("absent word", "nowhere", Edges::BOTH),
        ("rare word", "0x2f1c", Edges::BOTH),
        ("common word", "powershell.exe", Edges::BOTH),
        ("prefix", "0x2f1", Edges::START),
        ("part of a word", "owershel", Edges::NONE),
    ] {
        let needle = Needle::new(word, edges, Case::Insensitive);
        let column = if word.starts_with("0x") { "NewProcessId" } else { "CommandLine" };
        let condition = TermCondition::Has { column: column.to_owned(), needle };
        let groups =
            || segments.iter().flat_map(|segment| (0..segment.num_groups()).map(move |group| (segment, group)));
        let ask = || -> usize {
            let rows = groups().map(|(segment, group)| {
                let rows = segment.rows_with(group, &condition).expect("the segment is whole");
                rows.map_or(segment.group_rows(group), |rows| rows.count_set_bits())
            });
            rows.sum()
        };
        let rows = ask();
        let started = Instant::now();
        const ROUNDS: u32 = 20;
        (0..ROUNDS).for_each(|_| assert_eq!(ask(), rows));
        let micros = started.elapsed().as_secs_f64() * 1e6 / f64::from(ROUNDS);
        println!("{what:<16}  {micros:>10.0} us, {rows} rows left in {} row groups", groups().count());
    }
}

fn now() -> Timestamp {
    Timestamp::from_seconds(1_767_323_045)
}

fn make(schema: &Arc<TableSchema>, first: u64, num_rows: u64, text_bytes: &mut usize) -> Arc<Block> {
    let mut rows = BatchBuilder::new(Arc::clone(schema), RecordClass::Data, Delivery::AtLeastOnce);
    for row in first..first + num_rows {
        let mixed = row.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let computer = format!("HOST{:03}.example.test", mixed % 200);
        let process = ["svchost.exe", "cmd.exe", "powershell.exe", "conhost.exe", "taskhostw.exe"]
            [usize::from(mixed.to_le_bytes()[1]) % 5];
        let command =
            format!("C:\\Windows\\System32\\{process} -k {:x} -p {}", (mixed >> 16) % 4_096, (mixed >> 30) % 65_536);
        let pid = format!("0x{:x}", (mixed >> 20) % 65_536);
        let raw = format!(
            "{{\"EventID\":4688,\"Computer\":\"{computer}\",\"Channel\":\"Security\",\"EventRecordID\":{row},\
             \"NewProcessName\":\"C:\\\\Windows\\\\System32\\\\{process}\",\"NewProcessId\":\"{pid}\",\"CommandLine\":\"{}\",\
             \"ParentProcessName\":\"C:\\\\Windows\\\\System32\\\\services.exe\",\"TokenElevationType\":\"%%1936\",\
             \"MandatoryLabel\":\"S-1-16-16384\",\"SubjectUserSid\":\"S-1-5-18\"}}",
            command.replace('\\', "\\\\")
        );
        for (name, value) in [
            ("EventID", Value::Long(4688)),
            ("Computer", Value::Text(&computer)),
            ("Channel", Value::Text("Security")),
            ("NewProcessName", Value::Text(process)),
            ("NewProcessId", Value::Text(&pid)),
            ("CommandLine", Value::Text(&command)),
            ("ParentProcessName", Value::Text("C:\\Windows\\System32\\services.exe")),
            ("TokenElevationType", Value::Text("%%1936")),
            ("MandatoryLabel", Value::Text("S-1-16-16384")),
            ("SubjectUserSid", Value::Text("S-1-5-18")),
        ] {
            rows.set_field(name, value);
        }
        *text_bytes += raw.len() + computer.len() + process.len() + command.len() + pid.len() + 80;
        let nanos = now().as_nanos() + i64::try_from(row).unwrap_or(0) * 1_000_100;
        rows.finish_row(Timestamp::from_nanos(nanos), &SourceName::lossy("agent:1"), &raw);
    }
    let position = BlockPosition {
        tenant: TenantId::from_random([7; 16]),
        shard: ShardId { table: schema.name().clone(), day: now().day() },
        shard_index: first / BLOCK_ROWS as u64,
        first_seq: first,
        ingest_time: now(),
        token_key: 1,
        previous: Hash::default(),
    };
    Arc::new(Block::new(position, rows.finish().expect("there are rows").rows).expect("every column has a form"))
}
