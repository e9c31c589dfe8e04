//! Declared tables and mappings: columns before events, in their order over a restart, and nothing that loses data.

use std::sync::Arc;

use moneta_base::ErrorKind;
use moneta_metastore::Metastore;
use moneta_ports::*;
use moneta_query::{Engine, Limits, Objects, Outside, StoreTables};
use moneta_store::Store;
use moneta_testkit::{FixedClock, TestDir};

use crate::scan::{add, ask, rows, start, store};
use crate::support::{Audit, admin, reader};

fn engine(store: &Arc<Store>, dir: &TestDir) -> (Engine, Arc<Audit>) {
    let metastore = Metastore::open(&dir.join("meta.sqlite"), start()).unwrap();
    let objects = Objects::load(Arc::new(metastore)).unwrap();
    let tables = Arc::new(StoreTables::new(store.clone(), 1 << 26));
    let (clock, metrics, audit) =
        (Arc::new(FixedClock::new(start())), Arc::new(Metrics::new()), Arc::new(Audit::default()));
    let made = Engine::new(tables, Some(objects), Outside::default(), audit.clone(), clock, metrics, Limits::default());
    (made.unwrap(), audit)
}

fn table(name: &str, columns: &[(&str, &str)]) -> DeclaredTable {
    let columns = columns.iter().map(|(name, kind)| ((*name).to_owned(), (*kind).to_owned())).collect();
    DeclaredTable { name: name.to_owned(), columns, doc_string: "what".to_owned(), ..DeclaredTable::default() }
}

fn mapping(table: &str) -> IngestionMapping {
    let (name, mapping) = ("m".to_owned(), "[]".to_owned());
    let kind = MappingKind::Json;
    IngestionMapping { table: table.to_owned(), kind, name, mapping, changed_by: String::new(), changed_at: 0 }
}

fn own(schema: &moneta_event::TableSchema) -> Vec<String> {
    schema.own_columns().iter().map(|column| format!("{}:{}", column.name, column.column_type)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn declared_columns_come_first_and_keep_their_order_over_a_restart() {
    let (dir, store) = (TestDir::new(), store(1));
    let (first, audit) = engine(&store, &dir);
    let declare = async |engine: &Engine, table: DeclaredTable, change: TableChange| {
        engine.declare_table(&admin(), table, change).await.map_err(|error| error.to_string())
    };
    let made = declare(&first, table("New_CL", &[("b", "string"), ("a", "long")]), TableChange::Create).await.unwrap();
    assert_eq!(own(&made), ["b:string", "a:long"]);
    let again = declare(&first, table("New_CL", &[("x", "real")]), TableChange::Create).await.unwrap();
    assert_eq!(own(&again), ["b:string", "a:long"], "a table that is there stays as it is");
    let merged = declare(&first, table("New_CL", &[("x", "real"), ("a", "long")]), TableChange::CreateOrExtend).await;
    assert_eq!(own(&merged.unwrap()), ["b:string", "a:long", "x:real"]);
    // A table that has events keeps their columns before the new one.
    let before = store.schema(&moneta_base::TableName::new("Logs_CL").unwrap()).unwrap();
    let extended = declare(&first, table("Logs_CL", &[("Added", "bool")]), TableChange::Extend).await.unwrap();
    assert_eq!(own(&extended), [own(&before), vec!["Added:bool".to_owned()]].concat());
    first.put_mapping(&admin(), mapping("New_CL"), CreateMode::Create).await.unwrap();
    let described = first.describe_table(&admin(), "Event", Some("of Windows".to_owned()), None).await;
    assert!(described.is_ok_and(|schema| schema.name().as_str() == "Event"));
    drop(first);

    let other = crate::scan::store(0);
    add(&other, 0..1);
    let (second, _) = engine(&other, &dir);
    assert_eq!(rows(&tokio::task::block_in_place(|| ask(&second, "New_CL | project b, a, x | count"))), ["0"]);
    let schema =
        |name: &str| own(second.schema(&admin()).iter().find(|schema| schema.name().as_str() == name).unwrap());
    assert_eq!(schema("New_CL"), ["b:string", "a:long", "x:real"]);
    assert_eq!(schema("Logs_CL"), own(&extended));
    assert_eq!(second.mapping("New_CL", MappingKind::Json, "m").unwrap().changed_by, "root");
    let docs: Vec<_> = second.declared_tables().into_iter().map(|table| (table.name, table.doc_string)).collect();
    assert!(docs.contains(&("Event".to_owned(), "of Windows".to_owned())), "{docs:?}");
    assert!(audit.0.lock().unwrap().contains(&"table.declare success New_CL".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_lose_data_is_refused() {
    let (dir, store) = (TestDir::new(), store(1));
    let (engine, audit) = engine(&store, &dir);
    let refused = async |table: DeclaredTable, change: TableChange, words: &str| {
        let error = engine.declare_table(&admin(), table, change).await.unwrap_err();
        assert!(error.kind == ErrorKind::Caller && error.to_string().contains(words), "{words}: {error}");
    };
    let change = TableChange::CreateOrExtend;
    refused(table("Mine", &[("a", "long")]), TableChange::Create, "Mine_CL").await;
    refused(table("No_CL", &[("a", "long")]), TableChange::Extend, "no table").await;
    refused(table("Logs_CL", &[("a", "long")]), TableChange::Replace, "would lose").await;
    refused(table("Logs_CL", &[("Level", "long")]), change, "does not change").await;
    refused(table("Event", &[("Mine", "long")]), change, "built in").await;
    refused(table("A_CL", &[("a", "text")]), change, "no type").await;
    refused(table("A_CL", &[("a", "long"), ("a", "long")]), change, "twice").await;

    let dropped = async |name: &str| engine.withdraw_table(&admin(), name).await.map_err(|error| error.to_string());
    engine.declare_table(&admin(), table("Empty_CL", &[("a", "long")]), TableChange::Create).await.unwrap();
    engine.put_mapping(&admin(), mapping("Empty_CL"), CreateMode::Create).await.unwrap();
    assert!(engine.put_mapping(&admin(), mapping("Empty_CL"), CreateMode::Create).await.is_err());
    assert!(engine.put_mapping(&admin(), mapping("No_CL"), CreateMode::Create).await.is_err());
    assert_eq!(dropped("Empty_CL").await, Ok(()));
    assert!(engine.mappings().is_empty() && engine.declared_tables().is_empty());
    assert!(dropped("Empty_CL").await.unwrap_err().contains("no table"));
    engine.declare_table(&admin(), table("Logs_CL", &[("Added", "long")]), change).await.unwrap();
    for name in ["Logs_CL", "Event"] {
        assert!(dropped(name).await.unwrap_err().contains("retention"), "{name}");
    }
    let denied = engine.declare_table(&reader(), table("A_CL", &[("a", "long")]), TableChange::Create).await;
    assert_eq!(denied.unwrap_err().kind, ErrorKind::Denied);
    assert!(audit.0.lock().unwrap().contains(&"table.declare denied A_CL".to_owned()));
}
