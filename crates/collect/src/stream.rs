//! Listeners for streams of messages that nobody answers: accepted, cut into messages, stored. A connection is read
//! only while its earlier messages are stored, so that the sender feels back-pressure.

use std::net::SocketAddr;

use moneta_base::SourceName;
use moneta_event::{Delivery, RawRecord};
use moneta_formats::framing::{Frame, FrameDecoder};
use tokio::io::AsyncReadExt;

use crate::Error;
use crate::collector::{Collector, Stopped, until_stopped};
use crate::intake::Intake;
use crate::listener::{self, Connected, ListenOptions, READ_BYTES, Serve};
use crate::portions::{Portions, RecordKind};
use crate::tls::TlsFiles;

/// Cuts the bytes of one connection into messages.
pub(crate) trait Framing: Send + 'static {
    /// Takes the next bytes and hands on each message they complete.
    fn feed(&mut self, bytes: &[u8], on_frame: &mut dyn FnMut(Frame<'_>));

    /// Hands on what the peer left unfinished when it closed.
    fn finish(&mut self, on_frame: &mut dyn FnMut(Frame<'_>));
}

impl Framing for FrameDecoder {
    fn feed(&mut self, bytes: &[u8], on_frame: &mut dyn FnMut(Frame<'_>)) {
        Self::feed(self, bytes, on_frame);
    }

    fn finish(&mut self, on_frame: &mut dyn FnMut(Frame<'_>)) {
        Self::finish(self, on_frame);
    }
}

/// A protocol over streams.
pub(crate) struct StreamKind<F> {
    /// What the collector is called, such as `syslog tcp`.
    pub(crate) name: &'static str,
    /// What its records are counted under.
    pub(crate) label: &'static str,
    /// What names of sources begin with.
    pub(crate) place: &'static str,
    pub(crate) records: RecordKind,
    /// Framing of messages of at most so many bytes.
    pub(crate) framing: fn(usize) -> F,
}

/// Listens for messages of a kind, behind TLS where `tls` is given.
///
/// # Errors
/// [`Error::Listen`] when the address is taken or not this machine's, [`Error::Tls`] when certificate or key cannot be
/// used.
pub(crate) async fn start<F: Framing>(
    intake: Intake,
    options: ListenOptions,
    tls: Option<&TlsFiles>,
    kind: StreamKind<F>,
) -> Result<Collector, Error> {
    let tls = tls.map(TlsFiles::acceptor).transpose()?;
    let (name, label) = (kind.name, kind.label);
    let (address, connections_max) = (options.address, options.connections_max);
    listener::start(name, label, address, connections_max, tls, Streams { intake, options, kind }).await
}

/// What every connection of one listener begins with.
struct Streams<F> {
    intake: Intake,
    options: ListenOptions,
    kind: StreamKind<F>,
}

impl<F: Framing> Serve for Streams<F> {
    async fn serve(&self, stream: Connected, peer: SocketAddr, stopped: Stopped) {
        Connection::new(self, peer).read(stream, stopped).await;
    }
}

/// One connection and what it has not stored yet.
struct Connection<F> {
    intake: Intake,
    options: ListenOptions,
    records: RecordKind,
    source: SourceName,
    frames: F,
    portions: Portions,
    /// Bytes received before the current read.
    received_bytes: u64,
}

impl<F: Framing> Connection<F> {
    fn new(streams: &Streams<F>, peer: SocketAddr) -> Self {
        let Streams { intake, options, kind } = streams;
        Self {
            intake: intake.clone(),
            options: options.clone(),
            records: kind.records,
            source: SourceName::lossy(&format!("{}/{}", kind.place, peer.ip().to_canonical())),
            frames: (kind.framing)(options.message_bytes_max),
            portions: Portions::new(intake, kind.label, kind.records, Delivery::AtLeastOnce),
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
                    self.portions.flush(&mut stopped).await;
                    continue;
                }
                read = stream.read(&mut buffer) => Some(read),
                () = tokio::time::sleep_until(idle_since + self.options.idle_timeout) => None,
            };
            let Some(Ok(len @ 1..)) = read else { break };
            idle_since = tokio::time::Instant::now();
            self.take(|frames, on_frame| frames.feed(&buffer[..len], on_frame));
            self.received_bytes += len as u64;
            if self.portions.is_full() {
                self.portions.flush(&mut stopped).await;
            }
        }
        self.take(F::finish);
        self.portions.flush(&mut stopped).await;
    }

    /// Adds the messages that `cut` finds.
    fn take(&mut self, cut: impl FnOnce(&mut F, &mut dyn FnMut(Frame<'_>))) {
        let Self { frames, portions, source, records, received_bytes, .. } = self;
        let received = self.intake.clock.now();
        cut(frames, &mut |frame| match frame {
            Frame::Message(message) => portions.push(&RawRecord {
                bytes: message.to_vec(),
                source: source.clone(),
                received,
                delivery: Delivery::AtLeastOnce,
            }),
            Frame::TooLong { head, length } => portions.refuse(records.too_long(source, *received_bytes, head, length)),
        });
    }
}
