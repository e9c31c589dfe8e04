//! Shippers that no package brings for a test: the calls they make, from documentation, with what they need answered.
//!
//! A file of `shippers/` has calls one after the other, with a blank line between: method and path, headers, the body's
//! lines after `>`, and after `=` what must come: a status, a header, a JSON value at a pointer (`-` for none), rows
//! stored in a table. `? busy` says that the store has no room at that moment.

use axum::http::StatusCode;
use moneta_base::ErrorKind;
use moneta_ports::{PortError, Scope};
use serde_json::Value;

use super::{Answer, Fixture};

#[derive(Default)]
struct Call<'a> {
    method: &'a str,
    path: &'a str,
    headers: Vec<(&'a str, &'a str)>,
    body: String,
    busy: bool,
    expected: Vec<&'a str>,
}

fn calls(text: &str) -> Vec<Call<'_>> {
    let blocks = text.split("\n\n").map(|block| block.lines().filter(|line| !line.starts_with('#')));
    blocks.filter_map(call).collect()
}

/// The call of a block; `None` of one that has comments only.
fn call<'a>(mut lines: impl Iterator<Item = &'a str>) -> Option<Call<'a>> {
    let (method, path) = lines.next()?.split_once(' ').unwrap();
    let mut call = Call { method, path, ..Call::default() };
    for line in lines {
        if let Some(line) = line.strip_prefix("> ") {
            call.body.push_str(line);
            call.body.push('\n');
        } else if line == "? busy" {
            call.busy = true;
        } else if let Some(expected) = line.strip_prefix("= ") {
            call.expected.push(expected);
        } else {
            call.headers.push(line.split_once(": ").unwrap());
        }
    }
    Some(call)
}

fn check(fixture: &Fixture, call: &Call<'_>, answer: &Answer) {
    let named = format!("{} {}: {}", call.method, call.path, answer.text());
    for expected in &call.expected {
        let words: Vec<&str> = expected.splitn(3, ' ').collect();
        match words.as_slice() {
            [status] => assert_eq!(answer.status.as_str(), *status, "{named}"),
            ["header", name, value] => assert_eq!(answer.header(name), *value, "{named}"),
            ["json", pointer, "-"] => assert_eq!(answer.json().pointer(pointer), None, "{named}"),
            ["json", pointer, value] => {
                let value: Value = serde_json::from_str(value).unwrap();
                assert_eq!(answer.json().pointer(pointer), Some(&value), "{named}");
            }
            ["stored", table, rows] => {
                let stored = fixture.fakes.submissions.lock().unwrap();
                let last = &stored.last().unwrap().batches;
                let found: Vec<_> = last.iter().map(|b| (b.table.as_str(), b.rows.num_rows().to_string())).collect();
                assert_eq!(found, [(*table, (*rows).to_owned())], "{named}");
            }
            other => panic!("{other:?} says nothing of an answer"),
        }
    }
}

#[tokio::test]
async fn shippers_find_what_they_ask_for_and_their_events_are_stored() {
    for (name, text, num_calls) in [
        ("filebeat", include_str!("shippers/filebeat.txt"), 11),
        ("winlogbeat", include_str!("shippers/winlogbeat.txt"), 2),
        ("logstash", include_str!("shippers/logstash.txt"), 10),
    ] {
        let fixture = Fixture::new();
        let token = fixture.credential(&[Scope::Ingest]).await;
        let all = calls(text);
        assert_eq!(all.len(), num_calls, "{name}");
        for call in &all {
            let authorization = format!("ApiKey {token}");
            let mut headers = call.headers.clone();
            headers.push(("authorization", &authorization));
            if call.busy {
                let refusal = PortError::new(ErrorKind::RETRY, "no room");
                fixture.fakes.refusals.lock().unwrap().push(refusal);
            }
            let answer = fixture.call(call.method, call.path, &headers, call.body.clone()).await;
            check(&fixture, call, &answer);
            // Without a credential nothing but the first question is answered.
            let open = fixture.call(call.method, call.path, &call.headers, call.body.clone()).await;
            assert_eq!(open.status == StatusCode::UNAUTHORIZED, call.path != "/", "{name}: {}", call.path);
        }
    }
}

/// Beats halve a batch that is refused as too large until it is taken; Logstash drops what it cannot send so.
#[tokio::test]
async fn a_batch_that_is_too_large_is_refused_as_such_and_its_parts_are_taken() {
    let fixture = Fixture::new();
    let authorization = format!("ApiKey {}", fixture.credential(&[Scope::Ingest]).await);
    let headers = [("authorization", authorization.as_str()), ("content-type", "application/x-ndjson")];
    let event = format!("{{\"create\":{{\"_index\":\"door\"}}}}\n{{\"text\":\"{}\"}}\n", "x".repeat(1 << 19));
    let send = async |count: usize| {
        let answer = fixture.call("POST", "/_bulk?filter_path=errors", &headers, event.repeat(count)).await;
        (answer.status, answer.json())
    };
    let (status, refused) = send(80).await;
    assert_eq!((status, &refused["status"]), (StatusCode::PAYLOAD_TOO_LARGE, &413.into()), "{refused}");
    assert_eq!(refused["error"]["type"], "content_too_long_exception");
    assert!(fixture.fakes.submissions.lock().unwrap().is_empty());
    for _ in 0..2 {
        assert_eq!(send(40).await, (StatusCode::OK, serde_json::json!({ "errors": false })));
    }
    assert_eq!(fixture.fakes.submissions.lock().unwrap().len(), 2);
}
