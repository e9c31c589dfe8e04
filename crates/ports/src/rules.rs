//! Administration of detection rules.

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

/// One active rule.
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
}

/// Adds, lists and removes rules. Changes are audited before they take effect.
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

    /// The active rules, by title.
    fn list(&self) -> Vec<RuleSummary>;
}
