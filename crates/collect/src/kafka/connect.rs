//! Connections to brokers: those that the configuration names, and those that they name.

use std::io;
use std::time::Duration;

use futures::future::BoxFuture;
use moneta_kafka::{BrokerAddress, Connect, Login, Transport};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::listener::Connected;

/// How long it may take to reach a broker and to agree on keys.
const CONNECT_MAX: Duration = Duration::from_secs(10);

/// Why a broker cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreachable {
    /// What the protocol says of it.
    #[error(transparent)]
    Kafka(#[from] moneta_kafka::Error),
    /// There is no way there.
    #[error("{broker} cannot be reached")]
    Connection {
        /// The broker.
        broker: BrokerAddress,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl Unreachable {
    /// It took too long.
    pub(crate) fn late() -> Self {
        Self::Kafka(moneta_kafka::Error::Connection(io::ErrorKind::TimedOut.into()))
    }
}

/// What every connection is made with.
pub(crate) struct Brokers {
    pub(crate) connector: Option<TlsConnector>,
    pub(crate) login: Option<Login>,
}

impl Brokers {
    async fn call(&self, broker: &BrokerAddress) -> io::Result<Connected> {
        let stream = TcpStream::connect((broker.host.as_str(), broker.port)).await?;
        stream.set_nodelay(true)?;
        let Some(connector) = &self.connector else { return Ok(Box::new(stream)) };
        let name = ServerName::try_from(broker.host.clone()).map_err(io::Error::other)?;
        Ok(Box::new(connector.connect(name, stream).await?))
    }
}

impl Connect for Brokers {
    type Error = Unreachable;

    fn connect<'a>(&'a self, broker: &'a BrokerAddress) -> BoxFuture<'a, Result<Box<dyn Transport>, Unreachable>> {
        Box::pin(async move {
            let called = tokio::time::timeout(CONNECT_MAX, self.call(broker)).await;
            let called = called.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
            let stream = called.map_err(|source| Unreachable::Connection { broker: broker.clone(), source })?;
            Ok(Box::new(Wire(stream)) as Box<dyn Transport>)
        })
    }

    fn login(&self) -> Option<&Login> {
        self.login.as_ref()
    }
}

/// A connection as the protocol uses it.
struct Wire(Connected);

impl Transport for Wire {
    fn write<'a>(&'a mut self, bytes: &'a [u8]) -> BoxFuture<'a, io::Result<()>> {
        Box::pin(async move {
            self.0.write_all(bytes).await?;
            self.0.flush().await
        })
    }

    fn read<'a>(&'a mut self, buffer: &'a mut [u8]) -> BoxFuture<'a, io::Result<()>> {
        Box::pin(async move { self.0.read_exact(buffer).await.map(drop) })
    }
}
