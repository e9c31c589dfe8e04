//! Integration tests of the server crate, one module a subject.

#![allow(clippy::unwrap_used)]

mod analytics_rules;
mod config_doc;
mod receipts;
mod record_proof;
mod replay;
mod rule_drafts;
mod scrubbing;
mod starter_queries;
