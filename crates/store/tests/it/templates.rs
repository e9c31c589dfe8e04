//! Texts that are kept without what other columns hold come back as they were, whatever they hold.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch};
use arrow::buffer::BooleanBuffer;
use arrow::compute::cast;
use arrow::datatypes::DataType;
use moneta_base::SourceName;
use moneta_event::{Block, Column, ColumnType, Value};
use moneta_store::{Store, TimeRange};
use moneta_testkit::SimFs;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use proptest::prelude::*;

use crate::support::*;

const TABLE: &str = "Events_CL";

/// A store with the blocks sealed into one segment.
fn sealed(blocks: &[Arc<Block>]) -> (SimFs, Store) {
    let fs = SimFs::new();
    let store = open(&fs).unwrap();
    blocks.iter().for_each(|block| store.add_hot(block.clone()).unwrap());
    store.publish(store.seal(&table(TABLE)).unwrap().unwrap(), now()).unwrap();
    (fs, store)
}

/// The rows as they stand in the file.
fn stored_rows(fs: &SimFs, store: &Store) -> RecordBatch {
    let segment = store.snapshot(&table(TABLE)).unwrap().segments[0].clone();
    let bytes = bytes::Bytes::from(fs.peek(&store.file_of(&segment.path)).unwrap());
    ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap().build().unwrap().map(Result::unwrap).next().unwrap()
}

fn texts(array: &ArrayRef) -> Vec<Option<String>> {
    let array = cast(array, &DataType::Utf8).unwrap();
    array.as_string::<i32>().iter().map(|text| text.map(str::to_owned)).collect()
}

/// Process creations as Windows tells of them: fields, some without a column of their own, a message that names them, and
/// an original that holds all of it.
fn process_creations(num_rows: u64) -> Arc<Block> {
    let mut rows = builder(TABLE);
    for row in 0..num_rows {
        let mixed = row.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let image = format!(r"C:\Windows\System32\tool-{:x}.exe", mixed >> 40);
        let command = format!("\"{image}\" -k {:x}", mixed >> 20);
        let json = |text: &str| serde_json::to_string(text).unwrap();
        let data = format!(r#"{{"Hash":"{mixed:016x}","Command":{}}}"#, json(&command));
        let record = 100_000 + row;
        let message = format!(
            "Process created:\r\nImage: {image}\r\nCommand: {command}\r\nHash: {mixed:016x}\r\nRecord: {record}"
        );
        rows.set_field("Image", Value::Text(&image));
        rows.set_field("Record", Value::Long(i64::try_from(record).unwrap()));
        rows.set_field("Data", Value::Json(&data));
        rows.set_field("Message", Value::Text(&message));
        rows.set_field("Description", Value::Text(&message));
        let raw =
            format!(r#"{{"Record":{record},"Image":{},"Data":{data},"Message":{}}}"#, json(&image), json(&message));
        rows.finish_row(now(), &SourceName::lossy("s"), &raw);
    }
    Blocks::default().make(TABLE, now(), rows)
}

#[test]
fn messages_data_sections_and_originals_are_one_template_for_each_kind_of_event() {
    let block = process_creations(400);
    let (fs, store) = sealed(std::slice::from_ref(&block));
    let stored = stored_rows(&fs, &store);
    for name in ["Data", "Message", "Description", "_Raw"] {
        let column = texts(stored.column_by_name(name).unwrap());
        let mut kinds: Vec<_> = column.iter().flatten().collect();
        kinds.sort_unstable();
        kinds.dedup();
        assert_eq!(kinds.len(), 1, "{name}: {kinds:?}");
    }
    let snapshot = store.snapshot(&table(TABLE)).unwrap();
    let segment = &snapshot.segments[0];
    let columns = store.segment_columns(segment).unwrap();
    let wanted: BooleanBuffer = (0..400).map(|row| row % 100 == 3).collect();
    for (name, column_type) in
        [("Data", ColumnType::Dynamic), ("Message", ColumnType::String), ("_Raw", ColumnType::String)]
    {
        let expected = texts(block.rows.column_by_name(name).unwrap());
        let column = Column::new(name, column_type);
        assert_eq!(texts(&columns.read(0, &column, None).unwrap()), expected, "{name} alone");
        let some: Vec<_> = expected.iter().skip(3).step_by(100).cloned().collect();
        assert_eq!(texts(&columns.read(0, &column, Some(&wanted)).unwrap()), some, "some of {name}");
        let rows = store.read_segment(segment, &[column], TimeRange::ALL).unwrap();
        let read: Vec<_> = rows.flat_map(|rows| texts(rows.unwrap().column(0))).collect();
        assert_eq!(read, expected, "rows with {name} alone");
    }
    let hashes = texts(&columns.read_path(0, "Data", "/Hash", None).unwrap());
    assert_eq!(hashes[1].as_deref(), Some("\"9e3779b97f4a7c15\""));
}

/// Texts of hostile parts: marks, quotes, backslashes, JSON, many bytes for one character.
fn hostile() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        "[a-c]{1,12}",
        "[0-9]{1,6}",
        Just("\u{1a}".to_owned()),
        Just("\u{1a}!".to_owned()),
        Just("\u{1a}\u{1a}A".to_owned()),
        Just("\"".to_owned()),
        Just("\\".to_owned()),
        Just("\\u001a".to_owned()),
        Just("{\"a\":\"".to_owned()),
        Just("é\u{10ffff}\u{80}".to_owned()),
        Just(": ".to_owned()),
        Just("\u{0}\n".to_owned()),
    ];
    prop::collection::vec(part, 0..6).prop_map(|parts| parts.concat())
}

/// One row: two texts, a number, what a `dynamic` column holds, and in which order the message and the original repeat them.
#[derive(Debug, Clone)]
struct HostileRow {
    texts: [Option<String>; 2],
    number: Option<i64>,
    members: [Option<String>; 2],
    between: String,
    order: [usize; 4],
}

fn hostile_row() -> impl Strategy<Value = HostileRow> {
    let text = || prop::option::of(hostile());
    let order = [0..5usize, 0..5usize, 0..5usize, 0..5usize];
    ([text(), text()], prop::option::of(any::<i64>()), [text(), text()], hostile(), order)
        .prop_map(|(texts, number, members, between, order)| HostileRow { texts, number, members, between, order })
}

fn hostile_block(made: &mut Blocks, hostile: &[HostileRow], repeats: usize) -> Arc<Block> {
    let mut rows = builder(TABLE);
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    for row in hostile.iter().cycle().take(hostile.len() * repeats) {
        let mut data = serde_json::Map::new();
        for (name, member) in ["m", "n"].iter().zip(&row.members) {
            data.extend(member.clone().map(|member| ((*name).to_owned(), member.into())));
        }
        let data = serde_json::Value::from(data).to_string();
        let number = row.number.map(|number| number.to_string());
        let parts = [text(&row.texts[0]), text(&row.texts[1]), text(&number), data.clone(), text(&row.members[0])];
        let message: String = row.order.iter().map(|part| format!("{}{}", parts[*part], row.between)).collect();
        let fields = ["A", "B"].iter().zip(&row.texts);
        fields.for_each(|(name, text)| text.iter().for_each(|text| rows.set_field(name, Value::Text(text))));
        row.number.iter().for_each(|number| rows.set_field("Number", Value::Long(*number)));
        rows.set_field("Data", Value::Json(&data));
        rows.set_field("Message", Value::Text(&message));
        let raw = serde_json::json!({ "A": row.texts[0], "Number": row.number, "Data": data, "Message": message });
        rows.finish_row(now(), &SourceName::lossy("s"), &raw.to_string());
    }
    made.make(TABLE, now(), rows)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn hostile_texts_survive_sealing(first in prop::collection::vec(hostile_row(), 1..24), second in hostile_row()) {
        let mut made = Blocks::default();
        let blocks = [hostile_block(&mut made, &first, 3), hostile_block(&mut made, &[second], 1)];
        let (_, store) = sealed(&blocks);
        let rows = all_rows(&store, &store.snapshot(&table(TABLE)).unwrap());
        let expected: Vec<_> = blocks.iter().map(|block| block.header.record_root).collect();
        prop_assert_eq!(record_roots(&rows, &blocks), expected, "BLOCK-1");
    }
}
