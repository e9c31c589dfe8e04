//! A witness as its listener sees it.

use crate::{BoxFuture, PortError};

/// What a witness answers, as it goes over the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessResponse {
    /// The HTTP status.
    pub status: u16,
    /// The media type of the body.
    pub content_type: &'static str,
    /// The body.
    pub body: String,
}

/// Cosigns checkpoints of logs it knows.
pub trait CheckpointWitness: Send + Sync {
    /// Answers an `add-checkpoint` request. A refusal is an answer.
    ///
    /// # Errors
    /// When nothing could be cosigned because the witness itself is not well.
    ///
    /// # Source
    /// C2SP tlog-witness, `add-checkpoint`.
    fn add_checkpoint(&self, body: Vec<u8>) -> BoxFuture<'_, Result<WitnessResponse, PortError>>;
}
