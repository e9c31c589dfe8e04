//! Why a receiver cannot be used or reached.

use std::net::IpAddr;
use std::time::Duration;

use moneta_base::ErrorKind;

/// A failed set-up or delivery.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is not a URL.
    #[error("the address of the receiver is not a URL")]
    NotAUrl(#[source] url::ParseError),
    /// The way to the host is not encrypted.
    #[error(
        "the way to {0} is not encrypted; use https or TLS, or say allow_plaintext for a receiver in a network you trust (to \
         this machine itself, name the host in notify.allow_private_hosts)"
    )]
    Plaintext(String),
    /// The URL carries a user name or password.
    #[error("the address of the receiver must not contain a user name or password")]
    Credentials,
    /// The secret could be guessed.
    #[error("the secret of the webhook has {0} bytes, at least 24 are needed")]
    Secret(usize),
    /// A setting is missing or makes no sense.
    #[error("{0}")]
    Setting(String),
    /// The answer is longer than was asked for.
    #[error("the answer has more than {0} bytes")]
    TooLarge(usize),
    /// The URL names no host.
    #[error("the address of the receiver names no host")]
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
    /// The proxy did not lead to the receiver.
    #[error("the proxy answered {status} when it was asked for the address of the receiver")]
    Proxy {
        /// The HTTP status.
        status: u16,
    },
    /// The connection could not be made, or broke.
    #[error("the connection to the receiver failed while {doing}")]
    Connection {
        /// What was being done.
        doing: &'static str,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// The receiver took too long.
    #[error("the receiver did not take the alert within {0:?}")]
    Timeout(Duration),
    /// The receiver answered with another status than success.
    #[error("the receiver answered {status}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// When it wants to be called again.
        retry_after: Option<Duration>,
    },
    /// A mail server refused. Its words are not passed on.
    #[error("the mail server answered {code} to {step}")]
    Mail {
        /// The reply code.
        code: u16,
        /// What it was asked.
        step: &'static str,
    },
    /// A mail server took the mail for some of its receivers only: another try would send it to those again.
    #[error("the mail server answered {code} to RCPT for some receivers; the others have the mail")]
    PartlyRefused {
        /// The last reply code other than success.
        code: u16,
    },
    /// A broker could not be asked, or refused.
    #[error(transparent)]
    Kafka(#[from] moneta_kafka::Error),
    /// The alert cannot be sent in this form.
    #[error("the alert cannot be sent: {0}")]
    Unsendable(&'static str),
    /// The notifier was stopped before the alert was delivered.
    #[error("stopped before delivery")]
    Stopped,
}

impl Error {
    /// Who must act.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Kafka(error) if error.is_passing() => ErrorKind::RETRY,
            Self::Resolve { .. }
            | Self::Connection { .. }
            | Self::Timeout(_)
            | Self::Stopped
            | Self::Proxy { status: 408 | 429 | 500..=599 }
            // 4yz: a transient negative reply.
            | Self::Mail { code: 400..=499, .. } => ErrorKind::RETRY,
            Self::Refused { status: 408 | 425 | 429 | 500..=599, retry_after } => {
                ErrorKind::Environment { retry_after: Some(retry_after.unwrap_or(Duration::from_secs(1))) }
            }
            Self::NotAUrl(_)
            | Self::Plaintext(_)
            | Self::Credentials
            | Self::Secret(_)
            | Self::Setting(_)
            | Self::NoHost => ErrorKind::Caller,
            Self::Private { .. }
            | Self::TooLarge(_)
            | Self::Proxy { .. }
            | Self::Refused { .. }
            | Self::Mail { .. }
            | Self::PartlyRefused { .. }
            | Self::Kafka(_) => ErrorKind::OPERATOR,
            Self::Unsendable(_) => ErrorKind::Internal,
        }
    }

    /// Whether the same call may succeed later.
    pub(crate) fn is_passing(&self) -> bool {
        matches!(self.kind(), ErrorKind::Environment { retry_after: Some(_) })
    }
}
