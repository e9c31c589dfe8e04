//! Events in: whole or not at all, once per key, never beyond the limits.

use std::io::Write;

use axum::http::StatusCode;
use moneta_base::ErrorKind;
use moneta_event::Delivery;
use moneta_ports::{PortError, Scope};

use super::{Answer, Fixture};

async fn fixture() -> (Fixture, String) {
    let fixture = Fixture::new();
    let credential = fixture.credential(&[Scope::Ingest]).await;
    let bearer = format!("Bearer {credential}");
    (fixture, bearer)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn message(answer: &Answer) -> String {
    answer.json()["error"]["message"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn objects_arrays_and_lines_are_stored_and_acknowledged() {
    let (fixture, bearer) = fixture().await;
    let send = |kind: &'static str, body: &'static str| {
        let (fixture, bearer) = (&fixture, &bearer);
        async move {
            let headers = [("authorization", bearer.as_str()), ("content-type", kind)];
            fixture.call("POST", "/v1/ingest/Mine_CL", &headers, body).await
        }
    };
    for (kind, body, rows) in [
        ("application/json", "{\"a\":1}", 1),
        ("application/json", "[{\"a\":1},{\"a\":2}]", 2),
        ("application/x-ndjson", "{\"a\":1}\n{\"a\":2}\n\n{\"a\":3}", 3),
        ("text/plain", "{\"a\":1}\n{\"a\":2}", 2),
    ] {
        let answer = send(kind, body).await;
        assert_eq!(answer.status, StatusCode::OK, "{body}: {}", answer.text());
        let json = answer.json();
        assert_eq!(json["accepted"], rows, "{body}");
        assert_eq!((&json["table"], &json["first_seq"]), (&"Mine_CL".into(), &100.into()));
        assert_eq!((&json["duplicate"], &json["quarantined"]), (&false.into(), &0.into()));
        assert_eq!(json["stored_at"], "2026-01-02T03:04:05.0000000Z");
        assert_eq!(json["receipt"], "signed 1 false");
    }
    let stored = fixture.fakes.submissions.lock().unwrap();
    let batch = &stored[0].batches[0];
    let column = |name: &str| {
        let array = batch.rows.column_by_name(name).unwrap();
        arrow::array::AsArray::as_string::<i32>(array).value(0).to_owned()
    };
    assert_eq!(column("_Source"), "api/ingest");
    assert_eq!(column("_Delivery"), Delivery::AtLeastOnce.name());
}

#[tokio::test]
async fn good_events_are_stored_beside_bad_ones_but_not_without_any() {
    let (fixture, bearer) = fixture().await;
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/x-ndjson")];
    let answer = fixture.call("POST", "/v1/ingest/Mine_CL", &headers, "{\"a\":1}\nnot json\n").await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    assert_eq!((&answer.json()["accepted"], &answer.json()["quarantined"]), (&1.into(), &1.into()));
    for body in ["not json", "", "[]"] {
        let answer = fixture.call("POST", "/v1/ingest/Mine_CL", &headers, body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}: {}", answer.text());
        assert!(!message(&answer).is_empty());
    }
    assert_eq!(fixture.fakes.submissions.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn the_same_key_is_stored_once_per_credential() {
    let (fixture, bearer) = fixture().await;
    let other = format!("Bearer {}", fixture.credential(&[Scope::Ingest, Scope::Query]).await);
    let send = |bearer: String, key: &'static str| {
        let fixture = &fixture;
        async move {
            let headers = [("authorization", bearer.as_str()), ("idempotency-key", key)];
            fixture.call("POST", "/v1/ingest/Mine_CL", &headers, "{\"a\":1}").await
        }
    };
    assert_eq!(send(bearer.clone(), "k1").await.json()["duplicate"], false);
    assert_eq!(send(bearer.clone(), "k1").await.json()["duplicate"], true);
    assert_eq!(send(bearer.clone(), "k2").await.json()["duplicate"], false);
    assert_eq!(send(other, "k1").await.json()["duplicate"], false);
    assert_eq!(send(bearer, "").await.status, StatusCode::BAD_REQUEST);
    assert_eq!(fixture.fakes.submissions.lock().unwrap().len(), 3);
}

#[tokio::test]
async fn only_known_and_own_tables_take_events() {
    let (fixture, bearer) = fixture().await;
    for (table, expected) in [
        ("Syslog", StatusCode::OK),
        ("Mine_CL", StatusCode::OK),
        ("Mine", StatusCode::NOT_FOUND),
        ("MonetaAudit", StatusCode::FORBIDDEN),
        ("Quarantine", StatusCode::FORBIDDEN),
        ("a%2Fb", StatusCode::BAD_REQUEST),
    ] {
        let path = format!("/v1/ingest/{table}");
        let answer = fixture.call("POST", &path, &[("authorization", &bearer)], "{\"a\":1}").await;
        assert_eq!(answer.status, expected, "{table}: {}", answer.text());
    }
    let path = "/v1/ingest?name=x.json&table=MonetaAudit";
    let answer = fixture.call("POST", path, &[("authorization", &bearer)], "{\"a\":1}").await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn compressed_bodies_are_opened_and_bombs_are_not() {
    let (fixture, bearer) = fixture().await;
    let headers = [("authorization", bearer.as_str()), ("content-encoding", "gzip")];
    let answer = fixture.call("POST", "/v1/ingest/Mine_CL", &headers, gzip(b"{\"a\":1}")).await;
    assert_eq!(answer.json()["accepted"], 1);
    let bomb = gzip(&vec![b' '; 40 << 20]);
    assert!(bomb.len() < 1 << 20);
    for path in ["/v1/ingest/Mine_CL", "/v1/ingest?name=x.json&format=json"] {
        let answer = fixture.call("POST", path, &headers, bomb.clone()).await;
        assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE, "{path}: {}", answer.text());
    }
    let answer = fixture.call("POST", "/v1/ingest/Mine_CL", &headers, "not gzip").await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{}", answer.text());
    let odd = [("authorization", bearer.as_str()), ("content-encoding", "br")];
    let answer = fixture.call("POST", "/v1/ingest/Mine_CL", &odd, "x").await;
    assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

#[tokio::test]
async fn back_pressure_and_a_full_disk_are_told_apart() {
    let (fixture, bearer) = fixture().await;
    let headers = [("authorization", bearer.as_str())];
    let send = || fixture.call("POST", "/v1/ingest/Mine_CL", &headers, "{\"a\":1}");
    let refuse = |kind| {
        let error = PortError::new(kind, "the journal cannot take it");
        fixture.fakes.refusals.lock().unwrap().push(error);
    };
    refuse(ErrorKind::RETRY);
    let busy = send().await;
    assert_eq!((busy.status, busy.header("retry-after")), (StatusCode::SERVICE_UNAVAILABLE, "1"));
    refuse(ErrorKind::OPERATOR);
    let full = send().await;
    assert_eq!((full.status, full.header("retry-after")), (StatusCode::SERVICE_UNAVAILABLE, ""));
    assert!(message(&full).contains("journal"));
    refuse(ErrorKind::Internal);
    let broken = send().await;
    assert_eq!(broken.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(!message(&broken).contains("journal"), "the inside stays inside");
}

#[tokio::test]
async fn a_file_is_stored_in_parts_and_continued_by_sending_it_again() {
    let (fixture, bearer) = fixture().await;
    let lines: String = (0..20_000).map(|n| format!("{{\"n\":{n}}}\n")).collect();
    let headers = [("authorization", bearer.as_str()), ("idempotency-key", "upload-1")];
    let upload = || fixture.call("POST", "/v1/ingest?name=app.ndjson", &headers, lines.clone());
    let soon = ErrorKind::Environment { retry_after: Some(std::time::Duration::from_millis(1)) };
    fixture.fakes.refusals.lock().unwrap().push(PortError::new(soon, "busy"));
    let answer = upload().await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    let json = answer.json();
    assert_eq!((&json["accepted"], &json["parts"]), (&20_000.into(), &3.into()));
    assert_eq!((&json["tables"]["app_CL"], &json["format"]), (&20_000.into(), &"ndjson".into()));
    assert_eq!((&json["bytes"], &json["duplicate_parts"]), (&lines.len().into(), &0.into()));
    assert_eq!(upload().await.json()["duplicate_parts"], 3);
    assert_eq!(fixture.fakes.submissions.lock().unwrap().len(), 3);

    fixture.fakes.stored.lock().unwrap().clear();
    fixture.fakes.refusals.lock().unwrap().push(PortError::new(ErrorKind::OPERATOR, "disk full"));
    let answer = upload().await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.json()["error"]["stored"]["parts"], 0);
}

#[tokio::test]
async fn a_file_of_unknown_format_is_refused_with_the_formats_there_are() {
    let (fixture, bearer) = fixture().await;
    let headers = [("authorization", bearer.as_str())];
    let answer = fixture.call("POST", "/v1/ingest?name=x.bin", &headers, vec![0u8, 1, 2, 3, 255]).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert!(message(&answer).contains("evtx"), "{}", answer.text());
    let empty = fixture.call("POST", "/v1/ingest?name=empty.log", &headers, "").await;
    assert_eq!((empty.status, &empty.json()["parts"]), (StatusCode::OK, &0.into()));
    let answer = fixture.call("POST", "/v1/ingest?nmae=x", &headers, "x").await;
    assert!(message(&answer).contains("nmae"), "{}", answer.text());
    let answer = fixture.call("POST", "/v1/ingest?name=x&format=pdf", &headers, "x").await;
    assert!(message(&answer).contains("pdf"), "{}", answer.text());
}
