//! How long parsing, binding and lowering take over the real queries below `$MONETA_CORPUS`: median and 99th
//! percentile in microseconds of the best of several runs of each query. Part of `make bench`.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark prints, and stops where it cannot go on")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::datatypes::Schema;
use datafusion::catalog::TableProvider;
use datafusion::datasource::MemTable;
use moneta_base::Timestamp;
use moneta_event::{Column, ColumnType};
use moneta_kql_plan::{BindOptions, Catalog, TableProviderSource, bind, lower};
use serde_json::Value;

/// Runs of each query; the fastest counts, because the machine only ever adds time.
const RUNS: usize = 5;
/// Queries named at the end.
const SLOWEST_SHOWN: usize = 5;

/// The tables of the corpus, without rows.
struct Tables {
    tables: BTreeMap<String, (Arc<[Column]>, Arc<MemTable>)>,
    functions: BTreeMap<String, String>,
}

impl Tables {
    fn read(schemas: &Value) -> Self {
        let mut tables = BTreeMap::new();
        for (name, table) in schemas["tables"].as_object().into_iter().flatten() {
            let columns: Vec<Column> = table["columns"].as_array().into_iter().flatten().filter_map(column).collect();
            let fields: Vec<_> = columns.iter().map(|column| column.column_type.field(&column.name)).collect();
            let table = MemTable::try_new(Arc::new(Schema::new(fields)), vec![Vec::new()]).unwrap();
            tables.insert(name.clone(), (columns.into(), Arc::new(table)));
        }
        let function = |parts: &Value| Some(format!("{} {}", parts[0].as_str()?, parts[1].as_str()?));
        let functions = schemas["functions"].as_object().into_iter().flatten();
        Self {
            tables,
            functions: functions.filter_map(|(name, parts)| Some((name.clone(), function(parts)?))).collect(),
        }
    }
}

/// A `[name, type]` pair.
fn column(pair: &Value) -> Option<Column> {
    Some(Column::new(pair[0].as_str()?, ColumnType::parse(pair[1].as_str()?)?))
}

impl Catalog for Tables {
    fn columns(&self, table: &str) -> Option<Arc<[Column]>> {
        self.tables.get(table).map(|(columns, _)| Arc::clone(columns))
    }

    fn table_names(&self) -> Vec<String> {
        self.tables.keys().cloned().collect()
    }

    fn function(&self, name: &str) -> Option<String> {
        self.functions.get(name).cloned()
    }
}

impl TableProviderSource for Tables {
    fn provider(&self, table: &str) -> Option<Arc<dyn TableProvider>> {
        self.tables.get(table).map(|(_, table)| Arc::clone(table) as Arc<dyn TableProvider>)
    }
}

fn main() {
    let Some(corpus) = std::env::var_os("MONETA_CORPUS").map(|root| PathBuf::from(root).join("kql")) else {
        println!("MONETA_CORPUS is not set: nothing to measure");
        return;
    };
    let schemas = std::fs::read_to_string(corpus.join("table_schemas.json")).unwrap();
    let tables = Tables::read(&serde_json::from_str(&schemas).unwrap());
    let queries = std::fs::read_to_string(corpus.join("real_queries.jsonl")).unwrap();
    let mut times: [Vec<Duration>; 4] = Default::default();
    let mut slowest = Vec::new();
    for line in queries.lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        let planned = measure(row["query"].as_str().unwrap(), &tables, &mut times);
        slowest.push((planned, row["id"].as_str().unwrap_or_default().to_owned()));
    }
    slowest.sort();
    println!("stage   queries  median_us     p99_us     max_us");
    for (stage, times) in ["parse", "format", "bind", "lower"].iter().zip(&mut times) {
        report(stage, times);
    }
    for (time, id) in slowest.iter().rev().take(SLOWEST_SHOWN) {
        println!("slowest to lower: {id} {:.1} ms", time.as_secs_f64() * 1e3);
    }
}

/// Measures the stages of one query, each as far as the one before it went. Gives the time of the last.
fn measure(text: &str, tables: &Tables, times: &mut [Vec<Duration>; 4]) -> Duration {
    let options = BindOptions::at(Timestamp::from_nanos(1_700_000_000_000_000_000));
    times[0].push(best(|| moneta_kql::parse(text)));
    times[1].push(best(|| moneta_kql::format(text)));
    let tree = moneta_kql::parse(text).tree;
    let (Some(query), _) = bind(&tree, tables, &options) else { return Duration::ZERO };
    times[2].push(best(|| bind(&tree, tables, &options)));
    let lower_all = || query.results.iter().all(|result| lower(result, tables).is_ok());
    if !lower_all() {
        return Duration::ZERO;
    }
    let time = best(lower_all);
    times[3].push(time);
    time
}

fn best<T>(mut run: impl FnMut() -> T) -> Duration {
    (0..RUNS)
        .map(|_| {
            let started = Instant::now();
            let kept = std::hint::black_box(run());
            let elapsed = started.elapsed();
            drop(kept);
            elapsed
        })
        .min()
        .unwrap_or_default()
}

fn report(stage: &str, times: &mut [Duration]) {
    times.sort();
    let at = |share: usize| times.get((times.len() * share / 100).min(times.len().saturating_sub(1)));
    let micros = |time: Option<&Duration>| time.map_or(0.0, |time| time.as_secs_f64() * 1e6);
    let (median, p99, max) = (micros(at(50)), micros(at(99)), micros(times.last()));
    println!("{stage:<7} {:>7} {median:>10.1} {p99:>10.1} {max:>10.1}", times.len());
}
