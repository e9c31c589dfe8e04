//! Segment files: their hash, and their rows against the block headers.

use std::path::Path;

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::{Int64Type, TimestampNanosecondType};
use bytes::Bytes;
use moneta_base::Seq;
use moneta_event::block::record_root;
use moneta_event::schema::standard;
use moneta_event::{BlockHeader, stored};
use moneta_merkle::{Hash, sha256};
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use crate::{Report, copies};

/// Rows read at a time.
const BATCH_ROWS: usize = 8_192;

/// Checks one segment file against the headers of its shard; returns the sequences `[start, end)` it holds.
///
/// `expected_hash` is the file's hash in the root log; `None` when no entry names the file yet.
pub fn check(
    data: &Path,
    file: &Path,
    expected_hash: Option<Hash>,
    headers: &[BlockHeader],
    report: &mut Report,
) -> Option<(Seq, Seq)> {
    check_read(std::fs::read(data.join(file)), file, expected_hash, headers, report)
}

/// The same for bytes that were read, from wherever.
pub fn check_read(
    bytes: std::io::Result<Vec<u8>>,
    file: &Path,
    expected_hash: Option<Hash>,
    headers: &[BlockHeader],
    report: &mut Report,
) -> Option<(Seq, Seq)> {
    let bytes = match bytes {
        Ok(bytes) => Bytes::from(bytes),
        Err(error) => {
            report.find(file, error.to_string());
            return None;
        }
    };
    report.num_segments += 1;
    if expected_hash.is_some_and(|expected| sha256(&bytes) != expected) {
        report.find(file, "its SHA-256 is not the one in the root log");
    }
    copies::problems(&bytes).into_iter().for_each(|problem| report.find(file, problem));
    let rows = match open(bytes) {
        Ok(reader) => Rows { reader, pending: None },
        Err(error) => {
            report.find(file, error);
            return None;
        }
    };
    check_rows(file, rows, headers, report)
}

fn open(bytes: Bytes) -> Result<ParquetRecordBatchReader, String> {
    // A damaged file may trip an assertion of the reader: one bad file must not end the whole check.
    let opened = std::panic::catch_unwind(|| {
        let builder = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(|error| error.to_string())?;
        builder.with_batch_size(BATCH_ROWS).build().map_err(|error| error.to_string())
    });
    opened.unwrap_or_else(|_| Err("the file is damaged beyond reading".to_owned()))
}

/// The rows of a segment, handed out in runs of wanted length.
struct Rows {
    reader: ParquetRecordBatchReader,
    pending: Option<RecordBatch>,
}

impl Rows {
    /// The next `count` rows, or fewer at the end of the file.
    fn take(&mut self, count: usize) -> Result<Option<RecordBatch>, String> {
        let mut parts = Vec::new();
        let mut missing = count;
        while missing > 0 {
            let Some(batch) = self.next_batch()? else { break };
            let taken = missing.min(batch.num_rows());
            parts.push(batch.slice(0, taken));
            missing -= taken;
            self.pending = (taken < batch.num_rows()).then(|| batch.slice(taken, batch.num_rows() - taken));
        }
        let Some(first) = parts.first() else { return Ok(None) };
        concat_batches(&first.schema(), &parts).map(Some).map_err(|error| error.to_string())
    }

    fn next_batch(&mut self) -> Result<Option<RecordBatch>, String> {
        if let Some(pending) = self.pending.take() {
            return Ok(Some(pending));
        }
        let reader = &mut self.reader;
        let next = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| reader.next()));
        let next = next.map_err(|_| "the file is damaged beyond reading".to_owned())?;
        let Some(batch) = next.transpose().map_err(|error| error.to_string())? else { return Ok(None) };
        stored::from_parquet_form(&batch).map(Some).map_err(|error| error.to_string())
    }
}

fn check_rows(file: &Path, mut rows: Rows, headers: &[BlockHeader], report: &mut Report) -> Option<(Seq, Seq)> {
    let first = match rows.take(1) {
        Ok(Some(first)) => first,
        Ok(None) => {
            report.find(file, "it holds no rows");
            return None;
        }
        Err(error) => {
            report.find(file, error);
            return None;
        }
    };
    let Some(start) = seq_at(&first, 0) else {
        report.find(file, "it has no _Seq column");
        return None;
    };
    rows.pending = Some(prepend(first, rows.pending.take()));
    let mut next = start;
    let from = headers.partition_point(|header| header.first_seq < start);
    for header in &headers[from..] {
        if header.first_seq != next {
            break;
        }
        match rows.take(header.num_rows as usize) {
            Ok(None) => break,
            Ok(Some(block)) => check_block(file, header, &block, report),
            Err(error) => {
                report.find_block(file, &header.shard, header.first_seq, error);
                return Some((start, next));
            }
        }
        next = header.end_seq();
    }
    if let Ok(Some(rest)) = rows.take(1) {
        let seq = seq_at(&rest, 0).unwrap_or(next);
        report.find(file, format!("rows from _Seq {seq} on belong to no block of the ledger"));
    }
    Some((start, next))
}

fn prepend(first: RecordBatch, rest: Option<RecordBatch>) -> RecordBatch {
    match rest {
        None => first,
        Some(rest) => concat_batches(&first.schema(), [&first, &rest]).unwrap_or(first),
    }
}

fn seq_at(rows: &RecordBatch, row: usize) -> Option<Seq> {
    let seqs = rows.column_by_name(standard::SEQ)?.as_primitive_opt::<Int64Type>()?;
    Seq::try_from(seqs.value(row)).ok()
}

/// Compares the rows of one block with its header: the record tree, and the columns that the header implies.
fn check_block(file: &Path, header: &BlockHeader, rows: &RecordBatch, report: &mut Report) {
    if let Some(problem) = implied_problem(header, rows) {
        report.find_block(file, &header.shard, header.first_seq, problem);
    }
    match record_root(rows) {
        Ok(root) if root == header.record_root && rows.num_rows() == header.num_rows as usize => {}
        Ok(_) => report.find_block(
            file,
            &header.shard,
            header.first_seq,
            "the rows are not those signed for: record root differs",
        ),
        Err(error) => report.find_block(file, &header.shard, header.first_seq, error.to_string()),
    }
}

/// What is wrong with `TenantId`, `Type`, `_Seq` and `_IngestTime` of a block's rows, if anything.
fn implied_problem(header: &BlockHeader, rows: &RecordBatch) -> Option<String> {
    let expected = stored::with_implied_columns(header, 0, &rows.project(&[]).ok()?);
    for name in moneta_event::schema::IMPLIED_BY_HEADER {
        let (Some(found), Some(expected)) = (rows.column_by_name(name), expected.column_by_name(name)) else {
            return Some(format!("column {name} is missing"));
        };
        if found.as_ref() != expected.as_ref() {
            return Some(format!("column {name} is not what the header says"));
        }
    }
    let times = rows.column_by_name(standard::TIME_GENERATED)?.as_primitive_opt::<TimestampNanosecondType>()?;
    let in_range = |nanos: i64| (header.event_time_min.as_nanos()..=header.event_time_max.as_nanos()).contains(&nanos);
    (!times.values().iter().all(|nanos| in_range(*nanos)))
        .then(|| "an event time lies outside the header's range".to_owned())
}
