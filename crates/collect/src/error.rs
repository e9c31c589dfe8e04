//! Why a collector cannot start.

use std::net::SocketAddr;

use moneta_base::ErrorKind;

/// A collector that cannot start. Once started, collectors count and log what fails and go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address cannot be listened on.
    #[error("cannot listen for {what} on {address}")]
    Listen {
        /// The collector, such as `syslog udp`.
        what: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A file that TLS needs cannot be used.
    #[error("{path}: {reason}", path = .path.display())]
    Tls {
        /// The file.
        path: std::path::PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// `journalctl` is not there.
    #[error("the systemd journal cannot be read: journalctl does not run")]
    NoJournal(#[source] std::io::Error),
    /// A file pattern cannot be used.
    #[error("file pattern {0:?} has a wildcard outside its last part, or no last part")]
    Pattern(String),
    /// A file pattern that stands for archives that cannot be read.
    #[error(
        "file pattern {0:?} stands for archives of a kind that cannot be read: decompress them, or use .gz, .zst or .zip"
    )]
    Archive(String),
    /// A pattern for the beginning of records that cannot be used.
    #[error("{pattern:?} cannot tell where a record begins: {reason}")]
    RecordStart {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A text encoding that there is not.
    #[error("{0:?} is no text encoding: write a label of the WHATWG Encoding Standard, such as windows-1252")]
    Encoding(String),
    /// A time zone that there is not.
    #[error(
        "{0:?} is no time zone: write a name of the IANA database, such as Europe/Berlin, or an offset, such as +02:00"
    )]
    Zone(String),
    /// A query of a subscription that is no XML.
    #[error("the query of subscription {subscription:?} cannot be used: {reason}")]
    Query {
        /// The subscription.
        subscription: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A directory of the inbox cannot be read.
    #[error("the inbox {directory} cannot be read", directory = .directory.display())]
    Inbox {
        /// The directory.
        directory: std::path::PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

impl Error {
    /// Who must act.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Listen { .. } | Self::NoJournal(_) | Self::Tls { .. } => ErrorKind::OPERATOR,
            Self::Pattern(_)
            | Self::Archive(_)
            | Self::RecordStart { .. }
            | Self::Encoding(_)
            | Self::Zone(_)
            | Self::Query { .. }
            | Self::Inbox { .. } => ErrorKind::Caller,
        }
    }
}
