//! Queries as services ask them.

use std::time::Duration;

use arrow::array::RecordBatch;
use moneta_base::{ErrorKind, Timestamp};
use moneta_event::ColumnType;

use crate::{BoxFuture, OpContext};

/// A query and its options.
#[derive(Debug, Clone)]
pub struct QueryRequest {
    /// KQL text.
    pub text: String,
    /// `now()` of the query; the engine's clock when absent.
    pub now: Option<Timestamp>,
    /// Rows returned at most; never above the engine's own limit unless `no_truncation`.
    pub rows_max: Option<usize>,
    /// Lifts the row and size limits of results (Kusto's `notruncation`).
    pub no_truncation: bool,
    /// How long it may run; never above the engine's own limit.
    pub timeout: Option<Duration>,
    /// Query parameters: name and KQL literal text.
    pub parameters: Vec<(String, String)>,
}

impl QueryRequest {
    /// A query without options.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            now: None,
            rows_max: None,
            no_truncation: false,
            timeout: None,
            parameters: Vec::new(),
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
    /// Segments that statistics proved irrelevant.
    pub segments_pruned: u64,
    /// Hot blocks read.
    pub blocks_read: u64,
    /// Rows that came out of the scans.
    pub rows_scanned: u64,
    /// What could not be read, each with the reason. Not empty means the answer is partial.
    pub not_read: Vec<String>,
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
    /// Set when a result limit cut the rows: Kusto's `E_QUERY_RESULT_SET_TOO_LARGE` with its text.
    pub truncated: Option<String>,
    /// How long it ran.
    pub elapsed: Duration,
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
            Self::Invalid { .. } | Self::Limit { .. } => ErrorKind::Caller,
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

/// Answers queries. Every query is audited before its answer is given.
pub trait QueryEngine: Send + Sync {
    /// Runs a query.
    ///
    /// # Errors
    /// See [`QueryError`].
    fn query<'a>(&'a self, ctx: &'a OpContext, request: QueryRequest)
    -> BoxFuture<'a, Result<QueryAnswer, QueryError>>;

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
}
