//! What surrounds every request: its id, its log line, its counters, and the headers of its answer.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use moneta_access::ClientInfo;
use moneta_base::TenantId;
use moneta_ports::{ClientClaims, Metric};
use tracing::Instrument;

use crate::state::App;

/// Nothing from elsewhere, no script inline, nobody frames us, and no string becomes a script or markup. Styles may be
/// inline: the editor and the components of the pages place things by them; pictures may be `data:` for the same
/// reason.
const CONTENT_POLICY: &str = "default-src 'self'; script-src 'self'; worker-src 'self'; connect-src 'self'; \
    style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; \
    form-action 'self'; object-src 'none'; require-trusted-types-for 'script'";

/// Characters that are kept of a client's own request id, and of what it says of itself.
const CLIENT_ID_CHARACTERS_MAX: usize = 128;

/// The header by which Kusto's clients name a request.
pub(crate) const CLIENT_REQUEST_ID: HeaderName = HeaderName::from_static("x-ms-client-request-id");

/// Who is at the other end of a connection, for a listener that serves both with and without TLS.
#[derive(Debug, Clone, Copy)]
pub struct Peer {
    /// Its address.
    pub address: SocketAddr,
    /// Whether the connection is over TLS.
    pub tls: bool,
}

/// Marks a request that came over TLS.
#[derive(Debug, Clone, Copy)]
struct OverTls;

/// Whether a request came over TLS.
pub(crate) fn is_over_tls(extensions: &Extensions) -> bool {
    extensions.get::<OverTls>().is_some()
}

/// This server's own address as the client named it, such as `https://us.example:7979`.
pub(crate) fn origin(parts: &Parts) -> String {
    let named = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let host = named.or_else(|| parts.uri.authority().map(axum::http::uri::Authority::as_str)).unwrap_or("localhost");
    let is_host = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'[' | b']');
    let host = if host.bytes().all(is_host) { host } else { "localhost" };
    format!("{}://{host}", if is_over_tls(&parts.extensions) { "https" } else { "http" })
}

/// The ids of a request.
#[derive(Debug, Clone)]
pub(crate) struct RequestIds {
    /// Ours: a UUID.
    pub(crate) activity: Arc<str>,
    /// The client's, cleaned; empty when it sent none.
    pub(crate) client: Arc<str>,
}

impl RequestIds {
    /// Ours and the client's in one text: what audit rows carry.
    pub(crate) fn correlation(&self) -> String {
        if self.client.is_empty() { self.activity.to_string() } else { format!("{};{}", self.activity, self.client) }
    }

    pub(crate) fn of(parts: &Parts) -> Self {
        let unknown = || Self { activity: "unknown".into(), client: "".into() };
        parts.extensions.get::<Self>().cloned().unwrap_or_else(unknown)
    }
}

/// Where a request comes from.
pub(crate) fn client_info(parts: &Parts) -> ClientInfo {
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
    let address = peer.map_or_else(|| "unknown".to_owned(), |ConnectInfo(peer)| peer.ip().to_canonical().to_string());
    ClientInfo { address, correlation_id: RequestIds::of(parts).correlation(), claims: claims(&parts.headers) }
}

/// Whether the request comes from this machine, was not passed on by a proxy, and was meant for this machine: a web
/// page whose host name was made to point here reaches us from here too, but names its own host.
pub(crate) fn is_local(parts: &Parts) -> bool {
    let proxied = ["forwarded", "x-forwarded-for", "x-real-ip", "via"];
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
    let from_here = peer.is_some_and(|ConnectInfo(peer)| peer.ip().to_canonical().is_loopback());
    let header = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let named = header.or_else(|| parts.uri.authority().map(axum::http::uri::Authority::as_str));
    from_here && !proxied.iter().any(|name| parts.headers.contains_key(*name)) && named.is_none_or(is_local_name)
}

fn is_local_name(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Gives a request its id, times and counts it, and adds the headers of every answer.
pub(crate) async fn observe(State(state): State<App>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let ids = RequestIds { activity: new_id(&state).into(), client: clean_client_id(request.headers()).into() };
    request.extensions_mut().insert(ids.clone());
    if let Some(ConnectInfo(peer)) = request.extensions().get::<ConnectInfo<Peer>>().copied() {
        request.extensions_mut().insert(ConnectInfo(peer.address));
        if peer.tls {
            request.extensions_mut().insert(OverTls);
        }
    }
    let path = request.uri().path().to_owned();
    let span = tracing::info_span!("request", id = %ids.activity, method = %request.method(), path);
    let mut response = next.run(request).instrument(span.clone()).await;
    let status = response.status();
    let elapsed = started.elapsed();
    span.in_scope(|| tracing::debug!(status = status.as_u16(), ?elapsed, "answered"));
    let class = ["1xx", "2xx", "3xx", "4xx", "5xx"].get(usize::from(status.as_u16() / 100).wrapping_sub(1));
    state.metrics.add_labelled(Metric::ApiRequests, class.copied().unwrap_or("other"), 1);
    state.metrics.observe(Metric::ApiDuration, elapsed);
    add_headers(response.headers_mut(), &ids);
    response
}

fn add_headers(headers: &mut HeaderMap, ids: &RequestIds) {
    let fixed = [
        (header::CONTENT_SECURITY_POLICY, CONTENT_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // What a handler allows to be kept says so itself; everything else is nobody's to keep.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if let Ok(id) = HeaderValue::from_str(&ids.activity) {
        headers.insert(HeaderName::from_static("x-ms-activity-id"), id.clone());
        headers.insert(HeaderName::from_static("x-request-id"), id);
    }
    if !ids.client.is_empty()
        && let Ok(id) = HeaderValue::from_str(&ids.client)
    {
        headers.insert(CLIENT_REQUEST_ID, id);
    }
}

fn new_id(state: &App) -> String {
    let mut bytes = [0; 16];
    state.entropy.fill(&mut bytes);
    TenantId::from_random(bytes).to_string()
}

/// The client's id without anything but visible ASCII: it goes into headers and audit rows.
fn clean_client_id(headers: &HeaderMap) -> String {
    let text = headers.get(CLIENT_REQUEST_ID).and_then(|value| value.to_str().ok()).unwrap_or_default();
    text.chars().filter(char::is_ascii_graphic).take(CLIENT_ID_CHARACTERS_MAX).collect()
}

/// What a client says of itself.
fn claims(headers: &HeaderMap) -> ClientClaims {
    let text =
        |name: &str| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes())).unwrap_or_default();
    ClientClaims {
        application: clean_claim(&text("x-ms-app")),
        version: clean_claim(&text("x-ms-client-version")),
        user: clean_claim(&text("x-ms-user")),
    }
}

/// What a client claims, without control characters and no longer than it may be.
pub(crate) fn clean_claim(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(CLIENT_ID_CHARACTERS_MAX).collect()
}
