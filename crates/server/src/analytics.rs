//! The analytics rules of an installation: which stored files hold them, and what runs them.
//!
//! Rules are stored and audited with all other rules; nothing here stores.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use moneta_base::{Seq, TableName, Timestamp};
use moneta_event::catalog::table;
use moneta_ingest::Ingest;
use moneta_merkle::sha256;
use moneta_metastore::StoredRule;
use moneta_monitor::{Analytics, AnalyticsParts, Marks};
use moneta_ports::{AlarmSink, AlertDelivery, QueryEngine, RuleException, RuleFile, RuleSummary};
use moneta_rules::analytics::{AnalyticsRule, IncidentSettings, Schedule, is_analytics, parse_file};
use moneta_rules::{Error, NotLoaded};

use crate::node::World;
use crate::rule_admin::Rules;

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
    pub(crate) fn run(&self, stored: &[StoredRule], disabled: &BTreeSet<String>, exceptions: &[RuleException]) {
        let mut rules = Vec::new();
        for one in stored.iter().filter(|one| is_analytics(&one.text)) {
            let file = parse_file(&one.file_name, &one.text);
            rules.extend(file.rules.into_iter().filter(|rule| rule.metadata.id == one.rule_id));
        }
        let enabled = |rule: &AnalyticsRule| !disabled.contains(rule.metadata.id.as_str());
        if let Some(runner) = self.runner.get() {
            let narrowed = |rule: &AnalyticsRule| AnalyticsRule {
                query: Rules::narrowed(&rule.query, rule.metadata.id.as_str(), exceptions),
                ..rule.clone()
            };
            runner.set_rules(&rules.iter().filter(|rule| enabled(rule)).map(narrowed).collect::<Vec<_>>());
        }
        let known = rules.into_iter().map(|rule| (rule.clone(), enabled(&rule))).collect();
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = known;
    }

    /// What of a file can run, and why the rest cannot: also what its queries say of tables and columns is checked.
    pub(crate) fn candidates(
        &self,
        file: &RuleFile,
        added_by: &str,
        added_at: Timestamp,
    ) -> (Vec<StoredRule>, Vec<NotLoaded>) {
        let parsed = parse_file(&file.name, &file.text);
        let (mut stored, mut not_loaded) = (Vec::new(), parsed.not_loaded);
        for rule in parsed.rules {
            match self.problem(&rule) {
                None => stored.push(StoredRule {
                    rule_id: rule.metadata.id,
                    file_name: file.name.clone(),
                    text: file.text.clone(),
                    sha256: *sha256(file.text.as_bytes()).as_bytes(),
                    added_by: added_by.to_owned(),
                    added_at,
                    pack: None,
                }),
                Some(message) => not_loaded.push(NotLoaded {
                    file: file.name.clone(),
                    rule_id: rule.metadata.id.to_string(),
                    title: rule.metadata.title,
                    error: Error::Query(message),
                }),
            }
        }
        (stored, not_loaded)
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

fn summary(rule: &AnalyticsRule) -> RuleSummary {
    let runs = match (Analytics::arrival_of(rule), rule.schedule) {
        (Some(arrival), _) => format!("KQL on arrival in {}", arrival.table),
        (None, Schedule::Scheduled { frequency, .. }) => format!("KQL every {} s", frequency.as_secs()),
        (None, Schedule::NearRealTime) => "KQL every minute".to_owned(),
    };
    RuleSummary {
        enabled: true,
        rule_id: rule.metadata.id.to_string(),
        title: rule.metadata.title.clone(),
        level: rule.metadata.level.name().to_owned(),
        author: rule.metadata.author.clone(),
        log_source: runs,
    }
}

/// Starts what runs analytics rules.
pub(crate) fn start_analytics(
    world: &World,
    ingest: &Arc<Ingest>,
    queries: Arc<dyn QueryEngine>,
    delivery: Arc<dyn AlertDelivery>,
    alarms: Arc<dyn AlarmSink>,
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
        tenant,
        heads: heads(ingest),
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
