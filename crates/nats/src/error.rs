//! Why a server could not be asked, or did not do what it was asked.

use std::io;

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The connection could not be made, or broke.
    #[error("the connection to the server failed")]
    Connection(#[from] io::Error),
    /// The server said what the protocol does not have there.
    #[error("the server does not speak the NATS protocol: {0}")]
    NotNats(&'static str),
    /// The server said something longer than anything that is read.
    #[error("the server sent {length} bytes at once; {max} is the most that is read")]
    TooLong {
        /// Bytes that were announced, or had come when it was given up.
        length: usize,
        /// The limit.
        max: usize,
    },
    /// The server wants a key by which to sign in, and sent nothing to sign.
    #[error(
        "the server sent nothing to sign: it does not take keys or credentials; sign in by user and password, or by a token"
    )]
    NoNonce,
    /// The server refused what it was told.
    #[error("the server answered {0}")]
    Refused(String),
    /// Nobody answers under a subject.
    #[error("nobody answers {subject}: JetStream is off for this account, or there is no such stream or consumer")]
    NobodyAnswers {
        /// The subject.
        subject: String,
    },
    /// JetStream refused a request.
    #[error("JetStream answered {request} with {description} ({code})")]
    Api {
        /// The request.
        request: &'static str,
        /// The number of the error, as JetStream numbers its errors.
        code: u64,
        /// What it says.
        description: String,
    },
}

impl Error {
    /// Whether it says that there is no consumer of that name.
    #[must_use]
    pub fn is_no_consumer(&self) -> bool {
        matches!(self, Self::Api { code: 10014, .. })
    }
}
