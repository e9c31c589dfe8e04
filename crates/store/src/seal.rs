//! Writes the rows of hot blocks as a Parquet file.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use arrow::array::{ArrayRef, Int8Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use moneta_base::fs::{FileSystem, write_atomically};
use moneta_event::stored::TICKS_SUFFIX;
use moneta_event::{Block, ShardId, stored};
use moneta_merkle::{Hash, hash, leaf_hash, sha256};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};

use crate::Error;
use crate::segment::{BLOCKS_ROOT_KEY, SHARD_KEY, Segment, SegmentMeta, VERSION, VERSION_KEY, file_path};

/// Rows of one segment at most: files stay below some hundred megabytes.
const SEGMENT_ROWS_MAX: u64 = 1 << 20;
/// Rows of one row group: the unit that a time filter skips and a reader holds in memory.
const ROW_GROUP_ROWS: usize = 1 << 16;
/// zstd level: 3 writes nearly as fast as 1 and is a fifth smaller on event logs.
const ZSTD_LEVEL: i32 = 3;

/// The first blocks of `hot` that share a day, up to the size of a segment.
pub(crate) fn oldest_day(hot: &[Arc<Block>]) -> &[Arc<Block>] {
    let Some(first) = hot.first() else { return hot };
    let mut rows = 0;
    let fits = |block: &&Arc<Block>| {
        rows += u64::from(block.header.num_rows);
        block.header.shard.day == first.header.shard.day && rows <= SEGMENT_ROWS_MAX
    };
    let count = hot.iter().take_while(fits).count();
    &hot[..count.max(1)]
}

/// Writes a durable segment file of blocks of one shard.
pub(crate) fn write_segment(fs: &dyn FileSystem, dir: &Path, blocks: &[Arc<Block>]) -> Result<Segment, Error> {
    let (first, last) = (&blocks[0].header, &blocks[blocks.len() - 1].header);
    let shard = &first.shard;
    let leaves: Vec<Hash> = blocks.iter().map(|block| leaf_hash(&block.header.encode())).collect();
    let blocks_root = hash::root_of(&leaves);
    let bytes = encode(shard, blocks, blocks_root)?;
    let path = file_path(shard, first.first_seq, last.end_seq());
    store_file(fs, dir, &path, &bytes)?;
    let meta = SegmentMeta {
        shard: shard.clone(),
        path,
        size_bytes: bytes.len() as u64,
        hash: sha256(&bytes),
        blocks_root,
        first_seq: first.first_seq,
        end_seq: last.end_seq(),
        event_time_min: blocks.iter().map(|block| block.header.event_time_min).min().unwrap_or_default(),
        event_time_max: blocks.iter().map(|block| block.header.event_time_max).max().unwrap_or_default(),
        footer: Arc::new(OnceLock::new()),
    };
    Ok(Segment { meta })
}

fn store_file(fs: &dyn FileSystem, dir: &Path, path: &str, bytes: &[u8]) -> Result<(), Error> {
    let file = dir.join(path);
    let day_dir = file.parent().unwrap_or(dir);
    let table_dir = day_dir.parent().unwrap_or(dir);
    fs.create_dir_all(day_dir).map_err(|source| Error::io("create", day_dir, source))?;
    write_atomically(fs, &file, bytes).map_err(|source| Error::io("write", &file, source))?;
    for dir in [table_dir, dir] {
        fs.sync_dir(dir).map_err(|source| Error::io("sync", dir, source))?;
    }
    Ok(())
}

fn encode(shard: &ShardId, blocks: &[Arc<Block>], blocks_root: Hash) -> Result<Vec<u8>, Error> {
    let failed = |reason: String| Error::Encode { shard: shard.clone(), reason };
    let rows =
        blocks.iter().map(|block| stored::with_implied_columns(&block.header, 0, &block.rows)).collect::<Vec<_>>();
    let columns =
        stored::union_columns(&rows).ok_or_else(|| failed("its blocks disagree on a column's type".to_owned()))?;
    let forms = rows.iter().map(|rows| stored::align(rows, &columns).and_then(|rows| stored::to_parquet_form(&rows)));
    let forms = forms.collect::<Result<Vec<_>, _>>().map_err(|error| failed(error.to_string()))?;
    let schema = common_schema(&forms);
    let mut bytes = Vec::new();
    let mut write = || -> parquet::errors::Result<()> {
        let mut writer = ArrowWriter::try_new(&mut bytes, schema.clone(), Some(properties(shard, blocks_root)))?;
        for form in &forms {
            writer.write(&with_ticks(form, &schema))?;
        }
        writer.close().map(drop)
    };
    write().map_err(|error| failed(error.to_string()))?;
    Ok(bytes)
}

fn properties(shard: &ShardId, blocks_root: Hash) -> WriterProperties {
    let pair = |key: &str, value: String| KeyValue::new(key.to_owned(), value);
    let metadata = vec![
        pair(VERSION_KEY, VERSION.to_owned()),
        pair(SHARD_KEY, shard.to_string()),
        pair(BLOCKS_ROOT_KEY, blocks_root.to_base64()),
    ];
    WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL).expect("a level that zstd has")))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_created_by("moneta".to_owned())
        .set_key_value_metadata(Some(metadata))
        .build()
}

/// The columns of all forms: some blocks have a companion column for digits below a microsecond, some have not.
fn common_schema(forms: &[RecordBatch]) -> SchemaRef {
    let mut fields: Vec<Arc<Field>> = Vec::new();
    for form in forms {
        for field in form.schema().fields() {
            if !fields.iter().any(|known| known.name() == field.name()) {
                fields.push(field.clone());
            }
        }
    }
    Arc::new(Schema::new(fields))
}

/// The form with every column of `schema`; only companion columns can be missing, and their default is zero.
fn with_ticks(form: &RecordBatch, schema: &SchemaRef) -> RecordBatch {
    let zeros = || Arc::new(Int8Array::from(vec![0; form.num_rows()])) as ArrayRef;
    let column = |field: &Arc<Field>| {
        debug_assert!(
            form.column_by_name(field.name()).is_some()
                || (field.name().ends_with(TICKS_SUFFIX) && *field.data_type() == DataType::Int8)
        );
        form.column_by_name(field.name()).cloned().unwrap_or_else(zeros)
    };
    RecordBatch::try_new(schema.clone(), schema.fields().iter().map(column).collect())
        .expect("every column has the form's length")
}
