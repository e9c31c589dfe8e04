//! The term index of sealed segments against a search through their rows.

use arrow::array::{Array, AsArray};
use arrow::buffer::BooleanBuffer;
use moneta_base::{SourceName, Timestamp};
use moneta_event::terms::{Case, Edges, Needle, TermCondition};
use moneta_event::{Column, ColumnType, Value};
use moneta_store::{SegmentColumns, Store};
use moneta_testkit::SimFs;

use crate::support::*;

/// Row groups that begin within a block, a column that some blocks lack, one that all lack.
fn sealed(fs: &SimFs) -> Store {
    let (store, mut made) = (open(fs).unwrap(), Blocks::default());
    for block in 0..9u64 {
        let mut rows = builder("Words_CL");
        for row in 0..8_000u64 {
            let number = block * 8_000 + row;
            rows.set_field(
                "Text",
                Value::Text(&format!("Common w{:05x} g{}", number * 7_919 % 50_000, number / 4_096)),
            );
            if block % 2 == 1 {
                rows.set_field("Seldom", Value::Text(if row % 1_000 == 7 { "needle-in-hay" } else { "" }));
            }
            let time = Timestamp::from_nanos(now().as_nanos() + i64::try_from(number).unwrap());
            rows.finish_row(time, &SourceName::lossy("test"), "");
        }
        store.add_hot(made.make("Words_CL", now(), rows)).unwrap();
    }
    while let Some(segment) = store.seal(&table("Words_CL")).unwrap() {
        store.publish(segment, now()).unwrap();
    }
    store
}

fn condition(column: &str, needle: &str, edges: Edges) -> TermCondition {
    TermCondition::Has { column: column.to_owned(), needle: Needle::new(needle, edges, Case::Insensitive) }
}

/// The rows of all row groups that hold `needle` somewhere, and those that the index names.
fn compare(columns: &SegmentColumns, name: &str, needle: &str, edges: Edges) -> (usize, usize) {
    let (mut found, mut named) = (0, 0);
    for group in 0..columns.num_groups() {
        let texts = columns.read(group, &Column::new(name, ColumnType::String), None).unwrap();
        let texts = arrow::compute::cast(&texts, &arrow::datatypes::DataType::Utf8).unwrap();
        let rows = columns.rows_with(group, &condition(name, needle, edges)).unwrap();
        let rows = rows.unwrap_or_else(|| BooleanBuffer::new_set(texts.len()));
        assert_eq!(rows.len(), texts.len());
        named += rows.count_set_bits();
        for (row, text) in texts.as_string::<i32>().iter().enumerate() {
            let is_found = text.unwrap_or("").to_lowercase().contains(&needle.to_lowercase());
            assert!(rows.value(row) || !is_found, "{needle:?} in row {row} of group {group}");
            found += usize::from(is_found);
        }
    }
    (found, named)
}

#[test]
fn an_index_names_every_row_that_has_a_word_and_few_others() {
    let fs = SimFs::new();
    let store = sealed(&fs);
    for store in [store, open(&fs).unwrap()] {
        let segments = store.snapshot(&table("Words_CL")).unwrap().segments;
        assert_eq!(segments.len(), 1);
        let columns = store.segment_columns(&segments[0]).unwrap();
        assert_eq!(columns.num_groups(), 2);
        assert!(columns.terms_bytes() > 0);
        let (found, named) = compare(&columns, "Text", "w000a7", Edges::BOTH);
        assert!(found > 0 && found == named, "a rare word has its rows listed: {found} and {named}");
        assert_eq!(compare(&columns, "Text", "G3", Edges::BOTH).1, 72_000, "too short to be indexed");
        let (found, named) = compare(&columns, "Text", "g12", Edges::BOTH);
        assert!(found == 4_096 && named < 3 * 4_096, "{found} and {named}");
        assert_eq!(compare(&columns, "Seldom", "needle", Edges::BOTH).0, 32);
        assert!(compare(&columns, "Seldom", "eedl", Edges::NONE).1 < 40_000);
        assert_eq!(compare(&columns, "Text", "absent", Edges::BOTH), (0, 0));
        assert_eq!(compare(&columns, "NoSuchColumn", "absent", Edges::BOTH), (0, 0));
    }
}

#[test]
fn an_index_counts_what_it_knows_exactly() {
    let store = sealed(&SimFs::new());
    let columns = store.segment_columns(&store.snapshot(&table("Words_CL")).unwrap().segments[0]).unwrap();
    let count = |name: &str, needle: &str| -> Option<u64> {
        let needle = Needle::new(needle, Edges::BOTH, Case::Insensitive);
        (0..columns.num_groups()).map(|group| columns.count_with(group, name, &needle).unwrap()).sum()
    };
    assert_eq!(count("Text", "common"), Some(72_000));
    assert_eq!(count("Text", "g12"), Some(4_096));
    assert_eq!(count("Text", "absent"), Some(0));
    assert_eq!(count("Seldom", "needle"), Some(32));
    assert_eq!(count("Seldom", "needle-in-hay"), None, "which rows have these words side by side is not known");
    assert_eq!(count("Text", "g3"), None);
    assert_eq!(count("NoSuchColumn", "common"), Some(0));
}
