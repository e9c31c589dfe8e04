//! Prometheus' query interface, in the forms that Grafana and promtool read.

use axum::http::StatusCode;
use moneta_ports::Scope;
use serde_json::{Value, json};

use super::Fixture;

/// The fakes' clock, in seconds since 1970; their samples are of that second and of those before it.
const NOW: i64 = 1_767_323_045;

struct Asker {
    fixture: Fixture,
    credential: String,
}

impl Asker {
    async fn new() -> Self {
        let fixture = Fixture::new();
        let credential = fixture.credential(&[Scope::Query]).await;
        Self { fixture, credential }
    }

    /// An answer by `GET`, which is also that by a form.
    async fn ask(&self, path: &str, parameters: &str) -> (StatusCode, Value) {
        let bearer = format!("Bearer {}", self.credential);
        let headers = [("authorization", bearer.as_str())];
        let answer = self.fixture.call("GET", &format!("{path}?{parameters}"), &headers, "").await;
        let form = [headers[0], ("content-type", "application/x-www-form-urlencoded")];
        if !path.ends_with("/values") {
            let posted = self.fixture.call("POST", path, &form, parameters.to_owned()).await;
            assert_eq!((posted.status, posted.json()), (answer.status, answer.json()), "{path}?{parameters}");
        }
        (answer.status, answer.json())
    }
}

#[tokio::test]
async fn instant_queries_answer_vectors_scalars_and_windows() {
    let asker = Asker::new().await;
    let check = async |query: &str, kind: &str, result: Value| {
        let expected = json!({ "status": "success", "data": { "resultType": kind, "result": result } });
        assert_eq!(asker.ask("/api/v1/query", &format!("query={query}")).await, (StatusCode::OK, expected), "{query}");
    };
    let up = json!({ "__name__": "up", "instance": "a", "job": "web" });
    check("up", "vector", json!([{ "metric": up, "value": [NOW, "1"] }])).await;
    check("sum(up)%2B1", "vector", json!([{ "metric": {}, "value": [NOW, "2"] }])).await;
    check("1%2B1", "scalar", json!([NOW, "2"])).await;
    check("up%5B20s%5D", "matrix", json!([{ "metric": up, "values": [[NOW - 15, "0.5"], [NOW, "1"]] }])).await;
    check("up%7Bjob%3D%22other%22%7D", "vector", json!([])).await;
    let queries = asker.fixture.fakes.queries.lock().unwrap();
    assert!(queries[0].1.text.contains("| where Name == 'up'"), "{}", queries[0].1.text);
}

#[tokio::test]
async fn range_queries_answer_a_value_at_each_step() {
    let asker = Asker::new().await;
    let parameters = format!("query=up*2&start={}&end={NOW}&step=15s", NOW - 15);
    let (_, answer) = asker.ask("/api/v1/query_range", &parameters).await;
    assert_eq!(answer["data"]["resultType"], "matrix");
    let expected = json!([{ "metric": { "instance": "a", "job": "web" }, "values": [[NOW - 15, "1"], [NOW, "2"]] }]);
    assert_eq!(answer["data"]["result"], expected);
}

#[tokio::test]
async fn labels_and_series_are_listed() {
    let asker = Asker::new().await;
    let data = async |path: &str, parameters: &str| asker.ask(path, parameters).await.1["data"].clone();
    assert_eq!(data("/api/v1/labels", "").await, json!(["__name__", "instance", "job"]));
    assert_eq!(data("/api/v1/label/job/values", "match[]=up").await, json!(["web"]));
    assert_eq!(data("/api/v1/label/absent/values", "").await, json!([]));
    let series = json!([{ "__name__": "up", "instance": "a", "job": "web" }]);
    assert_eq!(data("/api/v1/series", "match[]=up&match[]=down").await, series);
    let built = asker.fixture.send(&asker.credential, "GET", "/api/v1/status/buildinfo", "").await.json();
    assert_eq!(built["data"]["application"], "Moneta 1.2.3");
}

#[tokio::test]
async fn what_is_wrong_or_not_supported_says_so_in_prometheus_form() {
    let asker = Asker::new().await;
    let check = async |path: &str, parameters: &str, status: StatusCode, kind: &str, words: &str| {
        let (found, answer) = asker.ask(path, parameters).await;
        let told = (found, answer["status"].as_str(), answer["errorType"].as_str());
        assert_eq!(told, (status, Some("error"), Some(kind)), "{parameters}: {answer}");
        assert!(answer["error"].as_str().unwrap().contains(words), "{parameters}: {answer}");
    };
    let (bad, unable) = (StatusCode::BAD_REQUEST, StatusCode::UNPROCESSABLE_ENTITY);
    check("/api/v1/query", "query=histogram_quantile(0.9,a)", bad, "bad_data", "histogram_quantile()").await;
    check("/api/v1/query", "query=up%7B", bad, "bad_data", "1:4: parse error").await;
    check("/api/v1/query", "", bad, "bad_data", "\"query\"").await;
    check("/api/v1/query", "query=up&time=soon", bad, "bad_data", "\"time\"").await;
    check("/api/v1/query_range", "query=up&start=1&end=2", bad, "bad_data", "\"step\"").await;
    check("/api/v1/query_range", "query=up&start=0&end=99999&step=1", bad, "bad_data", "11,000").await;
    check("/api/v1/query_range", "query=up[1m]&start=0&end=1&step=1", bad, "bad_data", "range vector").await;
    check("/api/v1/series", "", bad, "bad_data", "match[]").await;
    check("/api/v1/query", "query=twice*2", unable, "execution", "same labelset").await;
    let refused = asker.fixture.call("GET", "/api/v1/query?query=up", &[], "").await;
    assert_eq!((refused.status, &refused.json()["errorType"]), (StatusCode::UNAUTHORIZED, &"unauthorized".into()));
    let ingest = asker.fixture.credential(&[Scope::Ingest]).await;
    let refused = asker.fixture.send(&ingest, "GET", "/api/v1/query?query=up", "").await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
}
