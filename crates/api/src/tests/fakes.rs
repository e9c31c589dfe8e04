//! Services that remember what they were asked and answer as the test wants.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrow::array::{
    ArrayRef, BooleanArray, DurationNanosecondArray, Float64Array, Int64Array, RecordBatch, StringArray,
    TimestampNanosecondArray,
};
use moneta_base::{ErrorKind, Seq, TableName, Timestamp};
use moneta_event::{Column, ColumnType, TableSchema};
use moneta_ports::operations::{
    ExportSelection, Hold, HoldRequest, PartState, ProofAnswer, ReplayReport, ReplaySelection, ScrubPolicy, ScrubTrial,
    Snapshot, Status, VerifyReport,
};
use moneta_ports::*;

#[derive(Default)]
pub(super) struct Fakes {
    pub(super) audit: Mutex<Vec<String>>,
    pub(super) submissions: Mutex<Vec<Submission>>,
    /// Errors the sink gives before it works.
    pub(super) refusals: Mutex<Vec<PortError>>,
    pub(super) stored: Mutex<HashMap<String, IngestReceipt>>,
    pub(super) queries: Mutex<Vec<(OpContext, QueryRequest)>>,
    pub(super) finished: Finished,
    pub(super) functions: Mutex<Vec<StoredFunction>>,
    pub(super) views: Mutex<Vec<ViewStatus>>,
    pub(super) declared: Mutex<Vec<(DeclaredTable, TableChange)>>,
    pub(super) mappings: Mutex<Vec<IngestionMapping>>,
    pub(super) saved: Mutex<Vec<SavedQuery>>,
    pub(super) uploads: Mutex<Vec<WatchlistUpload>>,
    pub(super) rules: Mutex<Vec<RuleFile>>,
    pub(super) disabled_rules: Mutex<Vec<String>>,
    pub(super) exceptions: Mutex<Vec<RuleException>>,
    pub(super) operations: Mutex<Vec<String>>,
    pub(super) incidents: Mutex<Vec<IncidentDetails>>,
    /// What was asked of incidents.
    pub(super) asked: Mutex<Vec<String>>,
    pub(super) not_ready: Mutex<Option<String>>,
}

const NOW: Timestamp = Timestamp::from_seconds(1_767_323_045);

impl AuditSink for Fakes {
    fn record<'a>(&'a self, ctx: &'a OpContext, event: AuditEvent) -> BoxFuture<'a, Result<(), PortError>> {
        self.audit.lock().unwrap().push(format!("{} {} {}", event.action, event.outcome.name(), ctx.client_address));
        Box::pin(async { Ok(()) })
    }

    fn record_change<'a>(&'a self, ctx: &'a OpContext, event: AuditEvent) -> BoxFuture<'a, Result<(), PortError>> {
        self.record(ctx, event)
    }
}

impl EventSink for Fakes {
    fn submit(&self, submission: Submission) -> BoxFuture<'_, Result<IngestReceipt, PortError>> {
        Box::pin(async move {
            if let Some(error) = self.refusals.lock().unwrap().pop() {
                return Err(error);
            }
            let key = submission.key.as_ref().map(|key| format!("{key:?}"));
            let mut stored = self.stored.lock().unwrap();
            if let Some(receipt) = key.as_ref().and_then(|key| stored.get(key)) {
                return Ok(IngestReceipt { duplicate: true, ..receipt.clone() });
            }
            let range = |batch: &moneta_event::ParsedBatch| StoredRange {
                table: batch.table.clone(),
                first_seq: 100,
                num_rows: batch.rows.num_rows() as u64,
            };
            let ranges = submission.batches.iter().map(range).collect();
            let receipt = IngestReceipt { ranges, duplicate: false, stored_at: NOW };
            if let Some(key) = key {
                stored.insert(key, receipt.clone());
            }
            self.submissions.lock().unwrap().push(submission);
            Ok(receipt)
        })
    }

    fn submit_for_receipt(&self, submission: Submission) -> BoxFuture<'_, Result<SignedAnswer, PortError>> {
        Box::pin(async move {
            let receipt = self.submit(submission).await?;
            let signed = format!("signed {} {}", receipt.ranges.len(), receipt.duplicate);
            Ok((receipt, Some(signed)))
        })
    }
}

/// Facts that streams ended with.
type Finished = Arc<Mutex<Vec<serde_json::Map<String, serde_json::Value>>>>;

struct Rows {
    columns: Vec<QueryColumn>,
    pieces: VecDeque<Result<RecordBatch, QueryError>>,
    finished: Finished,
}

impl RowStream for Rows {
    fn columns(&self) -> &[QueryColumn] {
        &self.columns
    }

    fn warnings(&self) -> &[QueryDiagnostic] {
        &[]
    }

    fn next(&mut self) -> BoxFuture<'_, Result<Option<RecordBatch>, QueryError>> {
        let next = self.pieces.pop_front().transpose();
        Box::pin(async { next })
    }

    fn finish(
        self: Box<Self>,
        details: serde_json::Map<String, serde_json::Value>,
    ) -> BoxFuture<'static, Result<(), QueryError>> {
        self.finished.lock().unwrap().push(details);
        Box::pin(async { Ok(()) })
    }
}

impl QueryEngine for Fakes {
    fn query<'a>(
        &'a self,
        ctx: &'a OpContext,
        request: QueryRequest,
    ) -> BoxFuture<'a, Result<QueryAnswer, QueryError>> {
        self.queries.lock().unwrap().push((ctx.clone(), request.clone()));
        Box::pin(async move { answer(&request.text) })
    }

    fn stream<'a>(
        &'a self,
        ctx: &'a OpContext,
        request: QueryRequest,
    ) -> BoxFuture<'a, Result<Box<dyn RowStream>, QueryError>> {
        self.queries.lock().unwrap().push((ctx.clone(), request.clone()));
        Box::pin(async move {
            let table = answer(&request.text)?.tables.remove(0);
            let mut pieces: VecDeque<_> = table.batches.into_iter().map(Ok).collect();
            match request.text.as_str() {
                "breaks" => pieces.push_back(Err(QueryError::Cancelled("somebody stopped it".to_owned()))),
                "empty" => pieces.clear(),
                _ => {}
            }
            let stream = Rows { columns: table.columns, pieces, finished: self.finished.clone() };
            Ok(Box::new(stream) as Box<dyn RowStream>)
        })
    }

    fn columns<'a>(
        &'a self,
        _: &'a OpContext,
        request: QueryRequest,
    ) -> BoxFuture<'a, Result<Vec<QueryColumn>, QueryError>> {
        Box::pin(async move { Ok(answer(&request.text)?.tables.remove(0).columns) })
    }

    fn explain<'a>(
        &'a self,
        _: &'a OpContext,
        request: QueryRequest,
    ) -> BoxFuture<'a, Result<Vec<(String, String)>, QueryError>> {
        Box::pin(async move {
            answer(&request.text)?;
            Ok(vec![("syntax tree".to_owned(), request.text)])
        })
    }

    fn schema(&self, _: &OpContext) -> Vec<Arc<TableSchema>> {
        let own = [Column::new("Score", ColumnType::Real), Column::new("Price", ColumnType::Decimal)];
        vec![Arc::new(TableSchema::new(TableName::new("Mine_CL").unwrap(), own))]
    }

    fn complete(&self, _: &OpContext, text: &str, offset: usize) -> Result<Vec<EditorCompletion>, QueryError> {
        let label = text[..offset].to_owned();
        let insert = format!("{label}!");
        Ok(vec![EditorCompletion { kind: "column", label, detail: "string".to_owned(), insert, start: 0, end: offset }])
    }

    fn hover(&self, _: &OpContext, text: &str, offset: usize) -> Result<Option<EditorHover>, QueryError> {
        let hover = || EditorHover { start: 0, end: offset, title: text.to_owned(), text: "a word".to_owned() };
        Ok((offset > 0).then(hover))
    }

    fn diagnose(&self, _: &OpContext, text: &str) -> Result<Vec<QueryDiagnostic>, QueryError> {
        let message = format!("wrong: {text}");
        Ok(vec![QueryDiagnostic { code: "SEM0100".to_owned(), start: 0, end: text.len(), message, is_error: true }])
    }

    fn queries(&self, _: &OpContext) -> Vec<QueryState> {
        Vec::new()
    }

    fn cancel<'a>(&'a self, _: &'a OpContext, id: &'a str) -> BoxFuture<'a, Result<bool, QueryError>> {
        Box::pin(async move { Ok(id == "known") })
    }
}

impl QueryObjects for Fakes {
    fn functions(&self) -> Vec<StoredFunction> {
        self.functions.lock().unwrap().clone()
    }

    fn function_columns(&self, _: &OpContext, _: &str) -> Vec<(String, String)> {
        vec![("n".to_owned(), "long".to_owned())]
    }

    fn put_function<'a>(
        &'a self,
        _: &'a OpContext,
        function: StoredFunction,
        _: CreateMode,
        _: bool,
    ) -> BoxFuture<'a, Result<StoredFunction, PortError>> {
        let mut functions = self.functions.lock().unwrap();
        functions.retain(|known| known.name != function.name);
        functions.push(function.clone());
        Box::pin(async { Ok(function) })
    }

    fn drop_function<'a>(&'a self, _: &'a OpContext, name: &'a str) -> BoxFuture<'a, Result<(), PortError>> {
        self.functions.lock().unwrap().retain(|function| function.name != name);
        Box::pin(async { Ok(()) })
    }

    fn views(&self) -> Vec<ViewStatus> {
        self.views.lock().unwrap().clone()
    }

    fn put_view<'a>(
        &'a self,
        _: &'a OpContext,
        view: MaterializedView,
        _: CreateMode,
    ) -> BoxFuture<'a, Result<ViewStatus, PortError>> {
        let columns = vec![("n".to_owned(), "long".to_owned())];
        let status = ViewStatus { view, columns, segments: 3, segments_ready: 2 };
        self.views.lock().unwrap().push(status.clone());
        Box::pin(async { Ok(status) })
    }

    fn drop_view<'a>(&'a self, _: &'a OpContext, name: &'a str) -> BoxFuture<'a, Result<(), PortError>> {
        self.views.lock().unwrap().retain(|status| status.view.name != name);
        Box::pin(async { Ok(()) })
    }

    fn declared_tables(&self) -> Vec<DeclaredTable> {
        self.declared.lock().unwrap().iter().map(|(table, _)| table.clone()).collect()
    }

    fn declare_table<'a>(
        &'a self,
        _: &'a OpContext,
        table: DeclaredTable,
        change: TableChange,
    ) -> BoxFuture<'a, Result<Arc<TableSchema>, PortError>> {
        let column = |(name, kind): &(String, String)| Column::new(name, ColumnType::parse(kind).unwrap());
        let name = TableName::new(&table.name).unwrap();
        let schema = TableSchema::new(name, table.columns.iter().map(column));
        self.declared.lock().unwrap().push((table, change));
        Box::pin(async move { Ok(Arc::new(schema)) })
    }

    fn describe_table<'a>(
        &'a self,
        _: &'a OpContext,
        name: &'a str,
        doc_string: Option<String>,
        folder: Option<String>,
    ) -> BoxFuture<'a, Result<Arc<TableSchema>, PortError>> {
        for (table, _) in self.declared.lock().unwrap().iter_mut().filter(|(table, _)| table.name == name) {
            table.doc_string = doc_string.clone().unwrap_or_else(|| table.doc_string.clone());
            table.folder = folder.clone().unwrap_or_else(|| table.folder.clone());
        }
        Box::pin(async move { Ok(Arc::new(TableSchema::custom(TableName::new(name).unwrap()))) })
    }

    fn withdraw_table<'a>(&'a self, _: &'a OpContext, name: &'a str) -> BoxFuture<'a, Result<(), PortError>> {
        self.declared.lock().unwrap().retain(|(table, _)| table.name != name);
        Box::pin(async { Ok(()) })
    }

    fn mappings(&self) -> Vec<IngestionMapping> {
        self.mappings.lock().unwrap().clone()
    }

    fn mapping(&self, table: &str, kind: MappingKind, name: &str) -> Option<IngestionMapping> {
        let is_it = |m: &IngestionMapping| m.table == table && m.kind == kind && m.name == name;
        self.mappings().into_iter().find(is_it)
    }

    fn put_mapping<'a>(
        &'a self,
        _: &'a OpContext,
        mapping: IngestionMapping,
        _: CreateMode,
    ) -> BoxFuture<'a, Result<IngestionMapping, PortError>> {
        self.mappings.lock().unwrap().push(mapping.clone());
        Box::pin(async { Ok(mapping) })
    }

    fn drop_mapping<'a>(
        &'a self,
        _: &'a OpContext,
        table: &'a str,
        kind: MappingKind,
        name: &'a str,
    ) -> BoxFuture<'a, Result<(), PortError>> {
        self.mappings.lock().unwrap().retain(|m| m.table != table || m.kind != kind || m.name != name);
        Box::pin(async { Ok(()) })
    }

    fn saved_queries(&self) -> Vec<SavedQuery> {
        self.saved.lock().unwrap().clone()
    }

    fn save_query<'a>(&'a self, _: &'a OpContext, query: SavedQuery) -> BoxFuture<'a, Result<SavedQuery, PortError>> {
        self.saved.lock().unwrap().push(query.clone());
        Box::pin(async { Ok(query) })
    }

    fn delete_query<'a>(&'a self, _: &'a OpContext, name: &'a str) -> BoxFuture<'a, Result<(), PortError>> {
        self.saved.lock().unwrap().retain(|query| query.name != name);
        Box::pin(async { Ok(()) })
    }

    fn watchlists(&self) -> Vec<Watchlist> {
        let watchlist = |upload: &WatchlistUpload| Watchlist { name: upload.name.clone(), ..Watchlist::default() };
        self.uploads.lock().unwrap().iter().map(watchlist).collect()
    }

    fn put_watchlist<'a>(
        &'a self,
        _: &'a OpContext,
        upload: WatchlistUpload,
    ) -> BoxFuture<'a, Result<Watchlist, PortError>> {
        let watchlist = Watchlist { name: upload.name.clone(), ..Watchlist::default() };
        self.uploads.lock().unwrap().push(upload);
        Box::pin(async { Ok(watchlist) })
    }

    fn delete_watchlist<'a>(&'a self, _: &'a OpContext, name: &'a str) -> BoxFuture<'a, Result<(), PortError>> {
        self.uploads.lock().unwrap().retain(|upload| upload.name != name);
        Box::pin(async { Ok(()) })
    }
}

fn answer(text: &str) -> Result<QueryAnswer, QueryError> {
    let failed = |kind| Err(QueryError::Failed { kind, message: format!("failed: {text}") });
    let mut answer = QueryAnswer {
        tables: vec![sample_table()],
        visualization: None,
        completeness: Completeness {
            segments_read: 2,
            segments_pruned: 3,
            rows_scanned: 7,
            bytes_read: 4_096,
            ..Default::default()
        },
        warnings: Vec::new(),
        truncated: None,
        elapsed: Duration::from_millis(250),
        memory_peak_bytes: 65_536,
    };
    match text {
        "T | where Nmae == 1" => {
            return Err(QueryError::Invalid {
                diagnostics: vec![QueryDiagnostic {
                    code: "SEM0100".to_owned(),
                    start: 10,
                    end: 14,
                    message: "there is no column `Nmae`; did you mean `Name`?".to_owned(),
                    is_error: true,
                }],
                rendered: "rendered".to_owned(),
            });
        }
        "runaway" => {
            return Err(QueryError::Limit { code: "E_RUNAWAY_QUERY", message: "it used 5 GB".to_owned() });
        }
        "denied" => return Err(QueryError::Denied("not yours".to_owned())),
        "busy" => return failed(ErrorKind::RETRY),
        "broken" => return failed(ErrorKind::Internal),
        "cut" => {
            let message = "the result has more than 2 rows".to_owned();
            answer.truncated = Some(Truncation { code: "E_QUERY_RESULT_SET_TOO_LARGE", message });
        }
        // A metric and, under a name that two series have, one that becomes the same without it.
        text if text.starts_with("InsightsMetrics") => answer.tables = vec![metrics(text)],
        "damaged" => answer.completeness.not_read = vec!["segment 7: bad checksum".to_owned()],
        "chart" => answer.visualization = Some(serde_json::json!({ "Visualization": "timechart" })),
        _ => {}
    }
    Ok(answer)
}

/// Samples of now and of 15 seconds ago.
fn metrics(query: &str) -> ResultTable {
    let column = |name: &str, column_type| QueryColumn { name: name.to_owned(), column_type };
    let text = |name: &str| column(name, ColumnType::String);
    let columns = vec![
        column("TimeGenerated", ColumnType::DateTime),
        text("Name"),
        text("Tags"),
        column("Val", ColumnType::Real),
    ];
    let name = if query.contains("'twice'") { "twice" } else { "up" };
    let tags = if name == "up" { [r#"{"job":"web","instance":"a"}"#; 2] } else { ["{}", r#"{"n":1}"#] };
    let times = [NOW.as_nanos(), NOW.as_nanos() - 15_000_000_000];
    let arrays: Vec<ArrayRef> = vec![
        Arc::new(TimestampNanosecondArray::from(times.to_vec()).with_timezone("UTC")),
        Arc::new(StringArray::from(vec![name; 2])),
        Arc::new(StringArray::from(tags.to_vec())),
        Arc::new(Float64Array::from(vec![1.0, 0.5])),
    ];
    let named = columns.iter().zip(arrays).map(|(column, array)| (column.name.clone(), array, true));
    let batches = vec![RecordBatch::try_from_iter_with_nullable(named).unwrap()];
    ResultTable { name: "PrimaryResult".to_owned(), columns, batches }
}

fn sample_table() -> ResultTable {
    let column = |name: &str, column_type| QueryColumn { name: name.to_owned(), column_type };
    let columns = vec![
        column("Time", ColumnType::DateTime),
        column("Name", ColumnType::String),
        column("Count", ColumnType::Long),
        column("Ratio", ColumnType::Real),
        column("Ok", ColumnType::Bool),
        column("Took", ColumnType::TimeSpan),
        column("Bag", ColumnType::Dynamic),
    ];
    let arrays: Vec<ArrayRef> = vec![
        Arc::new(TimestampNanosecondArray::from(vec![Some(1_767_323_045_123_456_700), None]).with_timezone("UTC")),
        Arc::new(StringArray::from(vec!["ada", ""])),
        Arc::new(Int64Array::from(vec![Some(9_007_199_254_740_993), None])),
        Arc::new(Float64Array::from(vec![Some(0.5), Some(f64::NAN)])),
        Arc::new(BooleanArray::from(vec![Some(true), None])),
        Arc::new(DurationNanosecondArray::from(vec![Some(93_784_000_000_500), None])),
        Arc::new(StringArray::from(vec![Some("{\"a\":[1,2]}"), None])),
    ];
    let named = columns.iter().zip(arrays).map(|(column, array)| (column.name.clone(), array, true));
    let batch = RecordBatch::try_from_iter_with_nullable(named).unwrap();
    // Two batches: the comma between them is part of the answer.
    let batches = vec![batch.slice(0, 1), batch.slice(1, 1)];
    ResultTable { name: "PrimaryResult".to_owned(), columns, batches }
}

impl RuleAdmin for Fakes {
    fn add<'a>(&'a self, _: &'a OpContext, files: Vec<RuleFile>) -> BoxFuture<'a, Result<RuleSetReport, PortError>> {
        let loaded = files.len();
        self.rules.lock().unwrap().extend(files);
        Box::pin(async move { Ok(RuleSetReport { loaded, ..RuleSetReport::default() }) })
    }

    fn check<'a>(&'a self, _: &'a OpContext, files: Vec<RuleFile>) -> BoxFuture<'a, Result<RuleSetReport, PortError>> {
        Box::pin(async move { Ok(RuleSetReport { num_tests: files.len(), ..RuleSetReport::default() }) })
    }

    fn add_pack<'a>(&'a self, _: &'a OpContext, pack: &'a [u8]) -> BoxFuture<'a, Result<RuleSetReport, PortError>> {
        let text = String::from_utf8_lossy(pack).into_owned();
        Box::pin(async move {
            match text.contains("signed") {
                true => Ok(RuleSetReport { loaded: 1, left: vec!["old".to_owned()], ..RuleSetReport::default() }),
                false => Err(PortError::new(ErrorKind::Caller, "the rule pack is not signed")),
            }
        })
    }

    fn tuning<'a>(
        &'a self,
        _: &'a OpContext,
        _: &'a str,
        judged: Vec<JudgedAlert>,
    ) -> BoxFuture<'a, Result<RuleTuning, PortError>> {
        let mut tuning = RuleTuning::default();
        judged.iter().for_each(|one| tuning.replayed.count(one.classification));
        Box::pin(async move { Ok(tuning) })
    }

    fn remove<'a>(&'a self, _: &'a OpContext, rule_id: &'a str) -> BoxFuture<'a, Result<(), PortError>> {
        self.rules.lock().unwrap().retain(|rule| rule.name != rule_id);
        Box::pin(async { Ok(()) })
    }

    fn set_enabled<'a>(
        &'a self,
        _: &'a OpContext,
        rule_id: &'a str,
        enabled: bool,
    ) -> BoxFuture<'a, Result<(), PortError>> {
        let mut disabled = self.disabled_rules.lock().unwrap();
        disabled.retain(|id| id != rule_id);
        disabled.extend((!enabled).then(|| rule_id.to_owned()));
        Box::pin(async { Ok(()) })
    }

    fn backfill<'a>(
        &'a self,
        _: &'a OpContext,
        selection: BackfillSelection,
    ) -> BoxFuture<'a, Result<BackfillReport, PortError>> {
        let num_rows = (selection.rule_ids.len() + 10 * selection.drafts.len()) as u64;
        let report = BackfillReport { num_rows, ..BackfillReport::default() };
        Box::pin(async move { Ok(report) })
    }

    fn exceptions(&self) -> Result<Vec<RuleException>, PortError> {
        Ok(self.exceptions.lock().unwrap().clone())
    }

    fn except<'a>(&'a self, ctx: &'a OpContext, new: NewException) -> BoxFuture<'a, Result<RuleException, PortError>> {
        let exception = RuleException {
            id: "e1".to_owned(),
            rule_id: new.rule_id,
            conditions: new.conditions,
            reason: new.reason,
            author: ctx.actor.name.clone(),
            created: NOW.to_string(),
            expires: new.expires.to_string(),
            active: true,
        };
        self.exceptions.lock().unwrap().push(exception.clone());
        Box::pin(async { Ok(exception) })
    }

    fn end_exception<'a>(&'a self, _: &'a OpContext, id: &'a str) -> BoxFuture<'a, Result<bool, PortError>> {
        Box::pin(async move { Ok(id == "e1") })
    }

    fn preview_exception<'a>(
        &'a self,
        _: &'a OpContext,
        _: &'a str,
        conditions: Vec<ExceptionCondition>,
        _: (Option<Timestamp>, Option<Timestamp>),
    ) -> BoxFuture<'a, Result<ExceptionPreview, PortError>> {
        let num_excepted = conditions.len() as u64;
        Box::pin(async move { Ok(ExceptionPreview { num_excepted, ..ExceptionPreview::default() }) })
    }

    fn explain<'a>(
        &'a self,
        _: &'a OpContext,
        rule_id: &'a str,
        table: TableName,
        seq: Seq,
    ) -> BoxFuture<'a, Result<Option<EventExplanation>, PortError>> {
        let lines = vec![format!("{rule_id} {table} {seq}")];
        let explanation = EventExplanation { holds: true, lines, explanation: serde_json::Value::Null };
        Box::pin(async move { Ok((seq == 0).then_some(explanation)) })
    }

    fn source(&self, rule_id: &str) -> Result<Option<RuleSource>, PortError> {
        let rules = self.rules.lock().unwrap();
        let source = |rule: &RuleFile| RuleSource {
            file: rule.name.clone(),
            text: rule.text.clone(),
            added_by: "ada".to_owned(),
            added_at: NOW.to_string(),
            pack: None,
        };
        Ok(rules.iter().find(|rule| rule.name == rule_id).map(source))
    }

    fn list(&self) -> Vec<RuleSummary> {
        let summary = |file: &RuleFile| RuleSummary {
            rule_id: file.name.clone(),
            title: file.text.clone(),
            level: "high".to_owned(),
            author: "Ada".to_owned(),
            log_source: String::new(),
            tables: Vec::new(),
            enabled: !self.disabled_rules.lock().unwrap().contains(&file.name),
            problem: None,
        };
        self.rules.lock().unwrap().iter().map(summary).collect()
    }
}

impl Incidents for Fakes {
    fn list(&self, filter: &IncidentFilter) -> Result<IncidentPage, PortError> {
        self.asked.lock().unwrap().push(format!("{filter:?}"));
        let incidents = self.incidents.lock().unwrap().iter().map(|one| one.incident.clone()).collect();
        Ok(IncidentPage { incidents, next: None })
    }

    fn get(&self, number: u64) -> Result<Option<IncidentDetails>, PortError> {
        Ok(self.incidents.lock().unwrap().iter().find(|one| one.incident.number == number).cloned())
    }

    fn change<'a>(
        &'a self,
        ctx: &'a OpContext,
        number: u64,
        version: Option<u64>,
        change: IncidentChange,
    ) -> BoxFuture<'a, Result<Incident, IncidentError>> {
        self.asked.lock().unwrap().push(format!("{} {version:?} {change:?}", ctx.actor.name));
        let mut incidents = self.incidents.lock().unwrap();
        let found = incidents.iter_mut().find(|one| one.incident.number == number);
        let result = match found {
            None => Err(IncidentError::NotFound(number)),
            Some(found) if version.is_some_and(|version| version != found.incident.version) => {
                Err(IncidentError::Conflict { number, version: found.incident.version })
            }
            Some(found) => {
                found.incident.version += 1;
                Ok(found.incident.clone())
            }
        };
        Box::pin(async { result })
    }

    fn risks(&self, since: Timestamp, limit: usize) -> Result<Vec<EntityRisk>, PortError> {
        self.asked.lock().unwrap().push(format!("risks {since} {limit}"));
        Ok(Vec::new())
    }

    fn judgements(&self, _: Option<&str>) -> Result<std::collections::BTreeMap<String, RuleJudgement>, PortError> {
        let mut judgement = RuleJudgement::default();
        judgement.count(Some(Classification::TruePositive));
        Ok([("r1".to_owned(), judgement)].into())
    }

    fn judged_alerts(&self, _: &str) -> Result<Vec<JudgedAlert>, PortError> {
        let alerts = self.incidents.lock().unwrap().iter().flat_map(|one| one.alerts.clone()).collect::<Vec<_>>();
        let judged = |alert| JudgedAlert { alert, classification: Some(Classification::FalsePositive) };
        Ok(alerts.into_iter().map(judged).collect())
    }
}

impl AlertChannels for Fakes {
    fn channels(&self) -> Vec<ChannelStatus> {
        vec![ChannelStatus { name: "on-call".to_owned(), kind: "slack".to_owned(), ..ChannelStatus::default() }]
    }

    fn test<'a>(&'a self, _: &'a OpContext, channel: &'a str) -> BoxFuture<'a, Result<Option<ChannelTest>, PortError>> {
        let test = || ChannelTest {
            name: channel.to_owned(),
            delivered: false,
            reason: "the receiver answered 500".to_owned(),
            elapsed_ms: 1,
        };
        let answer = (channel == "on-call").then(test);
        Box::pin(async { Ok(answer) })
    }

    fn undelivered<'a>(&'a self, _: &'a OpContext) -> BoxFuture<'a, Result<Vec<UndeliveredAlert>, PortError>> {
        let letter = UndeliveredAlert {
            channel: "on-call".to_owned(),
            alert_id: "a1".to_owned(),
            ..UndeliveredAlert::default()
        };
        Box::pin(async { Ok(vec![letter]) })
    }

    fn resend<'a>(
        &'a self,
        _: &'a OpContext,
        channel: Option<&'a str>,
        ids: &'a [String],
    ) -> BoxFuture<'a, Result<Vec<Resent>, PortError>> {
        let one = move |id: &String| Resent {
            channel: channel.unwrap_or("on-call").to_owned(),
            alert_id: id.clone(),
            delivered: true,
            reason: String::new(),
        };
        Box::pin(async move { Ok(ids.iter().map(one).collect()) })
    }
}

impl Operations for Fakes {
    fn readiness(&self) -> Vec<PartState> {
        let reason = self.not_ready.lock().unwrap().clone();
        let (ready, reason) = (reason.is_none(), reason.unwrap_or_default());
        vec![PartState { part: "journal".into(), ready, reason, ..PartState::default() }]
    }

    fn status<'a>(&'a self, _: &'a OpContext) -> BoxFuture<'a, Result<Status, PortError>> {
        Box::pin(async { Ok(Status { version: "1.2.3".to_owned(), ..Status::default() }) })
    }

    fn sources(&self, _: &OpContext) -> Vec<moneta_ports::SourceStatus> {
        vec![moneta_ports::SourceStatus { source: "syslog/tcp/192.0.2.7".to_owned(), ..Default::default() }]
    }

    fn source_quality(&self, _: &OpContext) -> Vec<moneta_ports::SourceQuality> {
        vec![moneta_ports::SourceQuality { place: 0.5, ..Default::default() }]
    }

    fn verify<'a>(&'a self, _: &'a OpContext) -> BoxFuture<'a, Result<VerifyReport, PortError>> {
        Box::pin(async { Ok(VerifyReport { num_blocks: 3, ..VerifyReport::default() }) })
    }

    fn scrub_policy<'a>(&'a self, _: &'a OpContext) -> BoxFuture<'a, Result<ScrubPolicy, PortError>> {
        Box::pin(async { Ok(ScrubPolicy { source: "built-in".to_owned(), ..ScrubPolicy::default() }) })
    }

    /// Takes nothing for personal data.
    fn try_scrubbing<'a>(
        &'a self,
        _: &'a OpContext,
        records: Submission,
    ) -> BoxFuture<'a, Result<ScrubTrial, PortError>> {
        let rows = records.batches.into_iter().map(|batch| (batch.table, batch.rows)).collect();
        let quarantined = records.quarantined.into_iter().map(|record| (record.reason, record.bytes)).collect();
        Box::pin(async { Ok(ScrubTrial { rows, quarantined, tokens: vec![("email".to_owned(), 1)] }) })
    }

    fn replay_quarantine<'a>(
        &'a self,
        _: &'a OpContext,
        selection: ReplaySelection,
    ) -> BoxFuture<'a, Result<ReplayReport, PortError>> {
        self.operations.lock().unwrap().push(format!("{selection:?}"));
        Box::pin(async { Ok(ReplayReport { num_stored: 1, num_refused: 0 }) })
    }

    fn set_retention<'a>(
        &'a self,
        _: &'a OpContext,
        table: TableName,
        days: Option<u32>,
    ) -> BoxFuture<'a, Result<(), PortError>> {
        self.operations.lock().unwrap().push(format!("{table} {days:?}"));
        Box::pin(async { Ok(()) })
    }

    fn holds<'a>(&'a self, _: &'a OpContext) -> BoxFuture<'a, Result<Vec<Hold>, PortError>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn place_hold<'a>(
        &'a self,
        ctx: &'a OpContext,
        name: String,
        request: HoldRequest,
    ) -> BoxFuture<'a, Result<Hold, PortError>> {
        let hold = Hold::new(&name, &request, &ctx.actor.name, moneta_base::Timestamp::default());
        self.operations.lock().unwrap().push(format!("hold {name}"));
        Box::pin(async { hold.map_err(|reason| PortError::new(moneta_base::ErrorKind::Caller, reason)) })
    }

    fn release_hold<'a>(
        &'a self,
        _: &'a OpContext,
        name: String,
        reason: String,
    ) -> BoxFuture<'a, Result<bool, PortError>> {
        self.operations.lock().unwrap().push(format!("release {name}: {reason}"));
        Box::pin(async move { Ok(name == "case-1") })
    }

    fn begin_snapshot<'a>(
        &'a self,
        _: &'a OpContext,
        export: Option<ExportSelection>,
    ) -> BoxFuture<'a, Result<Snapshot, PortError>> {
        self.operations.lock().unwrap().push(format!("begin snapshot {export:?}"));
        Box::pin(async { Ok(Snapshot { path: "/data/snapshot".to_owned(), root_size: 7, made_at: String::new() }) })
    }

    fn end_snapshot<'a>(&'a self, _: &'a OpContext, manifest: Option<String>) -> BoxFuture<'a, Result<(), PortError>> {
        self.operations.lock().unwrap().push(format!("end snapshot {manifest:?}"));
        Box::pin(async { Ok(()) })
    }

    fn prove_record<'a>(
        &'a self,
        _: &'a OpContext,
        table: TableName,
        seq: Seq,
    ) -> BoxFuture<'a, Result<ProofAnswer, PortError>> {
        let answer = match seq {
            0 => ProofAnswer::Proof(format!("proof of {table} {seq}\n")),
            _ => ProofAnswer::NotStored("_Seq 0 to 0 are stored".to_owned()),
        };
        Box::pin(async move { Ok(answer) })
    }

    fn prove_alert<'a>(&'a self, _: &'a OpContext, alert_id: String) -> BoxFuture<'a, Result<ProofAnswer, PortError>> {
        let answer = match alert_id.as_str() {
            "a" => ProofAnswer::Proof("proofs of a\n".to_owned()),
            _ => ProofAnswer::NotStored(format!("there is no alert {alert_id:?}")),
        };
        Box::pin(async move { Ok(answer) })
    }

    fn prove_receipt<'a>(
        &'a self,
        ctx: &'a OpContext,
        receipt: String,
    ) -> BoxFuture<'a, Result<ReceiptAnswer, PortError>> {
        let answer = match receipt.as_str() {
            "kept" => Ok(ReceiptAnswer::Kept(format!("proof for {}", ctx.actor.name))),
            "dropped" => Ok(ReceiptAnswer::Dropped("by policy".to_owned())),
            "broken" => Ok(ReceiptAnswer::Broken { reason: "vanished".to_owned(), proof: None }),
            _ => Err(PortError::new(ErrorKind::Caller, "no receipt of this log")),
        };
        Box::pin(async move { answer })
    }

    fn ledger_file(&self, path: LedgerPath) -> BoxFuture<'_, Result<Option<Vec<u8>>, PortError>> {
        let found = (path.as_str() != "root/tile/0/001").then(|| path.as_str().as_bytes().to_vec());
        Box::pin(async move { Ok(found) })
    }
}
