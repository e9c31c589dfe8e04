//! Analytics rules without a store: whether their queries mean something, what is probably wrong with them, whether
//! their tests hold. Every query runs in the engine that answers all others, over tables in memory.

use std::sync::Arc;

use arrow::array::RecordBatch;
use moneta_base::{Seq, TableName, Timestamp};
use moneta_event::{TableCatalog, TableSchema};
use moneta_monitor::{QueryExplanation, alerts_at, explain_query, query_problems};
use moneta_ports::{EventExplanation, OpContext, QueryEngine, QueryRequest};
use moneta_rules::analytics::{AnalyticsRule, Trial};
use moneta_rules::lint::{Diagnosis, lint_query};
use moneta_rules::rule_tests::{RuleTest, TestFailure};
use moneta_rules::{Error, NotLoaded};
use serde_json::json;

use crate::analytics::AnalyticsSet;
use crate::config::Config;
use crate::error::ServerError;
use crate::offline::offline_query_engine;

/// Analytics rules and the tables they may name: those of a catalog, empty, and those that their tests have.
pub struct RuleTrial<'a> {
    catalog: &'a TableCatalog,
}

impl<'a> RuleTrial<'a> {
    /// Rules over the tables of a catalog.
    #[must_use]
    pub const fn new(catalog: &'a TableCatalog) -> Self {
        Self { catalog }
    }

    /// The rules whose queries mean something, and the others with what is wrong.
    ///
    /// # Errors
    /// When the query engine cannot be set up.
    pub fn check(&self, rules: Vec<AnalyticsRule>) -> Result<(Vec<AnalyticsRule>, Vec<NotLoaded>), ServerError> {
        let (mut good, mut not_loaded) = (Vec::new(), Vec::new());
        if rules.is_empty() {
            return Ok((good, not_loaded));
        }
        let engine = self.engine_for(&rules)?;
        for rule in rules {
            match query_problems(&*engine, &rule).map(|found| found.into_iter().next()) {
                Ok(None) => good.push(rule),
                Ok(Some(message)) => not_loaded.push(refused(rule, message)),
                Err(error) => not_loaded.push(refused(rule, error.to_string())),
            }
        }
        Ok((good, not_loaded))
    }

    /// What is probably wrong with rules whose queries mean something.
    ///
    /// # Errors
    /// When the query engine cannot be set up.
    pub async fn lint(&self, rules: &[AnalyticsRule]) -> Result<Vec<Diagnosis>, ServerError> {
        let mut found = Vec::new();
        if rules.is_empty() {
            return Ok(found);
        }
        let engine = self.engine_for(rules)?;
        for rule in rules {
            let columns = engine.columns(&context(), QueryRequest::new(&rule.query)).await;
            let columns = columns.map_err(|error| ServerError::part("query engine", error.kind(), error))?;
            found.extend(lint_query(rule, &columns.into_iter().map(|column| column.name).collect::<Vec<_>>()));
        }
        Ok(found)
    }

    /// What of that keeps alerts from saying what they should.
    ///
    /// # Errors
    /// When the query engine cannot be set up.
    pub async fn warnings(&self, rules: &[AnalyticsRule]) -> Result<Vec<Diagnosis>, ServerError> {
        let mut found = Vec::new();
        if rules.is_empty() {
            return Ok(found);
        }
        let engine = self.engine_for(rules)?;
        for rule in rules {
            found.extend(AnalyticsSet::warnings(&*engine, &context(), rule).await);
        }
        Ok(found)
    }

    /// The tests beside rules whose outcome is another than they say; one whose query fails is told with the reason.
    ///
    /// # Errors
    /// When the query engine cannot be set up.
    pub async fn test(&self, rules: &[AnalyticsRule]) -> Result<Vec<TestFailure>, ServerError> {
        let mut failures = Vec::new();
        for rule in rules {
            for test in &rule.tests {
                failures.extend(self.failure(rule, test).await?);
            }
        }
        Ok(failures)
    }

    async fn failure(&self, rule: &AnalyticsRule, test: &RuleTest) -> Result<Option<TestFailure>, ServerError> {
        let Trial { at, tables } = Trial::of(test, self.catalog);
        let rows = tables.into_iter().map(|(schema, rows)| (schema, vec![rows])).collect();
        let name = match alerts_at(&*self.engine(rows)?, rule, at).await {
            Ok(alerts) if alerts == test.matches => return Ok(None),
            Ok(_) => test.name.clone(),
            Err(error) => format!("{} ({error})", test.name),
        };
        Ok(Some(TestFailure {
            rule_id: rule.metadata.id.to_string(),
            title: rule.metadata.title.clone(),
            test: name,
            expected: test.matches,
        }))
    }

    /// Why a rule alerts about one of some rows, or does not: that of a table with a `_Seq` and an event time.
    ///
    /// # Errors
    /// When the query engine cannot be set up, or the query fails.
    pub async fn explain(
        &self,
        rule: &AnalyticsRule,
        rows: Vec<(Arc<TableSchema>, Vec<RecordBatch>)>,
        event: (&TableName, Seq, Timestamp),
    ) -> Result<EventExplanation, ServerError> {
        let engine = self.engine(rows)?;
        let why = explain_query(&*engine, &context(), rule, event).await;
        Ok(explanation(why.map_err(|error| ServerError::part("query engine", error.kind(), error))?))
    }

    /// An engine over the tables of the catalog and some more.
    fn engine(&self, more: Vec<(Arc<TableSchema>, Vec<RecordBatch>)>) -> Result<Arc<dyn QueryEngine>, ServerError> {
        let known = self.catalog.iter().map(|schema| (Arc::clone(schema), Vec::new()));
        offline_query_engine(&Config::default(), known.chain(more).collect())
    }

    fn engine_for(&self, rules: &[AnalyticsRule]) -> Result<Arc<dyn QueryEngine>, ServerError> {
        let tests = rules.iter().flat_map(|rule| &rule.tests);
        let tables = tests.flat_map(|test: &RuleTest| Trial::of(test, self.catalog).tables);
        self.engine(tables.map(|(schema, rows)| (schema, vec![rows])).collect())
    }
}

/// An explanation as services give it.
pub(crate) fn explanation(why: QueryExplanation) -> EventExplanation {
    let explanation = json!({ "holds": why.holds, "lines": why.lines });
    EventExplanation { holds: why.holds, lines: why.lines, explanation }
}

fn refused(rule: AnalyticsRule, message: String) -> NotLoaded {
    NotLoaded {
        file: rule.file,
        rule_id: rule.metadata.id.to_string(),
        title: rule.metadata.title,
        error: Error::Query(message),
    }
}

fn context() -> OpContext {
    OpContext::service("rules")
}
