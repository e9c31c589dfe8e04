//! Connections to servers that the configuration names.

use std::fmt;
use std::io;
use std::time::Duration;

use futures::future::BoxFuture;
use moneta_nats::{Connection, Login, Transport, greet};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::listener::Duplex;

/// How long it may take to reach a server, to agree on keys and to sign in.
const CONNECT_MAX: Duration = Duration::from_secs(15);

/// Why a stream cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreadable {
    /// What the protocol says of it.
    #[error(transparent)]
    Nats(#[from] moneta_nats::Error),
    /// The server speaks no TLS, which is wanted.
    #[error("it speaks no TLS: let it, or set tls = false for a network that nobody else reads")]
    NoTls,
    /// The server wants TLS, which is turned off.
    #[error("it wants TLS, which tls = false turns off")]
    WantsTls,
    /// TLS could not be agreed on.
    #[error("TLS could not be agreed on")]
    Tls(#[source] io::Error),
    /// The consumer is somebody else's.
    #[error("the consumer {0:?} was not made for Moneta: name another")]
    NotOurs(String),
    /// Deliveries are missing.
    #[error(
        "delivery {found} of the consumer came where {expected} was due: does another server read through it? Each needs \
         a consumer of its own"
    )]
    Gap {
        /// The delivery that was due.
        expected: u64,
        /// That which came.
        found: u64,
    },
    /// What was asked for ended otherwise than by time or number.
    #[error("the server stopped giving messages: {0}")]
    Ended(String),
    /// The server no longer answers.
    #[error("it does not answer")]
    Late,
}

/// A server that may be called.
pub(super) struct Server {
    pub(super) host: String,
    pub(super) port: u16,
    /// With which TLS is spoken; absent: none is.
    pub(super) connector: Option<TlsConnector>,
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl Server {
    /// A connection that is signed in, and the bytes that a message has at most.
    pub(super) async fn open(&self, login: Option<&Login>) -> Result<(Connection, usize), Unreadable> {
        let opened = tokio::time::timeout(CONNECT_MAX, self.call(login)).await;
        opened.unwrap_or(Err(Unreadable::Late))
    }

    async fn call(&self, login: Option<&Login>) -> Result<(Connection, usize), Unreadable> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await.map_err(moneta_nats::Error::from)?;
        stream.set_nodelay(true).map_err(moneta_nats::Error::from)?;
        let mut wire = Wire(stream);
        let info = greet(&mut wire).await?;
        let transport: Box<dyn Transport> = match &self.connector {
            None if info.tls_required => return Err(Unreadable::WantsTls),
            None => Box::new(wire),
            Some(_) if !info.tls_required && !info.tls_available => return Err(Unreadable::NoTls),
            Some(connector) => {
                let name = ServerName::try_from(self.host.clone())
                    .map_err(|error| Unreadable::Tls(io::Error::other(error)))?;
                Box::new(Wire(connector.connect(name, wire.0).await.map_err(Unreadable::Tls)?))
            }
        };
        let connection = Connection::open(transport, &info, login, self.connector.is_some()).await?;
        Ok((connection, info.max_payload))
    }
}

/// A connection as the protocol uses it.
struct Wire<T>(T);

impl<T: Duplex> Transport for Wire<T> {
    fn write<'a>(&'a mut self, bytes: &'a [u8]) -> BoxFuture<'a, io::Result<()>> {
        Box::pin(async move {
            self.0.write_all(bytes).await?;
            self.0.flush().await
        })
    }

    fn read<'a>(&'a mut self, buffer: &'a mut [u8]) -> BoxFuture<'a, io::Result<usize>> {
        Box::pin(self.0.read(buffer))
    }
}
