//! Takes what `systemd-journal-upload` sends: the journals of other machines, as an export over HTTP.
//!
//! An upload is answered once all of it is durable. Its sender remembers the last entry of an upload that was accepted
//! and begins the next one behind it, so that nothing is lost when either side dies, and what was stored of an upload
//! that was not answered comes twice (`at-least-once`). An upload is stored in portions as it comes, however long it is.
//!
//! # Source
//! systemd: systemd-journal-upload(8), systemd-journal-remote(8) for the other side, JOURNAL_EXPORT_FORMATS.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::post;
use futures::StreamExt;
use moneta_base::SourceName;
use moneta_event::Delivery;
use moneta_formats::{Decoded, Decoder, Format};

use crate::Error;
use crate::certificate::Certificate;
use crate::collector::{Collector, Stopped, until_stopped};
use crate::http::{self, Peer};
use crate::intake::{Intake, Stored};
use crate::listener::ListenOptions;
use crate::tls::TlsFiles;

const COLLECTOR: &str = "journal-upload";
/// What an upload says that it is.
const CONTENT_TYPE: &str = "application/vnd.fdo.journal";

/// Listens for uploads of journals, behind TLS where `tls` is given.
///
/// # Errors
/// [`Error::Listen`] when the address is taken or not this machine's, [`Error::Tls`] when certificate or key cannot be
/// used.
pub async fn start_journal_upload(
    intake: Intake,
    options: ListenOptions,
    tls: Option<&TlsFiles>,
) -> Result<Collector, Error> {
    let routes =
        |stopped| Router::new().route("/upload", post(upload)).with_state(Arc::new(Server { intake, stopped }));
    http::start("journal upload", COLLECTOR, &options, tls, routes).await
}

struct Server {
    intake: Intake,
    stopped: Stopped,
}

/// A status and a sentence: the sender writes it into its log.
type Answer = (StatusCode, &'static str);

const BUSY: Answer = (StatusCode::SERVICE_UNAVAILABLE, "not stored: send it again\n");

async fn upload(
    State(server): State<Arc<Server>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let says = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let content_type = says(header::CONTENT_TYPE);
    if !content_type.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(CONTENT_TYPE) {
        return (StatusCode::UNSUPPORTED_MEDIA_TYPE, "an upload is application/vnd.fdo.journal\n");
    }
    if !matches!(says(header::CONTENT_ENCODING), "" | "identity") {
        return (StatusCode::UNSUPPORTED_MEDIA_TYPE, "compressed uploads are not taken: set Compression= to nothing\n");
    }
    Upload::new(&server, &peer).take(body).await.unwrap_or_else(|refused| refused)
}

/// One upload, and what is not stored of it yet.
struct Upload<'a> {
    intake: &'a Intake,
    stopped: Stopped,
    decoder: Decoder,
    ready: Vec<Decoded>,
}

impl<'a> Upload<'a> {
    fn new(server: &'a Server, peer: &Peer) -> Self {
        // Who a certificate names is surer than where a connection came from.
        let machine = peer.certificates.first().and_then(|shown| Certificate::read(shown)?.machine());
        let machine = machine.unwrap_or_else(|| peer.address.ip().to_canonical().to_string());
        let source = SourceName::lossy(&format!("{COLLECTOR}/{machine}"));
        let options = server.intake.decode_options(source, Delivery::AtLeastOnce);
        let decoder = Decoder::new(Format::JournalExport, options);
        Self { intake: &server.intake, stopped: server.stopped.clone(), decoder, ready: Vec::new() }
    }

    async fn take(mut self, body: Body) -> Result<Answer, Answer> {
        let mut pieces = body.into_data_stream();
        loop {
            let piece = tokio::select! {
                biased;
                () = until_stopped(&mut self.stopped) => return Err(BUSY),
                piece = pieces.next() => piece,
            };
            match piece {
                Some(Ok(bytes)) => {
                    let ready = &mut self.ready;
                    self.decoder.set_received(self.intake.clock.now());
                    self.decoder.feed(&bytes, &mut |decoded| ready.push(decoded));
                    store(self.intake, &mut self.ready, &mut self.stopped).await?;
                }
                // The sender is gone, and sends it again: what is unfinished is no damage.
                Some(Err(error)) => {
                    tracing::info!(%error, "an upload of a journal broke off");
                    return Err((StatusCode::BAD_REQUEST, "the upload broke off\n"));
                }
                None => break,
            }
        }
        let Self { intake, mut stopped, decoder, mut ready } = self;
        decoder.finish(&mut |decoded| ready.push(decoded));
        store(intake, &mut ready, &mut stopped).await?;
        Ok((StatusCode::ACCEPTED, "OK.\n"))
    }
}

async fn store(intake: &Intake, ready: &mut Vec<Decoded>, stopped: &mut Stopped) -> Result<(), Answer> {
    for decoded in ready.drain(..) {
        match intake.store(COLLECTOR, decoded, stopped).await {
            Stored::Yes => {}
            Stored::Refused => return Err((StatusCode::INTERNAL_SERVER_ERROR, "the store refuses the entries\n")),
            Stored::Stopped => return Err(BUSY),
        }
    }
    Ok(())
}
