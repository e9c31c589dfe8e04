//! What makes a query one that can be materialised: it binds, over one table, to rows that do not depend on when or by
//! whom it is asked, and what each part of the table adds to them does not depend on the other parts.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::logical_expr::LogicalPlan;
use moneta_base::{TableName, Timestamp};
use moneta_kql::{Diagnostic, render_diagnostics};
use moneta_kql_plan::{BindOptions, BoundQuery, lower};
use moneta_ports::{MaterializedView, PortError};

use super::ObjectSet;
use super::functions::TEXT_BYTES_MAX;
use super::names::{check_identifier, refused};
use crate::engine::Core;
use crate::snapshot::Snapshot;
use crate::views::unfit;

/// Checks a view over the tables of now.
///
/// # Errors
/// What is wrong with it, with its place.
pub(super) fn check(core: &Core, set: &ObjectSet, view: &MaterializedView) -> Result<(), PortError> {
    check_identifier("materialized view", &view.name)?;
    let is_table = TableName::new(&view.name).is_ok_and(|name| core.tables.snapshot(&name).is_some());
    if is_table || set.functions.contains_key(&view.name) {
        return Err(refused(format!("there is a table or a function {:?} already; choose another name", view.name)));
    }
    if moneta_kql_plan::functions::registry().get(&view.name).is_some() {
        return Err(refused(format!("`{}` is a built-in function; choose another name", view.name)));
    }
    if view.query.len() > TEXT_BYTES_MAX {
        return Err(refused(format!("the query has more than {TEXT_BYTES_MAX} bytes")));
    }
    // A view reads its table itself, not another view, and calls no function that may be another tomorrow.
    let snapshot = Snapshot::new(core.tables.clone(), Arc::default(), core.outside.clone()).of_stored_tables();
    let query = bound(&view.query, &snapshot, &of_nobody(Timestamp::from_nanos(0)))?;
    let later =
        BindOptions { principal: "somebody".to_owned(), ..of_nobody(Timestamp::from_nanos(86_400_000_000_000)) };
    if bound(&view.query, &snapshot, &later)?.to_string() != query.to_string() {
        return Err(refused(
            "the query depends on when or by whom it is asked (`now()`, `ago()`, `current_principal()`); a \
             materialized view has the same rows for all: leave that to the queries over it",
        ));
    }
    let [result] = query.results.as_slice() else {
        return Err(refused("the query of a materialized view has one result"));
    };
    let plan = lower(result, &snapshot).map_err(|error| refused(error.to_string()))?;
    if let Some(reason) = unfit(&plan) {
        return Err(refused(format!("the query cannot be materialized: {reason}; store it with `.create function`")));
    }
    let read = tables_of(&plan);
    if read.len() != 1 || !read.contains(&view.source) {
        let read: Vec<_> = read.into_iter().collect();
        return Err(refused(format!(
            "the view is declared on the table {:?}, and its query reads {}",
            view.source,
            read.join(", ")
        )));
    }
    Ok(())
}

/// What a view's query is bound with: it depends on none of it.
pub(crate) fn of_nobody(now: Timestamp) -> BindOptions {
    BindOptions {
        now,
        database: crate::engine::DATABASE.to_owned(),
        principal: String::new(),
        has_locations: false,
        parameters: std::collections::BTreeMap::new(),
        found: Vec::new(),
    }
}

fn bound(text: &str, snapshot: &Snapshot, options: &BindOptions) -> Result<BoundQuery, PortError> {
    let parsed = moneta_kql::parse(text);
    let mut findings = parsed.diagnostics;
    if !findings.iter().any(Diagnostic::is_error) {
        let (query, more) = moneta_kql_plan::bind(&parsed.tree, snapshot, options);
        if let Some(query) = query {
            return Ok(query);
        }
        findings.extend(more);
    }
    Err(refused(render_diagnostics(text, &findings)))
}

/// The names of the tables that a plan reads.
fn tables_of(plan: &LogicalPlan) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let walked = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            names.insert(scan.table_name.table().to_owned());
        }
        Ok(TreeNodeRecursion::Continue)
    });
    debug_assert!(walked.is_ok(), "walking a plan fails nowhere");
    names
}
