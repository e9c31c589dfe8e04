//! Listeners for streams of messages that nobody answers: accepted, cut into messages, stored. A connection is read
//! only while its earlier messages are stored, so that the sender feels back-pressure. A listener that stops tells its
//! senders, and takes what they sent until they heard of it: for them it is delivered.

use std::net::SocketAddr;
use std::time::Duration;

use moneta_base::SourceName;
use moneta_event::{Delivery, RawRecord};
use moneta_formats::framing::{Frame, FrameDecoder};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};

use crate::Error;
use crate::collector::{Collector, Stopped, until_stopped};
use crate::intake::{Intake, Stored};
use crate::listener::{self, Connected, ListenOptions, READ_BYTES, Serve};
use crate::portions::{Portions, RecordKind};
use crate::tls::TlsFiles;

/// After how long a sender that says nothing is taken to have heard that this side stops.
const DRAIN_SILENCE: Duration = Duration::from_secs(1);
/// How long a sender that goes on all the same is listened to.
const DRAIN_MAX: Duration = Duration::from_secs(5);

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
        let mut idle_since = Instant::now();
        loop {
            let read = tokio::select! {
                biased;
                () = until_stopped(&mut stopped) => {
                    self.drain(&mut stream, &mut buffer, &mut stopped).await;
                    break;
                }
                () = self.portions.until_due() => {
                    self.portions.flush(&mut stopped).await;
                    continue;
                }
                read = stream.read(&mut buffer) => read,
                () = tokio::time::sleep_until(idle_since + self.options.idle_timeout) => break,
            };
            let Ok(len @ 1..) = read else { break };
            idle_since = Instant::now();
            self.received(&buffer[..len], &mut stopped).await;
        }
        self.take(F::finish);
        self.portions.flush(&mut stopped).await;
    }

    /// Tells the sender that this side ends, and takes what it sends until it heard of it.
    async fn drain(&mut self, stream: &mut Connected, buffer: &mut [u8], stopped: &mut Stopped) {
        // Not TLS's own farewell: rsyslog looks whether its socket ended, and takes any byte in it for a sign of life. To
        // syslog-ng over TLS neither can be said with the other: it goes on until the connection is gone.
        if stream.tcp().shutdown().await.is_err() {
            return;
        }
        let ends = Instant::now() + DRAIN_MAX;
        while let Ok(Ok(len @ 1..)) = timeout_at(ends.min(Instant::now() + DRAIN_SILENCE), stream.read(buffer)).await {
            if self.received(&buffer[..len], stopped).await != Stored::Yes {
                return;
            }
        }
    }

    /// Takes the next bytes; says whether what had to be stored is.
    async fn received(&mut self, bytes: &[u8], stopped: &mut Stopped) -> Stored {
        self.take(|frames, on_frame| frames.feed(bytes, on_frame));
        self.received_bytes += bytes.len() as u64;
        if self.portions.is_full() { self.portions.flush(stopped).await } else { Stored::Yes }
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
