//! The HTTP interface: the only crate with wire types.
//!
//! [`router`] maps requests to the traits of `moneta-ports` and their answers to the forms clients expect: Kusto's
//! for queries, C2SP's for the ledger, OpenMetrics for counters, and JSON of our own for the rest. No rule of the
//! business stands here: who may sign in, how long a query may run, what a rule matches is decided below.
//!
//! What every request meets, in this order: a request id, security headers, a limit on its body (also after
//! decompression), a limit on its time, and authentication with a scope. Errors carry a code and a text that says
//! what to change, never the inside of the program: that goes to the log under the request id.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod accounts;
mod address;
mod alerts;
mod auth;
mod azure;
mod body;
mod channels;
mod credentials;
mod editor;
mod elastic;
mod error;
pub mod export;
mod flight;
mod gelf;
mod health;
mod incidents;
mod ingest;
mod intake;
mod kusto;
mod ledger;
mod loki;
mod objects;
mod observe;
mod openapi;
mod operations;
mod otlp;
mod page;
mod prometheus;
mod protobuf;
mod receipts;
mod router;
mod rows;
mod rules;
mod scrubbing;
mod splunk;
mod state;
mod upload;
mod witness;

#[cfg(test)]
mod tests;

pub use error::ApiError;
pub use observe::Peer;
pub use router::router;
pub use rows::json_rows;
pub use state::{ApiOptions, ApiState, LoopbackIdentity};
pub use witness::witness_router;
