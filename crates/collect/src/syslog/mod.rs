//! Syslog listeners.
//!
//! TCP and TLS: a connection is read only while its earlier messages are stored, so that the sender feels back-pressure.
//! RELP: each message is acknowledged once it is durable, and sent again otherwise.
//! UDP: there is nobody to hold up, so that datagrams beyond the queue are counted as dropped, by source.

mod listener;
mod relp;
mod relp_frames;
mod tcp;
mod tls;
mod udp;

use std::net::SocketAddr;
use std::time::Duration;

use moneta_base::SourceName;
use moneta_event::{Delivery, RawRecord};
use moneta_formats::{Decoded, Decoder, Format};
use tokio::time::Instant;

pub use relp::start_relp;
pub use tcp::{start_syslog_tcp, start_syslog_tls};
pub use tls::TlsFiles;
pub use udp::start_syslog_udp;

use crate::collector::Stopped;
use crate::intake::{Intake, Stored};

/// How long a message waits for company at most.
const FLUSH_AFTER: Duration = Duration::from_millis(100);
/// Messages after which a portion is stored, however young.
const FLUSH_MESSAGES: u64 = 4_096;
/// Bytes of messages after which a portion is stored.
const FLUSH_BYTES: usize = 1 << 20;

/// Where and how to listen for syslog.
#[derive(Debug, Clone)]
pub struct SyslogOptions {
    /// Address and port; port 0 takes a free one.
    pub address: SocketAddr,
    /// Longer messages are quarantined with their beginning.
    pub message_bytes_max: usize,
    /// TCP connections at the same time.
    pub connections_max: usize,
    /// A TCP connection without a byte for so long is closed.
    pub idle_timeout: Duration,
    /// Datagrams waiting to be decoded.
    pub datagrams_queued_max: usize,
}

impl SyslogOptions {
    /// The usual limits: messages of 64 KiB, 512 connections, 15 minutes of silence, 16,384 datagrams.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            message_bytes_max: 64 << 10,
            connections_max: 512,
            idle_timeout: Duration::from_secs(900),
            datagrams_queued_max: 16_384,
        }
    }
}

/// Decodes messages and stores them in portions, by number, size and age.
struct Portions {
    intake: Intake,
    collector: &'static str,
    decoder: Decoder,
    /// Portions the decoder ended by itself.
    ready: Vec<Decoded>,
    messages: u64,
    bytes: usize,
    /// When what is held must be stored.
    deadline: Option<Instant>,
}

impl Portions {
    fn new(intake: &Intake, collector: &'static str, delivery: Delivery) -> Self {
        let options = intake.decode_options(SourceName::lossy(collector), delivery);
        let decoder = Decoder::new(Format::Syslog, options);
        Self { intake: intake.clone(), collector, decoder, ready: Vec::new(), messages: 0, bytes: 0, deadline: None }
    }

    fn push(&mut self, record: &RawRecord) {
        let ready = &mut self.ready;
        self.decoder.record(record, &mut |decoded| ready.push(decoded));
        self.messages += 1;
        self.bytes += record.bytes.len();
        self.deadline.get_or_insert_with(|| Instant::now() + FLUSH_AFTER);
    }

    fn is_full(&self) -> bool {
        self.messages >= FLUSH_MESSAGES || self.bytes >= FLUSH_BYTES || !self.ready.is_empty()
    }

    /// Stores everything held; says whether all of it is durable.
    async fn flush(&mut self, stopped: &mut Stopped) -> Stored {
        let ready = &mut self.ready;
        self.decoder.flush(&mut |decoded| ready.push(decoded));
        (self.messages, self.bytes, self.deadline) = (0, 0, None);
        let mut all = Stored::Yes;
        for decoded in std::mem::take(&mut self.ready) {
            let stored = self.intake.store(self.collector, decoded, stopped).await;
            all = if all == Stored::Yes { stored } else { all };
        }
        all
    }

    /// Resolves when what is held is old enough to be stored; never when nothing is held.
    async fn until_due(&self) {
        match self.deadline {
            Some(deadline) => tokio::time::sleep_until(deadline).await,
            None => std::future::pending().await,
        }
    }
}
