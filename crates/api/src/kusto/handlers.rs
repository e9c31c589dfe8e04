//! The endpoints: who asks, what they sent, which form the answer takes.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{FromRequestParts, Query, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use moneta_ports::{OpContext, Scope};
use serde_json::{Value, json};

use super::answer::{Answer, Run};
use super::fault::Fault;
use super::request::{KustoRequest, WireRequest};
use super::{mgmt, v1, v2};
use crate::ApiError;
use crate::auth::authorise;
use crate::observe::{RequestIds, origin};
use crate::state::App;

/// The two answer forms.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    V1,
    V2,
}

/// The ids of a request, and its caller where that is known: errors about the caller take Kusto's form too.
pub(crate) struct Caller {
    ids: RequestIds,
    ctx: Result<OpContext, ApiError>,
}

impl FromRequestParts<App> for Caller {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut axum::http::request::Parts, state: &App) -> Result<Self, Self::Rejection> {
        Ok(Self { ids: RequestIds::of(parts), ctx: authorise(parts, state, Scope::Query).await })
    }
}

type Body = Result<Bytes, BytesRejection>;
type Parameters = Result<Query<WireRequest>, QueryRejection>;

/// `POST /v1/rest/query`. Also takes commands: Grafana sends `.show databases schema` here.
pub(crate) async fn query_v1(caller: Caller, State(state): State<App>, body: Body) -> Response {
    run(caller, &state, read(body), Form::V1).await
}

/// `GET /v1/rest/query?db=..&csl=..`.
pub(crate) async fn query_v1_get(caller: Caller, State(state): State<App>, wire: Parameters) -> Response {
    run(caller, &state, read_parameters(wire), Form::V1).await
}

/// `POST /v2/rest/query`.
pub(crate) async fn query_v2(caller: Caller, State(state): State<App>, body: Body) -> Response {
    run(caller, &state, read(body), Form::V2).await
}

/// `GET /v2/rest/query?db=..&csl=..`.
pub(crate) async fn query_v2_get(caller: Caller, State(state): State<App>, wire: Parameters) -> Response {
    run(caller, &state, read_parameters(wire), Form::V2).await
}

/// `POST /v1/rest/mgmt`.
pub(crate) async fn management(caller: Caller, State(state): State<App>, body: Body) -> Response {
    let request = read(body).and_then(|request| {
        if request.is_command() {
            return Ok(request);
        }
        Err(Fault::bad_request("a management command begins with a dot; send queries to /v1/rest/query"))
    });
    run(caller, &state, request, Form::V1).await
}

/// `POST /v1/explain` with the body of a query: every stage as text.
pub(crate) async fn explain(caller: Caller, State(state): State<App>, body: Body) -> Response {
    use axum::response::IntoResponse as _;
    let Caller { ids, ctx } = caller;
    let now = Run { ids: &ids, now: state.clock.now().to_string() };
    let outcome = async {
        let ctx = ctx.map_err(Fault::from)?;
        let request = read(body)?;
        let stages = state.queries.explain(&ctx, request.query).await;
        let stages = stages.map_err(|error| Fault::of_query(&error, &request.text))?;
        let list: Vec<Value> = stages.iter().map(|(name, text)| json!({ "stage": name, "text": text })).collect();
        Ok::<_, Fault>(Json(json!({ "stages": list })).into_response())
    };
    outcome.await.unwrap_or_else(|fault: Fault| fault.respond(&now))
}

/// `GET /v1/rest/auth/metadata`: clients ask it before they know how to sign in, so it answers everybody. It names
/// this server as the place to sign in; a credential as bearer token needs none of it.
pub(crate) async fn auth_metadata(request: Request) -> Json<Value> {
    let origin = origin(&request.into_parts().0);
    Json(json!({ "AzureAD": {
        "LoginEndpoint": origin,
        "LoginMfaRequired": false,
        "KustoClientAppId": "moneta",
        "KustoClientRedirectUri": origin,
        "KustoServiceResourceId": origin,
        "FirstPartyAuthorityUrl": origin,
    }}))
}

fn read(body: Body) -> Result<KustoRequest, Fault> {
    let bytes = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Fault::from(ApiError::too_large("the request has more than 4 MiB")),
        _ => Fault::bad_request("the body could not be read"),
    })?;
    KustoRequest::from_body(&bytes)
}

fn read_parameters(wire: Parameters) -> Result<KustoRequest, Fault> {
    let Query(wire) = wire.map_err(|rejection| Fault::bad_request(rejection.body_text()))?;
    // A link that somebody follows must change nothing.
    KustoRequest::from_wire(wire).map(|request| KustoRequest { readonly: true, ..request })
}

async fn run(caller: Caller, state: &App, request: Result<KustoRequest, Fault>, form: Form) -> Response {
    let Caller { ids, mut ctx } = caller;
    if let (Ok(ctx), Ok(request)) = (&mut ctx, &request) {
        request.claim(ctx);
    }
    let outcome = match (ctx, request) {
        (Err(error), _) => Err(Fault::from(error)),
        (Ok(_), Err(fault)) => Err(fault),
        (Ok(ctx), Ok(request)) if request.is_command() => mgmt::run(state, &ctx, request).await.map(|answer| {
            let whole = answer.partial.is_none();
            (answer, false, whole)
        }),
        (Ok(ctx), Ok(mut request)) => {
            request.query.id = ids.client.to_string();
            let newlines = request.newlines_between_frames;
            query(state, &ctx, request).await.map(|answer| (answer, newlines, false))
        }
    };
    let run = Run { ids: &ids, now: state.clock.now().to_string() };
    match outcome {
        Err(fault) => fault.respond(&run),
        Ok((answer, newlines, _)) if form == Form::V2 => v2::write(answer, newlines, &run),
        Ok((mut answer, _, true)) if answer.tables.len() == 1 => v1::write_command(answer.tables.remove(0)),
        Ok((answer, _, _)) => v1::write(answer, &run),
    }
}

async fn query(state: &App, ctx: &OpContext, request: KustoRequest) -> Result<Answer, Fault> {
    let answer = state.queries.query(ctx, request.query).await;
    let mut answer = answer.map_err(|error| Fault::of_query(&error, &request.text))?;
    // Who asks for so many rows and gets them has the whole answer.
    if request.take.is_some_and(|take| answer.tables.iter().any(|table| table.num_rows() >= take)) {
        answer.truncated = None;
    }
    Answer::of_query(answer).map_err(|error| Fault::from(ApiError::internal(&error)))
}
