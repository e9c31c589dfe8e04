//! The binder: resolves the names of a syntax tree against a catalog, gives everything a type, and says what is wrong.
//!
//! It works on any tree, also on one with syntax errors. A failed part gives `None` and a diagnostic; the rest of the
//! query is still looked at where that makes sense.

mod calls;
mod entities;
mod expressions;
mod names;
pub(crate) mod scope;
pub(crate) mod sight;
mod statements;
mod tabular;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use moneta_base::Timestamp;
use moneta_event::{Column, ColumnType, TableCatalog};
use moneta_kql::syntax::{Span, Statement, SyntaxTree, TypeName};
use moneta_kql::{Diagnostic, nearest};

use crate::bound::{BoundQuery, BoundResult, Relation, Render, SortKey};
use crate::operators::graph::Elements;
use crate::operators::summarize::BoundAggregate;
use crate::two_phase::Probe;
use crate::value::Value;

pub(crate) use expressions::Bound;
pub use names::Names;
use scope::Scope;

/// Kusto's codes for semantic errors, as its clients know them.
pub mod codes {
    /// Operands of types the operator does not take.
    pub const ARITHMETIC: &str = "SEM0001";
    /// An argument of a type the function does not take.
    pub const TYPE: &str = "SEM0022";
    /// Values that cannot be compared.
    pub const COMPARE: &str = "SEM0064";
    /// A name that is neither column, variable nor table.
    pub const UNRESOLVED: &str = "SEM0100";
    /// A table that is not there.
    pub const NO_TABLE: &str = "SEM0100";
    /// A wrong number of arguments.
    pub const ARGUMENTS: &str = "SEM0219";
    /// A function nobody declared.
    pub const UNKNOWN_FUNCTION: &str = "SEM0260";
    /// A name given twice.
    pub const DUPLICATE: &str = "SEM0036";
    /// A `datatable` whose values do not fill its rows.
    pub const DATATABLE: &str = "SEM0047";
    /// A constant is wanted.
    pub const CONSTANT_EXPECTED: &str = "SEM0012";
    /// A column name is wanted.
    pub const NAME_EXPECTED: &str = "SEM0034";
    /// An aggregate is wanted.
    pub const AGGREGATE_EXPECTED: &str = "SEM0088";
    /// A join condition that does not compare both sides.
    pub const JOIN_KEY: &str = "SEM0041";
    /// A word that is none of those possible.
    pub const UNKNOWN_WORD: &str = "SEM0030";
    /// A regular expression that does not compile.
    pub const REGEX: &str = "SEM0420";
    /// Rows where a value is wanted, or the other way round.
    pub const SHAPE: &str = "SEM0025";
    /// Something larger than its limit.
    pub const LIMIT: &str = "SEM0900";
    /// Something the language has and this server does not.
    pub const UNSUPPORTED: &str = "SEM0901";
    /// A value outside what can be held.
    pub const RANGE: &str = "SEM0902";
    /// An assertion of the query does not hold.
    pub const ASSERTION: &str = "SEM0903";
}

/// The greatest depth of expressions and calls the binder follows.
const DEPTH_MAX: usize = 400;
/// Stack that must be left before one level is bound; else there is more.
const STACK_RED_ZONE_BYTES: usize = 256 << 10;
/// Stack that is added when it runs short.
const STACK_STEP_BYTES: usize = 4 << 20;
/// The greatest number of functions of a query, or stored ones, that call one another.
const CALL_DEPTH_MAX: usize = 64;
/// The greatest number of calls of such functions in one query: when each calls the next twice, every level doubles them.
const CALLS_MAX: usize = 10_000;
/// The greatest length of a query in which every name is replaced by what it stands for: a name that stands for another
/// one twice doubles with every level.
const WRITTEN_BYTES_MAX: usize = 4 << 20;
/// What a table in a union counts for in that length.
pub(crate) const WRITTEN_TABLE_BYTES: usize = 256;
/// The greatest number of diagnostics of one query.
const DIAGNOSTICS_MAX: usize = 100;

/// The tables a query may name.
pub trait Catalog {
    /// The columns of a table in query order.
    fn columns(&self, table: &str) -> Option<Arc<[Column]>>;

    /// The names of all tables, for wildcards and suggestions.
    fn table_names(&self) -> Vec<String>;

    /// Whether `externaldata` may read a location.
    ///
    /// # Errors
    /// A sentence that says why not, and what to change.
    fn allows_location(&self, location: &str) -> Result<(), String> {
        let _ = location;
        Err("externaldata reads nothing here: load the data into a table with `moneta ingest` or over HTTP, and name \
             the table"
            .to_owned())
    }

    /// The text of a stored function, `(parameters) { body }`.
    fn function(&self, name: &str) -> Option<String> {
        let _ = name;
        None
    }

    /// Whether the name of a table means the stored function of the same name, a view over it, which reads other tables
    /// too: but those that the query names itself. `table()` names the table alone.
    fn is_over_table(&self, name: &str) -> bool {
        let _ = name;
        false
    }
}

impl Catalog for TableCatalog {
    fn columns(&self, table: &str) -> Option<Arc<[Column]>> {
        self.get(table).map(|schema| schema.columns().into())
    }

    fn table_names(&self) -> Vec<String> {
        self.iter().map(|schema| schema.name().to_string()).collect()
    }
}

/// What binding needs beside the text and the tables.
#[derive(Debug, Clone)]
pub struct BindOptions {
    /// The time `now()` gives; `set query_now` overrides it.
    pub now: Timestamp,
    /// The name `current_database()` gives.
    pub database: String,
    /// Who asks, for `current_principal()`.
    pub principal: String,
    /// Whether the session has a database of locations, for `geo_info_from_ip_address()`.
    pub has_locations: bool,
    /// Values for `declare query_parameters`, as texts of the language's conversion functions.
    pub parameters: BTreeMap<String, String>,
    /// The columns found for calls whose columns depend on data, by the number of the call.
    pub found: Vec<Vec<Column>>,
}

impl BindOptions {
    /// Options with a time and nothing else.
    #[must_use]
    pub fn at(now: Timestamp) -> Self {
        Self {
            now,
            database: "moneta".to_owned(),
            principal: String::new(),
            has_locations: false,
            parameters: BTreeMap::new(),
            found: Vec::new(),
        }
    }
}

/// Binds a syntax tree.
///
/// The query is there if nothing is wrong with it; warnings may come beside it.
#[must_use]
pub fn bind(tree: &SyntaxTree, catalog: &dyn Catalog, options: &BindOptions) -> (Option<BoundQuery>, Vec<Diagnostic>) {
    let mut binder = Binder::new(catalog, options);
    let mut results = binder.statements(&tree.statements);
    let beside: BTreeSet<String> = binder.read_by_views.intersection(&binder.named).cloned().collect();
    if !beside.is_empty() {
        // The query reads these tables itself: views must not give their rows once more.
        binder = Binder { left_out_of_views: beside, ..Binder::new(catalog, options) };
        results = binder.statements(&tree.statements);
    }
    let failed = binder.diagnostics.iter().any(Diagnostic::is_error);
    if tree.statements.is_empty() && !failed {
        binder.fail::<()>(codes::SHAPE, tree.span, "the text holds no query");
        return (None, binder.diagnostics);
    }
    let query = BoundQuery { results, tables: binder.tables, options: binder.set, probe: binder.probe };
    ((!failed).then_some(query), binder.diagnostics)
}

/// What an expression sees: the columns of the row, and where it stands.
#[derive(Debug, Clone)]
pub struct Row {
    /// The columns.
    pub columns: Arc<[Column]>,
    /// The columns of the right side, in a join condition.
    pub right: Option<Arc<[Column]>>,
    /// The order of the rows, for window functions.
    pub order: Arc<[SortKey]>,
    /// The aggregates found so far, where aggregates are allowed.
    pub aggregates: Option<Vec<BoundAggregate>>,
    /// The columns grouped by, which `*` in an aggregate leaves out.
    pub grouped_by: Vec<Arc<str>>,
    /// The hidden columns that separate the rows of a surrounding `mv-apply`.
    pub partition: Vec<Arc<str>>,
    /// In a `scan`: the names of its steps, and the columns of the rows they remember.
    pub remembered: Vec<(String, Arc<[Column]>)>,
    /// Whether there may be more columns than are known.
    pub open: bool,
    /// The elements of a graph pattern, inside a graph operator.
    pub(crate) elements: Option<Elements>,
}

impl Row {
    /// No columns: constants only.
    #[must_use]
    pub fn none() -> Self {
        Self {
            columns: Arc::new([]),
            right: None,
            order: Arc::new([]),
            aggregates: None,
            grouped_by: Vec::new(),
            partition: Vec::new(),
            remembered: Vec::new(),
            open: false,
            elements: None,
        }
    }

    /// The rows of a relation.
    #[must_use]
    pub fn of(relation: &Relation) -> Self {
        let partition = crate::operators::apply::partition(&relation.columns);
        let columns = if partition.is_empty() {
            Arc::clone(&relation.columns)
        } else {
            relation.columns.iter().filter(|c| !crate::operators::apply::is_hidden(&c.name)).cloned().collect()
        };
        Self { columns, order: Arc::clone(&relation.order), partition, open: relation.open, ..Self::none() }
    }

    /// Both sides of a join condition.
    #[must_use]
    pub fn joined(left: &Relation, right: &Relation) -> Self {
        Self {
            columns: Arc::clone(&left.columns),
            right: Some(Arc::clone(&right.columns)),
            open: left.open || right.open,
            ..Self::none()
        }
    }

    /// The column of that name.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| &*column.name == name)
    }
}

/// The state of binding one text.
pub struct Binder<'c> {
    catalog: &'c dyn Catalog,
    options: &'c BindOptions,
    now: Timestamp,
    scope: Scope,
    diagnostics: Vec<Diagnostic>,
    tables: BTreeSet<String>,
    /// The tables that the text names itself, and those that views over other tables read.
    named: BTreeSet<String>,
    read_by_views: BTreeSet<String>,
    /// Tables that views over other tables leave out.
    left_out_of_views: BTreeSet<String>,
    set: Vec<(String, Option<Value>)>,
    render: Option<Render>,
    /// What `fork` and `facet` give beside their first result.
    further: Vec<Relation>,
    /// How many pipes are being bound inside one another.
    pipes: usize,
    /// The rows that stand at the start of a subquery without a source of its own.
    supplied: Vec<Relation>,
    /// How many calls with columns that depend on data were met.
    pub(crate) data_calls: usize,
    /// What tells the columns of the first of them that are not known.
    pub(crate) probe: Option<Probe>,
    depth: usize,
    /// How many functions are being bound inside one another.
    call_depth: usize,
    /// How many calls of functions were bound.
    calls: usize,
    /// How long the text of all names met so far is, with the names in it written out.
    written_bytes: usize,
    /// The stored functions that are being bound inside one another, by name.
    stored: Vec<String>,
    counter: usize,
    /// What was seen, where an editor asks.
    sight: Option<Box<sight::Sight>>,
}

impl std::fmt::Debug for Binder<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Binder").field("diagnostics", &self.diagnostics).finish_non_exhaustive()
    }
}

impl<'c> Binder<'c> {
    fn new(catalog: &'c dyn Catalog, options: &'c BindOptions) -> Self {
        Self {
            catalog,
            options,
            now: options.now,
            scope: Scope::default(),
            diagnostics: Vec::new(),
            tables: BTreeSet::new(),
            named: BTreeSet::new(),
            read_by_views: BTreeSet::new(),
            left_out_of_views: BTreeSet::new(),
            set: Vec::new(),
            render: None,
            further: Vec::new(),
            pipes: 0,
            supplied: Vec::new(),
            data_calls: 0,
            probe: None,
            depth: 0,
            call_depth: 0,
            calls: 0,
            written_bytes: 0,
            stored: Vec::new(),
            counter: 0,
            sight: None,
        }
    }

    /// What the binder was given.
    pub(crate) fn options(&self) -> &BindOptions {
        self.options
    }

    fn statements(&mut self, statements: &[Statement]) -> Vec<BoundResult> {
        let mut results = Vec::new();
        for statement in statements {
            match statement {
                Statement::Query(node) => {
                    self.render = None;
                    if let Some(relation) = self.relation(&node.expression) {
                        let render = self.render.take();
                        let further = std::mem::take(&mut self.further);
                        results.push(BoundResult { relation, render: render.clone() });
                        results
                            .extend(further.into_iter().map(|r| BoundResult { relation: r, render: render.clone() }));
                    }
                }
                other => {
                    let _ = self.declaration(other);
                    if !std::mem::take(&mut self.further).is_empty() {
                        let message = "fork and facet give several results, so they cannot stand in a declaration";
                        self.fail::<()>(codes::SHAPE, other.span(), message);
                    }
                }
            }
        }
        results
    }

    /// Records an error.
    pub(crate) fn fail<T>(&mut self, code: &'static str, span: Span, message: impl Into<String>) -> Option<T> {
        self.report(Diagnostic::error(code, span, message))
    }

    /// Records an error with what probably was meant.
    pub(crate) fn fail_near<T>(
        &mut self,
        code: &'static str,
        span: Span,
        message: String,
        name: &str,
        candidates: &[String],
    ) -> Option<T> {
        let diagnostic = Diagnostic::error(code, span, message);
        match nearest(name, candidates.iter().map(String::as_str)) {
            Some(meant) => self.report(diagnostic.with_suggestion(meant.to_owned())),
            None => self.report(diagnostic),
        }
    }

    fn report<T>(&mut self, diagnostic: Diagnostic) -> Option<T> {
        if self.diagnostics.len() < DIAGNOSTICS_MAX {
            self.diagnostics.push(diagnostic);
        }
        None
    }

    /// Records a warning.
    pub(crate) fn warn(&mut self, code: &'static str, span: Span, message: impl Into<String>) {
        self.report::<()>(Diagnostic::warning(code, span, message));
    }

    /// How many diagnostics there are: a mark for [`forget_diagnostics`](Self::forget_diagnostics).
    pub(crate) fn diagnostics_len(&self) -> usize {
        self.diagnostics.len()
    }

    /// Drops the diagnostics after a mark.
    pub(crate) fn forget_diagnostics(&mut self, mark: usize) {
        self.diagnostics.truncate(mark);
    }

    /// Tries something without leaving diagnostics.
    pub(crate) fn quietly<T>(&mut self, action: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        let mark = self.diagnostics_len();
        let result = action(self);
        self.forget_diagnostics(mark);
        result
    }

    /// Goes one level deeper, within the limit.
    pub(crate) fn deeper<T>(&mut self, span: Span, action: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        if self.depth >= DEPTH_MAX {
            return self.fail(codes::LIMIT, span, format!("the query nests deeper than {DEPTH_MAX} levels"));
        }
        self.depth += 1;
        // Nobody knows on which thread a query is bound, nor how much of its stack is used already.
        let result = stacker::maybe_grow(STACK_RED_ZONE_BYTES, STACK_STEP_BYTES, || action(self));
        self.depth -= 1;
        result
    }

    /// The type a declaration names.
    pub(crate) fn declared_type(&mut self, name: &TypeName) -> Option<ColumnType> {
        match name.scalar.and_then(|scalar| ColumnType::parse(scalar.name())) {
            Some(column_type) => Some(column_type),
            None => self.fail(codes::UNKNOWN_WORD, name.span, format!("`{}` is no type", name.text)),
        }
    }

    /// Counts text that stands in the query by a name; a query that would be too long with all of it ends here.
    pub(crate) fn write_out(&mut self, bytes: usize, span: Span) -> Option<()> {
        self.written_bytes = self.written_bytes.saturating_add(bytes);
        if self.written_bytes <= WRITTEN_BYTES_MAX {
            return Some(());
        }
        let message = format!(
            "the query is longer than {WRITTEN_BYTES_MAX} bytes with every name replaced by what it stands for; \
             name fewer things by others, or use materialize()"
        );
        self.fail(codes::LIMIT, span, message)
    }

    /// A number no other part of this query has.
    pub(crate) fn fresh(&mut self) -> usize {
        self.counter += 1;
        self.counter
    }
}
