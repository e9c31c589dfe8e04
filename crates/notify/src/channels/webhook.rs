//! The generic webhook: the alert as JSON, signed.

use moneta_base::Timestamp;
use moneta_base::time::NANOS_PER_SECOND;
use moneta_ports::{Alert, BoxFuture};

use crate::http::{Endpoint, HttpSender};
use crate::{Carrier, Error, signature};

/// Standard Webhooks asks for secrets of at least 24 bytes.
const SECRET_BYTES_MIN: usize = 24;

/// Calls an address with the alert, signed as Standard Webhooks has it.
#[derive(Debug)]
pub struct Webhook {
    sender: HttpSender,
    secret: Vec<u8>,
}

impl Webhook {
    /// Checks address and secret.
    ///
    /// # Errors
    /// What can never work.
    pub fn new(endpoint: &Endpoint, secret: Vec<u8>) -> Result<Self, Error> {
        if secret.len() < SECRET_BYTES_MIN {
            return Err(Error::Secret(secret.len()));
        }
        Ok(Self { sender: HttpSender::new(endpoint)?, secret })
    }
}

impl Carrier for Webhook {
    fn send<'a>(&'a self, alert: &'a Alert, now: Timestamp) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            let seconds = now.as_nanos() / NANOS_PER_SECOND;
            let body = serde_json::to_vec(alert).map_err(|_| Error::Unsendable("it is not plain data"))?;
            let signature = signature::sign(&self.secret, &alert.id, seconds, &body);
            let headers = [
                ("webhook-id", alert.id.clone()),
                ("webhook-timestamp", seconds.to_string()),
                ("webhook-signature", signature),
            ];
            self.sender.post(&headers, &body).await
        })
    }
}
