//! What can be wrong with a query.

use moneta_base::ErrorKind;

/// Why a query is not answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The text is not PromQL.
    #[error("{line}:{column}: parse error: {message}")]
    Syntax {
        /// From 1.
        line: usize,
        /// In characters, from 1.
        column: usize,
        /// What is wrong.
        message: String,
    },
    /// The text is PromQL of a kind that is not answered here.
    #[error("{line}:{column}: not supported here: {message}")]
    Unsupported {
        /// From 1.
        line: usize,
        /// In characters, from 1.
        column: usize,
        /// What is not supported, and what is.
        message: String,
    },
    /// It cannot be evaluated over these samples.
    #[error("{0}")]
    Evaluation(String),
}

impl Error {
    /// Who must act: whoever wrote the query.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        ErrorKind::Caller
    }

    pub(crate) fn syntax(text: &str, offset: usize, message: impl Into<String>) -> Self {
        let (line, column) = place(text, offset);
        Self::Syntax { line, column, message: message.into() }
    }

    pub(crate) fn unsupported(text: &str, offset: usize, message: impl Into<String>) -> Self {
        let (line, column) = place(text, offset);
        Self::Unsupported { line, column, message: message.into() }
    }
}

fn place(text: &str, offset: usize) -> (usize, usize) {
    let before = &text[..text.floor_char_boundary(offset)];
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[start..].chars().count() + 1)
}
