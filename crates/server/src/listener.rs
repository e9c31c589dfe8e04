//! The HTTP listener: one port for TLS and, where it may be, for plain HTTP.
//!
//! The first byte of a connection tells which it is: 0x16 begins a TLS handshake (RFC 8446, section 5.1), and no HTTP
//! method begins so. Plain HTTP is taken from this machine, and from others only if the configuration says so; they are
//! told why not. Waiting for a first byte or a handshake holds up nobody else.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use moneta_api::Peer;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Connections that may be between their first packet and the end of their handshake.
const BEGINNING_MAX: usize = 1024;
/// How long that may last.
const BEGIN_MAX: Duration = Duration::from_secs(10);
/// Connections ready and not yet taken.
const READY_MAX: usize = 64;
/// The pause after the operating system could give no connection, for example because files run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// The first byte of a TLS handshake.
const HANDSHAKE: u8 = 0x16;
/// What a stranger without TLS is told.
const NEEDS_TLS: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n\
    This port takes plain HTTP from its own machine only: use https, or set server.allow_plaintext = true.\n";

/// Where connections come from.
pub(crate) struct SecureListener {
    ready: mpsc::Receiver<(Connection, Peer)>,
    address: SocketAddr,
}

impl SecureListener {
    /// Takes connections from `listener` for as long as this lives.
    pub(crate) fn start(listener: TcpListener, acceptor: TlsAcceptor, allow_plaintext: bool) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let (sender, ready) = mpsc::channel(READY_MAX);
        let begin = Arc::new(Begin { acceptor, allow_plaintext });
        tokio::spawn(accept(listener, begin, sender));
        Ok(Self { ready, address })
    }
}

async fn accept(listener: TcpListener, begin: Arc<Begin>, sender: mpsc::Sender<(Connection, Peer)>) {
    let places = Arc::new(Semaphore::new(BEGINNING_MAX));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let accepted = tokio::select! {
            () = sender.closed() => return,
            accepted = listener.accept() => accepted,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be taken");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (begin, sender) = (begin.clone(), sender.clone());
        tokio::spawn(async move {
            let _place = place;
            match tokio::time::timeout(BEGIN_MAX, begin.connection(stream, address)).await {
                Ok(Ok(Some(connection))) => drop(sender.send(connection).await),
                Ok(Ok(None)) => {}
                Ok(Err(error)) => tracing::debug!(%address, %error, "a connection did not begin"),
                Err(_) => tracing::debug!(%address, "a connection said nothing"),
            }
        });
    }
}

struct Begin {
    acceptor: TlsAcceptor,
    allow_plaintext: bool,
}

impl Begin {
    async fn connection(&self, stream: TcpStream, address: SocketAddr) -> io::Result<Option<(Connection, Peer)>> {
        stream.set_nodelay(true)?;
        let mut first = [0];
        if stream.peek(&mut first).await? == 0 {
            return Ok(None);
        }
        if first[0] == HANDSHAKE {
            let stream = self.acceptor.accept(stream).await?;
            return Ok(Some((Connection::Tls(Box::new(stream)), Peer { address, tls: true })));
        }
        if self.allow_plaintext || is_own(&stream, address) {
            return Ok(Some((Connection::Plain(stream), Peer { address, tls: false })));
        }
        refuse(stream).await?;
        Ok(None)
    }
}

/// Whether the other end is this machine: such a connection crosses no network.
fn is_own(stream: &TcpStream, peer: SocketAddr) -> bool {
    let peer = peer.ip().to_canonical();
    peer.is_loopback() || stream.local_addr().is_ok_and(|local| local.ip().to_canonical() == peer)
}

async fn refuse(mut stream: TcpStream) -> io::Result<()> {
    stream.write_all(NEEDS_TLS).await?;
    stream.shutdown().await
}

impl Listener for SecureListener {
    type Io = Connection;
    type Addr = Peer;

    async fn accept(&mut self) -> (Connection, Peer) {
        match self.ready.recv().await {
            Some(connection) => connection,
            // The other task ends after this one only.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<Peer> {
        Ok(Peer { address: self.address, tls: true })
    }
}

/// The other end of a connection, for the interface.
#[derive(Clone, Copy)]
pub(crate) struct Other(pub(crate) Peer);

impl Connected<IncomingStream<'_, SecureListener>> for Other {
    fn connect_info(stream: IncomingStream<'_, SecureListener>) -> Self {
        Self(*stream.remote_addr())
    }
}

/// A connection with or without TLS.
pub(crate) enum Connection {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Passes a call on to the stream inside.
macro_rules! pass_on {
    ($self:expr, $method:ident($($argument:expr),*)) => {
        match $self.get_mut() {
            Connection::Plain(stream) => Pin::new(stream).$method($($argument),*),
            Connection::Tls(stream) => Pin::new(&mut **stream).$method($($argument),*),
        }
    };
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        pass_on!(self, poll_read(cx, buffer))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        pass_on!(self, poll_write(cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        pass_on!(self, poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        pass_on!(self, poll_shutdown(cx))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        pass_on!(self, poll_write_vectored(cx, pieces))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }
}
