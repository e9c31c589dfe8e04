//! The forward protocol of Fluentd and Fluent Bit, as a listener.
//!
//! A message that asks to be acknowledged is, once it is durable; its sender sends it again otherwise, so that nothing
//! is lost when either side dies and a message stored just before its acknowledgement got lost comes twice
//! (`at-least-once`). A connection is read only while its earlier messages are stored. What arrived with one read is
//! stored together; what is no message is quarantined, and its connection closed. With a shared key, both sides prove
//! that they know it before the first event; it is never sent.
//!
//! # Source
//! Fluent, "Forward Protocol Specification v1.5", sections "Handshake" and "Response".

use std::net::SocketAddr;
use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{Context, SHA512};
use moneta_base::SourceName;
use moneta_event::catalog::table;
use moneta_event::{Delivery, RawRecord};
use moneta_formats::Format;
use moneta_formats::fluent::{self, Forwarded, NotFluent, ValueEnd};
use rmpv::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::Error;
use crate::collector::{Collector, Stopped, until_stopped};
use crate::intake::{Intake, Stored};
use crate::listener::{self, Connected, ListenOptions, READ_BYTES, Serve};
use crate::portions::{Portions, RecordKind};
use crate::tls::TlsFiles;

const COLLECTOR: &str = "fluent";
/// What this side is called in the handshake.
const OWN_NAME: &str = "moneta";
const NONCE_BYTES: usize = 16;
/// Events: JSON, whose shape says where they belong.
const EVENTS: RecordKind = RecordKind { format: Format::Ndjson, table: table::FLUENT };

/// Listens for the forward protocol, behind TLS where `tls` is given; with `shared_key` only for senders that know it.
///
/// # Errors
/// [`Error::Listen`] when the address is taken or not this machine's, [`Error::Tls`] when certificate or key cannot be
/// used.
pub async fn start_fluent(
    intake: Intake,
    options: ListenOptions,
    tls: Option<&TlsFiles>,
    shared_key: Option<String>,
) -> Result<Collector, Error> {
    let tls = tls.map(TlsFiles::acceptor).transpose()?;
    let (address, connections_max) = (options.address, options.connections_max);
    let server = FluentServer { intake, options, shared_key: shared_key.map(Arc::from) };
    listener::start("fluent forward", COLLECTOR, address, connections_max, tls, server).await
}

struct FluentServer {
    intake: Intake,
    options: ListenOptions,
    shared_key: Option<Arc<str>>,
}

impl Serve for FluentServer {
    async fn serve(&self, stream: Connected, peer: SocketAddr, stopped: Stopped) {
        Session::new(self, peer, stream).run(stopped).await;
    }
}

/// One connection.
struct Session {
    intake: Intake,
    options: ListenOptions,
    stream: Connected,
    source: SourceName,
    portions: Portions,
    /// Received and not read yet: at most one unfinished message after [`Self::take`].
    buffer: Vec<u8>,
    end: ValueEnd,
    /// The proof still asked of the sender: the key, and what it must use in it.
    unproven: Option<(Arc<str>, Vec<u8>)>,
    /// Chunks whose events are not durable yet, in order.
    unanswered: Vec<String>,
    /// Answers not sent yet.
    answers: Vec<u8>,
}

/// Why a connection is closed by this side.
enum Closed {
    /// What came is no message.
    Broken(NotFluent),
    /// The sender does not know the key.
    NotProven,
    /// The store refuses the events, or the listener stops.
    NotStored,
}

impl Session {
    fn new(server: &FluentServer, peer: SocketAddr, stream: Connected) -> Self {
        let FluentServer { intake, options, shared_key } = server;
        Self {
            intake: intake.clone(),
            options: options.clone(),
            stream,
            source: SourceName::lossy(&format!("fluent/{}", peer.ip().to_canonical())),
            portions: Portions::new(intake, COLLECTOR, EVENTS, Delivery::AtLeastOnce),
            buffer: Vec::new(),
            end: ValueEnd::default(),
            unproven: shared_key.clone().map(|key| (key, nonce())),
            unanswered: Vec::new(),
            answers: Vec::new(),
        }
    }

    /// Reads until the peer closes, is silent for too long, breaks the protocol, or the listener stops.
    async fn run(mut self, mut stopped: Stopped) {
        let mut buffer = vec![0; READ_BYTES];
        if let Some((_, nonce)) = &self.unproven {
            self.answers.extend(packed(&hello(nonce)));
        }
        while self.send().await {
            let read = tokio::select! {
                biased;
                () = until_stopped(&mut stopped) => break,
                read = self.stream.read(&mut buffer) => read,
                () = tokio::time::sleep(self.options.idle_timeout) => break,
            };
            let Ok(len @ 1..) = read else { break };
            self.buffer.extend_from_slice(&buffer[..len]);
            if let Err(closed) = self.take(&mut stopped).await {
                self.say(&closed);
                break;
            }
        }
        self.send().await;
        // A peer that is gone cannot be told.
        let _ = self.stream.shutdown().await;
    }

    /// Takes the messages that are whole, and stores their events. Events before a broken message are stored too.
    async fn take(&mut self, stopped: &mut Stopped) -> Result<(), Closed> {
        let taken = self.take_messages(stopped).await;
        self.store(stopped).await?;
        taken
    }

    async fn take_messages(&mut self, stopped: &mut Stopped) -> Result<(), Closed> {
        let mut at = 0;
        let taken = loop {
            let length = match self.end.find(&self.buffer[at..]) {
                Ok(Some(length)) => length,
                Ok(None) => break Ok(()),
                Err(error) => break Err(Closed::Broken(error)),
            };
            self.end = ValueEnd::default();
            let message = fluent::read_value(&mut &self.buffer[at..at + length]).map_err(Closed::Broken);
            if let Err(closed) = message.and_then(|message| self.message(message)) {
                break Err(closed);
            }
            at += length;
            if self.portions.is_full() {
                self.store(stopped).await?;
            }
        };
        if let Err(Closed::Broken(reason)) = &taken {
            let (code, reason) = ("bad_message", reason.to_string());
            self.portions.refuse(EVENTS.quarantined(&self.source, 0, &self.buffer[at..], code, reason));
        }
        self.buffer.drain(..at);
        taken
    }

    fn message(&mut self, message: Value) -> Result<(), Closed> {
        // Senders see that the connection lives by sending nothing that means anything.
        if message.is_nil() || message == Value::from(0) {
            return Ok(());
        }
        if let Some((key, nonce)) = self.unproven.take() {
            let (proven, pong) = answer_ping(&message, &key, &nonce);
            self.answers.extend(packed(&pong));
            return if proven { Ok(()) } else { Err(Closed::NotProven) };
        }
        let Forwarded { records, chunk } = fluent::forwarded(message).map_err(Closed::Broken)?;
        let received = self.intake.clock.now();
        for bytes in records {
            let (source, delivery) = (self.source.clone(), Delivery::AtLeastOnce);
            self.portions.push(&RawRecord { bytes, source, received, delivery });
        }
        self.unanswered.extend(chunk);
        Ok(())
    }

    /// Stores the events held and acknowledges their chunks.
    async fn store(&mut self, stopped: &mut Stopped) -> Result<(), Closed> {
        let stored = self.portions.flush(stopped).await;
        let chunks = std::mem::take(&mut self.unanswered);
        if stored != Stored::Yes {
            return Err(Closed::NotStored);
        }
        for chunk in chunks {
            self.answers.extend(packed(&Value::Map(vec![("ack".into(), chunk.into())])));
        }
        Ok(())
    }

    /// Nothing in the protocol tells a sender why; the log does.
    fn say(&self, closed: &Closed) {
        let source = self.source.as_str();
        match closed {
            Closed::Broken(reason) => {
                tracing::warn!(source, %reason, "a connection was closed: it does not speak the forward protocol");
            }
            Closed::NotProven => {
                tracing::warn!(source, "a connection was closed: the sender does not know the shared key");
            }
            Closed::NotStored => tracing::warn!(source, "a connection was closed: its events are not stored"),
        }
    }

    /// Sends the answers; `false` when the peer is gone.
    async fn send(&mut self) -> bool {
        let answers = std::mem::take(&mut self.answers);
        answers.is_empty() || (self.stream.write_all(&answers).await.is_ok() && self.stream.flush().await.is_ok())
    }
}

fn packed(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    rmpv::encode::write_value(&mut bytes, value).expect("memory takes every value");
    bytes
}

fn nonce() -> Vec<u8> {
    let mut nonce = vec![0; NONCE_BYTES];
    aws_lc_rs::rand::fill(&mut nonce).expect("the system has random bytes");
    nonce
}

/// `HELO`: what the sender must use in its proof. No user signs in.
fn hello(nonce: &[u8]) -> Value {
    let no_auth = Value::Binary(Vec::new());
    let options = [("nonce", Value::Binary(nonce.to_vec())), ("auth", no_auth), ("keepalive", true.into())];
    let options = options.map(|(name, value)| (name.into(), value));
    Value::Array(vec!["HELO".into(), Value::Map(options.to_vec())])
}

/// Whether `PING` proves that the sender knows the key, and `PONG`, which proves it of this side.
fn answer_ping(ping: &Value, key: &str, nonce: &[u8]) -> (bool, Value) {
    let parts = ping.as_array().map_or(&[][..], Vec::as_slice);
    let part = |place: usize| parts.get(place).and_then(bytes_of).unwrap_or_default();
    let (name, salt) = (part(1), part(2));
    let expected = key_digest(&[salt, name, nonce, key.as_bytes()]);
    let proven = part(0) == b"PING" && verify_slices_are_equal(part(3), expected.as_bytes()).is_ok();
    let (reason, digest) = match proven {
        true => ("", key_digest(&[salt, OWN_NAME.as_bytes(), nonce, key.as_bytes()])),
        false => ("shared key mismatch", String::new()),
    };
    let pong = ["PONG".into(), proven.into(), reason.into(), OWN_NAME.into(), digest.into()];
    (proven, Value::Array(pong.to_vec()))
}

fn bytes_of(value: &Value) -> Option<&[u8]> {
    match value {
        Value::String(text) => Some(text.as_bytes()),
        Value::Binary(bytes) => Some(bytes),
        _ => None,
    }
}

/// SHA-512 of the parts together, in hexadecimal.
fn key_digest(parts: &[&[u8]]) -> String {
    let mut hash = Context::new(&SHA512);
    parts.iter().for_each(|part| hash.update(part));
    hex::encode(hash.finish())
}
