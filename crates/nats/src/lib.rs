//! The NATS protocol as a client speaks it: signing in, asking, and the pull consumers of JetStream.
//!
//! ```text
//! greet ─► (TLS, by the caller) ─► Connection::open: sign in ─► stream, consumer ─► pull ─► take ─► ack
//! ```
//! Whoever uses this crate brings the socket ([`Transport`]): they decide which addresses may be called, with which
//! encryption, and for how long. Servers name the other members of their cluster; nobody here calls those.
//!
//! This crate opens no socket, reads no clock, starts no task and never panics whatever a server says: every line, every
//! message and every answer has a limit. It knows no position: what was stored is the caller's to remember.
//!
//! # Source
//! NATS documentation, "Client Protocol", "NKeys" and "JetStream wire API Reference"; ADR-4, ADR-13 and ADR-37 of its
//! architecture.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod connection;
mod error;
mod jetstream;
mod login;
mod wire;

pub use connection::{Connection, ServerInfo, Transport, greet};
pub use error::Error;
pub use jetstream::{Api, ConsumerConfig, ConsumerInfo, Delivery, Pull, Retention, StreamInfo};
pub use login::{Login, UserKey};
pub use wire::Message;
