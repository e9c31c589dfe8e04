//! The forms in which receivers take alerts, one file each.

pub mod alertmanager;
pub mod email;
pub mod kafka;
pub mod pagerduty;
pub mod slack;
mod smtp;
pub mod syslog;
pub mod teams;
pub mod webhook;

use serde_json::Value;

use crate::Error;
use crate::http::HttpSender;

/// Sends a JSON value without headers of its own.
async fn post(sender: &HttpSender, body: &Value) -> Result<(), Error> {
    sender.post(&[], body.to_string().as_bytes()).await
}
