//! Windows Event Forwarding, as the collector that machines push to (source-initiated subscriptions) over HTTPS.
//!
//! ```text
//! machine ─► Enumerate ─► its subscriptions, each with the machine's bookmark
//! machine ─► Events + bookmark ─► decode ─► store ─► keep the bookmark ─► Ack
//! machine ─► Heartbeat ─► a row of Heartbeat ─► Ack
//! ```
//! A machine is who its certificate says it is; what an envelope says of its sender is not looked at. Events are
//! acknowledged after they and the bookmark behind them are durable: a machine that hears no acknowledgement sends them
//! again, so that nothing is lost when either side dies and events stored just before the acknowledgement got lost come
//! twice (`at-least-once`). Nothing is compressed, because this side does not offer to take it; Kerberos is not spoken.
//!
//! # Source
//! DMTF DSP0226 1.0 (WS-Management); MS-WSMV (WS-Management Protocol Extensions for Windows Vista).

mod answer;
mod envelope;
mod xml;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use encoding_rs::{Encoding, UTF_8};
use moneta_base::{SourceName, TableName};
use moneta_event::catalog::table;
use moneta_event::{BatchBuilder, Delivery, RawRecord, RecordClass, TableSchema, Value};
use moneta_formats::Format;
use moneta_ports::{BoxFuture, PortError, Submission};

use self::answer::{Offer, thumbprint};
use self::envelope::{END, ENUMERATE, EVENTS, HEARTBEAT, Request, SUBSCRIPTION_END};
use crate::certificate::Certificate;
use crate::collector::{Collector, Stopped};
use crate::http::{self, Peer};
use crate::intake::{Intake, Stored, digest};
use crate::listener::ListenOptions;
use crate::portions::{Portions, RecordKind};
use crate::tls::TlsFiles;
use crate::{Error, tls};

const COLLECTOR: &str = "wef";
/// Bytes of a request's body at most: several times the longest envelope that machines are asked for.
const BODY_BYTES_MAX: usize = 4 << 20;
/// Where subscriptions are delivered.
const DELIVERIES: &str = "/wsman/subscriptions/";
/// Events whose table their content does not say.
const WINDOWS_EVENTS: RecordKind = RecordKind { format: Format::EventXml, table: table::EVENT };

/// What machines are asked to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WefSubscription {
    /// Its name, unique; bookmarks are kept under it.
    pub name: String,
    /// Which events: a `QueryList` as the Event Viewer shows it.
    pub query: String,
    /// Whether a machine that is new begins with the events it has already.
    pub read_existing: bool,
    /// Whether events come with their texts for people.
    pub rendered: bool,
    /// How long a machine may gather events.
    pub latency_max: Duration,
    /// After how long a machine without events says that it lives.
    pub heartbeat: Duration,
}

/// How to take events of Windows machines.
#[derive(Debug, Clone)]
pub struct WefOptions {
    /// Where to listen.
    pub listen: ListenOptions,
    /// Certificate, key, and the authorities of the machines' certificates, which there must be.
    pub tls: TlsFiles,
    /// What machines are asked for.
    pub subscriptions: Vec<WefSubscription>,
}

/// Keeps texts beyond a restart.
pub trait Bookmarks: Send + Sync {
    /// The text that was kept last under a key.
    fn bookmark<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<String>, PortError>>;

    /// Keeps a text; resolves when it is durable.
    fn keep<'a>(&'a self, key: &'a str, text: &'a str) -> BoxFuture<'a, Result<(), PortError>>;
}

/// Listens for events that Windows machines forward.
///
/// # Errors
/// [`Error::Listen`] when the address is taken or not this machine's, [`Error::Tls`] when certificate, key or authority
/// cannot be used or no authority is named, [`Error::Query`] for a query that is no XML.
pub async fn start_wef(intake: Intake, bookmarks: Arc<dyn Bookmarks>, options: WefOptions) -> Result<Collector, Error> {
    let WefOptions { listen, tls, subscriptions } = options;
    for WefSubscription { name, query, .. } in &subscriptions {
        xml::for_each_element(query, &mut |_| {})
            .map_err(|reason| Error::Query { subscription: name.clone(), reason })?;
    }
    let authorities = tls::client_authorities(&tls)?;
    let collector = |stopped| {
        let server = Server { intake, bookmarks, subscriptions, authorities, stopped };
        Router::new().fallback(serve).layer(DefaultBodyLimit::max(BODY_BYTES_MAX)).with_state(Arc::new(server))
    };
    http::start("windows event forwarding", COLLECTOR, &listen, Some(&tls), collector).await
}

struct Server {
    intake: Intake,
    bookmarks: Arc<dyn Bookmarks>,
    subscriptions: Vec<WefSubscription>,
    /// Certificates of the authorities of machines, in DER.
    authorities: Vec<Vec<u8>>,
    stopped: Stopped,
}

/// Why a request is not served.
enum Refused {
    /// It asks for what there is not, or cannot be read.
    Sender(StatusCode, String),
    /// It could be served later.
    Own(String),
}

impl Refused {
    fn bad(reason: impl Into<String>) -> Self {
        Self::Sender(StatusCode::BAD_REQUEST, reason.into())
    }
}

async fn serve(
    State(server): State<Arc<Server>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some(machine) = peer.certificates.first().and_then(|shown| Certificate::read(shown)?.machine()) else {
        tracing::warn!(peer = %peer.address, "a machine was refused: its certificate names none");
        return (StatusCode::FORBIDDEN, "the certificate names no machine").into_response();
    };
    // Before its first envelope a machine asks whether it is let in, which TLS has decided.
    if body.is_empty() {
        return StatusCode::OK.into_response();
    }
    let (request, encoding) = match read(&headers, &body) {
        Ok(read) => read,
        Err(refused) => return answer_refusal(&machine, &Request::default(), UTF_8, refused),
    };
    let call = Call { server: &server, machine: &machine, peer: &peer, request: &request };
    match call.answer(uri.path(), &headers).await {
        Ok(Some(text)) => answer(StatusCode::OK, &text, encoding),
        Ok(None) => StatusCode::NO_CONTENT.into_response(),
        Err(refused) => answer_refusal(&machine, &request, encoding, refused),
    }
}

fn read(headers: &HeaderMap, body: &[u8]) -> Result<(Request, &'static Encoding), Refused> {
    let text_of = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let read = envelope::decode(body, text_of(header::CONTENT_TYPE));
    let read = read.and_then(|(text, encoding)| Ok((Request::read(&text)?, encoding)));
    read.map_err(|reason| {
        // Machines name the encoding of some envelopes that do not have it: those were read.
        let encoding = text_of(header::CONTENT_ENCODING);
        if encoding.is_empty() || encoding.eq_ignore_ascii_case("identity") {
            return Refused::bad(reason);
        }
        let reason =
            format!("compressed events are not taken ({encoding}): subscribe anew, nothing offers compression");
        Refused::Sender(StatusCode::UNSUPPORTED_MEDIA_TYPE, reason)
    })
}

fn answer(status: StatusCode, text: &str, encoding: &'static Encoding) -> Response {
    let name = if encoding == UTF_8 { "UTF-8" } else { "UTF-16" };
    let content_type = format!("application/soap+xml;charset={name}");
    (status, [(header::CONTENT_TYPE, content_type)], Body::from(envelope::encode(text, encoding))).into_response()
}

fn answer_refusal(machine: &str, request: &Request, encoding: &'static Encoding, refused: Refused) -> Response {
    let (status, is_own, reason) = match refused {
        Refused::Sender(status, reason) => (status, false, reason),
        Refused::Own(reason) => (StatusCode::SERVICE_UNAVAILABLE, true, reason),
    };
    tracing::warn!(machine, %reason, "a forwarded message was refused");
    answer(status, &answer::fault(request, is_own, &reason), encoding)
}

/// One request of one machine.
struct Call<'a> {
    server: &'a Server,
    machine: &'a str,
    peer: &'a Peer,
    request: &'a Request,
}

impl Call<'_> {
    /// What to answer; `None` for what is answered with nothing.
    async fn answer(&self, path: &str, headers: &HeaderMap) -> Result<Option<String>, Refused> {
        match self.request.action.as_str() {
            ENUMERATE => self.enumerate(headers).await.map(Some),
            END => Ok(None),
            EVENTS => {
                let subscription = self.subscription(path)?;
                self.store_events(subscription).await?;
                Ok(Some(answer::acknowledgement(self.request)))
            }
            HEARTBEAT => {
                self.subscription(path)?;
                self.store_heartbeat().await?;
                Ok(Some(answer::acknowledgement(self.request)))
            }
            SUBSCRIPTION_END => {
                let status = self.request.status.as_deref().unwrap_or_default();
                tracing::warn!(machine = self.machine, status, "a machine ended a subscription");
                Ok(self.request.wants_acknowledgement.then(|| answer::acknowledgement(self.request)))
            }
            other => Err(Refused::bad(format!("this side does not know the action {other}"))),
        }
    }

    async fn enumerate(&self, headers: &HeaderMap) -> Result<String, Refused> {
        let host = headers.get(header::HOST).and_then(|value| value.to_str().ok());
        let host = host.filter(|host| !host.is_empty()).ok_or_else(|| Refused::bad("it names no host"))?;
        let (origin, issuer_thumbprint) = (format!("https://{host}"), self.issuer_thumbprint());
        let mut offers = Vec::new();
        for subscription in &self.server.subscriptions {
            let bookmark = self.server.bookmarks.bookmark(&self.bookmark_key(subscription)).await;
            let bookmark = bookmark.map_err(|error| Refused::Own(error.to_string()))?;
            offers.push(Offer { subscription, bookmark, origin: &origin, issuer_thumbprint: &issuer_thumbprint });
        }
        Ok(answer::subscriptions(self.request, &offers))
    }

    /// The thumbprint of the authority that issued the machine's certificate, or those between.
    fn issuer_thumbprint(&self) -> String {
        let issuer_of = |shown: &Vec<u8>| Certificate::read(shown).map(|certificate| certificate.issuer.to_vec());
        let issuers: Vec<Vec<u8>> = self.peer.certificates.iter().filter_map(issuer_of).collect();
        let is_issuer = |authority: &&Vec<u8>| {
            Certificate::read(authority).is_some_and(|read| issuers.iter().any(|issuer| issuer == read.subject))
        };
        let authorities = &self.server.authorities;
        let authority = authorities.iter().find(is_issuer).or(authorities.first());
        authority.map(|der| thumbprint(der)).unwrap_or_default()
    }

    fn subscription(&self, path: &str) -> Result<&WefSubscription, Refused> {
        let id = path.strip_prefix(DELIVERIES).and_then(|rest| rest.split('/').next()).unwrap_or_default();
        let found = self.server.subscriptions.iter().find(|own| own.id().eq_ignore_ascii_case(id));
        // A subscription that is no longer there: the machine asks for its subscriptions again.
        found.ok_or_else(|| Refused::Sender(StatusCode::NOT_FOUND, "there is no such subscription".to_owned()))
    }

    fn bookmark_key(&self, subscription: &WefSubscription) -> String {
        digest(format!("{}\n{}", self.machine, subscription.name).as_bytes())
    }

    fn source(&self) -> SourceName {
        SourceName::lossy(&format!("wef/{}", self.machine))
    }

    async fn store_events(&self, subscription: &WefSubscription) -> Result<(), Refused> {
        let Server { intake, bookmarks, stopped, .. } = self.server;
        let (source, delivery) = (self.source(), Delivery::AtLeastOnce);
        let mut portions = Portions::new(intake, COLLECTOR, WINDOWS_EVENTS, delivery);
        let received = intake.clock.now();
        for event in &self.request.events {
            // The decoder waits for the end of an event: one without would swallow the next.
            if !event.starts_with('<') || !event.ends_with("</Event>") {
                let reason = "what was forwarded is no whole event".to_owned();
                portions.refuse(WINDOWS_EVENTS.quarantined(&source, 0, event.as_bytes(), "no_event", reason));
                continue;
            }
            portions.push(&RawRecord { bytes: event.clone().into_bytes(), source: source.clone(), received, delivery });
        }
        stored(portions.flush(&mut stopped.clone()).await)?;
        if self.request.num_dropped > 0 {
            let num_events = self.request.num_dropped;
            tracing::warn!(machine = self.machine, num_events, "a machine left out events: they are too long");
            intake.count_dropped(source.as_str(), "too_long_to_forward", num_events);
        }
        // Behind the events: a bookmark without them would lose them.
        let Some(bookmark) = &self.request.bookmark else { return Ok(()) };
        let kept = bookmarks.keep(&self.bookmark_key(subscription), bookmark).await;
        kept.map_err(|error| Refused::Own(error.to_string()))
    }

    async fn store_heartbeat(&self) -> Result<(), Refused> {
        let Server { intake, stopped, .. } = self.server;
        let name = TableName::new(table::HEARTBEAT).expect("the name of a built-in table is valid");
        let schema = intake.catalog.get(table::HEARTBEAT).cloned();
        let schema = schema.unwrap_or_else(|| Arc::new(TableSchema::custom(name)));
        let mut builder = BatchBuilder::new(schema, RecordClass::Data, Delivery::AtLeastOnce);
        let address = self.peer.address.ip().to_canonical().to_string();
        for (column, value) in [
            ("Computer", self.machine),
            ("Category", "Windows Event Forwarding"),
            ("OSType", "Windows"),
            ("SourceSystem", "OpsManager"),
            ("ComputerIP", address.as_str()),
        ] {
            builder.set_field(column, Value::Text(value));
        }
        builder.finish_row(intake.clock.now(), &self.source(), "");
        let submission = Submission { batches: builder.finish().into_iter().collect(), ..Submission::default() };
        stored(intake.store_submission(COLLECTOR, submission, &mut stopped.clone()).await)
    }
}

fn stored(stored: Stored) -> Result<(), Refused> {
    match stored {
        Stored::Yes => Ok(()),
        Stored::Refused => Err(Refused::Own("the store refuses the events".to_owned())),
        Stored::Stopped => Err(Refused::Own("this server is stopping".to_owned())),
    }
}
