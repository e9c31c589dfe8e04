//! RELP: syslog whose every message is acknowledged once it is durable.
//!
//! A sender keeps what is not acknowledged and sends it again over the next connection, so nothing is lost when either
//! side dies; a message stored just before the acknowledgement got lost comes twice (`at-least-once`). What arrived
//! with one read is stored together and acknowledged together. A message that the store refuses for ever is answered
//! with 500 and the connection closed: the sender, not this listener, decides what becomes of it.
//!
//! # Source
//! The RELP specification of librelp (versions 0 and 1): commands `open`, `syslog`, `close`, `serverclose`, `rsp`.

use std::net::SocketAddr;

use moneta_base::SourceName;
use moneta_event::{Delivery, RawRecord};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::MESSAGES;
use super::relp_frames::{Frame, FrameReader};
use crate::Error;
use crate::collector::{Collector, Stopped, until_stopped};
use crate::intake::{Intake, Stored};
use crate::listener::{self, Connected, ListenOptions, READ_BYTES, Serve};
use crate::portions::Portions;
use crate::tls::TlsFiles;

const COLLECTOR: &str = "relp";
/// The highest version that this side speaks; for senders of messages it is no other than version 0.
const VERSION: u32 = 1;
/// Said before this side closes a connection.
const SERVER_CLOSE: &[u8] = b"0 serverclose 0\n";

/// Listens for syslog over RELP, behind TLS where `tls` is given.
///
/// # Errors
/// [`Error::Listen`] when the address is taken or not this machine's, [`Error::Tls`] when certificate or key cannot be
/// used.
pub async fn start_relp(intake: Intake, options: ListenOptions, tls: Option<&TlsFiles>) -> Result<Collector, Error> {
    let tls = tls.map(TlsFiles::acceptor).transpose()?;
    let (address, connections_max) = (options.address, options.connections_max);
    let server = RelpServer { intake, options };
    listener::start("syslog relp", COLLECTOR, address, connections_max, tls, server).await
}

struct RelpServer {
    intake: Intake,
    options: ListenOptions,
}

impl Serve for RelpServer {
    async fn serve(&self, stream: Connected, peer: SocketAddr, stopped: Stopped) {
        Session::new(&self.intake, &self.options, peer, stream).run(stopped).await;
    }
}

/// One connection.
struct Session {
    intake: Intake,
    options: ListenOptions,
    stream: Connected,
    source: SourceName,
    frames: FrameReader,
    portions: Portions,
    /// Transactions whose messages are not durable yet, in order.
    unanswered: Vec<u32>,
    /// Answers not sent yet.
    answers: Vec<u8>,
}

/// Whether a session goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Read,
    Close,
}

impl Session {
    fn new(intake: &Intake, options: &ListenOptions, peer: SocketAddr, stream: Connected) -> Self {
        Self {
            intake: intake.clone(),
            options: options.clone(),
            stream,
            source: SourceName::lossy(&format!("syslog/relp/{}", peer.ip().to_canonical())),
            frames: FrameReader::new(options.message_bytes_max),
            portions: Portions::new(intake, COLLECTOR, MESSAGES, Delivery::AtLeastOnce),
            unanswered: Vec::new(),
            answers: Vec::new(),
        }
    }

    /// Reads until the peer closes, is silent for too long, breaks the protocol, or the listener stops.
    async fn run(mut self, mut stopped: Stopped) {
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let read = tokio::select! {
                biased;
                () = until_stopped(&mut stopped) => None,
                read = self.stream.read(&mut buffer) => Some(read),
                () = tokio::time::sleep(self.options.idle_timeout) => None,
            };
            let Some(read) = read else {
                self.answers.extend_from_slice(SERVER_CLOSE);
                break;
            };
            let Ok(len @ 1..) = read else { break };
            if self.take(&buffer[..len], &mut stopped).await == Next::Close {
                break;
            }
            if !self.send().await {
                return;
            }
        }
        self.send().await;
        // A peer that is gone cannot be told.
        let _ = self.stream.shutdown().await;
    }

    /// Takes what one read brought: stores its messages and prepares the answers.
    async fn take(&mut self, bytes: &[u8], stopped: &mut Stopped) -> Next {
        let mut frames = Vec::new();
        let intact = self.frames.feed(bytes, &mut frames);
        let mut next = Next::Read;
        for frame in frames {
            match frame {
                Frame::Command { transaction, command, data } => {
                    if self.command(transaction, &command, data, stopped).await == Next::Close {
                        next = Next::Close;
                        break;
                    }
                }
                Frame::TooLong { transaction, head, length } => {
                    self.portions.refuse(MESSAGES.too_long(&self.source, 0, &head, length));
                    self.unanswered.push(transaction);
                }
            }
        }
        if self.store(stopped).await == Next::Close {
            next = Next::Close;
        }
        if let Err(reason) = intact {
            tracing::warn!(source = self.source.as_str(), reason, "a RELP connection was closed");
            self.answers.extend_from_slice(SERVER_CLOSE);
            return Next::Close;
        }
        next
    }

    async fn command(&mut self, transaction: u32, command: &str, data: Vec<u8>, stopped: &mut Stopped) -> Next {
        match command {
            "syslog" => {
                self.portions.push(&RawRecord {
                    bytes: data,
                    source: self.source.clone(),
                    received: self.intake.clock.now(),
                    delivery: Delivery::AtLeastOnce,
                });
                self.unanswered.push(transaction);
                return if self.portions.is_full() { self.store(stopped).await } else { Next::Read };
            }
            "open" => self.answer(transaction, &offers(&data)),
            "close" => {
                let next = self.store(stopped).await;
                if next == Next::Read {
                    self.answer(transaction, "200 OK");
                    self.answers.extend_from_slice(SERVER_CLOSE);
                }
                return Next::Close;
            }
            // Answers to what this side said; it says nothing that needs one.
            "rsp" => {}
            _ => self.answer(transaction, "500 unknown command: this side takes open, syslog and close"),
        }
        Next::Read
    }

    /// Stores the messages held and answers them.
    async fn store(&mut self, stopped: &mut Stopped) -> Next {
        if self.unanswered.is_empty() {
            return Next::Read;
        }
        let stored = self.portions.flush(stopped).await;
        let transactions = std::mem::take(&mut self.unanswered);
        match stored {
            Stored::Yes => {
                for transaction in transactions {
                    self.answer(transaction, "200 OK");
                }
                Next::Read
            }
            Stored::Refused => {
                for transaction in transactions {
                    self.answer(transaction, "500 the store refuses the message");
                }
                self.answers.extend_from_slice(SERVER_CLOSE);
                Next::Close
            }
            // Not answered, so that the sender sends them again.
            Stored::Stopped => Next::Close,
        }
    }

    fn answer(&mut self, transaction: u32, text: &str) {
        self.answers.extend_from_slice(format!("{transaction} rsp {} {text}\n", text.len()).as_bytes());
    }

    /// Sends the answers; `false` when the peer is gone.
    async fn send(&mut self) -> bool {
        let answers = std::mem::take(&mut self.answers);
        answers.is_empty() || (self.stream.write_all(&answers).await.is_ok() && self.stream.flush().await.is_ok())
    }
}

/// What this side can do, as an `open` with these offers is answered. The version is one that both speak: librelp breaks
/// off where it is told a higher one than its own.
fn offers(asked: &[u8]) -> String {
    let asked = String::from_utf8_lossy(asked);
    let asked = asked.lines().find_map(|line| line.strip_prefix("relp_version=")?.trim().parse().ok());
    let version = VERSION.min(asked.unwrap_or(VERSION));
    format!("200 OK\nrelp_version={version}\nrelp_software=moneta\ncommands=syslog")
}
