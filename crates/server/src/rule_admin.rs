//! The rules of an installation: stored in the metastore, compiled, given to the monitor.
//!
//! A change is audited first, then stored, then swapped in whole: either the new set runs or the old one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use futures::future::try_join_all;
use moneta_base::{Clock, ErrorKind, RuleId, Seq, TableName, Timestamp};
use moneta_event::TableCatalog;
use moneta_ingest::Ingest;
use moneta_merkle::{VerifierKey, sha256};
use moneta_metastore::{Metastore, SecretHash, Setting, StoredRule};
use moneta_monitor::{Analytics, Monitor};
use moneta_ports::{
    Alarm, AlarmKind, AlarmSink, AuditEvent, AuditSink, BackfillReport, BackfillSelection, BoxFuture, EventExplanation,
    ExceptionCondition, ExceptionPreview, FailedRuleTest, JudgedAlert, NewException, OpContext, PortError, QueryEngine,
    RuleAdmin, RuleException, RuleFile, RulePack, RuleReport, RuleSetReport, RuleSource, RuleSummary, RuleTuning,
    RuleWarning,
};
use moneta_rules::analytics::{AnalyticsRule, IncidentSettings, is_analytics};
use moneta_rules::exception;
use moneta_rules::ir::Body;
use moneta_rules::lint::{self, Diagnosis};
use moneta_rules::rule_tests::{self, TestFailure};
use moneta_rules::{CompiledRules, NotLoaded, Placeholders, Rule, Taxonomy, parse_file_with};
use serde_json::Value;

use crate::analytics::{AnalyticsSet, stated_enabled};
use crate::backfill;
use crate::error::ServerError;
use crate::rule_trial::RuleTrial;

/// The setting that holds the ids of disabled rules.
const DISABLED: &str = "rules.disabled";

/// Whether the tests beside rules are run when these are added.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tests {
    /// They are.
    Run,
    /// The rules are known to pass them.
    Passed,
}

/// What the configuration says of rules.
pub(crate) struct RuleSettings {
    pub(crate) placeholders: Placeholders,
    pub(crate) taxonomy: Taxonomy,
    /// Keys of those whose packs are taken.
    pub(crate) trusted_signers: Vec<VerifierKey>,
    /// How long after its end a window of a query is evaluated.
    pub(crate) lateness: Duration,
}

/// What is stored and in force, read at one time.
pub(crate) struct RuleSet {
    stored: Vec<StoredRule>,
    /// Ids of rules that are kept and do not run.
    disabled: BTreeSet<String>,
    exceptions: Vec<RuleException>,
}

/// Implements [`RuleAdmin`].
pub(crate) struct Rules {
    pub(crate) metastore: Arc<Metastore>,
    pub(crate) audit: Arc<Ingest>,
    pub(crate) catalog: Arc<TableCatalog>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) taxonomy: Taxonomy,
    placeholders: Placeholders,
    pub(crate) trusted_signers: Vec<VerifierKey>,
    lateness: Duration,
    monitor: OnceLock<Arc<Monitor>>,
    engine: OnceLock<Arc<dyn QueryEngine>>,
    pub(crate) analytics: AnalyticsSet,
    /// Ids of the exceptions that the compiled rules have, and when each ends.
    pub(crate) applied: Mutex<BTreeMap<String, Timestamp>>,
    active: Mutex<Arc<CompiledRules>>,
    /// Rules that are to run and do not, each with the reason; by id.
    stopped: Mutex<BTreeMap<String, RuleSummary>>,
    alarms: OnceLock<Arc<dyn AlarmSink>>,
    /// One change at a time.
    pub(crate) changing: tokio::sync::Mutex<()>,
}

impl Rules {
    /// Loads and compiles the stored rules.
    pub(crate) fn load(
        metastore: Arc<Metastore>,
        audit: Arc<Ingest>,
        catalog: Arc<TableCatalog>,
        clock: Arc<dyn Clock>,
        settings: RuleSettings,
    ) -> Result<Arc<Self>, ServerError> {
        let RuleSettings { placeholders, taxonomy, trusted_signers, lateness } = settings;
        let rules = Self {
            metastore,
            audit,
            catalog,
            clock,
            taxonomy,
            placeholders,
            trusted_signers,
            lateness,
            monitor: OnceLock::new(),
            engine: OnceLock::new(),
            analytics: AnalyticsSet::default(),
            applied: Mutex::default(),
            active: Mutex::default(),
            stopped: Mutex::default(),
            alarms: OnceLock::new(),
            changing: tokio::sync::Mutex::new(()),
        };
        let set = rules.read().map_err(|error| ServerError::part("metastore", error.kind, error))?;
        rules.put_in_force(&set);
        Ok(Arc::new(rules))
    }

    /// Tells people of rules that are to run and do not: those of now, and all that stop later.
    pub(crate) fn attach_alarms(&self, alarms: Arc<dyn AlarmSink>) {
        let _ = self.alarms.set(alarms);
        self.stopped().values().for_each(|rule| self.tell_stopped(rule));
    }

    /// Now, and how long after its end a window of a query is evaluated.
    pub(crate) fn clock_of_windows(&self) -> (Timestamp, Duration) {
        (self.clock.now(), self.lateness)
    }

    /// Gives every later set to the monitor too.
    pub(crate) fn attach(&self, monitor: Arc<Monitor>) {
        let _ = self.monitor.set(monitor);
    }

    /// Gives what reads history for backfills.
    pub(crate) fn attach_engine(&self, engine: Arc<dyn QueryEngine>) {
        let _ = self.engine.set(engine);
    }

    /// Gives the stored analytics rules, and every later set, to what runs them.
    pub(crate) fn attach_analytics(self: &Arc<Self>, analytics: Arc<Analytics>) -> Result<(), PortError> {
        self.analytics.attach(analytics);
        self.run_analytics(&self.read()?);
        self.watch_exceptions();
        Ok(())
    }

    /// How an analytics rule wants its alerts grouped; `None` for other rules.
    pub(crate) fn incident_settings(&self, rule_id: &str) -> Option<IncidentSettings> {
        self.analytics.incident_settings(rule_id)
    }

    /// The rules that run.
    pub(crate) fn active(&self) -> Arc<CompiledRules> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What is stored now.
    pub(crate) fn read(&self) -> Result<RuleSet, PortError> {
        let (stored, disabled, exceptions) = (self.stored()?, self.disabled()?, self.exceptions_in_force()?);
        Ok(RuleSet { stored, disabled, exceptions })
    }

    /// The rules of a set that match events, and those of them that are to run and cannot.
    fn compile(&self, set: &RuleSet) -> (Arc<CompiledRules>, Vec<RuleSummary>) {
        let runs = |rule: &&StoredRule| !set.disabled.contains(rule.rule_id.as_str());
        let wanted: BTreeSet<&RuleId> = set.stored.iter().filter(runs).map(|rule| &rule.rule_id).collect();
        let files: BTreeMap<(&str, &str), ()> =
            set.stored.iter().map(|rule| ((rule.file_name.as_str(), rule.text.as_str()), ())).collect();
        let (mut rules, mut not_loaded): (Vec<Rule>, Vec<NotLoaded>) = (Vec::new(), Vec::new());
        for (name, text) in files.into_keys() {
            let parsed = parse_file_with(name, text, &self.placeholders);
            rules.extend(parsed.rules.into_iter().filter(|rule| wanted.contains(&rule.metadata.id)));
            not_loaded.extend(parsed.not_loaded);
        }
        rules.extend(Self::filters(&set.exceptions));
        let (compiled, refused) = CompiledRules::compile(rules, &self.taxonomy, &self.catalog);
        not_loaded.extend(refused);
        let running: BTreeSet<&RuleId> = compiled.rules().iter().map(|rule| &rule.metadata.id).collect();
        let stopped = set.stored.iter().filter(runs).filter(|rule| !running.contains(&rule.rule_id));
        let stopped = stopped.filter(|rule| !is_analytics(&rule.text)).map(|rule| {
            let own = |refused: &&NotLoaded| RuleId::new(&refused.rule_id) == rule.rule_id;
            summary_of_stopped(rule, not_loaded.iter().find(own))
        });
        let stopped = stopped.collect();
        (Arc::new(compiled), stopped)
    }

    fn stopped(&self) -> BTreeMap<String, RuleSummary> {
        self.stopped.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn tell_stopped(&self, rule: &RuleSummary) {
        let (subject, reason) = (rule.rule_id.clone(), rule.problem.as_deref().unwrap_or_default());
        tracing::warn!(rule_id = subject, title = rule.title, reason, "a stored rule does not run");
        if let Some(alarms) = self.alarms.get() {
            let text = format!("{} ({subject}) does not run: {reason}", rule.title);
            alarms.raise(Alarm { kind: AlarmKind::RuleStopped, subject, text });
        }
    }

    /// Compiles what is stored now and runs it from here on.
    pub(crate) fn reload(&self) -> Result<Vec<RuleSummary>, PortError> {
        Ok(self.put_in_force(&self.read()?))
    }

    /// Compiles a set and runs it from here on; what does not run any more.
    pub(crate) fn put_in_force(&self, set: &RuleSet) -> Vec<RuleSummary> {
        let (compiled, mut stopped) = self.compile(set);
        *self.active.lock().unwrap_or_else(PoisonError::into_inner) = compiled.clone();
        // What has no end that can be read never held.
        let ends = |one: &RuleException| Some((one.id.clone(), Timestamp::parse(&one.expires)?));
        *self.applied.lock().unwrap_or_else(PoisonError::into_inner) = set.exceptions.iter().filter_map(ends).collect();
        if let Some(monitor) = self.monitor.get() {
            monitor.set_rules(compiled);
        }
        stopped.extend(self.run_analytics(set));
        let stopped: BTreeMap<String, RuleSummary> =
            stopped.into_iter().map(|rule| (rule.rule_id.clone(), rule)).collect();
        let mut before = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        let newly: Vec<RuleSummary> =
            stopped.values().filter(|rule| !before.contains_key(&rule.rule_id)).cloned().collect();
        *before = stopped;
        drop(before);
        newly.iter().for_each(|rule| self.tell_stopped(rule));
        newly
    }

    fn run_analytics(&self, set: &RuleSet) -> Vec<RuleSummary> {
        self.analytics.run(&set.stored, &set.disabled, &set.exceptions)
    }

    /// Why a rule is not among the active ones.
    pub(crate) fn why_not_active(&self, rule_id: &str) -> PortError {
        let set = match self.read() {
            Ok(set) => set,
            Err(error) => return error,
        };
        if !set.stored.iter().any(|rule| rule.rule_id.as_str() == rule_id) {
            return no_such_rule(rule_id);
        }
        if set.disabled.contains(rule_id) {
            let message = format!("the rule {rule_id} is disabled; `moneta rules enable {rule_id}` enables it");
            return PortError::new(ErrorKind::Caller, message);
        }
        let reason = self.stopped().remove(rule_id).and_then(|rule| rule.problem);
        let reason = reason.unwrap_or_else(|| "it is not among the rules that match events".to_owned());
        PortError::new(ErrorKind::Caller, format!("the rule {rule_id} is stored and does not run: {reason}"))
    }

    /// What reads history.
    pub(crate) fn history(&self) -> Result<Arc<dyn QueryEngine>, PortError> {
        let missing = || PortError::new(ErrorKind::Internal, "there is nothing that reads history");
        self.engine.get().cloned().ok_or_else(missing)
    }

    pub(crate) fn stored(&self) -> Result<Vec<StoredRule>, PortError> {
        self.metastore.rules().map_err(metastore_failed)
    }

    /// Ids of rules that are kept and do not run.
    fn disabled(&self) -> Result<BTreeSet<String>, PortError> {
        let setting = self.metastore.setting(DISABLED).map_err(metastore_failed)?;
        let ids = setting.as_ref().and_then(|setting| setting.value.as_array());
        Ok(ids.into_iter().flatten().filter_map(|id| id.as_str().map(str::to_owned)).collect())
    }

    /// The change is audited, then stored, then takes effect.
    async fn enable(&self, ctx: &OpContext, rule_id: &str, enabled: bool) -> Result<(), PortError> {
        let _one_at_a_time = self.changing.lock().await;
        if !self.stored()?.iter().any(|rule| rule.rule_id.as_str() == rule_id) {
            return Err(no_such_rule(rule_id));
        }
        let mut disabled = self.disabled()?;
        let changed = if enabled { disabled.remove(rule_id) } else { disabled.insert(rule_id.to_owned()) };
        if !changed {
            return Ok(());
        }
        if !enabled {
            self.refuse_to_stop_others(rule_id)?;
        }
        let action = if enabled { "rule.enable" } else { "rule.disable" };
        self.audit.record_change(ctx, AuditEvent::success(action, "rule", rule_id)).await?;
        self.store_disabled(ctx, disabled)?;
        self.reload()?;
        Ok(())
    }

    /// A correlation would stop with the rule that it counts, and nobody might notice.
    fn refuse_to_stop_others(&self, rule_id: &str) -> Result<(), PortError> {
        let active = self.active();
        let dependents = active.dependents(&RuleId::new(rule_id));
        if dependents.is_empty() {
            return Ok(());
        }
        let name = |rule: &&Arc<Rule>| format!("{} ({})", rule.metadata.title, rule.metadata.id);
        let names = dependents.iter().map(name).collect::<Vec<String>>().join(", ");
        let message = format!(
            "correlations count what the rule {rule_id} finds and would stop with it: {names}; disable or remove them first"
        );
        Err(PortError::new(ErrorKind::Caller, message))
    }

    fn store_disabled(&self, ctx: &OpContext, disabled: BTreeSet<String>) -> Result<(), PortError> {
        let setting = Setting {
            key: DISABLED.to_owned(),
            value: disabled.into_iter().collect::<Vec<String>>().into(),
            changed_by: ctx.actor.name.clone(),
            changed_at: self.clock.now(),
        };
        self.metastore.put_setting(&setting).map_err(metastore_failed)
    }

    /// Sigma rules that are stored and disabled, and whatever is disabled and can no longer be read.
    fn summaries_of_disabled(&self) -> Result<Vec<RuleSummary>, PortError> {
        let disabled = self.disabled()?;
        let stored = self.stored()?;
        let active = self.active();
        let rules = stored.iter().filter(|rule| disabled.contains(rule.rule_id.as_str()));
        let listed = rules.filter(|stored| self.analytics.rule(stored.rule_id.as_str()).is_none()).map(|stored| {
            let parsed = parse_file_with(&stored.file_name, &stored.text, &self.placeholders);
            let own = parsed.rules.iter().find(|rule| rule.metadata.id == stored.rule_id);
            let refused = || parsed.not_loaded.iter().find(|refused| RuleId::new(&refused.rule_id) == stored.rule_id);
            own.map_or_else(|| summary_of_stopped(stored, refused()), |rule| self.summary(rule, active.rules()))
        });
        Ok(listed.map(|rule| RuleSummary { enabled: false, ..rule }).collect())
    }

    /// A rule as lists show it, among those it may refer to.
    fn summary(&self, rule: &Rule, others: &[Arc<Rule>]) -> RuleSummary {
        let tables = self.tables_of(rule, others);
        RuleSummary {
            rule_id: rule.metadata.id.to_string(),
            title: rule.metadata.title.clone(),
            level: rule.metadata.level.name().to_owned(),
            author: rule.metadata.author.clone(),
            log_source: rule.log_source().map(ToString::to_string).unwrap_or_default(),
            tables: tables.iter().map(ToString::to_string).collect(),
            enabled: true,
            problem: None,
        }
    }

    /// Correlations refer to active rules only, which never refer to themselves.
    fn tables_of(&self, rule: &Rule, others: &[Arc<Rule>]) -> BTreeSet<TableName> {
        match &rule.body {
            Body::Detection(detection) => {
                let targets = self.taxonomy.targets(&detection.log_source).unwrap_or_default();
                targets.into_iter().map(|target| target.table).collect()
            }
            Body::Correlation(correlation) => {
                let is_meant = |other: &&Arc<Rule>| correlation.rules.iter().any(|name| other.is_called(name));
                others.iter().filter(is_meant).flat_map(|other| self.tables_of(other, others)).collect()
            }
            Body::Filter(_) => BTreeSet::new(),
        }
    }

    /// Adds files, of a pack or of none. One change at a time: the caller holds the lock.
    pub(crate) async fn add_files(
        &self,
        ctx: &OpContext,
        files: &[RuleFile],
        pack: Option<&RulePack>,
        tests: Tests,
    ) -> Result<RuleSetReport, PortError> {
        let pack = pack.map(|pack| serde_json::json!(pack));
        let Candidates { mut rules, mut report, .. } = self.candidates(ctx, files, tests).await?;
        rules.iter_mut().for_each(|rule| rule.pack.clone_from(&pack));
        let changed = self.changed(rules, &mut report)?;
        if changed.is_empty() {
            return Ok(report);
        }
        let (disabled, switched) = self.disabled_with(&changed)?;
        // All at once: their commits share a few syncs.
        let events = changed.iter().map(added_event).chain(switched);
        try_join_all(events.map(|event| self.audit.record(ctx, event))).await?;
        // Every single change is durable by now; one checkpoint over all of them must exist before any takes effect.
        self.audit.publish_now().await?;
        if let Some(disabled) = disabled {
            self.store_disabled(ctx, disabled)?;
        }
        self.metastore.put_rules(&changed).map_err(metastore_failed)?;
        let stopped = self.reload()?.into_iter();
        report.warnings.extend(stopped.map(|rule| RuleWarning {
            file: String::new(),
            line: 0,
            rule_id: rule.rule_id,
            title: rule.title,
            code: "not_running".to_owned(),
            message: rule.problem.unwrap_or_default(),
        }));
        Ok(report)
    }

    /// What added rules say of whether they run: the ids of disabled rules then, where that changes them, and the events
    /// of the changes.
    fn disabled_with(&self, added: &[StoredRule]) -> Result<(Option<BTreeSet<String>>, Vec<AuditEvent>), PortError> {
        let mut disabled = self.disabled()?;
        let mut events = Vec::new();
        for (rule, enabled) in added.iter().filter_map(|rule| Some((rule, stated_enabled(rule)?))) {
            let id = rule.rule_id.as_str();
            let changed = if enabled { disabled.remove(id) } else { disabled.insert(id.to_owned()) };
            let action = if enabled { "rule.enable" } else { "rule.disable" };
            events.extend(changed.then(|| AuditEvent::success(action, "rule", id)));
        }
        Ok(((!events.is_empty()).then_some(disabled), events))
    }

    /// Those that are not stored as they are; both are counted.
    fn changed(&self, rules: Vec<StoredRule>, report: &mut RuleSetReport) -> Result<Vec<StoredRule>, PortError> {
        // A rule that comes anew from elsewhere changes, too: whom it is from is part of what is known of it.
        let known: BTreeMap<RuleId, (SecretHash, Option<Value>)> =
            self.stored()?.into_iter().map(|rule| (rule.rule_id, (rule.sha256, rule.pack))).collect();
        let is_known = |rule: &StoredRule| {
            known.get(&rule.rule_id).is_some_and(|(sha256, from)| *sha256 == rule.sha256 && *from == rule.pack)
        };
        let (unchanged, changed): (Vec<_>, Vec<_>) = rules.into_iter().partition(is_known);
        report.unchanged = unchanged.len();
        report.loaded = changed.len();
        Ok(changed)
    }

    /// Matches rules that are not added against what is stored.
    async fn backfill_drafts(
        &self,
        ctx: &OpContext,
        selection: BackfillSelection,
        tables: &[TableName],
    ) -> Result<BackfillReport, PortError> {
        let Candidates { rules, report, compiled, analytics } =
            self.candidates(ctx, &selection.drafts, Tests::Run).await?;
        if let Some(RuleReport { file, problem, .. }) = report.not_loaded.into_iter().next() {
            let message = format!("{file}: {}", problem.unwrap_or_default());
            return Err(PortError::new(ErrorKind::Caller, message));
        }
        let drafts = rules.iter().map(|rule| rule.rule_id.to_string());
        let rule_ids = if selection.rule_ids.is_empty() { drafts.collect() } else { selection.rule_ids };
        let selection = BackfillSelection { rule_ids, drafts: Vec::new(), ..selection };
        let engine = self.history()?;
        let past = backfill::Past { engine: &*engine, ctx, stored: tables, clock: self.clock_of_windows() };
        past.of_all(&compiled, &analytics, &selection).await
    }

    /// What of the files can run, and why the rest cannot.
    async fn candidates(&self, ctx: &OpContext, files: &[RuleFile], tests: Tests) -> Result<Candidates, PortError> {
        let run_tests = tests == Tests::Run;
        let mut report = RuleSetReport::default();
        let mut parsed: Vec<Rule> = Vec::new();
        let (queries, files): (Vec<&RuleFile>, Vec<&RuleFile>) =
            files.iter().partition(|file| is_analytics(&file.text));
        for file in &files {
            let one = parse_file_with(&file.name, &file.text, &self.placeholders);
            report.not_loaded.extend(one.not_loaded.into_iter().map(rule_report));
            parsed.extend(one.rules);
        }
        let new: BTreeSet<RuleId> = parsed.iter().map(|rule| rule.metadata.id.clone()).collect();
        // A correlation may refer to rules that were added before.
        let stored_before = self.active().rules().to_vec();
        let kept = stored_before.iter().filter(|rule| !new.contains(&rule.metadata.id));
        parsed.extend(kept.map(|rule| Rule::clone(rule)));
        let (compiled, not_loaded) = CompiledRules::compile(parsed, &self.taxonomy, &self.catalog);
        let not_loaded = not_loaded.into_iter().filter(|rule| new.contains(&RuleId::new(&rule.rule_id)));
        report.not_loaded.extend(not_loaded.map(rule_report));
        let compiled = Arc::new(compiled);
        let added: Vec<&Arc<Rule>> = compiled.rules().iter().filter(|rule| new.contains(&rule.metadata.id)).collect();
        report.num_tests = added.iter().map(|rule| rule.tests.len()).sum();
        let failures = rule_tests::run(&compiled, &self.catalog, |id| run_tests && new.contains(id));
        report.failed_tests.extend(failures.into_iter().map(failed_test));
        let warnings = lint::warnings(&compiled, &self.taxonomy, &self.catalog, |id| new.contains(id));
        report.warnings.extend(warnings.into_iter().map(rule_warning));
        let texts: BTreeMap<&str, &str> =
            files.iter().chain(&queries).map(|file| (file.name.as_str(), file.text.as_str())).collect();
        let stored = |rule_id: &RuleId, file: &str| {
            let text = texts.get(file).copied().unwrap_or_default().to_owned();
            StoredRule {
                rule_id: rule_id.clone(),
                file_name: file.to_owned(),
                sha256: *sha256(text.as_bytes()).as_bytes(),
                text,
                added_by: ctx.actor.name.clone(),
                added_at: self.clock.now(),
                pack: None,
            }
        };
        let mut rules: Vec<StoredRule> = added.into_iter().map(|rule| stored(&rule.metadata.id, &rule.file)).collect();
        let mut analytics = Vec::new();
        for file in queries {
            let found = self.analytics.candidates(file);
            rules.extend(found.rules.iter().map(|rule| stored(&rule.metadata.id, &rule.file)));
            report.not_loaded.extend(found.not_loaded.into_iter().map(rule_report));
            report.num_tests += found.rules.iter().map(|rule| rule.tests.len()).sum::<usize>();
            let tested = if run_tests { found.rules.as_slice() } else { &[] };
            let failures = RuleTrial::new(&self.catalog).test(tested).await;
            let failures =
                failures.map_err(|error| PortError::caused_by(error.kind(), "tests cannot be run", error))?;
            report.failed_tests.extend(failures.into_iter().map(failed_test));
            let engine = self.history()?;
            for rule in &found.rules {
                let warnings = AnalyticsSet::warnings(&*engine, ctx, rule).await;
                report.warnings.extend(warnings.into_iter().map(rule_warning));
            }
            analytics.extend(found.rules);
        }
        Ok(Candidates { rules, report, compiled, analytics })
    }
}

/// Rules that could run, and the report on the rest.
struct Candidates {
    rules: Vec<StoredRule>,
    report: RuleSetReport,
    /// Those that match events, among the active ones.
    compiled: Arc<CompiledRules>,
    /// Those that are queries.
    analytics: Vec<AnalyticsRule>,
}

impl RuleAdmin for Rules {
    fn add<'a>(&'a self, ctx: &'a OpContext, files: Vec<RuleFile>) -> BoxFuture<'a, Result<RuleSetReport, PortError>> {
        Box::pin(async move {
            let _one_at_a_time = self.changing.lock().await;
            self.add_files(ctx, &files, None, Tests::Run).await
        })
    }

    fn check<'a>(
        &'a self,
        ctx: &'a OpContext,
        files: Vec<RuleFile>,
    ) -> BoxFuture<'a, Result<RuleSetReport, PortError>> {
        Box::pin(async move {
            let Candidates { rules, mut report, .. } = self.candidates(ctx, &files, Tests::Run).await?;
            self.changed(rules, &mut report)?;
            Ok(report)
        })
    }

    fn add_pack<'a>(&'a self, ctx: &'a OpContext, pack: &'a [u8]) -> BoxFuture<'a, Result<RuleSetReport, PortError>> {
        Box::pin(self.take_pack(ctx, pack))
    }

    fn remove<'a>(&'a self, ctx: &'a OpContext, rule_id: &'a str) -> BoxFuture<'a, Result<(), PortError>> {
        Box::pin(async move {
            let _one_at_a_time = self.changing.lock().await;
            let id = RuleId::new(rule_id);
            if !self.stored()?.iter().any(|rule| rule.rule_id == id) {
                return Err(no_such_rule(rule_id));
            }
            self.refuse_to_stop_others(rule_id)?;
            self.audit.record_change(ctx, AuditEvent::success("rule.remove", "rule", rule_id)).await?;
            self.metastore.delete_rule(&id).map_err(metastore_failed)?;
            let mut disabled = self.disabled()?;
            if disabled.remove(rule_id) {
                self.store_disabled(ctx, disabled)?;
            }
            self.reload()?;
            Ok(())
        })
    }

    fn set_enabled<'a>(
        &'a self,
        ctx: &'a OpContext,
        rule_id: &'a str,
        enabled: bool,
    ) -> BoxFuture<'a, Result<(), PortError>> {
        Box::pin(self.enable(ctx, rule_id, enabled))
    }

    fn backfill<'a>(
        &'a self,
        ctx: &'a OpContext,
        selection: BackfillSelection,
    ) -> BoxFuture<'a, Result<BackfillReport, PortError>> {
        Box::pin(async move {
            let engine = self.history()?;
            self.audit.record(ctx, AuditEvent::success("rule.backfill", "rule", selection.rule_ids.join(" "))).await?;
            let tables = self.audit.store().tables_with_rows();
            if !selection.drafts.is_empty() {
                return self.backfill_drafts(ctx, selection, &tables).await;
            }
            let queries = self.analytics.running(&self.exceptions_in_force()?);
            let past = backfill::Past { engine: &*engine, ctx, stored: &tables, clock: self.clock_of_windows() };
            past.of_all(&self.active(), &queries, &selection).await
        })
    }

    fn exceptions(&self) -> Result<Vec<RuleException>, PortError> {
        self.all_exceptions()
    }

    fn tuning<'a>(
        &'a self,
        ctx: &'a OpContext,
        rule_id: &'a str,
        judged: Vec<JudgedAlert>,
    ) -> BoxFuture<'a, Result<RuleTuning, PortError>> {
        Box::pin(self.tune(ctx, rule_id, judged))
    }

    fn except<'a>(
        &'a self,
        ctx: &'a OpContext,
        exception: NewException,
    ) -> BoxFuture<'a, Result<RuleException, PortError>> {
        Box::pin(self.add_exception(ctx, exception))
    }

    fn end_exception<'a>(&'a self, ctx: &'a OpContext, id: &'a str) -> BoxFuture<'a, Result<bool, PortError>> {
        Box::pin(self.remove_exception(ctx, id))
    }

    fn preview_exception<'a>(
        &'a self,
        ctx: &'a OpContext,
        rule_id: &'a str,
        conditions: Vec<ExceptionCondition>,
        times: (Option<Timestamp>, Option<Timestamp>),
    ) -> BoxFuture<'a, Result<ExceptionPreview, PortError>> {
        Box::pin(self.preview(ctx, rule_id, conditions, times))
    }

    fn explain<'a>(
        &'a self,
        ctx: &'a OpContext,
        rule_id: &'a str,
        table: TableName,
        seq: Seq,
    ) -> BoxFuture<'a, Result<Option<EventExplanation>, PortError>> {
        Box::pin(self.explain_event(ctx, rule_id, table, seq))
    }

    fn source(&self, rule_id: &str) -> Result<Option<RuleSource>, PortError> {
        let stored = self.stored()?.into_iter().find(|rule| rule.rule_id.as_str() == rule_id);
        Ok(stored.map(|rule| RuleSource {
            file: rule.file_name,
            text: rule.text,
            added_by: rule.added_by,
            added_at: rule.added_at.to_string(),
            pack: rule.pack.and_then(|pack| serde_json::from_value(pack).ok()),
        }))
    }

    fn list(&self) -> Vec<RuleSummary> {
        let active = self.active();
        let is_exception = |rule: &&Arc<Rule>| rule.metadata.id.as_str().starts_with(exception::ID_PREFIX);
        let listed = active.rules().iter().filter(|rule| !is_exception(rule));
        let mut summaries: Vec<RuleSummary> = listed.map(|rule| self.summary(rule, active.rules())).collect();
        match self.summaries_of_disabled() {
            Ok(disabled) => summaries.extend(disabled),
            Err(error) => tracing::error!(error = %error, "disabled rules could not be listed"),
        }
        summaries.extend(self.analytics.summaries());
        summaries.extend(self.stopped().into_values());
        summaries.sort_by(|a, b| a.title.cmp(&b.title));
        summaries
    }
}

fn added_event(rule: &StoredRule) -> AuditEvent {
    let mut event = AuditEvent::success("rule.add", "rule", rule.rule_id.as_str());
    event.details.insert("file".to_owned(), rule.file_name.clone().into());
    event.details.insert("sha256".to_owned(), sha256(rule.text.as_bytes()).to_hex().into());
    if let Some(pack) = &rule.pack {
        event.details.insert("pack".to_owned(), pack.clone());
    }
    event
}

/// A stored rule that is to run and does not.
pub(crate) fn summary_of_stopped(rule: &StoredRule, refused: Option<&NotLoaded>) -> RuleSummary {
    let title = refused.map(|refused| refused.title.clone()).filter(|title| !title.is_empty());
    let problem = refused.map(|refused| refused.error.to_string());
    RuleSummary {
        rule_id: rule.rule_id.to_string(),
        title: title.unwrap_or_else(|| rule.file_name.clone()),
        level: String::new(),
        author: String::new(),
        log_source: String::new(),
        tables: Vec::new(),
        enabled: true,
        problem: Some(problem.unwrap_or_else(|| format!("{} does not hold it any more", rule.file_name))),
    }
}

fn failed_test(failure: TestFailure) -> FailedRuleTest {
    let TestFailure { rule_id, title, test, expected } = failure;
    FailedRuleTest { rule_id, title, test, expected }
}

fn rule_warning(warning: Diagnosis) -> RuleWarning {
    let Diagnosis { file, line, rule_id, title, code, message, .. } = warning;
    RuleWarning { file, line, rule_id, title, code: code.to_owned(), message }
}

fn rule_report(rule: NotLoaded) -> RuleReport {
    let (problem, line) = (Some(rule.error.to_string()), rule.error.line());
    RuleReport { file: rule.file, rule_id: rule.rule_id, title: rule.title, problem, line }
}

pub(crate) fn no_such_rule(rule_id: &str) -> PortError {
    let message = format!("there is no rule {rule_id}; `moneta rules list` shows those that are");
    PortError::new(ErrorKind::Caller, message)
}

pub(crate) fn metastore_failed(error: moneta_metastore::Error) -> PortError {
    PortError::caused_by(error.kind(), "the rules could not be read or stored", error)
}
