//! Changes of objects: allowed, checked, audited under a signed checkpoint, stored, and only then in effect.

use std::sync::Arc;

use moneta_base::ErrorKind;
use moneta_event::TableSchema;
use moneta_kql::{Diagnostic, render_diagnostics};
use moneta_metastore::ObjectKind;
use moneta_ports::{
    AuditEvent, BoxFuture, CreateMode, DeclaredTable, IngestionMapping, MappingKind, MaterializedView, OpContext,
    PortError, QueryLanguage, QueryObjects, SavedQuery, Scope, StoredFunction, TableChange, ViewStatus, Watchlist,
    WatchlistUpload,
};

use super::functions::{self, TEXT_BYTES_MAX};
use super::names::{check_title, refused};
use super::tables::mapping_key;
use super::{
    FUNCTIONS_MAX, Objects, SAVED_QUERIES_MAX, VIEWS_MAX, WATCHLISTS_BYTES_MAX, WATCHLISTS_MAX, views, watchlists,
};
use crate::Engine;

impl Engine {
    fn objects(&self) -> Result<&Objects, PortError> {
        self.core.objects.as_ref().ok_or_else(|| refused("nothing can be stored here: these are files, not a store"))
    }

    /// The objects, if the principal may change them.
    pub(super) async fn changeable(&self, ctx: &OpContext, event: AuditEvent) -> Result<&Objects, PortError> {
        if ctx.may(Scope::Admin) {
            return self.objects();
        }
        let reason = format!("{} may not change stored objects: it needs the scope `admin`", ctx.actor.name);
        Err(self.denied(ctx, event, reason).await)
    }

    /// Whether the principal may put something in the place of a saved query, or remove it: what they saved themselves
    /// needs the right to query only. Asked under the lock of changes, so that nobody takes the name in between.
    async fn check_may_change_query(
        &self,
        ctx: &OpContext,
        known: Option<&SavedQuery>,
        event: &AuditEvent,
    ) -> Result<(), PortError> {
        let is_own = known.is_none_or(|query| query.changed_by == ctx.actor.name);
        if ctx.may(Scope::Admin) || (is_own && ctx.may(Scope::Query)) {
            return Ok(());
        }
        let reason = match known {
            Some(query) if !is_own => format!(
                "{} may not change the saved query {:?} of {}: it needs the scope `admin`; save it under another name",
                ctx.actor.name, query.name, query.changed_by
            ),
            _ => format!("{} may not save queries: it needs the scope `query`", ctx.actor.name),
        };
        Err(self.denied(ctx, event.clone(), reason).await)
    }

    /// The refusal, once it is in the audit; else why it is not.
    async fn denied(&self, ctx: &OpContext, event: AuditEvent, reason: String) -> PortError {
        let denied = AuditEvent { outcome: moneta_ports::Outcome::Denied, reason: reason.clone(), ..event };
        match self.audit.record(ctx, denied).await {
            Ok(()) => PortError::new(ErrorKind::Denied, reason),
            Err(error) => error,
        }
    }

    async fn put_function_checked(
        &self,
        ctx: &OpContext,
        mut function: StoredFunction,
        mode: CreateMode,
        skip_validation: bool,
    ) -> Result<StoredFunction, PortError> {
        let mut event = AuditEvent::success("function.put", "function", &function.name);
        let objects = self.changeable(ctx, event.clone()).await?;
        let _one_at_a_time = objects.changing.lock().await;
        let mut set = (*objects.current()).clone();
        let known = set.functions.get(&function.name);
        if let Some(kept) = decide("function", &function.name, known, mode)? {
            return Ok(kept.clone());
        }
        if known.is_none() && set.functions.len() >= FUNCTIONS_MAX {
            return Err(refused(format!("there are {FUNCTIONS_MAX} functions already; drop one first")));
        }
        functions::check(&self.core, ctx, &set, &function, skip_validation)?;
        let now = self.core.clock.now();
        (function.changed_by, function.changed_at) = (ctx.actor.name.clone(), now.as_nanos());
        event.query_text = format!("{} {}", function.parameters, function.body);
        self.audit.record_change(ctx, event).await?;
        objects.store(ObjectKind::Function, &function.name, &function, (&ctx.actor.name, now), None)?;
        set.functions.insert(function.name.clone(), function.clone());
        objects.replace(set);
        Ok(function)
    }

    async fn put_view_checked(
        &self,
        ctx: &OpContext,
        mut view: MaterializedView,
        mode: CreateMode,
    ) -> Result<ViewStatus, PortError> {
        let mut event = AuditEvent::success("view.put", "materialized view", &view.name);
        let objects = self.changeable(ctx, event.clone()).await?;
        let _one_at_a_time = objects.changing.lock().await;
        let mut set = (*objects.current()).clone();
        let known = set.views.get(&view.name);
        if let Some(kept) = decide("materialized-view", &view.name, known, mode)? {
            return Ok(self.core.view_status(kept));
        }
        if known.is_none() && set.views.len() >= VIEWS_MAX {
            return Err(refused(format!("there are {VIEWS_MAX} materialized views already; drop one first")));
        }
        views::check(&self.core, &set, &view)?;
        let now = self.core.clock.now();
        (view.changed_by, view.changed_at) = (ctx.actor.name.clone(), now.as_nanos());
        event.query_text.clone_from(&view.query);
        self.audit.record_change(ctx, event).await?;
        objects.store(ObjectKind::View, &view.name, &view, (&ctx.actor.name, now), None)?;
        set.views.insert(view.name.clone(), view.clone());
        objects.replace(set);
        Ok(self.core.view_status(&view))
    }

    async fn save_query_checked(&self, ctx: &OpContext, mut query: SavedQuery) -> Result<SavedQuery, PortError> {
        let mut event = AuditEvent::success("query.save", "query", &query.name);
        let objects = self.objects()?;
        let _one_at_a_time = objects.changing.lock().await;
        let mut set = (*objects.current()).clone();
        self.check_may_change_query(ctx, set.saved_queries.get(&query.name), &event).await?;
        check_title("saved query", &query.name)?;
        check_text(&query)?;
        if !set.saved_queries.contains_key(&query.name) && set.saved_queries.len() >= SAVED_QUERIES_MAX {
            return Err(refused(format!("there are {SAVED_QUERIES_MAX} saved queries already; delete one first")));
        }
        let now = self.core.clock.now();
        (query.changed_by, query.changed_at) = (ctx.actor.name.clone(), now.as_nanos());
        event.query_text.clone_from(&query.text);
        self.audit.record_change(ctx, event).await?;
        objects.store(ObjectKind::Query, &query.name, &query, (&ctx.actor.name, now), None)?;
        set.saved_queries.insert(query.name.clone(), query.clone());
        objects.replace(set);
        Ok(query)
    }

    async fn put_watchlist_checked(&self, ctx: &OpContext, upload: WatchlistUpload) -> Result<Watchlist, PortError> {
        let mut event = AuditEvent::success("watchlist.put", "watchlist", &upload.name);
        let objects = self.changeable(ctx, event.clone()).await?;
        let now = self.core.clock.now();
        let (watchlist, stored, rows) = watchlists::read(&upload, &ctx.actor.name, now)?;
        let _one_at_a_time = objects.changing.lock().await;
        let mut set = (*objects.current()).clone();
        let others = set.watchlists.iter().filter(|(name, _)| **name != watchlist.name);
        let (count, bytes) = others.fold((0, 0), |(n, bytes), (_, (other, _))| (n + 1, bytes + other.size_bytes));
        if count >= WATCHLISTS_MAX || bytes + watchlist.size_bytes > WATCHLISTS_BYTES_MAX {
            return Err(refused(format!(
                "all watchlists together are at most {WATCHLISTS_MAX} with {WATCHLISTS_BYTES_MAX} bytes; delete one first"
            )));
        }
        event.row_count = Some(watchlist.num_rows);
        self.audit.record_change(ctx, event).await?;
        let name = watchlist.name.clone();
        objects.store(ObjectKind::Watchlist, &name, &watchlist, (&ctx.actor.name, now), Some(&stored))?;
        set.watchlists.insert(name, (watchlist.clone(), rows.into()));
        objects.replace(set);
        Ok(watchlist)
    }

    /// Removes an object of any kind.
    async fn remove(
        &self,
        ctx: &OpContext,
        kind: ObjectKind,
        (action, what): (&'static str, &'static str),
        name: &str,
    ) -> Result<(), PortError> {
        let event = AuditEvent::success(action, what, name);
        let objects = match kind {
            ObjectKind::Query => self.objects()?,
            _ => self.changeable(ctx, event.clone()).await?,
        };
        let _one_at_a_time = objects.changing.lock().await;
        let mut set = (*objects.current()).clone();
        if kind == ObjectKind::Query {
            self.check_may_change_query(ctx, set.saved_queries.get(name), &event).await?;
        }
        let was_there = match kind {
            ObjectKind::Function => set.functions.remove(name).is_some(),
            ObjectKind::Query => set.saved_queries.remove(name).is_some(),
            ObjectKind::Watchlist => set.watchlists.remove(name).is_some(),
            ObjectKind::View => set.views.remove(name).is_some(),
            ObjectKind::Mapping => set.mappings.remove(name).is_some(),
            // Its columns may be in use: `withdraw_table` removes one.
            ObjectKind::Table => false,
        };
        if !was_there {
            return Err(refused(format!("there is no {what} {name:?}")));
        }
        self.audit.record_change(ctx, event).await?;
        objects.delete(kind, name)?;
        objects.replace(set);
        Ok(())
    }
}

/// What a mode says about a name that is taken or free: an error, the object as it is, or to go on.
pub(super) fn decide<'a, T>(
    what: &str,
    name: &str,
    known: Option<&'a T>,
    mode: CreateMode,
) -> Result<Option<&'a T>, PortError> {
    match (mode, known) {
        (CreateMode::Create, Some(_)) => {
            Err(refused(format!("there is already a {what} {name:?}; `.create-or-alter {what}` replaces it")))
        }
        (CreateMode::Alter, None) => Err(refused(format!("there is no {what} {name:?} to alter"))),
        (CreateMode::CreateIfNotExists, Some(known)) => Ok(Some(known)),
        _ => Ok(None),
    }
}

/// A saved query parses; whether it binds depends on when it is run.
fn check_text(query: &SavedQuery) -> Result<(), PortError> {
    if query.text.len() > TEXT_BYTES_MAX {
        return Err(refused(format!("the query has more than {TEXT_BYTES_MAX} bytes")));
    }
    match QueryLanguage::parse(&query.language) {
        None => Err(refused(format!("the language {:?} is neither `kql` nor `sql`", query.language))),
        Some(QueryLanguage::Sql) => Ok(()),
        Some(QueryLanguage::Kql) => {
            let parsed = moneta_kql::parse(&query.text);
            if parsed.diagnostics.iter().any(Diagnostic::is_error) {
                return Err(refused(render_diagnostics(&query.text, &parsed.diagnostics)));
            }
            Ok(())
        }
    }
}

impl QueryObjects for Engine {
    fn functions(&self) -> Vec<StoredFunction> {
        self.core.object_set().functions.values().cloned().collect()
    }

    fn function_columns(&self, ctx: &OpContext, name: &str) -> Vec<(String, String)> {
        let set = self.core.object_set();
        set.functions.get(name).map_or_else(Vec::new, |function| functions::columns(&self.core, ctx, function))
    }

    fn put_function<'a>(
        &'a self,
        ctx: &'a OpContext,
        function: StoredFunction,
        mode: CreateMode,
        skip_validation: bool,
    ) -> BoxFuture<'a, Result<StoredFunction, PortError>> {
        Box::pin(self.put_function_checked(ctx, function, mode, skip_validation))
    }

    fn drop_function<'a>(&'a self, ctx: &'a OpContext, name: &'a str) -> BoxFuture<'a, Result<(), PortError>> {
        Box::pin(self.remove(ctx, ObjectKind::Function, ("function.drop", "function"), name))
    }

    fn views(&self) -> Vec<ViewStatus> {
        self.core.object_set().views.values().map(|view| self.core.view_status(view)).collect()
    }

    fn put_view<'a>(
        &'a self,
        ctx: &'a OpContext,
        view: MaterializedView,
        mode: CreateMode,
    ) -> BoxFuture<'a, Result<ViewStatus, PortError>> {
        Box::pin(self.put_view_checked(ctx, view, mode))
    }

    fn drop_view<'a>(&'a self, ctx: &'a OpContext, name: &'a str) -> BoxFuture<'a, Result<(), PortError>> {
        Box::pin(self.remove(ctx, ObjectKind::View, ("view.drop", "materialized view"), name))
    }

    fn declared_tables(&self) -> Vec<DeclaredTable> {
        self.core.object_set().tables.values().cloned().collect()
    }

    fn declare_table<'a>(
        &'a self,
        ctx: &'a OpContext,
        table: DeclaredTable,
        change: TableChange,
    ) -> BoxFuture<'a, Result<Arc<TableSchema>, PortError>> {
        Box::pin(self.declare_table_checked(ctx, table, change))
    }

    fn describe_table<'a>(
        &'a self,
        ctx: &'a OpContext,
        name: &'a str,
        doc_string: Option<String>,
        folder: Option<String>,
    ) -> BoxFuture<'a, Result<Arc<TableSchema>, PortError>> {
        Box::pin(self.describe_table_checked(ctx, name, doc_string, folder))
    }

    fn withdraw_table<'a>(&'a self, ctx: &'a OpContext, name: &'a str) -> BoxFuture<'a, Result<(), PortError>> {
        Box::pin(self.withdraw_table_checked(ctx, name))
    }

    fn mappings(&self) -> Vec<IngestionMapping> {
        self.core.object_set().mappings.values().cloned().collect()
    }

    fn mapping(&self, table: &str, kind: MappingKind, name: &str) -> Option<IngestionMapping> {
        self.core.object_set().mappings.get(&mapping_key(table, kind, name)).cloned()
    }

    fn put_mapping<'a>(
        &'a self,
        ctx: &'a OpContext,
        mapping: IngestionMapping,
        mode: CreateMode,
    ) -> BoxFuture<'a, Result<IngestionMapping, PortError>> {
        Box::pin(self.put_mapping_checked(ctx, mapping, mode))
    }

    fn drop_mapping<'a>(
        &'a self,
        ctx: &'a OpContext,
        table: &'a str,
        kind: MappingKind,
        name: &'a str,
    ) -> BoxFuture<'a, Result<(), PortError>> {
        Box::pin(async move {
            let key = mapping_key(table, kind, name);
            self.remove(ctx, ObjectKind::Mapping, ("mapping.drop", "ingestion mapping"), &key).await
        })
    }

    fn saved_queries(&self) -> Vec<SavedQuery> {
        self.core.object_set().saved_queries.values().cloned().collect()
    }

    fn save_query<'a>(&'a self, ctx: &'a OpContext, query: SavedQuery) -> BoxFuture<'a, Result<SavedQuery, PortError>> {
        Box::pin(self.save_query_checked(ctx, query))
    }

    fn delete_query<'a>(&'a self, ctx: &'a OpContext, name: &'a str) -> BoxFuture<'a, Result<(), PortError>> {
        Box::pin(self.remove(ctx, ObjectKind::Query, ("query.delete", "saved query"), name))
    }

    fn watchlists(&self) -> Vec<Watchlist> {
        self.core.object_set().watchlists.values().map(|(watchlist, _)| watchlist.clone()).collect()
    }

    fn put_watchlist<'a>(
        &'a self,
        ctx: &'a OpContext,
        upload: WatchlistUpload,
    ) -> BoxFuture<'a, Result<Watchlist, PortError>> {
        Box::pin(self.put_watchlist_checked(ctx, upload))
    }

    fn delete_watchlist<'a>(&'a self, ctx: &'a OpContext, name: &'a str) -> BoxFuture<'a, Result<(), PortError>> {
        Box::pin(self.remove(ctx, ObjectKind::Watchlist, ("watchlist.delete", "watchlist"), name))
    }
}
