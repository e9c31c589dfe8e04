//! Queries as services ask them.

use std::time::Duration;

use arrow::array::RecordBatch;
use moneta_base::{ErrorKind, Timestamp};
use moneta_event::ColumnType;

use crate::{BoxFuture, OpContext};

/// The language of a query's text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum QueryLanguage {
    /// Kusto Query Language.
    #[default]
    Kql,
    /// SQL: one `SELECT`, or `EXPLAIN` of one.
    Sql,
}

impl QueryLanguage {
    /// Its name in options and files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kql => "kql",
            Self::Sql => "sql",
        }
    }

    /// The language of that name; `csl` is what Kusto's clients call KQL.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "kql" | "csl" => Some(Self::Kql),
            "sql" => Some(Self::Sql),
            _ => None,
        }
    }
}

/// A range of times that every table of a query is cut to.
///
/// # Source
/// Kusto's request properties `query_datetimescope_column`, `query_datetimescope_from`, `query_datetimescope_to`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TimeScope {
    /// The column it is about; `TimeGenerated` when absent. Tables without it are not cut.
    pub column: Option<String>,
    /// The earliest time, included.
    pub from: Option<Timestamp>,
    /// The end, not included.
    pub to: Option<Timestamp>,
}

/// A query and its options.
#[derive(Debug, Clone)]
pub struct QueryRequest {
    /// Its text.
    pub text: String,
    /// The language of the text.
    pub language: QueryLanguage,
    /// The name by which it can be cancelled; the engine gives one when empty.
    pub id: String,
    /// `now()` of the query; the engine's clock when absent.
    pub now: Option<Timestamp>,
    /// Rows wanted at most: the result ends there and is whole.
    pub rows_max: Option<usize>,
    /// Rows beyond which the result counts as cut; never above the engine's own limit.
    pub truncation_rows: Option<usize>,
    /// Bytes beyond which the result counts as cut; never above the engine's own limit.
    pub truncation_bytes: Option<usize>,
    /// Lifts the row and size limits of results (Kusto's `notruncation`).
    pub no_truncation: bool,
    /// How long it may run; never above the engine's own limit.
    pub timeout: Option<Duration>,
    /// Bytes of memory it may use; never above the engine's own limit.
    pub memory_bytes: Option<usize>,
    /// The times every table is cut to.
    pub time_scope: Option<TimeScope>,
    /// Query parameters: name and KQL literal text.
    pub parameters: Vec<(String, String)>,
    /// Tables that exist for this query only, beside those stored: the answer of a command that is piped on.
    pub given: Vec<ResultTable>,
    /// Whether an answer without the rows of segments that cannot be read is wanted, which names them. Else the query
    /// fails: who does not look at what was not read would take the rest for everything.
    pub takes_partial: bool,
    /// Whether the same question comes again over later times: then what it makes of each piece of a table is kept in
    /// memory for the next time. The answer is the same either way.
    pub comes_again: bool,
}

impl QueryRequest {
    /// A query without options.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            language: QueryLanguage::Kql,
            id: String::new(),
            now: None,
            rows_max: None,
            truncation_rows: None,
            truncation_bytes: None,
            no_truncation: false,
            timeout: None,
            memory_bytes: None,
            time_scope: None,
            parameters: Vec::new(),
            given: Vec::new(),
            takes_partial: false,
            comes_again: false,
        }
    }
}

/// A column of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryColumn {
    /// Its name.
    pub name: String,
    /// Its Kusto type.
    pub column_type: ColumnType,
}

/// One result table.
///
/// # Shapes
/// Every batch has one column per entry of `columns`, in that order, in the Arrow form of its type.
#[derive(Debug, Clone)]
pub struct ResultTable {
    /// `PrimaryResult`, or the name given by `as` or `fork`.
    pub name: String,
    /// The columns.
    pub columns: Vec<QueryColumn>,
    /// The rows.
    pub batches: Vec<RecordBatch>,
}

impl ResultTable {
    /// Rows in all batches.
    #[must_use]
    pub fn num_rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }
}

/// What the query read, and what it did not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Completeness {
    /// Segments read.
    pub segments_read: u64,
    /// Segments not opened, because no event of theirs lies within the times asked for.
    pub segments_pruned: u64,
    /// Hot blocks read.
    pub blocks_read: u64,
    /// Hot blocks not read, because no event of theirs lies within the times asked for.
    pub blocks_pruned: u64,
    /// Row groups of opened segments read, as far as rows of theirs were wanted.
    pub groups_read: u64,
    /// Row groups not read, because their statistics exclude what is asked for.
    pub groups_pruned: u64,
    /// Row groups not read, because the index of words has no row of theirs with what is asked for.
    pub groups_without_terms: u64,
    /// Row groups not read, because the number of their rows is known without.
    pub groups_counted: u64,
    /// Blocks and row groups not read, because what the question makes of them is known from when it came before.
    pub pieces_recalled: u64,
    /// Rows that came out of the scans.
    pub rows_scanned: u64,
    /// Bytes of the columns read: of segments as they are stored, when they were not in memory from before; of hot
    /// blocks as they are in memory.
    pub bytes_read: u64,
    /// What could not be read, each by name with the reason. Not empty means the answer is partial.
    pub not_read: Vec<String>,
}

impl Completeness {
    /// What was not read because it was not needed: of what kind, how many, and why. Kinds of which there are none are
    /// left out.
    pub fn skipped(&self) -> impl Iterator<Item = (&'static str, u64, &'static str)> {
        let times = "no event of theirs lies within the times asked for";
        [
            ("segments", self.segments_pruned, times),
            ("blocks", self.blocks_pruned, times),
            ("row groups", self.groups_pruned, "their statistics exclude what is asked for"),
            ("row groups", self.groups_without_terms, "the index of words has no row with what is asked for"),
            ("row groups", self.groups_counted, "the number of rows is known without reading them"),
            ("blocks and row groups", self.pieces_recalled, "what the question makes of them was kept"),
        ]
        .into_iter()
        .filter(|(_, count, _)| *count > 0)
    }
}

/// The answer to a query.
#[derive(Debug, Clone)]
pub struct QueryAnswer {
    /// One table per tabular statement.
    pub tables: Vec<ResultTable>,
    /// `render` properties of the last statement, as Kusto's `Visualization` JSON object.
    pub visualization: Option<serde_json::Value>,
    /// What was read.
    pub completeness: Completeness,
    /// Warnings of the binder.
    pub warnings: Vec<QueryDiagnostic>,
    /// Set when a limit cut the rows.
    pub truncated: Option<Truncation>,
    /// How long it ran.
    pub elapsed: Duration,
    /// The most memory its operators held at one time, in bytes.
    pub memory_peak_bytes: usize,
}

/// Why an answer has fewer rows than the query has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Truncation {
    /// Kusto's code, such as `E_QUERY_RESULT_SET_TOO_LARGE`.
    pub code: &'static str,
    /// Which limit, by its name, and how to stay under it.
    pub message: String,
}

impl std::fmt::Display for Truncation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.message, self.code)
    }
}

/// A query that runs, or ran not long ago.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryState {
    /// The name by which it can be cancelled.
    pub id: String,
    /// Who asked.
    pub principal: String,
    /// By which program, as it says itself; empty when it does not.
    pub application: String,
    /// The text.
    pub text: String,
    /// When it came.
    pub since: Timestamp,
    /// How long it has run, or ran.
    pub elapsed: Duration,
    /// `Waiting`, `InProgress`, `Completed`, `Failed` or `Cancelled`.
    pub state: &'static str,
    /// Why it failed; empty otherwise.
    pub reason: String,
    /// Rows it returned.
    pub num_rows: u64,
    /// The most memory its operators held at one time, in bytes.
    pub memory_peak_bytes: usize,
}

impl QueryState {
    /// Whether it has not ended yet.
    #[must_use]
    pub fn is_running(&self) -> bool {
        matches!(self.state, "Waiting" | "InProgress")
    }
}

/// One finding about the text of a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryDiagnostic {
    /// Microsoft's code, such as `SEM0100`.
    pub code: String,
    /// Start offset in the text, in bytes.
    pub start: usize,
    /// End offset, in bytes.
    pub end: usize,
    /// What is wrong, and the nearest name where there is one.
    pub message: String,
    /// Whether the query cannot run; else it is a warning.
    pub is_error: bool,
}

/// Why a query gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The text does not parse or bind.
    #[error("{}", summary(.diagnostics))]
    Invalid {
        /// Every finding.
        diagnostics: Vec<QueryDiagnostic>,
        /// The text with the findings marked, for people.
        rendered: String,
    },
    /// A limit of the principal stopped it.
    #[error("{message}")]
    Limit {
        /// Kusto's code, such as `E_RUNAWAY_QUERY`.
        code: &'static str,
        /// Which limit, and how to stay under it.
        message: String,
    },
    /// Somebody stopped it.
    #[error("{0}")]
    Cancelled(String),
    /// Too many queries wait already.
    #[error("{message}")]
    Throttled {
        /// Which limit.
        message: String,
        /// When to ask again.
        retry_after: Duration,
    },
    /// The principal may not run it.
    #[error("{0}")]
    Denied(String),
    /// It failed while running.
    #[error("{message}")]
    Failed {
        /// Who must act.
        kind: ErrorKind,
        /// What failed.
        message: String,
    },
}

fn summary(diagnostics: &[QueryDiagnostic]) -> String {
    diagnostics.first().map_or_else(|| "invalid query".to_owned(), |first| format!("{}: {}", first.code, first.message))
}

impl QueryError {
    /// Who must act.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Invalid { .. } | Self::Limit { .. } | Self::Cancelled(_) => ErrorKind::Caller,
            Self::Throttled { retry_after, .. } => ErrorKind::Environment { retry_after: Some(*retry_after) },
            Self::Denied(_) => ErrorKind::Denied,
            Self::Failed { kind, .. } => *kind,
        }
    }
}

/// Something that may stand at a place of a query text, as an editor shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EditorCompletion {
    /// What it is: `column`, `table`, `function`, ...
    pub kind: &'static str,
    /// How it is shown.
    pub label: String,
    /// Its type, signature or documentation.
    pub detail: String,
    /// What is put in.
    pub insert: String,
    /// Start of what it replaces, in bytes.
    pub start: usize,
    /// End of what it replaces, in bytes.
    pub end: usize,
}

/// What a word of a query text means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EditorHover {
    /// Start of the word, in bytes.
    pub start: usize,
    /// End of the word, in bytes.
    pub end: usize,
    /// A line of code: a name with its type, a signature, a syntax.
    pub title: String,
    /// Sentences about it.
    pub text: String,
}

/// The rows of one query as they come. Whoever drops it stops the query.
///
/// # Shapes
/// Every batch has one column per entry of `columns`, in that order, in the Arrow form of its type.
pub trait RowStream: Send {
    /// The columns.
    fn columns(&self) -> &[QueryColumn];

    /// Warnings of the binder.
    fn warnings(&self) -> &[QueryDiagnostic];

    /// The next rows, never none in a batch; `None` when there are no more.
    ///
    /// # Errors
    /// See [`QueryError`]; the rows given so far are then not all, and there will be no more.
    fn next(&mut self) -> BoxFuture<'_, Result<Option<RecordBatch>, QueryError>>;

    /// Says that all rows have come where they go, and audits that, with facts about it such as their hash. To be
    /// called after the last rows and before the receiver is told that it has everything.
    ///
    /// # Errors
    /// When it cannot be audited, or the rows were not all taken.
    fn finish(
        self: Box<Self>,
        details: serde_json::Map<String, serde_json::Value>,
    ) -> BoxFuture<'static, Result<(), QueryError>>;
}

/// Answers queries. Every query is audited before its answer is given.
pub trait QueryEngine: Send + Sync {
    /// Runs a query.
    ///
    /// # Errors
    /// See [`QueryError`].
    fn query<'a>(&'a self, ctx: &'a OpContext, request: QueryRequest)
    -> BoxFuture<'a, Result<QueryAnswer, QueryError>>;

    /// Runs a query whose rows are handed on as they come, however many: the limits of answers in rows, bytes and time
    /// do not hold, those of memory and what the request or the text itself asks for do. Audited when it begins, before
    /// the first row, and when it ends.
    ///
    /// # Errors
    /// See [`QueryError`]; also when the text has more than one result.
    fn stream<'a>(
        &'a self,
        ctx: &'a OpContext,
        request: QueryRequest,
    ) -> BoxFuture<'a, Result<Box<dyn RowStream>, QueryError>>;

    /// The columns of what [`Self::stream`] would give. Columns that depend on data are looked for in it, so it is audited.
    ///
    /// # Errors
    /// As [`Self::stream`].
    fn columns<'a>(
        &'a self,
        ctx: &'a OpContext,
        request: QueryRequest,
    ) -> BoxFuture<'a, Result<Vec<QueryColumn>, QueryError>>;

    /// Prints every stage of a query without running it: syntax tree, bound query, logical and physical plan.
    ///
    /// # Errors
    /// See [`QueryError`].
    fn explain<'a>(
        &'a self,
        ctx: &'a OpContext,
        request: QueryRequest,
    ) -> BoxFuture<'a, Result<Vec<(String, String)>, QueryError>>;

    /// The tables a principal may see with their columns, for schema views and editors.
    fn schema(&self, ctx: &OpContext) -> Vec<std::sync::Arc<moneta_event::TableSchema>>;

    /// What may stand at a byte offset of a query text that is being written.
    ///
    /// # Errors
    /// [`QueryError::Denied`].
    fn complete(&self, ctx: &OpContext, text: &str, offset: usize) -> Result<Vec<EditorCompletion>, QueryError>;

    /// What the word at a byte offset means.
    ///
    /// # Errors
    /// [`QueryError::Denied`].
    fn hover(&self, ctx: &OpContext, text: &str, offset: usize) -> Result<Option<EditorHover>, QueryError>;

    /// Everything that is wrong with a text, without running it.
    ///
    /// # Errors
    /// [`QueryError::Denied`].
    fn diagnose(&self, ctx: &OpContext, text: &str) -> Result<Vec<QueryDiagnostic>, QueryError>;

    /// The queries that run, and the last that ended: an administrator sees all, everybody else their own.
    fn queries(&self, ctx: &OpContext) -> Vec<QueryState>;

    /// Stops a query by its id; whether one of that id ran that the principal may stop.
    fn cancel<'a>(&'a self, ctx: &'a OpContext, id: &'a str) -> BoxFuture<'a, Result<bool, QueryError>>;
}
