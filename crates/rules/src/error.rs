//! What can be wrong with a rule, told so that its author can mend it.

use moneta_base::ErrorKind;

/// Why a rule, or a file of rules, cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The file is not YAML.
    #[error("line {line}: not YAML: {message}")]
    Yaml {
        /// Line in the file, from 1.
        line: usize,
        /// What the YAML parser met.
        message: String,
    },
    /// The rule does not follow the Sigma specification.
    #[error("line {line}: {message}")]
    Rule {
        /// Line in the file, from 1.
        line: usize,
        /// What is wrong and what to write instead.
        message: String,
    },
    /// The rule follows the specification, and Moneta cannot run it.
    #[error("line {line}: {message}")]
    Unsupported {
        /// Line in the file, from 1.
        line: usize,
        /// What is not supported.
        message: String,
    },
    /// A bound on the size of rules was met.
    #[error("{what} exceeds {limit} ({bound})")]
    Limit {
        /// What is too large.
        what: &'static str,
        /// The name of the limit.
        limit: &'static str,
        /// Its value.
        bound: usize,
    },
    /// No table holds the data the rule is written for.
    #[error("no table for log source {0}")]
    NoTable(String),
    /// The query of an analytics rule names what is not there, or cannot run.
    #[error("{0}")]
    Query(String),
    /// The file of placeholders cannot be used.
    #[error("placeholders: {0}")]
    Placeholders(String),
    /// The taxonomy file cannot be used.
    #[error("taxonomy: {0}")]
    Taxonomy(String),
}

impl Error {
    /// Who must act: whoever wrote the rule or the taxonomy.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        ErrorKind::Caller
    }

    /// The line of the file that it is about, from 1, where one is known.
    #[must_use]
    pub const fn line(&self) -> Option<usize> {
        match self {
            Self::Yaml { line, .. } | Self::Rule { line, .. } | Self::Unsupported { line, .. } => Some(*line),
            _ => None,
        }
    }

    pub(crate) fn rule(line: usize, message: impl Into<String>) -> Self {
        Self::Rule { line, message: message.into() }
    }

    pub(crate) fn unsupported(line: usize, message: impl Into<String>) -> Self {
        Self::Unsupported { line, message: message.into() }
    }
}

/// A document of a rule file that did not become a running rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotLoaded {
    /// The file.
    pub file: String,
    /// The rule's id, where it could be read.
    pub rule_id: String,
    /// Its title, where it could be read.
    pub title: String,
    /// The reason.
    pub error: Error,
}
