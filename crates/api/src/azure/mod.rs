//! Azure Monitor's interfaces, so that its clients send here and query here unmodified.
//!
//! `sign_in` gives out tokens as Microsoft's identity platform does, `ingestion` takes the streams of data collection
//! rules, `collector` the older HTTP Data Collector with its signed requests, `query` answers log queries and batches
//! of them, `timespan` reads the times they ask about. There is one workspace; whatever id a client has for it is
//! taken for its own.

mod collector;
mod ingestion;
mod query;
mod sign_in;
mod timespan;

use axum::Router;
use axum::routing::{get, post};

use crate::state::App;

/// What is answered quickly.
pub(crate) fn quick_routes() -> Router<App> {
    Router::new()
        .route("/adfs/.well-known/openid-configuration", get(sign_in::adfs_configuration))
        .route("/adfs/oauth2/token", post(sign_in::token))
        .route("/{tenant}/v2.0/.well-known/openid-configuration", get(sign_in::configuration))
        .route("/{tenant}/oauth2/v2.0/token", post(sign_in::token))
        .route("/{tenant}/discovery/v2.0/keys", get(sign_in::keys))
        .route("/adfs/discovery/keys", get(sign_in::keys))
        .route("/dataCollectionRules/{rule}/streams/{stream}", post(ingestion::stream))
        .route("/api/logs", post(collector::logs))
}

/// What may take as long as a query.
pub(crate) fn query_routes() -> Router<App> {
    Router::new()
        .route("/v1/workspaces/{id}/query", get(query::get_query).post(query::query))
        .route("/v1/$batch", post(query::batch))
}
