//! Administration of detection rules.

use moneta_base::{Seq, Timestamp};

use crate::{BoxFuture, OpContext, PortError};

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
    /// Whether it runs: a disabled rule is kept and matches nothing.
    pub enabled: bool,
}

/// Which rules are matched against what is stored, and against which of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BackfillSelection {
    /// Ids of the rules; all active ones when empty.
    pub rule_ids: Vec<String>,
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
    /// The matches, by table, then by row.
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

/// Adds, lists, disables and removes rules, and matches them against history. Changes are audited before they take effect.
pub trait RuleAdmin: Send + Sync {
    /// Adds or replaces rules; those that do not load are reported and the others load.
    ///
    /// # Errors
    /// When the change cannot be audited or stored.
    fn add<'a>(&'a self, ctx: &'a OpContext, files: Vec<RuleFile>) -> BoxFuture<'a, Result<RuleSetReport, PortError>>;

    /// Removes a rule.
    ///
    /// # Errors
    /// `Caller` when there is no such rule.
    fn remove<'a>(&'a self, ctx: &'a OpContext, rule_id: &'a str) -> BoxFuture<'a, Result<(), PortError>>;

    /// Lets a rule run, or keeps it without running it.
    ///
    /// # Errors
    /// `Caller` when there is no such rule; when the change cannot be audited or stored.
    fn set_enabled<'a>(
        &'a self,
        ctx: &'a OpContext,
        rule_id: &'a str,
        enabled: bool,
    ) -> BoxFuture<'a, Result<(), PortError>>;

    /// Matches active rules against what is stored. Raises no alert.
    ///
    /// # Errors
    /// `Caller` when a rule is not active; when something stored cannot be read.
    fn backfill<'a>(
        &'a self,
        ctx: &'a OpContext,
        selection: BackfillSelection,
    ) -> BoxFuture<'a, Result<BackfillReport, PortError>>;

    /// The rules, by title, those that are disabled too.
    fn list(&self) -> Vec<RuleSummary>;
}
