//! Writes the rows of hot blocks as a Parquet file, block by block, in the memory of one row group.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int8Array, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Field, SchemaRef};
use aws_lc_rs::digest;
use moneta_base::fs::{File, FileSystem, TEMPORARY_SUFFIX, create_dir_durably};
use moneta_event::schema::{IMPLIED_BY_HEADER, standard};
use moneta_event::terms::{GROUP_ROWS_MAX, PLACES_KEY, Places};
use moneta_event::{Block, Column, ColumnType, ShardId, stored};
use moneta_merkle::{Hash, hash, leaf_hash};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnPath;

use crate::Error;
use crate::paths::PathColumns;
use crate::raw_template::RawTemplate;
use crate::segment::{
    BLOCKS_KEY, BLOCKS_ROOT_KEY, CHECKED_BYTES, CHECKSUMS_KEY, SHARD_KEY, Segment, SegmentMeta, VERSION, VERSION_KEY,
    file_path,
};
use crate::terms::{self, GroupRows};

/// Rows of one segment at most: files stay below some hundred megabytes.
const SEGMENT_ROWS_MAX: u64 = 1 << 20;
/// Rows of one row group: the unit that a filter skips and a reader holds in memory.
const ROW_GROUP_ROWS: usize = 1 << 16;
/// Encoded bytes of one row group at most, for tables of large rows.
const ROW_GROUP_BYTES: usize = 128 << 20;
const _: () = assert!(ROW_GROUP_ROWS <= GROUP_ROWS_MAX, "the term index numbers the rows of a group");
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
    let path = file_path(shard, first.first_seq, last.end_seq());
    let file = dir.join(&path);
    let day_dir = file.parent().expect("a segment lies in the directory of its day");
    create_dir_durably(fs, day_dir).map_err(Error::io("create", day_dir))?;
    let mut temporary = file.clone().into_os_string();
    temporary.push(TEMPORARY_SUFFIX);
    let temporary = Path::new(&temporary);
    if fs.exists(temporary) {
        fs.remove_file(temporary).map_err(Error::io("remove", temporary))?;
    }
    let output = fs.create(temporary).map_err(Error::io("create", temporary))?;
    let mut output = encode(shard, blocks, blocks_root, output, temporary)?;
    output.file.sync().map_err(Error::io("sync", temporary))?;
    fs.rename(temporary, &file).map_err(Error::io("rename", &file))?;
    fs.sync_dir(day_dir).map_err(Error::io("sync", day_dir))?;
    let meta = SegmentMeta {
        shard: shard.clone(),
        path,
        size_bytes: output.size_bytes,
        first_seq: first.first_seq,
        end_seq: last.end_seq(),
        event_time_min: blocks.iter().map(|block| block.header.event_time_min).min().unwrap_or_default(),
        event_time_max: blocks.iter().map(|block| block.header.event_time_max).max().unwrap_or_default(),
        footer_start: output.footer_start,
        footer_checksum: output.checksum,
        blocks_root,
        hash: Hash::from_slice(output.digest.finish().as_ref()).expect("SHA-256 has 32 bytes"),
        moved: None,
    };
    Ok(Segment { meta })
}

fn encode(
    shard: &ShardId,
    blocks: &[Arc<Block>],
    blocks_root: Hash,
    file: Box<dyn File>,
    path: &Path,
) -> Result<Output, Error> {
    let failed = |reason: String| Error::Encode { shard: shard.clone(), reason };
    let columns = columns_of(blocks).ok_or_else(|| failed("its blocks disagree on a column's type".to_owned()))?;
    let rows = blocks.iter().map(|block| &block.rows);
    let paths = PathColumns::choose(rows.clone(), &columns);
    let raw = RawTemplate::choose(rows.clone(), &columns);
    let schema = paths.with_fields(&with_ingest_ticks(&stored::parquet_schema(rows, &columns)));
    let schema = raw.mark_field(&schema);
    let write = || -> parquet::errors::Result<Output> {
        let output = Output::new(file);
        let properties = raw.without_statistics(properties(shard, blocks, blocks_root)).build();
        let mut writer = ArrowWriter::try_new(output, schema.clone(), Some(properties))?;
        for block in blocks {
            let rows = stored::with_implied_columns(&block.header, 0, &block.rows);
            let form = stored::align(&rows, &columns).and_then(|rows| stored::to_parquet_form(&rows));
            let form = form.map_err(|error| parquet::errors::ParquetError::General(error.to_string()))?;
            let form = paths.with_columns(&form);
            writer.write(&raw.shorten(with_companions(&form, &schema)))?;
        }
        let (mut writer, _) = writer.into_serialized_writer()?;
        let places = write_terms(&mut writer, blocks, &columns)?;
        writer.append_key_value_metadata(KeyValue::new(PLACES_KEY.to_owned(), places));
        // What is left in the writer's buffer belongs to the data.
        writer.flush()?;
        let checksums = writer.inner_mut().end_data();
        writer.append_key_value_metadata(KeyValue::new(CHECKSUMS_KEY.to_owned(), checksums));
        writer.into_inner()
    };
    write().map_err(|error| match error {
        parquet::errors::ParquetError::External(source) => match source.downcast::<io::Error>() {
            Ok(source) => Error::io("write", path)(*source),
            Err(other) => failed(other.to_string()),
        },
        other => failed(other.to_string()),
    })
}

/// Writes the term index of each row group and returns their places.
fn write_terms(
    writer: &mut SerializedFileWriter<Output>,
    blocks: &[Arc<Block>],
    columns: &[Column],
) -> parquet::errors::Result<String> {
    let groups: Vec<i64> = writer.flushed_row_groups().iter().map(|group| group.num_rows()).collect();
    let (mut places, mut rows) = (Places::default(), GroupRows::new(blocks));
    for num_rows in groups {
        let parts = rows.next_group(usize::try_from(num_rows).expect("a row group fits in memory"));
        let (index, head_len) = terms::index_of(&parts, columns);
        places.add(writer.bytes_written(), index.len(), head_len);
        writer.write_all(&index)?;
    }
    Ok(places.into_text())
}

/// All columns of the blocks, in query order as far as the first block knows it, implied ones first.
fn columns_of(blocks: &[Arc<Block>]) -> Option<Vec<Column>> {
    let own = stored::union_columns(blocks.iter().map(|block| &block.rows))?;
    let type_of = |name: &str| match name {
        standard::SEQ => ColumnType::Long,
        standard::INGEST_TIME => ColumnType::DateTime,
        _ => ColumnType::String,
    };
    Some(IMPLIED_BY_HEADER.iter().map(|name| Column::new(name, type_of(name))).chain(own).collect())
}

/// The ingest times stand in the headers, not in the rows: their digit is always kept.
fn with_ingest_ticks(schema: &SchemaRef) -> SchemaRef {
    let companion = format!("{}{}", standard::INGEST_TIME, stored::TICKS_SUFFIX);
    let mut fields: Vec<Arc<Field>> = schema.fields().iter().cloned().collect();
    fields.push(Arc::new(Field::new(companion, arrow::datatypes::DataType::Int8, true)));
    Arc::new(arrow::datatypes::Schema::new(fields))
}

fn properties(shard: &ShardId, blocks: &[Arc<Block>], blocks_root: Hash) -> WriterPropertiesBuilder {
    let pair = |key: &str, value: String| KeyValue::new(key.to_owned(), value);
    let rows: Vec<_> = blocks.iter().map(|block| block.header.num_rows.to_string()).collect();
    let metadata = vec![
        pair(VERSION_KEY, VERSION.to_owned()),
        pair(SHARD_KEY, shard.to_string()),
        pair(BLOCKS_ROOT_KEY, blocks_root.to_base64()),
        pair(BLOCKS_KEY, rows.join(",")),
    ];
    let mut builder = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL).expect("a level that zstd has")))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_max_row_group_bytes(Some(ROW_GROUP_BYTES))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_created_by("moneta".to_owned())
        .set_key_value_metadata(Some(metadata));
    for column in [standard::TIME_GENERATED, standard::SEQ] {
        builder = builder.set_column_statistics_enabled(ColumnPath::from(column), EnabledStatistics::Page);
    }
    // Every value differs from its neighbours by one: delta encoding makes nothing of it, a dictionary everything.
    let seq = ColumnPath::from(standard::SEQ);
    builder
        .set_column_dictionary_enabled(seq.clone(), false)
        .set_column_encoding(seq, parquet::basic::Encoding::DELTA_BINARY_PACKED)
}

/// The form with every column of `schema`; only companion columns can be missing, and their default is zero.
fn with_companions(form: &RecordBatch, schema: &SchemaRef) -> RecordBatch {
    let zeros = || Arc::new(Int8Array::from(vec![0; form.num_rows()])) as ArrayRef;
    let columns = schema.fields().iter().map(|field| {
        debug_assert!(form.column_by_name(field.name()).is_some() || field.name().ends_with(stored::TICKS_SUFFIX));
        form.column_by_name(field.name()).cloned().unwrap_or_else(zeros)
    });
    let options = RecordBatchOptions::new().with_row_count(Some(form.num_rows()));
    RecordBatch::try_new_with_options(schema.clone(), columns.collect(), &options)
        .expect("columns of the form's length")
}

/// A file that computes what is remembered of it while it is written.
struct Output {
    file: Box<dyn File>,
    digest: digest::Context,
    size_bytes: u64,
    /// Checksum of the bytes since the last boundary, or since the data ended.
    checksum: u32,
    checked_bytes: usize,
    checksums: String,
    footer_start: u64,
}

impl Output {
    fn new(file: Box<dyn File>) -> Self {
        Self {
            file,
            digest: digest::Context::new(&digest::SHA256),
            size_bytes: 0,
            checksum: 0,
            checked_bytes: 0,
            checksums: String::new(),
            footer_start: 0,
        }
    }

    /// Ends the part under checksums of its own and returns them; what follows is the footer.
    fn end_data(&mut self) -> String {
        self.end_part();
        self.footer_start = self.size_bytes;
        std::mem::take(&mut self.checksums)
    }

    fn end_part(&mut self) {
        if self.checked_bytes > 0 {
            self.checksums.push_str(&format!("{:08x}", self.checksum));
        }
        (self.checksum, self.checked_bytes) = (0, 0);
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.append(bytes)?;
        self.digest.update(bytes);
        self.size_bytes += bytes.len() as u64;
        let mut rest = bytes;
        while !rest.is_empty() {
            let in_footer = self.footer_start > 0;
            let room = if in_footer { rest.len() } else { CHECKED_BYTES - self.checked_bytes };
            let (part, tail) = rest.split_at(rest.len().min(room));
            self.checksum = crc32c::crc32c_append(self.checksum, part);
            self.checked_bytes += part.len();
            if !in_footer && self.checked_bytes == CHECKED_BYTES {
                self.end_part();
            }
            rest = tail;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
