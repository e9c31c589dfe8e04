//! What the root log says of audit rows: that they exist, and of which kind, for ever; not who they name.

use arrow::array::{Array, AsArray, RecordBatch};
use moneta_event::Block;
use moneta_event::catalog::table;
use moneta_event::record::RecordEncoder;
use moneta_event::root_entry::{RootEntry, RootEvent};
use moneta_merkle::leaf_hash;

/// The root log entries of the audit rows in a block; none for blocks of other tables.
pub(crate) fn root_entries(block: &Block) -> Vec<RootEntry> {
    if block.header.shard.table.as_str() != table::MONETA_AUDIT {
        return Vec::new();
    }
    let Ok(encoder) = RecordEncoder::new(&block.rows) else { return Vec::new() };
    let mut record = Vec::new();
    (0..block.rows.num_rows())
        .map(|row| {
            encoder.encode(row, &mut record);
            // The root log is never pruned: it names the kind of actor; who it was stands in the row, for as long as
            // the audit table is kept.
            let event = RootEvent::Audit {
                action: text_at(&block.rows, "Action", row),
                by: text_at(&block.rows, "ActorKind", row),
                row: leaf_hash(&record),
            };
            RootEntry { at: block.header.ingest_time, event }
        })
        .collect()
}

fn text_at(rows: &RecordBatch, column: &str, row: usize) -> String {
    let column = rows.column_by_name(column).and_then(|array| array.as_string_opt::<i32>());
    column.filter(|array| array.is_valid(row)).map(|array| array.value(row).to_owned()).unwrap_or_default()
}
