//! Which path leads to which handler, and what surrounds them all.

use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{Extensions, HeaderMap, StatusCode, Version, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post, put};
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, Predicate};
use tower_http::decompression::RequestDecompressionLayer;

use crate::body::{REQUEST_BODY_BYTES_MAX, count_wire_bytes, refuse_unknown_encodings};
use crate::observe::observe;
use crate::state::{App, Shared};
use crate::{
    ApiError, ApiState, accounts, alerts, azure, channels, credentials, editor, elastic, export, flight, gelf, health,
    incidents, ingest, kusto, ledger, loki, objects, openapi, operations, otlp, page, prometheus, receipts, rules,
    scrubbing, splunk, upload,
};

/// How long a request may take that asks for little.
const QUICK_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a query may take: beyond any limit of the engine, whose error says more.
const QUERY_TIMEOUT: Duration = Duration::from_secs(15 * 60);
/// How long a check of the whole store may take.
const VERIFY_TIMEOUT: Duration = Duration::from_secs(24 * 3600);

/// The whole interface.
///
/// To know where requests come from, serve it with
/// `into_make_service_with_connect_info::<std::net::SocketAddr>()`.
pub fn router(state: ApiState) -> Router {
    let state = Shared::new(state);
    Router::new()
        .merge(quick().layer(from_fn_with_state(QUICK_TIMEOUT, within)))
        .merge(queries().layer(from_fn_with_state(QUERY_TIMEOUT, within)))
        .merge(
            Router::new()
                .route("/v1/verify", post(operations::verify))
                .route("/v1/snapshots", post(operations::begin_snapshot))
                .route("/v1/snapshots/end", post(operations::end_snapshot))
                .layer(from_fn_with_state(VERIFY_TIMEOUT, within)),
        )
        // Files take as long as they take; a sender that falls silent is dropped.
        .merge(Router::new().route("/v1/ingest", post(upload::file)))
        // Exports too; a client that falls silent is dropped.
        .merge(Router::new().route("/v1/export", get(export::download).post(export::export)))
        .merge(flight::routes())
        .fallback(not_found)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(REQUEST_BODY_BYTES_MAX))
        .layer(from_fn(refuse_unknown_encodings))
        .layer(RequestDecompressionLayer::new().pass_through_unaccepted(true))
        .layer(from_fn(count_wire_bytes))
        .layer(CompressionLayer::new().compress_when(DefaultPredicate::new().and(has_no_trailers)))
        .layer(from_fn_with_state(state.clone(), observe))
        .with_state(state)
}

fn quick() -> Router<App> {
    Router::new()
        .merge(pages())
        .merge(azure::quick_routes())
        .merge(splunk::routes())
        .merge(gelf::routes())
        .merge(loki::routes())
        .merge(elastic::routes())
        .merge(otlp::routes())
        .merge(prometheus::routes())
        .merge(alerts::routes())
        .route("/health/livez", get(health::livez))
        .route("/health/readyz", get(health::readyz))
        .route("/healthz", get(health::livez))
        .route("/metrics", get(health::metrics))
        .route("/v1/openapi.json", get(openapi::document))
        .route("/v1/sign-in", post(accounts::sign_in))
        .route("/v1/sign-out", post(accounts::sign_out))
        .route("/v1/first-account", post(accounts::first_account))
        .route("/v1/session", get(accounts::session))
        .route("/v1/accounts", get(accounts::list).post(accounts::create))
        .route("/v1/accounts/{name}", delete(accounts::disable))
        .route("/v1/accounts/{name}/password", put(accounts::set_password))
        .route("/v1/accounts/{name}/scopes", put(accounts::set_scopes))
        .route("/v1/credentials", get(credentials::list).post(credentials::create))
        .route("/v1/credentials/{id}", delete(credentials::revoke))
        .route("/v1/ingest/{table}", post(ingest::events))
        .route("/v1/kql/complete", post(editor::complete))
        .route("/v1/kql/hover", post(editor::hover))
        .route("/v1/kql/format", post(editor::format))
        .route("/v1/kql/diagnostics", post(editor::diagnostics))
        .route("/v1/functions", get(objects::functions))
        .route("/v1/functions/{name}", put(objects::put_function).delete(objects::drop_function))
        .route("/v1/saved-queries", get(objects::saved_queries))
        .route("/v1/saved-queries/{name}", put(objects::save_query).delete(objects::delete_query))
        .route("/v1/watchlists", get(objects::watchlists))
        .route("/v1/watchlists/{name}", put(objects::put_watchlist).delete(objects::delete_watchlist))
        .route("/v1/rules", get(rules::list).post(rules::add))
        .route("/v1/rules/backfill", post(rules::backfill))
        .route("/v1/rules/check", post(rules::check))
        .route("/v1/rules/packs", post(rules::add_pack))
        .route("/v1/rules/{id}", get(rules::show).delete(rules::remove))
        .route("/v1/rules/{id}/explain", post(rules::explain))
        .route("/v1/rules/{id}/tuning", get(rules::tuning))
        .route("/v1/exceptions", get(rules::exceptions).post(rules::except))
        .route("/v1/exceptions/preview", post(rules::preview))
        .route("/v1/exceptions/{id}", delete(rules::end_exception))
        .route("/v1/risks", get(incidents::risks))
        .route("/v1/rules/{id}/disable", post(rules::disable))
        .route("/v1/rules/{id}/enable", post(rules::enable))
        .route("/v1/channels", get(channels::list))
        .route("/v1/channels/{name}/test", post(channels::test))
        .route("/v1/alerts/undelivered", get(channels::undelivered))
        .route("/v1/alerts/undelivered/send", post(channels::resend))
        .route("/v1/incidents", get(incidents::list))
        .route("/v1/incidents/close", post(incidents::close))
        .route("/v1/incidents/{number}", get(incidents::get).patch(incidents::change))
        .route("/v1/incidents/{number}/comments", post(incidents::comment))
        .route("/v1/status", get(operations::status))
        .route("/v1/sources", get(operations::sources))
        .route("/v1/sources/quality", get(operations::source_quality))
        .route("/v1/tables/{table}/retention", put(operations::set_retention))
        .route("/v1/scrub-policy", get(scrubbing::policy))
        .route("/v1/scrub-policy/try", post(scrubbing::try_out))
        .route("/v1/holds", get(operations::holds))
        .route("/v1/holds/{name}", put(operations::place_hold))
        .route("/v1/holds/{name}/release", post(operations::release_hold))
        .route("/v1/tables/{table}/rows/{seq}/proof", get(operations::prove_record))
        .route("/v1/alerts/{id}/proof", get(operations::prove_alert))
        .route("/v1/receipts/proof", post(receipts::prove))
        .route("/ledger/{*path}", get(ledger::file))
        .route("/v1/rest/auth/metadata", get(kusto::auth_metadata))
        .route("/v1/rest/ingest/{database}/{table}", post(kusto::streaming_ingest))
}

/// The addresses of the pages, as `web/src/app/router.tsx` has them.
fn pages() -> Router<App> {
    Router::new()
        .route("/", get(elastic::root))
        .route("/welcome", get(page::index))
        .route("/query", get(page::index))
        .route("/live", get(page::index))
        .route("/alerts", get(page::index))
        .route("/incidents", get(page::index))
        .route("/incidents/{number}", get(page::index))
        .route("/rules", get(page::index))
        .route("/sources", get(page::index))
        .route("/store", get(page::index))
        .route("/verify", get(page::index))
        .route("/audit", get(page::index))
        .route("/settings", get(page::index))
        .route("/assets/{name}", get(page::asset))
        // Where nothing else is; senders of Elasticsearch's ask other methods of such paths.
        .route("/{database}", get(kusto::deep_link).fallback(not_found))
}

fn queries() -> Router<App> {
    Router::new()
        .merge(azure::query_routes())
        .route("/v1/rest/query", get(kusto::query_v1_get).post(kusto::query_v1))
        .route("/v2/rest/query", get(kusto::query_v2_get).post(kusto::query_v2))
        .route("/v1/rest/mgmt", post(kusto::management))
        .route("/v1/explain", post(kusto::explain))
        .route("/v1/quarantine/replay", post(operations::replay))
}

/// A hash in the trailers is of the bytes as they are sent.
fn has_no_trailers(_: StatusCode, _: Version, headers: &HeaderMap, _: &Extensions) -> bool {
    !headers.contains_key(header::TRAILER)
}

/// Ends a request that takes too long. What it asked for may still happen: a resend needs its idempotency key.
async fn within(State(limit): State<Duration>, request: Request, next: Next) -> Response {
    tokio::time::timeout(limit, next.run(request)).await.unwrap_or_else(|_| {
        let message = format!("this took more than {} seconds and was given up", limit.as_secs());
        ApiError::new(StatusCode::GATEWAY_TIMEOUT, "timeout", message).into_response()
    })
}

async fn not_found() -> ApiError {
    ApiError::not_found("there is nothing at this path")
}

async fn wrong_method(request: Request) -> ApiError {
    let message = format!("{} is not possible here", request.method());
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
}
