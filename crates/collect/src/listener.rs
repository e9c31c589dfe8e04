//! What listeners of all protocols over TCP share: accepting, the limit of connections, TLS, stopping.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::{TlsAcceptor, client, server};

use crate::Error;
use crate::collector::{Collector, Stopped, until_stopped};

/// Bytes read at once from one connection.
pub(crate) const READ_BYTES: usize = 64 << 10;
/// Wait after the system refused a connection, for instance for want of file descriptors.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);
/// How long a peer may take to agree on keys.
const HANDSHAKE_MAX: Duration = Duration::from_secs(20);

/// Where and how to listen.
#[derive(Debug, Clone)]
pub struct ListenOptions {
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

impl ListenOptions {
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

/// Reads and writes of one connection.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {
    /// The connection below TLS.
    fn tcp(&mut self) -> &mut TcpStream;

    /// The certificates that the peer showed, its own first, in DER; none where it showed none.
    fn certificates(&self) -> Vec<Vec<u8>> {
        Vec::new()
    }
}

impl Duplex for TcpStream {
    fn tcp(&mut self) -> &mut TcpStream {
        self
    }
}

impl Duplex for client::TlsStream<TcpStream> {
    fn tcp(&mut self) -> &mut TcpStream {
        self.get_mut().0
    }
}

impl Duplex for server::TlsStream<TcpStream> {
    fn tcp(&mut self) -> &mut TcpStream {
        self.get_mut().0
    }

    fn certificates(&self) -> Vec<Vec<u8>> {
        let shown = self.get_ref().1.peer_certificates().unwrap_or_default();
        shown.iter().map(|certificate| certificate.to_vec()).collect()
    }
}

/// A connection, with or without TLS.
pub(crate) type Connected = Box<dyn Duplex>;

/// Serves the connections of one listener.
pub(crate) trait Serve: Send + Sync + 'static {
    /// Serves one connection until its peer closes it, or the listener stops.
    fn serve(&self, stream: Connected, peer: SocketAddr, stopped: Stopped) -> impl Future<Output = ()> + Send;
}

/// Starts to listen.
///
/// # Errors
/// [`Error::Listen`] when the address is taken or not this machine's.
pub(crate) async fn start(
    name: &'static str,
    label: &'static str,
    address: SocketAddr,
    connections_max: usize,
    tls: Option<TlsAcceptor>,
    serve: impl Serve,
) -> Result<Collector, Error> {
    let (listener, local) = bind(name, address).await?;
    Ok(Collector::start(name, label, Some(local), |stopped| accept(listener, connections_max, tls, serve, stopped)))
}

/// Takes an address; says which it became.
///
/// # Errors
/// As [`start`].
pub(crate) async fn bind(name: &'static str, address: SocketAddr) -> Result<(TcpListener, SocketAddr), Error> {
    let failed = |source| Error::Listen { what: name, address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let local = listener.local_addr().map_err(failed)?;
    Ok((listener, local))
}

/// Accepts connections and serves them until it must stop, and those that it has to their end.
pub(crate) async fn accept(
    listener: TcpListener,
    connections_max: usize,
    tls: Option<TlsAcceptor>,
    serve: impl Serve,
    mut stopped: Stopped,
) {
    let (room, serve) = (Arc::new(Semaphore::new(connections_max)), Arc::new(serve));
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
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(ACCEPT_RETRY).await;
                continue;
            }
        };
        let Ok(permit) = room.clone().try_acquire_owned() else {
            // Closed without reading: the sender keeps its messages and tries again.
            tracing::warn!(%peer, "too many connections");
            continue;
        };
        let (stopped, tls, serve) = (stopped.clone(), tls.clone(), serve.clone());
        connections.spawn(async move {
            if let Some(stream) = secured(stream, peer, tls, stopped.clone()).await {
                serve.serve(stream, peer, stopped).await;
            }
            drop(permit);
        });
    }
    drop(listener);
    connections.join_all().await;
}

/// The connection as it is read: behind TLS, where the listener has it.
async fn secured(
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<TlsAcceptor>,
    mut stopped: Stopped,
) -> Option<Connected> {
    let Some(tls) = tls else { return Some(Box::new(stream)) };
    let agreed = tokio::select! {
        agreed = tokio::time::timeout(HANDSHAKE_MAX, tls.accept(stream)) => agreed,
        () = until_stopped(&mut stopped) => return None,
    };
    match agreed {
        Ok(Ok(stream)) => Some(Box::new(stream)),
        Ok(Err(error)) => {
            tracing::warn!(%peer, %error, "a sender was refused: TLS could not be agreed on");
            None
        }
        Err(_) => {
            tracing::warn!(%peer, "a sender was refused: it did not agree on TLS in time");
            None
        }
    }
}
