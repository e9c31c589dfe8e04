//! Writes the rows of hot blocks as a Parquet file, block by block, in the memory of one row group.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::digest;
use moneta_base::fs::{File, FileSystem, TEMPORARY_SUFFIX, create_dir_durably};
use moneta_event::record::UnsupportedColumn;
use moneta_event::schema::standard;
use moneta_event::terms::{GROUP_ROWS_MAX, PLACES_KEY, Places};
use moneta_event::{Block, Column, ShardId};
use moneta_merkle::{Hash, hash, leaf_hash};
use parquet::arrow::ArrowWriter;
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnPath;

use crate::Error;
use crate::encodings::{Care, Encodings};
use crate::layout::Layout;
use crate::segment::{
    BLOCKS_KEY, BLOCKS_ROOT_KEY, CHECKED_BYTES, CHECKSUMS_KEY, SHARD_KEY, Segment, SegmentMeta, VERSION, VERSION_KEY,
    file_path,
};
use crate::templates::Templates;
use crate::terms::{self, GroupRows};

/// Rows of one segment at most: files stay below some hundred megabytes.
const SEGMENT_ROWS_MAX: u64 = 1 << 20;
/// Rows of one row group: the unit that a filter skips and a reader holds in memory.
const ROW_GROUP_ROWS: usize = 1 << 16;
/// Encoded bytes of one row group at most, for tables of large rows.
const ROW_GROUP_BYTES: usize = 128 << 20;
/// Bytes of a dictionary at most: what a query that wants one row of a column has to read.
const DICTIONARY_BYTES: usize = 4 << 20;
/// Who wrote a file, in the form that Parquet's `created_by` has: Parquet's own reader in Java takes `DELTA_BYTE_ARRAY` of a
/// writer that it cannot tell for damaged (PARQUET-246).
const CREATED_BY: &str = concat!("moneta version ", env!("CARGO_PKG_VERSION"));
const _: () = assert!(ROW_GROUP_ROWS <= GROUP_ROWS_MAX, "the term index numbers the rows of a group");

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
pub(crate) fn write_segment(
    fs: &dyn FileSystem,
    dir: &Path,
    blocks: &[Arc<Block>],
    care: Care,
) -> Result<Segment, Error> {
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
    let mut output = Encoding { shard, blocks, blocks_root, care }.write(output, temporary)?;
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

/// What a segment file is written from.
struct Encoding<'a> {
    shard: &'a ShardId,
    blocks: &'a [Arc<Block>],
    blocks_root: Hash,
    care: Care,
}

impl Encoding<'_> {
    fn write(&self, file: Box<dyn File>, path: &Path) -> Result<Output, Error> {
        let failed = |reason: String| Error::Encode { shard: self.shard.clone(), reason };
        let disagree = || failed("its blocks disagree on a column's type".to_owned());
        let layout = Layout::choose(self.blocks).ok_or_else(disagree)?;
        self.write_in(&layout, Output::new(file)).map_err(|error| match error {
            ParquetError::External(source) => match source.downcast::<io::Error>() {
                Ok(source) => Error::io("write", path)(*source),
                Err(other) => failed(other.to_string()),
            },
            other => failed(other.to_string()),
        })
    }

    fn write_in(&self, layout: &Layout, output: Output) -> Result<Output, ParquetError> {
        let unsupported = |error: UnsupportedColumn| ParquetError::General(error.to_string());
        let sample = layout.sample(self.blocks).map_err(unsupported)?;
        let mut templates = Templates::choose(&sample, self.care);
        let schema = templates.mark_fields(layout.schema());
        let encodings = Encodings::choose(&templates.shorten(&sample, &schema), self.care);
        let properties = encodings.enter(templates.without_statistics(&schema, self.properties())).build();
        let mut writer = ArrowWriter::try_new(output, schema.clone(), Some(properties))?;
        for block in self.blocks {
            let rows = layout.rows(block, 0, &block.rows).map_err(unsupported)?;
            writer.write(&templates.shorten(&rows, &schema))?;
        }
        let (mut writer, _) = writer.into_serialized_writer()?;
        let places = write_terms(&mut writer, self.blocks, layout.columns())?;
        writer.append_key_value_metadata(KeyValue::new(PLACES_KEY.to_owned(), places));
        // What is left in the writer's buffer belongs to the data.
        writer.flush()?;
        let checksums = writer.inner_mut().end_data();
        writer.append_key_value_metadata(KeyValue::new(CHECKSUMS_KEY.to_owned(), checksums));
        writer.into_inner()
    }

    fn properties(&self) -> WriterPropertiesBuilder {
        let pair = |key: &str, value: String| KeyValue::new(key.to_owned(), value);
        let rows: Vec<_> = self.blocks.iter().map(|block| block.header.num_rows.to_string()).collect();
        let metadata = vec![
            pair(VERSION_KEY, VERSION.to_owned()),
            pair(SHARD_KEY, self.shard.to_string()),
            pair(BLOCKS_ROOT_KEY, self.blocks_root.to_base64()),
            pair(BLOCKS_KEY, rows.join(",")),
        ];
        let mut builder = WriterProperties::builder()
            .set_compression(self.care.compression())
            .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
            .set_max_row_group_bytes(Some(ROW_GROUP_BYTES))
            // A page ends by its bytes, not by its rows: codes of a dictionary are few bytes.
            .set_data_page_row_count_limit(ROW_GROUP_ROWS)
            .set_dictionary_page_size_limit(DICTIONARY_BYTES)
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .set_created_by(CREATED_BY.to_owned())
            .set_key_value_metadata(Some(metadata));
        for column in [standard::TIME_GENERATED, standard::SEQ] {
            builder = builder.set_column_statistics_enabled(ColumnPath::from(column), EnabledStatistics::Page);
        }
        builder
    }
}

/// Writes the term index of each row group and returns their places.
fn write_terms(
    writer: &mut SerializedFileWriter<Output>,
    blocks: &[Arc<Block>],
    columns: &[Column],
) -> Result<String, ParquetError> {
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
