//! Inputs: files, directories and buckets of objects, journal, host metrics, topics of Kafka, streams of NATS, audit
//! records of Microsoft 365; listeners for syslog, GELF, Fluent, Windows Event Forwarding and uploaded journals.
//!
//! Each `start_*` function starts one collector on the current tokio runtime and returns a [`Collector`] to stop it.
//! A collector turns what it reads into submissions to an [`EventSink`](moneta_ports::EventSink) and keeps no state of
//! its own: where it got to stands in the store, in the commit of its data, and is asked for through [`ResumePoints`].
//!
//! What every collector keeps: a record it accepted is stored, or counted as dropped with the reason
//! (`moneta_collect_dropped_records_total`); while the sink is busy it reads no further; `stop` stores what it has
//! before it returns. Nothing here scrubs: the sink does, before anything is durable.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod absent;
mod certificate;
mod collector;
mod error;
mod files;
mod fluent;
mod gelf;
mod host;
mod http;
mod inbox;
mod intake;
mod journal_upload;
mod kafka;
mod listener;
mod microsoft365;
mod nats;
mod place;
mod portions;
mod senders;
mod stream;
mod syslog;
mod systemd_journal;
mod tls;
mod udp;
mod wef;

pub use collector::{Collector, Trouble};
pub use error::Error;
pub use files::{FileOptions, RecordStart, start_files};
pub use fluent::start_fluent;
pub use gelf::{start_gelf_tcp, start_gelf_udp};
pub use host::{HostOptions, start_host};
pub use inbox::{BucketOptions, InboxOptions, start_bucket, start_inbox};
pub use intake::{Intake, ResumePoint, ResumePoints};
pub use journal_upload::start_journal_upload;
pub use kafka::{KafkaOptions, KafkaStart, start_kafka};
pub use listener::ListenOptions;
pub use microsoft365::{
    GraphList, HttpAnswer, HttpCaller, HttpFailure, HttpRequest, Microsoft365Options, SignIn, SignInProof,
    start_microsoft365,
};
pub use nats::{NatsOptions, NatsStart, start_nats};
pub use senders::Senders;
pub use syslog::{start_relp, start_syslog_tcp, start_syslog_tls, start_syslog_udp};
pub use systemd_journal::{JournalOptions, start_systemd_journal};
pub use tls::{ServerTrust, TlsFiles};
pub use wef::{Bookmarks, WefOptions, WefSubscription, start_wef};
