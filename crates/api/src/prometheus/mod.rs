//! Prometheus' interfaces: samples come in by remote write ([`write`]) and are asked for in PromQL ([`query`]), which
//! [`samples`] turns into queries of the table they are in.

mod answer;
mod query;
mod samples;
mod write;

use axum::Router;
use axum::routing::{get, post};

use crate::state::App;

/// Where samples are.
const TABLE: &str = "InsightsMetrics";
/// What the metrics are called in the table.
const NAMESPACE: &str = "prometheus";

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/api/v1/write", post(write::write))
        .route("/api/v1/query", get(query::instant).post(query::instant))
        .route("/api/v1/query_range", get(query::range).post(query::range))
        .route("/api/v1/series", get(query::series).post(query::series))
        .route("/api/v1/labels", get(query::labels).post(query::labels))
        .route("/api/v1/label/{name}/values", get(query::label_values))
        .route("/api/v1/metadata", get(query::metadata))
        .route("/api/v1/status/buildinfo", get(query::build_info))
}
