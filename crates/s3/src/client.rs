//! The client: signs, sends, tries again, and clears up what is unclear.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use bytes::Bytes;
use moneta_base::objects::{ListedObject, ObjectLock, ObjectName, Objects};
use moneta_base::{Clock, Entropy, Timestamp};

use crate::credentials::{Credentials, CredentialsError};
use crate::listing;
use crate::place::Place;
use crate::sign::{Unsigned, query_text, sha256, sign, whole_seconds};
use crate::transport::{Method, Request, Response, Transport};

/// Times a request is sent at most.
const ATTEMPTS_MAX: u32 = 8;
/// The pause before the second attempt is shorter than this; each later one may be twice as long.
const PAUSE_FIRST: Duration = Duration::from_millis(100);
/// A pause is never longer.
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// Bytes of an answer at most where it is an error, or of a page of a list: a thousand keys.
const ANSWER_BYTES_MAX: usize = 4 << 20;
/// Pages of a list at most: ten million objects.
const PAGES_MAX: usize = 10_000;
/// Characters of a server's reason that are shown.
const REASON_CHARS_MAX: usize = 300;

/// What a client works with.
pub struct ClientParts {
    /// Carries requests.
    pub transport: Arc<dyn Transport>,
    /// Gives the credentials, for every request anew: they may have been changed meanwhile.
    pub credentials: Box<dyn Fn() -> Result<Credentials, CredentialsError> + Send + Sync>,
    /// The time that signatures name.
    pub clock: Arc<dyn Clock>,
    /// Spreads attempts of many clients.
    pub entropy: Arc<dyn Entropy>,
    /// Waits between attempts.
    pub pause: Box<dyn Fn(Duration) + Send + Sync>,
}

/// A client of one bucket.
pub struct Client {
    place: Place,
    parts: ClientParts,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("place", &self.place).finish_non_exhaustive()
    }
}

/// What a request asks for, before it is signed.
struct Ask<'a> {
    method: Method,
    key: &'a str,
    query: Vec<(&'static str, String)>,
    headers: Vec<(&'static str, String)>,
    body: Bytes,
    body_sha256: [u8; 32],
    answer_bytes_max: usize,
}

impl<'a> Ask<'a> {
    fn new(method: Method, key: &'a str) -> Self {
        let (query, headers) = (Vec::new(), Vec::new());
        let answer_bytes_max = ANSWER_BYTES_MAX;
        Self { method, key, query, headers, body: Bytes::new(), body_sha256: sha256(b""), answer_bytes_max }
    }

    fn of_version(mut self, version: Option<&String>) -> Self {
        self.query.extend(version.map(|version| ("versionId", version.clone())));
        self
    }
}

impl Client {
    /// A client of a bucket.
    #[must_use]
    pub fn new(place: Place, parts: ClientParts) -> Self {
        Self { place, parts }
    }

    /// Sends a request until it has a clear answer: neither the server's trouble nor silence.
    fn send(&self, ask: &Ask<'_>) -> io::Result<Response> {
        let mut attempt = 1;
        loop {
            let answer = self.send_once(ask)?;
            let (reason, wait) = match answer {
                Ok(answer) if !is_passing(answer.status) => return Ok(answer),
                Ok(answer) => {
                    let wait = answer.header("retry-after").and_then(|text| text.trim().parse().ok());
                    (reason_of(&answer), wait.map(Duration::from_secs))
                }
                Err(reason) => (reason, None),
            };
            if attempt == ATTEMPTS_MAX {
                let message = format!("{} did not answer {attempt} requests; the last time: {reason}", self.place.host);
                return Err(io::Error::new(io::ErrorKind::TimedOut, message));
            }
            (self.parts.pause)(wait.unwrap_or_else(|| self.pause_after(attempt)).min(PAUSE_MAX));
            attempt += 1;
        }
    }

    /// A random part of a time that doubles with each attempt.
    fn pause_after(&self, attempt: u32) -> Duration {
        let longest = PAUSE_FIRST.saturating_mul(1 << attempt.min(16)).min(PAUSE_MAX);
        let mut bytes = [0; 4];
        self.parts.entropy.fill(&mut bytes);
        longest.mul_f64(f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX))
    }

    fn send_once(&self, ask: &Ask<'_>) -> io::Result<Result<Response, String>> {
        let credentials = (self.parts.credentials)()
            .map_err(|error| io::Error::new(io::ErrorKind::PermissionDenied, error.to_string()))?;
        let path = self.place.path_of(ask.key);
        let query = query_text(&ask.query);
        let unsigned = Unsigned {
            method: ask.method,
            path: &path,
            query: &ask.query,
            headers: ask.headers.clone(),
            payload_sha256: ask.body_sha256,
        };
        let headers = sign(unsigned, &self.place, &credentials, self.parts.clock.now());
        let mark = if query.is_empty() { "" } else { "?" };
        let request = Request {
            method: ask.method,
            url: format!("{}{}{path}{mark}{query}", self.place.scheme, self.place.host),
            headers,
            body: ask.body.clone(),
            answer_bytes_max: ask.answer_bytes_max,
        };
        Ok(self.parts.transport.send(&request))
    }

    /// The error of an answer that is none that was hoped for.
    fn refused(&self, ask: &Ask<'_>, answer: &Response) -> io::Error {
        let kind = match answer.status {
            404 => io::ErrorKind::NotFound,
            401 | 403 => io::ErrorKind::PermissionDenied,
            412 => io::ErrorKind::AlreadyExists,
            416 => io::ErrorKind::UnexpectedEof,
            _ => io::ErrorKind::Other,
        };
        let (method, place) = (ask.method.name(), self.uri(ask.key));
        io::Error::new(kind, format!("{method} {place}: {} answered {}", self.place.host, reason_of(answer)))
    }

    /// Reads exactly `len` bytes from `offset` of what is asked for.
    fn read_part(&self, mut ask: Ask<'_>, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        if len == 0 {
            return Ok(Vec::new());
        }
        let last = offset.saturating_add(len as u64 - 1);
        ask.headers.push(("range", format!("bytes={offset}-{last}")));
        ask.answer_bytes_max = len.max(ANSWER_BYTES_MAX);
        let answer = self.send(&ask)?;
        match answer.status {
            206 if answer.body.len() == len => Ok(answer.body),
            206 => {
                let message = format!("{}: {} of {len} bytes from {offset} on", self.uri(ask.key), answer.body.len());
                Err(io::Error::new(io::ErrorKind::UnexpectedEof, message))
            }
            412 => {
                let message = format!("{} was written anew while it was read", self.uri(ask.key));
                Err(io::Error::new(io::ErrorKind::InvalidData, message))
            }
            _ => Err(self.refused(&ask, &answer)),
        }
    }

    /// Whether a key holds exactly this content, and then its name.
    fn holds(&self, key: &str, size_bytes: usize, digest: &[u8; 32]) -> io::Result<Option<ObjectName>> {
        let (object, found) = self.newest(key)?;
        if found != size_bytes as u64 {
            return Ok(None);
        }
        let content = if size_bytes == 0 { Vec::new() } else { self.read_range(&object, 0, size_bytes)? };
        Ok((sha256(&content) == *digest).then_some(object))
    }

    /// Puts an object unless its key is taken by another content.
    fn put_once(
        &self,
        key: &str,
        bytes: Vec<u8>,
        sha256: &[u8; 32],
        lock: Option<ObjectLock>,
    ) -> io::Result<ObjectName> {
        let size_bytes = bytes.len();
        let ask = put(key, bytes.into(), *sha256, lock);
        let sent = self.send(&ask);
        match sent {
            Ok(answer) if answer.status == 200 => Ok(name_of(key, &answer)),
            // Somebody was first. It may have been an earlier attempt whose answer was lost, now or before a crash.
            Ok(answer) if answer.status == 412 => {
                self.holds(key, size_bytes, sha256)?.ok_or_else(|| self.refused(&ask, &answer))
            }
            Ok(answer) => Err(self.refused(&ask, &answer)),
            // Nobody knows what became of the attempts: what is there now does.
            Err(unclear) if unclear.kind() == io::ErrorKind::TimedOut => match self.holds(key, size_bytes, sha256) {
                Ok(Some(object)) => Ok(object),
                _ => Err(unclear),
            },
            Err(error) => Err(error),
        }
    }

    /// Makes sure that an object is locked at least as was asked: a server without locks takes the wish for one and
    /// forgets it.
    ///
    /// # Source
    /// Amazon S3 API reference, `HeadObject`: both headers are there for who has `s3:GetObjectRetention`.
    fn check_lock(&self, object: &ObjectName, lock: ObjectLock) -> io::Result<()> {
        let ask = Ask::new(Method::Head, &object.key).of_version(object.version.as_ref());
        let answer = self.send(&ask)?;
        if answer.status != 200 {
            return Err(self.refused(&ask, &answer));
        }
        let mode = answer.header("x-amz-object-lock-mode").unwrap_or("no mode");
        let until = answer.header("x-amz-object-lock-retain-until-date").unwrap_or("no time");
        let is_mode = mode == "COMPLIANCE" || mode == "GOVERNANCE" && !lock.is_compliance;
        let wanted = whole_seconds(lock.until);
        if is_mode && Timestamp::parse(until) >= Timestamp::parse(&wanted) {
            return Ok(());
        }
        let (place, known) = (self.uri(&object.key), format!("{mode}, {until}"));
        Err(io::Error::other(format!(
            "{place} is not locked until {wanted} as was asked: {} says {known}; the bucket must have object lock turned on, \
             and the credentials s3:GetObjectRetention",
            self.place.host
        )))
    }
}

impl Objects for Client {
    fn put_new(
        &self,
        key: &str,
        bytes: Vec<u8>,
        sha256: &[u8; 32],
        lock: Option<ObjectLock>,
    ) -> io::Result<ObjectName> {
        let object = self.put_once(key, bytes, sha256, lock)?;
        lock.map_or(Ok(()), |lock| self.check_lock(&object, lock))?;
        Ok(object)
    }

    fn keeps_what_is_there(&self, key: &str, bytes: Vec<u8>) -> io::Result<bool> {
        let digest = sha256(&bytes);
        let ask = put(key, bytes.into(), digest, None);
        let answer = self.send(&ask)?;
        match answer.status {
            412 => Ok(true),
            200 => Ok(false),
            _ => Err(self.refused(&ask, &answer)),
        }
    }

    fn read_range(&self, object: &ObjectName, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        self.read_part(Ask::new(Method::Get, &object.key).of_version(object.version.as_ref()), offset, len)
    }

    fn read_tagged(&self, key: &str, tag: &str, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let mut ask = Ask::new(Method::Get, key);
        ask.headers.push(("if-match", tag.to_owned()));
        self.read_part(ask, offset, len)
    }

    fn newest(&self, key: &str) -> io::Result<(ObjectName, u64)> {
        let ask = Ask::new(Method::Head, key);
        let answer = self.send(&ask)?;
        if answer.status != 200 {
            return Err(self.refused(&ask, &answer));
        }
        let size = answer.header("content-length").and_then(|text| text.trim().parse().ok());
        let size = size.ok_or_else(|| io::Error::other(format!("{}: no size was named", self.uri(key))))?;
        Ok((name_of(key, &answer), size))
    }

    fn list(&self, prefix: &str, each: &mut dyn FnMut(ListedObject)) -> io::Result<()> {
        let mut token: Option<String> = None;
        for _ in 0..PAGES_MAX {
            let mut ask = Ask::new(Method::Get, "");
            ask.query = vec![("list-type", "2".to_owned()), ("prefix", prefix.to_owned())];
            ask.query.extend(token.take().map(|token| ("continuation-token", token)));
            let answer = self.send(&ask)?;
            if answer.status != 200 {
                return Err(self.refused(&ask, &answer));
            }
            let page = listing::parse(&answer.body).map_err(|reason| {
                io::Error::other(format!("the list of {} cannot be read: {reason}", self.uri(prefix)))
            })?;
            page.objects.into_iter().for_each(&mut *each);
            match page.next {
                Some(next) => token = Some(next),
                None => return Ok(()),
            }
        }
        Err(io::Error::other(format!("{} holds more than {PAGES_MAX} pages of objects", self.uri(prefix))))
    }

    fn delete(&self, object: &ObjectName) -> io::Result<()> {
        let ask = Ask::new(Method::Delete, &object.key).of_version(object.version.as_ref());
        let answer = self.send(&ask)?;
        match answer.status {
            200 | 204 | 404 => Ok(()),
            _ => Err(self.refused(&ask, &answer)),
        }
    }

    fn uri(&self, key: &str) -> String {
        format!("s3://{}/{key}", self.place.bucket)
    }

    fn key_of(&self, uri: &str) -> Option<String> {
        uri.strip_prefix("s3://")?.strip_prefix(self.place.bucket.as_str())?.strip_prefix('/').map(str::to_owned)
    }
}

/// The object that an answer is about; without a version where the bucket keeps none.
fn name_of(key: &str, answer: &Response) -> ObjectName {
    let version = answer.header("x-amz-version-id").filter(|version| *version != "null");
    ObjectName { key: key.to_owned(), version: version.map(str::to_owned) }
}

fn put(key: &str, body: Bytes, body_sha256: [u8; 32], lock: Option<ObjectLock>) -> Ask<'_> {
    let mut ask = Ask { body, body_sha256, ..Ask::new(Method::Put, key) };
    ask.headers.push(("if-none-match", "*".to_owned()));
    // A put with a lock needs a checksum beside the signature; any put is the better for one.
    ask.headers.push(("x-amz-sdk-checksum-algorithm", "SHA256".to_owned()));
    ask.headers.push(("x-amz-checksum-sha256", base64::engine::general_purpose::STANDARD.encode(body_sha256)));
    if let Some(lock) = lock {
        let mode = if lock.is_compliance { "COMPLIANCE" } else { "GOVERNANCE" };
        ask.headers.push(("x-amz-object-lock-mode", mode.to_owned()));
        ask.headers.push(("x-amz-object-lock-retain-until-date", whole_seconds(lock.until)));
    }
    ask
}

/// Whether the same request may have another answer soon. 409: another put of the key is under way.
fn is_passing(status: u16) -> bool {
    matches!(status, 408 | 409 | 425 | 429 | 500 | 502 | 503 | 504)
}

/// What a server said, for people: the status, and the code and message of its XML.
fn reason_of(answer: &Response) -> String {
    let body = String::from_utf8_lossy(&answer.body);
    let element = |name: &str| {
        let (_, rest) = body.split_once(&format!("<{name}>"))?;
        let text = rest.split_once("</")?.0;
        Some(text.chars().filter(|c| !c.is_control()).take(REASON_CHARS_MAX).collect::<String>())
    };
    let parts = [Some(answer.status.to_string()), element("Code"), element("Message")];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}
