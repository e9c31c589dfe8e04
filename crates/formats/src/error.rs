//! What can go wrong before any byte is decoded. Bad records are not errors: they are quarantined.

use moneta_base::ErrorKind;

/// A request this crate cannot serve.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The name is not one of [`Format::ALL`](crate::Format::ALL) nor one of their other names.
    #[error("unknown format {name:?}; known formats: {known}")]
    UnknownFormat {
        /// The name as given.
        name: String,
        /// The names that would have worked.
        known: String,
    },
    /// A mapping file cannot be used.
    #[error("{file}: mapping {mapping}: {reason}")]
    Mapping {
        /// The file.
        file: String,
        /// The mapping; `?` where it has no name, or none is meant.
        mapping: String,
        /// What is wrong, and where it helps what would be right.
        reason: String,
    },
    /// Compressed bytes cannot be expanded.
    #[error("{reason}")]
    Compressed {
        /// Why.
        reason: String,
    },
}

impl Error {
    /// The error with the name of the file it is in.
    pub(crate) fn in_file(self, name: &str) -> Self {
        match self {
            Self::Mapping { mapping, reason, .. } => Self::Mapping { file: name.to_owned(), mapping, reason },
            other => other,
        }
    }

    /// Who must act.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::UnknownFormat { .. } | Self::Mapping { .. } | Self::Compressed { .. } => ErrorKind::Caller,
        }
    }
}
