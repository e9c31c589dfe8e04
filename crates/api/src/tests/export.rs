//! Exports: every form to the letter, totals in trailers, and no end that looks like one when it is none.

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Request, StatusCode};
use http_body::Body as _;
use moneta_ports::Scope;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::Fixture;

/// What a client has at the end of an answer.
struct Transfer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
    trailers: Option<HeaderMap>,
    /// Why it broke off.
    broken: Option<String>,
}

async fn read(fixture: &Fixture, request: Request<Body>) -> Transfer {
    let (parts, mut body) = fixture.router.clone().oneshot(request).await.unwrap().into_parts();
    let (status, headers) = (parts.status, parts.headers);
    let mut transfer = Transfer { status, headers, body: Vec::new(), trailers: None, broken: None };
    while let Some(frame) = std::future::poll_fn(|cx| std::pin::Pin::new(&mut body).poll_frame(cx)).await {
        match frame.map(http_body::Frame::into_data) {
            Ok(Ok(data)) => transfer.body.extend_from_slice(&data),
            Ok(Err(frame)) => transfer.trailers = frame.into_trailers().ok(),
            Err(error) => transfer.broken = Some(error.to_string()),
        }
    }
    transfer
}

/// An installation with a credential that may query.
struct Client {
    fixture: Fixture,
    credential: String,
}

impl Client {
    async fn new() -> Self {
        let fixture = Fixture::new();
        let credential = fixture.credential(&[Scope::Query]).await;
        Self { fixture, credential }
    }
}

async fn export(client: &Client, text: &str, format: &str) -> Transfer {
    let Client { fixture, credential } = client;
    let request = Request::builder()
        .method("POST")
        .uri("/v1/export")
        .extension(ConnectInfo(fixture.peer))
        .header("authorization", format!("Bearer {credential}"))
        .header("content-type", "application/json")
        // Nothing that has a hash is compressed, whatever a client accepts; errors in words may be.
        .header("accept-encoding", if text == "T" { "gzip" } else { "identity" })
        .body(Body::from(json!({ "text": text, "format": format }).to_string()))
        .unwrap();
    read(fixture, request).await
}

/// Exports, and checks the totals against what came.
async fn whole(client: &Client, text: &str, format: &str) -> Transfer {
    let transfer = export(client, text, format).await;
    assert_eq!((transfer.status, &transfer.broken), (StatusCode::OK, &None));
    let trailer = |name: &str| transfer.trailers.as_ref().unwrap()[name].to_str().unwrap().to_owned();
    assert_eq!(trailer("moneta-bytes"), transfer.body.len().to_string());
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &transfer.body);
    assert_eq!(trailer("moneta-sha256"), hex::encode(digest));
    assert!(!transfer.headers.contains_key("content-encoding"), "the hash is of the bytes as they are sent");
    let finished = client.fixture.fakes.finished.lock().unwrap().pop().unwrap();
    assert_eq!(finished["sha256"], trailer("moneta-sha256"));
    transfer
}

#[tokio::test]
async fn every_form_is_written_to_the_letter() {
    let client = Client::new().await;
    let text = async |format: &str| String::from_utf8(whole(&client, "T", format).await.body).unwrap();
    let first = r#"{"Time":"2026-01-02T03:04:05.1234567Z","Name":"ada","Count":9007199254740993,"Ratio":0.5,"Ok":true,"Took":"1.02:03:04.0000005","Bag":{"a":[1,2]}}"#;
    let second = r#"{"Time":null,"Name":"","Count":null,"Ratio":"NaN","Ok":null,"Took":null,"Bag":null}"#;
    assert_eq!(text("ndjson").await, format!("{first}\n{second}\n"));
    assert_eq!(text("json").await, format!("[{first},\n{second}]\n"));
    let csv = "Time,Name,Count,Ratio,Ok,Took,Bag\r\n\
        2026-01-02T03:04:05.1234567Z,ada,9007199254740993,0.5,true,1.02:03:04.0000005,\"{\"\"a\"\":[1,2]}\"\r\n\
        ,,,NaN,,,\r\n";
    assert_eq!(text("csv").await, csv);
    let parquet = whole(&client, "T", "parquet").await;
    assert_eq!(parquet.trailers.unwrap()["moneta-rows"], "2");
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(parquet.body)).unwrap().build().unwrap();
    let rows: usize = reader.map(|batch| batch.unwrap().num_rows()).sum();
    assert_eq!(rows, 2);
}

#[tokio::test]
async fn a_result_without_rows_is_a_whole_file() {
    let client = Client::new().await;
    for (format, expected) in [("ndjson", ""), ("json", "[]\n"), ("csv", "Time,Name,Count,Ratio,Ok,Took,Bag\r\n")] {
        let transfer = whole(&client, "empty", format).await;
        assert_eq!(String::from_utf8(transfer.body).unwrap(), expected);
        assert_eq!(transfer.trailers.unwrap()["moneta-rows"], "0");
    }
    let parquet = whole(&client, "empty", "parquet").await.body;
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(parquet)).unwrap();
    assert_eq!(reader.schema().fields().len(), 7);
}

#[tokio::test]
async fn what_fails_in_the_middle_ends_as_a_broken_transfer() {
    let client = Client::new().await;
    for format in ["ndjson", "json", "csv"] {
        let transfer = export(&client, "breaks", format).await;
        assert_eq!(transfer.status, StatusCode::OK);
        assert!(!transfer.body.is_empty() && transfer.trailers.is_none());
        assert!(transfer.broken.unwrap().contains("somebody stopped it"));
    }
    // What fails before the first bytes can still be said in words.
    let transfer = export(&client, "breaks", "parquet").await;
    assert_eq!((transfer.status, transfer.trailers), (StatusCode::BAD_REQUEST, None));
    assert!(client.fixture.fakes.finished.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_is_wrong_is_said_before_anything_is_sent() {
    let client = Client::new().await;
    let refused = async |text: &str, format: &str| {
        let transfer = export(&client, text, format).await;
        let body: Value = serde_json::from_slice(&transfer.body).unwrap();
        (transfer.status.as_u16(), body["error"].clone())
    };
    let (status, error) = refused("T | where Nmae == 1", "csv").await;
    assert_eq!((status, &error["moneta"]["rendered"]), (400, &json!("rendered")));
    assert!(error["message"].as_str().unwrap().contains("did you mean"));
    let (status, error) = refused("U", "xlsx").await;
    assert_eq!(status, 400);
    assert!(error["message"].as_str().unwrap().contains("csv, json, ndjson, parquet"));
    assert_eq!(refused("denied", "csv").await.0, 403);
    assert_eq!(refused("busy", "csv").await.0, 503);
    assert_eq!(refused("broken", "csv").await.0, 500);
}

#[tokio::test]
async fn a_browser_gets_a_file_by_an_address() {
    let fixture = Fixture::new();
    let cookie = fixture.cookie().await;
    let get = async |address: &str| {
        let headers = [("cookie", cookie.as_str()), ("sec-fetch-site", "same-origin")];
        fixture.call("GET", address, &headers, "").await
    };
    let address = "/v1/export?text=T&format=csv&from=2026-01-02T00:00:00Z&language=kql";
    let answer = get(address).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    assert_eq!(answer.header("content-disposition"), "attachment; filename=\"moneta-20260102030405.csv\"");
    let request = fixture.fakes.queries.lock().unwrap().pop().unwrap().1;
    assert_eq!(request.time_scope.unwrap().from, moneta_base::Timestamp::parse("2026-01-02"));
    assert_eq!(get("/v1/export?text=T&format=csv&to=soon").await.status, StatusCode::BAD_REQUEST);
    assert_eq!(get("/v1/export?text=T").await.status, StatusCode::BAD_REQUEST);
    let foreign = [("cookie", cookie.as_str()), ("sec-fetch-site", "cross-site")];
    assert_eq!(fixture.call("GET", address, &foreign, "").await.status, StatusCode::FORBIDDEN);
}
