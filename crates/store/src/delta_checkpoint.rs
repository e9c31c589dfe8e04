//! Checkpoints of a Delta log: what all commits up to one add up to, so that opening a table takes as long for a year of
//! commits as for a day.
//!
//! A checkpoint is a Parquet file beside the commits, with the same actions in its rows; `_last_checkpoint` names the
//! newest, and the one before it stays. Commits stay as far as the older of the two does not sum them up, so that everything
//! can be made again: a checkpoint that cannot be read costs time, no more. Nothing here decides when one is due or what is in it.
//!
//! # Source
//! Delta transaction log protocol, sections "Checkpoints" and "Last Checkpoint File".

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use arrow::json::{LineDelimitedWriter, ReaderBuilder};
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use serde_json::{Value, json};

/// Names the newest checkpoint.
pub(crate) const LAST_CHECKPOINT: &str = "_last_checkpoint";
/// End of a checkpoint's name.
pub(crate) const CHECKPOINT_SUFFIX: &str = ".checkpoint.parquet";
/// Bytes of a checkpoint at most when read back: half a kilobyte a segment.
pub(crate) const CHECKPOINT_BYTES_MAX: u64 = 1 << 30;
/// Bytes of `_last_checkpoint` at most.
pub(crate) const LAST_CHECKPOINT_BYTES_MAX: u64 = 64 << 10;

/// The bytes of a checkpoint with these actions.
pub(crate) fn encode(actions: &[Value]) -> Result<Vec<u8>, String> {
    let text = |error: arrow::error::ArrowError| error.to_string();
    let mut decoder =
        ReaderBuilder::new(schema()).with_batch_size(actions.len().max(1)).build_decoder().map_err(text)?;
    decoder.serialize(actions).map_err(text)?;
    let compression = Compression::ZSTD(ZstdLevel::default());
    let properties = WriterProperties::builder().set_compression(compression).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), schema(), Some(properties)).map_err(|error| error.to_string())?;
    while let Some(rows) = decoder.flush().map_err(text)? {
        writer.write(&rows).map_err(|error| error.to_string())?;
    }
    writer.into_inner().map_err(|error| error.to_string())
}

/// The actions in the bytes of a checkpoint.
pub(crate) fn decode(bytes: Vec<u8>) -> Result<Vec<Value>, String> {
    // A damaged file may trip an assertion of the reader.
    let read = std::panic::catch_unwind(|| -> Result<Vec<RecordBatch>, String> {
        let builder =
            ParquetRecordBatchReaderBuilder::try_new(Bytes::from(bytes)).map_err(|error| error.to_string())?;
        let reader = builder.build().map_err(|error| error.to_string())?;
        reader.collect::<Result<_, _>>().map_err(|error| error.to_string())
    });
    let batches = read.unwrap_or_else(|_| Err("it is damaged beyond reading".to_owned()))?;
    let mut writer = LineDelimitedWriter::new(Vec::new());
    for rows in &batches {
        writer.write(rows).map_err(|error| error.to_string())?;
    }
    writer.finish().map_err(|error| error.to_string())?;
    let lines = writer.into_inner();
    let parse = |line: &[u8]| serde_json::from_slice(line).map_err(|error| error.to_string());
    lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(parse).collect()
}

/// The content of `_last_checkpoint`.
pub(crate) fn last_checkpoint(version: u64, num_actions: usize) -> Vec<u8> {
    json!({ "version": version, "size": num_actions }).to_string().into_bytes()
}

/// The version in the content of `_last_checkpoint`.
pub(crate) fn parse_last_checkpoint(bytes: &[u8]) -> Option<u64> {
    serde_json::from_slice::<Value>(bytes).ok()?["version"].as_u64()
}

/// One column an action, each null but in the rows of its own.
fn schema() -> SchemaRef {
    let (text, long, int) = (DataType::Utf8, DataType::Int64, DataType::Int32);
    let of = |fields: &[(&str, DataType)]| {
        let fields: Fields = fields.iter().map(|(name, kind)| Field::new(*name, kind.clone(), true)).collect();
        DataType::Struct(fields)
    };
    let format = of(&[("provider", text.clone()), ("options", map())]);
    let columns = [
        ("protocol", of(&[("minReaderVersion", int.clone()), ("minWriterVersion", int)])),
        (
            "metaData",
            of(&[
                ("id", text.clone()),
                ("name", text.clone()),
                ("description", text.clone()),
                ("format", format),
                ("schemaString", text.clone()),
                ("partitionColumns", DataType::List(Arc::new(Field::new("element", text.clone(), true)))),
                ("configuration", map()),
                ("createdTime", long.clone()),
            ]),
        ),
        ("txn", of(&[("appId", text.clone()), ("version", long.clone()), ("lastUpdated", long.clone())])),
        (
            "add",
            of(&[
                ("path", text.clone()),
                ("partitionValues", map()),
                ("size", long.clone()),
                ("modificationTime", long.clone()),
                ("dataChange", DataType::Boolean),
                ("stats", text.clone()),
                ("tags", map()),
            ]),
        ),
        (
            "remove",
            of(&[
                ("path", text),
                ("deletionTimestamp", long.clone()),
                ("dataChange", DataType::Boolean),
                ("extendedFileMetadata", DataType::Boolean),
                ("partitionValues", map()),
                ("size", long),
                ("tags", map()),
            ]),
        ),
    ];
    Arc::new(Schema::new(columns.map(|(name, kind)| Field::new(name, kind, true)).to_vec()))
}

fn map() -> DataType {
    let entry = [Field::new("key", DataType::Utf8, false), Field::new("value", DataType::Utf8, true)];
    let entry = Field::new("key_value", DataType::Struct(Fields::from(entry.to_vec())), false);
    DataType::Map(Arc::new(entry), false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_come_back_as_they_went_in() {
        let actions = vec![
            json!({ "protocol": { "minReaderVersion": 1, "minWriterVersion": 2 } }),
            json!({ "txn": { "appId": "moneta", "version": 1_u64 << 53, "lastUpdated": 7 } }),
            json!({ "add": {
                "path": "2026-01-02/a.parquet", "partitionValues": {}, "size": 5, "modificationTime": 6,
                "dataChange": false, "stats": "{\"numRecords\":1}", "tags": { "moneta.first_seq": "0" },
            } }),
            json!({ "remove": {
                "path": "2026-01-01/b.parquet", "deletionTimestamp": 9, "dataChange": true, "size": 4,
                "tags": { "moneta.sha256": "00" },
            } }),
        ];
        assert_eq!(decode(encode(&actions).unwrap()).unwrap(), actions);
        assert!(decode(b"PAR1".to_vec()).is_err());
    }

    #[test]
    fn the_newest_is_named_by_its_version() {
        assert_eq!(parse_last_checkpoint(&last_checkpoint(12, 3)), Some(12));
        assert_eq!(parse_last_checkpoint(b""), None);
    }
}
