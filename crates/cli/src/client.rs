//! A server over HTTP, as the commands see it: requests with a credential, errors as [`Failure`].

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;

use http_body::Body as _;
use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use serde_json::Value;

use crate::arguments::Global;
use crate::failure::{Exit, Failure};

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a local server may take to say that it lives. One that was killed refuses at once; a busy one is waited for,
/// since its data directory is of no use to anybody else.
const ALIVE_TIMEOUT: Duration = Duration::from_secs(30);
/// Environment variable that may hold the credential.
const CREDENTIAL_VARIABLE: &str = "MONETA_CREDENTIAL";
/// Names a file's bytes, so that sending them again stores nothing twice.
const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// Times a request is sent again when the server asks to come back later.
const RETRIES_MAX: u32 = 30;
/// The longest wait between two of them.
const RETRY_WAIT_MAX: Duration = Duration::from_secs(10);

/// A server and the right to use it.
pub struct Client {
    http: reqwest::Client,
    base: Url,
    credential: String,
}

/// A file on its way to the server.
pub struct Upload<'a> {
    /// Where it is.
    pub path: &'a Path,
    /// Its name, which becomes the source of its events.
    pub name: &'a str,
    /// Its format; recognised when absent.
    pub format: Option<&'a str>,
    /// The table of all its records.
    pub table: Option<&'a str>,
    /// Zone of time stamps that name none, in seconds east of UTC.
    pub zone_offset_seconds: Option<i32>,
    /// Names its content.
    pub key: Option<String>,
    /// Whether the answer is to have a receipt of each part.
    pub receipts: bool,
}

impl Client {
    /// The server that the arguments name, if they do.
    ///
    /// # Errors
    /// When the address or the credential is missing or unusable.
    pub fn from_arguments(global: &Global) -> Result<Option<Self>, Failure> {
        let Some(server) = &global.server else { return Ok(None) };
        let base = parse_address(server)?;
        if base.scheme() == "http" && !is_loopback(&base) && !global.allow_plaintext {
            return Err(Failure::usage(format!("{base} would send the credential unencrypted"))
                .advise("use https, or --allow-plaintext inside a network you trust"));
        }
        let credential = read_credential(global.credential_file.as_ref())?;
        Self::new(base, credential).map(Some)
    }

    /// A server of this machine.
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub fn local(server: moneta_server::local::LocalServer) -> Result<Self, Failure> {
        let base = parse_address(&format!("http://{}", server.address))?;
        Self::new(base, server.credential)
    }

    fn new(base: Url, credential: String) -> Result<Self, Failure> {
        let builder = reqwest::Client::builder().connect_timeout(CONNECT_TIMEOUT);
        // A proxy of the environment has no business between two programs of one machine.
        let builder = if is_loopback(&base) { builder.no_proxy() } else { builder };
        let http = builder
            .build()
            .map_err(|error| Failure::new(Exit::Internal, "cannot make an HTTP client").caused_by(&error))?;
        Ok(Self { http, base, credential })
    }

    /// Whether anything answers there.
    pub async fn is_alive(&self) -> bool {
        let request = self.http.get(self.address("health/livez")).timeout(ALIVE_TIMEOUT);
        request.send().await.is_ok_and(|response| response.status().is_success())
    }

    /// Gets a JSON document.
    ///
    /// # Errors
    /// As the server refuses, or when it cannot be reached.
    pub async fn get(&self, path: &str) -> Result<Value, Failure> {
        self.send(self.request(Method::GET, path)).await
    }

    /// Gets a JSON document, with parameters.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn get_with(&self, path: &str, parameters: &[(&str, String)]) -> Result<Value, Failure> {
        self.send(self.request(Method::GET, path).query(parameters)).await
    }

    /// Changes a document that was read at a version; `None` overrules whoever changed it since.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn patch(&self, path: &str, version: Option<u64>, body: &Value) -> Result<Value, Failure> {
        let version = version.map_or_else(|| "*".to_owned(), |version| format!("\"{version}\""));
        let request = self.request(Method::PATCH, path).header(reqwest::header::IF_MATCH, version);
        self.send(request.json(body)).await
    }

    /// Gets a file's bytes.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn get_bytes(&self, path: &str) -> Result<Vec<u8>, Failure> {
        let response = self.answer(self.request(Method::GET, path)).await?;
        let bytes = response.bytes().await.map_err(|error| self.broken(&error))?;
        Ok(bytes.to_vec())
    }

    /// Sends a JSON document.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.send(self.request(Method::POST, path).json(body)).await
    }

    /// Exports a result and hands on its bytes as they come; returns the trailers, of which there may be none.
    ///
    /// # Errors
    /// As [`Self::get`], when the transfer breaks off, or as `take` fails.
    pub async fn export(
        &self,
        body: &Value,
        mut take: impl FnMut(&[u8]) -> Result<(), Failure>,
    ) -> Result<HeaderMap, Failure> {
        let request = self.request(Method::POST, "v1/export").header(reqwest::header::TE, "trailers").json(body);
        let mut pieces = reqwest::Body::from(self.answer(request).await?);
        let mut trailers = HeaderMap::new();
        while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut pieces).poll_frame(cx)).await {
            match frame.map_err(|error| self.broken(&error))?.into_data() {
                Ok(bytes) => take(&bytes)?,
                Err(frame) => trailers.extend(frame.into_trailers().unwrap_or_default()),
            }
        }
        Ok(trailers)
    }

    /// Posts bytes.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn post_bytes(&self, path: &str, bytes: Vec<u8>) -> Result<Value, Failure> {
        self.send(self.request(Method::POST, path).body(bytes)).await
    }

    /// Puts a JSON document.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn put(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.send(self.request(Method::PUT, path).json(body)).await
    }

    /// Puts bytes, with parameters.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn put_bytes(&self, path: &str, parameters: &[(&str, &str)], bytes: Vec<u8>) -> Result<Value, Failure> {
        self.send(self.request(Method::PUT, path).query(parameters).body(bytes)).await
    }

    /// Deletes.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn delete(&self, path: &str) -> Result<(), Failure> {
        self.send(self.request(Method::DELETE, path)).await.map(drop)
    }

    /// Sends a file for ingestion, again when the server is busy.
    ///
    /// # Errors
    /// As [`Self::get`], or when the file cannot be read.
    pub async fn upload(&self, upload: &Upload<'_>) -> Result<Value, Failure> {
        let mut parameters = vec![("name", upload.name)];
        parameters.extend(upload.format.map(|format| ("format", format)));
        parameters.extend(upload.table.map(|table| ("table", table)));
        let zone = upload.zone_offset_seconds.map(|seconds| seconds.to_string());
        parameters.extend(zone.as_deref().map(|seconds| ("zone_offset_seconds", seconds)));
        parameters.extend(upload.receipts.then_some(("receipts", "true")));
        let mut attempt = 0;
        loop {
            let file = tokio::fs::File::open(upload.path).await;
            let file = file.map_err(|error| Failure::io(format!("cannot read {}", upload.path.display()), error))?;
            let mut request =
                self.request(Method::POST, "v1/ingest").query(&parameters).body(reqwest::Body::from(file));
            if let Some(key) = &upload.key {
                request = request.header(IDEMPOTENCY_KEY, key);
            }
            let response = request.send().await.map_err(|error| self.broken(&error))?;
            // Only a request with a key may be repeated: without one, a part may have been stored already.
            if attempt < RETRIES_MAX && upload.key.is_some() && is_busy(response.status()) {
                attempt += 1;
                tokio::time::sleep(retry_after(&response)).await;
                continue;
            }
            return body(check(response).await?).await;
        }
    }

    fn address(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}/{path}", self.base.path().trim_end_matches('/')));
        url
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, self.address(path)).bearer_auth(&self.credential).header("x-ms-app", "moneta")
    }

    async fn send(&self, request: RequestBuilder) -> Result<Value, Failure> {
        body(self.answer(request).await?).await
    }

    async fn answer(&self, request: RequestBuilder) -> Result<Response, Failure> {
        check(request.send().await.map_err(|error| self.broken(&error))?).await
    }

    fn broken(&self, error: &reqwest::Error) -> Failure {
        let what = if error.is_connect() { "cannot reach" } else { "lost the connection to" };
        Failure::new(Exit::Unavailable, format!("{what} the server at {}", self.base))
            .caused_by(error)
            .advise("check that it runs (`moneta serve`) and that the address is right")
    }
}

fn parse_address(text: &str) -> Result<Url, Failure> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    url.ok_or_else(|| {
        Failure::usage(format!("{text:?} is not the address of a server")).advise("http://127.0.0.1:7979")
    })
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn read_credential(file: Option<&PathBuf>) -> Result<String, Failure> {
    let text = match file {
        Some(path) => std::fs::read_to_string(path)
            .map_err(|error| Failure::io(format!("cannot read the credential file {}", path.display()), error))?,
        None => std::env::var(CREDENTIAL_VARIABLE).unwrap_or_default(),
    };
    match text.trim() {
        "" => Err(Failure::new(Exit::Denied, "no credential for the server")
            .advise(format!("--credential-file FILE, or {CREDENTIAL_VARIABLE} in the environment"))),
        credential => Ok(credential.to_owned()),
    }
}

async fn check(response: Response) -> Result<Response, Failure> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let body: Value = response.json().await.unwrap_or_default();
    Err(refusal(status, &body))
}

async fn body(response: Response) -> Result<Value, Failure> {
    let bytes = response.bytes().await;
    let bytes =
        bytes.map_err(|error| Failure::new(Exit::Unavailable, "the server's answer broke off").caused_by(&error))?;
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(&bytes)
        .map_err(|error| Failure::new(Exit::Internal, "the server's answer is not JSON").caused_by(&error))
}

/// What the server says is wrong, in our own error form or Kusto's.
fn refusal(status: StatusCode, body: &Value) -> Failure {
    let error = &body["error"];
    let text = ["@message", "message"].iter().find_map(|member| error[*member].as_str());
    let message = text.map_or_else(|| format!("the server answers {status}"), str::to_owned);
    let failure = Failure::new(exit_of(status), message);
    match error["moneta"]["rendered"].as_str() {
        Some(rendered) => failure.rendered(rendered),
        None => failure,
    }
}

fn exit_of(status: StatusCode) -> Exit {
    match status.as_u16() {
        401 | 403 => Exit::Denied,
        408 | 429 | 502..=504 => Exit::Unavailable,
        400..=499 => Exit::Usage,
        _ => Exit::Internal,
    }
}

fn is_busy(status: StatusCode) -> bool {
    matches!(status.as_u16(), 429 | 503)
}

fn retry_after(response: &Response) -> Duration {
    let header = response.headers().get(reqwest::header::RETRY_AFTER).and_then(|value| value.to_str().ok());
    let seconds = header.and_then(|text| text.parse().ok()).unwrap_or(1);
    Duration::from_secs(seconds).min(RETRY_WAIT_MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_loopback_may_go_without_tls() {
        for (address, expected) in [
            ("http://127.0.0.1:1", true),
            ("http://[::1]:1", true),
            ("http://localhost", true),
            ("http://10.0.0.1", false),
        ] {
            assert_eq!(is_loopback(&parse_address(address).unwrap()), expected, "{address}");
        }
        assert!(parse_address("ftp://x").is_err() && parse_address("x").is_err());
    }

    #[test]
    fn both_error_forms_are_understood() {
        let ours = refusal(StatusCode::FORBIDDEN, &json!({ "error": { "code": "forbidden", "message": "no" } }));
        assert!(format!("{ours:?}").contains("\"no\"") && format!("{ours:?}").contains("Denied"));
        let kusto =
            json!({ "error": { "message": "generic", "@message": "bad table", "moneta": { "rendered": "^^^" } } });
        let kusto = format!("{:?}", refusal(StatusCode::BAD_REQUEST, &kusto));
        assert!(kusto.contains("bad table") && kusto.contains("^^^") && kusto.contains("Usage"), "{kusto}");
    }
}
