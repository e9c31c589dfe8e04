//! The analytics rules of an installation: which stored files hold them, and what runs them.
//!
//! Rules are stored and audited with all other rules; nothing here stores.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use moneta_base::{Seq, TableName};
use moneta_event::catalog::table;
use moneta_ingest::Ingest;
use moneta_metastore::StoredRule;
use moneta_monitor::{Analytics, AnalyticsParts, Marks};
use moneta_ports::{OpContext, QueryEngine, QueryRequest, RuleException, RuleFile, RuleSummary};
use moneta_rules::analytics::{AnalyticsFile, AnalyticsRule, IncidentSettings, Schedule, is_analytics, parse_file};
use moneta_rules::lint::{Diagnosis, query_warnings};
use moneta_rules::{Error, NotLoaded};

use crate::node::{Told, World};
use crate::rule_admin::{Rules, summary_of_stopped};

/// The analytics rules that run.
#[derive(Default)]
pub(crate) struct AnalyticsSet {
    runner: OnceLock<Arc<Analytics>>,
    /// The stored rules, and whether each runs.
    known: Mutex<Vec<(AnalyticsRule, bool)>>,
}

impl AnalyticsSet {
    /// Gives every later set to what runs rules.
    pub(crate) fn attach(&self, runner: Arc<Analytics>) {
        let _ = self.runner.set(runner);
    }

    /// Runs the analytics rules among those stored, but for the disabled ones, without the rows that exceptions name.
    /// Returns those that are to run and cannot be read, with the reason.
    pub(crate) fn run(
        &self,
        stored: &[StoredRule],
        disabled: &BTreeSet<String>,
        exceptions: &[RuleException],
    ) -> Vec<RuleSummary> {
        let (mut rules, mut stopped) = (Vec::new(), Vec::new());
        for one in stored.iter().filter(|one| is_analytics(&one.text)) {
            let file = parse_file(&one.file_name, &one.text);
            let own = file.rules.into_iter().filter(|rule| rule.metadata.id == one.rule_id);
            let known = rules.len();
            rules.extend(own);
            if rules.len() == known && !disabled.contains(one.rule_id.as_str()) {
                let problem = file.not_loaded.iter().find(|refused| refused.rule_id == one.rule_id.as_str());
                stopped.push(summary_of_stopped(one, problem.or(file.not_loaded.first())));
            }
        }
        let enabled = |rule: &AnalyticsRule| !disabled.contains(rule.metadata.id.as_str());
        if let Some(runner) = self.runner.get() {
            let runs = rules.iter().filter(|rule| enabled(rule)).map(|rule| narrowed(rule, exceptions));
            runner.set_rules(&runs.collect::<Vec<_>>());
        }
        let known = rules.into_iter().map(|rule| (rule.clone(), enabled(&rule))).collect();
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = known;
        stopped
    }

    /// The rules that run, without the rows that exceptions name.
    pub(crate) fn running(&self, exceptions: &[RuleException]) -> Vec<AnalyticsRule> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().filter(|(_, enabled)| *enabled).map(|(rule, _)| narrowed(rule, exceptions)).collect()
    }

    /// What of a file can run, and why the rest cannot: also what its queries say of tables and columns is checked.
    pub(crate) fn candidates(&self, file: &RuleFile) -> AnalyticsFile {
        let mut parsed = parse_file(&file.name, &file.text);
        for rule in std::mem::take(&mut parsed.rules) {
            match self.problem(&rule) {
                None => parsed.rules.push(rule),
                Some(message) => parsed.not_loaded.push(NotLoaded {
                    file: rule.file,
                    rule_id: rule.metadata.id.to_string(),
                    title: rule.metadata.title,
                    error: Error::Query(message),
                }),
            }
        }
        parsed
    }

    /// What a rule names of its result that is not there. Its query means something.
    pub(crate) async fn warnings(engine: &dyn QueryEngine, ctx: &OpContext, rule: &AnalyticsRule) -> Vec<Diagnosis> {
        match engine.columns(ctx, QueryRequest::new(&rule.query)).await {
            Ok(columns) => query_warnings(rule, &columns.into_iter().map(|column| column.name).collect::<Vec<_>>()),
            // What is wrong with the query itself was said before.
            Err(_) => Vec::new(),
        }
    }

    /// What is wrong with a rule's query.
    pub(crate) fn problem(&self, rule: &AnalyticsRule) -> Option<String> {
        match self.runner.get()?.problems(rule) {
            Ok(problems) => problems.into_iter().next(),
            Err(error) => Some(error.to_string()),
        }
    }

    /// A stored rule.
    pub(crate) fn rule(&self, rule_id: &str) -> Option<AnalyticsRule> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().find(|(rule, _)| rule.metadata.id.as_str() == rule_id).map(|(rule, _)| rule.clone())
    }

    /// How a stored rule wants its alerts grouped.
    pub(crate) fn incident_settings(&self, rule_id: &str) -> Option<IncidentSettings> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().find(|(rule, _)| rule.metadata.id.as_str() == rule_id).map(|(rule, _)| rule.incident.clone())
    }

    /// The stored rules, for lists.
    pub(crate) fn summaries(&self) -> Vec<RuleSummary> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().map(|(rule, enabled)| RuleSummary { enabled: *enabled, ..summary(rule) }).collect()
    }
}

fn narrowed(rule: &AnalyticsRule, exceptions: &[RuleException]) -> AnalyticsRule {
    let query = Rules::narrowed(&rule.query, rule.metadata.id.as_str(), exceptions);
    AnalyticsRule { query, ..rule.clone() }
}

fn summary(rule: &AnalyticsRule) -> RuleSummary {
    let arrival = Analytics::arrival_of(rule);
    let tables: Vec<String> = arrival.iter().flat_map(|arrival| arrival.tables()).map(ToOwned::to_owned).collect();
    let runs = match (arrival, rule.schedule) {
        (Some(_), _) => format!("KQL on arrival in {}", tables.join(", ")),
        (None, Schedule::Scheduled { frequency, .. }) => format!("KQL every {} s", frequency.as_secs()),
        (None, Schedule::NearRealTime) => "KQL every minute".to_owned(),
    };
    RuleSummary {
        enabled: true,
        problem: None,
        rule_id: rule.metadata.id.to_string(),
        title: rule.metadata.title.clone(),
        level: rule.metadata.level.name().to_owned(),
        author: rule.metadata.author.clone(),
        log_source: runs,
        tables,
    }
}

/// Whether a stored rule is to run once it is added; `None` where its file does not say.
pub(crate) fn stated_enabled(stored: &StoredRule) -> Option<bool> {
    let file = is_analytics(&stored.text).then(|| parse_file(&stored.file_name, &stored.text))?;
    file.rules.into_iter().find(|rule| rule.metadata.id == stored.rule_id)?.enabled
}

/// Starts what runs analytics rules.
pub(crate) fn start_analytics(
    world: &World,
    ingest: &Arc<Ingest>,
    queries: Arc<dyn QueryEngine>,
    (delivery, alarms, quiet): Told,
    lateness: std::time::Duration,
    tenant: moneta_base::TenantId,
) -> Arc<Analytics> {
    let schema =
        |name| ingest.store().schema(&TableName::new(name).expect("a built-in table")).expect("a built-in table");
    let analytics = Analytics::start(AnalyticsParts {
        queries,
        events: ingest.clone(),
        marks: marks(ingest),
        delivery,
        alarms,
        clock: world.clock.clone(),
        metrics: world.metrics.clone(),
        alert_schema: schema(table::SECURITY_ALERT),
        health_schema: schema(table::MONETA_HEALTH),
        lateness,
        tenant,
        heads: heads(ingest),
        quiet,
    });
    ingest.subscribe(analytics.clone());
    analytics
}

/// How far producers are in the journal.
pub(crate) fn marks(ingest: &Arc<Ingest>) -> Marks {
    let journal = ingest.clone();
    Arc::new(move |producer: String| {
        let journal = journal.clone();
        Box::pin(async move { journal.mark_of(&producer).await.map(|(_, sequence)| sequence) })
    })
}

/// Per table the sequence after its last row.
pub(crate) fn heads(ingest: &Ingest) -> std::collections::BTreeMap<TableName, Seq> {
    let store = ingest.store();
    let mut heads = store.sealed_ends();
    for table in store.tables_with_rows() {
        if let Some(last) = store.snapshot(&table).and_then(|snapshot| snapshot.hot.last().cloned()) {
            heads.insert(table, last.header.end_seq());
        }
    }
    heads
}
