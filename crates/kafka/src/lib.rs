//! The Kafka protocol as a client speaks it: signing in, asking who leads which partition, reading and writing records.
//!
//! ```text
//! find ─► Metadata: who leads which partition ─► Connection to the leader ─► fetch, produce
//! ```
//! Whoever uses this crate brings the sockets ([`Connect`], [`Transport`]): they decide which addresses may be called,
//! with which encryption, and for how long. Of every request the oldest form is used that brokers of 2017 and of today
//! both understand, so that one client speaks to Apache Kafka, its kin, and Azure Event Hubs.
//!
//! This crate opens no socket, reads no clock, takes no randomness but that of a nonce, starts no task and never panics whatever a broker says: every length is
//! compared with what is there, every answer has a limit, and what a batch unpacks to has one too. It knows no consumer
//! groups: positions are the caller's.
//!
//! # Source
//! Apache Kafka, "Protocol Guide" and "Message Format"; Microsoft, "Azure Event Hubs for Apache Kafka"; RFC 5802 and RFC 7677 (SCRAM).

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod batch;
mod cluster;
mod compression;
mod connection;
mod error;
mod messages;
mod partition;
mod scram;
mod wire;

pub use batch::{Broken, Found, NewRecord, RecordRef, read_batches, write_batch};
pub use cluster::{Connect, Transport, find};
pub use connection::{Connection, Login, Mechanism};
pub use error::{Error, code};
pub use messages::{Aborted, BrokerAddress, FetchFrom, FetchLimits, Fetched, Metadata, Place, TopicPartitions};
pub use partition::partition_of;
