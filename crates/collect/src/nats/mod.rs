//! Reads a stream of NATS JetStream through a durable pull consumer.
//!
//! ```text
//! connect ─► the stream, and what is stored of it ─► the consumer, set there ─► pull ─► decode ─► store ─► acknowledge
//! ```
//! How far is no business of the server: the number behind the last stored message is the sequence of the submission
//! that stored it, so that data and progress are committed together and a restart of either side neither loses nor doubles
//! a record (`exactly-once`). The consumer on the server only follows: it is acknowledged what is stored, so that streams
//! that keep messages until then let them go, and is set anew where it does not stand at our number.
//!
//! The *epoch* holds when the stream was made, and how often its numbers began anew. Messages that limits of
//! the stream removed while nobody was connected are counted as dropped (`gone`), and said. Only servers that the configuration names are called.

mod connect;
mod consumer;
mod portion;
mod reader;

use std::sync::Arc;
use std::time::Duration;

use moneta_base::TableName;
use moneta_base::error::chain;
use moneta_formats::Format;
use moneta_nats::{Api, Login};

use self::connect::Server;
use self::reader::{End, read};
use crate::Error;
use crate::collector::{Collector, Stopped, Trouble, is_stopped, until_stopped};
use crate::intake::{Intake, ResumePoints};
use crate::tls::ServerTrust;

/// Wait before the servers are called again after something failed; it doubles.
const RETRY_MIN: Duration = Duration::from_millis(250);
/// Longest such wait.
const RETRY_MAX: Duration = Duration::from_secs(15);

/// Where to begin in a stream of which nothing was ever stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NatsStart {
    /// With the first message that is there.
    Earliest,
    /// Behind the last one.
    Latest,
}

/// Which stream to read, and how.
#[derive(Debug)]
pub struct NatsOptions {
    /// What the source is called. Progress is remembered under this name.
    pub name: String,
    /// Hosts and ports of servers, any of which will do. Others are never called, whatever servers say.
    pub servers: Vec<(String, u16)>,
    /// The stream.
    pub stream: String,
    /// The durable consumer, which is made where it is not there, and is this source's alone.
    pub consumer: String,
    /// Only messages under this subject; all when absent.
    pub subject: Option<String>,
    /// The domain of JetStream; the server's own when absent.
    pub domain: Option<String>,
    /// What each message is, in a format of lines that stand for themselves.
    pub format: Format,
    /// The table of records whose shape says nothing of it; absent: one named by the stream.
    pub table: Option<TableName>,
    /// Where to begin.
    pub start: NatsStart,
    /// Whom to trust; absent: no TLS.
    pub tls: Option<ServerTrust>,
    /// How to sign in.
    pub login: Option<Login>,
}

/// Reads a stream. A server that cannot be reached is tried again for ever; [`Collector::trouble`] says why.
///
/// # Errors
/// [`Error::Tls`] when a file that TLS needs cannot be used.
pub fn start_nats(intake: Intake, resume: Arc<dyn ResumePoints>, options: NatsOptions) -> Result<Collector, Error> {
    let connector = options.tls.as_ref().map(ServerTrust::connector).transpose()?;
    let servers = options.servers.iter().cloned();
    let servers = servers.map(|(host, port)| Server { host, port, connector: connector.clone() }).collect();
    let (name, label) = (format!("nats {}", options.name), format!("nats/{}", options.name));
    let (trouble, api) = (Trouble::default(), Api::new(options.domain.as_deref()));
    let shared = Shared { intake, resume, servers, api, label: label.clone(), trouble: trouble.clone(), options };
    Ok(Collector::start(&name, label, None, |stopped| shared.run(stopped)).telling(trouble))
}

/// What reading a source needs.
struct Shared {
    intake: Intake,
    resume: Arc<dyn ResumePoints>,
    servers: Vec<Server>,
    api: Api,
    /// What records are counted under, and the name of the source begins with.
    label: String,
    trouble: Trouble,
    options: NatsOptions,
}

impl Shared {
    /// What the source is called, and the store knows it by.
    fn source(&self) -> String {
        format!("{}/{}", self.label, self.options.stream)
    }

    async fn run(self, mut stopped: Stopped) {
        let mut retry = RETRY_MIN;
        while !is_stopped(&stopped) {
            let mut reasons = Vec::new();
            for server in &self.servers {
                match read(&self, server, &mut stopped).await {
                    End::Stopped => return,
                    End::Failed { error, was_well } => {
                        reasons.push(format!("{server}: {}", chain(&error)));
                        if was_well {
                            // Others may have what this one no longer gives, at once.
                            retry = RETRY_MIN;
                        }
                    }
                }
            }
            self.trouble.tell(&self.label, "servers", Some(reasons.join("; ")));
            tokio::select! {
                () = tokio::time::sleep(retry) => {}
                () = until_stopped(&mut stopped) => {}
            }
            retry = (retry * 2).min(RETRY_MAX);
        }
    }
}
