//! Why someone was not let in, or a change to accounts and credentials was not made.

use std::time::Duration;

use moneta_base::ErrorKind;
use moneta_ports::{PortError, Scope};

/// A refused or failed operation.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing was presented that says who is there.
    #[error("sign in, or send a credential as `Authorization: Bearer mnt_...`")]
    NotSignedIn,
    /// The credential is unknown, wrong, expired or revoked. Deliberately not said which.
    #[error("this credential is not valid; it may have expired or been revoked: ask an administrator for a new one")]
    BadCredential,
    /// Name or password is wrong, or the account is disabled. Deliberately not said which.
    #[error("the name or the password is wrong")]
    BadPassword,
    /// Somebody who is signed in gave another password than their own.
    #[error("this is not your password now")]
    WrongOwnPassword,
    /// Too many attempts.
    #[error("too many attempts; try again in {} minutes", retry_after.as_secs().div_ceil(60).max(1))]
    Throttled {
        /// How long to wait.
        retry_after: Duration,
    },
    /// Too many passwords are being checked at once.
    #[error("too many people are signing in at this moment; try again")]
    Busy,
    /// The principal lacks a scope.
    #[error("this needs the scope `{needed}`")]
    MissingScope {
        /// The scope.
        needed: Scope,
    },
    /// The one-time link is unknown, used, or past its time.
    #[error("this link was used before, has expired, or is not ours; restart the server to have a new one printed")]
    LinkSpent,
    /// The password does not meet the rules.
    #[error("choose another password: {reason}")]
    WeakPassword {
        /// Which rule, in words that continue the sentence.
        reason: &'static str,
    },
    /// A name does not meet the rules.
    #[error("{what} must be 1 to 64 letters, digits, `.`, `_`, `-` or `@`")]
    BadName {
        /// What is named.
        what: &'static str,
    },
    /// An account or a credential needs at least one scope.
    #[error("name at least one scope: ingest, query, respond or admin")]
    NoScope,
    /// The lifetime of a credential is out of range.
    #[error("a credential lives at least one minute and at most {days_max} days")]
    BadLifetime {
        /// The longest life.
        days_max: u64,
    },
    /// The act could not be audited, so it did not happen.
    #[error("this could not be recorded in the audit log, so it was not done")]
    Audit {
        /// Why.
        #[source]
        source: PortError,
    },
    /// The password library failed.
    #[error("the password could not be hashed")]
    Hash {
        /// Why.
        #[source]
        source: argon2::password_hash::Error,
    },
    /// The metastore refused or failed.
    #[error(transparent)]
    Metastore(#[from] moneta_metastore::Error),
}

impl Error {
    /// Who must act.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotSignedIn
            | Self::BadCredential
            | Self::BadPassword
            | Self::WrongOwnPassword
            | Self::MissingScope { .. }
            | Self::LinkSpent => ErrorKind::Denied,
            Self::Throttled { retry_after } => ErrorKind::Environment { retry_after: Some(*retry_after) },
            Self::Busy => ErrorKind::RETRY,
            Self::WeakPassword { .. } | Self::BadName { .. } | Self::NoScope | Self::BadLifetime { .. } => {
                ErrorKind::Caller
            }
            Self::Audit { source } => source.kind,
            Self::Hash { .. } => ErrorKind::Internal,
            Self::Metastore(error) => error.kind(),
        }
    }

    /// Whether it is unknown who asks, so that signing in could help.
    #[must_use]
    pub fn is_unauthenticated(&self) -> bool {
        matches!(self, Self::NotSignedIn | Self::BadCredential | Self::BadPassword)
    }

    /// Whether what was named does not exist.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Metastore(moneta_metastore::Error::NotFound { .. }))
    }

    /// Whether a name that had to be new is taken.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        matches!(self, Self::Metastore(moneta_metastore::Error::AlreadyExists { .. }))
    }
}
