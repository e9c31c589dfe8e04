//! Why the server does not start or run, in words that say what to do.

use std::path::PathBuf;

use moneta_base::ErrorKind;

/// A failure of the whole process.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// Another process works on the data directory.
    #[error(transparent)]
    Locked(moneta_host::Error),
    /// The configuration is not usable.
    #[error(transparent)]
    Config(#[from] crate::config::ConfigError),
    /// A setting has a value that cannot be used.
    #[error("{key}: {message}")]
    Setting {
        /// The key.
        key: &'static str,
        /// What is wrong and what to change.
        message: String,
    },
    /// A file of the data directory cannot be used.
    #[error("cannot {action} {path}")]
    Data {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// An address cannot be listened on.
    #[error("cannot listen on {address} ({what}): stop what uses it, or change the address in the configuration")]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// What would have listened.
        what: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A part could not be opened.
    #[error("the {part} cannot be opened")]
    Part {
        /// Which part.
        part: &'static str,
        /// Who must act.
        kind: ErrorKind,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl ServerError {
    pub(crate) fn part(
        part: &'static str,
        kind: ErrorKind,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> Self {
        Self::Part { part, kind, source: Box::new(source) }
    }

    /// Who must act.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Locked(_) | Self::Config(_) | Self::Setting { .. } => ErrorKind::Caller,
            Self::Data { .. } | Self::Listen { .. } => ErrorKind::OPERATOR,
            Self::Part { kind, .. } => *kind,
        }
    }
}
