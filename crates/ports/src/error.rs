//! The error that crosses service boundaries: a kind that decides the answer, and words for the person who reads it.

use moneta_base::ErrorKind;

/// A failed operation of another service.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct PortError {
    /// Who must act.
    pub kind: ErrorKind,
    /// What failed and what to change, for the caller.
    pub message: String,
    /// The cause, for the log.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl PortError {
    /// An error of the given kind without a cause.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// Whether it is said to a producer that is new, for want of room to remember another.
    #[must_use]
    pub fn is_no_room_to_remember(&self) -> bool {
        self.source.as_ref().is_some_and(|source| source.is::<crate::NoRoomToRemember>())
    }

    /// Wraps an error of a lower layer.
    #[must_use]
    pub fn caused_by(
        kind: ErrorKind,
        message: impl Into<String>,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> Self {
        Self { kind, message: message.into(), source: Some(Box::new(source)) }
    }
}
