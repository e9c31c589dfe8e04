//! Searches and unions over more tables and columns than one plan can hold answer as those over few do.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{Field, Schema};
use moneta_event::{Column, ColumnType};
use serde_json::json;

use crate::engine::{Answer, Memory, run};

const TABLES: usize = 120;
const OWN_COLUMNS: usize = 12;

/// Tables `T000` on, each with `N: long` (its number), `Text: string`, and columns no other table has.
/// One row each says `needle` and its number, one says `hay`.
fn wide() -> Memory {
    let mut memory = Memory::default();
    for number in 0..TABLES {
        let mut columns = vec![Column::new("N", ColumnType::Long), Column::new("Text", ColumnType::String)];
        columns.extend((0..OWN_COLUMNS).map(|own| Column::new(&format!("C{number}_{own}"), ColumnType::String)));
        let count = i64::try_from(number).unwrap();
        let texts: ArrayRef = Arc::new(StringArray::from(vec![format!("a needle {number}"), "hay".to_owned()]));
        let own: ArrayRef = Arc::new(StringArray::from(vec![format!("own{number}"), "rest".to_owned()]));
        let mut arrays: Vec<ArrayRef> = vec![Arc::new(Int64Array::from(vec![count, -1])), texts];
        arrays.extend((0..OWN_COLUMNS).map(|_| Arc::clone(&own)));
        let fields: Vec<Field> = columns.iter().map(|c| c.column_type.computed_field(&c.name)).collect();
        let rows = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap();
        memory.insert_rows(&format!("T{number:03}"), columns, vec![rows]);
    }
    memory
}

async fn answer(query: &str) -> Answer {
    run(query, &wide()).await.unwrap_or_else(|failure| panic!("{query}: {failure:?}"))
}

#[tokio::test]
async fn a_search_of_all_tables_finds_its_term_in_each() {
    let found = answer("search 'needle'").await;
    assert_eq!(found.columns.len(), 1 + 2 + TABLES * OWN_COLUMNS);
    assert_eq!(found.rows.len(), TABLES);
    let counted = answer("search 'needle' | summarize count(), dcount($table), sum(N)").await;
    let sum = TABLES * (TABLES - 1) / 2;
    assert_eq!(counted.rows, [vec![json!(TABLES), json!(TABLES), json!(sum)]]);
}

#[tokio::test]
async fn a_search_finds_a_term_in_a_column_of_one_table_only() {
    let found = answer("search 'own77' | project $table, N, C77_3, C78_3").await;
    assert_eq!(found.rows, [vec![json!("T077"), json!(77), json!("own77"), json!("")]]);
}

#[tokio::test]
async fn conditions_and_limits_after_a_search_count_for_all_its_tables() {
    let late = answer("search 'needle' | where N >= 100 and C110_0 == 'own110' | project-reorder $table").await;
    assert_eq!(late.rows.iter().map(|row| row[0].clone()).collect::<Vec<_>>(), [json!("T110")]);
    assert_eq!(answer("search 'needle' | take 10 | project-reorder N").await.rows.len(), 10);
    let top = answer("search Text:'needle' and N > 3 | top 2 by N desc | project $table").await;
    assert_eq!(top.rows, [vec![json!("T119")], vec![json!("T118")]]);
}

#[tokio::test]
async fn a_union_of_many_queries_has_all_their_rows() {
    let parts = (0..TABLES).map(|n| format!("(T{n:03} | where N >= 0 | extend Twice = N * 2)")).collect::<Vec<_>>();
    let union = format!("union withsource=S {}", parts.join(", "));
    assert_eq!(answer(&union).await.rows.len(), TABLES);
    let sums = answer(&format!("{union} | summarize count(), sum(Twice), countif(C5_1 == 'own5')")).await;
    assert_eq!(sums.rows, [vec![json!(TABLES), json!(TABLES * (TABLES - 1)), json!(1)]]);
}
