//! Where alerts go once they are stored: the webhook of the configuration, or nowhere.

use std::sync::Arc;

use moneta_keys::KeyRing;
use moneta_notify::{DeadLetter, NoDelivery, Webhook, WebhookOptions};
use moneta_ports::AlertDelivery;

use crate::config::Config;
use crate::error::ServerError;
use crate::node::World;

/// The running deliveries.
pub(crate) struct Deliveries {
    webhook: Option<Arc<Webhook>>,
}

/// Starts what the configuration names.
pub(crate) fn start_delivery(config: &Config, keys: &KeyRing, world: &World) -> Result<Deliveries, ServerError> {
    let Some(url) = &config.notify.webhook_url else { return Ok(Deliveries { webhook: None }) };
    let secret = keys.webhook_secret().expose().to_vec();
    let options = WebhookOptions {
        allow_private_hosts: config.notify.allow_private_hosts.clone(),
        ..WebhookOptions::new(url.clone(), secret)
    };
    let webhook = Webhook::start(options, world.clock.clone(), world.metrics.clone(), Arc::new(log_dead_letter));
    let webhook =
        webhook.map_err(|error| ServerError::Setting { key: "notify.webhook_url", message: error.to_string() })?;
    Ok(Deliveries { webhook: Some(Arc::new(webhook)) })
}

impl Deliveries {
    /// What the monitor hands alerts to.
    pub(crate) fn port(&self) -> Arc<dyn AlertDelivery> {
        match &self.webhook {
            Some(webhook) => webhook.clone(),
            None => Arc::new(NoDelivery),
        }
    }

    /// Gives alerts under way a last chance.
    pub(crate) async fn stop(&self) {
        if let Some(webhook) = &self.webhook {
            webhook.stop().await;
        }
    }
}

fn log_dead_letter(letter: DeadLetter) {
    tracing::error!(
        alert = letter.alert_id,
        rule = letter.rule_title,
        attempts = letter.attempts,
        reason = letter.reason,
        "an alert was not delivered; it stands in SecurityAlert"
    );
}
