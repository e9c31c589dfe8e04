//! Delivers alerts: signed webhooks.
