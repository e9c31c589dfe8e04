//! What one query sees: the tables it names, each taken once, so that binder and scan see the same moment; the stored
//! objects of that moment; and tables given for this query only.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use datafusion::catalog::TableProvider;
use datafusion::common::{Column as PlanColumn, TableReference};
use datafusion::datasource::{MemTable, provider_as_source};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{Expr, LogicalPlanBuilder, lit};
use moneta_base::{TableName, Timestamp};
use moneta_event::schema::standard;
use moneta_event::{Column, ColumnType, TableSchema};
use moneta_kql_plan::{BoundResult, Catalog, ExternalSource, TableProviderSource, Value};
use moneta_ports::{MaterializedView, ResultTable, TimeScope};

use crate::engine::align_by_position;
use crate::objects::views::of_nobody;
use crate::objects::{ObjectSet, is_over_table};
use crate::outside::Outside;
use crate::recall::Recall;
use crate::scan::{ScanCounters, ScanTable, ScanUnit};
use crate::tables::Tables;
use crate::views::{View, ViewStates, ViewTable};

/// The columns and pieces of a table at the moment it was first named.
type TakenTable = (Arc<TableSchema>, Vec<ScanUnit>);

/// What one query sees.
pub(crate) struct Snapshot {
    tables: Arc<dyn Tables>,
    objects: Arc<ObjectSet>,
    outside: Outside,
    given: HashMap<String, RowsInMemory>,
    scope: Option<TimeScope>,
    taken: Mutex<HashMap<String, Option<TakenTable>>>,
    /// The queries of views, once they are named.
    views: Mutex<HashMap<String, Option<Arc<BoundResult>>>>,
    states: Arc<ViewStates>,
    recall: Option<Arc<Recall>>,
    pub(crate) counters: Arc<ScanCounters>,
    /// Whether the name of a table may mean a view over it.
    has_views_over_tables: bool,
}

/// A table that is in memory as a whole.
#[derive(Debug, Clone)]
pub(crate) struct RowsInMemory {
    pub(crate) columns: Arc<[Column]>,
    pub(crate) batches: Vec<RecordBatch>,
}

impl RowsInMemory {
    /// Rows in the Arrow forms of their columns' types.
    ///
    /// # Errors
    /// When a batch does not have these columns.
    pub(crate) fn new(columns: Vec<Column>, batches: &[RecordBatch]) -> Result<Self> {
        let align = |rows: &RecordBatch| align_by_position(rows, &columns);
        let batches = batches.iter().map(align).collect::<std::result::Result<Vec<_>, _>>()?;
        Ok(Self { batches, columns: columns.into() })
    }

    fn provider(&self) -> Result<Arc<dyn TableProvider>> {
        let field = |column: &Column| {
            column.column_type.computed_field(&column.name).with_metadata(HashMap::new()).with_nullable(true)
        };
        let schema = Arc::new(arrow::datatypes::Schema::new(self.columns.iter().map(field).collect::<Vec<_>>()));
        let bare = |rows: &RecordBatch| {
            let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
            RecordBatch::try_new_with_options(schema.clone(), rows.columns().to_vec(), &options)
        };
        let batches = self.batches.iter().map(bare).collect::<std::result::Result<Vec<_>, _>>()?;
        Ok(Arc::new(MemTable::try_new(schema.clone(), vec![batches])?))
    }
}

impl Snapshot {
    pub(crate) fn new(tables: Arc<dyn Tables>, objects: Arc<ObjectSet>, outside: Outside) -> Self {
        Self {
            tables,
            objects,
            outside,
            given: HashMap::new(),
            scope: None,
            taken: Mutex::default(),
            views: Mutex::default(),
            states: Arc::new(ViewStates::new(0)),
            recall: None,
            counters: Arc::default(),
            has_views_over_tables: true,
        }
    }

    /// For a query whose rows are kept: the name of a table means what is stored, not a view over it and others.
    pub(crate) fn of_stored_tables(mut self) -> Self {
        self.has_views_over_tables = false;
        self
    }

    /// With what is kept for views.
    pub(crate) fn with_states(mut self, states: &Arc<ViewStates>) -> Self {
        self.states = states.clone();
        self
    }

    /// For a question that comes again, with what is kept of those.
    pub(crate) fn with_recall(mut self, recall: Option<&Arc<Recall>>) -> Self {
        self.recall = recall.cloned();
        self
    }

    /// The view of that name over the table of this moment, if there is one whose query binds.
    pub(crate) fn view(&self, name: &str) -> Option<View> {
        let view = self.objects.views.get(name)?;
        let bound = self.bound_view(view)?;
        let (table, units) = self.with(&view.source, TakenTable::clone)?;
        let id = format!("{name} {}", view.query).into();
        let (counters, states, scope) = (self.counters.clone(), self.states.clone(), self.scope.clone());
        Some(View { id, bound, table, units, scope, counters, states })
    }

    /// The query of a view, bound over its table.
    fn bound_view(&self, view: &MaterializedView) -> Option<Arc<BoundResult>> {
        if let Some(known) = self.views.lock().unwrap_or_else(PoisonError::into_inner).get(&view.name) {
            return known.clone();
        }
        let parsed = moneta_kql::parse(&view.query);
        let source = SourceOfView { snapshot: self, source: &view.source };
        let (query, findings) = moneta_kql_plan::bind(&parsed.tree, &source, &of_nobody(Timestamp::from_nanos(0)));
        let bound = query.and_then(|query| query.results.into_iter().next()).map(Arc::new);
        if bound.is_none() {
            tracing::warn!(view = view.name, ?findings, "the query of a materialized view no longer binds");
        }
        self.views.lock().unwrap_or_else(PoisonError::into_inner).insert(view.name.clone(), bound.clone());
        bound
    }

    /// Adds tables that exist for this query only.
    ///
    /// # Errors
    /// When their rows do not have the columns they say.
    pub(crate) fn with_given(mut self, given: &[ResultTable]) -> Result<Self> {
        for table in given {
            let columns = table.columns.iter().map(|column| Column::new(&column.name, column.column_type)).collect();
            self.given.insert(table.name.clone(), RowsInMemory::new(columns, &table.batches)?);
        }
        Ok(self)
    }

    /// Cuts every table to a range of times.
    pub(crate) fn within(mut self, scope: Option<TimeScope>) -> Self {
        self.scope = scope;
        self
    }

    fn with<T>(&self, table: &str, read: impl FnOnce(&TakenTable) -> T) -> Option<T> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let take = || TableName::new(table).ok().and_then(|name| self.tables.snapshot(&name));
        taken.entry(table.to_owned()).or_insert_with(take).as_ref().map(read)
    }

    /// The table of that name that is in memory, if it is one.
    fn in_memory(&self, table: &str) -> Option<&RowsInMemory> {
        self.given.get(table).or_else(|| self.objects.watchlist_rows(table))
    }
}

/// The rows of a table within a query's range of times.
pub(crate) fn scoped(
    scope: Option<&TimeScope>,
    provider: Arc<dyn TableProvider>,
    columns: &[Column],
) -> Result<Arc<dyn TableProvider>> {
    let Some(scope) = scope else { return Ok(provider) };
    let name = scope.column.as_deref().unwrap_or(standard::TIME_GENERATED);
    let is_scoped = |column: &&Column| *column.name == *name && column.column_type == ColumnType::DateTime;
    if columns.iter().find(is_scoped).is_none() {
        return Ok(provider);
    }
    let reference = TableReference::bare("__scoped");
    let column = Expr::Column(PlanColumn::new(Some(reference.clone()), name));
    let time = |time: Timestamp| lit(Value::DateTime(time.as_nanos()).to_scalar());
    let from = scope.from.map(|from| column.clone().gt_eq(time(from)));
    let to = scope.to.map(|to| column.lt(time(to)));
    let mut plan = LogicalPlanBuilder::scan(reference, provider_as_source(provider), None)?;
    for filter in from.into_iter().chain(to) {
        plan = plan.filter(filter)?;
    }
    Ok(Arc::new(datafusion::datasource::ViewTable::new(plan.build()?, None)))
}

/// What the query of a view sees: the one table it is declared on, and no stored function, whose change would change what
/// is kept.
struct SourceOfView<'a> {
    snapshot: &'a Snapshot,
    source: &'a str,
}

impl Catalog for SourceOfView<'_> {
    fn columns(&self, table: &str) -> Option<Arc<[Column]>> {
        if table == self.source { self.snapshot.with(table, |(schema, _)| schema.columns().into()) } else { None }
    }

    fn table_names(&self) -> Vec<String> {
        vec![self.source.to_owned()]
    }
}

impl Catalog for Snapshot {
    fn columns(&self, table: &str) -> Option<Arc<[Column]>> {
        if let Some(view) = self.view(table) {
            return Some(view.bound.relation.columns.clone());
        }
        if let Some(rows) = self.in_memory(table) {
            return Some(rows.columns.clone());
        }
        self.with(table, |(schema, _)| schema.columns().into())
    }

    fn table_names(&self) -> Vec<String> {
        self.tables.schemas().iter().map(|schema| schema.name().to_string()).collect()
    }

    fn function(&self, name: &str) -> Option<String> {
        self.objects.function_text(name)
    }

    fn is_over_table(&self, name: &str) -> bool {
        self.has_views_over_tables && is_over_table(name)
    }

    fn allows_location(&self, location: &str) -> std::result::Result<(), String> {
        self.outside.allows(location)
    }
}

impl TableProviderSource for Snapshot {
    fn external(&self) -> Option<Arc<dyn ExternalSource>> {
        Some(Arc::new(self.outside.clone()))
    }

    fn provider(&self, table: &str) -> Option<Arc<dyn TableProvider>> {
        let logged = |made: Result<Arc<dyn TableProvider>>| {
            made.map_err(|error: DataFusionError| tracing::error!(table, %error, "a table cannot be read")).ok()
        };
        if let Some(rows) = self.in_memory(table) {
            return logged(rows.provider());
        }
        if let Some(view) = self.view(table) {
            return logged(ViewTable::new(view).map(|table| Arc::new(table) as Arc<dyn TableProvider>));
        }
        self.with(table, |(schema, units)| {
            let scan = ScanTable::new(schema, units.clone(), self.counters.clone()).with_recall(self.recall.as_ref());
            let scan = Arc::new(scan);
            logged(scoped(self.scope.as_ref(), scan, schema.columns()))
        })?
    }
}
