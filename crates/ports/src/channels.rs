//! Channels: where alerts go, as people see it.

use serde::Serialize;

use crate::{BoxFuture, OpContext, PortError};

/// One channel.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ChannelStatus {
    /// Its name.
    pub name: String,
    /// The form of its receiver, such as `slack`.
    pub kind: String,
    /// The least level of alerts that go there.
    pub level_min: String,
    /// Alerts delivered since the start.
    pub delivered: u64,
    /// Attempts since the start that failed and were followed by another.
    pub retried: u64,
    /// Alerts given up since the start.
    pub given_up: u64,
    /// Why the last attempt that failed did; empty before one did.
    pub last_error: String,
}

/// What became of a test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChannelTest {
    /// The channel.
    pub name: String,
    /// Whether the receiver took it.
    pub delivered: bool,
    /// Why not; empty when it did.
    pub reason: String,
    /// How long it took, in milliseconds.
    pub elapsed_ms: u64,
}

/// Tells how channels are doing, and tries them.
pub trait AlertChannels: Send + Sync {
    /// All channels, in the order of the configuration.
    fn channels(&self) -> Vec<ChannelStatus>;

    /// Sends a channel one test alert, once and at once; `None` when there is no such channel. Audited.
    ///
    /// # Errors
    /// When it cannot be audited. That the receiver refuses is an answer.
    fn test<'a>(
        &'a self,
        ctx: &'a OpContext,
        channel: &'a str,
    ) -> BoxFuture<'a, Result<Option<ChannelTest>, PortError>>;
}
