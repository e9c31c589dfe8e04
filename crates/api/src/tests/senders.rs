//! The protocols of other products' senders: what they send is stored, what is wrong is said in their own form.

use axum::http::StatusCode;
use moneta_base::ErrorKind;
use moneta_ports::{PortError, Scope};
use serde_json::{Value, json};

use super::{Answer, Fixture};

struct Sender {
    fixture: Fixture,
    token: String,
}

impl Sender {
    async fn new() -> Self {
        let fixture = Fixture::new();
        let token = fixture.credential(&[Scope::Ingest]).await;
        Self { fixture, token }
    }

    async fn post(&self, scheme: &str, path: &str, kind: &str, body: impl Into<axum::body::Body>) -> Answer {
        let authorization = format!("{scheme} {}", self.token);
        self.fixture.call("POST", path, &[("authorization", &authorization), ("content-type", kind)], body).await
    }

    /// Table, rows and the text of a column of its first row, of each batch stored.
    fn stored(&self, column: &str) -> Vec<(String, usize, String)> {
        let stored = self.fixture.fakes.submissions.lock().unwrap();
        let batches = stored.iter().flat_map(|submission| &submission.batches);
        let text = |batch: &moneta_event::ParsedBatch| {
            let column = batch.rows.column_by_name(column)?;
            let text = arrow::util::display::array_value_to_string(column, 0);
            Some(text.unwrap())
        };
        batches.map(|b| (b.table.to_string(), b.rows.num_rows(), text(b).unwrap_or_default())).collect()
    }

    fn refuse_once(&self, kind: ErrorKind) {
        self.fixture.fakes.refusals.lock().unwrap().push(PortError::new(kind, "the journal cannot take it"));
    }
}

fn row(table: &str, rows: usize, text: &str) -> (String, usize, String) {
    (table.to_owned(), rows, text.to_owned())
}

#[tokio::test]
async fn splunk_events_come_one_after_the_other_and_are_acknowledged() {
    let sender = Sender::new().await;
    let form = "application/x-www-form-urlencoded";
    let body = "{\"event\":\"a\",\"host\":\"h\"}{\"event\":{\"Message\":\"b\"}}\n {\"event\":\"c\",\"index\":\"door\"}";
    let answer = sender.post("Splunk", "/services/collector/event?channel=1", form, body).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    assert_eq!((&answer.json()["text"], &answer.json()["code"]), (&"Success".into(), &0.into()));
    assert_eq!(sender.stored("Message"), [row("door_CL", 1, "c"), row("Splunk_CL", 2, "a")]);
    let first = answer.json()["ackId"].as_u64().unwrap();
    let shared = "/services/collector/event?host=shared&index=porch&time=1767323045";
    let answer = sender.post("Splunk", shared, form, "{\"event\":\"d\"}{\"event\":\"e\",\"host\":\"own\"}").await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    assert_eq!(sender.stored("host").last().unwrap(), &row("porch_CL", 2, "shared"));
    let raw = sender.post("Splunk", "/services/collector/raw?host=h&channel=1&index=raw", form, "x\n\ny\n").await;
    let second = raw.json()["ackId"].as_u64().unwrap();
    assert!(second > first);
    assert_eq!(sender.stored("Message").last(), Some(&row("raw_CL", 2, "x")));
    let ask = json!({ "acks": [first, second, second + 1_000_000_000] }).to_string();
    let acks = sender.post("Splunk", "/services/collector/ack?channel=1", form, ask).await.json();
    let acks: Vec<&Value> = acks["acks"].as_object().unwrap().values().collect();
    assert_eq!(acks, [true, true, false]);
    assert!(sender.post("Splunk", "/services/collector", "", "{\"event\":1}").await.json()["ackId"].is_null());
}

#[tokio::test]
async fn splunk_refusals_have_their_numbers() {
    let sender = Sender::new().await;
    let num_stored = || sender.fixture.fakes.submissions.lock().unwrap().len();
    for (body, status, code, event) in [
        ("", 400, 5, Value::Null),
        ("{\"event\":1} {\"event\":", 400, 6, 1.into()),
        ("[1]", 400, 6, 0.into()),
        ("{\"a\":1}", 400, 12, 0.into()),
        ("{\"event\":1}{\"event\":\"\"}", 400, 13, 1.into()),
        ("{\"event\":1,\"index\":\"MonetaAudit\"}", 400, 7, 0.into()),
    ] {
        let answer = sender.post("Splunk", "/services/collector", "", body).await;
        let json = answer.json();
        assert_eq!((answer.status.as_u16(), &json["code"]), (status, &code.into()), "{body}: {json}");
        assert_eq!(json["invalid-event-number"], event, "{body}: {json}");
    }
    sender.refuse_once(ErrorKind::RETRY);
    let busy = sender.post("Splunk", "/services/collector", "", "{\"event\":1}").await;
    assert_eq!(
        (busy.status, busy.header("retry-after"), &busy.json()["code"]),
        (StatusCode::SERVICE_UNAVAILABLE, "1", &9.into())
    );
    assert_eq!(num_stored(), 0);
    let call = |authorization: &'static str| {
        let fixture = &sender.fixture;
        async move {
            fixture.call("POST", "/services/collector", &[("authorization", authorization)], "{\"event\":1}").await
        }
    };
    let none = sender.fixture.call("POST", "/services/collector", &[], "{\"event\":1}").await;
    assert_eq!((none.status, &none.json()["code"]), (StatusCode::UNAUTHORIZED, &2.into()));
    let odd = call("Splunk").await;
    assert_eq!((odd.status, &odd.json()["code"]), (StatusCode::UNAUTHORIZED, &3.into()));
    let wrong = call("Splunk 00000000-0000-0000-0000-000000000000").await;
    assert_eq!((wrong.status, &wrong.json()["code"]), (StatusCode::FORBIDDEN, &4.into()));
    let health = sender.fixture.call("GET", "/services/collector/health", &[], "").await;
    assert_eq!((health.status, &health.json()["code"]), (StatusCode::OK, &17.into()));
    let health = sender.fixture.call("GET", "/services/collector/health", &[("authorization", "Splunk x")], "").await;
    assert_eq!(health.status, StatusCode::BAD_REQUEST);
    *sender.fixture.fakes.not_ready.lock().unwrap() = Some("disk full".to_owned());
    let health = sender.fixture.call("GET", "/services/collector/health/1.0", &[], "").await;
    assert_eq!((health.status, &health.json()["code"]), (StatusCode::SERVICE_UNAVAILABLE, &9.into()));
    let options = sender.fixture.call("OPTIONS", "/services/collector/event/1.0", &[], "").await;
    assert_eq!(options.status, StatusCode::OK);
}

#[tokio::test]
async fn gelf_is_told_by_its_first_bytes_whatever_the_encoding_is_said_to_be() {
    use std::io::Write;
    let sender = Sender::new().await;
    let message =
        r#"{"version":"1.1","host":"h","short_message":"first","level":6,"timestamp":1767323045.5,"_user":"u"}"#;
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    zlib.write_all(message.as_bytes()).unwrap();
    let authorization = format!("Bearer {}", sender.token);
    let headers = [("authorization", authorization.as_str()), ("content-encoding", "gzip,deflate")];
    let answer = sender.fixture.call("POST", "/gelf", &headers, zlib.finish().unwrap()).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.text());
    let two = format!("{message}\n{}", message.replace("first", "second"));
    assert_eq!(sender.post("Bearer", "/gelf", "", two).await.status, StatusCode::ACCEPTED);
    assert_eq!(sender.stored("Message"), [row("Gelf_CL", 1, "first"), row("Gelf_CL", 2, "first")]);
    let time = sender.stored("TimeGenerated").remove(0).2;
    assert!(time.starts_with("2026-01-02T03:04:05.5"), "{time}");
    for (body, says) in [(&b"[1]"[..], "no JSON object"), (b"", "holds no events"), (b"\x1f\x8b", "cannot be unpacked")]
    {
        let answer = sender.post("Bearer", "/gelf", "", body.to_vec()).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{}", answer.text());
        assert!(answer.text().contains(says), "{says}: {}", answer.text());
    }
    assert_eq!(sender.fixture.call("POST", "/gelf", &[], message).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn loki_streams_are_stored_line_by_line() {
    let sender = Sender::new().await;
    let path = "/loki/api/v1/push";
    let body = json!({ "streams": [{ "stream": { "app": "x" }, "values":
        [["1767323045000000000", "one"], ["1767323045000000001", "two", { "trace": "t" }]] }] });
    let answer = sender.post("Bearer", path, "application/json", body.to_string()).await;
    assert_eq!((answer.status, answer.text()), (StatusCode::NO_CONTENT, ""));
    assert_eq!(sender.stored("Line"), [row("Loki_CL", 2, "one")]);
    assert_eq!(sender.stored("Labels")[0].2, "{\"app\":\"x\"}");
    let answer = sender.post("Bearer", path, "application/json", "{\"streams\":[]}").await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    for (kind, body) in [
        ("application/json", "{\"streams\":[{\"stream\":{},\"values\":[[1,\"x\"]]}]}"),
        ("application/json", "{\"streams\":[{\"stream\":{},\"values\":[[\"soon\",\"x\"]]}]}"),
        ("application/x-protobuf", "x"),
    ] {
        let answer = sender.post("Bearer", path, kind, body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}");
        assert!(answer.text().ends_with('\n') && answer.text().len() > 10, "{}", answer.text());
    }
    // `PushRequest`: streams (1) of labels (1) and entries (2) of a time (1) and a line (2).
    let field = |number: u8, bytes: &[u8]| [&[number << 3 | 2, u8::try_from(bytes.len()).unwrap()], bytes].concat();
    let time = [0x08, 0xa5, 0xeb, 0xdc, 0xca, 0x06, 0x10, 0x07];
    let entry = field(2, &[field(1, &time), field(2, b"packed")].concat());
    let request = field(1, &[field(1, br#"{app="y", dc="a\"b"}"#), entry].concat());
    let packed = snap::raw::Encoder::new().compress_vec(&request).unwrap();
    let answer = sender.post("Bearer", path, "application/x-protobuf", packed).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT, "{}", answer.text());
    assert_eq!(sender.stored("Line").last().unwrap().2, "packed");
    assert_eq!(sender.stored("Labels").last().unwrap().2, r#"{"app":"y","dc":"a\"b"}"#);
    // What Go escapes and JSON does not, and labels that are none: the lines are stored all the same.
    for (labels, read) in [(&br#"{app="a\x7fb"}"#[..], "{\"app\":\"a\u{7f}b\"}"), (b"app", r#"{"_unread":"app"}"#)] {
        let line = field(2, &[field(1, &time), field(2, b"kept")].concat());
        let request = field(1, &[field(1, labels), line].concat());
        let packed = snap::raw::Encoder::new().compress_vec(&request).unwrap();
        let answer = sender.post("Bearer", path, "application/x-protobuf", packed).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT, "{}", answer.text());
        assert_eq!(sender.stored("Line").last().unwrap().2, "kept");
        assert_eq!(sender.stored("Labels").last().unwrap().2, read);
    }
    // A block that says it holds 2 GiB.
    let bomb = sender.post("Bearer", path, "application/x-protobuf", vec![0xff, 0xff, 0xff, 0xff, 0x07, 0]).await;
    assert_eq!(bomb.status, StatusCode::PAYLOAD_TOO_LARGE);
    sender.refuse_once(ErrorKind::RETRY);
    let busy = sender.post("Bearer", path, "application/json", body.to_string()).await;
    assert_eq!((busy.status, busy.header("retry-after")), (StatusCode::SERVICE_UNAVAILABLE, "1"));
}

#[tokio::test]
async fn elastic_clients_find_what_they_look_for() {
    let sender = Sender::new().await;
    let accept = "application/vnd.elasticsearch+json; compatible-with=9";
    for path in ["/", "/elastic/"] {
        let authorization = format!("ApiKey {}", sender.token);
        let headers = [("accept", accept), ("authorization", authorization.as_str())];
        let answer = sender.fixture.call("GET", path, &headers, "").await;
        assert_eq!(answer.header("x-elastic-product"), "Elasticsearch");
        assert!(answer.header("content-type").starts_with("application/vnd.elasticsearch+json;compatible-with=9"));
        assert_eq!(answer.json()["version"]["build_flavor"], "default");
        assert_eq!(sender.fixture.call("HEAD", path, &headers, "").await.status, StatusCode::OK);
        let answer = sender.fixture.call("PUT", &format!("{path}_index_template/x"), &headers, "{}").await;
        assert_eq!(answer.json()["acknowledged"], true);
        let answer = sender.fixture.call("GET", &format!("{path}_license?human=false"), &headers, "").await;
        assert_eq!(answer.json()["license"]["type"], "basic");
        let bulk = "{\"create\":{\"_index\":\"door\"}}\n{\"a\":1}\n";
        let answer = sender.post("ApiKey", &format!("{path}_bulk"), "application/x-ndjson", bulk).await;
        assert_eq!(answer.json()["errors"], false, "{}", answer.text());
    }
    let page = sender.fixture.call("GET", "/", &[("accept", "text/html,*/*")], "").await;
    assert!(page.header("content-type").starts_with("text/html"));
}

#[tokio::test]
async fn the_same_document_under_another_id_or_index_is_another_one() {
    let sender = Sender::new().await;
    for path in ["/door/_doc/1", "/door/_doc/2", "/window/_doc/1", "/door/_create/1"] {
        let authorization = format!("ApiKey {}", sender.token);
        let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
        let answer = sender.fixture.call("PUT", path, &headers, "{\"a\":1}").await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
    }
    let stored = sender.fixture.fakes.submissions.lock().unwrap();
    let keys: std::collections::BTreeSet<_> = stored.iter().map(|one| one.key.as_ref().unwrap().epoch).collect();
    // The last repeats the first: what is created and what is indexed is the same here.
    assert_eq!((stored.len(), keys.len()), (3, 3));
}

#[tokio::test]
async fn what_records_share_cannot_fill_the_memory() {
    let sender = Sender::new().await;
    let lines: Vec<_> = (0..1_000).map(|n| json!([n.to_string(), "x"])).collect();
    let body = json!({ "streams": [{ "stream": { "label": "l".repeat(1 << 20) }, "values": lines }] });
    let answer = sender.post("Bearer", "/loki/api/v1/push", "application/json", body.to_string()).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE, "{}", answer.text());
    assert!(answer.text().contains("send fewer at once"), "{}", answer.text());
    assert!(sender.fixture.fakes.submissions.lock().unwrap().is_empty());
}

#[tokio::test]
async fn each_item_of_a_bulk_request_is_answered_by_itself() {
    let sender = Sender::new().await;
    let kind = "application/x-ndjson";
    let body = "{\"create\":{\"_index\":\".ds-door-2026.01.02-000001\",\"_id\":\"1\"}}\n{\"a\":1}\n\
        {\"index\":{}}\n{\"a\":2}\n{\"delete\":{\"_id\":\"1\"}}\n{\"update\":{\"_id\":\"1\"}}\n{\"doc\":{}}\n\
        {\"index\":{}}\nnot json\n{\"index\":{\"_index\":\"MonetaAudit\"}}\n{\"a\":3}\n\n";
    let answer = sender.post("ApiKey", "/window/_bulk", kind, body).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    let json = answer.json();
    let statuses: Vec<u64> = json["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item.as_object().unwrap().values().next().unwrap()["status"].as_u64().unwrap())
        .collect();
    assert_eq!((statuses, &json["errors"]), (vec![201, 201, 400, 400, 400, 403], &true.into()));
    assert_eq!(json["items"][0]["create"]["_id"], "1");
    assert_eq!(json["items"][2]["delete"]["error"]["type"], "illegal_argument_exception");
    assert_eq!(sender.stored("a"), [row("door_CL", 1, "1"), row("window_CL", 1, "2")]);

    sender.refuse_once(ErrorKind::RETRY);
    let item = "{\"index\":{\"_index\":\"door\",\"_id\":\"7\"}}\n{\"a\":1}\n";
    let busy = sender.post("ApiKey", "/_bulk", kind, item).await;
    assert_eq!((busy.status, &busy.json()["items"][0]["index"]["status"]), (StatusCode::OK, &429.into()));
    // With ids, the same request is stored once.
    for _ in 0..2 {
        assert_eq!(sender.post("ApiKey", "/_bulk", kind, item).await.json()["errors"], false);
    }
    assert_eq!(sender.fixture.fakes.submissions.lock().unwrap().len(), 2);

    for bad in
        ["", "x\n", "{\"index\":{\"_index\":\"a\"}}\n", "{\"index\":{}}\n{}\n", "{\"drop\":{\"_index\":\"a\"}}\n{}\n"]
    {
        let answer = sender.post("ApiKey", "/_bulk", kind, bad).await;
        assert_eq!((answer.status, &answer.json()["status"]), (StatusCode::BAD_REQUEST, &400.into()), "{bad}");
    }
    let one = sender.post("ApiKey", "/door/_doc", "application/json", "{\"a\":5}").await;
    assert_eq!((one.status, &one.json()["result"]), (StatusCode::CREATED, &"created".into()));
}

#[tokio::test]
async fn otlp_is_taken_in_json_and_refused_in_its_own_form() {
    let sender = Sender::new().await;
    let attribute = |key: &str, text: &str| json!({ "key": key, "value": { "stringValue": text } });
    let body = json!({ "resourceLogs": [{ "resource": { "attributes": [attribute("service.name", "shop")] }, "scopeLogs":
        [{ "scope": { "name": "s" }, "logRecords": [{ "timeUnixNano": "1767323045000000000", "severityNumber": 17,
        "body": { "stringValue": "it broke" }, "attributes": [attribute("k", "v")], "traceId": "ab" }] }] }] });
    let answer = sender.post("Bearer", "/v1/logs", "application/json", body.to_string()).await;
    assert_eq!((answer.status, answer.text()), (StatusCode::OK, "{}"));
    assert_eq!(sender.stored("Message"), [row("AppTraces", 1, "it broke")]);
    assert_eq!(sender.stored("AppRoleName")[0].2, "shop");
    assert_eq!(sender.stored("Properties")[0].2, r#"{"service.name":"shop","otel.scope.name":"s","k":"v"}"#);
    assert_eq!(sender.stored("TimeGenerated")[0].2, "2026-01-02T03:04:05Z");

    let answer = sender.post("Bearer", "/v1/metrics", "application/x-protobuf", "").await;
    assert_eq!((answer.status, answer.body.len()), (StatusCode::OK, 0));
    let answer = sender.post("Bearer", "/v1/traces", "application/x-protobuf", "x").await;
    assert_eq!((answer.status, answer.body[0], answer.body[1]), (StatusCode::BAD_REQUEST, 8, 3));
    let answer = sender.post("Bearer", "/v1/traces", "text/plain", "x").await;
    assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    sender.refuse_once(ErrorKind::RETRY);
    let busy = sender.post("Bearer", "/v1/logs", "application/json", body.to_string()).await;
    assert_eq!(
        (busy.status, busy.header("retry-after"), &busy.json()["code"]),
        (StatusCode::SERVICE_UNAVAILABLE, "1", &14.into())
    );
}

#[tokio::test]
async fn an_otlp_record_that_cannot_be_used_takes_no_other_with_it() {
    let sender = Sender::new().await;
    let good = json!({ "name": "up", "gauge": { "dataPoints": [{ "asInt": "1" }] } });
    let body = json!({ "resourceMetrics": [{ "scopeMetrics": [{ "metrics": [good, { "name": "later" }] }] }] });
    let answer = sender.post("Bearer", "/v1/metrics", "application/json", body.to_string()).await;
    let partial = &answer.json()["partialSuccess"];
    assert_eq!((answer.status, &partial["rejectedDataPoints"]), (StatusCode::OK, &"1".into()), "{}", answer.text());
    assert!(partial["errorMessage"].as_str().unwrap().contains("\"later\" has no data"), "{partial}");
    assert_eq!(sender.stored("Name"), [row("AppMetrics", 1, "up")]);
    // A time that no event can have is found when the row is made.
    let log = json!({ "timeUnixNano": "7", "body": { "stringValue": "old" } });
    let body = json!({ "resourceLogs": [{ "scopeLogs": [{ "logRecords": [log] }] }] });
    let answer = sender.post("Bearer", "/v1/logs", "application/json", body.to_string()).await;
    assert_eq!(answer.json()["partialSuccess"]["rejectedLogRecords"], "1", "{}", answer.text());

    // A metric of nothing but the name "m", alone: its sender would not send it again.
    let message = [10, 7, 18, 5, 18, 3, 10, 1, b'm'];
    let check = |answer: &[u8]| {
        let (number, partial) = crate::protobuf::Fields::of(answer).next().unwrap().unwrap();
        let fields: Vec<_> = crate::protobuf::Fields::of(partial.bytes().unwrap()).map(Result::unwrap).collect();
        assert_eq!((number, fields[0].0, fields[0].1.int(), fields[1].0), (1, 1, Ok(1), 2));
        assert!(fields[1].1.text().unwrap().contains("known kind"));
    };
    let answer = sender.post("Bearer", "/v1/metrics", "application/x-protobuf", message.to_vec()).await;
    assert_eq!(answer.status, StatusCode::OK);
    check(&answer.body);
    let path = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";
    let framed = [&[0, 0, 0, 0, 9][..], &message].concat();
    let answer = sender.post("Bearer", path, "application/grpc", framed).await;
    assert_eq!(answer.body[..4], [0; 4]);
    assert_eq!(usize::from(answer.body[4]), answer.body.len() - 5);
    check(&answer.body[5..]);
    let stored = sender.fixture.fakes.submissions.lock().unwrap();
    let kept: Vec<_> = stored.iter().flat_map(|one| &one.quarantined).map(|record| record.bytes.as_slice()).collect();
    assert_eq!(kept.len(), 4);
    assert_eq!((kept[0], kept[2]), (&br#"{"name":"later"}"#[..], &br#"{"name":"m"}"#[..]));
}

#[tokio::test]
async fn otlp_is_taken_over_grpc_and_refused_in_its_own_form() {
    let sender = Sender::new().await;
    let path = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";
    // A record whose body is the text "hi".
    let message = [10, 10, 18, 8, 18, 6, 42, 4, 10, 2, b'h', b'i'];
    let framed = |message: &[u8]| [&[0, 0, 0, 0, u8::try_from(message.len()).unwrap()], message].concat();
    let answer = sender.post("Bearer", path, "application/grpc", framed(&message)).await;
    assert_eq!((answer.status, answer.header("content-type")), (StatusCode::OK, "application/grpc"));
    assert_eq!(answer.body, [0; 5], "an empty message");
    assert_eq!(sender.stored("Message"), [row("AppTraces", 1, "hi")]);
    let refused = async |scheme: &str, kind: &str, body: &[u8]| {
        let answer = sender.post(scheme, path, kind, body.to_vec()).await;
        assert_eq!((answer.status, answer.body.len()), (StatusCode::OK, 0));
        assert!(!answer.header("grpc-message").is_empty());
        answer.header("grpc-status").parse::<u8>().unwrap()
    };
    assert_eq!(refused("Bearer", "application/grpc", b"\0").await, 3);
    assert_eq!(refused("Bearer", "application/grpc", &framed(b"x")).await, 3);
    assert_eq!(refused("Bearer", "application/grpc+json", &framed(b"x")).await, 12);
    assert_eq!(refused("Nobody", "application/grpc", &framed(&message)).await, 16);
    sender.refuse_once(ErrorKind::RETRY);
    assert_eq!(refused("Bearer", "application/grpc", &framed(&message)).await, 14);
    sender.refuse_once(ErrorKind::Denied);
    assert_eq!(refused("Bearer", "application/grpc", &framed(&message)).await, 7);
}

#[tokio::test]
async fn rows_are_streamed_into_tables_as_kustos_clients_send_them() {
    let sender = Sender::new().await;
    let path = "/v1/rest/ingest/NetDefaultDB/Mine_CL";
    let answer =
        sender.post("Bearer", &format!("{path}?streamFormat=JSON"), "", "{\"Score\":\"1.5\"}\n{\"Other\":2}").await;
    assert_eq!(answer.json()["Tables"][0]["Rows"][0][0], 2, "{}", answer.text());
    // The text went into the column of numbers that the table has.
    assert_eq!(sender.stored("Score"), [row("Mine_CL", 2, "1.5")]);
    let answer = sender.post("Bearer", &format!("{path}?streamFormat=csv"), "", ",2.5,7\n").await;
    assert_eq!(answer.json()["Tables"][0]["Rows"][0][0], 1, "{}", answer.text());
    assert_eq!(sender.stored("Score")[1], row("Mine_CL", 1, "2.5"));
    for (parameters, words) in [
        ("?streamFormat=avro", "multijson"),
        ("?streamFormat=json&mappingName=m", "'m'"),
        ("?streamFormat=json&sourceKind=uri", "sourceKind"),
        ("?streamFormat=json", "none of the 1 records"),
    ] {
        let answer = sender.post("Bearer", &format!("{path}{parameters}"), "", "no json").await;
        let error = &answer.json()["error"];
        assert_eq!((answer.status, &error["@permanent"]), (StatusCode::BAD_REQUEST, &true.into()), "{parameters}");
        assert!(error["@message"].as_str().unwrap().contains(words), "{parameters}: {error}");
    }
    let mapping = |kind, mapping: &str| moneta_ports::IngestionMapping {
        table: "Mine_CL".to_owned(),
        kind,
        name: "m".to_owned(),
        mapping: mapping.to_owned(),
        changed_by: String::new(),
        changed_at: 0,
    };
    let json = mapping(moneta_ports::MappingKind::Json, r#"[{"column":"Score","path":"$.s.x"}]"#);
    let csv = mapping(moneta_ports::MappingKind::Csv, r#"[{"column":"Score","ordinal":"1"}]"#);
    sender.fixture.fakes.mappings.lock().unwrap().extend([json, csv]);
    let answer = sender
        .post("Bearer", &format!("{path}?streamFormat=multijson&mappingName=m"), "", r#"[{"s":{"x":4},"Other":"o"}]"#)
        .await;
    assert_eq!(answer.json()["Tables"][0]["Rows"][0][0], 1, "{}", answer.text());
    assert_eq!(sender.stored("Score").last().unwrap(), &row("Mine_CL", 1, "4.0"));
    assert_eq!(sender.stored("_Extra").last().unwrap().2, r#"{"Unmapped":{"Other":"o"}}"#);
    let answer = sender.post("Bearer", &format!("{path}?streamFormat=tsv&mappingName=m"), "", "x\t7\n").await;
    assert_eq!(answer.json()["Tables"][0]["Rows"][0][0], 1, "{}", answer.text());
    assert_eq!(sender.stored("Score").last().unwrap(), &row("Mine_CL", 1, "7.0"));
    let answer = sender.post("Bearer", &format!("{path}?streamFormat=json&mappingName=m"), "", "{} 5").await;
    assert!(answer.json()["error"]["@message"].as_str().unwrap().contains("JSON objects"), "{}", answer.text());
    let answer = sender.post("Bearer", "/v1/rest/ingest/Moneta/New_CL?streamFormat=csv", "", "1,2").await;
    assert!(answer.json()["error"]["@message"].as_str().unwrap().contains("no columns yet"));
    let answer = sender.post("Bearer", "/v1/rest/ingest/Moneta/None?streamFormat=json", "", "{}").await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert!(answer.json()["error"]["@message"].as_str().unwrap().contains("None_CL"));
    let answer = sender.post("Bearer", "/v1/rest/ingest/Other/Mine_CL?streamFormat=json", "", "{}").await;
    assert_eq!(answer.json()["error"]["code"], "BadRequest_EntityNotFound");
    sender.refuse_once(ErrorKind::RETRY);
    let busy = sender.post("Bearer", &format!("{path}?streamFormat=json"), "", "{\"a\":1}").await;
    assert_eq!((busy.status, &busy.json()["error"]["@permanent"]), (StatusCode::SERVICE_UNAVAILABLE, &false.into()));
}

#[tokio::test]
async fn samples_of_remote_write_become_metrics() {
    let sender = Sender::new().await;
    let field = |number: u8, bytes: &[u8]| [&[number << 3 | 2, u8::try_from(bytes.len()).unwrap()], bytes].concat();
    let label = |name: &[u8], value: &[u8]| field(1, &[field(1, name), field(2, value)].concat());
    // 1767323045000 milliseconds.
    let sample = [&[0x09][..], &1.5_f64.to_le_bytes(), &[0x10, 0x88, 0x99, 0xa6, 0xe5, 0xb7, 0x33]].concat();
    let series = [label(b"__name__", b"up"), label(b"instance", b"web"), field(2, &sample)].concat();
    let packed = snap::raw::Encoder::new().compress_vec(&field(1, &series)).unwrap();
    let authorization = format!("Bearer {}", sender.token);
    let send = async |path: &str, encoding: &str, body: Vec<u8>| {
        let headers = [
            ("authorization", authorization.as_str()),
            ("content-type", "application/x-protobuf"),
            ("content-encoding", encoding),
        ];
        sender.fixture.call("POST", path, &headers, body).await
    };
    // Senders name the encoding that the protocol prescribes; no other is taken for content.
    let answer = send("/api/v1/write", "snappy", packed.clone()).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT, "{}", answer.text());
    for (path, encoding) in [("/api/v1/write", "deflate"), ("/v1/ingest/Mine_CL", "snappy")] {
        let refused = send(path, encoding, packed.clone()).await;
        assert_eq!(refused.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{path}");
        assert!(refused.text().contains("gzip, zstd or no Content-Encoding"), "{}", refused.text());
    }
    assert_eq!(answer.header("x-prometheus-remote-write-samples-written"), "1");
    assert_eq!(sender.stored("Name"), [row("InsightsMetrics", 1, "up")]);
    assert_eq!(sender.stored("Tags")[0].2, "{\"instance\":\"web\"}");
    let answer = sender.post("Bearer", "/api/v1/write", "application/x-protobuf", "x").await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn alerts_of_others_become_rows() {
    let sender = Sender::new().await;
    let alert = json!({ "labels": { "alertname": "Down", "severity": "page", "instance": "web" },
        "annotations": { "summary": "it is down" }, "startsAt": "2026-01-02T03:00:00Z", "endsAt": "2026-01-02T03:01:00Z" });
    let answer = sender.post("Bearer", "/api/v2/alerts", "application/json", json!([alert]).to_string()).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    assert_eq!(sender.stored("AlertState"), [row("Alert", 1, "resolved")]);
    let body = json!({ "version": "4", "groupKey": "g", "receiver": "r",
        "alerts": [{ "status": "firing", "labels": {}, "fingerprint": "f" }] });
    let answer = sender.post("Bearer", "/alertmanager/webhook", "application/json", body.to_string()).await;
    assert_eq!((answer.status, sender.stored("AlertId")[1].2.as_str()), (StatusCode::OK, "f"));
    for bad in ["[{}]", "{}", "["] {
        let answer = sender.post("Bearer", "/api/v2/alerts", "application/json", bad).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{bad}");
    }

    let enqueue = |event: Value| {
        let fixture = &sender.fixture;
        async move { fixture.call("POST", "/v2/enqueue", &[("content-type", "application/json")], event.to_string()).await }
    };
    let payload = json!({ "summary": "disk full", "source": "db", "severity": "critical" });
    let event = json!({ "routing_key": sender.token, "event_action": "trigger", "dedup_key": "d", "payload": payload });
    let answer = enqueue(event.clone()).await;
    assert_eq!((answer.status, &answer.json()["dedup_key"]), (StatusCode::ACCEPTED, &"d".into()));
    assert_eq!(sender.stored("AlertName")[2].2, "disk full");
    for (change, status) in [
        (json!({ "routing_key": "wrong" }), StatusCode::UNAUTHORIZED),
        (json!({ "event_action": "explode" }), StatusCode::BAD_REQUEST),
        (json!({ "payload": {} }), StatusCode::BAD_REQUEST),
    ] {
        let mut event = event.clone();
        event.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        assert_eq!(enqueue(event).await.status, status, "{change}");
    }
    assert_eq!(sender.stored("AlertId").len(), 3);
}
