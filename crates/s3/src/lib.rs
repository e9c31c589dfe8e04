//! Object storage that speaks the protocol of Amazon S3, as a client: put if absent, read, list, remove.
//!
//! ```text
//! Client ─► sign (SigV4) ─► Transport ─► answer ─► retry, read back, or done
//! ```
//! Whoever uses this crate brings the sockets ([`Transport`]), the clock, the randomness and the way to wait, so that
//! the whole client runs in simulations. A put whose answer was lost is cleared up by reading the object back and
//! comparing its digest. This crate opens no socket, reads no clock, starts no task, shows no secret, and never takes
//! more of an answer than it allows for.
//!
//! # Source
//! Amazon S3 API Reference: "Authenticating Requests (AWS Signature Version 4)", `PutObject`, `GetObject`,
//! `HeadObject`, `ListObjectsV2`, `DeleteObject`.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod client;
mod credentials;
mod listing;
mod place;
mod sign;
mod transport;

pub use client::{Client, ClientParts};
pub use credentials::{Credentials, CredentialsError};
pub use place::{Place, PlaceError};
pub use transport::{Method, Request, Response, Transport};
