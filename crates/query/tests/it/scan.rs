//! The same rows in memory, in segments, and in segments whose columns are in the cache give the same answers.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use moneta_base::{SourceName, TableName, TenantId, Timestamp};
use moneta_event::block::BlockPosition;
use moneta_event::{BatchBuilder, Block, Delivery, RecordClass, ShardId, TableCatalog, TableSchema, Value, stored};
use moneta_merkle::Hash;
use moneta_ports::{
    AuditEvent, AuditSink, BoxFuture, Metrics, OpContext, PortError, QueryAnswer, QueryEngine, QueryRequest,
};
use moneta_query::{Engine, Limits, Outside, StoreTables};
use moneta_store::Store;
use moneta_testkit::{FixedClock, SimFs};

const TABLE: &str = "Logs_CL";
/// Enough for two partitions.
const BLOCKS: usize = 9;
const BLOCK_ROWS: usize = 8_000;

pub struct NoAudit;

impl AuditSink for NoAudit {
    fn record<'a>(&'a self, _: &'a OpContext, _: AuditEvent) -> BoxFuture<'a, Result<(), PortError>> {
        Box::pin(async { Ok(()) })
    }

    fn record_change<'a>(&'a self, _: &'a OpContext, _: AuditEvent) -> BoxFuture<'a, Result<(), PortError>> {
        Box::pin(async { Ok(()) })
    }
}

pub fn start() -> Timestamp {
    Timestamp::parse("2026-01-02T03:04:05.1234567Z").unwrap()
}

/// Rows of few levels, many requests, texts that are all different, one that says the others again, and JSON of two shapes.
fn block(index: usize, first_seq: u64, previous: Hash) -> Block {
    let name = TableName::new(TABLE).unwrap();
    let schema = Arc::new(TableSchema::custom(name.clone()));
    let mut rows = BatchBuilder::new(schema, RecordClass::Data, Delivery::AtLeastOnce);
    for row in first_seq..first_seq + BLOCK_ROWS as u64 {
        let mixed = row.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let level = ["info", "Error", "warning", ""][usize::try_from(mixed >> 62).unwrap()];
        let message = format!("part {mixed:x} took duration={} ms", row % 977);
        rows.set_field("Level", Value::Text(level));
        rows.set_field("Request", Value::Text(&format!("r{}", row / 5)));
        rows.set_field("Message", Value::Text(&message));
        rows.set_field("Note", Value::Text(&format!("{level}: {message} for request r{}", row / 5)));
        if row % 3 != 0 {
            rows.set_field("Size", Value::Long(i64::try_from(row % 1_000).unwrap()));
        }
        let json = match row % 4 {
            0 => format!(r#"{{"kind":"k{}","deep":{{"zone":"z{}"}},"size":"{}"}}"#, row % 3, row % 5, row % 100),
            1 => format!(r#"{{"kind":{},"list":[1,{}]}}"#, row % 3, row % 7),
            2 => r#"{"kind":null,"deep":7}"#.to_owned(),
            _ => "[1]".to_owned(),
        };
        rows.set_field("Extra", Value::Json(&json));
        let time = Timestamp::from_nanos(start().as_nanos() + i64::try_from(row).unwrap() * 1_000_000_100);
        rows.finish_row(time, &SourceName::lossy("test"), "");
    }
    let position = BlockPosition {
        tenant: TenantId::from_random([7; 16]),
        shard: ShardId { table: name, day: start().day() },
        shard_index: index as u64,
        first_seq,
        ingest_time: start(),
        token_key: 1,
        previous,
    };
    Block::new(position, stored::canonical(&rows.finish().unwrap().rows).unwrap()).unwrap()
}

pub fn store(blocks: usize) -> Arc<Store> {
    let store = open(&SimFs::new());
    add(&store, 0..blocks);
    store
}

fn open(fs: &SimFs) -> Arc<Store> {
    Arc::new(Store::open(Arc::new(fs.clone()), Path::new("/data/store"), TableCatalog::built_in()).unwrap())
}

/// Adds blocks behind those before them.
pub fn add(store: &Store, blocks: Range<usize>) {
    let (mut first_seq, mut previous) = (0, Hash::default());
    for index in 0..blocks.end {
        let block = block(index, first_seq, previous);
        (first_seq, previous) = (block.header.end_seq(), block.header.hash());
        if blocks.contains(&index) {
            store.add_hot(Arc::new(block)).unwrap();
        }
    }
}

/// Makes a segment of all that is in memory.
pub fn seal(store: &Store) {
    while let Some(segment) = store.seal(&TableName::new(TABLE).unwrap()).unwrap() {
        store.publish(segment, start()).unwrap();
    }
}

pub fn engine(store: &Arc<Store>, cache_bytes: usize) -> Engine {
    let tables = Arc::new(StoreTables::new(store.clone(), cache_bytes));
    let clock = Arc::new(FixedClock::new(start()));
    Engine::new(tables, None, Outside::default(), Arc::new(NoAudit), clock, Arc::new(Metrics::new()), Limits::default())
        .unwrap()
}

pub fn ask(engine: &Engine, text: &str) -> QueryAnswer {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let request = QueryRequest { takes_partial: true, ..QueryRequest::new(text) };
    let answer = runtime.block_on(engine.query(&OpContext::service("test"), request));
    answer.unwrap_or_else(|error| panic!("{text}: {error:?}"))
}

/// The rows as texts, sorted.
pub fn rows(answer: &QueryAnswer) -> Vec<String> {
    let of_batch = |batch: &RecordBatch| {
        let options = FormatOptions::default().with_null("null");
        let columns: Vec<_> =
            batch.columns().iter().map(|array| ArrayFormatter::try_new(array, &options).unwrap()).collect();
        (0..batch.num_rows())
            .map(|row| columns.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>().join("|"))
            .collect::<Vec<_>>()
    };
    let mut rows: Vec<_> = answer.tables[0].batches.iter().flat_map(of_batch).collect();
    rows.sort();
    rows
}

const QUERIES: &[&str] = &[
    "Logs_CL | count",
    "Logs_CL | summarize count() by Level",
    "Logs_CL | summarize count(), max(Size), sum(Size), avg(Size) by Level, kind = tostring(Extra.kind)",
    "Logs_CL | where Level == 'Error' | summarize count() by bin(TimeGenerated, 1h)",
    "Logs_CL | where Level == 'Error' and Message has 'duration' | count",
    "Logs_CL | where Level =~ 'ERROR' or Size == 5 | count",
    "Logs_CL | where Message contains 'DURATION=97' | summarize n = count() by Request | top 7 by n desc, Request asc",
    "Logs_CL | where Request == 'r4711'",
    "Logs_CL | where Request in ('r1', 'r9999', 'none') | project TimeGenerated, Request, Extra, Size",
    "Logs_CL | where Size > 990 and isnotempty(Extra.deep.zone) | summarize count() by zone = tostring(Extra.deep.zone)",
    "Logs_CL | where Extra.kind == 'k1' | summarize sum(tolong(Extra.size)) by Level",
    "Logs_CL | summarize count() by tostring(Extra.missing), isnull(Extra.kind), tostring(Extra.list[1])",
    "Logs_CL | extend d = extract('duration=([0-9]+)', 1, Message, typeof(long)) | summarize max(d), sum(d) by Level",
    "Logs_CL | summarize dcount(Request), count_distinct(Level), countif(Level == '')",
    "Logs_CL | summarize count_distinct(Request) by Level",
    "Logs_CL | summarize count(), count_distinct(Request), count_distinctif(tostring(Extra.kind), Size > 500) by Level",
    "Logs_CL | where Size == 3 | summarize count(), count_distinct(Level) by Request",
    "Logs_CL | where Level == 'nothing' | summarize count(), sum(Size), min(Level)",
    "Logs_CL | where Level == 'nothing' | summarize count() by Level",
    "Logs_CL | summarize arg_max(TimeGenerated, Message, Extra.kind) by Level",
    "Logs_CL | where Level == 'Error' | top 5 by TimeGenerated | project TimeGenerated, _Seq, Request, Type",
    "Logs_CL | top 9 by TimeGenerated desc, Request asc | project _Seq, Message",
    "Logs_CL | where Level == 'Error' | top 9 by _Seq asc | project _Seq, Message",
    "Logs_CL | where Size > 5 | top 3 by TimeGenerated | summarize max(_Seq), count()",
    "Logs_CL | summarize min(tostring(Extra.kind)), max(tostring(Extra.kind)), count() by tostring(Extra.deep.zone)",
    "Logs_CL | where Request in ((Logs_CL | where Size == 7 | distinct Request)) | summarize count() by Level",
    "Logs_CL | distinct Level, tostring(Extra.kind)",
    "Logs_CL | where Level == 'Error' | distinct Request | join kind=inner (Logs_CL | where Size == 7 | project Request, Size) on Request | count",
    "Logs_CL | where TimeGenerated between (datetime(2026-01-02 04:00) .. 1m) | summarize count() by Level, Size",
    "Logs_CL | where not(Level has 'error') | summarize count() by strcat(Level, '-', tostring(Size % 3))",
    "Logs_CL | summarize s = make_set(Level), min(Message), take_any(Type) | extend s = array_sort_asc(s)",
    "Logs_CL | where Message has 'duration' and Request has 'R4711' | project _Seq, Message",
    "Logs_CL | where Message has '9e3779b97f4a7c15' or Request == 'r17'",
    "Logs_CL | where Message hasprefix '9E37' | count",
    "Logs_CL | where Note contains 'ration=9' or Request endswith '17' or Extra contains 'null' | count",
    "Logs_CL | where Level == 'Error' | where strlen(Note) % 7 == 3 | summarize count(), min(Note)",
    "Logs_CL | where Note endswith '7' | summarize count() by Level",
    "Logs_CL | where Message contains 'E3779B' | project Message, Level",
    "Logs_CL | where Message startswith 'part 9e37' | count",
    "Logs_CL | where Message endswith 'tion=976 ms' | count",
    "Logs_CL | where Message matches regex 'part 9e37[0-9a-f]+ took' | count",
    "Logs_CL | where Request has_any ('r100', 'r2000', 'none') | summarize count() by Request",
    "Logs_CL | where Message has_all ('took', 'duration') | count",
    "Logs_CL | where Request in~ ('R77', 'R78') | count",
    "Logs_CL | where Message has 'Duration' | count",
    "Logs_CL | where Request has 'R4711' | count",
    "Logs_CL | where Request has 'nowhere' | count",
    "Logs_CL | where Extra has 'zone' | summarize n = count()",
    "Logs_CL | where Extra has 'K1' | summarize count(), countif(1 == 1)",
    "Logs_CL | where Message has 'duration' | summarize count(), countif(Size > 5)",
    "Logs_CL | where Message has 'duration' and Size > 5 | count",
    "Logs_CL | where * has 'r4711' | project _Seq, Request",
    "Logs_CL | where * has '977' | count",
    "Logs_CL | where Extra has 'zone' and tostring(Extra.deep.zone) has 'z3' | count",
    "Logs_CL | where tostring(Extra.deep.zone) == 'z3' and tostring(Extra.size) endswith '1' | count",
    "Logs_CL | where Extra.deep.zone has 'nowhere' | count",
    "Logs_CL | parse Message with 'part ' part ' took duration=' ms:long ' ms' | summarize sum(ms), count() by Level",
];

#[test]
fn segments_and_memory_give_the_same_answers_in_one_partition() {
    check_same_answers(1);
}

#[test]
fn segments_and_memory_give_the_same_answers_in_two_partitions() {
    check_same_answers(BLOCKS);
}

fn check_same_answers(blocks: usize) {
    let store = store(blocks);
    let hot = engine(&store, 0);
    let expected: Vec<_> = QUERIES.iter().map(|query| rows(&ask(&hot, query))).collect();
    assert_eq!(expected[0], [(blocks * BLOCK_ROWS).to_string()]);
    seal(&store);
    let snapshot = store.snapshot(&TableName::new(TABLE).unwrap()).unwrap();
    let is_made = |segment: &Arc<_>| store.segment_columns(segment).unwrap().is_made("Note");
    assert!(snapshot.segments.iter().all(is_made), "the queries below look at texts made from templates too");
    for cache_bytes in [0, 1 << 30] {
        let sealed = engine(&store, cache_bytes);
        for (query, expected) in QUERIES.iter().zip(&expected) {
            for time in ["first", "second"] {
                assert_eq!(&rows(&ask(&sealed, query)), expected, "{query}, {time} time, cache of {cache_bytes}");
            }
        }
    }
}

#[test]
fn scans_take_filters_paths_and_aggregation() {
    for blocks in [1, BLOCKS] {
        check_plan(blocks);
    }
}

fn check_plan(blocks: usize) {
    let store = store(blocks);
    seal(&store);
    let engine = engine(&store, 1 << 20);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let query = "Logs_CL | where Level == 'Error' | summarize count() by tostring(Extra.kind)";
    let stages = runtime.block_on(engine.explain(&OpContext::service("test"), QueryRequest::new(query))).unwrap();
    let physical = &stages.iter().find(|(name, _)| name == "physical plan").unwrap().1;
    for part in ["GroupedScanExec", "filters=[Level", "paths=[Extra#/kind]"] {
        assert!(physical.contains(part), "{part} in {physical}");
    }
    assert!(!physical.contains("FilterExec"), "{physical}");
}

#[test]
fn take_reads_no_more_than_it_needs() {
    let engine = engine(&store(BLOCKS), 0);
    let answer = ask(&engine, "Logs_CL | where Level == 'Error' | take 3");
    assert_eq!(answer.tables[0].num_rows(), 3);
    assert!(answer.completeness.rows_scanned < (BLOCKS * BLOCK_ROWS) as u64, "{:?}", answer.completeness);
}

#[test]
fn the_bytes_of_the_columns_read_are_counted() {
    let hot = store(BLOCKS);
    let engine_of_hot = engine(&hot, 0);
    let bytes = |engine: &Engine, query: &str| ask(engine, query).completeness.bytes_read;
    let (one, two) = ("Logs_CL | summarize max(Size)", "Logs_CL | summarize max(Size), max(strlen(Message))");
    let size = (BLOCKS * BLOCK_ROWS * size_of::<i64>()) as u64;
    assert!((size..2 * size).contains(&bytes(&engine_of_hot, one)), "{}", bytes(&engine_of_hot, one));
    assert!(bytes(&engine_of_hot, two) > 2 * size);
    let sealed = store(BLOCKS);
    seal(&sealed);
    let without_cache = engine(&sealed, 0);
    let of_one = bytes(&without_cache, one);
    assert!(of_one > 0 && of_one < bytes(&without_cache, two));
    assert_eq!(bytes(&without_cache, "Logs_CL | count"), 0);
    // What is in memory from before is not read again.
    let with_cache = engine(&sealed, 1 << 26);
    assert_eq!(bytes(&with_cache, one), of_one);
    assert_eq!(bytes(&with_cache, one), 0);
}

#[test]
fn the_size_of_an_answer_is_that_of_its_rows() {
    let store = store(BLOCKS);
    seal(&store);
    let engine = engine(&store, 1 << 26);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let asked = |bytes| {
        let request = QueryRequest { truncation_bytes: Some(bytes), ..QueryRequest::new("Logs_CL | project Message") };
        runtime.block_on(engine.query(&OpContext::service("test"), request)).unwrap()
    };
    // Some 45 bytes a row, in batches that are slices of what a row group has.
    let whole = asked(8 << 20);
    assert_eq!((rows(&whole).len(), whole.truncated.is_none()), (BLOCKS * BLOCK_ROWS, true));
    assert!(asked(1 << 20).truncated.is_some());
}

#[test]
fn a_word_is_counted_without_reading_a_row() {
    let store = store(BLOCKS);
    seal(&store);
    let engine = engine(&store, 0);
    let answer = ask(&engine, "Logs_CL | where Message has 'DURATION' | count");
    assert_eq!(rows(&answer), [(BLOCKS * BLOCK_ROWS).to_string()]);
    assert_eq!(answer.completeness.rows_scanned, 0);
    let answer = ask(&engine, "Logs_CL | where Message has 'duration' and Size > 5 | count");
    assert!(answer.completeness.rows_scanned > 0);
}

#[test]
fn a_segment_that_cannot_be_read_is_left_out_whole_and_named() {
    // Nothing is damaged; the footer, found before a row is read; a column, found after rows of others were.
    for (damaged, blocks_left) in [(None, 5), (Some(999), 3), (Some(150), 3)] {
        let fs = SimFs::new();
        let store = open(&fs);
        for blocks in [0..2, 2..4] {
            add(&store, blocks);
            seal(&store);
        }
        add(&store, 4..5);
        let segment = store.snapshot(&TableName::new(TABLE).unwrap()).unwrap().segments[0].clone();
        let path = store.file_of(&segment.path);
        let mut bytes = fs.peek(&path).unwrap();
        if let Some(thousandths) = damaged {
            let place = bytes.len() * thousandths / 1_000;
            bytes[place] ^= 1;
        }
        fs.overwrite(&path, &bytes);
        let query = "Logs_CL | summarize count(), dcount(Message), sum(Size), max(Request), max(Note)";
        let answer = ask(&engine(&store, 0), query);
        let count = (blocks_left * BLOCK_ROWS).to_string();
        assert_eq!(rows(&answer)[0].split('|').next(), Some(count.as_str()));
        let not_read = answer.completeness.not_read;
        assert_eq!(not_read.len(), usize::from(blocks_left < 5), "{not_read:?}");
        assert!(not_read.iter().all(|named| named.contains(&segment.path)), "{not_read:?}");
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let whole = runtime.block_on(engine(&store, 0).query(&OpContext::service("test"), QueryRequest::new(query)));
        assert_eq!(whole.is_ok(), blocks_left == 5, "who does not take a part of the answer gets none");
    }
}

#[test]
fn rows_of_segments_within_the_times_are_counted_without_reading_them() {
    let store = store(BLOCKS);
    seal(&store);
    let engine = engine(&store, 0);
    let all = (BLOCKS * BLOCK_ROWS).to_string();
    let since = "Logs_CL | where TimeGenerated > datetime(1990-01-01)";
    for rest in
        ["| count", "| where Message has 'duration' | count", "and TimeGenerated <= datetime(2100-01-01) | count"]
    {
        let answer = ask(&engine, &format!("{since} {rest}"));
        assert_eq!((rows(&answer), answer.completeness.rows_scanned), (vec![all.clone()], 0), "{rest}");
    }
    // A bound within the rows has them read, and none is counted that it cuts off.
    let first = rows(&ask(&engine, "Logs_CL | summarize min(TimeGenerated)"))[0].clone();
    let answer = ask(&engine, &format!("Logs_CL | where TimeGenerated > datetime({first}) | count"));
    let later = rows(&ask(&engine, &format!("Logs_CL | summarize countif(TimeGenerated > datetime({first}))")));
    assert_eq!(rows(&answer), later);
    assert!(answer.completeness.rows_scanned > 0);
}

#[test]
fn an_answer_says_what_it_did_not_read_and_why() {
    let store = store(BLOCKS);
    seal(&store);
    let engine = engine(&store, 0);
    let skipped = |query: &str| {
        let answer = ask(&engine, query);
        answer.completeness.skipped().map(|(what, count, _)| (what, count)).collect::<Vec<_>>()
    };
    assert_eq!(
        skipped("Logs_CL | where TimeGenerated > datetime(2100-01-01) | summarize max(Size)"),
        [("segments", 1)]
    );
    assert_eq!(skipped("Logs_CL | where Size > 5000 | summarize max(Size)"), [("row groups", 2)]);
    assert_eq!(skipped("Logs_CL | where Message has 'nowhere' | summarize max(Size)"), [("row groups", 2)]);
    assert_eq!(skipped("Logs_CL | where Message has 'duration' | count"), [("row groups", 2)]);
    assert_eq!(skipped("Logs_CL | summarize max(Size)"), []);
}
