//! Why a receiver cannot be used or reached.

use std::net::IpAddr;
use std::time::Duration;

use moneta_base::ErrorKind;

/// A failed set-up or delivery.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is not a URL.
    #[error("the address of the webhook is not a URL")]
    NotAUrl(#[source] url::ParseError),
    /// The scheme is not allowed for this host.
    #[error("the webhook at {0} must use https; http is for loopback addresses of hosts in notify.allow_private_hosts")]
    Scheme(String),
    /// The URL carries a user name or password.
    #[error("the address of the webhook must not contain a user name or password")]
    Credentials,
    /// The secret could be guessed.
    #[error("the secret of the webhook has {0} bytes, at least 24 are needed")]
    Secret(usize),
    /// The URL names no host.
    #[error("the address of the webhook names no host")]
    NoHost,
    /// The host's addresses cannot be found.
    #[error("cannot resolve {host}")]
    Resolve {
        /// The host.
        host: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The host has an address that must not be reached from here.
    #[error(
        "{host} has the address {address}, which is private; name the host in notify.allow_private_hosts if that is meant"
    )]
    Private {
        /// The host.
        host: String,
        /// The address.
        address: IpAddr,
    },
    /// The receiver could not be reached or did not answer in time.
    #[error("the webhook could not be called")]
    Http(#[source] reqwest::Error),
    /// The receiver answered with another status than success.
    #[error("the webhook answered {status}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// When it wants to be called again.
        retry_after: Option<Duration>,
    },
    /// The alert's id cannot be sent as a header.
    #[error("the alert's id cannot be sent")]
    Unsendable,
    /// The notifier was stopped before the alert was delivered.
    #[error("stopped before delivery")]
    Stopped,
}

impl Error {
    /// Who must act.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Resolve { .. } | Self::Http(_) | Self::Stopped => ErrorKind::RETRY,
            Self::Refused { status: 408 | 425 | 429 | 500..=599, retry_after } => {
                ErrorKind::Environment { retry_after: Some(retry_after.unwrap_or(Duration::from_secs(1))) }
            }
            Self::NotAUrl(_) | Self::Scheme(_) | Self::Credentials | Self::Secret(_) | Self::NoHost => {
                ErrorKind::Caller
            }
            Self::Private { .. } | Self::Refused { .. } => ErrorKind::OPERATOR,
            Self::Unsendable => ErrorKind::Internal,
        }
    }

    /// Whether the same call may succeed later.
    pub(crate) fn is_passing(&self) -> bool {
        matches!(self.kind(), ErrorKind::Environment { retry_after: Some(_) })
    }
}
