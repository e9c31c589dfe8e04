//! Arrow Flight SQL: who gets in, what statements give, and how errors look to gRPC.

use arrow::array::RecordBatch;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::{
    ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult, Any, CommandGetCrossReference,
    CommandGetDbSchemas, CommandGetSqlInfo, CommandGetTables, CommandPreparedStatementQuery, CommandStatementQuery,
    ProstMessageExt,
};
use arrow_flight::{Action, FlightDescriptor, HandshakeRequest};
use axum::Router;
use base64::Engine as _;
use futures::{StreamExt as _, TryStreamExt as _};
use moneta_ports::Scope;
use prost::Message as _;
use tonic::{Code, Request, Status};

use super::Fixture;

struct Client {
    inner: FlightServiceClient<Router>,
    authorization: String,
}

impl Client {
    async fn new(fixture: &Fixture, scopes: &[Scope]) -> Self {
        let credential = fixture.credential(scopes).await;
        Self::with(fixture, format!("Bearer {credential}"))
    }

    fn with(fixture: &Fixture, authorization: String) -> Self {
        Self { inner: FlightServiceClient::new(fixture.router.clone()), authorization }
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", self.authorization.parse().unwrap());
        request
    }

    /// The rows that a command gives, by way of its ticket.
    async fn ask(&mut self, command: &impl ProstMessageExt) -> Result<Vec<RecordBatch>, Status> {
        let request = self.request(FlightDescriptor::new_cmd(command.as_any().encode_to_vec()));
        let info = self.inner.get_flight_info(request).await?.into_inner();
        let schema = info.clone().try_decode_schema().unwrap();
        let ticket = info.endpoint[0].ticket.clone().unwrap();
        let request = self.request(ticket);
        let data = self.inner.do_get(request).await?.into_inner();
        let rows = FlightRecordBatchStream::new_from_flight_data(data.map_err(FlightError::from));
        let batches: Vec<_> = rows.try_collect().await.map_err(Status::from)?;
        assert!(batches.iter().all(|batch| *batch.schema() == schema), "rows are as they were announced");
        Ok(batches)
    }

    async fn query(&mut self, text: &str) -> Result<Vec<RecordBatch>, Status> {
        self.ask(&CommandStatementQuery { query: text.to_owned(), transaction_id: None }).await
    }
}

fn num_rows(batches: &[RecordBatch]) -> usize {
    batches.iter().map(RecordBatch::num_rows).sum()
}

#[tokio::test]
async fn a_handshake_proves_a_credential_by_its_id_and_secret() {
    let fixture = Fixture::new();
    let credential = fixture.credential(&[Scope::Query]).await;
    let (id, secret) = credential.strip_prefix("mnt_").unwrap().split_once('_').unwrap();
    let handshake = async |name: &str, password: &str| {
        let pair = base64::engine::general_purpose::STANDARD.encode(format!("{name}:{password}"));
        let mut client = Client::with(&fixture, format!("Basic {pair}"));
        let request = client.request(futures::stream::iter([HandshakeRequest::default()]));
        let answer = client.inner.handshake(request).await?;
        let token = answer.metadata().get("authorization").unwrap().to_str().unwrap().to_owned();
        Ok::<_, Status>(token)
    };
    for (name, password) in [(id, secret), ("anybody", credential.as_str())] {
        let token = handshake(name, password).await.unwrap();
        assert_eq!(num_rows(&Client::with(&fixture, token).query("T").await.unwrap()), 2);
    }
    for (name, password) in [(id, "0"), ("nobody", secret), (id, "")] {
        assert_eq!(handshake(name, password).await.unwrap_err().code(), Code::Unauthenticated, "{name}");
    }
}

#[tokio::test]
async fn only_who_may_query_gets_rows() {
    let fixture = Fixture::new();
    let code = async |mut client: Client| client.query("T").await.unwrap_err().code();
    assert_eq!(code(Client::new(&fixture, &[Scope::Ingest]).await).await, Code::PermissionDenied);
    assert_eq!(code(Client::with(&fixture, "Bearer mnt_a_b".to_owned())).await, Code::Unauthenticated);
    assert_eq!(code(Client::with(&fixture, "Basic eDp5".to_owned())).await, Code::Unauthenticated);
    assert!(fixture.fakes.queries.lock().unwrap().is_empty());
}

#[tokio::test]
async fn statements_plain_and_prepared_give_rows_and_are_finished() {
    let fixture = Fixture::new();
    let mut client = Client::new(&fixture, &[Scope::Query]).await;
    let batches = client.query("T").await.unwrap();
    assert_eq!((num_rows(&batches), batches[0].schema().field(2).name().as_str()), (2, "Count"));
    assert_eq!(fixture.fakes.finished.lock().unwrap().pop().unwrap()["format"], "arrow-flight");
    client.query("select 1").await.unwrap();
    let language = fixture.fakes.queries.lock().unwrap().last().unwrap().1.language;
    assert_eq!(language, moneta_ports::QueryLanguage::Sql);

    let create = ActionCreatePreparedStatementRequest { query: "T".to_owned(), transaction_id: None };
    let body = create.as_any().encode_to_vec().into();
    let request = client.request(Action { r#type: "CreatePreparedStatement".to_owned(), body });
    let mut answers = client.inner.do_action(request).await.unwrap().into_inner();
    let any = Any::decode(answers.next().await.unwrap().unwrap().body).unwrap();
    let prepared: ActionCreatePreparedStatementResult = any.unpack().unwrap().unwrap();
    let query = CommandPreparedStatementQuery { prepared_statement_handle: prepared.prepared_statement_handle };
    assert_eq!(num_rows(&client.ask(&query).await.unwrap()), 2);
}

#[tokio::test]
async fn errors_say_what_is_wrong_wherever_they_come_up() {
    let fixture = Fixture::new();
    let mut client = Client::new(&fixture, &[Scope::Query]).await;
    let mut refused = async |text: &str| {
        let status = client.query(text).await.unwrap_err();
        (status.code(), status.message().to_owned())
    };
    let (code, message) = refused("T | where Nmae == 1").await;
    assert_eq!(code, Code::InvalidArgument);
    assert!(message.contains("did you mean"), "{message}");
    let (code, message) = refused("breaks").await;
    assert_eq!(code, Code::InvalidArgument);
    assert!(message.contains("somebody stopped it"), "{message}");
    assert!(fixture.fakes.finished.lock().unwrap().is_empty());
    assert_eq!(refused("denied").await.0, Code::PermissionDenied);
    assert_eq!(refused("busy").await.0, Code::Unavailable);
    let (code, message) = refused("broken").await;
    assert_eq!(code, Code::Internal);
    assert!(!message.contains("broken"), "the inside stays inside: {message}");
    let unknown = client.ask(&CommandGetCrossReference::default()).await.unwrap_err();
    assert_eq!(unknown.code(), Code::Unimplemented);
    assert!(unknown.message().contains("CommandGetCrossReference"), "{}", unknown.message());
    let request = client.request(FlightDescriptor::new_cmd(&b"\xff"[..]));
    assert_eq!(client.inner.get_flight_info(request).await.unwrap_err().code(), Code::InvalidArgument);
    let large = "x".repeat(5 << 20);
    assert_eq!(client.query(&large).await.unwrap_err().code(), Code::OutOfRange);
}

#[tokio::test]
async fn programs_find_their_way() {
    let fixture = Fixture::new();
    let mut client = Client::new(&fixture, &[Scope::Query]).await;
    let tables = CommandGetTables { include_schema: true, ..CommandGetTables::default() };
    assert_eq!(num_rows(&client.ask(&tables).await.unwrap()), 1);
    let none = CommandGetTables { table_name_filter_pattern: Some("Other%".to_owned()), ..CommandGetTables::default() };
    assert_eq!(num_rows(&client.ask(&none).await.unwrap()), 0);
    assert_eq!(num_rows(&client.ask(&CommandGetDbSchemas::default()).await.unwrap()), 1);
    assert!(num_rows(&client.ask(&CommandGetSqlInfo::default()).await.unwrap()) > 5);
}
