//! Materialised views over a store: whatever is sealed, kept or gone, their rows are those of their query.

use std::sync::Arc;

use moneta_base::ErrorKind;
use moneta_metastore::Metastore;
use moneta_ports::*;
use moneta_query::{Engine, Limits, Objects, Outside, StoreTables};
use moneta_store::Store;
use moneta_testkit::{FixedClock, TestDir};

use crate::scan::{NoAudit, add, ask, rows, seal, start, store};
use crate::support::{admin, reader};

/// Aggregations of every kind: by a dictionary, by a path, of all rows, of few, with rows picked whole.
const VIEWS: &[(&str, &str)] = &[
    ("ByLevel", "Logs_CL | summarize count(), max(Size), avg(Size), dcount(Request) by Level"),
    (
        "ByKind",
        "Logs_CL | where Size > 100 | summarize sum(tolong(Extra.size)), count_distinct(Level) by tostring(Extra.kind)",
    ),
    ("Whole", "Logs_CL | summarize count(), min(TimeGenerated), countif(Level == 'Error'), sum(Size)"),
    ("Last", "Logs_CL | where Level has 'error' | summarize arg_max(TimeGenerated, *) by bin(Size, 100)"),
    ("ByMember", "Logs_CL | mv-expand item = Extra.list to typeof(long) | summarize n = count(), max(item) by Level"),
    ("Often", "Logs_CL | summarize percentile(Size, 90) by Level"),
    ("None", "Logs_CL | where Level == 'nothing' | summarize count() by Request"),
];

fn engine(store: &Arc<Store>, dir: &TestDir) -> Engine {
    let metastore = Metastore::open(&dir.join("meta.sqlite"), start()).unwrap();
    let objects = Objects::load(Arc::new(metastore)).unwrap();
    let tables = Arc::new(StoreTables::new(store.clone(), 1 << 26));
    let (clock, metrics) = (Arc::new(FixedClock::new(start())), Arc::new(Metrics::new()));
    Engine::new(tables, Some(objects), Outside::default(), Arc::new(NoAudit), clock, metrics, Limits::default())
        .unwrap()
}

fn view(name: &str, query: &str) -> MaterializedView {
    let (name, source, query) = (name.to_owned(), "Logs_CL".to_owned(), query.to_owned());
    MaterializedView { name, source, query, ..MaterializedView::default() }
}

pub fn wait<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(work)
}

fn put(engine: &Engine, view: MaterializedView) -> Result<ViewStatus, PortError> {
    wait(engine.put_view(&admin(), view, CreateMode::Create))
}

/// Every view has the rows of its query; how many segments are ready.
#[track_caller]
fn check(engine: &Engine, ready: usize) {
    for status in engine.views() {
        let (name, query) = (&status.view.name, &status.view.query);
        assert_eq!((status.segments_ready, status.columns.is_empty()), (ready, false), "{name}");
        assert_eq!(rows(&ask(engine, name)), rows(&ask(engine, query)), "{name}: {query}");
        let piped = format!("{name} | count");
        assert_eq!(rows(&ask(engine, &piped)), rows(&ask(engine, &format!("{query} | count"))), "{piped}");
    }
}

#[test]
fn a_view_has_the_rows_of_its_query_whatever_is_sealed_or_kept() {
    let (store, dir) = (store(5), TestDir::new());
    let opened = engine(&store, &dir);
    for (name, query) in VIEWS {
        put(&opened, view(name, query)).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    // All in memory, then all sealed, then all kept, then more on top.
    check(&opened, 0);
    seal(&store);
    add(&store, 5..9);
    seal(&store);
    check(&opened, 0);
    wait(opened.refresh_views()).unwrap();
    check(&opened, 2);
    let before = ask(&opened, "ByLevel").completeness.rows_scanned;
    assert_eq!(before, 0, "what is kept is not read again");
    add(&store, 9..10);
    check(&opened, 2);
    // After a restart they are there, and nothing is kept yet.
    drop(opened);
    let opened = engine(&store, &dir);
    assert_eq!(opened.views().len(), VIEWS.len());
    check(&opened, 0);
    // A range of times applies to the rows of the table, not to those of the view.
    wait(opened.refresh_views()).unwrap();
    let until = start().as_nanos() + 3_600_000_000_000;
    let scope = TimeScope { column: None, from: None, to: Some(moneta_base::Timestamp::from_nanos(until)) };
    let scoped = |text: &str| {
        let request = QueryRequest { time_scope: Some(scope.clone()), ..QueryRequest::new(text) };
        rows(&wait(opened.query(&admin(), request)).unwrap())
    };
    assert_eq!(scoped("ByLevel"), scoped(VIEWS[0].1));
    assert_ne!(scoped("ByLevel"), rows(&ask(&opened, "ByLevel")));
    wait(opened.drop_view(&admin(), "ByLevel")).unwrap();
    assert!(wait(opened.query(&admin(), QueryRequest::new("ByLevel"))).is_err());
}

#[test]
fn what_cannot_be_kept_by_segment_is_refused_with_the_reason() {
    let (store, dir) = (store(1), TestDir::new());
    let opened = engine(&store, &dir);
    let check = |name: &str, query: &str, words: &str| {
        let error = put(&opened, view(name, query)).unwrap_err();
        assert!(error.kind == ErrorKind::Caller && error.to_string().contains(words), "{query}: {error}");
    };
    check("a b", "Logs_CL | summarize count()", "letters");
    check("Logs_CL", "Logs_CL | summarize count()", "already");
    check("V", "Logs_CL | where Level == 'Error'", "not `summarize`");
    check("V", "Logs_CL | summarize n = count() by Level | where n > 1", "not `summarize`");
    check("V", "Logs_CL | summarize n = count() by Level | top 3 by n", "not `summarize`");
    check("V", "Logs_CL | top 3 by Size | summarize count()", "one row at a time");
    check("V", "Logs_CL | distinct Level | summarize count()", "one row at a time");
    check("V", "Logs_CL | join kind=inner Logs_CL on Request | summarize count()", "one row at a time");
    check("V", "Logs_CL | where TimeGenerated > ago(1h) | summarize count()", "when or by whom");
    check("V", "Logs_CL | where _Source == current_principal() | summarize count()", "when or by whom");
    check("V", "Logs_CL | extend r = rand() | summarize max(r)", "another value each time");
    check("V", "Logs_CL | where Size > toscalar(Logs_CL | summarize avg(Size)) | summarize count()", "another table");
    check("V", "SecurityEvent | summarize count()", "declared on the table");
    check("V", "Nothing_CL | summarize count()", "Nothing_CL");
    check("V", "Logs_CL | summarize count( by", "SYN");
    let (name, parameters) = ("Level".to_owned(), "(l: string)".to_owned());
    let function = StoredFunction { name, parameters, body: "{ tolower(l) }".to_owned(), ..StoredFunction::default() };
    wait(opened.put_function(&admin(), function, CreateMode::Create, false)).unwrap();
    check("V", "Logs_CL | summarize count() by Level(Level)", "Level");
    assert!(opened.views().is_empty());
    put(&opened, view("V", "Logs_CL | summarize count()")).unwrap();
    assert!(put(&opened, view("V", "Logs_CL | summarize count()")).unwrap_err().to_string().contains("already"));
    // What is kept is of the stored table, whatever else stands for its name in queries.
    let devices = view("D", "DeviceProcessEvents | summarize count() by DeviceName");
    put(&opened, MaterializedView { source: "DeviceProcessEvents".to_owned(), ..devices }).unwrap();
    let over = view("W", "V | summarize count()");
    assert!(put(&opened, MaterializedView { source: "V".to_owned(), ..over }).is_err());
    let missing = wait(opened.put_view(&admin(), view("X", "Logs_CL | summarize count()"), CreateMode::Alter));
    assert!(missing.unwrap_err().to_string().contains("to alter"));
    assert_eq!(wait(opened.drop_view(&reader(), "V")).unwrap_err().kind, ErrorKind::Denied);
}
