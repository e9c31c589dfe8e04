//! Administration of detection rules.

use moneta_base::{Seq, Timestamp};

use crate::{BoxFuture, JudgedAlert, OpContext, PortError, VerdictCounts};

/// A rule file as handed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleFile {
    /// Path or name, for messages.
    pub name: String,
    /// YAML text; may hold several documents.
    pub text: String,
}

/// What became of one rule.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct RuleReport {
    /// The file.
    pub file: String,
    /// The rule's id, where it could be read.
    pub rule_id: String,
    /// Its title.
    pub title: String,
    /// Why it was not loaded; `None` when it was.
    pub problem: Option<String>,
    /// The line of the file that this is about, from 1, where one is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
}

/// A test beside a rule whose outcome is another than it says.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct FailedRuleTest {
    /// The rule's id.
    pub rule_id: String,
    /// Its title.
    pub title: String,
    /// The test's name.
    pub test: String,
    /// Whether the rule should have been met.
    pub expected: bool,
}

/// Why a rule that loads probably does not find what it looks for.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct RuleWarning {
    /// The file.
    pub file: String,
    /// Line of the rule there, from 1.
    pub line: usize,
    /// The rule's id.
    pub rule_id: String,
    /// Its title.
    pub title: String,
    /// A word for the kind: `unknown_field`, `type_mismatch`, `unknown_key`, `filters_nothing`, `unknown_column` and the
    /// like; `not_running` for a rule that was there before and does not run any more.
    pub code: String,
    /// What it is, with the nearest name where there is one.
    pub message: String,
}

/// What became of a set of rule files.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct RuleSetReport {
    /// Rules now active that were added or replaced.
    pub loaded: usize,
    /// Rules that were the same as before.
    pub unchanged: usize,
    /// Every rule that is not active, with the reason.
    pub not_loaded: Vec<RuleReport>,
    /// Tests of the rules that load, which were run.
    pub num_tests: usize,
    /// Those of them that fail: their rules are active all the same.
    pub failed_tests: Vec<FailedRuleTest>,
    /// What of the rules that load is probably not what their authors mean: those rules are active all the same. And
    /// rules that the change stopped.
    pub warnings: Vec<RuleWarning>,
    /// Ids of rules that came with an earlier version of the pack and are not in this one: they stay.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<String>,
}

/// The signed pack that a rule came with.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct RulePack {
    /// The pack's name.
    pub name: String,
    /// Its version.
    pub version: u64,
    /// Who wrote it, by its own account.
    pub author: String,
    /// The name of the trusted key that signed it.
    pub signer: String,
    /// SHA-256 of the signed manifest, in hexadecimal digits.
    pub sha256: String,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct RuleSummary {
    /// Its id.
    pub rule_id: String,
    /// Its title.
    pub title: String,
    /// Its level.
    pub level: String,
    /// Its author.
    pub author: String,
    /// Where it applies, such as `windows/process_creation`.
    pub log_source: String,
    /// The tables it looks at, in order of name: of a correlation, those of the rules it refers to. Empty where that is
    /// not known before it runs.
    pub tables: Vec<String>,
    /// Whether it is to run: a disabled rule is kept and matches nothing.
    pub enabled: bool,
    /// Why it does not run although it is to, or could not if it were enabled; `None` where it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// A rule as it was handed in.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct RuleSource {
    /// The file it came in.
    pub file: String,
    /// The whole text of the file.
    pub text: String,
    /// Who added it.
    pub added_by: String,
    /// When, RFC 3339.
    pub added_at: String,
    /// The signed pack it came with, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pack: Option<RulePack>,
}

/// Which rules are matched against what is stored, and against which of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BackfillSelection {
    /// Ids of the rules; all active ones when empty, or all drafts when there are any.
    pub rule_ids: Vec<String>,
    /// Rules that are not added: they stand in the place of active ones of their ids, for this run alone.
    pub drafts: Vec<RuleFile>,
    /// The earliest event time, included.
    pub from: Option<Timestamp>,
    /// The end of event times, not included.
    pub to: Option<Timestamp>,
    /// Matches wanted at most; all are counted.
    pub matches_max: Option<usize>,
}

/// What rules meet in what is stored.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct BackfillReport {
    /// Rows looked at.
    pub num_rows: u64,
    /// Matches found, also those not listed.
    pub num_matches: u64,
    /// Events that correlations forgot because there were too many: their matches may be incomplete when not zero.
    pub num_forgotten: u64,
    /// Ids of rules that look at windows of time and were not evaluated, because nothing said from when on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
    /// The matches, by table, then by row; after them the alerts of analytics rules, by rule, then by time.
    pub matches: Vec<BackfillMatch>,
}

/// An event that meets a rule, or events that meet one together.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct BackfillMatch {
    /// The rule's id.
    pub rule_id: String,
    /// Its title.
    pub rule_title: String,
    /// Its author, whom the Detection Rule License asks to name.
    pub rule_author: String,
    /// Its level.
    pub level: String,
    /// The table of the last event.
    pub table: String,
    /// `_Seq` of the events.
    pub seqs: Vec<Seq>,
    /// The time of the last event, RFC 3339.
    pub time: String,
    /// The machine it came from; empty where unknown.
    pub computer: String,
    /// The fields and values that met the rule, by the rule's names.
    pub fields: Vec<(String, String)>,
}

/// A field that must have one of some values.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExceptionCondition {
    /// The field, by the rule's name for it; of an analytics rule a column of its result.
    pub field: String,
    /// `equals`, `contains`, `startswith`, `endswith` or `cidr`. Case does not matter.
    #[serde(default = "equals")]
    pub test: String,
    /// The values.
    pub values: Vec<String>,
}

fn equals() -> String {
    "equals".to_owned()
}

/// Which events of a rule are known and expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewException {
    /// The rule.
    pub rule_id: String,
    /// What events must have, all of it.
    pub conditions: Vec<ExceptionCondition>,
    /// Why; never empty.
    pub reason: String,
    /// When it ends.
    pub expires: Timestamp,
}

/// An exception that was made.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct RuleException {
    /// Its id.
    pub id: String,
    /// The rule.
    pub rule_id: String,
    /// What events must have, all of it.
    pub conditions: Vec<ExceptionCondition>,
    /// Why.
    pub reason: String,
    /// Who made it.
    pub author: String,
    /// When, RFC 3339.
    pub created: String,
    /// When it ends, RFC 3339.
    pub expires: String,
    /// Whether it holds now.
    #[serde(default)]
    pub active: bool,
}

/// What an exception would take away of what is stored.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct ExceptionPreview {
    /// Rows looked at; of an analytics rule, rows of its results.
    pub num_rows: u64,
    /// Matches of the rule now; of an analytics rule, alerts of the windows, or rows, that it is evaluated over.
    pub num_matches: u64,
    /// Matches that the exception takes away.
    pub num_excepted: u64,
    /// The first of them.
    pub excepted: Vec<BackfillMatch>,
}

/// What the verdicts about a rule's alerts say of how to tune it.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct RuleTuning {
    /// Alerts that were looked at: those that the rule raises again of their events.
    pub replayed: VerdictCounts,
    /// Alerts of which not all events are at hand, or that the rule as it is now does not raise again.
    pub not_replayed: VerdictCounts,
    /// The hints, the one that speaks of most alerts judged wrong first.
    pub hints: Vec<TuningHint>,
}

/// An exception that alerts judged false or benign suggest: none of the true ones has these values.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct TuningHint {
    /// What the exception says, ready to be made.
    pub conditions: Vec<ExceptionCondition>,
    /// Alerts of the replayed ones that are not raised with it.
    pub removes: VerdictCounts,
}

/// Why a rule matches a stored event, or does not.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct EventExplanation {
    /// Whether it matches.
    pub holds: bool,
    /// The reasons as lines for people.
    pub lines: Vec<String>,
    /// The reasons for programs.
    pub explanation: serde_json::Value,
}

/// Adds, lists, disables and removes rules, and matches them against history. Changes are audited before they take effect.
pub trait RuleAdmin: Send + Sync {
    /// Adds or replaces rules; those that do not load are reported and the others load.
    ///
    /// # Errors
    /// When the change cannot be audited or stored.
    fn add<'a>(&'a self, ctx: &'a OpContext, files: Vec<RuleFile>) -> BoxFuture<'a, Result<RuleSetReport, PortError>>;

    /// What [`Self::add`] would answer, with all tests run. Changes nothing.
    ///
    /// # Errors
    /// When what is stored cannot be read.
    fn check<'a>(&'a self, ctx: &'a OpContext, files: Vec<RuleFile>)
    -> BoxFuture<'a, Result<RuleSetReport, PortError>>;

    /// Adds or replaces the rules of a signed pack, as [`Self::add`] does those of files.
    ///
    /// # Errors
    /// `Caller` when it is no pack, no trusted key signed it, it was changed, or a later version is there: then nothing
    /// of it is taken, and the refusal is audited. As [`Self::add`].
    fn add_pack<'a>(&'a self, ctx: &'a OpContext, pack: &'a [u8]) -> BoxFuture<'a, Result<RuleSetReport, PortError>>;

    /// Removes a rule.
    ///
    /// # Errors
    /// `Caller` when there is no such rule, or a correlation that runs counts what it finds.
    fn remove<'a>(&'a self, ctx: &'a OpContext, rule_id: &'a str) -> BoxFuture<'a, Result<(), PortError>>;

    /// Lets a rule run, or keeps it without running it.
    ///
    /// # Errors
    /// `Caller` when there is no such rule, or it is to stop and a correlation that runs counts what it finds; when the
    /// change cannot be audited or stored.
    fn set_enabled<'a>(
        &'a self,
        ctx: &'a OpContext,
        rule_id: &'a str,
        enabled: bool,
    ) -> BoxFuture<'a, Result<(), PortError>>;

    /// Matches active rules, or drafts, against what is stored. Raises no alert.
    ///
    /// # Errors
    /// `Caller` when a rule is not active, or a draft does not load; when something stored cannot be read.
    fn backfill<'a>(
        &'a self,
        ctx: &'a OpContext,
        selection: BackfillSelection,
    ) -> BoxFuture<'a, Result<BackfillReport, PortError>>;

    /// The exceptions, those that have ended too, the newest first.
    ///
    /// # Errors
    /// When they cannot be read.
    fn exceptions(&self) -> Result<Vec<RuleException>, PortError>;

    /// Makes an exception.
    ///
    /// # Errors
    /// `Caller` when the rule, the conditions, the reason or the end are not right; when it cannot be audited or stored.
    fn except<'a>(
        &'a self,
        ctx: &'a OpContext,
        exception: NewException,
    ) -> BoxFuture<'a, Result<RuleException, PortError>>;

    /// Ends an exception before its time; whether there was one.
    ///
    /// # Errors
    /// When the change cannot be audited or stored.
    fn end_exception<'a>(&'a self, ctx: &'a OpContext, id: &'a str) -> BoxFuture<'a, Result<bool, PortError>>;

    /// What an exception would take away of what is stored. Changes nothing.
    ///
    /// # Errors
    /// As [`Self::except`] and [`Self::backfill`].
    fn preview_exception<'a>(
        &'a self,
        ctx: &'a OpContext,
        rule_id: &'a str,
        conditions: Vec<ExceptionCondition>,
        times: (Option<Timestamp>, Option<Timestamp>),
    ) -> BoxFuture<'a, Result<ExceptionPreview, PortError>>;

    /// What verdicts about alerts of an active rule say of how to tune it, by replaying these alerts. Changes nothing.
    ///
    /// # Errors
    /// `Caller` when the rule is not active; when events cannot be read.
    fn tuning<'a>(
        &'a self,
        ctx: &'a OpContext,
        rule_id: &'a str,
        judged: Vec<JudgedAlert>,
    ) -> BoxFuture<'a, Result<RuleTuning, PortError>>;

    /// Why an active rule matches a stored event, or does not; `None` when the event is not stored.
    ///
    /// # Errors
    /// `Caller` when the rule is not active; when the event cannot be read.
    fn explain<'a>(
        &'a self,
        ctx: &'a OpContext,
        rule_id: &'a str,
        table: moneta_base::TableName,
        seq: Seq,
    ) -> BoxFuture<'a, Result<Option<EventExplanation>, PortError>>;

    /// A rule as it was handed in.
    ///
    /// # Errors
    /// When it cannot be read.
    fn source(&self, rule_id: &str) -> Result<Option<RuleSource>, PortError>;

    /// The rules, by title, those that are disabled too.
    fn list(&self) -> Vec<RuleSummary>;
}
