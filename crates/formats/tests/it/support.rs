//! Decodes bytes and shows rows as JSON.

use std::sync::{Arc, LazyLock};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Int32Type, Int64Type, TimestampNanosecondType};
use moneta_base::{SourceName, Timestamp};
use moneta_event::{ColumnType, ParsedBatch, QuarantinedRecord, TableCatalog};
use moneta_formats::{DecodeOptions, Decoded, Decoder, Format};
use serde_json::{Map, Value};

/// When everything in these tests is received.
pub const RECEIVED: &str = "2026-06-15T12:00:00Z";

/// All portions of an input together.
#[derive(Debug, Default)]
pub struct Whole {
    pub batches: Vec<ParsedBatch>,
    pub quarantined: Vec<QuarantinedRecord>,
    pub records: u64,
    pub members_skipped: u64,
    pub bytes: u64,
    pub cursor: u64,
    pub looks_like: Option<&'static str>,
}

impl Whole {
    pub fn add(&mut self, portion: Decoded) {
        self.batches.extend(portion.batches);
        self.quarantined.extend(portion.quarantined);
        self.records += portion.records;
        self.members_skipped += portion.members_skipped;
        self.bytes += portion.bytes;
        self.looks_like = portion.looks_like;
        assert!(portion.cursor >= self.cursor, "a cursor never goes back");
        self.cursor = portion.cursor;
    }

    pub fn num_rows(&self) -> usize {
        self.batches.iter().map(|batch| batch.rows.num_rows()).sum()
    }

    /// The rows as JSON objects, the originals left out.
    pub fn rows(&self) -> Vec<Map<String, Value>> {
        self.batches.iter().flat_map(|batch| rows_of(batch.table.as_str(), &batch.rows)).collect()
    }

    /// The original text of each row.
    pub fn originals(&self) -> Vec<String> {
        let columns = self.batches.iter().map(|batch| batch.rows.column_by_name("_Raw").unwrap().as_string::<i32>());
        columns.flat_map(|column| column.iter().flatten().map(str::to_owned)).collect()
    }

    /// The reason codes of the quarantined records.
    pub fn reasons(&self) -> Vec<&'static str> {
        self.quarantined.iter().map(|record| record.reason_code).collect()
    }
}

pub fn options(name: &str) -> DecodeOptions {
    static CATALOG: LazyLock<Arc<TableCatalog>> = LazyLock::new(|| Arc::new(TableCatalog::built_in()));
    let received = Timestamp::parse(RECEIVED).unwrap();
    DecodeOptions::new(CATALOG.clone(), SourceName::lossy(name), received)
}

/// Decodes an input that arrives in pieces of `piece_bytes`.
pub fn decode_pieces(format: Format, options: DecodeOptions, bytes: &[u8], piece_bytes: usize) -> Whole {
    let mut whole = Whole::default();
    let mut decoder = Decoder::new(format, options);
    for piece in bytes.chunks(piece_bytes.max(1)) {
        decoder.feed(piece, &mut |portion| whole.add(portion));
    }
    decoder.finish(&mut |portion| whole.add(portion));
    assert_eq!(whole.records as usize, whole.num_rows() + whole.quarantined.len(), "every record is accounted for");
    assert_eq!(whole.bytes as usize, bytes.len(), "every byte is counted");
    whole
}

/// Decodes an input as the format it is recognised as.
pub fn decode(name: &str, bytes: &[u8]) -> Whole {
    let head = &bytes[..bytes.len().min(moneta_formats::HEAD_BYTES)];
    let format = moneta_formats::recognise(name, head).unwrap_or_else(|| panic!("{name} is not recognised"));
    decode_pieces(format, options(name), bytes, 1 << 20)
}

fn rows_of(table: &str, batch: &RecordBatch) -> Vec<Map<String, Value>> {
    let mut rows = vec![Map::new(); batch.num_rows()];
    for row in &mut rows {
        row.insert("Type".to_owned(), table.into());
    }
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        if ["_Raw", "_Source", "_Delivery"].contains(&field.name().as_str()) {
            continue;
        }
        let column_type = ColumnType::of_field(field).unwrap();
        for (index, row) in rows.iter_mut().enumerate() {
            if let Some(value) = value(column, index, column_type) {
                row.insert(field.name().clone(), value);
            }
        }
    }
    rows
}

fn value(column: &Arc<dyn Array>, index: usize, column_type: ColumnType) -> Option<Value> {
    if column.is_null(index) {
        return None;
    }
    Some(match column.data_type() {
        DataType::Int32 => column.as_primitive::<Int32Type>().value(index).into(),
        DataType::Int64 => column.as_primitive::<Int64Type>().value(index).into(),
        DataType::Timestamp(..) => {
            Timestamp::from_nanos(column.as_primitive::<TimestampNanosecondType>().value(index)).to_string().into()
        }
        DataType::Utf8 => {
            let text = column.as_string::<i32>().value(index);
            match column_type {
                ColumnType::Dynamic => serde_json::from_str(text).unwrap(),
                _ if text.is_empty() => return None,
                _ => text.into(),
            }
        }
        _ => arrow::util::display::array_value_to_string(column, index).unwrap().into(),
    })
}
