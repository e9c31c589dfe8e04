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
    /// When an attempt last succeeded since the start, RFC 3339.
    pub last_success: Option<String>,
    /// When an attempt last failed since the start, RFC 3339.
    pub last_failure: Option<String>,
    /// When an alert was last given up since the start, RFC 3339.
    pub last_given_up: Option<String>,
    /// Since when every attempt has failed, RFC 3339; `None` when the last one succeeded, and before the first.
    pub failing_since: Option<String>,
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

/// An alert that a channel did not take, and has not taken since.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct UndeliveredAlert {
    /// When the channel gave it up, in RFC 3339.
    pub given_up: String,
    /// The channel.
    pub channel: String,
    /// The alert's id, `SystemAlertId` of its row.
    pub alert_id: String,
    /// The title of its rule.
    pub rule_title: String,
    /// Attempts made.
    pub attempts: u32,
    /// Why the last one failed.
    pub reason: String,
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

    /// The alerts that channels gave up and that were not taken since, the newest first, 1,000 at most.
    ///
    /// # Errors
    /// When the records cannot be read.
    fn undelivered<'a>(&'a self, ctx: &'a OpContext) -> BoxFuture<'a, Result<Vec<UndeliveredAlert>, PortError>>;

    /// Sends those again, once and at once; of one channel only, and of these ids only where any are given. What is not
    /// taken stays undelivered. Audited.
    ///
    /// # Errors
    /// When they cannot be read or it cannot be audited.
    fn resend<'a>(
        &'a self,
        ctx: &'a OpContext,
        channel: Option<&'a str>,
        ids: &'a [String],
    ) -> BoxFuture<'a, Result<Vec<Resent>, PortError>>;
}

/// What became of an alert that was sent again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Resent {
    /// The channel.
    pub channel: String,
    /// The alert's id.
    pub alert_id: String,
    /// Whether the receiver took it.
    pub delivered: bool,
    /// Why not; empty when it did.
    pub reason: String,
}
