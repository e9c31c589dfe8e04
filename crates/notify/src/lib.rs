//! Delivers alerts to people and programs: signed webhooks, Slack, Teams, PagerDuty, Alertmanager, e-mail, syslog.
//!
//! An alert is already stored when it comes here, so nothing is lost when a receiver is away: deliveries are tried
//! again with growing pauses, and one that was given up is counted, logged and reported. A [`Channel`] is the queue, a
//! [`Carrier`] the form of one receiver. This crate never follows a redirect, never passes on what a receiver answered,
//! and never connects to an address it has not checked.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod address;
pub mod channels;
mod error;
mod http;
mod queue;
mod signature;
mod tls;
mod words;

pub use error::Error;
pub use http::Endpoint;
pub use queue::{AlertLevel, Carrier, Channel, ChannelCounts, ChannelOptions, DeadLetter, OnDeadLetter};
pub use signature::sign;
pub use tls::Peer;

use std::sync::Arc;

use moneta_ports::{Alert, AlertDelivery, BoxFuture, PortError};

/// Several channels: each gets the alerts that are bad enough for it. Without any, alerts go nowhere.
#[derive(Clone, Default)]
pub struct Channels(pub Vec<Arc<Channel>>);

impl AlertDelivery for Channels {
    /// Hands the alert to every channel; the error names those that did not take it.
    fn deliver(&self, alert: Alert) -> BoxFuture<'_, Result<(), PortError>> {
        let taking = self.0.iter().filter(|channel| channel.takes(&alert));
        let refused: Vec<PortError> = taking.filter_map(|channel| channel.enqueue(alert.clone()).err()).collect();
        let kind = refused.first().map(|error| error.kind);
        let messages: Vec<String> = refused.into_iter().map(|error| error.message).collect();
        Box::pin(async move { kind.map_or(Ok(()), |kind| Err(PortError::new(kind, messages.join("; ")))) })
    }
}
