//! The engine: from text to rows, one stage after the other, each of which can be printed.
//!
//! Queries run on threads of their own, so that one that never pauses holds up neither the interface nor ingest. Whoever
//! waits for an answer gets it, or the name of the limit, whatever those threads do.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, RecordBatch};
use datafusion::error::DataFusionError;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::{SessionState, SessionStateBuilder, TaskContext};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::{ExecutionPlan, SendableRecordBatchStream, displayable, execute_stream};
use futures::StreamExt;
use moneta_base::error::chain;
use moneta_base::{Clock, ErrorKind};
use moneta_event::{Column, TableSchema};
use moneta_kql::syntax::SyntaxTree;
use moneta_kql::{Diagnostic, Parse, render_diagnostics};
use moneta_kql_plan::functions::location::Locations;
use moneta_kql_plan::{BindOptions, BoundQuery, BoundResult, Value, assist, bind, bind_over_data, lower};
use moneta_ports::{
    AuditEvent, AuditSink, BoxFuture, EditorCompletion, EditorHover, MaterializedView, Metrics, OpContext, Outcome,
    QueryAnswer, QueryColumn, QueryDiagnostic, QueryEngine, QueryError, QueryLanguage, QueryRequest, QueryState,
    ResultTable, RowStream, Scope, Truncation, ViewStatus,
};
use moneta_store::rows_bytes;
use tokio::runtime::Handle;

use crate::Limits;
use crate::auditor::{Auditor, Details, read_details};
use crate::grouped::ComputeInScan;
use crate::limits::Spill;
use crate::memory::{ALL_QUERIES, QueryMemory, SharedMemory};
use crate::objects::tables::declare_all;
use crate::objects::{ObjectSet, Objects};
use crate::outside::Outside;
use crate::pauses::{Stop, stoppable};
use crate::recall::{self, Recall};
use crate::render::visualization;
use crate::running::{Ended, Lane, Running};
use crate::scan::{ScanCounters, UnreadableSegment};
use crate::snapshot::Snapshot;
use crate::tables::Tables;
use crate::views::{STATE_BYTES_MAX, ViewStates};
use crate::{sql, stream};

/// Name of the database that holds all tables.
pub(crate) const DATABASE: &str = "moneta";
/// Memory that a sort keeps back for merging what it spilled: a part of the least memory a query can have.
const SORT_RESERVE_BYTES: usize = 1 << 20;
/// Rows of a side of a join that is put into one table for all threads.
const JOIN_BUILD_ROWS_MAX: usize = 1 << 20;
/// Time between two looks for segments that materialised views have not seen.
const VIEWS_REFRESHED_EVERY: Duration = Duration::from_secs(2);
/// Stack of a thread that runs queries: plans are trees, and deep ones are walked by recursion.
const STACK_BYTES: usize = 8 << 20;
/// Code of a query that was stopped for what it uses.
const RUNAWAY: &str = "E_RUNAWAY_QUERY";
/// Code of a query that found no memory because others have it.
const LOW_MEMORY: &str = "E_LOW_MEMORY_CONDITION";
/// Code of a result that is too large.
const TOO_LARGE: &str = "E_QUERY_RESULT_SET_TOO_LARGE";

/// Answers queries over [`Tables`].
pub struct Engine {
    pub(crate) core: Arc<Core>,
    pub(crate) audit: Arc<dyn AuditSink>,
    auditor: Auditor,
    running: Arc<Running>,
    threads: Option<tokio::runtime::Runtime>,
}

/// What a query needs while it runs.
pub(crate) struct Core {
    pub(crate) tables: Arc<dyn Tables>,
    pub(crate) objects: Option<Objects>,
    pub(crate) outside: Outside,
    pub(crate) clock: Arc<dyn Clock>,
    limits: Limits,
    memory: Arc<SharedMemory>,
    pub(crate) session: SessionState,
    /// What is kept for materialised views.
    states: Arc<ViewStates>,
    /// What is kept of questions that come again.
    recall: Arc<Recall>,
}

impl Engine {
    /// An engine over tables; every query is audited before its answer is given.
    ///
    /// # Errors
    /// When DataFusion or its threads cannot be set up, or the directory for spilled rows cannot be emptied.
    pub fn new(
        tables: Arc<dyn Tables>,
        objects: Option<Objects>,
        outside: Outside,
        audit: Arc<dyn AuditSink>,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        limits: Limits,
    ) -> Result<Self, DataFusionError> {
        let disk = match &limits.spill {
            Some(spill) => spill_to(spill)?,
            None => DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled),
        };
        let runtime = RuntimeEnvBuilder::new().with_disk_manager_builder(disk).build_arc()?;
        let mut config = moneta_kql_plan::session_config()
            .with_information_schema(false)
            .with_batch_size(8_192)
            .with_sort_spill_reservation_bytes(SORT_RESERVE_BYTES);
        let optimizer = &mut config.options_mut().optimizer;
        // The rows of one side of a join can be all of a table: spreading them costs more than one table of the other.
        optimizer.hash_join_single_partition_threshold_rows = JOIN_BUILD_ROWS_MAX;
        // Such filters let no null pass, which joins here match.
        optimizer.enable_join_dynamic_filter_pushdown = false;
        optimizer.enable_aggregate_dynamic_filter_pushdown = false;
        if let Some(locator) = outside.locator() {
            config.options_mut().extensions.insert(Locations(locator));
        }
        let session = SessionStateBuilder::new()
            .with_config(config)
            .with_runtime_env(runtime)
            .with_query_planner(moneta_kql_plan::query_planner())
            .with_default_features()
            .with_physical_optimizer_rule(Arc::new(ComputeInScan))
            .build();
        let threads = tokio::runtime::Builder::new_multi_thread()
            .thread_name("query")
            .thread_stack_size(STACK_BYTES)
            .enable_all()
            .build()?;
        if let Some(objects) = &objects {
            declare_all(&*tables, objects.current().tables.values());
        }
        let running = Running::new(&limits);
        let memory = SharedMemory::new(limits.memory_bytes);
        let states = Arc::new(ViewStates::new(STATE_BYTES_MAX));
        let recall = Arc::new(Recall::new(recall::BYTES_MAX));
        let core = Arc::new(Core { tables, objects, outside, clock, limits, memory, session, states, recall });
        let auditor = Auditor { sink: audit.clone(), metrics };
        Ok(Self { core, audit, auditor, running, threads: Some(threads) })
    }

    async fn run(&self, ctx: &OpContext, request: &QueryRequest) -> Result<QueryAnswer, QueryError> {
        require_query_scope(ctx)?;
        let limits = &self.core.limits;
        let timeout = request.timeout.map_or(limits.timeout, |asked| asked.min(limits.timeout));
        let ticket = self.running.begin(ctx, request, self.core.clock.now())?;
        let work = async {
            let _turn = ticket.turn(Lane::Answer).await?;
            let (core, ctx, request) = (self.core.clone(), ctx.clone(), request.clone());
            self.on_own_threads(|stop| async move { core.answer(&ctx, &request, &stop).await }).await
        };
        let result = tokio::select! {
            result = work => result,
            by = ticket.stopped() => Err(QueryError::Cancelled(format!("the query was cancelled by {by}"))),
            () = tokio::time::sleep(timeout) => Err(timed_out(timeout)),
        };
        ticket.end(result.as_ref().map(|answer| Ended {
            num_rows: num_rows(answer),
            memory_peak_bytes: answer.memory_peak_bytes,
            bytes_read: answer.completeness.bytes_read,
            note: answer.truncated.as_ref().map(ToString::to_string).unwrap_or_default(),
        }));
        result
    }

    async fn columns_of(&self, ctx: &OpContext, request: &QueryRequest) -> Result<Vec<QueryColumn>, QueryError> {
        require_query_scope(ctx)?;
        let longest = self.core.limits.timeout;
        let limit = request.timeout.map_or(longest, |asked| asked.min(longest));
        let ticket = self.running.begin(ctx, request, self.core.clock.now())?;
        let work = async {
            let _turn = ticket.turn(Lane::Answer).await?;
            let (core, ctx, request) = (self.core.clone(), ctx.clone(), request.clone());
            self.on_own_threads(|stop| async move { core.columns(&ctx, &request, &stop).await }).await
        };
        let result = tokio::select! {
            result = work => result,
            by = ticket.stopped() => Err(QueryError::Cancelled(format!("the query was cancelled by {by}"))),
            () = tokio::time::sleep(limit) => Err(timed_out(limit)),
        };
        ticket.end(result.as_ref().map(|_| Ended::default()));
        result
    }

    async fn begin_stream(&self, ctx: &OpContext, request: QueryRequest) -> Result<Box<dyn RowStream>, QueryError> {
        let started = Instant::now();
        let begun = require_query_scope(ctx)
            .and_then(|()| Ok((self.threads()?, self.running.begin(ctx, &request, self.core.clock.now())?)));
        match begun {
            Ok((threads, ticket)) => {
                stream::begin(self.core.clone(), threads, self.auditor.clone(), ticket, ctx, request).await
            }
            Err(error) => {
                let elapsed = started.elapsed();
                self.auditor.ended(stream::BEGINS, ctx, &request, Err(&error), elapsed, Details::new()).await?;
                Err(error)
            }
        }
    }

    /// Aggregates what was sealed since for the materialised views, and forgets what is gone.
    ///
    /// # Errors
    /// When a segment cannot be read. The views stay right: their queries read it themselves, and fail likewise.
    pub async fn refresh_views(&self) -> Result<(), QueryError> {
        let core = self.core.clone();
        self.on_own_threads(|stop| async move { core.refresh_views(&stop).await }).await
    }

    /// From now on, aggregates for the materialised views what is sealed, soon after it is.
    pub fn keep_views_ready(&self) {
        let (core, Some(threads)) = (Arc::downgrade(&self.core), &self.threads) else { return };
        threads.spawn(async move {
            loop {
                tokio::time::sleep(VIEWS_REFRESHED_EVERY).await;
                let Some(core) = core.upgrade() else { return };
                if let Err(error) = core.refresh_views(&Stop::default()).await {
                    tracing::error!(%error, "materialized views are not ready; queries over them aggregate themselves");
                }
            }
        });
    }

    fn threads(&self) -> Result<Handle, QueryError> {
        let stopped = || failed(ErrorKind::Internal, "the query engine has stopped".to_owned());
        self.threads.as_ref().map(|threads| threads.handle().clone()).ok_or_else(stopped)
    }

    /// Runs something on the threads for queries; stops it when the caller no longer waits.
    async fn on_own_threads<T: Send + 'static, F: Future<Output = Result<T, QueryError>> + Send + 'static>(
        &self,
        work: impl FnOnce(Stop) -> F,
    ) -> Result<T, QueryError> {
        on_threads(&self.threads()?, work).await
    }
}

/// Runs something on threads for queries; stops it when the caller no longer waits.
pub(crate) async fn on_threads<T: Send + 'static, F: Future<Output = Result<T, QueryError>> + Send + 'static>(
    threads: &Handle,
    work: impl FnOnce(Stop) -> F,
) -> Result<T, QueryError> {
    let stop = Stop::default();
    let mut task = StopWhenDropped(threads.spawn(work(stop.clone())), stop);
    match (&mut task.0).await {
        Ok(result) => result,
        Err(error) => Err(failed(ErrorKind::Internal, format!("a query broke off: {error}"))),
    }
}

impl Drop for Engine {
    /// A query that does not pause must not hold up whoever lets go of the engine.
    fn drop(&mut self) {
        if let Some(threads) = self.threads.take() {
            threads.shutdown_background();
        }
    }
}

/// A task that ends with whoever waits for it.
struct StopWhenDropped<T>(tokio::task::JoinHandle<T>, Stop);

impl<T> Drop for StopWhenDropped<T> {
    fn drop(&mut self) {
        self.1.set();
        self.0.abort();
    }
}

/// Empties the directory for spilled rows: what the last run left there is of no use.
fn spill_to(spill: &Spill) -> Result<DiskManagerBuilder, DataFusionError> {
    if spill.directory.exists() {
        std::fs::remove_dir_all(&spill.directory)?;
    }
    std::fs::create_dir_all(&spill.directory)?;
    let mode = DiskManagerMode::Directories(vec![spill.directory.clone()]);
    Ok(DiskManagerBuilder::default().with_mode(mode).with_max_temp_directory_size(spill.bytes_max))
}

/// One result to be run: its plan, and the columns it is shown with.
pub(crate) struct Planned {
    pub(crate) logical: LogicalPlan,
    pub(crate) columns: Vec<Column>,
    visualization: Option<serde_json::Value>,
}

/// A query that can be run.
pub(crate) struct Prepared {
    /// What it was read as; SQL is read by DataFusion.
    read: Option<(SyntaxTree, BoundQuery)>,
    pub(crate) results: Vec<Planned>,
    pub(crate) options: Options,
    pub(crate) snapshot: Snapshot,
    pub(crate) warnings: Vec<QueryDiagnostic>,
}

/// What the text itself sets, where it can.
#[derive(Default)]
pub(crate) struct Options {
    no_truncation: bool,
    take: Option<usize>,
    rows: Option<usize>,
    bytes: Option<usize>,
    memory: Option<usize>,
}

impl Options {
    fn of(query: &BoundQuery) -> Self {
        let number = |name: &str| match query.option(name) {
            Some(Some(Value::Long(number))) => usize::try_from(*number).ok(),
            _ => None,
        };
        Self {
            no_truncation: query.option("notruncation").is_some(),
            take: number("query_take_max_records"),
            rows: number("truncationmaxrecords"),
            bytes: number("truncationmaxsize"),
            memory: number("maxmemoryconsumptionperqueryperiterator"),
        }
    }
}

impl Core {
    pub(crate) fn object_set(&self) -> Arc<ObjectSet> {
        self.objects.as_ref().map(Objects::current).unwrap_or_default()
    }

    /// The tables and objects of now.
    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot::new(self.tables.clone(), self.object_set(), self.outside.clone()).with_states(&self.states)
    }

    /// A view and how far it is ready.
    pub(crate) fn view_status(&self, view: &MaterializedView) -> ViewStatus {
        let mut status = ViewStatus { view: view.clone(), ..ViewStatus::default() };
        if let Some(found) = self.snapshot().view(&view.name) {
            let column = |column: &Column| (column.name.to_string(), column.column_type.name().to_owned());
            status.columns = found.bound.relation.columns.iter().map(column).collect();
            status.segments = found.segments().len();
            status.segments_ready = status.segments - found.missing().len();
        }
        status
    }

    async fn refresh_views(&self, stop: &Stop) -> Result<(), QueryError> {
        let (snapshot, mut living) = (self.snapshot(), HashMap::new());
        let memory = QueryMemory::new(&self.memory, self.limits.memory_per_query_bytes, stop);
        for view in self.object_set().views.keys().filter_map(|name| snapshot.view(name)) {
            living.insert(view.id.clone(), view.segments());
            for segment in view.missing() {
                if !view.keep(segment, &self.session, self.task(&memory)?).await.map_err(plan_failed)? {
                    tracing::warn!(view = %view.id, "there is no room to keep more for materialized views");
                    break;
                }
            }
        }
        self.states.retain(&living);
        Ok(())
    }

    async fn answer(&self, ctx: &OpContext, request: &QueryRequest, stop: &Stop) -> Result<QueryAnswer, QueryError> {
        let started = Instant::now();
        let (prepared, memory) = self.prepare_with_memory(ctx, request, stop).await?;
        let limits = ResultLimits::new(&self.limits, request, &prepared.options);
        let (mut tables, mut truncated) = (Vec::new(), None);
        for (index, planned) in prepared.results.iter().enumerate() {
            let counters = &prepared.snapshot.counters;
            let batches = match request.takes_partial {
                true => self.readable_rows_of(planned, counters, &memory, &limits, &mut truncated).await?,
                false => self.rows_of(planned, &memory, &limits, &mut truncated).await?,
            };
            let name = if index == 0 { "PrimaryResult".to_owned() } else { format!("PrimaryResult_{index}") };
            tables.push(result_table(name, &planned.columns, batches)?);
            if truncated.is_some() {
                break;
            }
        }
        Ok(QueryAnswer {
            tables,
            visualization: prepared.results.last().and_then(|result| result.visualization.clone()),
            completeness: prepared.snapshot.counters.completeness(),
            warnings: prepared.warnings,
            truncated,
            elapsed: started.elapsed(),
            memory_peak_bytes: memory.peak(),
        })
    }

    /// Plans, and the memory they may run with.
    pub(crate) async fn prepare_with_memory(
        &self,
        ctx: &OpContext,
        request: &QueryRequest,
        stop: &Stop,
    ) -> Result<(Prepared, Arc<QueryMemory>), QueryError> {
        let bytes_max = request.memory_bytes.unwrap_or(usize::MAX).min(self.limits.memory_per_query_bytes);
        let memory = QueryMemory::new(&self.memory, bytes_max, stop);
        let prepared = self.prepare(ctx, request, Some(&memory)).await?;
        let memory = match prepared.options.memory {
            Some(asked) => QueryMemory::new(&self.memory, asked.min(memory.bytes_max()), stop),
            None => memory,
        };
        Ok((prepared, memory))
    }

    /// The rows of one result, without those of segments that cannot be read: they are named in the answer. Each time a
    /// scan finds some, the result is asked for anew without them, so that no part of them is in it.
    async fn readable_rows_of(
        &self,
        planned: &Planned,
        counters: &ScanCounters,
        memory: &Arc<QueryMemory>,
        limits: &ResultLimits,
        truncated: &mut Option<Truncation>,
    ) -> Result<Vec<RecordBatch>, QueryError> {
        let before = counters.completeness();
        loop {
            match self.rows_of(planned, memory, limits, truncated).await {
                Err(error) if !counters.leave_out_unreadable() => return Err(error),
                Err(error) => {
                    tracing::error!(%error, "a query goes on without a segment that cannot be read");
                    counters.count_from(&before);
                }
                rows => return rows,
            }
        }
    }

    /// The rows of one result. A join that does not fit into memory is planned again as one that spills.
    async fn rows_of(
        &self,
        planned: &Planned,
        memory: &Arc<QueryMemory>,
        limits: &ResultLimits,
        truncated: &mut Option<Truncation>,
    ) -> Result<Vec<RecordBatch>, QueryError> {
        let plan = self.physical_plan(&planned.logical, &self.session).await?;
        let mut rows = self.collect(plan.clone(), memory, limits).await?;
        if rows.cut.as_ref().is_some_and(|cut| self.could_spill(cut.code, &plan)) {
            let plan = self.physical_plan(&planned.logical, &self.session_that_spills()).await?;
            rows = self.collect(plan, memory, limits).await?;
        }
        *truncated = rows.cut;
        Ok(rows.batches)
    }

    /// Whether a plan that stopped at a limit of this code might do with rows put aside on disk.
    pub(crate) fn could_spill(&self, code: &str, plan: &Arc<dyn ExecutionPlan>) -> bool {
        code != TOO_LARGE && self.limits.spill.is_some() && joins_by_hash(plan)
    }

    /// What plans joins that can put rows aside.
    pub(crate) fn session_that_spills(&self) -> SessionState {
        let mut session = self.session.clone();
        session.config_mut().options_mut().optimizer.prefer_hash_join = false;
        session
    }

    /// Text to plans, over a snapshot of the tables it names.
    ///
    /// Columns that depend on data are looked for in the data if there is memory to read it with.
    async fn prepare(
        &self,
        ctx: &OpContext,
        request: &QueryRequest,
        memory: Option<&Arc<QueryMemory>>,
    ) -> Result<Prepared, QueryError> {
        let snapshot = self.snapshot().with_given(&request.given).map_err(plan_failed)?;
        let snapshot = snapshot.within(request.time_scope.clone());
        let snapshot = snapshot.with_recall(request.comes_again.then_some(&self.recall));
        match request.language {
            QueryLanguage::Kql => self.prepare_kql(ctx, request, snapshot, memory).await,
            QueryLanguage::Sql => self.prepare_sql(request, snapshot),
        }
    }

    async fn prepare_kql(
        &self,
        ctx: &OpContext,
        request: &QueryRequest,
        snapshot: Snapshot,
        memory: Option<&Arc<QueryMemory>>,
    ) -> Result<Prepared, QueryError> {
        let Parse { tree, mut diagnostics } = moneta_kql::parse(&request.text);
        let options = self.bind_options(ctx, request);
        let mut query = None;
        // A binder's findings on a text that does not parse would only repeat the parser's.
        if !diagnostics.iter().any(Diagnostic::is_error) {
            let tables = &snapshot;
            let (bound, findings) = match memory {
                Some(memory) => {
                    let probe = |probe: BoundResult| async move { self.probe(&probe, tables, memory).await };
                    bind_over_data(&tree, tables, &options, probe).await?
                }
                None => bind(&tree, tables, &options),
            };
            diagnostics.extend(findings);
            query = bound;
        }
        let Some(query) = query else { return Err(invalid(&request.text, &diagnostics)) };
        let mut results = Vec::with_capacity(query.results.len());
        for result in &query.results {
            let logical = lower(result, &snapshot).map_err(|error| failed(error.kind(), chain(&error)))?;
            let columns = result.relation.columns.to_vec();
            results.push(Planned { logical, columns, visualization: visualization(result.render.as_ref()) });
        }
        let (warnings, options) = (port_diagnostics(&diagnostics), Options::of(&query));
        Ok(Prepared { read: Some((tree, query)), results, options, snapshot, warnings })
    }

    pub(crate) fn bind_options(&self, ctx: &OpContext, request: &QueryRequest) -> BindOptions {
        BindOptions {
            now: request.now.unwrap_or_else(|| self.clock.now()),
            database: DATABASE.to_owned(),
            principal: ctx.actor.name.clone(),
            has_locations: self.outside.locator().is_some(),
            parameters: request.parameters.iter().cloned().collect::<BTreeMap<_, _>>(),
            found: Vec::new(),
        }
    }

    /// The rows that tell the columns of a call.
    async fn probe(
        &self,
        probe: &BoundResult,
        snapshot: &Snapshot,
        memory: &Arc<QueryMemory>,
    ) -> Result<Vec<RecordBatch>, QueryError> {
        let logical = lower(probe, snapshot).map_err(|error| failed(error.kind(), chain(&error)))?;
        let plan = self.physical_plan(&logical, &self.session).await?;
        let plan = stoppable(plan, memory.stop()).map_err(plan_failed)?;
        let task = self.task(memory)?;
        datafusion::physical_plan::collect(plan, task).await.map_err(plan_failed)
    }

    /// What a plan runs with: the query's own memory. Plans hold their functions and look none up by name.
    fn task(&self, memory: &Arc<QueryMemory>) -> Result<Arc<TaskContext>, QueryError> {
        let runtime = RuntimeEnvBuilder::from_runtime_env(self.session.runtime_env()).with_memory_pool(memory.clone());
        let runtime = runtime.build_arc().map_err(plan_failed)?;
        let config = self.session.config().clone();
        Ok(Arc::new(TaskContext::default().with_session_config(config).with_runtime(runtime)))
    }

    fn prepare_sql(&self, request: &QueryRequest, snapshot: Snapshot) -> Result<Prepared, QueryError> {
        let mut session = self.session.clone();
        let now = request.now.unwrap_or_else(|| self.clock.now());
        let now = arrow::temporal_conversions::timestamp_ns_to_datetime(now.as_nanos()).map(|time| time.and_utc());
        session.execution_props_mut().query_execution_start_time = now;
        let logical = sql::plan(&request.text, &snapshot, &session)
            .map_err(|diagnostic| invalid(&request.text, std::slice::from_ref(&diagnostic)))?;
        let columns = sql::columns(&logical);
        let results = vec![Planned { logical, columns, visualization: None }];
        Ok(Prepared { read: None, results, options: Options::default(), snapshot, warnings: Vec::new() })
    }

    pub(crate) async fn physical_plan(
        &self,
        logical: &LogicalPlan,
        session: &SessionState,
    ) -> Result<Arc<dyn ExecutionPlan>, QueryError> {
        let optimized = session.optimize(logical).map_err(plan_failed)?;
        session.query_planner().create_physical_plan(&optimized, session).await.map_err(plan_failed)
    }

    /// The batches of a plan as they are made.
    pub(crate) fn start(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        memory: &Arc<QueryMemory>,
    ) -> Result<SendableRecordBatchStream, QueryError> {
        let plan = stoppable(plan, memory.stop()).map_err(plan_failed)?;
        execute_stream(plan, self.task(memory)?).map_err(plan_failed)
    }

    /// The rows of a plan, up to the limits; a limit on the way ends them and is said.
    async fn collect(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        memory: &Arc<QueryMemory>,
        limits: &ResultLimits,
    ) -> Result<Collected, QueryError> {
        let mut stream = self.start(plan, memory)?;
        let mut collected = Collected::default();
        let (mut rows, mut bytes) = (0, 0);
        while let Some(batch) = stream.next().await {
            let batch = match batch.map_err(plan_failed) {
                Ok(batch) => batch,
                Err(QueryError::Limit { code, message }) => {
                    collected.cut = Some(Truncation { code, message });
                    break;
                }
                Err(error) => return Err(error),
            };
            bytes += rows_bytes(&batch);
            let kept = batch.num_rows().min(limits.rows - rows);
            rows += kept;
            collected.batches.push(batch.slice(0, kept));
            collected.cut = limits.exceeded(kept < batch.num_rows(), bytes);
            if collected.cut.is_some() || (limits.is_take && rows == limits.rows) {
                break;
            }
        }
        Ok(collected)
    }

    /// Every stage of a query, as name and text.
    async fn stages(&self, ctx: &OpContext, request: &QueryRequest) -> Result<Vec<(String, String)>, QueryError> {
        let prepared = self.prepare(ctx, request, None).await?;
        let mut stages = Vec::new();
        if let Some((tree, query)) = &prepared.read {
            stages.push(("syntax tree".to_owned(), tree.to_string()));
            stages.push(("bound query".to_owned(), query.to_string()));
        }
        for planned in &prepared.results {
            let optimized = self.session.optimize(&planned.logical).map_err(plan_failed)?;
            let physical = self.session.query_planner().create_physical_plan(&optimized, &self.session).await;
            let physical = displayable(&*physical.map_err(plan_failed)?).indent(false).to_string();
            stages.push(("logical plan".to_owned(), planned.logical.display_indent().to_string()));
            stages.push(("optimised plan".to_owned(), optimized.display_indent().to_string()));
            stages.push(("physical plan".to_owned(), physical));
        }
        Ok(stages)
    }
}

fn joins_by_hash(plan: &Arc<dyn ExecutionPlan>) -> bool {
    displayable(&**plan).indent(false).to_string().contains("HashJoinExec")
}

/// Rows, and why there are no more.
#[derive(Default)]
struct Collected {
    batches: Vec<RecordBatch>,
    cut: Option<Truncation>,
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
            let outcome = result.as_ref().map(|answer| Some(num_rows(answer)));
            let details =
                result.as_ref().map(|answer| read_details(answer.completeness.bytes_read, answer.memory_peak_bytes));
            let details = details.unwrap_or_default();
            self.auditor.ended("query.run", ctx, &request, outcome, started.elapsed(), details).await?;
            result
        })
    }

    fn stream<'a>(
        &'a self,
        ctx: &'a OpContext,
        request: QueryRequest,
    ) -> BoxFuture<'a, Result<Box<dyn RowStream>, QueryError>> {
        Box::pin(self.begin_stream(ctx, request))
    }

    fn columns<'a>(
        &'a self,
        ctx: &'a OpContext,
        request: QueryRequest,
    ) -> BoxFuture<'a, Result<Vec<QueryColumn>, QueryError>> {
        Box::pin(async move {
            let started = Instant::now();
            let result = self.columns_of(ctx, &request).await;
            let (outcome, elapsed) = (result.as_ref().map(|_| None), started.elapsed());
            self.auditor.ended("query.describe", ctx, &request, outcome, elapsed, Details::new()).await?;
            result
        })
    }

    fn explain<'a>(
        &'a self,
        ctx: &'a OpContext,
        request: QueryRequest,
    ) -> BoxFuture<'a, Result<Vec<(String, String)>, QueryError>> {
        Box::pin(async move {
            let started = Instant::now();
            let result = match require_query_scope(ctx) {
                Ok(()) => {
                    let (core, own, request) = (self.core.clone(), ctx.clone(), request.clone());
                    self.on_own_threads(|_| async move { core.stages(&own, &request).await }).await
                }
                Err(error) => Err(error),
            };
            let (outcome, elapsed) = (result.as_ref().map(|_| None), started.elapsed());
            self.auditor.ended("query.explain", ctx, &request, outcome, elapsed, Details::new()).await?;
            result
        })
    }

    fn schema(&self, ctx: &OpContext) -> Vec<Arc<TableSchema>> {
        if ctx.may(Scope::Query) { self.core.tables.schemas() } else { Vec::new() }
    }

    fn complete(&self, ctx: &OpContext, text: &str, offset: usize) -> Result<Vec<EditorCompletion>, QueryError> {
        require_query_scope(ctx)?;
        let completion = |found: assist::Completion| EditorCompletion {
            kind: found.kind.name(),
            label: found.label,
            detail: found.detail,
            insert: found.insert,
            start: found.replaces.start,
            end: found.replaces.end,
        };
        Ok(assist::complete(text, offset, &self.core.snapshot()).into_iter().map(completion).collect())
    }

    fn hover(&self, ctx: &OpContext, text: &str, offset: usize) -> Result<Option<EditorHover>, QueryError> {
        require_query_scope(ctx)?;
        let hover = |found: assist::Hover| EditorHover {
            start: found.span.start,
            end: found.span.end,
            title: found.title,
            text: found.text,
        };
        Ok(assist::hover(text, offset, &self.core.snapshot()).map(hover))
    }

    fn diagnose(&self, ctx: &OpContext, text: &str) -> Result<Vec<QueryDiagnostic>, QueryError> {
        require_query_scope(ctx)?;
        let Parse { tree, mut diagnostics } = moneta_kql::parse(text);
        if !diagnostics.iter().any(Diagnostic::is_error) {
            let options = self.core.bind_options(ctx, &QueryRequest::new(text));
            diagnostics.extend(bind(&tree, &self.core.snapshot(), &options).1);
        }
        Ok(port_diagnostics(&diagnostics))
    }

    fn queries(&self, ctx: &OpContext) -> Vec<QueryState> {
        if ctx.may(Scope::Query) { self.running.list(ctx) } else { Vec::new() }
    }

    fn cancel<'a>(&'a self, ctx: &'a OpContext, id: &'a str) -> BoxFuture<'a, Result<bool, QueryError>> {
        Box::pin(async move {
            require_query_scope(ctx)?;
            let found = self.running.cancel(ctx, id);
            let mut event = AuditEvent::success("query.cancel", "query", id);
            if !found {
                event.outcome = Outcome::Failure;
                event.reason = "no query of that id runs".to_owned();
            }
            let audited = self.audit.record(ctx, event).await;
            audited.map_err(|error| failed(error.kind, format!("the cancelling could not be audited: {error}")))?;
            Ok(found)
        })
    }
}

fn num_rows(answer: &QueryAnswer) -> u64 {
    answer.tables.iter().map(|table| table.num_rows() as u64).sum()
}

/// The limits of one result.
pub(crate) struct ResultLimits {
    pub(crate) rows: usize,
    bytes: usize,
    /// The rows are limited because the caller wants no more, which is no truncation.
    pub(crate) is_take: bool,
    unlimited: bool,
}

impl ResultLimits {
    /// Those that the request and the text set, and none of the engine's own.
    pub(crate) fn of_stream(request: &QueryRequest, options: &Options) -> Self {
        let none = Limits { rows_max: usize::MAX, result_bytes_max: usize::MAX, ..Limits::default() };
        Self::new(&none, request, options)
    }

    fn new(limits: &Limits, request: &QueryRequest, options: &Options) -> Self {
        let least = |all: [Option<usize>; 3]| all.into_iter().flatten().min();
        let unlimited = request.no_truncation || options.no_truncation;
        let wanted = least([options.take, request.rows_max, None]);
        let own = match unlimited {
            true => usize::MAX,
            false => least([options.rows, request.truncation_rows, Some(limits.rows_max)]).unwrap_or(usize::MAX),
        };
        let bytes = least([options.bytes, request.truncation_bytes, Some(limits.result_bytes_max)]);
        Self {
            rows: wanted.map_or(own, |wanted| wanted.min(own)),
            bytes: bytes.unwrap_or(usize::MAX),
            is_take: wanted.is_some_and(|wanted| wanted <= own),
            unlimited,
        }
    }

    /// Kusto's words for a result that is too large, if this one is.
    pub(crate) fn exceeded(&self, rows_left_out: bool, bytes: usize) -> Option<Truncation> {
        if self.unlimited {
            return None;
        }
        let (limit, unit, advice) = match () {
            () if rows_left_out && !self.is_take => (self.rows, "record count limit", "summarize, take fewer rows"),
            () if bytes > self.bytes => (self.bytes, "size limit in bytes", "project fewer columns, take fewer rows"),
            () => return None,
        };
        let message = format!("Query result set has exceeded the {unit} {limit}; {advice}, or set notruncation");
        Some(Truncation { code: TOO_LARGE, message })
    }
}

fn require_query_scope(ctx: &OpContext) -> Result<(), QueryError> {
    if ctx.may(Scope::Query) {
        return Ok(());
    }
    Err(QueryError::Denied(format!("{} may not run queries: it needs the scope `query`", ctx.actor.name)))
}

/// A result with its columns in the Arrow forms of their types.
fn result_table(name: String, columns: &[Column], batches: Vec<RecordBatch>) -> Result<ResultTable, QueryError> {
    let batches = batches.iter().map(|rows| aligned(rows, columns)).collect::<Result<_, _>>()?;
    Ok(ResultTable { name, columns: query_columns(columns), batches })
}

/// A batch of a result with its columns in the Arrow forms of their types.
pub(crate) fn aligned(rows: &RecordBatch, columns: &[Column]) -> Result<RecordBatch, QueryError> {
    let aligned = sql::as_texts(rows).and_then(|rows| align_by_position(&rows, columns));
    aligned.map_err(|error| failed(ErrorKind::Internal, error.to_string()))
}

/// Columns as callers see them.
pub(crate) fn query_columns(columns: &[Column]) -> Vec<QueryColumn> {
    let column = |column: &Column| QueryColumn { name: column.name.to_string(), column_type: column.column_type };
    columns.iter().map(column).collect()
}

/// Rows with their columns in the Arrow forms of these types, by position.
pub(crate) fn align_by_position(
    rows: &RecordBatch,
    columns: &[Column],
) -> Result<RecordBatch, arrow::error::ArrowError> {
    let fields: Vec<_> =
        columns.iter().map(|column| column.column_type.computed_field(&column.name).with_nullable(true)).collect();
    let cast = |(array, field): (&ArrayRef, &arrow::datatypes::Field)| arrow::compute::cast(array, field.data_type());
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
        is_error: diagnostic.is_error(),
    };
    diagnostics.iter().map(port).collect()
}

pub(crate) fn timed_out(timeout: Duration) -> QueryError {
    let message = format!(
        "the query ran longer than {} s (query.timeout_seconds, or less by the request); narrow the time range or \
             summarise earlier",
        timeout.as_secs()
    );
    QueryError::Limit { code: "E_QUERY_TIMEOUT", message }
}

pub(crate) fn plan_failed(error: DataFusionError) -> QueryError {
    let root = error.find_root();
    let text = root.to_string();
    match root {
        DataFusionError::ResourcesExhausted(message) => out_of_memory(message),
        // The disk manager says so as an error of input and output.
        _ if text.contains("max_temp_directory_size") => QueryError::Limit {
            code: RUNAWAY,
            message: "Runaway query: the rows it put aside are more than query.spill_bytes_max; filter or summarise \
                      earlier"
                .to_owned(),
        },
        DataFusionError::External(source) if source.downcast_ref::<UnreadableSegment>().is_some() => failed(
            ErrorKind::Internal,
            format!("a segment cannot be read, so the answer would be incomplete: {source}"),
        ),
        DataFusionError::Execution(message) => failed(ErrorKind::Caller, message.clone()),
        _ => failed(ErrorKind::Internal, text),
    }
}

/// Kusto's code for the limit that was hit.
fn out_of_memory(message: &str) -> QueryError {
    if message.contains(ALL_QUERIES) {
        let message = format!("Query execution lacks memory resources to complete: {message}; try again later");
        return QueryError::Limit { code: LOW_MEMORY, message };
    }
    let message =
        format!("Runaway query: it needs more memory than it may use: {message}; filter or summarise earlier");
    QueryError::Limit { code: RUNAWAY, message }
}

fn invalid(text: &str, diagnostics: &[Diagnostic]) -> QueryError {
    let rendered = render_diagnostics(text, diagnostics);
    QueryError::Invalid { diagnostics: port_diagnostics(diagnostics), rendered }
}

pub(crate) fn failed(kind: ErrorKind, message: String) -> QueryError {
    QueryError::Failed { kind, message }
}
