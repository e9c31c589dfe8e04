//! What listeners over HTTP share: connections of a [`listener`] served by routes, with who the peer proved to be.
//!
//! ```text
//! accept ─► TLS ─► Arrivals ─► HTTP (axum) ─► routes, which see the Peer
//! ```
//! A connection that says nothing for the listener's idle time is closed, whatever was begun on it.

use std::future::{Future, IntoFuture};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::extract::connect_info::Connected as ConnectInfo;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, Sleep};

use crate::Error;
use crate::collector::{Collector, Stopped, until_stopped};
use crate::listener::{self, Connected, ListenOptions, Serve};
use crate::tls::TlsFiles;

/// How long requests may take that are under way when the listener must stop: longer than the store is waited for.
const STOP_GRACE: Duration = Duration::from_secs(15);

/// The other end of a connection.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    /// The certificates it showed, its own first, in DER.
    pub(crate) certificates: Arc<[Vec<u8>]>,
}

impl ConnectInfo<IncomingStream<'_, Arrivals>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Arrivals>) -> Self {
        stream.remote_addr().clone()
    }
}

/// Listens for HTTP, behind TLS where `tls` is given. The routes are told when the listener must stop.
///
/// # Errors
/// [`Error::Listen`] when the address is taken or not this machine's, [`Error::Tls`] when certificate or key cannot be
/// used.
pub(crate) async fn start(
    name: &'static str,
    label: &'static str,
    options: &ListenOptions,
    tls: Option<&TlsFiles>,
    routes: impl FnOnce(Stopped) -> Router,
) -> Result<Collector, Error> {
    let tls = tls.map(TlsFiles::acceptor).transpose()?;
    let (listener, local) = listener::bind(name, options.address).await?;
    let (sender, ready) = mpsc::channel(1);
    let connections_max = options.connections_max;
    let handover = Handover { sender, idle_timeout: options.idle_timeout };
    Ok(Collector::start(name, label, Some(local), |stopped| {
        let service = routes(stopped.clone()).into_make_service_with_connect_info::<Peer>();
        let arrivals = Arrivals { ready, local };
        let (mut must_end, mut late) = (stopped.clone(), stopped.clone());
        async move {
            let served = axum::serve(arrivals, service);
            let served = served.with_graceful_shutdown(async move { until_stopped(&mut must_end).await });
            let served = async {
                tokio::select! {
                    _ = served.into_future() => {}
                    () = until_late(&mut late) => {}
                }
            };
            tokio::join!(listener::accept(listener, connections_max, tls, handover, stopped), served);
        }
    }))
}

/// Resolves when the listener should have stopped.
async fn until_late(stopped: &mut Stopped) {
    until_stopped(stopped).await;
    tokio::time::sleep(STOP_GRACE).await;
}

/// Hands connections on to whoever speaks HTTP with them, and counts them as open until they end.
struct Handover {
    sender: mpsc::Sender<(Stream, Peer)>,
    idle_timeout: Duration,
}

impl Serve for Handover {
    async fn serve(&self, stream: Connected, address: SocketAddr, mut stopped: Stopped) {
        let peer = Peer { address, certificates: stream.certificates().into() };
        let (until_dropped, dropped) = oneshot::channel();
        let idle = Box::pin(tokio::time::sleep(self.idle_timeout));
        let stream = Stream { inner: stream, idle, idle_timeout: self.idle_timeout, _until_dropped: until_dropped };
        if self.sender.send((stream, peer)).await.is_ok() {
            tokio::select! {
                _ = dropped => {}
                () = until_late(&mut stopped) => {}
            }
        }
    }
}

/// Where connections come from, for axum.
pub(crate) struct Arrivals {
    ready: mpsc::Receiver<(Stream, Peer)>,
    local: SocketAddr,
}

impl Listener for Arrivals {
    type Io = Stream;
    type Addr = Peer;

    async fn accept(&mut self) -> (Stream, Peer) {
        match self.ready.recv().await {
            Some(arrived) => arrived,
            // The listener has stopped, and so will this.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<Peer> {
        Ok(Peer { address: self.local, certificates: Arc::from([]) })
    }
}

/// A connection that ends when nothing comes for too long.
pub(crate) struct Stream {
    inner: Connected,
    idle: Pin<Box<Sleep>>,
    idle_timeout: Duration,
    _until_dropped: oneshot::Sender<()>,
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.inner).poll_read(cx, buffer);
        if polled.is_ready() {
            let deadline = Instant::now() + self.idle_timeout;
            self.idle.as_mut().reset(deadline);
            return polled;
        }
        self.idle.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
