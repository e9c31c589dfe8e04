//! Syslog over TCP: newline and octet-count framing, told apart per message.
//!
//! # Source
//! RFC 6587 (framing); RFC 5425 section 4.3 for the octet count.

use std::net::SocketAddr;
use std::sync::Arc;

use moneta_base::limits::QUARANTINE_BYTES_MAX;
use moneta_base::{SourceName, TableName, Timestamp};
use moneta_event::catalog::table;
use moneta_event::{Delivery, QuarantinedRecord, RawRecord};
use moneta_formats::framing::{Frame, FrameDecoder};
use moneta_ports::Submission;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::{Portions, SyslogOptions};
use crate::Error;
use crate::collector::{Collector, Stopped, until_stopped};
use crate::intake::Intake;

const COLLECTOR: &str = "syslog-tcp";
/// Bytes read at once from one connection.
const READ_BYTES: usize = 64 << 10;
/// Wait after the system refused a connection, for instance for want of file descriptors.
const ACCEPT_RETRY: std::time::Duration = std::time::Duration::from_millis(100);

/// Listens for syslog over TCP.
///
/// # Errors
/// [`Error::Listen`] when the address is taken or not this machine's.
pub async fn start_syslog_tcp(intake: Intake, options: SyslogOptions) -> Result<Collector, Error> {
    let address = options.address;
    let failed = |source| Error::Listen { protocol: "tcp", address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let local = listener.local_addr().map_err(failed)?;
    Ok(Collector::start("syslog tcp", COLLECTOR, Some(local), |stopped| accept(intake, options, listener, stopped)))
}

async fn accept(intake: Intake, options: SyslogOptions, listener: TcpListener, mut stopped: Stopped) {
    let room = Arc::new(Semaphore::new(options.connections_max));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = until_stopped(&mut stopped) => break,
        };
        while connections.try_join_next().is_some() {}
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a syslog connection was not accepted");
                tokio::time::sleep(ACCEPT_RETRY).await;
                continue;
            }
        };
        let Ok(permit) = room.clone().try_acquire_owned() else {
            // Closed without reading: the sender keeps its messages and tries again.
            tracing::warn!(%peer, max = options.connections_max, "too many syslog connections");
            continue;
        };
        let connection = Connection::new(&intake, &options, peer);
        let stopped = stopped.clone();
        connections.spawn(async move {
            connection.read(stream, stopped).await;
            drop(permit);
        });
    }
    drop(listener);
    connections.join_all().await;
}

/// One connection and what it has not stored yet.
struct Connection {
    intake: Intake,
    options: SyslogOptions,
    source: SourceName,
    frames: FrameDecoder,
    portions: Portions,
    too_long: Vec<QuarantinedRecord>,
    /// Bytes received before the current read.
    received_bytes: u64,
}

impl Connection {
    fn new(intake: &Intake, options: &SyslogOptions, peer: SocketAddr) -> Self {
        Self {
            intake: intake.clone(),
            options: options.clone(),
            source: SourceName::lossy(&format!("syslog/tcp/{}", peer.ip().to_canonical())),
            frames: FrameDecoder::new(options.message_bytes_max),
            portions: Portions::new(intake, COLLECTOR, Delivery::AtLeastOnce),
            too_long: Vec::new(),
            received_bytes: 0,
        }
    }

    /// Reads until the peer closes, is silent for too long, or the collector stops. While messages are being stored
    /// nothing is read: the sender's window fills and it waits.
    async fn read(mut self, mut stream: TcpStream, mut stopped: Stopped) {
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
        self.intake.store_submission(COLLECTOR, submission, stopped).await;
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

fn too_long_record(source: &SourceName, offset: u64, head: &[u8], length: u64) -> QuarantinedRecord {
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
