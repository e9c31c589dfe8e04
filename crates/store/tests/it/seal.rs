//! Sealing, publishing, reading back.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, AsArray};
use arrow::buffer::BooleanBuffer;
use moneta_base::{SourceName, Timestamp};
use moneta_event::{Block, Column, ColumnType, TableSchema, Value, stored};
use moneta_store::{Bound, Error, Prune, Store, TimeRange};
use moneta_testkit::SimFs;

use crate::support::*;

/// Seals all hot rows of a table.
fn seal_all(store: &Store, name: &str) -> usize {
    let mut num_segments = 0;
    while let Some(segment) = store.seal(&table(name)).unwrap() {
        store.publish(segment, now()).unwrap();
        num_segments += 1;
    }
    num_segments
}

/// STORE-2: sealed, and opened again, rows are what they were, and each block's root is that of its header.
fn check_survives(name: &str, blocks: &[Arc<Block>]) {
    let fs = SimFs::new();
    let store = open(&fs).unwrap();
    blocks.iter().for_each(|block| store.add_hot(block.clone()).unwrap());
    let hot = all_rows(&store, &store.snapshot(&table(name)).unwrap());
    seal_all(&store, name);
    assert!(store.hot_stats().is_empty());
    for store in [store, open(&fs).unwrap()] {
        let snapshot = store.snapshot(&table(name)).unwrap();
        assert!(snapshot.hot.is_empty());
        let sealed = all_rows(&store, &snapshot);
        assert_eq!(records(&sealed), records(&hot), "STORE-2");
        assert_eq!(sealed.schema(), hot.schema());
        for name in ["_Seq", "_IngestTime", "TenantId", "Type"] {
            assert_eq!(sealed.column_by_name(name), hot.column_by_name(name), "{name}");
        }
        let expected: Vec<_> = blocks.iter().map(|block| block.header.record_root).collect();
        assert_eq!(record_roots(&sealed, blocks), expected, "BLOCK-1");
    }
}

#[test]
fn rows_of_many_blocks_survive_sealing() {
    let mut made = Blocks::default();
    let blocks: Vec<_> = [700, 1, 8_192, 3].iter().map(|rows| made.simple("Syslog", now(), *rows)).collect();
    check_survives("Syslog", &blocks);
}

#[test]
fn a_row_group_boundary_within_a_block_moves_no_row() {
    let mut made = Blocks::default();
    let blocks: Vec<_> = (0..9).map(|_| made.simple("Syslog", now(), 8_000)).collect();
    check_survives("Syslog", &blocks);
}

#[test]
fn values_of_every_type_survive_sealing_with_their_last_digit() {
    let mut made = Blocks::default();
    let own = ColumnType::ALL.map(|column_type| Column::new(column_type.name(), column_type));
    let schema = Arc::new(TableSchema::new(table("Types_CL"), own));
    let mut blocks = Vec::new();
    for times in [["2026-01-02T03:04:05.1234567Z", "1969-12-31T23:59:59.9999999Z"], ["2026-01-02", "2026-01-03"]] {
        let class = moneta_event::RecordClass::Data;
        let mut rows = moneta_event::BatchBuilder::new(schema.clone(), class, moneta_event::Delivery::ExactlyOnce);
        for (row, time) in times.iter().enumerate() {
            let time = Timestamp::parse(time).unwrap();
            rows.set_field("bool", Value::Bool(row == 0));
            rows.set_field("int", Value::Long(-7));
            rows.set_field("long", Value::Long(i64::MIN));
            rows.set_field("real", Value::Real(-0.0));
            rows.set_field("decimal", Value::Text("-123456789012345678.000000000000000001"));
            rows.set_field("string", Value::Text("Zürich\u{0}\n"));
            rows.set_field("datetime", Value::Time(time));
            rows.set_field("timespan", Value::Span(-123_456_700));
            rows.set_field("dynamic", Value::Json(r#"{"a":[1,null]}"#));
            rows.set_field("guid", Value::Text("6F1C0F3E-2A53-4D1B-9A55-0F6F2F9B7D11"));
            rows.finish_row(time, &SourceName::lossy("s"), "raw");
            // A row without any of them: nulls and empty texts.
            rows.finish_row(now(), &SourceName::lossy("s"), "");
        }
        blocks.push(made.make("Types_CL", now(), rows));
    }
    check_survives("Types_CL", &blocks);
}

#[test]
fn a_custom_table_grows_and_keeps_its_columns() {
    let fs = SimFs::new();
    let (store, mut made) = (open(&fs).unwrap(), Blocks::default());
    for (field, value) in [("a", Value::Long(1)), ("b", Value::Text("x")), ("c", Value::Real(0.5))] {
        let mut rows = builder("Mine_CL");
        rows.set_field(field, value);
        rows.finish_row(now(), &SourceName::lossy("s"), "raw");
        store.add_hot(made.make("Mine_CL", now(), rows)).unwrap();
        seal_all(&store, "Mine_CL");
    }
    for store in [store, open(&fs).unwrap()] {
        let snapshot = store.snapshot(&table("Mine_CL")).unwrap();
        assert_eq!(snapshot.segments.len(), 3);
        let types = ["a", "b", "c"].map(|name| snapshot.schema.column(name).unwrap().column_type);
        assert_eq!(types, [ColumnType::Long, ColumnType::String, ColumnType::Real]);
        assert_eq!(all_rows(&store, &snapshot).num_rows(), 3);
    }
}

#[test]
fn the_first_batch_with_a_field_decides_its_type_and_later_ones_fit() {
    let store = open(&SimFs::new()).unwrap();
    let batch = |value| {
        let mut rows = builder("Mine_CL");
        rows.set_field("n", value);
        rows.finish_row(now(), &SourceName::lossy("s"), "raw");
        rows.finish().unwrap()
    };
    store.fit(batch(Value::Long(1)));
    let second = store.fit(batch(Value::Text("one")));
    assert!(second.rows.column_by_name("n").is_none());
    assert_eq!(second.values_overflowed, 1);
    assert_eq!(store.schema(&table("Mine_CL")).unwrap().column("n").unwrap().column_type, ColumnType::Long);
}

#[test]
fn days_are_sealed_apart_and_blocks_already_here_are_left_out() {
    let fs = SimFs::new();
    let (store, mut made) = (open(&fs).unwrap(), Blocks::default());
    let tomorrow = now().saturating_add(Duration::from_secs(86_400));
    let blocks = [made.simple("Syslog", now(), 5), made.simple("Syslog", tomorrow, 5)];
    for block in blocks.iter().chain(&blocks) {
        store.add_hot(block.clone()).unwrap();
    }
    assert_eq!(store.hot_stats()[&table("Syslog")].num_blocks, 2);
    assert_eq!(seal_all(&store, "Syslog"), 2);
    blocks.iter().for_each(|block| store.add_hot(block.clone()).unwrap());
    assert_dense(&store, "Syslog", 10);
    assert_eq!(store.sealed_ends()[&table("Syslog")], 10);
    made.simple("Syslog", tomorrow, 5);
    let error = store.add_hot(made.simple("Syslog", tomorrow, 5)).unwrap_err();
    assert!(matches!(error, Error::Gap { expected: 10, found: 15, .. }), "{error}");
}

#[test]
fn a_snapshot_stays_as_it_was_while_the_table_moves_on() {
    let fs = SimFs::new();
    let (store, mut made) = (open(&fs).unwrap(), Blocks::default());
    store.add_hot(made.simple("Syslog", now(), 5)).unwrap();
    let before = store.snapshot(&table("Syslog")).unwrap();
    seal_all(&store, "Syslog");
    store.add_hot(made.simple("Syslog", now(), 5)).unwrap();
    assert_eq!(all_rows(&store, &before).num_rows(), 5);
    assert_dense(&store, "Syslog", 10);
}

#[test]
fn only_wanted_columns_and_row_groups_are_read() {
    let fs = SimFs::new();
    let (store, mut made) = (open(&fs).unwrap(), Blocks::default());
    (0..10).for_each(|_| store.add_hot(made.simple("Syslog", now(), 8_192)).unwrap());
    seal_all(&store, "Syslog");
    let segment = store.snapshot(&table("Syslog")).unwrap().segments[0].clone();
    let rows_of = |wanted: &[Column], prunes: &[Prune]| -> usize {
        let reader = store.scan_segment(&segment, wanted, prunes).unwrap();
        reader
            .map(|rows| {
                let rows = rows.unwrap();
                let names: Vec<_> = rows.schema().fields().iter().map(|field| field.name().clone()).collect();
                assert_eq!(names, wanted.iter().map(|column| column.name.to_string()).collect::<Vec<_>>());
                rows.num_rows()
            })
            .sum()
    };
    let message = Column::new("SyslogMessage", ColumnType::String);
    let absent = Column::new("HostIP", ColumnType::String);
    assert_eq!(rows_of(&[message, absent], &[]), 81_920);
    assert_eq!(rows_of(&[], &[]), 81_920, "counting needs no column");
    let prune = |column: &str, bound| Prune { column: column.to_owned(), bound };
    let last = Timestamp::from_nanos(now().as_nanos() + 70_000 * 1_000_000_100);
    let time = Column::new("TimeGenerated", ColumnType::DateTime);
    assert_eq!(rows_of(&[time], &TimeRange { from: last, to: last }.prunes()), 81_920 - 65_536);
    assert_eq!(rows_of(&[], &[prune("_Seq", Bound::LongTo(10))]), 65_536);
    assert_eq!(rows_of(&[], &[prune("_Seq", Bound::LongFrom(90_000))]), 0);
    assert_eq!(rows_of(&[], &[prune("Type", Bound::Text("Event".to_owned()))]), 0);
    assert_eq!(rows_of(&[], &[prune("HostIP", Bound::Text("10.0.0.1".to_owned()))]), 0);
    assert_eq!(rows_of(&[], &[prune("HostIP", Bound::Text(String::new()))]), 81_920);
}

#[test]
fn the_file_tells_where_its_blocks_begin() {
    let fs = SimFs::new();
    let (store, mut made) = (open(&fs).unwrap(), Blocks::default());
    [5, 7, 2].iter().for_each(|rows| store.add_hot(made.simple("Syslog", now(), *rows)).unwrap());
    seal_all(&store, "Syslog");
    let segment = store.snapshot(&table("Syslog")).unwrap().segments[0].clone();
    assert_eq!(segment.path, "Syslog/2026-01-02/00000000000000000000-00000000000000000014.parquet");
    let bytes = fs.peek(&store.file_of(&segment.path)).unwrap();
    assert_eq!(moneta_merkle::sha256(&bytes), segment.hash);
    assert_eq!(bytes.len() as u64, segment.size_bytes);
    let file =
        parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes)).unwrap();
    let pairs = file.metadata().file_metadata().key_value_metadata().unwrap();
    let value = |key: &str| pairs.iter().find(|pair| pair.key == key).unwrap().value.clone().unwrap();
    assert_eq!(value("moneta.version"), "3");
    assert_eq!(value("moneta.blocks"), "5,7,2");
    let rows: Vec<_> = file.build().unwrap().map(|rows| stored::from_parquet_form(&rows.unwrap()).unwrap()).collect();
    assert_eq!(rows.iter().map(arrow::array::RecordBatch::num_rows).sum::<usize>(), 14, "any reader can");
}

#[test]
fn originals_stand_without_what_other_columns_hold_and_are_read_whole() {
    let fs = SimFs::new();
    let (store, mut made) = (open(&fs).unwrap(), Blocks::default());
    let mut rows = builder("Syslog");
    let expected: Vec<String> = (0..500).map(|row| format!("<13>{row} host-{row} app: said {}", row * 7_919)).collect();
    for (row, raw) in expected.iter().enumerate() {
        rows.set_field("HostName", Value::Text(&format!("host-{row}")));
        rows.set_field("SyslogMessage", Value::Text(&format!("said {}", row * 7_919)));
        rows.finish_row(now(), &SourceName::lossy("test"), raw);
    }
    store.add_hot(made.make("Syslog", now(), rows)).unwrap();
    seal_all(&store, "Syslog");
    let segment = store.snapshot(&table("Syslog")).unwrap().segments[0].clone();
    let bytes = bytes::Bytes::from(fs.peek(&store.file_of(&segment.path)).unwrap());
    let file = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap().build().unwrap();
    let stored = file.map(Result::unwrap).next().unwrap();
    let texts = |array: &ArrayRef| array.as_string::<i32>().iter().flatten().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(texts(stored.column_by_name("_Raw").unwrap())[7], "<13>\u{1a}# \u{1a}! app: \u{1a}\"");

    let raw = Column::new("_Raw", ColumnType::String);
    let read = |prunes: &[Prune]| {
        let rows = store.scan_segment(&segment, std::slice::from_ref(&raw), prunes).unwrap();
        rows.flat_map(|rows| texts(rows.unwrap().column(0))).collect::<Vec<_>>()
    };
    assert_eq!(read(&[]), expected);
    assert_eq!(
        read(&[Prune { column: "_Raw".to_owned(), bound: Bound::Text(expected[9].clone()) }]),
        expected,
        "shortened texts prune nothing"
    );
    let columns = store.segment_columns(&segment).unwrap();
    assert_eq!(texts(&columns.read(0, &raw, None).unwrap()), expected);
    let wanted: BooleanBuffer = (0..500).map(|row| row % 100 == 3).collect();
    let some: Vec<String> = expected.iter().skip(3).step_by(100).cloned().collect();
    assert_eq!(texts(&columns.read(0, &raw, Some(&wanted)).unwrap()), some);
}

#[test]
fn a_catalog_of_ten_thousand_commits_opens() {
    let fs = SimFs::new();
    let (store, mut made) = (open(&fs).unwrap(), Blocks::default());
    store.add_hot(made.simple("Syslog", now(), 5)).unwrap();
    seal_all(&store, "Syslog");
    let log = std::path::Path::new(DIR).join("Syslog/_delta_log");
    let first = String::from_utf8(fs.peek(&log.join(format!("{:020}.json", 0))).unwrap()).unwrap();
    let add = first.lines().find(|line| line.starts_with("{\"add\"")).unwrap();
    for version in 1..10_000u64 {
        let (first, end) = (version * 5, version * 5 + 5);
        let commit = add
            .replace(&format!("{:020}-{:020}", 0, 5), &format!("{first:020}-{end:020}"))
            .replace("\"moneta.first_seq\":\"0\"", &format!("\"moneta.first_seq\":\"{first}\""))
            .replace("\"moneta.end_seq\":\"5\"", &format!("\"moneta.end_seq\":\"{end}\""));
        fs.overwrite(&log.join(format!("{version:020}.json")), commit.as_bytes());
    }
    let store = open(&fs).unwrap();
    assert_eq!(store.sealed_ends()[&table("Syslog")], 50_000);
    assert_eq!(store.snapshot(&table("Syslog")).unwrap().segments.len(), 10_000);
}
