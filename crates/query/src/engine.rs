//! The engine: from text to rows, one stage after the other, each of which can be printed.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use datafusion::catalog::TableProvider;
use datafusion::error::DataFusionError;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::physical_plan::{ExecutionPlan, displayable, execute_stream};
use futures::StreamExt;
use moneta_base::{Clock, ErrorKind, TableName};
use moneta_event::{Column, TableSchema};
use moneta_kql::{Diagnostic, Parse, render_diagnostics};
use moneta_kql_plan::assist;
use moneta_kql_plan::{
    BindOptions, BoundQuery, BoundResult, Catalog, TableProviderSource, Value, bind, bind_over_data, lower,
};
use moneta_ports::{
    AuditEvent, AuditSink, BoxFuture, EditorCompletion, EditorHover, Metric, Metrics, OpContext, Outcome, QueryAnswer,
    QueryColumn, QueryDiagnostic, QueryEngine, QueryError, QueryRequest, ResultTable, Scope,
};
use tokio::sync::Semaphore;

use crate::Limits;
use crate::grouped::ComputeInScan;
use crate::render::visualization;
use crate::scan::{ScanCounters, ScanTable, ScanUnit, UnreadableSegment};
use crate::tables::Tables;

/// Name of the database that holds all tables.
const DATABASE: &str = "moneta";

/// Answers queries over [`Tables`].
pub struct Engine {
    tables: Arc<dyn Tables>,
    audit: Arc<dyn AuditSink>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    limits: Limits,
    running: Semaphore,
    session: SessionState,
}

impl Engine {
    /// An engine over tables; every query is audited before its answer is given.
    ///
    /// # Errors
    /// When DataFusion cannot be set up.
    pub fn new(
        tables: Arc<dyn Tables>,
        audit: Arc<dyn AuditSink>,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        limits: Limits,
    ) -> Result<Self, DataFusionError> {
        let runtime = RuntimeEnvBuilder::new().with_memory_limit(limits.memory_bytes, 1.0).build_arc()?;
        let config = moneta_kql_plan::session_config().with_information_schema(false).with_batch_size(8_192);
        let session = SessionStateBuilder::new()
            .with_config(config)
            .with_runtime_env(runtime)
            .with_query_planner(moneta_kql_plan::query_planner())
            .with_default_features()
            .with_physical_optimizer_rule(Arc::new(ComputeInScan))
            .build();
        let running = Semaphore::new(limits.concurrency.max(1));
        Ok(Self { tables, audit, clock, metrics, limits, running, session })
    }

    async fn run(&self, ctx: &OpContext, request: &QueryRequest) -> Result<QueryAnswer, QueryError> {
        require_query_scope(ctx)?;
        let timeout = request.timeout.map_or(self.limits.timeout, |asked| asked.min(self.limits.timeout));
        let answer = tokio::time::timeout(timeout, self.answer(ctx, request)).await;
        answer.unwrap_or_else(|_| Err(timed_out(timeout)))
    }

    async fn answer(&self, ctx: &OpContext, request: &QueryRequest) -> Result<QueryAnswer, QueryError> {
        let started = Instant::now();
        let _turn = self.running.acquire().await.map_err(|error| failed(ErrorKind::Internal, error.to_string()))?;
        let prepared = self.prepare(ctx, request, Data::Read).await?;
        let limits = ResultLimits::new(&self.limits, request, &prepared.query);
        let (mut tables, mut truncated) = (Vec::new(), None);
        for (index, result) in prepared.query.results.iter().enumerate() {
            let plan = self.physical_plan(result, &prepared.snapshot).await?;
            let batches = self.collect(plan, &limits, &mut truncated).await?;
            let name = if index == 0 { "PrimaryResult".to_owned() } else { format!("PrimaryResult_{index}") };
            tables.push(result_table(name, result, batches)?);
        }
        Ok(QueryAnswer {
            tables,
            visualization: prepared.query.results.last().and_then(|result| visualization(result.render.as_ref())),
            completeness: prepared.snapshot.counters.completeness(),
            warnings: prepared.warnings,
            truncated,
            elapsed: started.elapsed(),
        })
    }

    fn bind_options(&self, ctx: &OpContext, request: &QueryRequest) -> BindOptions {
        BindOptions {
            now: request.now.unwrap_or_else(|| self.clock.now()),
            database: DATABASE.to_owned(),
            principal: ctx.actor.name.clone(),
            has_locations: false,
            parameters: request.parameters.iter().cloned().collect::<BTreeMap<_, _>>(),
            found: Vec::new(),
        }
    }

    /// Text to bound query, over a snapshot of the tables it names. Columns that depend on data are looked for in the
    /// data if the caller may read it.
    async fn prepare(&self, ctx: &OpContext, request: &QueryRequest, data: Data) -> Result<Prepared, QueryError> {
        let Parse { tree, mut diagnostics } = moneta_kql::parse(&request.text);
        let snapshot = Snapshot::new(self.tables.clone());
        let options = self.bind_options(ctx, request);
        let mut query = None;
        // A binder's findings on a text that does not parse would only repeat the parser's.
        if !diagnostics.iter().any(Diagnostic::is_error) {
            let tables = &snapshot;
            let probe = |probe: BoundResult| async move { self.probe(&probe, tables).await };
            let (bound, findings) = match data {
                Data::Read => bind_over_data(&tree, tables, &options, probe).await?,
                Data::Untouched => bind(&tree, tables, &options),
            };
            diagnostics.extend(findings);
            query = bound;
        }
        match query {
            Some(query) => {
                Ok(Prepared { tree: tree.to_string(), query, snapshot, warnings: port_diagnostics(&diagnostics) })
            }
            None => {
                let rendered = render_diagnostics(&request.text, &diagnostics);
                Err(QueryError::Invalid { diagnostics: port_diagnostics(&diagnostics), rendered })
            }
        }
    }

    /// The rows that tell the columns of a call.
    async fn probe(&self, probe: &BoundResult, snapshot: &Snapshot) -> Result<Vec<RecordBatch>, QueryError> {
        let plan = self.physical_plan(probe, snapshot).await?;
        datafusion::physical_plan::collect(plan, self.session.task_ctx()).await.map_err(plan_failed)
    }

    async fn physical_plan(
        &self,
        result: &BoundResult,
        snapshot: &Snapshot,
    ) -> Result<Arc<dyn ExecutionPlan>, QueryError> {
        let logical = lower(result, snapshot).map_err(|error| failed(error.kind(), chain(&error)))?;
        let optimized = self.session.optimize(&logical).map_err(plan_failed)?;
        self.session.query_planner().create_physical_plan(&optimized, &self.session).await.map_err(plan_failed)
    }

    /// The rows of a plan, up to the limits.
    async fn collect(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        limits: &ResultLimits,
        truncated: &mut Option<String>,
    ) -> Result<Vec<RecordBatch>, QueryError> {
        let mut stream = execute_stream(plan, self.session.task_ctx()).map_err(plan_failed)?;
        let (mut batches, mut rows, mut bytes) = (Vec::new(), 0, 0);
        while let Some(batch) = stream.next().await {
            let batch = batch.map_err(plan_failed)?;
            bytes += batch.get_array_memory_size();
            let kept = batch.num_rows().min(limits.rows - rows);
            rows += kept;
            batches.push(batch.slice(0, kept));
            *truncated = limits.exceeded(kept < batch.num_rows(), bytes);
            if truncated.is_some() || (limits.is_take && rows == limits.rows) {
                break;
            }
        }
        Ok(batches)
    }

    async fn audit(
        &self,
        ctx: &OpContext,
        request: &QueryRequest,
        result: &Result<QueryAnswer, QueryError>,
        elapsed: Duration,
    ) -> Result<(), QueryError> {
        let mut event = AuditEvent::success("query.run", "query", "");
        event.query_text.clone_from(&request.text);
        event.duration_ms = u64::try_from(elapsed.as_millis()).ok();
        match result {
            Ok(answer) => event.row_count = Some(answer.tables.iter().map(|table| table.num_rows() as u64).sum()),
            Err(error) => {
                event.outcome = if matches!(error, QueryError::Denied(_)) { Outcome::Denied } else { Outcome::Failure };
                event.reason = error.to_string();
            }
        }
        self.metrics.add_labelled(Metric::QueryRuns, event.outcome.name(), 1);
        self.metrics.add(Metric::QueryRows, event.row_count.unwrap_or(0));
        self.metrics.observe(Metric::QueryDuration, elapsed);
        self.audit.record(ctx, event).await.map_err(|error| {
            failed(error.kind, format!("the query could not be audited, so it is not answered: {error}"))
        })
    }

    /// Every stage of a query, as name and text.
    async fn stages(&self, ctx: &OpContext, request: &QueryRequest) -> Result<Vec<(String, String)>, QueryError> {
        require_query_scope(ctx)?;
        let prepared = self.prepare(ctx, request, Data::Untouched).await?;
        let mut stages = vec![
            ("syntax tree".to_owned(), prepared.tree.clone()),
            ("bound query".to_owned(), prepared.query.to_string()),
        ];
        for result in &prepared.query.results {
            let logical = lower(result, &prepared.snapshot).map_err(|error| failed(error.kind(), chain(&error)))?;
            let optimized = self.session.optimize(&logical).map_err(plan_failed)?;
            let physical = self
                .session
                .query_planner()
                .create_physical_plan(&optimized, &self.session)
                .await
                .map_err(plan_failed)?;
            stages.push(("logical plan".to_owned(), logical.display_indent().to_string()));
            stages.push(("optimised plan".to_owned(), optimized.display_indent().to_string()));
            stages.push(("physical plan".to_owned(), displayable(&*physical).indent(false).to_string()));
        }
        Ok(stages)
    }
}

impl QueryEngine for Engine {
    fn query<'a>(
        &'a self,
        ctx: &'a OpContext,
        request: QueryRequest,
    ) -> BoxFuture<'a, Result<QueryAnswer, QueryError>> {
        Box::pin(async move {
            let started = Instant::now();
            let result = self.run(ctx, &request).await;
            self.audit(ctx, &request, &result, started.elapsed()).await?;
            result
        })
    }

    fn explain<'a>(
        &'a self,
        ctx: &'a OpContext,
        request: QueryRequest,
    ) -> BoxFuture<'a, Result<Vec<(String, String)>, QueryError>> {
        Box::pin(async move { self.stages(ctx, &request).await })
    }

    fn schema(&self, ctx: &OpContext) -> Vec<Arc<TableSchema>> {
        if ctx.may(Scope::Query) { self.tables.schemas() } else { Vec::new() }
    }

    fn complete(&self, ctx: &OpContext, text: &str, offset: usize) -> Result<Vec<EditorCompletion>, QueryError> {
        require_query_scope(ctx)?;
        let found = assist::complete(text, offset, &Snapshot::new(self.tables.clone()));
        let completion = |found: assist::Completion| EditorCompletion {
            kind: found.kind.name(),
            label: found.label,
            detail: found.detail,
            insert: found.insert,
            start: found.replaces.start,
            end: found.replaces.end,
        };
        Ok(found.into_iter().map(completion).collect())
    }

    fn hover(&self, ctx: &OpContext, text: &str, offset: usize) -> Result<Option<EditorHover>, QueryError> {
        require_query_scope(ctx)?;
        let found = assist::hover(text, offset, &Snapshot::new(self.tables.clone()));
        let hover = |found: assist::Hover| EditorHover {
            start: found.span.start,
            end: found.span.end,
            title: found.title,
            text: found.text,
        };
        Ok(found.map(hover))
    }

    fn diagnose(&self, ctx: &OpContext, text: &str) -> Result<Vec<QueryDiagnostic>, QueryError> {
        require_query_scope(ctx)?;
        let Parse { tree, mut diagnostics } = moneta_kql::parse(text);
        if !diagnostics.iter().any(Diagnostic::is_error) {
            let options = self.bind_options(ctx, &QueryRequest::new(text));
            diagnostics.extend(bind(&tree, &Snapshot::new(self.tables.clone()), &options).1);
        }
        Ok(port_diagnostics(&diagnostics))
    }
}

/// Whether binding may read rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Data {
    /// Where columns depend on it.
    Read,
    /// Never: for stages that are shown and not run.
    Untouched,
}

/// A query that can be planned.
struct Prepared {
    tree: String,
    query: BoundQuery,
    snapshot: Snapshot,
    warnings: Vec<QueryDiagnostic>,
}

/// The columns and pieces of a table at the moment it was first named.
type TakenTable = (Arc<TableSchema>, Vec<ScanUnit>);

/// The tables a query names, each taken once: binder and scan see the same moment.
struct Snapshot {
    tables: Arc<dyn Tables>,
    taken: Mutex<HashMap<String, Option<TakenTable>>>,
    counters: Arc<ScanCounters>,
}

impl Snapshot {
    fn new(tables: Arc<dyn Tables>) -> Self {
        Self { tables, taken: Mutex::default(), counters: Arc::default() }
    }

    fn with<T>(&self, table: &str, read: impl FnOnce(&TakenTable) -> T) -> Option<T> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let take = || TableName::new(table).ok().and_then(|name| self.tables.snapshot(&name));
        taken.entry(table.to_owned()).or_insert_with(take).as_ref().map(read)
    }
}

impl Catalog for Snapshot {
    fn columns(&self, table: &str) -> Option<Arc<[Column]>> {
        self.with(table, |(schema, _)| schema.columns().into())
    }

    fn table_names(&self) -> Vec<String> {
        self.tables.schemas().iter().map(|schema| schema.name().to_string()).collect()
    }
}

impl TableProviderSource for Snapshot {
    fn provider(&self, table: &str) -> Option<Arc<dyn TableProvider>> {
        self.with(table, |(schema, units)| {
            Arc::new(ScanTable::new(schema, units.clone(), self.counters.clone())) as Arc<dyn TableProvider>
        })
    }
}

/// The limits of one result.
struct ResultLimits {
    rows: usize,
    bytes: usize,
    /// The rows are limited because the caller wants no more, which is no truncation.
    is_take: bool,
    unlimited: bool,
}

impl ResultLimits {
    fn new(limits: &Limits, request: &QueryRequest, query: &BoundQuery) -> Self {
        let number = |name: &str| match query.option(name) {
            Some(Some(Value::Long(number))) => usize::try_from(*number).ok(),
            _ => None,
        };
        let unlimited = request.no_truncation || query.option("notruncation").is_some();
        let wanted = number("query_take_max_records").or(request.rows_max);
        let own = if unlimited {
            usize::MAX
        } else {
            number("truncationmaxrecords").map_or(limits.rows_max, |rows| rows.min(limits.rows_max))
        };
        let bytes =
            number("truncationmaxsize").map_or(limits.result_bytes_max, |bytes| bytes.min(limits.result_bytes_max));
        Self {
            rows: wanted.map_or(own, |wanted| wanted.min(own)),
            bytes,
            is_take: wanted.is_some_and(|wanted| wanted <= own),
            unlimited,
        }
    }

    /// Kusto's words for a result that is too large, if this one is.
    fn exceeded(&self, rows_left_out: bool, bytes: usize) -> Option<String> {
        if self.unlimited {
            return None;
        }
        if rows_left_out && !self.is_take {
            return Some(format!(
                "Query result set has exceeded the record count limit {} (E_QUERY_RESULT_SET_TOO_LARGE); summarize, take fewer rows, or set notruncation",
                self.rows
            ));
        }
        let message = || {
            format!(
                "Query result set has exceeded the size limit {} bytes (E_QUERY_RESULT_SET_TOO_LARGE); project fewer columns, take fewer rows, or set notruncation",
                self.bytes
            )
        };
        (bytes > self.bytes).then(message)
    }
}

fn require_query_scope(ctx: &OpContext) -> Result<(), QueryError> {
    if ctx.may(Scope::Query) {
        return Ok(());
    }
    Err(QueryError::Denied(format!("{} may not run queries: it needs the scope `query`", ctx.actor.name)))
}

/// A result with its columns in the Arrow forms of their types.
fn result_table(name: String, result: &BoundResult, batches: Vec<RecordBatch>) -> Result<ResultTable, QueryError> {
    let columns = &result.relation.columns;
    let aligned = batches.iter().map(|rows| align_by_position(rows, columns)).collect::<Result<Vec<_>, _>>();
    let batches = aligned.map_err(|error| failed(ErrorKind::Internal, error.to_string()))?;
    let columns = columns
        .iter()
        .map(|column| QueryColumn { name: column.name.to_string(), column_type: column.column_type })
        .collect();
    Ok(ResultTable { name, columns, batches })
}

fn align_by_position(rows: &RecordBatch, columns: &[Column]) -> Result<RecordBatch, arrow::error::ArrowError> {
    let fields: Vec<_> =
        columns.iter().map(|column| column.column_type.field(&column.name).with_nullable(true)).collect();
    let cast = |(array, field): (&arrow::array::ArrayRef, &arrow::datatypes::Field)| {
        arrow::compute::cast(array, field.data_type())
    };
    let arrays = rows.columns().iter().zip(&fields).map(cast).collect::<Result<Vec<_>, _>>()?;
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    RecordBatch::try_new_with_options(Arc::new(arrow::datatypes::Schema::new(fields)), arrays, &options)
}

fn port_diagnostics(diagnostics: &[Diagnostic]) -> Vec<QueryDiagnostic> {
    let port = |diagnostic: &Diagnostic| QueryDiagnostic {
        code: diagnostic.code.to_owned(),
        start: diagnostic.span.start,
        end: diagnostic.span.end,
        message: match &diagnostic.suggestion {
            Some(suggestion) => format!("{}; did you mean: {suggestion}", diagnostic.message),
            None => diagnostic.message.clone(),
        },
    };
    diagnostics.iter().map(port).collect()
}

fn timed_out(timeout: Duration) -> QueryError {
    let message =
        format!("the query ran longer than {} s; narrow the time range or summarise earlier", timeout.as_secs());
    QueryError::Limit { code: "E_QUERY_TIMEOUT", message }
}

fn plan_failed(error: DataFusionError) -> QueryError {
    match error.find_root() {
        DataFusionError::ResourcesExhausted(message) => QueryError::Limit {
            code: "E_RUNAWAY_QUERY",
            message: format!("the query needs more memory than it may use: {message}"),
        },
        DataFusionError::External(source) if source.downcast_ref::<UnreadableSegment>().is_some() => failed(
            ErrorKind::Internal,
            format!("a segment cannot be read, so the answer would be incomplete: {source}"),
        ),
        DataFusionError::Execution(message) => failed(ErrorKind::Caller, message.clone()),
        other => failed(ErrorKind::Internal, other.to_string()),
    }
}

fn failed(kind: ErrorKind, message: String) -> QueryError {
    QueryError::Failed { kind, message }
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let _ = write!(text, ": {cause}");
        source = cause.source();
    }
    text
}
