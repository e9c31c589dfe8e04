//! Matches rules against what is stored, through the query engine, as the monitor matched or would have matched it.
//!
//! Rows are read table by table in order of `_Seq`, a page at a time, and matched by the same compiled rules as on
//! arrival. Correlations see all of them before they are decided, whatever order tables are read in. Analytics rules
//! are evaluated over the windows, or the rows, that they were or would have been evaluated over. Nothing is stored
//! and no alert is raised: the answer is what would have been.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, Schema};
use moneta_base::{ErrorKind, Seq, TableName, Timestamp};
use moneta_event::schema::standard;
use moneta_monitor::{Analytics, PastAlert, replay};
use moneta_ports::{
    BackfillMatch, BackfillReport, BackfillSelection, OpContext, PortError, QueryEngine, QueryRequest, ResultTable,
};
use moneta_rules::analytics::AnalyticsRule;
use moneta_rules::correlation::{Finding, Settings};
use moneta_rules::hunt::{event_time, text};
use moneta_rules::vocabulary::computer_of;
use moneta_rules::{CompiledRules, Correlator, RuleMatch};

/// Rows of one query.
const PAGE_ROWS: usize = 50_000;
/// Matches that an answer lists at most; all are counted.
const MATCHES_MAX: usize = 100_000;

/// Where history lies.
pub(crate) struct Past<'a> {
    pub(crate) engine: &'a dyn QueryEngine,
    pub(crate) ctx: &'a OpContext,
    /// The tables that have rows.
    pub(crate) stored: &'a [TableName],
    /// Now, and how long after its end a window is evaluated.
    pub(crate) clock: (Timestamp, Duration),
}

impl Past<'_> {
    /// Matches Sigma rules and analytics rules against history. Those that look at windows of time need to be told from
    /// when on: they are left out otherwise, or refused where they were asked for.
    pub(crate) async fn of_all(
        &self,
        rules: &Arc<CompiledRules>,
        queries: &[AnalyticsRule],
        selection: &BackfillSelection,
    ) -> Result<BackfillReport, PortError> {
        let id = |rule: &AnalyticsRule| rule.metadata.id.to_string();
        let asked = &selection.rule_ids;
        let (of_queries, of_sigma): (Vec<String>, Vec<String>) =
            asked.iter().cloned().partition(|asked| queries.iter().any(|rule| id(rule) == *asked));
        let mut report = BackfillReport::default();
        if asked.is_empty() || !of_sigma.is_empty() {
            let selection = BackfillSelection { rule_ids: of_sigma, ..selection.clone() };
            report = backfill(self.engine, rules, self.ctx, &selection, self.stored).await?;
        }
        for rule in queries.iter().filter(|rule| asked.is_empty() || of_queries.contains(&id(rule))) {
            if asked.is_empty() && selection.from.is_none() && Analytics::arrival_of(rule).is_none() {
                report.left_out.push(id(rule));
                continue;
            }
            let found = replay(self.engine, self.ctx, rule, (selection.from, selection.to), self.clock).await?;
            add_past(&mut report, rule, found, selection.matches_max);
        }
        Ok(report)
    }
}

/// Adds the alerts of an analytics rule to a report.
fn add_past(report: &mut BackfillReport, rule: &AnalyticsRule, past: moneta_monitor::Past, matches_max: Option<usize>) {
    let room = matches_max.unwrap_or(MATCHES_MAX).min(MATCHES_MAX).saturating_sub(report.matches.len());
    report.num_rows += past.num_rows;
    report.num_matches += past.alerts.len() as u64;
    report.matches.extend(past.alerts.into_iter().take(room).map(|one| match_of(rule, one)));
}

/// An alert that an analytics rule would have raised.
pub(crate) fn match_of(rule: &AnalyticsRule, one: PastAlert) -> BackfillMatch {
    let first = one.alert.events.into_iter().next();
    BackfillMatch {
        rule_id: rule.metadata.id.to_string(),
        rule_title: one.alert.rule_title,
        rule_author: one.alert.rule_author,
        level: one.alert.level,
        table: first.as_ref().map(|event| event.table.to_string()).unwrap_or_default(),
        seqs: one.seqs,
        time: one.time.to_string(),
        computer: first.as_ref().map(|event| event.computer.clone()).unwrap_or_default(),
        fields: first.map(|event| event.fields).unwrap_or_default(),
    }
}

/// The state of correlations after the rows of a range of event times, and whether there are more rows than the first
/// `rows_max` of it, which were looked at.
pub(crate) async fn correlate(
    engine: &dyn QueryEngine,
    rules: &Arc<CompiledRules>,
    ctx: &OpContext,
    (from, to): (Timestamp, Timestamp),
    stored: &[TableName],
    rows_max: u64,
) -> Result<(Correlator, bool), PortError> {
    let selection = BackfillSelection { from: Some(from), to: Some(to), ..BackfillSelection::default() };
    let mut run = Run::begin(rules, &[], 0)?;
    let tables: BTreeSet<&TableName> = rules.tables().filter(|table| stored.contains(table)).collect();
    // One that is busy leaves the others their share.
    let share = rows_max / tables.len().max(1) as u64;
    let mut is_cut = false;
    for table in tables {
        let (mut next, before): (Seq, u64) = (0, run.report.num_rows);
        while let Some(page) = read(engine, ctx, &selection, table, next).await? {
            for rows in &page {
                next = run.take(table, rows).max(next);
            }
            if run.report.num_rows - before >= share {
                is_cut = true;
                break;
            }
        }
    }
    if !is_cut {
        // What is decided by the end of the events is found by correlations above.
        run.correlator.finish();
    }
    Ok((run.correlator, is_cut))
}

/// Matches Sigma rules against history. `stored`: the tables that have rows.
pub(crate) async fn backfill(
    engine: &dyn QueryEngine,
    rules: &Arc<CompiledRules>,
    ctx: &OpContext,
    selection: &BackfillSelection,
    stored: &[TableName],
) -> Result<BackfillReport, PortError> {
    let matches_max = selection.matches_max.unwrap_or(MATCHES_MAX).min(MATCHES_MAX);
    let mut run = Run::begin(rules, &selection.rule_ids, matches_max)?;
    let tables: BTreeSet<TableName> = rules.tables().filter(|table| stored.contains(table)).cloned().collect();
    for table in tables {
        let mut next: Seq = 0;
        while let Some(page) = read(engine, ctx, selection, &table, next).await? {
            let mut rows_read = 0;
            for rows in &page {
                rows_read += rows.num_rows();
                next = run.take(&table, rows).max(next);
            }
            if rows_read < PAGE_ROWS {
                break;
            }
        }
    }
    Ok(run.end())
}

/// Indices of the rules that were asked for; all when none was.
fn wanted(rules: &CompiledRules, ids: &[String]) -> Result<BTreeSet<usize>, PortError> {
    if ids.is_empty() {
        return Ok((0..rules.rules().len()).collect());
    }
    let index = |id: &String| {
        let found = rules.rules().iter().position(|rule| rule.metadata.id.as_str() == id);
        let refused = || format!("there is no active rule {id}; `moneta rules list` shows those that are");
        found.ok_or_else(|| PortError::new(ErrorKind::Caller, refused()))
    };
    ids.iter().map(index).collect()
}

/// One row of a table, as rules read it; `None` when it is not stored.
pub(crate) async fn read_row(
    engine: &dyn QueryEngine,
    ctx: &OpContext,
    table: &TableName,
    seq: Seq,
) -> Result<Option<RecordBatch>, PortError> {
    let rows = ask(engine, ctx, table, format!("table('{table}') | where _Seq == {seq} | take 1")).await?;
    Ok(rows.into_iter().next())
}

/// Rows of a table by their sequences, those that are stored.
pub(crate) async fn read_rows(
    engine: &dyn QueryEngine,
    ctx: &OpContext,
    table: &TableName,
    seqs: &[Seq],
) -> Result<Vec<RecordBatch>, PortError> {
    let (Some(first), Some(last)) = (seqs.iter().min(), seqs.iter().max()) else { return Ok(Vec::new()) };
    let listed = seqs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let text = format!("table('{table}') | where _Seq >= {first} and _Seq <= {last} | where _Seq in ({listed})");
    ask(engine, ctx, table, text).await
}

/// Whether a rule raises an alert of some rows, each by itself, and of nothing else.
pub(crate) fn is_raised(rules: &Arc<CompiledRules>, rule_id: &str, rows: &[(TableName, RecordBatch)]) -> bool {
    let Ok(mut run) = Run::begin(rules, &[rule_id.to_owned()], 0) else { return false };
    for (table, rows) in rows {
        run.take(table, rows);
    }
    run.end().num_matches > 0
}

/// The next rows of a table; `None` when it has no more.
async fn read(
    engine: &dyn QueryEngine,
    ctx: &OpContext,
    selection: &BackfillSelection,
    table: &TableName,
    next: Seq,
) -> Result<Option<Vec<RecordBatch>>, PortError> {
    let mut text = format!("table('{table}') | where _Seq >= {next}");
    if let Some(from) = selection.from {
        text += &format!(" | where TimeGenerated >= datetime({from})");
    }
    if let Some(to) = selection.to {
        text += &format!(" | where TimeGenerated < datetime({to})");
    }
    text += &format!(" | top {PAGE_ROWS} by _Seq asc");
    let rows = ask(engine, ctx, table, text).await?;
    Ok((!rows.is_empty()).then_some(rows))
}

/// The rows of a query's answer, all of them or an error.
async fn ask(
    engine: &dyn QueryEngine,
    ctx: &OpContext,
    table: &TableName,
    text: String,
) -> Result<Vec<RecordBatch>, PortError> {
    let request = QueryRequest { no_truncation: true, ..QueryRequest::new(text) };
    let failed = |error: String| format!("{table} cannot be read: {error}");
    let answer = match engine.query(ctx, request).await {
        Ok(answer) => answer,
        Err(error) => return Err(PortError::new(error.kind(), failed(error.to_string()))),
    };
    if let Some(cut) = answer.truncated {
        return Err(PortError::new(ErrorKind::Caller, failed(cut.to_string())));
    }
    if let Some(reason) = answer.completeness.not_read.first() {
        return Err(PortError::new(ErrorKind::Environment { retry_after: None }, failed(reason.clone())));
    }
    let rows: Result<Vec<_>, _> = answer.tables.iter().flat_map(stored_form).collect();
    let rows = rows.map_err(|error| PortError::new(ErrorKind::Internal, failed(error.to_string())))?;
    Ok(rows)
}

/// The rows of an answer with the types of their columns, as rules read them.
fn stored_form(table: &ResultTable) -> Vec<Result<RecordBatch, arrow::error::ArrowError>> {
    let fields = table.columns.iter().map(|column| column.column_type.field(&column.name).with_nullable(true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let rows = table.batches.iter().filter(|rows| rows.num_rows() > 0);
    rows.map(|rows| RecordBatch::try_new(Arc::clone(&schema), rows.columns().to_vec())).collect()
}

/// One run over history.
struct Run<'a> {
    rules: &'a Arc<CompiledRules>,
    wanted: BTreeSet<usize>,
    matches_max: usize,
    correlator: Correlator,
    report: BackfillReport,
}

impl<'a> Run<'a> {
    fn begin(rules: &'a Arc<CompiledRules>, ids: &[String], matches_max: usize) -> Result<Self, PortError> {
        // Events come table by table, not in order of time: none of them is late.
        let settings = Settings { lateness_nanos: i64::MAX / 4, ..Settings::default() };
        Ok(Self {
            rules,
            wanted: wanted(rules, ids)?,
            matches_max,
            correlator: Correlator::new(Arc::clone(rules), settings),
            report: BackfillReport::default(),
        })
    }

    /// Decides what only the end of the events decides.
    fn end(mut self) -> BackfillReport {
        let decided = self.correlator.finish();
        self.found(decided);
        self.report.num_forgotten = self.correlator.counters().evicted;
        self.report
    }

    /// Matches rows, and returns the sequence after the last of them.
    fn take(&mut self, table: &TableName, rows: &RecordBatch) -> Seq {
        self.report.num_rows += rows.num_rows() as u64;
        let seqs = rows.column_by_name(standard::SEQ).and_then(|array| array.as_primitive_opt::<Int64Type>());
        let seq = |row: usize| {
            let value = seqs.filter(|seqs| seqs.is_valid(row)).map(|seqs| seqs.value(row));
            value.and_then(|value| Seq::try_from(value).ok()).unwrap_or_default()
        };
        let matches = self.rules.match_batch(table, rows);
        if !matches.is_empty() {
            let rules = Arc::clone(self.rules);
            let explainer = rules.explainer(table, rows);
            for found in matches.iter().filter(|found| rules.alerts_alone(found.rule)) {
                for row in &found.rows {
                    self.list(found.rule, || BackfillMatch {
                        table: table.to_string(),
                        seqs: vec![seq(*row as usize)],
                        time: event_time(rows, *row as usize).to_string(),
                        computer: text(rows, "Computer", *row as usize),
                        fields: explainer.explain(found.rule, *row),
                        ..BackfillMatch::default()
                    });
                }
            }
            self.correlate(table, rows, &matches, &seq);
        }
        rows.num_rows().checked_sub(1).map_or(0, |last| seq(last) + 1)
    }

    /// Correlations name events by sequence, and a time range leaves gaps: each row comes by itself.
    fn correlate(&mut self, table: &TableName, rows: &RecordBatch, matches: &[RuleMatch], seq: &dyn Fn(usize) -> Seq) {
        if !self.rules.has_correlations() {
            return;
        }
        let mut by_row: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        for found in matches {
            found.rows.iter().for_each(|row| by_row.entry(*row).or_default().push(found.rule));
        }
        for (row, met) in by_row {
            let one = rows.slice(row as usize, 1);
            let met: Vec<RuleMatch> = met.into_iter().map(|rule| RuleMatch { rule, rows: vec![0] }).collect();
            let findings = self.correlator.observe(table, &one, seq(row as usize), &met);
            self.found(findings);
        }
    }

    fn found(&mut self, findings: Vec<Finding>) {
        for finding in findings {
            self.list(finding.rule, || BackfillMatch {
                table: finding.events.last().map(|event| event.at.table.to_string()).unwrap_or_default(),
                seqs: finding.events.iter().map(|event| event.at.seq).collect(),
                time: finding.times.1.to_string(),
                computer: finding.events.last().map(|event| computer_of(&event.about)).unwrap_or_default(),
                fields: finding.group.clone(),
                ..BackfillMatch::default()
            });
        }
    }

    fn list(&mut self, rule: usize, found: impl FnOnce() -> BackfillMatch) {
        if !self.wanted.contains(&rule) {
            return;
        }
        self.report.num_matches += 1;
        if self.report.matches.len() >= self.matches_max {
            return;
        }
        let metadata = &self.rules.rules()[rule].metadata;
        self.report.matches.push(BackfillMatch {
            rule_id: metadata.id.to_string(),
            rule_title: metadata.title.clone(),
            rule_author: metadata.author.clone(),
            level: metadata.level.name().to_owned(),
            ..found()
        });
    }
}
