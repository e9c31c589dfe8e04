//! Delivers alerts to people and programs: signed webhooks, Slack, Teams, PagerDuty, Alertmanager, e-mail, syslog,
//! Kafka.
//!
//! An alert is already stored when it comes here, so nothing is lost when a receiver is away: deliveries are tried
//! again with growing pauses, and one that was given up is counted, logged and reported. A [`Channel`] is the queue, a
//! [`Carrier`] the form of one receiver. This crate never follows a redirect, never passes on what a receiver answered,
//! and never connects to an address of a receiver that it has not checked, nor has a proxy do so. Its way of calling
//! servers, [`CheckedServer`], serves others too.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod address;
pub mod channels;
mod error;
mod http;
mod proxy;
mod queue;
mod receipt;
mod signature;
mod tls;
mod words;

pub use error::Error;
pub use http::{CheckedAnswer, CheckedServer, Endpoint};
pub use proxy::Proxy;
pub use queue::{Carrier, Channel, ChannelCounts, ChannelOptions, DeadLetter, OnDeadLetter};
pub use receipt::Receipt;
pub use signature::sign;
pub use tls::Peer;

use std::sync::Arc;

use moneta_ports::{Alert, PortError};

/// Several channels: each gets the alerts that are bad enough for it. Without any, alerts go nowhere.
#[derive(Clone, Default)]
pub struct Channels(pub Vec<Arc<Channel>>);

impl Channels {
    /// Hands the alert to every channel that takes it; the receipt is settled once all of these are done with it.
    ///
    /// # Errors
    /// When some did not take it, with their names; the alert itself is stored.
    pub fn hand_over(&self, alert: &Alert, receipt: Receipt) -> Result<(), PortError> {
        let taking = self.0.iter().filter(|channel| channel.takes(alert));
        let hand = |channel: &Arc<Channel>| channel.enqueue(alert.clone(), receipt.part()).err();
        let refused: Vec<PortError> = taking.filter_map(hand).collect();
        receipt.settle();
        let messages: Vec<&str> = refused.iter().map(|error| error.message.as_str()).collect();
        match refused.first() {
            Some(first) => Err(PortError::new(first.kind, messages.join("; "))),
            None => Ok(()),
        }
    }
}
