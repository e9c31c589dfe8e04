//! A simulated server of S3's protocol: keeps objects in memory, and fails, loses answers, or dies on demand.
//!
//! It speaks what [`moneta_s3::Client`] speaks and refuses everything else, so that a simulation runs the whole client.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use moneta_base::objects::ListedObject;
use moneta_base::percent;
use moneta_s3::{Client, ClientParts, Credentials, Method, Place, Request, Response, Transport};

use crate::{FixedClock, Random, SeededEntropy};

/// Keys on one page of a list: few, so that paging is tried.
const PAGE_KEYS: usize = 3;

/// What goes wrong with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum S3Fault {
    /// The server answers 503 and does nothing.
    Busy,
    /// The connection breaks before the server acts.
    Broken,
    /// The server acts, and its answer is lost.
    Lost,
    /// As [`Self::Broken`], and so is every later request until [`SimS3::mend`].
    DiesBefore,
    /// As [`Self::Lost`], and every later request breaks until [`SimS3::mend`].
    DiesAfter,
}

/// A server with one bucket. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct SimS3 {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// Versions of each key, the newest last.
    objects: BTreeMap<String, Vec<Stored>>,
    is_versioned: bool,
    /// Wishes for a lock are taken and forgotten.
    has_no_locks: bool,
    num_versions: u64,
    num_requests: usize,
    /// Requests by the key they name.
    requests: BTreeMap<String, usize>,
    fault: Option<(usize, S3Fault)>,
    is_dead: bool,
    chance: Option<Chance>,
}

#[derive(Debug, Clone)]
struct Stored {
    version: u64,
    bytes: Vec<u8>,
    lock: Option<String>,
}

impl Stored {
    /// What tells the content from others of the key.
    fn tag(&self) -> String {
        format!("\"{}\"", self.version)
    }
}

/// Faults by chance: so many requests in a hundred.
#[derive(Debug)]
struct Chance {
    random: Random,
    errors_percent: usize,
    lost_percent: usize,
}

impl SimS3 {
    /// A client of the bucket, which pauses for nothing.
    ///
    /// # Panics
    /// Never: the address is one.
    #[must_use]
    pub fn client(&self) -> Client {
        let parts = ClientParts {
            transport: Arc::new(self.clone()),
            credentials: Box::new(|| Ok(Credentials::new("KEY", "secret", None))),
            clock: Arc::new(FixedClock::default()),
            entropy: Arc::new(SeededEntropy::new(1)),
            pause: Box::new(|_| {}),
        };
        Client::new(Place::new(Some("http://s3.test"), "us-east-1", "logs", true).expect("an address"), parts)
    }

    /// An empty bucket that keeps one version of each object.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty bucket that keeps every version.
    #[must_use]
    pub fn versioned() -> Self {
        let server = Self::new();
        server.lock().is_versioned = true;
        server
    }

    /// An empty bucket that takes wishes for a lock and locks nothing.
    #[must_use]
    pub fn without_locks() -> Self {
        let server = Self::versioned();
        server.lock().has_no_locks = true;
        server
    }

    /// Lets the request with this number, counted from now, go wrong.
    pub fn fail_request(&self, nth: usize, fault: S3Fault) {
        let mut state = self.lock();
        state.fault = Some((state.num_requests + nth, fault));
    }

    /// Lets requests go wrong by chance from now on.
    pub fn fail_by_chance(&self, seed: u64, errors_percent: usize, lost_percent: usize) {
        self.lock().chance = Some(Chance { random: Random::new(seed), errors_percent, lost_percent });
    }

    /// From now on nothing goes wrong.
    pub fn mend(&self) {
        let mut state = self.lock();
        (state.fault, state.is_dead, state.chance) = (None, false, None);
    }

    /// Requests so far.
    #[must_use]
    pub fn num_requests(&self) -> usize {
        self.lock().num_requests
    }

    /// Requests about a key that were answered.
    #[must_use]
    pub fn requests_of(&self, key: &str) -> usize {
        self.lock().requests.get(key).copied().unwrap_or_default()
    }

    /// The objects whose newest version is there, in order of keys.
    #[must_use]
    pub fn objects(&self) -> Vec<ListedObject> {
        self.lock().listed("")
    }

    /// The number of versions that take room, of all objects.
    #[must_use]
    pub fn num_stored(&self) -> usize {
        self.lock().objects.values().map(Vec::len).sum()
    }

    /// The newest content of a key.
    #[must_use]
    pub fn peek(&self, key: &str) -> Option<Vec<u8>> {
        self.lock().objects.get(key)?.last().map(|stored| stored.bytes.clone())
    }

    /// How the newest version of a key is locked, as the request said.
    #[must_use]
    pub fn lock_of(&self, key: &str) -> Option<String> {
        self.lock().objects.get(key)?.last()?.lock.clone()
    }

    /// Puts an object there, as another program does.
    pub fn put(&self, key: &str, bytes: &[u8]) {
        let mut state = self.lock();
        state.num_versions += 1;
        let stored = Stored { version: state.num_versions, bytes: bytes.to_vec(), lock: None };
        state.objects.insert(key.to_owned(), vec![stored]);
    }

    /// Changes the content of a key behind everybody's back.
    pub fn overwrite(&self, key: &str, bytes: &[u8]) {
        if let Some(stored) = self.lock().objects.get_mut(key).and_then(|versions| versions.last_mut()) {
            stored.bytes = bytes.to_vec();
        }
    }

    /// Removes a key behind everybody's back.
    pub fn remove(&self, key: &str) {
        self.lock().objects.remove(key);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Transport for SimS3 {
    fn send(&self, request: &Request) -> Result<Response, String> {
        let mut state = self.lock();
        let number = state.num_requests;
        state.num_requests += 1;
        if state.is_dead {
            return Err("the server is not there".to_owned());
        }
        let planned = state.fault.filter(|(nth, _)| *nth == number).map(|(_, fault)| fault);
        match planned.or_else(|| state.chance.as_mut()?.draw()) {
            None => Ok(state.act(request)),
            Some(S3Fault::Busy) => Ok(error(503, "SlowDown")),
            Some(S3Fault::Broken) => Err("the connection broke".to_owned()),
            Some(S3Fault::Lost) => {
                state.act(request);
                Err("the answer was lost".to_owned())
            }
            Some(S3Fault::DiesBefore) => {
                state.is_dead = true;
                Err("the server died".to_owned())
            }
            Some(S3Fault::DiesAfter) => {
                state.act(request);
                state.is_dead = true;
                Err("the server died".to_owned())
            }
        }
    }
}

impl Chance {
    fn draw(&mut self) -> Option<S3Fault> {
        match self.random.below(100) {
            number if number < self.errors_percent => {
                Some(if self.random.chance(2) { S3Fault::Busy } else { S3Fault::Broken })
            }
            number if number < self.errors_percent + self.lost_percent => Some(S3Fault::Lost),
            _ => None,
        }
    }
}

impl State {
    fn act(&mut self, request: &Request) -> Response {
        assert!(request.header("authorization").is_some_and(|text| text.contains("Signature=")), "it is signed");
        let (path, query) = request.url.split_once('?').unwrap_or((&request.url, ""));
        // `http://host/bucket/key`
        let key = path.splitn(5, '/').nth(4).unwrap_or_default().to_owned();
        *self.requests.entry(key.clone()).or_default() += 1;
        let query: BTreeMap<&str, String> = query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(k, v)| (k, percent::decode(v).unwrap_or_default()))
            .collect();
        match request.method {
            Method::Put => self.put(request, &key),
            Method::Get if key.is_empty() => self.list(&query),
            Method::Get | Method::Head => self.get(request, &key, query.get("versionId")),
            Method::Delete => self.delete(&key, query.get("versionId")),
        }
    }

    fn put(&mut self, request: &Request, key: &str) -> Response {
        let is_there = self.objects.get(key).is_some_and(|versions| !versions.is_empty());
        if is_there && request.header("if-none-match") == Some("*") {
            return error(412, "PreconditionFailed");
        }
        self.num_versions += 1;
        let lock = request.header("x-amz-object-lock-mode").zip(request.header("x-amz-object-lock-retain-until-date"));
        let lock = lock.filter(|_| !self.has_no_locks).map(|(mode, until)| format!("{mode} {until}"));
        let stored = Stored { version: self.num_versions, bytes: request.body.to_vec(), lock };
        let versions = self.objects.entry(key.to_owned()).or_default();
        if !self.is_versioned {
            versions.clear();
        }
        versions.push(stored);
        self.answer(200, self.num_versions, Vec::new())
    }

    fn get(&self, request: &Request, key: &str, version: Option<&String>) -> Response {
        let Some(versions) = self.objects.get(key) else { return error(404, "NoSuchKey") };
        let is_wanted = |stored: &&Stored| version.is_none_or(|version| stored.version.to_string() == *version);
        let Some(stored) = versions.iter().rev().find(is_wanted) else { return error(404, "NoSuchVersion") };
        if request.header("if-match").is_some_and(|tag| tag != stored.tag()) {
            return error(412, "PreconditionFailed");
        }
        if request.method == Method::Head {
            let mut answer = self.answer(200, stored.version, Vec::new());
            answer.headers.push(("content-length".to_owned(), stored.bytes.len().to_string()));
            if let Some((mode, until)) = stored.lock.as_ref().and_then(|lock| lock.split_once(' ')) {
                answer.headers.push(("x-amz-object-lock-mode".to_owned(), mode.to_owned()));
                answer.headers.push(("x-amz-object-lock-retain-until-date".to_owned(), until.to_owned()));
            }
            return answer;
        }
        let range = request.header("range").and_then(|text| text.strip_prefix("bytes=")?.split_once('-'));
        let range = range.and_then(|(from, to)| Some((from.parse::<usize>().ok()?, to.parse::<usize>().ok()?)));
        match range {
            None => self.answer(200, stored.version, stored.bytes.clone()),
            Some((from, _)) if from >= stored.bytes.len() => error(416, "InvalidRange"),
            Some((from, to)) => {
                let end = stored.bytes.len().min(to + 1);
                self.answer(206, stored.version, stored.bytes[from..end].to_vec())
            }
        }
    }

    fn delete(&mut self, key: &str, version: Option<&String>) -> Response {
        if let Some(versions) = self.objects.get_mut(key) {
            versions.retain(|stored| version.is_some_and(|version| stored.version.to_string() != *version));
            if versions.is_empty() {
                self.objects.remove(key);
            }
        }
        Response { status: 204, ..Response::default() }
    }

    fn listed(&self, prefix: &str) -> Vec<ListedObject> {
        let newest = self.objects.iter().filter(|(key, _)| key.starts_with(prefix));
        let newest = newest.filter_map(|(key, versions)| Some((key.clone(), versions.last()?)));
        let listed = |(key, stored): (String, &Stored)| ListedObject {
            key,
            size_bytes: stored.bytes.len() as u64,
            tag: Some(stored.tag()),
        };
        newest.map(listed).collect()
    }

    fn list(&self, query: &BTreeMap<&str, String>) -> Response {
        let all = self.listed(query.get("prefix").map_or("", String::as_str));
        let after = query.get("continuation-token").cloned().unwrap_or_default();
        let rest: Vec<_> = all.into_iter().filter(|object| object.key > after).collect();
        let page = &rest[..rest.len().min(PAGE_KEYS)];
        let mut xml = String::from("<?xml version=\"1.0\"?>\n<ListBucketResult>");
        for object in page {
            let (key, size, tag) = (&object.key, object.size_bytes, object.tag.as_deref().unwrap_or_default());
            xml.push_str(&format!("<Contents><Key>{key}</Key><ETag>{tag}</ETag><Size>{size}</Size></Contents>"));
        }
        if let (true, Some(last)) = (rest.len() > page.len(), page.last()) {
            let token = &last.key;
            xml.push_str(&format!(
                "<IsTruncated>true</IsTruncated><NextContinuationToken>{token}</NextContinuationToken>"
            ));
        }
        xml.push_str("</ListBucketResult>");
        Response { status: 200, headers: Vec::new(), body: xml.into_bytes() }
    }

    fn answer(&self, status: u16, version: u64, body: Vec<u8>) -> Response {
        let version = if self.is_versioned { version.to_string() } else { "null".to_owned() };
        Response { status, headers: vec![("x-amz-version-id".to_owned(), version)], body }
    }
}

fn error(status: u16, code: &str) -> Response {
    let body = format!("<Error><Code>{code}</Code><Message>as planned</Message></Error>");
    Response { status, headers: Vec::new(), body: body.into_bytes() }
}
