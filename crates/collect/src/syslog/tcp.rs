//! Syslog over TCP and TLS: newline and octet-count framing, told apart per message.
//!
//! # Source
//! RFC 6587 (framing); RFC 5425 section 4.3 for the octet count.

use std::net::SocketAddr;

use moneta_base::limits::QUARANTINE_BYTES_MAX;
use moneta_base::{SourceName, TableName, Timestamp};
use moneta_event::catalog::table;
use moneta_event::{Delivery, QuarantinedRecord, RawRecord};
use moneta_formats::framing::{Frame, FrameDecoder};
use moneta_ports::Submission;
use tokio::io::AsyncReadExt;

use super::listener::{self, Connected, READ_BYTES, Serve};
use super::{Portions, SyslogOptions, TlsFiles};
use crate::Error;
use crate::collector::{Collector, Stopped, until_stopped};
use crate::intake::Intake;

const TCP: &str = "syslog-tcp";
const TLS: &str = "syslog-tls";

/// Listens for syslog over TCP.
///
/// # Errors
/// [`Error::Listen`] when the address is taken or not this machine's.
pub async fn start_syslog_tcp(intake: Intake, options: SyslogOptions) -> Result<Collector, Error> {
    let address = options.address;
    let protocol = SyslogStream { intake, options: options.clone(), collector: TCP, place: "syslog/tcp" };
    listener::start("syslog tcp", TCP, "tcp", address, options.connections_max, None, protocol).await
}

/// Listens for syslog over TLS. Senders must show a certificate where `tls` names an authority of clients.
///
/// # Errors
/// [`Error::Listen`] as for TCP, [`Error::Tls`] when the certificate, the key or the authority cannot be used.
///
/// # Source
/// RFC 5425.
pub async fn start_syslog_tls(intake: Intake, options: SyslogOptions, tls: &TlsFiles) -> Result<Collector, Error> {
    let (address, tls) = (options.address, tls.acceptor()?);
    let protocol = SyslogStream { intake, options: options.clone(), collector: TLS, place: "syslog/tls" };
    listener::start("syslog tls", TLS, "tls", address, options.connections_max, Some(tls), protocol).await
}

/// What every connection of one listener begins with.
struct SyslogStream {
    intake: Intake,
    options: SyslogOptions,
    collector: &'static str,
    /// What names of sources begin with.
    place: &'static str,
}

impl Serve for SyslogStream {
    async fn serve(&self, stream: Connected, peer: SocketAddr, stopped: Stopped) {
        Connection::new(self, peer).read(stream, stopped).await;
    }
}

/// One connection and what it has not stored yet.
struct Connection {
    intake: Intake,
    options: SyslogOptions,
    collector: &'static str,
    source: SourceName,
    frames: FrameDecoder,
    portions: Portions,
    too_long: Vec<QuarantinedRecord>,
    /// Bytes received before the current read.
    received_bytes: u64,
}

impl Connection {
    fn new(stream: &SyslogStream, peer: SocketAddr) -> Self {
        let SyslogStream { intake, options, collector, place } = stream;
        Self {
            intake: intake.clone(),
            options: options.clone(),
            collector,
            source: SourceName::lossy(&format!("{place}/{}", peer.ip().to_canonical())),
            frames: FrameDecoder::new(options.message_bytes_max),
            portions: Portions::new(intake, collector, Delivery::AtLeastOnce),
            too_long: Vec::new(),
            received_bytes: 0,
        }
    }

    /// Reads until the peer closes, is silent for too long, or the collector stops. While messages are being stored
    /// nothing is read: the sender's window fills and it waits.
    async fn read(mut self, mut stream: Connected, mut stopped: Stopped) {
        let mut buffer = vec![0; READ_BYTES];
        let mut idle_since = tokio::time::Instant::now();
        loop {
            let read = tokio::select! {
                biased;
                () = until_stopped(&mut stopped) => None,
                () = self.portions.until_due() => {
                    self.flush(&mut stopped).await;
                    continue;
                }
                read = stream.read(&mut buffer) => Some(read),
                () = tokio::time::sleep_until(idle_since + self.options.idle_timeout) => None,
            };
            let Some(Ok(len @ 1..)) = read else { break };
            idle_since = tokio::time::Instant::now();
            self.take(&buffer[..len]);
            if self.portions.is_full() || !self.too_long.is_empty() {
                self.flush(&mut stopped).await;
            }
        }
        self.finish();
        self.flush(&mut stopped).await;
    }

    fn take(&mut self, bytes: &[u8]) {
        let Self { frames, portions, too_long, .. } = self;
        let mut place = FramePlace::new(&self.source, self.intake.clock.now(), self.received_bytes, portions, too_long);
        frames.feed(bytes, |frame| place.put(frame));
        self.received_bytes += bytes.len() as u64;
    }

    fn finish(&mut self) {
        let Self { frames, portions, too_long, .. } = self;
        let mut place = FramePlace::new(&self.source, self.intake.clock.now(), self.received_bytes, portions, too_long);
        frames.finish(|frame| place.put(frame));
    }

    async fn flush(&mut self, stopped: &mut Stopped) {
        self.portions.flush(stopped).await;
        let quarantined = std::mem::take(&mut self.too_long);
        let submission = Submission { batches: Vec::new(), quarantined, key: None };
        self.intake.store_submission(self.collector, submission, stopped).await;
    }
}

/// Where the messages of one read go.
struct FramePlace<'a> {
    source: &'a SourceName,
    received: Timestamp,
    offset: u64,
    portions: &'a mut Portions,
    too_long: &'a mut Vec<QuarantinedRecord>,
}

impl<'a> FramePlace<'a> {
    fn new(
        source: &'a SourceName,
        received: Timestamp,
        offset: u64,
        portions: &'a mut Portions,
        too_long: &'a mut Vec<QuarantinedRecord>,
    ) -> Self {
        Self { source, received, offset, portions, too_long }
    }

    fn put(&mut self, frame: Frame<'_>) {
        match frame {
            Frame::Message(message) => self.portions.push(&RawRecord {
                bytes: message.to_vec(),
                source: self.source.clone(),
                received: self.received,
                delivery: Delivery::AtLeastOnce,
            }),
            Frame::TooLong { head, length } => {
                self.too_long.push(too_long_record(self.source, self.offset, head, length));
            }
        }
    }
}

pub(super) fn too_long_record(source: &SourceName, offset: u64, head: &[u8], length: u64) -> QuarantinedRecord {
    QuarantinedRecord {
        source: source.clone(),
        format: "syslog",
        table: TableName::new(table::SYSLOG).ok(),
        reason_code: "too_long",
        reason: format!("syslog message of {length} bytes exceeds the limit of the listener"),
        offset,
        bytes: head[..head.len().min(QUARANTINE_BYTES_MAX)].to_vec(),
    }
}
