//! Delivers alerts to people and programs: signed webhooks.
//!
//! An alert is already stored when it comes here, so nothing is lost when a receiver is away: deliveries are tried
//! again with growing pauses, and one that was given up is counted, logged and reported. This crate never follows a
//! redirect, never passes on what a receiver answered, and never connects to an address it has not checked.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod address;
mod error;
mod request;
mod signature;
mod webhook;

pub use error::Error;
pub use signature::sign;
pub use webhook::{DeadLetter, OnDeadLetter, Webhook, WebhookOptions};

use moneta_ports::{Alert, AlertDelivery, BoxFuture, PortError};

/// Delivers to nobody: for installations without a receiver.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoDelivery;

impl AlertDelivery for NoDelivery {
    fn deliver(&self, _: Alert) -> BoxFuture<'_, Result<(), PortError>> {
        Box::pin(async { Ok(()) })
    }
}
