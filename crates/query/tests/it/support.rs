//! An engine with two small tables, and answers as text.

use std::sync::{Arc, Mutex};

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::util::display::array_value_to_string;
use moneta_base::TableName;
use moneta_event::{Column, ColumnType, TableSchema};
use moneta_metastore::Metastore;
use moneta_ports::*;
use moneta_query::{Engine, Limits, MemoryTables, Objects, Outside};
use moneta_testkit::{FixedClock, TestDir};

/// Rows of the table `Steps_CL`.
pub const STEPS: i64 = 1_000;

#[derive(Default)]
pub struct Audit(pub Mutex<Vec<String>>);

impl AuditSink for Audit {
    fn record<'a>(&'a self, _: &'a OpContext, event: AuditEvent) -> BoxFuture<'a, Result<(), PortError>> {
        self.0.lock().unwrap().push(format!("{} {} {}", event.action, event.outcome.name(), event.object_name));
        Box::pin(std::future::ready(Ok(())))
    }

    fn record_change<'a>(&'a self, ctx: &'a OpContext, event: AuditEvent) -> BoxFuture<'a, Result<(), PortError>> {
        self.record(ctx, event)
    }
}

pub struct Fixture {
    pub engine: Arc<Engine>,
    pub audit: Arc<Audit>,
    dir: TestDir,
}

impl Fixture {
    pub fn new(limits: Limits) -> Self {
        Self::at(TestDir::new(), limits, Outside::default())
    }

    /// An installation with other tables.
    pub fn with_tables(tables: MemoryTables) -> Self {
        Self::over(tables, TestDir::new(), Limits::default(), Outside::default())
    }

    /// An installation that lets queries read something outside the store.
    pub fn with_outside(outside: Outside) -> Self {
        Self::at(TestDir::new(), Limits::default(), outside)
    }

    /// The same installation after a restart.
    pub fn reopened(self, limits: Limits) -> Self {
        let Self { engine, audit: _, dir } = self;
        drop(engine);
        Self::at(dir, limits, Outside::default())
    }

    fn at(dir: TestDir, limits: Limits, outside: Outside) -> Self {
        let mut tables = MemoryTables::default();
        let own = [Column::new("Step", ColumnType::Long), Column::new("Text", ColumnType::String)];
        let schema = Arc::new(TableSchema::new(TableName::new("Steps_CL").unwrap(), own));
        let steps: ArrayRef = Arc::new(Int64Array::from_iter_values(0..STEPS));
        let texts: ArrayRef = Arc::new(StringArray::from_iter_values((0..STEPS).map(|n| format!("step {n}"))));
        tables.add(&schema, RecordBatch::try_from_iter([("Step", steps), ("Text", texts)]).unwrap());
        Self::over(tables, dir, limits, outside)
    }

    fn over(tables: MemoryTables, dir: TestDir, limits: Limits, outside: Outside) -> Self {
        let metastore = Metastore::open(&dir.join("meta.sqlite"), moneta_base::Timestamp::default()).unwrap();
        let objects = Objects::load(Arc::new(metastore)).unwrap();
        let audit = Arc::new(Audit::default());
        let (clock, metrics) = (Arc::new(FixedClock::default()), Arc::new(Metrics::new()));
        let engine =
            Engine::new(Arc::new(tables), Some(objects), outside, audit.clone(), clock, metrics, limits).unwrap();
        Self { engine: Arc::new(engine), audit, dir }
    }

    pub async fn run(&self, request: QueryRequest) -> Result<QueryAnswer, QueryError> {
        self.engine.query(&admin(), request).await
    }

    /// The rows of a query, one text a row.
    #[track_caller]
    pub fn rows(&self, request: QueryRequest) -> impl Future<Output = Vec<String>> + '_ {
        let text = request.text.clone();
        async move {
            let answer = self.run(request).await.unwrap_or_else(|error| panic!("{text}: {}", rendered(&error)));
            shown(&answer)
        }
    }
}

pub fn rendered(error: &QueryError) -> String {
    match error {
        QueryError::Invalid { rendered, .. } => rendered.clone(),
        other => other.to_string(),
    }
}

pub fn shown(answer: &QueryAnswer) -> Vec<String> {
    let row = |rows: &RecordBatch, row: usize| {
        let cells = rows.columns().iter().map(|array| array_value_to_string(array, row).unwrap());
        cells.collect::<Vec<_>>().join("|")
    };
    let batches = answer.tables.iter().flat_map(|table| &table.batches);
    batches.flat_map(|rows| (0..rows.num_rows()).map(|at| row(rows, at)).collect::<Vec<_>>()).collect()
}

pub fn kql(text: &str) -> QueryRequest {
    QueryRequest::new(text)
}

pub fn sql(text: &str) -> QueryRequest {
    QueryRequest { language: QueryLanguage::Sql, ..QueryRequest::new(text) }
}

pub fn admin() -> OpContext {
    OpContext::service("root")
}

pub fn reader() -> OpContext {
    OpContext { scopes: vec![Scope::Query], ..OpContext::service("ada") }
}
