//! The whole interface against fake services, without a network.

mod access;
mod azure;
mod editor;
mod export;
mod fakes;
mod flight;
mod incidents;
mod ingest;
mod kusto;
mod objects;
mod openapi;
mod operations;
mod prometheus;
mod senders;
mod shippers;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Request, StatusCode};
use fakes::Fakes;
use moneta_access::{Access, AccessParts, HashCost, NewCredential};
use moneta_base::Clock;
use moneta_event::TableCatalog;
use moneta_metastore::Metastore;
use moneta_ports::{Metrics, OpContext, Scope};
use moneta_testkit::{FixedClock, SeededEntropy, TestDir};
use serde_json::Value;
use tower::ServiceExt;

use crate::{ApiOptions, ApiState, LoopbackIdentity, router};

pub(in crate::tests) const PASSWORD: &str = "correct horse battery";

pub(in crate::tests) struct Fixture {
    pub(in crate::tests) router: Router,
    pub(in crate::tests) fakes: Arc<Fakes>,
    pub(in crate::tests) access: Arc<Access>,
    pub(in crate::tests) clock: Arc<FixedClock>,
    pub(in crate::tests) peer: SocketAddr,
    _dir: TestDir,
}

pub(in crate::tests) struct Answer {
    pub(in crate::tests) status: StatusCode,
    pub(in crate::tests) headers: HeaderMap,
    pub(in crate::tests) body: Vec<u8>,
}

impl Answer {
    pub(in crate::tests) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(in crate::tests) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub(in crate::tests) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl Fixture {
    pub(in crate::tests) fn new() -> Self {
        Self::with(None)
    }

    /// With an identity for requests from this machine that present nothing.
    pub(in crate::tests) fn with(loopback: Option<LoopbackIdentity>) -> Self {
        let dir = TestDir::new();
        let (fakes, clock) = (Arc::new(Fakes::default()), Arc::new(FixedClock::default()));
        let metrics = Arc::new(Metrics::new());
        let parts = AccessParts {
            metastore: Arc::new(Metastore::open(&dir.join("meta.sqlite"), clock.now()).unwrap()),
            audit: fakes.clone(),
            clock: clock.clone(),
            entropy: Arc::new(SeededEntropy::new(7)),
            metrics: metrics.clone(),
            hash_cost: HashCost::LEAST,
        };
        let access = Arc::new(Access::new(parts).unwrap());
        let router = router(ApiState {
            access: access.clone(),
            events: fakes.clone(),
            queries: fakes.clone(),
            objects: fakes.clone(),
            rules: fakes.clone(),
            incidents: fakes.clone(),
            channels: fakes.clone(),
            operations: fakes.clone(),
            metrics,
            catalog: Arc::new(TableCatalog::built_in()),
            mappings: moneta_formats::Mappings::built_in(),
            clock: clock.clone(),
            entropy: Arc::new(SeededEntropy::new(8)),
            options: ApiOptions { version: "1.2.3".to_owned(), built: None, loopback },
        });
        Self { router, fakes, access, clock, peer: "192.0.2.1:4711".parse().unwrap(), _dir: dir }
    }

    /// A credential with these scopes.
    pub(in crate::tests) async fn credential(&self, scopes: &[Scope]) -> String {
        let name: Vec<&str> = scopes.iter().map(|scope| scope.name()).collect();
        let new =
            NewCredential { name: name.join("-"), scopes: scopes.to_vec(), life: Some(Duration::from_secs(3600)) };
        self.access.create_credential(&OpContext::service("test"), new).await.unwrap().text
    }

    /// The cookie of a signed-in administrator.
    pub(in crate::tests) async fn cookie(&self) -> String {
        let link = self.access.make_first_link().await.unwrap();
        let body = serde_json::json!({ "token": link.token, "name": "ada", "password": PASSWORD }).to_string();
        let answer = self.call("POST", "/v1/first-account", &[("content-type", "application/json")], body).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
        answer.header("set-cookie").split(';').next().unwrap().to_owned()
    }

    pub(in crate::tests) async fn call(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path).extension(ConnectInfo(self.peer));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.router.clone().oneshot(request.body(body.into()).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap().to_vec();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    /// A call with a credential and a JSON body.
    pub(in crate::tests) async fn send(&self, credential: &str, method: &str, path: &str, body: &str) -> Answer {
        let bearer = format!("Bearer {credential}");
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        self.call(method, path, &headers, body.to_owned()).await
    }
}
