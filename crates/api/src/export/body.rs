//! The body of an export: bytes as they are written, then trailers. It ends without trailers in an error only.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use bytes::Bytes;
use http_body::{Body, Frame};
use moneta_ports::QueryError;
use tokio::sync::mpsc;

use super::{Export, ExportTotals, trailers};

/// Pieces written before the client takes them.
const AHEAD_PIECES_MAX: usize = 1;
/// How long a client may take nothing before its export is given up.
const STALLED_MAX: Duration = Duration::from_secs(300);

type Piece = Result<Frame<Bytes>, QueryError>;

/// What a client reads.
pub(super) struct ExportBody {
    pieces: mpsc::Receiver<Piece>,
    has_ended: bool,
}

impl ExportBody {
    /// Goes on with an export whose first bytes are there, in a task that ends with whoever reads the body.
    pub(super) fn start(export: Export, first: Bytes) -> Self {
        let (sender, pieces) = mpsc::channel(AHEAD_PIECES_MAX);
        tokio::spawn(async move {
            let end = tokio::select! {
                end = send_all(export, first, &sender) => end,
                // Dropping the export stops its query.
                () = sender.closed() => return,
            };
            if let Err(error) = &end {
                tracing::warn!(%error, "an export broke off");
            }
            let _ =
                tokio::time::timeout(STALLED_MAX, sender.send(end.map(|totals| Frame::trailers(named(&totals))))).await;
        });
        Self { pieces, has_ended: false }
    }
}

async fn send_all(mut export: Export, first: Bytes, sender: &mpsc::Sender<Piece>) -> Result<ExportTotals, QueryError> {
    let mut next = Some(first);
    while let Some(bytes) = next {
        match tokio::time::timeout(STALLED_MAX, sender.send(Ok(Frame::data(bytes)))).await {
            Ok(Ok(())) => next = export.next().await?,
            _ => return Err(QueryError::Cancelled("the client took nothing for too long, or went away".to_owned())),
        }
    }
    export.finish().await
}

fn named(totals: &ExportTotals) -> HeaderMap {
    let hash = HeaderValue::from_str(&totals.sha256).ok();
    let counts = [(trailers::ROWS, totals.num_rows), (trailers::BYTES, totals.num_bytes)];
    let counts = counts.map(|(name, number)| (HeaderName::from_static(name), HeaderValue::from(number)));
    counts.into_iter().chain(hash.map(|hash| (HeaderName::from_static(trailers::SHA256), hash))).collect()
}

impl Body for ExportBody {
    type Data = Bytes;
    type Error = QueryError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Piece>> {
        if self.has_ended {
            return Poll::Ready(None);
        }
        let piece = std::task::ready!(self.pieces.poll_recv(cx));
        self.has_ended = !matches!(&piece, Some(Ok(frame)) if frame.is_data());
        // A task that is gone without a word must not look like an end.
        let gone = || Err(QueryError::Cancelled("the export broke off".to_owned()));
        Poll::Ready(Some(piece.unwrap_or_else(gone)))
    }
}
