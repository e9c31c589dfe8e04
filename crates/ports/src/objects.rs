//! What people store beside the events to ask better questions: functions, saved queries, materialised views,
//! watchlists; and what they say of tables before events come: columns, mappings.
//!
//! Every change needs the scope `admin` and is audited, under a signed checkpoint, before it takes effect.

use std::sync::Arc;

use moneta_event::TableSchema;
use serde::{Deserialize, Serialize};

use crate::{BoxFuture, OpContext, PortError};

/// What a command that makes something does when the name is taken or free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CreateMode {
    /// It must be new.
    Create,
    /// It is made when it is new, else nothing happens.
    CreateIfNotExists,
    /// It is made or replaced.
    CreateOrAlter,
    /// It must be there.
    Alter,
}

/// A stored function.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredFunction {
    /// Its name.
    pub name: String,
    /// Its parameters with the parentheses: `(T: (*), n: long = 5)`.
    pub parameters: String,
    /// Its body with the braces.
    pub body: String,
    /// Where tools list it.
    #[serde(default)]
    pub folder: String,
    /// What it is for.
    #[serde(default)]
    pub doc_string: String,
    /// Who changed it last.
    #[serde(default)]
    pub changed_by: String,
    /// When, in nanoseconds since 1970.
    #[serde(default)]
    pub changed_at: i64,
}

/// A query kept under a name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedQuery {
    /// Its name.
    pub name: String,
    /// Its text.
    pub text: String,
    /// `kql` or `sql`.
    pub language: String,
    /// Where tools list it.
    #[serde(default)]
    pub folder: String,
    /// What it is for.
    #[serde(default)]
    pub doc_string: String,
    /// Who changed it last.
    #[serde(default)]
    pub changed_by: String,
    /// When, in nanoseconds since 1970.
    #[serde(default)]
    pub changed_at: i64,
}

/// A query whose rows are kept ready: one `summarize` over the rows of one table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaterializedView {
    /// Its name; queries use it like a table.
    pub name: String,
    /// The table it reads.
    pub source: String,
    /// Its query.
    pub query: String,
    /// Where tools list it.
    #[serde(default)]
    pub folder: String,
    /// What it is for.
    #[serde(default)]
    pub doc_string: String,
    /// Who changed it last.
    #[serde(default)]
    pub changed_by: String,
    /// When, in nanoseconds since 1970.
    #[serde(default)]
    pub changed_at: i64,
}

/// A view and how far it is ready.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ViewStatus {
    /// The view.
    pub view: MaterializedView,
    /// Its columns as names and types; empty when its query no longer binds.
    pub columns: Vec<(String, String)>,
    /// Sealed segments of its table.
    pub segments: usize,
    /// Of these, those aggregated already; the others are aggregated anew by each query.
    pub segments_ready: usize,
}

/// A table that was declared, or described, by somebody rather than by its first event.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeclaredTable {
    /// Its name.
    pub name: String,
    /// Its own columns as names and types, in order. Those that events brought before it was declared are among them,
    /// so that their order never changes.
    pub columns: Vec<(String, String)>,
    /// Where tools list it.
    #[serde(default)]
    pub folder: String,
    /// What it is for.
    #[serde(default)]
    pub doc_string: String,
    /// Who changed it last.
    #[serde(default)]
    pub changed_by: String,
    /// When, in nanoseconds since 1970.
    #[serde(default)]
    pub changed_at: i64,
}

/// What a declaration does with a table that is there, or is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableChange {
    /// It is made; one that is there stays as it is.
    Create,
    /// It is made, or gets the columns that it lacks.
    CreateOrExtend,
    /// It must be there, and gets the columns that it lacks.
    Extend,
    /// It must be there, and gets the columns that it lacks; all that it has must be named, in their order.
    Replace,
}

/// How the records of a mapping are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MappingKind {
    /// Separated values: a column is of a position.
    Csv,
    /// JSON: a column is of a path.
    Json,
}

impl MappingKind {
    /// The kind's name in commands.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Json => "json",
        }
    }
}

/// Which parts of records go to which columns of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IngestionMapping {
    /// The table.
    pub table: String,
    /// How the records are written.
    pub kind: MappingKind,
    /// Its name, unique within its table and kind.
    pub name: String,
    /// The columns, as the JSON array of the command that made it.
    pub mapping: String,
    /// Who changed it last.
    #[serde(default)]
    pub changed_by: String,
    /// When, in nanoseconds since 1970.
    #[serde(default)]
    pub changed_at: i64,
}

/// How the rows of an uploaded watchlist are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WatchlistFormat {
    /// Comma-separated values with a line of column names.
    Csv,
    /// A JSON array of objects, or one object a line.
    Json,
}

/// A watchlist as it is handed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchlistUpload {
    /// Its name.
    pub name: String,
    /// The column whose values become `SearchKey`; the first when absent.
    pub search_key: Option<String>,
    /// How the rows are written.
    pub format: WatchlistFormat,
    /// The rows.
    pub content: Vec<u8>,
    /// What it is for.
    pub description: String,
}

/// A watchlist as it stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watchlist {
    /// Its name.
    pub name: String,
    /// The column whose values are `SearchKey`.
    pub search_key: String,
    /// The uploaded columns and their types, in order.
    pub columns: Vec<(String, String)>,
    /// Its rows.
    pub num_rows: u64,
    /// Bytes of its stored form.
    pub size_bytes: u64,
    /// SHA-256 of the rows as they were handed in, in hexadecimal digits; empty for one stored by a version that kept none.
    #[serde(default)]
    pub content_sha256: String,
    /// What it is for.
    #[serde(default)]
    pub description: String,
    /// Who changed it last.
    #[serde(default)]
    pub changed_by: String,
    /// When, in nanoseconds since 1970.
    #[serde(default)]
    pub changed_at: i64,
}

/// Keeps functions, saved queries, materialised views, watchlists, declared tables and mappings.
///
/// Reading needs the scope `query`, changing needs `admin`; both are checked here. A refusal has the kind `Denied` or
/// `Caller` and says what to change.
pub trait QueryObjects: Send + Sync {
    /// All functions by name.
    fn functions(&self) -> Vec<StoredFunction>;

    /// The columns of the rows that a function gives, as names and types; empty when it gives a value, takes a table, no
    /// longer binds, or is not there.
    fn function_columns(&self, ctx: &OpContext, name: &str) -> Vec<(String, String)>;

    /// Makes or changes a function.
    ///
    /// # Errors
    /// When the name is taken or free against `mode`, the body does not bind (unless `skip_validation`), or the change
    /// cannot be audited or stored.
    fn put_function<'a>(
        &'a self,
        ctx: &'a OpContext,
        function: StoredFunction,
        mode: CreateMode,
        skip_validation: bool,
    ) -> BoxFuture<'a, Result<StoredFunction, PortError>>;

    /// Removes a function.
    ///
    /// # Errors
    /// `Caller` when there is none of that name.
    fn drop_function<'a>(&'a self, ctx: &'a OpContext, name: &'a str) -> BoxFuture<'a, Result<(), PortError>>;

    /// All materialised views by name.
    fn views(&self) -> Vec<ViewStatus>;

    /// Makes or changes a materialised view.
    ///
    /// # Errors
    /// When the name is taken or free against `mode`, the query cannot be materialised, or the change cannot be audited
    /// or stored.
    fn put_view<'a>(
        &'a self,
        ctx: &'a OpContext,
        view: MaterializedView,
        mode: CreateMode,
    ) -> BoxFuture<'a, Result<ViewStatus, PortError>>;

    /// Removes a materialised view.
    ///
    /// # Errors
    /// `Caller` when there is none of that name.
    fn drop_view<'a>(&'a self, ctx: &'a OpContext, name: &'a str) -> BoxFuture<'a, Result<(), PortError>>;

    /// All declared tables by name.
    fn declared_tables(&self) -> Vec<DeclaredTable>;

    /// Declares a table; the columns it then has.
    ///
    /// # Errors
    /// When a column is there with another type, the table is built in and lacks a column, `change` does not fit, or the
    /// change cannot be audited or stored.
    fn declare_table<'a>(
        &'a self,
        ctx: &'a OpContext,
        table: DeclaredTable,
        change: TableChange,
    ) -> BoxFuture<'a, Result<Arc<TableSchema>, PortError>>;

    /// Says what a table is for (`doc_string`) or where tools list it (`folder`); what is `None` stays.
    ///
    /// # Errors
    /// `Caller` when there is no such table; when the change cannot be audited or stored.
    fn describe_table<'a>(
        &'a self,
        ctx: &'a OpContext,
        name: &'a str,
        doc_string: Option<String>,
        folder: Option<String>,
    ) -> BoxFuture<'a, Result<Arc<TableSchema>, PortError>>;

    /// Withdraws the declaration of a table that never had a row, and its mappings.
    ///
    /// # Errors
    /// `Caller` when there is no declaration, or the table has or had rows: events end by retention alone.
    fn withdraw_table<'a>(&'a self, ctx: &'a OpContext, name: &'a str) -> BoxFuture<'a, Result<(), PortError>>;

    /// All mappings by table, kind and name.
    fn mappings(&self) -> Vec<IngestionMapping>;

    /// A mapping by its table, kind and name.
    fn mapping(&self, table: &str, kind: MappingKind, name: &str) -> Option<IngestionMapping>;

    /// Makes or changes a mapping.
    ///
    /// # Errors
    /// When the name is taken or free against `mode`, there is no such table, or the change cannot be audited or stored.
    fn put_mapping<'a>(
        &'a self,
        ctx: &'a OpContext,
        mapping: IngestionMapping,
        mode: CreateMode,
    ) -> BoxFuture<'a, Result<IngestionMapping, PortError>>;

    /// Removes a mapping.
    ///
    /// # Errors
    /// `Caller` when there is none of that table, kind and name.
    fn drop_mapping<'a>(
        &'a self,
        ctx: &'a OpContext,
        table: &'a str,
        kind: MappingKind,
        name: &'a str,
    ) -> BoxFuture<'a, Result<(), PortError>>;

    /// All saved queries by name.
    fn saved_queries(&self) -> Vec<SavedQuery>;

    /// Saves a query, or replaces the one of its name.
    ///
    /// # Errors
    /// When the text does not parse, or the change cannot be audited or stored.
    fn save_query<'a>(&'a self, ctx: &'a OpContext, query: SavedQuery) -> BoxFuture<'a, Result<SavedQuery, PortError>>;

    /// Removes a saved query.
    ///
    /// # Errors
    /// `Caller` when there is none of that name.
    fn delete_query<'a>(&'a self, ctx: &'a OpContext, name: &'a str) -> BoxFuture<'a, Result<(), PortError>>;

    /// All watchlists by name.
    fn watchlists(&self) -> Vec<Watchlist>;

    /// Stores a watchlist, or replaces the one of its name.
    ///
    /// # Errors
    /// When the content cannot be read or is too large, or the change cannot be audited or stored.
    fn put_watchlist<'a>(
        &'a self,
        ctx: &'a OpContext,
        upload: WatchlistUpload,
    ) -> BoxFuture<'a, Result<Watchlist, PortError>>;

    /// Removes a watchlist.
    ///
    /// # Errors
    /// `Caller` when there is none of that name.
    fn delete_watchlist<'a>(&'a self, ctx: &'a OpContext, name: &'a str) -> BoxFuture<'a, Result<(), PortError>>;
}
