//! The sign-in, the Office 365 Management Activity API and Microsoft Graph as their documentation describes them, as far
//! as a collector sees them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use moneta_base::{Timestamp, percent};
use moneta_collect::{HttpAnswer, HttpCaller, HttpFailure, HttpRequest};
use moneta_ports::BoxFuture;
use serde_json::{Value, json};

pub const LOGIN: &str = "https://login.test";
pub const ACTIVITY: &str = "https://manage.test";
pub const GRAPH: &str = "https://graph.test";
pub const TENANT: &str = "t-1";
pub const CLIENT: &str = "c-1";
pub const SECRET: &str = "s~1";

/// Content of the Management Activity API.
pub struct Blob {
    pub content_type: &'static str,
    pub id: String,
    pub created: Timestamp,
    pub body: String,
    pub is_expired: bool,
}

/// What is answered in place of what would be, to requests whose address has a part.
pub struct Fault {
    pub part: &'static str,
    pub status: u16,
    pub code: &'static str,
    pub retry_after: Option<u64>,
}

#[derive(Default)]
pub struct State {
    pub blobs: Vec<Blob>,
    /// Records by the path of their list, each with the time that it is filtered by.
    pub records: BTreeMap<&'static str, Vec<(Timestamp, Value)>>,
    pub page: usize,
    pub faults: VecDeque<Fault>,
    /// Bytes of an answer at most, where that is less than what a request allows.
    pub answer_bytes_max: Option<usize>,
    pub subscribed: BTreeSet<String>,
    /// Whether the next page is named on another host.
    pub names_another_host: bool,
    /// Tokens that are good.
    tokens: BTreeSet<String>,
    pub num_tokens: usize,
    /// The last form that was posted to sign in.
    pub form: BTreeMap<String, String>,
    /// Every address that was called.
    pub called: Vec<String>,
}

/// The services of one directory.
#[derive(Clone, Default)]
pub struct Service(Arc<Mutex<State>>);

impl HttpCaller for Service {
    fn call(&self, request: HttpRequest) -> BoxFuture<'_, Result<HttpAnswer, HttpFailure>> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            let mut state = self.state();
            let answer = state.answer(&request);
            if answer.body.len() > state.answer_bytes_max.unwrap_or(request.answer_bytes_max) {
                return Err(HttpFailure::TooLarge);
            }
            Ok(answer)
        })
    }
}

impl Service {
    pub fn new() -> Self {
        let service = Self::default();
        service.state().page = 2;
        service
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Makes content available.
    pub fn add(&self, content_type: &'static str, id: &str, created: Timestamp, body: String) {
        let blob = Blob { content_type, id: id.to_owned(), created, body, is_expired: false };
        self.state().blobs.push(blob);
    }

    pub fn fail(&self, part: &'static str, status: u16, code: &'static str, retry_after: Option<u64>, times: usize) {
        let faults = (0..times).map(|_| Fault { part, status, code, retry_after });
        self.state().faults.extend(faults);
    }

    /// Makes every token bad, as their time does.
    pub fn revoke(&self) {
        self.state().tokens.clear();
    }

    pub fn num_calls(&self, part: &str) -> usize {
        self.state().called.iter().filter(|url| url.contains(part)).count()
    }
}

impl State {
    fn answer(&mut self, request: &HttpRequest) -> HttpAnswer {
        self.called.push(request.url.clone());
        let planned = self.faults.iter().position(|fault| request.url.contains(fault.part));
        if let Some(fault) = planned.and_then(|at| self.faults.remove(at)) {
            let mut answer = refusal(fault.status, fault.code);
            answer.headers.extend(fault.retry_after.map(|wait| ("retry-after".to_owned(), wait.to_string())));
            return answer;
        }
        if let Some(path) = request.url.strip_prefix(LOGIN) {
            return self.sign_in(path, request);
        }
        let (root, rest) = request.url.split_at(request.url.match_indices('/').nth(2).unwrap().0);
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let query: BTreeMap<String, String> = pairs(query);
        let token = request.headers.iter().find(|(name, _)| *name == "authorization").map(|(_, value)| value.as_str());
        let is_good = |token: &str| self.tokens.contains(&format!("{} {root}/.default", token));
        if !token.and_then(|text| text.strip_prefix("Bearer ")).is_some_and(is_good) {
            return refusal(401, "InvalidAuthenticationToken");
        }
        match root {
            ACTIVITY => self.activity(path, &query, request.post.is_some()),
            _ => self.graph(path, &query),
        }
    }

    fn sign_in(&mut self, path: &str, request: &HttpRequest) -> HttpAnswer {
        assert_eq!(path, "/t-1/oauth2/v2.0/token");
        self.form = pairs(request.post.as_deref().unwrap());
        assert_eq!((self.form["grant_type"].as_str(), self.form["client_id"].as_str()), ("client_credentials", CLIENT));
        let is_known = self.form.get("client_secret").is_none_or(|secret| secret == SECRET);
        if !is_known {
            let body = json!({"error": "invalid_client", "error_description": "AADSTS7000215: Invalid client secret."});
            return HttpAnswer { status: 401, headers: Vec::new(), body: body.to_string().into_bytes() };
        }
        self.num_tokens += 1;
        let token = format!("token-{}", self.num_tokens);
        self.tokens.insert(format!("{token} {}", self.form["scope"]));
        ok(&json!({"token_type": "Bearer", "expires_in": 3599, "access_token": token}))
    }

    fn activity(&mut self, path: &str, query: &BTreeMap<String, String>, is_post: bool) -> HttpAnswer {
        assert_eq!(query["PublisherIdentifier"], TENANT);
        let path = path.strip_prefix("/api/v1.0/t-1/activity/feed").unwrap();
        if let Some(id) = path.strip_prefix("/audit/") {
            let Some(blob) = self.blobs.iter().find(|blob| blob.id == id) else { return refusal(404, "AF20050") };
            if blob.is_expired {
                return refusal(400, "AF20051");
            }
            return HttpAnswer { status: 200, headers: Vec::new(), body: blob.body.clone().into_bytes() };
        }
        let content_type = &query["contentType"];
        if path == "/subscriptions/start" {
            assert!(is_post);
            if !self.subscribed.insert(content_type.clone()) {
                return refusal(400, "AF20024");
            }
            return ok(&json!({"contentType": content_type, "status": "enabled", "webhook": null}));
        }
        assert_eq!(path, "/subscriptions/content");
        if !self.subscribed.contains(content_type) {
            return refusal(400, "AF20022");
        }
        let time = |name: &str| Timestamp::parse(&format!("{}Z", query[name])).unwrap();
        let (from, to) = (time("startTime"), time("endTime"));
        assert!(from < to && to.since(from).as_secs() <= 24 * 3600, "{query:?}");
        let found = self.blobs.iter().filter(|blob| blob.content_type == content_type);
        let found: Vec<&Blob> = found.filter(|blob| from <= blob.created && blob.created < to).collect();
        let begin: usize = query.get("nextPage").map_or(0, |text| text.parse().unwrap());
        let entry = |blob: &&Blob| {
            json!({
                "contentType": content_type, "contentId": blob.id, "contentCreated": blob.created.to_string(),
                "contentUri": format!("{ACTIVITY}/api/v1.0/t-1/activity/feed/audit/{}", blob.id),
                "contentExpiration": blob.created.to_string(),
            })
        };
        let entries: Vec<Value> = found.iter().skip(begin).take(self.page).map(entry).collect();
        let mut answer = ok(&Value::from(entries));
        if begin + self.page < found.len() {
            let root = if self.names_another_host { "https://manage.test.evil" } else { ACTIVITY };
            let rest = format!("startTime={}&endTime={}", query["startTime"], query["endTime"]);
            let next = format!(
                "{root}/api/v1.0/t-1/activity/feed/subscriptions/content?contentType={content_type}&{rest}&nextPage={}",
                begin + self.page
            );
            answer.headers.push(("nextpageuri".to_owned(), next));
        }
        answer
    }

    fn graph(&mut self, path: &str, query: &BTreeMap<String, String>) -> HttpAnswer {
        let filter = &query["$filter"];
        let (begin, end) = filter.split_once(" and ").unwrap();
        let time = |text: &str, operator: &str| Timestamp::parse(text.split_once(operator).unwrap().1).unwrap();
        let (from, to) = (time(begin, " ge "), time(end, " le "));
        let all = self.records.get(path).map(Vec::as_slice).unwrap_or_default();
        // The newest first.
        let mut found: Vec<&(Timestamp, Value)> = all.iter().filter(|(at, _)| from <= *at && *at <= to).collect();
        found.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
        let begin: usize = query.get("$skiptoken").map_or(0, |text| text.parse().unwrap());
        let mut page = json!({
            "@odata.context": "x",
            "value": found.iter().skip(begin).take(self.page).map(|(_, record)| record.clone()).collect::<Vec<_>>(),
        });
        if begin + self.page < found.len() {
            // The last of a page comes again on the next.
            let filter = filter.replace(' ', "%20");
            let next = format!("{GRAPH}{path}?$filter={filter}&$skiptoken={}", begin + self.page - 1);
            page["@odata.nextLink"] = next.into();
        }
        ok(&page)
    }
}

fn ok(body: &Value) -> HttpAnswer {
    HttpAnswer { status: 200, headers: Vec::new(), body: body.to_string().into_bytes() }
}

fn refusal(status: u16, code: &str) -> HttpAnswer {
    let body = json!({"error": {"code": code, "message": "as planned"}});
    HttpAnswer { status, headers: Vec::new(), body: body.to_string().into_bytes() }
}

fn pairs(text: &str) -> BTreeMap<String, String> {
    text.split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.to_owned(), percent::decode(value).unwrap()))
        .collect()
}
